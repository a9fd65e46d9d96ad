// The figures of the ledger for the last day, against the day (or the week) before, for the
// daily briefing. Reads only.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "ledger/ledger.h"

namespace kvcs {

inline constexpr int kFigureRowsMax = 20;  // Of each kind; the worst come first.

struct ErrorGroup {
  std::string provider, code;
  int64_t count = 0, count_before = 0;  // This day, the day before.
  // Of the newest; the message only of failures of ours or the provider's, as others may quote
  // what a caller sent.
  std::string example_message, example_request_id;
};
struct RateGroup {
  std::string tenant, provider;
  int64_t count = 0;     // Answers 429, ours and the provider's.
  int64_t upstream = 0;  // Of those, the provider's.
  int64_t reads = 0;     // Of those, to GET.
};
struct JobGroup {
  std::string job, last_result;
  int64_t failures = 0;
};
struct LatencyGroup {
  std::string provider, model;
  int64_t requests = 0, mean_ms = 0, mean_before_ms = 0;  // Before: the seven days before.
};
struct SpendGroup {
  std::string organization_id;
  int64_t month_nano_usd = 0;
};
struct DayFigures {
  int64_t from_ms = 0, to_ms = 0;
  int64_t errors = 0, errors_before = 0;
  std::vector<ErrorGroup> error_groups;
  std::vector<RateGroup> rate_groups;
  std::vector<JobGroup> job_groups;
  std::vector<LatencyGroup> latency_groups;
  std::vector<SpendGroup> spend_groups;
};
// `to_ms` is now; the day is the 24 h before it, the month that of `to_ms`.
Result<DayFigures> read_day_figures(const Ledger& ledger, int64_t to_ms);

}  // namespace kvcs
