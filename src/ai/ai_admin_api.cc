#include "ai/ai_admin_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "identity/admin_common.h"
#include "identity/records.h"
#include "kv/keyspace.h"

namespace kvcs::ai {
namespace {

using admin_api::read_body;
using admin_api::reply;
using admin_api::who;

std::string model_param(const http::Request& request) {
  std::string model;
  for (const auto& [name, value] : request.params) {
    if (name == "provider") model = value + "/";
    if (name == "model") model += value;
  }
  return model;
}

Json history_json(const std::vector<BudgetView>& months) {
  Json list = Json::array();
  for (const BudgetView& month : months) {
    list.push_back({{"month", month.month},
                    {"usage_usd", usd_json(month.used_nano_usd)},
                    {"request_count", month.request_count},
                    {"error_count", month.error_count}});
  }
  return list;
}

}  // namespace

AiAdminApi::AiAdminApi(OrganizationService& organizations, UserService& users, Budgets& budgets,
                       Pricing& pricing, PriceOverrides& overrides, Providers& providers,
                       AuditedKv& audited, Ledger& ledger, const Clock& clock)
    : organizations_(organizations),
      users_(users),
      budgets_(budgets),
      pricing_(pricing),
      overrides_(overrides),
      providers_(providers),
      audited_(audited),
      ledger_(ledger),
      clock_(clock) {}

Result<http::Response> AiAdminApi::user_usage(http::Request& request) {
  const User user = KVCS_TRY(users_.find(request.param("user_id")));
  const BudgetView view = KVCS_TRY(budgets_.view("user", user.id, ""));
  return reply(200, Json{{"user_id", user.id},
                         {"current_usage_usd", usd_json(view.used_nano_usd)},
                         {"request_count", view.request_count},
                         {"monthly_limit_usd", usd_json(user.monthly_limit_nano_usd)},
                         {"current_month", view.month},
                         {"reserved_usd", usd_json(view.reserved_nano_usd)},
                         {"error_count", view.error_count}});
}

Result<http::Response> AiAdminApi::user_history(http::Request& request) {
  const User user = KVCS_TRY(users_.find(request.param("user_id")));
  // The resets: what the sums of the ledger have beyond the months.
  Json adjustments = Json::array();
  const auto collect = [&](const KvItem& item) -> Status {
    adjustments.push_back(KVCS_TRY(parse_json_exact(item.entry.value)));
    return ok();
  };
  KVCS_TRY(
      kv_for_each(audited_.store(), KvFamily::kQuota, keyspace::adjustments_of(user.id), collect));
  return reply(200, Json{{"user_id", user.id},
                         {"months", history_json(KVCS_TRY(budgets_.history("user", user.id)))},
                         {"adjustments", std::move(adjustments)}});
}

Result<http::Response> AiAdminApi::organization_usage(http::Request& request) {
  const Organization organization = KVCS_TRY(organizations_.find(request.param("org_id")));
  const BudgetView view = KVCS_TRY(budgets_.view("org", organization.id, ""));
  return reply(200, Json{{"org_id", organization.id},
                         {"current_usage_usd", usd_json(view.used_nano_usd)},
                         {"monthly_budget_usd", usd_json(organization.monthly_budget_nano_usd)},
                         {"current_month", view.month},
                         {"reserved_usd", usd_json(view.reserved_nano_usd)},
                         {"request_count", view.request_count},
                         {"error_count", view.error_count}});
}

Result<http::Response> AiAdminApi::organization_history(http::Request& request) {
  const Organization organization = KVCS_TRY(organizations_.find(request.param("org_id")));
  const auto months = KVCS_TRY(budgets_.history("org", organization.id));
  return reply(200, Json{{"org_id", organization.id}, {"months", history_json(months)}});
}

Result<http::Response> AiAdminApi::reset_quota(http::Request& request) {
  const Json body = KVCS_TRY(read_body(request));
  JsonReader reader(body);
  const std::string reason = reader.string("reset_reason", {.max_bytes = 500});
  const std::string scope =
      reader.optional_one_of("scope", {"user", "user_and_org"}).value_or("user");
  KVCS_TRY(reader.finish());
  const User user = KVCS_TRY(users_.find(request.param("user_id")));
  const int64_t previous =
      KVCS_TRY(budgets_.reset_user(user.id, user.organization_id, scope == "user_and_org"));
  const int64_t now_ms = clock_.unix_ms();
  KvBatch note;
  note.put(KvFamily::kQuota, keyspace::adjustment(user.id, now_ms),
           dump_json({{"reset_at", format_iso8601_ms(now_ms)},
                      {"previous_usage_usd", usd_json(previous)},
                      {"scope", scope},
                      {"reset_reason", reason},
                      {"actor", who(request).actor}}));
  KVCS_TRY(audited_.write(note, who(request)));
  ledger_.notify();
  return reply(200, Json{{"user_id", user.id},
                         {"previous_usage", usd_json(previous)},
                         {"new_usage", json_decimal("0.00")},
                         {"reset_at", format_iso8601_ms(now_ms)},
                         {"reset_reason", reason},
                         {"scope", scope}});
}

Result<http::Response> AiAdminApi::put_price(http::Request& request) {
  const Json body = KVCS_TRY(read_body(request));
  const std::string model = model_param(request);
  const std::string organization_id = request.query_value("org_id").value_or("");
  if (!organization_id.empty()) KVCS_TRY(organizations_.find(organization_id));
  const Price price = KVCS_TRY(parse_price(model, body, UnknownMembers::kRefuse));
  KVCS_TRY(overrides_.put(organization_id, model, price, who(request)));
  overrides_.refresh_if_changed();
  Json answer = price_to_json(price);
  answer["model"] = model;
  if (!organization_id.empty()) answer["org_id"] = organization_id;
  answer["price_version"] = pricing_.version();
  return reply(200, answer);
}

Result<http::Response> AiAdminApi::get_price(http::Request& request) {
  const std::string model = model_param(request);
  Result<PricedModel> found = pricing_.find(request.query_value("org_id").value_or(""), "", model);
  if (!found.ok()) {
    return not_found("There is no price for '" + printable(model, kShownValue) + "'.")
        .with_reason("model_not_priced");
  }
  Json answer = price_to_json(*found->price);
  answer["model"] = model;
  answer["price_version"] = found->version;
  return reply(200, answer);
}

Result<http::Response> AiAdminApi::remove_price(http::Request& request) {
  const std::string organization_id = request.query_value("org_id").value_or("");
  KVCS_TRY(overrides_.remove(organization_id, model_param(request), who(request)));
  overrides_.refresh_if_changed();
  return http::empty_response(204);
}

Result<http::Response> AiAdminApi::list_prices(http::Request&) {
  Json prices = Json::array(), set_here = Json::array();
  for (const auto& price : pricing_.list()) {
    Json one = price_to_json(*price);
    one["model"] = price->provider + "/" + price->model;
    prices.push_back(std::move(one));
  }
  for (const Pricing::Override& entry : KVCS_TRY(overrides_.list())) {
    Json one = price_to_json(entry.price);
    one["model"] = entry.model;
    if (!entry.organization_id.empty()) one["org_id"] = entry.organization_id;
    set_here.push_back(std::move(one));
  }
  return reply(
      200,
      Json{{"price_version", pricing_.version()}, {"overrides", set_here}, {"prices", prices}});
}

Result<http::Response> AiAdminApi::put_provider(http::Request& request) {
  const Json body = KVCS_TRY(read_body(request));
  if (body.contains("sealed_api_key")) return invalid("sealed_api_key: unknown member.");
  std::optional<Secret> api_key;
  Provider provider = KVCS_TRY(parse_provider(request.param("name"), body, api_key));
  const std::string name = provider.name;
  KVCS_TRY(providers_.put(std::move(provider), std::move(api_key), who(request)));
  const auto stored = KVCS_TRY(providers_.find(name));
  return reply(200, provider_to_json(*stored));
}

Result<http::Response> AiAdminApi::get_provider(http::Request& request) {
  const auto provider = KVCS_TRY(providers_.find(request.param("name")));
  return reply(200, provider_to_json(*provider));
}

Result<http::Response> AiAdminApi::remove_provider(http::Request& request) {
  KVCS_TRY(providers_.remove(request.param("name"), who(request)));
  return http::empty_response(204);
}

Result<http::Response> AiAdminApi::list_providers(http::Request&) {
  Json list = Json::array();
  for (const auto& provider : KVCS_TRY(providers_.list())) {
    list.push_back(provider_to_json(*provider));
  }
  return reply(200, Json{{"providers", list}});
}

Result<http::Response> AiAdminApi::put_credential(http::Request& request) {
  const Json body = KVCS_TRY(read_body(request));
  JsonReader reader(body);
  const Secret api_key(reader.string("api_key", {.max_bytes = 4096}));
  KVCS_TRY(reader.finish());
  const Organization organization = KVCS_TRY(organizations_.find(request.param("org_id")));
  KVCS_TRY(
      providers_.put_credential(organization.id, request.param("name"), api_key, who(request)));
  return reply(200, Json{{"org_id", organization.id},
                         {"provider", request.param("name")},
                         {"has_api_key", true}});
}

Result<http::Response> AiAdminApi::remove_credential(http::Request& request) {
  KVCS_TRY(
      providers_.remove_credential(request.param("org_id"), request.param("name"), who(request)));
  return http::empty_response(204);
}

}  // namespace kvcs::ai
