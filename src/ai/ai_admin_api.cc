// Handlers of the admin API for AI money: what users and organizations have spent, prices, model
// providers and their credentials. GET /admin/usage itself is in usage_api.cc.
#include "ai/ai_admin_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "identity/records.h"
#include "kv/keyspace.h"

namespace kvcs::ai {
namespace {

using admin_api::who;
using http::read_body;
using http::reply;

// The routes are {model} and {provider}/{model}, for a name with a slash is two segments of a path.
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

Json projected_json(int64_t spent_nano_usd, const Clock& clock) {
  const std::optional<int64_t> projected = project_month(spent_nano_usd, clock.unix_ms());
  return projected ? usd_json(*projected) : Json();
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

namespace {

constexpr http::ApiType kTypes[] = {
    {"PriceAsk", R"(
input_cost_per_token!: price = 0.000001
output_cost_per_token!: price = 0.000002
cache_read_input_token_cost: price
cache_creation_input_token_cost: price
cache_creation_input_token_cost_above_1hr: price
output_cost_per_reasoning_token: price
input_cost_per_audio_token: price
output_cost_per_audio_token: price
input_cost_per_image_token: price
output_cost_per_image_token: price
input_cost_per_token_flex: price
input_cost_per_token_priority: price
output_cost_per_token_flex: price
output_cost_per_token_priority: price
cache_read_input_token_cost_flex: price
cache_read_input_token_cost_priority: price
cache_creation_input_token_cost_flex: price
cache_creation_input_token_cost_priority: price
web_search_cost_per_call: price # USD per call.
web_search_preview_cost_per_call: price
file_search_cost_per_call: price
code_interpreter_cost_per_session: price
image_generation_cost_per_call: price
input_cost_per_request: price
search_context_cost_per_query: object # Searches by size, USD per call.
provider_specific_entry: object # Factors on all prices of tokens: fast, us, eu.
max_input_tokens: any # Whole numbers.
max_output_tokens: any
max_tokens_per_image: any # Of a picture of any size.
searches_per_request: any
supports_reasoning: boolean
litellm_provider: any # Text, as in LiteLLM's table.
mode: any
source: any # Where the price was read; default: "set by an admin".
date: any # When, as 2026-11-29; default: today.
deprecation_date: any # The day from which /v1/models leaves it out; default: none.
...)"},
    {"Price", R"(
# Prices of longer inputs stand beside what is listed: ..._above_200k_tokens, as numbers.
input_cost_per_token!: number
output_cost_per_token!: number
cache_read_input_token_cost: number
cache_creation_input_token_cost: number
cache_creation_input_token_cost_above_1hr: number
output_cost_per_reasoning_token: number
input_cost_per_audio_token: number
output_cost_per_audio_token: number
input_cost_per_image_token: number
output_cost_per_image_token: number
input_cost_per_token_flex: number
input_cost_per_token_priority: number
output_cost_per_token_flex: number
output_cost_per_token_priority: number
cache_read_input_token_cost_flex: number
cache_read_input_token_cost_priority: number
cache_creation_input_token_cost_flex: number
cache_creation_input_token_cost_priority: number
web_search_cost_per_call: number # USD per call.
web_search_preview_cost_per_call: number
file_search_cost_per_call: number
code_interpreter_cost_per_session: number
image_generation_cost_per_call: number
input_cost_per_request: number
search_context_cost_per_query: {number} # Searches by size, USD per call.
provider_specific_entry: {number} # Factors on all prices of tokens: fast, us, eu.
max_input_tokens: integer
max_output_tokens: integer
max_tokens_per_image: integer # Of a picture of any size.
searches_per_request: integer # Of models that always search.
supports_reasoning: boolean
litellm_provider: string
mode: string # chat, responses, embedding.
source: string # Where the price was read.
date: string # When, as 2026-11-29.
deprecation_date: string # The day from which /v1/models leaves it out.
has_ended: boolean # Past that day: left out of /v1/models, and still served and charged.
from: string # The day on which this price came into force.
later: object # The price that follows, and the day `from`.
...
model!: string
org_id: id
price_version: string)"},
    {"PriceList", R"(
price_version!: string
overrides!: [Price]
prices!: [Price])"},
    {"AiProviderAsk", R"(
kind!: openai|anthropic|openai_compatible = "openai"
base_url: string(1..500) # Default: the vendor's.
auth_header: string(1..64) # Default: authorization, or the vendor's.
timeout_ms: integer(100..3600000) # Default: 600000.
stream_options: boolean # Default: true. False: streams are not asked for their usage.
cancel_stops_billing: boolean # Default: false. True: the exchange ends when its client leaves.
api_key: string(1..4096) # Write-only; kept sealed. Needed again when base_url names another host.
headers: {string} # At most 32, sent with each request; no credentials.
models: [string] # At most 1000 names; empty: what the price table lists.
name: any # What GET shows may be sent back.
has_api_key: any)"},
    {"AiProvider", R"(
name!: string
kind!: openai|anthropic|openai_compatible
base_url!: string
auth_header!: string?
headers!: {string}
timeout_ms!: integer
stream_options!: boolean
cancel_stops_billing!: boolean
models!: [string]
has_api_key!: boolean)"},
    {"AiProviderList", R"(
providers!: [AiProvider])"},
    {"CredentialAsk", R"(
api_key!: string(1..4096) = "sk-1")"},
    {"Credential", R"(
org_id!: id
provider!: string
has_api_key!: boolean)"},
};

}  // namespace

std::span<const http::ApiType> AiAdminApi::types() {
  return kTypes;
}

void AiAdminApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin");
  rows.add(kPost, "/users/{user_id}/reset-quota", access.admin, kib(16), &AiAdminApi::reset_quota,
           "Set a user's use of this month to zero; the reason is kept.",
           {.id = "resetQuota", .body = "ResetAsk", .answer = "QuotaReset"});
  rows.add(kGet, "/ai/prices", access.billing, kNoBody, &AiAdminApi::list_prices,
           "Prices in force.", {.id = "listPrices", .answer = "PriceList"});
  // A model's name may hold its provider: with %2F in one segment, or as two.
  using Place = std::pair<std::string, const char*>;
  for (const auto& [model, id_end] : {Place{"/admin/ai/prices/{model}", ""},
                                      Place{"/admin/ai/prices/{provider}/{model}", "OfProvider"}}) {
    http::Rows of_model(table, *this, model, id_end);
    of_model.add(kGet, "", access.billing, kNoBody, &AiAdminApi::get_price,
                 "The price of a model; ?org_id=.",
                 {.id = "getPrice", .query = "org_id", .answer = "Price"});
    of_model.add(kPut, "", access.admin, kib(16), &AiAdminApi::put_price,
                 "Set a price, in LiteLLM's members; ?org_id= for one organization.",
                 {.id = "putPrice", .query = "org_id", .body = "PriceAsk", .answer = "Price"});
    of_model.add(kDelete, "", access.admin, kNoBody, &AiAdminApi::remove_price,
                 "Back to the shipped price.",
                 {.id = "deletePrice", .query = "org_id", .status = 204});
  }
  const std::string provider = "/ai/providers/{name}";
  rows.add(kGet, "/ai/providers", access.billing, kNoBody, &AiAdminApi::list_providers,
           "AI providers.", {.id = "listAiProviders", .answer = "AiProviderList"});
  rows.add(kGet, provider, access.billing, kNoBody, &AiAdminApi::get_provider,
           "One provider, without its key.", {.id = "getAiProvider", .answer = "AiProvider"});
  rows.add(kPut, provider, access.admin, kib(64), &AiAdminApi::put_provider,
           "Create or replace a provider; api_key is write-only, and ?rebind=true (owner) lets "
           "stored keys go to a changed base_url.",
           {.id = "putAiProvider",
            .query = "rebind:boolean",
            .body = "AiProviderAsk",
            .answer = "AiProvider",
            .also = "409"});
  rows.add(kDelete, provider, access.admin, kNoBody, &AiAdminApi::remove_provider,
           "Delete a provider.", {.id = "deleteAiProvider", .status = 204, .also = "409"});
  const http::Access own = with_owner(access.own_admin, http::OwnerFrom::kPathOrganization);
  const std::string credential = "/organizations/{org_id}/ai-credentials/{name}";
  rows.add(kPut, credential, own, kib(16), &AiAdminApi::put_credential,
           "An organization's own key at a provider; write-only.",
           {.id = "putAiCredential", .body = "CredentialAsk", .answer = "Credential"});
  rows.add(kDelete, credential, own, kNoBody, &AiAdminApi::remove_credential, "Forget that key.",
           {.id = "deleteAiCredential", .status = 204});
}

Result<http::Response> AiAdminApi::user_usage(http::Request& request) {
  const User user = KVCS_TRY(users_.find(request.param("user_id")));
  const BudgetView view = KVCS_TRY(budgets_.view("user", user.id, ""));
  return reply(200, Json{{"user_id", user.id},
                         {"current_usage_usd", usd_json(view.used_nano_usd)},
                         {"request_count", view.request_count},
                         {"monthly_limit_usd", usd_json(user.monthly_limit_nano_usd)},
                         {"current_month", view.month},
                         {"projected_usd", projected_json(view.used_nano_usd, clock_)},
                         {"reserved_usd", usd_json(view.reserved_nano_usd)},
                         {"error_count", view.error_count}});
}

Result<http::Response> AiAdminApi::user_history(http::Request& request) {
  const User user = KVCS_TRY(users_.find(request.param("user_id")));
  // The resets of this user. Each is a row with a negative cost in the ledger, too; its reason is
  // kept here.
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
                         {"projected_usd", projected_json(view.used_nano_usd, clock_)},
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
  // First the counter, then the note of it: a process that dies between the two has reset the use,
  // and the row in the ledger says so.
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
  Price price = KVCS_TRY(parse_price(model, body, UnknownMembers::kRefuse));
  if (price.source.empty()) price.source = "set by an admin";
  if (price.date.empty()) price.date = format_day(clock_.unix_ms());
  KVCS_TRY(overrides_.put(organization_id, model, price, who(request)));
  // The answer names the version that is in force with the new price.
  overrides_.refresh_if_changed();
  Json answer = price_to_json(price);
  answer["model"] = model;
  if (!organization_id.empty()) answer["org_id"] = organization_id;
  answer["price_version"] = pricing_.version();
  return reply(200, answer);
}

namespace {

// The row as the API shows it, with what the calendar does to it.
Json shown_price(const Pricing& pricing, const Price& price, std::string model) {
  Json out = price_to_json(price);
  out["model"] = std::move(model);
  if (pricing.has_ended(price)) out["has_ended"] = true;
  if (!price.from.empty()) out["from"] = price.from;
  if (price.later != nullptr) {
    out["later"] = price_to_json(*price.later);
    out["later"]["from"] = price.later->from;
  }
  return out;
}

}  // namespace

Result<http::Response> AiAdminApi::get_price(http::Request& request) {
  const std::string model = model_param(request);
  Result<PricedModel> found = pricing_.find(request.query_value("org_id").value_or(""), "", model);
  if (!found.ok()) {
    return not_found("There is no price for '" + printable(model, kShownValue) + "'.")
        .with_reason("model_not_priced");
  }
  Json answer = shown_price(pricing_, *found->price, model);
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
    prices.push_back(shown_price(pricing_, *price, price->provider + "/" + price->model));
  }
  for (const Pricing::Override& entry : KVCS_TRY(overrides_.list())) {
    Json one = shown_price(pricing_, entry.price, entry.model);
    if (!entry.organization_id.empty()) one["org_id"] = entry.organization_id;
    set_here.push_back(std::move(one));
  }
  return reply(
      200,
      Json{{"price_version", pricing_.version()}, {"overrides", set_here}, {"prices", prices}});
}

Result<http::Response> AiAdminApi::put_provider(http::Request& request) {
  const Json body = KVCS_TRY(read_body(request));
  // A member of stored records alone: nobody may bring a sealed value from elsewhere.
  for (const char* name : {"sealed_api_key", "api_key_origins"}) {
    if (body.contains(name)) return invalid(std::string(name) + ": unknown member.");
  }
  std::optional<Secret> api_key;
  Provider provider = KVCS_TRY(parse_provider(request.param("name"), body, api_key));
  const std::string name = provider.name;
  const bool rebind = KVCS_TRY(admin_api::wants_rebind(request));
  AuditContext author = who(request);
  if (rebind) author.source = admin_api::kRebindSource;
  KVCS_TRY(providers_.put(std::move(provider), std::move(api_key), author, rebind));
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
