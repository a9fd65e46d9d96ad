// Attempts, the pauses between them, and the header that says how long one should be.
#include "cli/repeat.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/http_date.h"
#include "cli/interrupt.h"

namespace kvcs::cli {
namespace {

constexpr int64_t kRetryAfterMaxS = 3600;  // A longer one is not believed.

// The failures of a server that nothing has reached.
bool is_out_of_reach(const Status& status) {
  const std::string& reason = status.reason();
  return reason == "dns_failed" || reason == "connect_failed" || reason == "connect_timeout" ||
         reason == "proxy_failed";
}

// "0.5", "1", "15".
std::string seconds_text(int64_t ms) {
  std::string text = std::to_string(ms / 1000);
  if (ms % 1000 != 0) text += "." + std::to_string(ms % 1000 / 100);
  return text;
}

}  // namespace

bool is_worth_repeating(const Status& status) {
  const std::string& reason = status.reason();
  if (reason == "tls_failed" || reason == "stopped" || reason == "disk_full") return false;
  switch (status.code()) {
    case Code::kUpstream:
    case Code::kUnavailable:
    case Code::kTimeout:
    case Code::kRateLimited:
      return true;
    default:
      return false;
  }
}

Repeat::Repeat(Hooks hooks, RepeatRule rule) : hooks_(std::move(hooks)), rule_(rule) {}

Status Repeat::run(std::string_view what, const std::function<Status(bool& moved)>& attempt) {
  int64_t pause_ms = rule_.first_pause_ms;
  for (int failures = 0;;) {
    bool moved = false;
    const Status done = attempt(moved);
    reached_ = reached_ || moved || !is_out_of_reach(done);
    if (done.ok() || !is_worth_repeating(done) || !reached_) return done;
    if (moved) {
      failures = 0;
      pause_ms = rule_.first_pause_ms;
    }
    if (hooks_.stopped()) return interruption();
    if (++failures == rule_.attempts_max) return done;
    const int64_t asked_ms = int64_t{done.retry_after_s()} * 1000;
    const int64_t wait_ms = asked_ms > 0 ? asked_ms : pause_ms;
    if (hooks_.note) {
      hooks_.note("The " + std::string(what) + " failed (" + printable(done.message(), kShownText) +
                  "); trying again in " + seconds_text(wait_ms) + " s.");
    }
    hooks_.pause(wait_ms);
    if (hooks_.stopped()) return interruption();
    pause_ms = std::min(pause_ms * 2, rule_.pause_max_ms);
  }
}

int retry_after_s(std::string_view value, std::string_view date, int64_t now_s) {
  int64_t wait_s = 0;
  const auto number = parse_u64(value, "retry-after");
  if (number.ok()) {
    wait_s = static_cast<int64_t>(std::min<uint64_t>(*number, kRetryAfterMaxS + 1));
  } else if (const auto until_s = read_http_date(value)) {
    wait_s = *until_s - read_http_date(date).value_or(now_s);
  }
  return wait_s > 0 && wait_s <= kRetryAfterMaxS ? static_cast<int>(wait_s) : 0;
}

}  // namespace kvcs::cli
