// GET /admin/usage: sums of the ledger as JSON or CSV, and single requests.
#include <nlohmann/json.hpp>

#include <array>

#include "ai/ai_admin_api.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"
#include "identity/admin_common.h"
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
  return admin_api::reply(200, Json{{"group_by", ask.group_by}, {"usage", list}});
}

Result<http::Response> AiAdminApi::usage_rows(http::Request& request) {
  const admin_api::PageAsk page = KVCS_TRY(admin_api::read_page(request));
  LedgerQuery query;
  query.table = "usage";
  query.cursor = page.cursor;
  query.limit = static_cast<int>(page.limit);
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
  body += "],\"cursor\":" + dump_json(admin_api::cursor_json(rows.cursor)) + "}";
  return http::json_response(200, std::move(body));
}

}  // namespace kvcs::ai
