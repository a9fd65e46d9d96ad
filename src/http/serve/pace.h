// How slow a client may be while it sends a body or takes an answer. A client that is waited for
// costs no thread, but memory, a place among the connections and whatever its request holds; so its
// silence has an end, and so has the sum of all waits for it. One transfer, one thread.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>

namespace kvcs::http {

class Pace final {
 public:
  // The least average, in bytes per second, of what has no known size. Of what has one: a rate that
  // moves it within kLongestS, as far as that is between the two.
  static constexpr int64_t kLeastRate = 512, kMostRate = 16 << 10, kLongestS = 1024;

  Pace(int silence_max_ms, std::optional<uint64_t> size_bytes)
      : silence_max_ms_(silence_max_ms),
        rate_(std::clamp(
            static_cast<int64_t>(std::min<uint64_t>(size_bytes.value_or(0), INT64_MAX)) / kLongestS,
            kLeastRate, kMostRate)) {}

  // No more than so long is waited for the client in all.
  void set_total_max_ms(int64_t total_max_ms) { total_max_ms_ = total_max_ms; }
  // Before a wait at `now_ms`, when `moved_bytes` have gone over so far: how long it may take. 0 or
  // less: the client has had its time.
  int64_t left_ms(uint64_t moved_bytes, int64_t now_ms) {
    if (moved_bytes != moved_bytes_ || silent_since_ms_ < 0) {
      moved_bytes_ = moved_bytes;
      silent_since_ms_ = now_ms;
    }
    const int64_t earned_ms =
        silence_max_ms_ + static_cast<int64_t>(moved_bytes) * 1000 / rate_ - waited_ms_;
    return std::min({silence_left_ms(now_ms), earned_ms, total_max_ms_ - waited_ms_});
  }
  void add_wait_ms(int64_t waited_ms) { waited_ms_ += waited_ms; }
  // Of a client that has had its time: it fell silent, instead of being slow.
  bool is_silent(int64_t now_ms) const { return silence_left_ms(now_ms) <= 0; }

 private:
  int64_t silence_left_ms(int64_t now_ms) const {
    return silent_since_ms_ + silence_max_ms_ - now_ms;
  }

  const int64_t silence_max_ms_, rate_;
  int64_t total_max_ms_ = INT64_MAX;
  uint64_t moved_bytes_ = 0;
  int64_t silent_since_ms_ = -1;  // The first wait after the last bytes.
  int64_t waited_ms_ = 0;
};

}  // namespace kvcs::http
