// Reads ai.providers and ai.aliases, which App hands over as YAML text. Keys stand in variables or
// files that an entry names, never in the configuration itself. Called once, before any request.
#include "ai/configured_providers.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/private_file.h"
#include "base/yaml.h"

namespace kvcs::ai {
namespace {

constexpr size_t kKeyFileMaxBytes = 16u << 10;

// A scalar of YAML is a text; the reader of provider records wants numbers and flags where they
// stand, and says what is wrong with anything that is left as it is.
Json typed(Json provider) {
  for (const char* name : {"timeout_ms", "stream_options", "cancel_stops_billing"}) {
    const Result<Json> value = parse_json(text_member(provider, name));
    if (value.ok() && !value->is_null()) provider[name] = *value;
  }
  return provider;
}

// Takes the member out of the entry: "" when it is not there. Invalid: it is a list or a map.
Result<std::string> take_text(Json& provider, const char* name) {
  const auto member = provider.find(name);
  if (member == provider.end()) return std::string();
  if (!member->is_string()) return invalid(std::string(name) + ": must be a single text.");
  std::string text = member->get<std::string>();
  provider.erase(member);
  return text;
}

// Takes api_key_env or api_key_file out of the entry and reads the key that it names.
Result<Secret> read_api_key(Json& provider) {
  if (!provider.is_object()) return Secret();
  if (provider.contains("api_key")) {
    return invalid("api_key: is secret; name a variable (api_key_env) or a file (api_key_file).");
  }
  const std::string variable = KVCS_TRY(take_text(provider, "api_key_env"));
  const std::string file = KVCS_TRY(take_text(provider, "api_key_file"));
  if (!variable.empty()) {
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr) return invalid("api_key_env: " + variable + " is not set.");
    return Secret(value);
  }
  if (file.empty()) return Secret();
  return Secret(std::string(trim(KVCS_TRY(read_private_file(file, kKeyFileMaxBytes)).reveal())));
}

Status add_provider(Providers& providers, const std::string& name, Json entry) {
  const Secret api_key = KVCS_TRY(read_api_key(entry));
  std::optional<Secret> unused;
  Provider provider = KVCS_TRY(parse_provider(name, typed(std::move(entry)), unused));
  providers.add_configured(std::move(provider), api_key);
  return ok();
}

// With nothing configured, the keys that every SDK reads.
Status add_environment_providers(Providers& providers) {
  const std::pair<const char*, const char*> known[] = {{"openai", "OPENAI_API_KEY"},
                                                       {"anthropic", "ANTHROPIC_API_KEY"}};
  for (const auto& [name, variable] : known) {
    const char* key = std::getenv(variable);
    if (key == nullptr || *key == '\0') continue;
    KVCS_TRY(add_provider(providers, name, Json{{"kind", name}, {"api_key_env", variable}}));
  }
  return ok();
}

Status add_providers(const AiConfig& config, Providers& providers) {
  if (config.providers.empty()) return add_environment_providers(providers);
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(config.providers, "ai.providers"));
  if (!document.root().is_object()) return invalid("ai.providers: must be a map.");
  for (const auto& [name, entry] : document.root().items()) {
    Status added = add_provider(providers, name, entry);
    if (!added.ok()) return std::move(added).with_context("ai.providers." + name);
  }
  return ok();
}

Status add_aliases(const AiConfig& config, Providers& providers) {
  if (config.aliases.empty()) return ok();
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(config.aliases, "ai.aliases"));
  if (!document.root().is_object()) return invalid("ai.aliases: must be a map.");
  for (const auto& [name, entry] : document.root().items()) {
    std::vector<std::string> targets;
    if (entry.is_string()) targets.push_back(entry.get<std::string>());
    if (entry.is_array()) {
      for (const Json& target : entry) {
        if (target.is_string()) targets.push_back(target.get<std::string>());
      }
    }
    if (targets.empty() || targets.size() > 16) {
      return invalid("ai.aliases." + name + ": must list 1 to 16 models.");
    }
    providers.add_alias(name, std::move(targets));
  }
  return ok();
}

}  // namespace

Status add_configured_providers(const AiConfig& config, Providers& providers) {
  KVCS_TRY(add_providers(config, providers));
  return add_aliases(config, providers);
}

}  // namespace kvcs::ai
