// Time as a dependency, so that tests move it by hand, and the texts of times (RFC 3339, always
// UTC). Implementations are thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace kvcs {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t unix_ms() const = 0;  // Wall clock, UTC; may jump.
  virtual int64_t mono_us() const = 0;  // Never goes back; for durations and deadlines.
  int64_t unix_s() const { return unix_ms() / 1000; }
};
std::unique_ptr<Clock> make_system_clock();

// For tests: both times move together, and only by hand.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t start_unix_ms = 1'767'225'600'000);  // 2026-01-01T00:00:00Z
  int64_t unix_ms() const override { return unix_ms_; }
  int64_t mono_us() const override { return mono_us_; }
  void advance_ms(int64_t ms);
  void set_unix_ms(int64_t unix_ms) { unix_ms_ = unix_ms; }  // A jump: mono_us stays.

 private:
  std::atomic<int64_t> unix_ms_;
  std::atomic<int64_t> mono_us_{1'000'000};
};

std::string format_iso8601_ms(int64_t unix_ms);  // "2026-01-15T10:30:00.123Z"
std::string format_iso8601_s(int64_t unix_ms);   // "2026-01-15T10:30:00Z"
std::string format_month(int64_t unix_ms);       // "2026-01", UTC
std::string format_day(int64_t unix_ms);         // "2026-01-15", UTC
// RFC 3339 date-time (any offset, optional fraction) or date; Invalid otherwise.
Result<int64_t> parse_iso8601_ms(std::string_view text);

}  // namespace kvcs
