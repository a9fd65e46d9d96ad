// The sign of life of a loop that takes up work and waits for more. The loop's own thread says when
// it does which; whoever watches it (ops/heartbeats.h) compares what it sees from one look to the
// next. A loop that is at the same piece of work for too long is stuck: on a disk or a lock that
// does not come back, say. Saying so is one store, without an order and without a look at a clock.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace kvcs {

// What is seen of a loop at one look.
struct Pulse {
  uint64_t beats = 0;  // Another number than before: it has moved.
  bool at_work = false;
  bool is_long = false;  // At work that may take many times as long as usual.
};

// One thread beats; pulse() is for any. Waits for another loop that is watched are no work: that
// one is stuck, if any is.
class Heartbeat final {
 public:
  void work() { beat(kWork); }  // Takes up a piece of work, or the next one.
  void long_work() { beat(kLongWork); }
  void rest() { beat(kRest); }
  Pulse pulse() const {
    const uint64_t word = word_.load(std::memory_order_relaxed);
    return {word >> 2, (word & 3) != kRest, (word & 3) == kLongWork};
  }

 private:
  static constexpr uint64_t kRest = 0, kWork = 1, kLongWork = 2;
  void beat(uint64_t state) {
    const uint64_t beats = (word_.load(std::memory_order_relaxed) >> 2) + 1;
    word_.store(beats << 2 | state, std::memory_order_relaxed);
  }

  std::atomic<uint64_t> word_{0};  // Beats, and the state in the two lowest bits.
};

// For its scope the loop waits, and is at work again afterwards.
class Resting final {
 public:
  explicit Resting(Heartbeat& heartbeat) : heartbeat_(heartbeat) { heartbeat_.rest(); }
  ~Resting() { heartbeat_.work(); }
  Resting(const Resting&) = delete;
  Resting& operator=(const Resting&) = delete;

 private:
  Heartbeat& heartbeat_;
};

// How a class with several loops names them to the one who watches.
using AddPulse = std::function<void(std::string name, std::function<Pulse()> pulse)>;

}  // namespace kvcs
