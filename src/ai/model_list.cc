// Finds the models that a key can call, by the rules that a request goes by, and writes them as
// OpenAI's and Anthropic's lists have them.
#include "ai/model_list.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <set>

#include "base/bytes.h"
#include "base/clock.h"
#include "identity/records.h"

namespace kvcs::ai {

struct ModelList::Caller {
  const Principal& who;
  std::shared_ptr<const User> user;
  std::shared_ptr<const Organization> organization;

  // Each of the three lists may name the model in another way.
  bool allows_any(const std::array<std::string_view, 3>& names) const {
    const auto names_one = [&](const std::vector<std::string>& list) {
      return std::any_of(names.begin(), names.end(),
                         [&](std::string_view name) { return model_allowed(list, name); });
    };
    return names_one(who.key_limits.allowed_models) && names_one(user->allowed_models) &&
           names_one(organization->allowed_models);
  }
  bool takes_unpriced() const {
    return organization->unknown_input_pico_usd && organization->unknown_output_pico_usd;
  }
};

ModelList::ModelList(const Directory& directory, const Providers& providers, const Pricing& pricing,
                     PriceOverrides& overrides)
    : directory_(directory), providers_(providers), pricing_(pricing), overrides_(overrides) {}

Result<ModelList::Caller> ModelList::caller_of(const Principal& who) const {
  overrides_.refresh_if_changed();
  return Caller{who, KVCS_TRY(directory_.user(who.user_id)),
                KVCS_TRY(directory_.organization(who.organization_id))};
}

Result<bool> ModelList::may_call(const Caller& caller, std::string_view id,
                                 const ModelTarget& target,
                                 std::shared_ptr<const Price>& price) const {
  const Provider& provider = *target.provider;
  const std::string full_name = provider.name + "/" + target.model;
  if (!caller.allows_any({id, target.model, full_name})) return false;
  if (provider.needs_api_key()) {
    const auto key = providers_.credential(caller.organization->id, provider);
    // A key that may not go to where its provider is now serves nothing until it is sent again.
    if (key.status().reason() == kSecretOriginChanged) return false;
    if (KVCS_TRY(Result<Secret>(key)).empty()) return false;
  }
  Result<PricedModel> priced = pricing_.find(caller.organization->id, provider.name, target.model);
  if (!priced.ok()) return caller.takes_unpriced();
  price = std::move(priced->price);
  return true;
}

std::vector<std::string> ModelList::names_at(const Provider& provider, const Caller& caller) const {
  std::vector<std::string> names = provider.models;
  if (names.empty()) {
    for (const auto& price : pricing_.list()) {
      if (price->provider == provider.name) names.push_back(price->model);
    }
  }
  // What has a price of the operator's is served where a request of its name goes.
  for (const std::string& name : pricing_.overridden_names(caller.organization->id)) {
    const auto targets =
        providers_.resolve(name, ApiKind::kChatCompletions, caller.organization->id);
    if (!targets.ok() || targets->front().provider->name != provider.name) continue;
    names.push_back(targets->front().model);
  }
  return names;
}

Result<std::vector<ServedModel>> ModelList::list(const Principal& who) const {
  const Caller caller = KVCS_TRY(caller_of(who));
  std::vector<ServedModel> listed;
  std::set<std::string> seen;
  for (const auto& [alias, targets] : providers_.aliases()) {
    Result<ServedModel> model = find(who, alias);
    if (model.ok() && seen.insert(alias).second) listed.push_back(std::move(*model));
  }
  for (const auto& provider : KVCS_TRY(providers_.list())) {
    for (const std::string& name : names_at(*provider, caller)) {
      ServedModel model{provider->name + "/" + name, provider->name, nullptr};
      if (!seen.insert(model.id).second) continue;
      if (!KVCS_TRY(may_call(caller, model.id, {provider, name}, model.price))) continue;
      // What the price table says has ended is offered where the provider's record names it.
      const auto& named = provider->models;
      const bool is_named = std::find(named.begin(), named.end(), name) != named.end();
      const bool has_ended = model.price != nullptr && pricing_.has_ended(*model.price);
      if (is_named || !has_ended) listed.push_back(std::move(model));
    }
  }
  return listed;
}

Result<ServedModel> ModelList::find(const Principal& who, std::string_view id) const {
  const Caller caller = KVCS_TRY(caller_of(who));
  // Every kind of provider speaks chat completions, so this resolves whatever another API would.
  auto targets = providers_.resolve(id, ApiKind::kChatCompletions, caller.organization->id);
  if (targets.ok()) {
    const bool is_alias = std::any_of(providers_.aliases().begin(), providers_.aliases().end(),
                                      [&](const auto& alias) { return alias.first == id; });
    for (const ModelTarget& target : *targets) {
      ServedModel model{std::string(id), is_alias ? "alias" : target.provider->name, nullptr};
      if (KVCS_TRY(may_call(caller, id, target, model.price))) return model;
    }
  } else if (targets.code() != Code::kNotFound) {
    return std::move(targets).status();
  }
  return not_found("The model '" + printable(id, kShownValue) +
                   "' is not served here to this key; GET /v1/models lists those that are.")
      .with_reason("model_not_found");
}

namespace {

// The members of a price row that are prices.
Json prices_json(const Price& price) {
  Json all = price_to_json(price);
  for (const char* fact :
       {"litellm_provider", "mode", "max_input_tokens", "max_output_tokens", "max_tokens_per_image",
        "supports_reasoning", "source", "date", "deprecation_date"}) {
    all.erase(fact);
  }
  return all;
}

// What the row states about the model; what it does not state is not known, and left out.
Json capabilities_json(const Price& price) {
  Json can = Json::object();
  const auto add = [&](const char* name, bool is_known) {
    if (is_known) can[name] = true;
  };
  add(price.mode == "embedding" ? "embeddings" : "chat", price.mode != "responses");
  add("responses", price.mode == "responses");
  add("reasoning", price.supports_reasoning);
  add("prompt_caching", price.cache_read_pico.has_value());
  add("image_input", price.image_tokens_max > 0 || price.input_image_pico);
  add("image_output", price.output_image_pico.has_value());
  add("audio_input", price.input_audio_pico.has_value());
  add("audio_output", price.output_audio_pico.has_value());
  add("web_search", price.web_search_pico[kSearchMedium].has_value());
  add("file_search", price.file_search_pico.has_value());
  add("code_interpreter", price.code_session_pico.has_value());
  return can;
}

// The day of the price row, in ms: when its provider brought a model out is not known here.
int64_t known_since_ms(const ServedModel& model) {
  if (model.price == nullptr || model.price->date.empty()) return 0;
  return parse_iso8601_ms(model.price->date).value_or(0);
}

void add_facts(const ServedModel& model, const char* input_name, const char* output_name,
               Json& out) {
  if (model.price == nullptr) return;
  const Price& price = *model.price;
  if (price.max_input_tokens > 0) out[input_name] = price.max_input_tokens;
  if (price.max_output_tokens > 0) out[output_name] = price.max_output_tokens;
  if (!price.deprecation_date.empty()) out["deprecation_date"] = price.deprecation_date;
  out["pricing"] = prices_json(price);
  out["capabilities"] = capabilities_json(price);
}

}  // namespace

Json openai_model(const ServedModel& model) {
  Json out = {{"id", model.id},
              {"object", "model"},
              {"created", known_since_ms(model) / 1000},
              {"owned_by", model.owner}};
  add_facts(model, "context_window", "max_output_tokens", out);
  return out;
}

Json anthropic_model(const ServedModel& model) {
  Json out = {{"type", "model"},
              {"id", model.id},
              {"display_name", model.id},
              {"created_at", format_iso8601_s(known_since_ms(model))}};
  add_facts(model, "max_input_tokens", "max_tokens", out);
  return out;
}

}  // namespace kvcs::ai
