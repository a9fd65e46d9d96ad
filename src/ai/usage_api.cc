// GET /admin/usage: sums of the ledger as JSON or CSV, and single requests.
#include <nlohmann/json.hpp>

#include <chrono>
#include <optional>
#include <vector>

#include "ai/ai_admin_api.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"
#include "http/json_api.h"
#include "identity/access.h"
#include "ledger/ledger_csv.h"
#include "ledger/ledger_list.h"
#include "ledger/usage_record.h"
#include "ledger/usage_report.h"

namespace kvcs::ai {
namespace {

// Whose rows the caller may see: "" = everybody's, of operators. The guard has entered the
// organization that ?org_id= names, and has refused those that are not the caller's.
std::string own_rows_only(const http::Request& request) {
  const Principal& caller = request.principal;
  if (access::is_operator(caller)) return {};
  KVCS_ASSERT(!caller.organization_id.empty());
  return caller.organization_id;
}

// "2026-11-01" or a whole ISO time → the day; Invalid otherwise.
Result<std::string> read_day(const http::Request& request, std::string_view name) {
  const auto text = request.query_value(name);
  if (!text) return std::string();
  return format_day(KVCS_TRY(parse_iso8601_ms(*text)));
}

// A split report has the part in a column of its own.
std::string report_csv(const UsageAsk& ask, const std::vector<UsageGroup>& groups) {
  using Line = std::vector<std::string>;
  const auto line = [&ask](Line cells, const std::string& part) {
    if (!ask.split_by.empty()) cells.insert(cells.begin() + 1, part);
    return csv_line(cells);
  };
  std::string csv = line({ask.group_by, "requests", "failures", "input_tokens", "output_tokens",
                          "cost_usd", "mean_ms"},
                         ask.split_by);
  for (const UsageGroup& group : groups) {
    csv += line({group.name, std::to_string(group.requests), std::to_string(group.failures),
                 std::to_string(group.input_tokens), std::to_string(group.output_tokens),
                 format_usd(group.cost_nano_usd),
                 std::to_string(group.requests > 0 ? group.total_ms / group.requests : 0)},
                group.part);
  }
  return csv;
}

constexpr http::ApiType kTypes[] = {
    {"ResetAsk", R"(
reset_reason!: string(1..500) = "promotion" # Kept in the audit.
scope: user|user_and_org # Default: user.)"},
    {"QuotaReset", R"(
user_id!: id
previous_usage!: number
new_usage!: number
reset_at!: time
reset_reason!: string
scope!: user|user_and_org)"},
    {"UserUsage", R"(
user_id!: id
current_usage_usd!: number
request_count!: integer # Admitted requests.
monthly_limit_usd!: number
current_month!: string
projected_usd!: number? # Of the whole month, if it goes on like this; null in its first day.
reserved_usd!: number # By requests under way.
error_count!: integer)"},
    {"OrganizationUsage", R"(
org_id!: id
current_usage_usd!: number
monthly_budget_usd!: number
current_month!: string
projected_usd!: number? # Of the whole month, if it goes on like this; null in its first day.
reserved_usd!: number
request_count!: integer
error_count!: integer)"},
    {"UserHistory", R"(
user_id!: id
months!: [MonthUsage]
adjustments!: [Adjustment] # Resets, the oldest first.)"},
    {"Adjustment", R"(
reset_at: time
previous_usage_usd!: number
scope!: user|user_and_org
reset_reason!: string
actor!: string)"},
    {"OrganizationHistory", R"(
org_id!: id
months!: [MonthUsage])"},
    {"MonthUsage", R"(
month!: string
usage_usd!: number
request_count!: integer
error_count!: integer)"},
    {"UsageReport", R"(
group_by!: day|model|user|key|provider|organization
split_by: model|user|key|provider|organization # Of days; as it was asked.
usage!: [UsageSum]
budget!: UsageBudget? # Of the user or organization that was asked for, or of the only one.)"},
    {"UsageBudget", R"(
# Of this month, whatever days were asked for.
month!: string
limit_usd!: number # The organization's or user's own; the plan may allow less.
used_usd!: number
projected_usd!: number? # Of the whole month, if it goes on like this; null in its first day.
daily_usd!: number # The limit over the days of the month.)"},
    {"UsageSum", R"(
day: string # One of these six, as group_by says; with split_by one more.
model: string
user: string
key: string
provider: string
organization: string
requests!: integer
failures!: integer
input_tokens!: integer
output_tokens!: integer
cost_usd!: number
mean_ms!: integer)"},
    {"UsagePage", R"(
requests!: [UsageRow] # A request has a row for each provider that it was tried at.
cursor!: string?)"},
};

}  // namespace

// The members of a row are those of the ledger's own table.
std::span<const http::ApiType> AiAdminApi::usage_types() {
  static const std::string row = usage_row_members();
  static const std::string whole =
      row +
      "\nattempts!: [UsageRow] # One for each try, in their order. With several, the tokens, "
      "calls and amounts beside are their sums, a flag is true when it is true of one, and "
      "the rest is of the last.";
  static const std::vector<http::ApiType> all = [] {
    std::vector<http::ApiType> list(std::begin(kTypes), std::end(kTypes));
    list.push_back({"UsageRow", row.c_str()});
    list.push_back({"RequestUsage", whole.c_str()});
    return list;
  }();
  return all;
}

void AiAdminApi::add_usage_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin");
  const std::string user = "/users/{user_id}/usage", org = "/organizations/{org_id}/usage";
  const auto own = [&](http::OwnerFrom owner) { return with_owner(access.own_billing, owner); };
  const http::Access of_user = own(http::OwnerFrom::kPathUser);
  const http::Access of_org = own(http::OwnerFrom::kPathOrganization);
  const http::Access of_caller = own(http::OwnerFrom::kCaller);
  rows.add(kGet, user, of_user, kNoBody, &AiAdminApi::user_usage, "A user's use of this month.",
           {.id = "getUserUsage", .answer = "UserUsage"});
  rows.add(kGet, user + "/history", of_user, kNoBody, &AiAdminApi::user_history, "Month by month.",
           {.id = "getUserUsageHistory", .answer = "UserHistory"});
  rows.add(kGet, org, of_org, kNoBody, &AiAdminApi::organization_usage,
           "An organization's use of this month.",
           {.id = "getOrganizationUsage", .answer = "OrganizationUsage"});
  rows.add(kGet, org + "/history", of_org, kNoBody, &AiAdminApi::organization_history,
           "Month by month.",
           {.id = "getOrganizationUsageHistory", .answer = "OrganizationHistory"});
  rows.add(kGet, "/usage", of_caller, kNoBody, &AiAdminApi::usage,
           "Sums by ?group_by=day|model|user|key|provider|organization, days also by "
           "&split_by=model and so on; ?format=csv. Without an operator's role of the own "
           "organization alone.",
           {.id = "getUsageReport",
            .query = "group_by:day|model|user|key|provider|organization "
                     "split_by:model|user|key|provider|organization from to org_id user_id key_id "
                     "model provider format",
            .answer = "UsageReport text/csv"});
  rows.add(kGet, "/usage/requests", of_caller, kNoBody, &AiAdminApi::usage_rows,
           "Single requests, newest first; ?format=csv. outcome is ok, client_error, rate_limited, "
           "provider_error, timeout, client_gone, recovered or, for a status of 400 and above, "
           "failed. Without an operator's role of the own organization alone.",
           {.id = "listUsageRequests",
            .query = "request_id org_id user_id key_id model provider status:integer "
                     "outcome:ok|client_error|rate_limited|provider_error|timeout|client_gone|"
                     "recovered|refused|failed min_cost_usd:price "
                     "max_cost_usd:price from to limit:integer(1..1000000) cursor format",
            .answer = "UsagePage text/csv"});
}

namespace {

// Days of one month in UTC.
int64_t days_of_month(int64_t unix_ms) {
  namespace chrono = std::chrono;
  const chrono::sys_time<chrono::milliseconds> now{chrono::milliseconds(unix_ms)};
  const chrono::year_month_day today{chrono::floor<chrono::days>(now)};
  const chrono::year_month_day_last last = today.year() / today.month() / chrono::last;
  return static_cast<unsigned>(last.day());
}

}  // namespace

// The budget that the sums are to be compared with; null where they are of several.
Result<Json> AiAdminApi::report_budget(const UsageAsk& ask) {
  if (!ask.key_id.empty() || !ask.model.empty() || !ask.provider.empty()) return Json();
  std::string kind = "org", id = ask.organization_id;
  int64_t limit_nano_usd = 0;
  if (!ask.user_id.empty()) {
    const Result<User> user = users_.find(ask.user_id);
    if (user.code() == Code::kNotFound) return Json();  // The ledger outlives the user.
    kind = "user";
    id = KVCS_TRY(user).id;
    if (!ask.organization_id.empty() && user->organization_id != ask.organization_id) return Json();
    limit_nano_usd = user->monthly_limit_nano_usd;
  } else {
    if (id.empty()) {
      const OrganizationPage page = KVCS_TRY(organizations_.list({.limit = 2}));
      if (page.organizations.size() != 1) return Json();
      id = page.organizations.front().id;
    }
    const Result<Organization> organization = organizations_.find(id);
    if (organization.code() == Code::kNotFound) return Json();
    id = KVCS_TRY(organization).id;
    limit_nano_usd = organization->monthly_budget_nano_usd;
  }
  const BudgetView view = KVCS_TRY(budgets_.view(kind, id, ""));
  const auto projected = project_month(view.used_nano_usd, clock_.unix_ms());
  return Json{{"month", view.month},
              {"limit_usd", usd_json(limit_nano_usd)},
              {"used_usd", usd_json(view.used_nano_usd)},
              {"projected_usd", projected ? usd_json(*projected) : Json()},
              {"daily_usd", usd_json(limit_nano_usd / days_of_month(clock_.unix_ms()))}};
}

Result<http::Response> AiAdminApi::usage(http::Request& request) {
  UsageAsk ask;
  ask.group_by = request.query_value("group_by").value_or("day");
  ask.split_by = request.query_value("split_by").value_or("");
  ask.from_day = KVCS_TRY(read_day(request, "from"));
  ask.to_day = KVCS_TRY(read_day(request, "to"));
  ask.organization_id = request.query_value("org_id").value_or("");
  if (const std::string own = own_rows_only(request); !own.empty()) ask.organization_id = own;
  ask.user_id = request.query_value("user_id").value_or("");
  ask.key_id = request.query_value("key_id").value_or("");
  ask.model = request.query_value("model").value_or("");
  ask.provider = request.query_value("provider").value_or("");
  const std::string format = request.query_value("format").value_or("json");
  if (format != "json" && format != "csv") {
    return invalid("format: '" + printable(format, kShownWord) + "' is neither json nor csv.");
  }
  // Rows of the last milliseconds are still in the journal or the outbox; the report includes them.
  KVCS_TRY(ledger_.drain());
  const std::vector<UsageGroup> groups = KVCS_TRY(usage_report(ledger_, ask));
  if (format == "csv") {
    return http::text_response(200, report_csv(ask, groups), "text/csv; charset=utf-8");
  }
  Json list = Json::array();
  for (const UsageGroup& group : groups) {
    Json one{{ask.group_by, group.name},
             {"requests", group.requests},
             {"failures", group.failures},
             {"input_tokens", group.input_tokens},
             {"output_tokens", group.output_tokens},
             {"cost_usd", usd_json(group.cost_nano_usd)},
             {"mean_ms", group.requests > 0 ? group.total_ms / group.requests : 0}};
    if (!ask.split_by.empty()) one[ask.split_by] = group.part;
    list.push_back(std::move(one));
  }
  Json report{{"group_by", ask.group_by}, {"usage", list}};
  if (!ask.split_by.empty()) report["split_by"] = ask.split_by;
  report["budget"] = KVCS_TRY(report_budget(ask));
  return http::reply(200, report);
}

namespace {

// Rows that ended in this way: by their status, or by the daemon's death. "failed" are those that
// the sums count as failures, whatever the reason.
Status add_outcome(LedgerQuery& query, const std::string& value) {
  if (value == "failed") {
    query.within.push_back({"status", {{400, INT64_MAX}}});
    return ok();
  }
  const std::optional<UsageOutcome> wanted = parse_usage_outcome(value);
  if (!wanted) {
    std::string known;
    for (size_t i = 0; i < kUsageOutcomeCount; i++) {
      (known += i > 0 ? ", " : "") += usage_outcome_name(static_cast<UsageOutcome>(i));
    }
    return invalid("outcome: " + printable(value, kShownWord) + " is not one of " + known +
                   ", failed");
  }
  const bool recovered = *wanted == UsageOutcome::kRecovered;
  query.equals.emplace_back("recovered", recovered ? "true" : "false");
  if (recovered) return ok();
  LedgerRanges statuses{"status", {}};
  for (const auto& [outcome, min, max] : usage_outcome_statuses()) {
    if (outcome == *wanted) statuses.any.emplace_back(min, max);
  }
  // What was refused has no row.
  if (statuses.any.empty()) statuses.any.emplace_back(-1, -1);
  query.within.push_back(std::move(statuses));
  return ok();
}

Status add_usage_filter(LedgerQuery& query, std::string_view name, const std::string& value) {
  if (name == "org_id") {
    query.equals.emplace_back("organization_id", value);
  } else if (name == "request_id") {
    query.tries_of = value;
  } else if (name == "outcome") {
    return add_outcome(query, value);
  } else if (name == "min_cost_usd") {
    query.within.push_back({"cost_usd", {{KVCS_TRY(parse_nano_usd(value, name)), INT64_MAX}}});
  } else if (name == "max_cost_usd") {
    query.within.push_back({"cost_usd", {{INT64_MIN, KVCS_TRY(parse_nano_usd(value, name))}}});
  } else if (name == "user_id" || name == "key_id" || name == "model" || name == "provider" ||
             name == "status") {
    query.equals.emplace_back(name, value);
  } else {
    return invalid(printable(name, kShownWord) + ": is no filter of usage rows");
  }
  return ok();
}

}  // namespace

Result<http::Response> AiAdminApi::usage_rows(http::Request& request) {
  return list_ledger(ledger_, request, "usage", "requests", add_usage_filter,
                     own_rows_only(request));
}

}  // namespace kvcs::ai
