// GET /admin/usage: sums of the ledger as JSON or CSV, and single requests.
#include <nlohmann/json.hpp>

#include <array>

#include "ai/ai_admin_api.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"
#include "http/json_api.h"
#include "ledger/ledger_csv.h"
#include "ledger/usage_report.h"

namespace kvcs::ai {
namespace {

// "2026-11-01" or a whole ISO time → the day; Invalid otherwise.
Result<std::string> read_day(const http::Request& request, std::string_view name) {
  const auto text = request.query_value(name);
  if (!text) return std::string();
  return format_day(KVCS_TRY(parse_iso8601_ms(*text)));
}

std::string report_csv(std::string_view group_by, const std::vector<UsageGroup>& groups) {
  using Line = std::array<std::string, 7>;
  std::string csv = csv_line(Line{std::string(group_by), "requests", "failures", "input_tokens",
                                  "output_tokens", "cost_usd", "mean_ms"});
  for (const UsageGroup& group : groups) {
    csv += csv_line(Line{group.name, std::to_string(group.requests), std::to_string(group.failures),
                         std::to_string(group.input_tokens), std::to_string(group.output_tokens),
                         format_usd(group.cost_nano_usd),
                         std::to_string(group.requests > 0 ? group.total_ms / group.requests : 0)});
  }
  return csv;
}

}  // namespace

namespace {

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
reserved_usd!: number # By requests under way.
error_count!: integer)"},
    {"OrganizationUsage", R"(
org_id!: id
current_usage_usd!: number
monthly_budget_usd!: number
current_month!: string
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
usage!: [UsageSum])"},
    {"UsageSum", R"(
day: string # One of these six, as group_by says.
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
requests!: [UsageRow]
cursor!: string?)"},
    {"UsageRow", R"(
request_id!: string
attempt!: integer # 1, 2, … of a request that was tried at several providers; else 0.
ts!: time
organization_id!: string
user_id!: string
key_id!: string
provider!: string
model!: string
input_tokens!: integer # Kinds of tokens do not overlap.
cache_read_tokens!: integer
cache_write_5m_tokens!: integer
cache_write_1h_tokens!: integer
input_audio_tokens!: integer
input_image_tokens!: integer
output_tokens!: integer
reasoning_tokens!: integer
output_audio_tokens!: integer
output_image_tokens!: integer
web_searches!: integer # Run by the provider, billed by the call; so the next three.
file_searches!: integer
code_sessions!: integer
images_made!: integer
service_tier!: string # As the provider calls it; "" is the standard, as for the next three.
speed!: string
region!: string
search_size!: string
cost_usd!: number
reserved_usd!: number # Set aside before the request was sent.
price_version!: string
first_byte_ms!: integer
total_ms!: integer
status!: integer
estimated!: boolean
grace!: boolean
recovered!: boolean
period!: string)"},
};

}  // namespace

std::span<const http::ApiType> AiAdminApi::usage_types() {
  return kTypes;
}

void AiAdminApi::add_usage_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin");
  const std::string user = "/users/{user_id}/usage", org = "/organizations/{org_id}/usage";
  rows.add(kGet, user, access.billing, kNoBody, &AiAdminApi::user_usage,
           "A user's use of this month.", {.answer = "UserUsage"});
  rows.add(kGet, user + "/history", access.billing, kNoBody, &AiAdminApi::user_history,
           "Month by month.", {.answer = "UserHistory"});
  rows.add(kGet, org, access.billing, kNoBody, &AiAdminApi::organization_usage,
           "An organization's use of this month.", {.answer = "OrganizationUsage"});
  rows.add(kGet, org + "/history", access.billing, kNoBody, &AiAdminApi::organization_history,
           "Month by month.", {.answer = "OrganizationHistory"});
  rows.add(kGet, "/usage", access.billing, kNoBody, &AiAdminApi::usage,
           "Sums by ?group_by=day|model|user|key|provider|organization; ?format=csv.",
           {.query = "group_by from to org_id user_id key_id model provider format",
            .answer = "UsageReport"});
  rows.add(kGet, "/usage/requests", access.billing, kNoBody, &AiAdminApi::usage_rows,
           "Single requests, newest first.",
           {.query = "org_id user_id key_id model provider limit cursor", .answer = "UsagePage"});
}

Result<http::Response> AiAdminApi::usage(http::Request& request) {
  UsageAsk ask;
  ask.group_by = request.query_value("group_by").value_or("day");
  ask.from_day = KVCS_TRY(read_day(request, "from"));
  ask.to_day = KVCS_TRY(read_day(request, "to"));
  ask.organization_id = request.query_value("org_id").value_or("");
  ask.user_id = request.query_value("user_id").value_or("");
  ask.key_id = request.query_value("key_id").value_or("");
  ask.model = request.query_value("model").value_or("");
  ask.provider = request.query_value("provider").value_or("");
  // Rows of the last milliseconds are still in the journal or the outbox; the report includes them.
  KVCS_TRY(ledger_.drain());
  const std::vector<UsageGroup> groups = KVCS_TRY(usage_report(ledger_, ask));
  if (request.query_value("format").value_or("json") == "csv") {
    return http::text_response(200, report_csv(ask.group_by, groups), "text/csv; charset=utf-8");
  }
  Json list = Json::array();
  for (const UsageGroup& group : groups) {
    list.push_back({{ask.group_by, group.name},
                    {"requests", group.requests},
                    {"failures", group.failures},
                    {"input_tokens", group.input_tokens},
                    {"output_tokens", group.output_tokens},
                    {"cost_usd", usd_json(group.cost_nano_usd)},
                    {"mean_ms", group.requests > 0 ? group.total_ms / group.requests : 0}});
  }
  return http::reply(200, Json{{"group_by", ask.group_by}, {"usage", list}});
}

Result<http::Response> AiAdminApi::usage_rows(http::Request& request) {
  const http::PageAsk page = KVCS_TRY(http::read_page(request));
  LedgerQuery query;
  query.table = "usage";
  query.cursor = page.cursor;
  query.limit = static_cast<int>(page.limit);
  // The parameter of the request, and the column that it filters.
  static constexpr std::array<std::pair<const char*, const char*>, 5> kFilters = {
      {{"org_id", "organization_id"},
       {"user_id", "user_id"},
       {"key_id", "key_id"},
       {"model", "model"},
       {"provider", "provider"}}};
  for (const auto& [parameter, column] : kFilters) {
    if (auto value = request.query_value(parameter)) query.equals.emplace_back(column, *value);
  }
  KVCS_TRY(ledger_.drain());
  const LedgerPage rows = KVCS_TRY(ledger_.query(query));
  std::string body = "{\"requests\":[";
  for (size_t i = 0; i < rows.rows.size(); i++) body += (i > 0 ? "," : "") + rows.rows[i];
  body += "],\"cursor\":" + dump_json(http::cursor_json(rows.cursor)) + "}";
  return http::json_response(200, std::move(body));
}

}  // namespace kvcs::ai
