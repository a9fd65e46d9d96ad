// Whether the clock may be believed by what removes things for their age. A clock that is years
// ahead for one start would have all of the history removed by the next job, so that a leap is
// waited out: what is removed too late costs some disk, what is removed too early is gone.
// Functions without state; what they know is in ledger.db.
#pragma once
#include <cstdint>

#include "base/status.h"
#include "ledger/ledger.h"
#include "ledger/retention.h"

namespace kvcs {

// The clock leapt when it is so far ahead of the latest time that is believed; a daemon that was
// stopped for longer looks the same.
inline constexpr int64_t kClockLeapMs = int64_t{7} * 86'400'000;
// A time after a leap is believed when the clock has gone on from it for so long, looked at at
// least once in kClockLeapMs and without another leap.
inline constexpr int64_t kClockWaitMs = int64_t{7} * 86'400'000;

struct ClockTrust {
  // Non-zero: nothing may be removed for its age before that time.
  int64_t held_until_ms = 0;
  int64_t believed_ms = 0;  // The latest time that is believed.
  bool begins = false;      // This look is the first one to find the leap; for an alert.
};

// Looks at the clock for a job that runs now. The first look ever believes it.
Result<ClockTrust> look_at_clock(Ledger& ledger, int64_t now_ms);

// The limits by number alone: nothing is too old.
LedgerConfig limits_by_number(LedgerConfig limits);

}  // namespace kvcs
