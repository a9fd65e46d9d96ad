// GET /v1/models and GET /v1/usage: what the holder of a user key may ask for and has spent.
#include "ai/ai_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "ledger/usage_report.h"

namespace kvcs::ai {
namespace {

struct ListedModel {
  std::string id, owner;
};

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

// The list as Anthropic's API has it. Creation times are not known here, so all are the epoch.
http::Response anthropic_list(const std::vector<ListedModel>& models) {
  Json data = Json::array();
  for (const ListedModel& model : models) {
    data.push_back({{"type", "model"},
                    {"id", model.id},
                    {"display_name", model.id},
                    {"created_at", "1970-01-01T00:00:00Z"}});
  }
  const Json first = models.empty() ? Json(nullptr) : Json(models.front().id);
  const Json last = models.empty() ? Json(nullptr) : Json(models.back().id);
  return http::json_response(
      200,
      dump_json({{"data", data}, {"has_more", false}, {"first_id", first}, {"last_id", last}}));
}

}  // namespace

AiApi::AiApi(const Directory& directory, const Providers& providers, const Pricing& pricing,
             const Budgets& budgets, Ledger& ledger, const Clock& clock)
    : directory_(directory),
      providers_(providers),
      pricing_(pricing),
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
created!: integer
owned_by!: string)"},
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
  const http::Access access{user_key, "user key", http::Dialect::kOpenAi};
  http::Rows rows(table, *this, "/v1");
  rows.add(kGet, "/models", access, kNoBody, &AiApi::models, "Models that this key may use.",
           {.answer = "ModelList"});
  rows.add(kGet, "/usage", access, kNoBody, &AiApi::usage,
           "This month's use and limits of the key and its user.", {.answer = "OwnUsage"});
  rows.add(kGet, "/usage/{request_id}", access, kNoBody, &AiApi::request_usage,
           "Tokens and cost of one request.", {.answer = "RequestUsage"});
}

Result<http::Response> AiApi::models(http::Request& request) {
  const Principal& who = request.principal;
  const auto user = KVCS_TRY(directory_.user(who.user_id));
  const auto organization = KVCS_TRY(directory_.organization(who.organization_id));
  std::vector<ListedModel> listed;
  std::set<std::string> seen;
  const auto add = [&](const std::string& provider, const std::string& model) {
    const std::string id = provider.empty() ? model : provider + "/" + model;
    const auto allowed = [&](const std::vector<std::string>& list) {
      return model_allowed(list, id) || model_allowed(list, model);
    };
    if (!allowed(who.key_limits.allowed_models) || !allowed(user->allowed_models) ||
        !allowed(organization->allowed_models) || !seen.insert(id).second) {
      return;
    }
    listed.push_back({id, provider.empty() ? "alias" : provider});
  };
  // Aliases, then for each provider the models that it lists, or all that have a price.
  for (const auto& [alias, targets] : providers_.aliases()) add("", alias);
  const auto priced = pricing_.list();
  for (const auto& provider : KVCS_TRY(providers_.list())) {
    for (const std::string& model : provider->models) add(provider->name, model);
    for (const auto& price : priced) {
      if (price->provider == provider->name && provider->models.empty()) {
        add(provider->name, price->model);
      }
    }
  }
  if (request.header("anthropic-version")) return anthropic_list(listed);
  Json data = Json::array();
  for (const ListedModel& model : listed) {
    data.push_back(
        {{"id", model.id}, {"object", "model"}, {"created", 0}, {"owned_by", model.owner}});
  }
  return http::json_response(200, dump_json({{"object", "list"}, {"data", data}}));
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
