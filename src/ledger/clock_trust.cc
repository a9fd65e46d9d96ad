// Three times in ledger_state, read and written in one transaction: "clock_believed"; "clock_last",
// of the last look; "clock_leapt", the first look after a leap, or none.
#include "ledger/clock_trust.h"

#include <algorithm>
#include <string>

#include "db/db.h"
#include "ledger/state.h"

namespace kvcs {
namespace {

// Of a clock that goes on steadily not every look is written down.
constexpr int64_t kKeepEveryMs = 3'600'000;

struct Times {
  int64_t believed = 0, last = 0, leapt = 0;
};

ClockTrust judge(Times& times, int64_t now_ms) {
  ClockTrust trust;
  if (times.believed == 0) times.believed = now_ms;
  const bool is_ahead = now_ms - times.believed > kClockLeapMs;
  if (!is_ahead) {
    // It goes on, or was set back: then what was believed before stays the latest.
    times.leapt = 0;
  } else if (times.leapt == 0 || now_ms < times.leapt || now_ms - times.last > kClockLeapMs) {
    times.leapt = now_ms;
    trust.begins = true;
  } else if (now_ms - times.leapt >= kClockWaitMs) {
    times.leapt = 0;
    times.believed = now_ms;
  }
  times.last = now_ms;
  if (times.leapt == 0) times.believed = std::max(times.believed, now_ms);
  trust.believed_ms = times.believed;
  if (times.leapt != 0) trust.held_until_ms = times.leapt + kClockWaitMs;
  return trust;
}

}  // namespace

LedgerConfig limits_by_number(LedgerConfig limits) {
  limits.error_max_age_s = limits.audit_max_age_s = limits.job_run_max_age_s = 0;
  limits.usage_max_age_s = limits.usage_days_max_age_s = limits.body_max_age_s = 0;
  return limits;
}

Result<ClockTrust> look_at_clock(Ledger& ledger, int64_t now_ms) {
  ClockTrust trust;
  const Status looked = ledger.write([&](Database& db) -> Status {
    const Times before{KVCS_TRY(read_state_number(db, "clock_believed")),
                       KVCS_TRY(read_state_number(db, "clock_last")),
                       KVCS_TRY(read_state_number(db, "clock_leapt"))};
    Times now = before;
    trust = judge(now, now_ms);
    const int64_t moved_ms = now.last - before.last;
    if (now.leapt == before.leapt && moved_ms >= 0 && moved_ms < kKeepEveryMs) return ok();
    KVCS_TRY(write_state_number(db, "clock_believed", now.believed));
    KVCS_TRY(write_state_number(db, "clock_last", now.last));
    return write_state_number(db, "clock_leapt", now.leapt);
  });
  if (!looked.ok()) return looked;
  return trust;
}

}  // namespace kvcs
