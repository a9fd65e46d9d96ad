// The one rule by which requests of a transfer are repeated: which failures may be gone in a
// moment, how long to wait before the next attempt, and when to give up. One thread for each.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs::cli {

// The pause before an attempt doubles while none of them brings anything.
struct RepeatRule {
  int attempts_max = 8;  // In a row that bring nothing.
  int64_t first_pause_ms = 500, pause_max_ms = 15'000;
};

// True for failures that may be gone in a moment: a connection that broke, a server that is busy or
// away. A refusal would be the same again, and so would a certificate that is not trusted, a full
// disk, and a request that was interrupted.
bool is_worth_repeating(const Status& status);

class Repeat final {
 public:
  struct Hooks {
    std::function<void(const std::string&)> note;  // Tells of an attempt that failed; may be empty.
    std::function<void(int64_t ms)> pause;
    std::function<bool()> stopped;  // True: no further attempt, and no further pause.
  };
  explicit Repeat(Hooks hooks, RepeatRule rule = {});

  // Until `attempt` is Ok, or fails for good. It sets `moved` when it brought something: then the
  // count begins anew. `what` stands in "The WHAT failed (why); trying again in 2 s.". A server
  // that no attempt has reached so far is not waited for: it is most likely named wrongly, or off.
  // Who stops it hears of that, and not of the attempt that failed before.
  Status run(std::string_view what, const std::function<Status(bool& moved)>& attempt);
  // The server has been reached by other ways.
  void note_reached() { reached_ = true; }

 private:
  const Hooks hooks_;
  const RepeatRule rule_;
  bool reached_ = false;
};

// How long a server asks to wait, by the value of Retry-After (RFC 9110 §10.2.3): seconds, or a
// date, which counts from `date`, the answer's own Date, else from `now_s`. 0: it does not say, or
// says more than an hour.
int retry_after_s(std::string_view value, std::string_view date, int64_t now_s);

}  // namespace kvcs::cli
