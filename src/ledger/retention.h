// How long what is remembered is kept: the limits of each table by age and by number of rows, and
// the walk that enforces them. Values and two functions.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "ledger/ledger.h"

namespace kvcs {

// Ages are in seconds. Rows go when they are too old and, oldest first, when there are too many.
struct LedgerConfig {
  int queue_max = 10'000;  // Diagnostics that wait; see Ledger.
  int64_t error_max_age_s = 30 * 86'400, error_max_rows = 1'000'000;
  int64_t audit_max_age_s = 400 * 86'400, audit_max_rows = 10'000'000;
  int64_t job_run_max_age_s = 30 * 86'400, job_run_max_rows = 100'000;
  int64_t usage_max_age_s = 400 * 86'400, usage_max_rows = 50'000'000;
  uint64_t usage_max_bytes = uint64_t{8} << 30;  // Counted as kUsageRowMaxBytes a row.
  int64_t usage_days_max_age_s = 1100 * 86'400;
  int64_t body_max_age_s = 7 * 86'400, body_max_rows = 100'000;
  // Of records that could be moved to no table; they have no age, and nothing prunes them.
  int64_t dead_max_rows = 10'000;
  uint64_t dead_max_bytes = 64u << 20;
};

// What the ledger enforces with each insert (Ledger::set_row_caps), and pruning by number.
std::vector<RowCap> row_caps(const LedgerConfig& limits);
// Prunes every table; returns the rows removed from each as a JSON object.
Result<std::string> prune_ledger(Ledger& ledger, const LedgerConfig& limits);

}  // namespace kvcs
