// Sums of AI usage by day, model, user, key, provider or organization, from usage_daily; and one
// request's row. Reads on a reader's connection; thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ledger/ledger.h"
#include "ledger/rows.h"

namespace kvcs {

struct UsageAsk {
  std::string group_by = "day";  // day, model, user, key, provider, organization
  std::string split_by;          // Of days alone: one of the others, or "" for whole days.
  std::string from_day, to_day;  // "2026-11-01", both included; "" = open.
  std::string organization_id, user_id, key_id, model, provider;  // "" = all.
};
struct UsageGroup {
  std::string name;
  int64_t requests = 0, failures = 0, input_tokens = 0, output_tokens = 0, cost_nano_usd = 0;
  int64_t total_ms = 0;
  std::string part = {};  // By split_by.
};
// Ordered by day, or by cost from the highest. At most 10,000 groups. Invalid: unknown group_by or
// split_by, or more parts of days than that, of which none may be left out of a sum.
Result<std::vector<UsageGroup>> usage_report(const Ledger& ledger, const UsageAsk& ask);

// The sums of all rows of one key, user or organization (`kind`: "key", "user", "org") in one month
// and, of `waiting`, rows of the same on their way to SQL, those that are not there yet. One
// snapshot. Adjustments, and tries before the last one of a request, count as money, not as
// requests.
Result<UsageGroup> recount_usage(const Ledger& ledger, std::string_view kind, std::string_view id,
                                 std::string_view period, const std::vector<UsageRecord>& waiting);

// The same sums of every key, user or organization in every month, from one connection.
using UsageSumVisitor =
    std::function<Status(const std::string& id, const std::string& period, const UsageGroup& sum)>;
Status for_each_usage_sum(Database& db, std::string_view kind, const UsageSumVisitor& visit);
// What rows count as requests: not adjustments, nor tries before the last one.
bool counts_as_request(const UsageRecord& row);

// How many rows of usage there have been of each organization in a month, and what they cost, from
// sums of their own that pruning leaves alone. A few bytes for each organization are read.
using UsageRowsVisitor =
    std::function<void(const std::string& organization_id, int64_t count, int64_t nano_usd)>;
Status for_each_month_rows(Database& db, std::string_view period, const UsageRowsVisitor& visit);
// Whether a row that may be one of usage was set aside, because it could not be read: the sums of
// the two stores then differ for good.
Result<bool> has_unread_usage(Database& db);

// Whether the ledger has a row of this id, which is a request's or a try's (usage_row_id()).
Result<bool> has_usage_row(const Ledger& ledger, std::string_view row_id);
Result<bool> has_usage_row(Database& db, std::string_view row_id);

// One request as JSON text: the members of its row in Ledger::query, and `attempts`, its rows, one
// for each try in their order. Of several tries, tokens, calls and money are their sums, a flag is
// true when it is true of one, and the rest is of the last. `user_id`: "" = of any user. NotFound.
Result<std::string> find_request_usage(const Ledger& ledger, std::string_view request_id,
                                       std::string_view user_id);

// The members of a row of `usage` in Ledger::query, in the form of http::ApiType.
std::string usage_row_members();

}  // namespace kvcs
