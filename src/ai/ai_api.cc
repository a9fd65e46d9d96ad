// GET /v1/models and GET /v1/usage: what the holder of a user key may ask for and has spent.
#include "ai/ai_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/json.h"
#include "http/problem.h"
#include "identity/access.h"
#include "ledger/usage_report.h"

namespace kvcs::ai {
namespace {

Json budget_json(const BudgetView& view, int64_t limit_nano_usd) {
  const int64_t left = limit_nano_usd - view.used_nano_usd - view.reserved_nano_usd;
  return {
      {"usage_usd", usd_json(view.used_nano_usd)},
      {"reserved_usd", usd_json(view.reserved_nano_usd)},
      {"limit_usd", limit_nano_usd < 0 ? Json(nullptr) : usd_json(limit_nano_usd)},
      {"remaining_usd", limit_nano_usd < 0 ? Json(nullptr) : usd_json(std::max<int64_t>(0, left))},
      {"request_count", view.request_count},
      {"error_count", view.error_count}};
}

}  // namespace

AiApi::AiApi(const Directory& directory, const Providers& providers, const Pricing& pricing,
             PriceOverrides& overrides, const Budgets& budgets, Ledger& ledger, const Clock& clock)
    : directory_(directory),
      models_(directory, providers, pricing, overrides),
      budgets_(budgets),
      ledger_(ledger),
      clock_(clock) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"ModelList", R"(
object!: string
data!: [Model] # Anthropic's form for requests with an anthropic-version header.)"},
    {"Model", R"(
id!: string
object!: string
created!: integer # The day of the price row, in seconds; 0 when there is none.
owned_by!: string # The provider, or "alias".
context_window: integer
max_output_tokens: integer
pricing: object # USD per token and per call, by the names of the price table.
deprecation_date: string # The day from which its provider no longer serves it.
capabilities: {boolean} # What the price table says that the model can do, each true.)"},
    {"OwnUsage", R"(
user_id!: id
org_id!: id
current_month!: string
user!: BudgetState
key!: BudgetState)"},
    {"BudgetState", R"(
usage_usd!: number
reserved_usd!: number
limit_usd!: number?
remaining_usd!: number?
request_count!: integer
error_count!: integer)"},
};

}  // namespace

std::span<const http::ApiType> AiApi::types() {
  return kTypes;
}

void AiApi::add_routes(std::vector<http::Row>& table, const http::Guard& user_key) {
  using enum http::Method;
  using http::kNoBody;
  const http::Need need{.family = PrincipalKind::kUserKey,
                        .org_role = OrgRole::kMember,
                        .owner = http::OwnerFrom::kCaller};
  const http::Access access{user_key, access::words(need), http::Dialect::kOpenAi, need};
  http::Rows rows(table, *this, "/v1");
  rows.add(kGet, "/models", access, kNoBody, &AiApi::models, "Models that this key may use.",
           {.id = "listModels", .answer = "ModelList"});
  using Place = std::pair<std::string, const char*>;
  for (const auto& [model, id_end] :
       {Place{"/v1/models/{model}", ""}, Place{"/v1/models/{provider}/{model}", "OfProvider"},
        Place{"/v1/models/{provider}/{vendor}/{model}", "OfVendor"}}) {
    http::Rows of_model(table, *this, model, id_end);
    of_model.add(kGet, "", access, kNoBody, &AiApi::model, "One of them, also by its short name.",
                 {.id = "getModel", .answer = "Model"});
  }
  rows.add(kGet, "/usage", access, kNoBody, &AiApi::usage,
           "This month's use and limits of the key and its user.",
           {.id = "getMyAiUsage", .answer = "OwnUsage"});
  const http::Access own_request = with_owner(access, http::OwnerFrom::kObject);
  rows.add(kGet, "/usage/{request_id}", own_request, kNoBody, &AiApi::request_usage,
           "Tokens and cost of one request.",
           {.id = "getMyRequestUsage", .answer = "RequestUsage"});
}

namespace {

bool is_anthropic(const http::Request& request) {
  return request.header("anthropic-version").has_value();
}

// A model's name has no slash, one or two, and each part is a segment of the path.
std::string model_param(const http::Request& request) {
  std::string id;
  for (const auto& [name, value] : request.params) id += (id.empty() ? "" : "/") + value;
  return id;
}

}  // namespace

Result<http::Response> AiApi::models(http::Request& request) {
  const std::vector<ServedModel> listed = KVCS_TRY(models_.list(request.principal));
  Json data = Json::array();
  if (!is_anthropic(request)) {
    for (const ServedModel& model : listed) data.push_back(openai_model(model));
    return http::json_response(200, dump_json({{"object", "list"}, {"data", data}}));
  }
  for (const ServedModel& model : listed) data.push_back(anthropic_model(model));
  const Json first = listed.empty() ? Json(nullptr) : Json(listed.front().id);
  const Json last = listed.empty() ? Json(nullptr) : Json(listed.back().id);
  return http::json_response(
      200,
      dump_json({{"data", data}, {"has_more", false}, {"first_id", first}, {"last_id", last}}));
}

Result<http::Response> AiApi::model(http::Request& request) {
  const Result<ServedModel> found = models_.find(request.principal, model_param(request));
  if (is_anthropic(request)) {
    if (found.ok()) return http::json_response(200, dump_json(anthropic_model(*found)));
    return http::problem_response(found.status(), http::Dialect::kAnthropic, request.request_id);
  }
  if (!found.ok()) return found.status();
  return http::json_response(200, dump_json(openai_model(*found)));
}

Result<http::Response> AiApi::usage(http::Request& request) {
  const Principal& who = request.principal;
  const auto user = KVCS_TRY(directory_.user(who.user_id));
  const BudgetView of_user = KVCS_TRY(budgets_.view("user", who.user_id, ""));
  const BudgetView of_key = KVCS_TRY(budgets_.view("key", who.key_id, ""));
  return http::json_response(
      200, dump_json({{"user_id", who.user_id},
                      {"org_id", who.organization_id},
                      {"current_month", of_user.month},
                      {"user", budget_json(of_user, user->monthly_limit_nano_usd)},
                      {"key", budget_json(of_key, who.key_limits.monthly_nano_usd)}}));
}

Result<http::Response> AiApi::request_usage(http::Request& request) {
  // The row may still be on its way from the outbox.
  KVCS_TRY(ledger_.drain());
  return http::json_response(200, KVCS_TRY(find_request_usage(ledger_, request.param("request_id"),
                                                              request.principal.user_id)));
}

}  // namespace kvcs::ai
