// Model providers: their records, their sealed credentials, and the way from a model's name to the
// provider that serves it.
#include "ai/providers.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/id.h"
#include "base/secret_names.h"
#include "kv/keyspace.h"

namespace kvcs::ai {
namespace {

// The list of all is cached under what their keys begin with.
constexpr std::string_view kAllProviders = keyspace::kAiProviderPrefix;
constexpr size_t kProvidersMax = 200, kModelsMax = 1000, kHeadersMax = 32;

// "ft:gpt-4o-mini-2024-07-18:my-org::abc" → "gpt-4o-mini-2024-07-18"; "" of other names.
std::string_view base_of_fine_tuned(std::string_view model) {
  if (!model.starts_with("ft:")) return {};
  model.remove_prefix(3);
  return model.substr(0, model.find(':'));
}

// Whether a server of this kind has that API.
bool speaks(ProviderKind kind, ApiKind api) {
  // Anthropic offers chat completions too; nobody else offers Messages.
  if (api == ApiKind::kMessages) return kind == ProviderKind::kAnthropic;
  return kind != ProviderKind::kAnthropic || api == ApiKind::kChatCompletions;
}

bool is_header_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}
bool is_header_value(std::string_view value) {
  return value.size() <= 4096 && !has_control(value);
}

void read_headers(JsonReader& reader, Provider& provider) {
  const Json* headers = reader.object("headers");
  if (headers == nullptr) return;
  if (headers->size() > kHeadersMax) reader.fail("headers", "at most 32 are allowed.");
  for (const auto& [name, value] : headers->items()) {
    static constexpr std::string_view kReserved[] = {
        "host", "content-length", "transfer-encoding", "connection", "expect", "te", "upgrade"};
    const std::string lower = lower_ascii(name);
    if (!is_header_name(name) || !value.is_string() ||
        !is_header_value(value.get_ref<const std::string&>()) ||
        std::find(std::begin(kReserved), std::end(kReserved), lower) != std::end(kReserved)) {
      reader.fail("headers",
                  "'" + printable(name, kShownWord) + "' is not a header that may be set here.");
      return;
    }
    provider.headers.emplace_back(lower, value.get<std::string>());
  }
}

void read_models(JsonReader& reader, Provider& provider) {
  const Json* models = reader.array("models");
  if (models == nullptr) return;
  if (models->size() > kModelsMax) reader.fail("models", "at most 1000 are allowed.");
  for (const Json& model : *models) {
    if (!model.is_string() || model.get_ref<const std::string&>().empty() ||
        model.get_ref<const std::string&>().size() > 200) {
      reader.fail("models", "must be a list of model names of 1 to 200 bytes.");
      return;
    }
    provider.models.push_back(model.get<std::string>());
  }
}

Status check_base_url(std::string_view url) {
  const bool scheme = url.starts_with("https://") || url.starts_with("http://");
  const bool clean =
      url.find_first_of(" \t\r\n\"<>\\^`{|}?#@") == url.npos &&
      std::all_of(url.begin(), url.end(), [](char c) {
        return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
      });
  if (scheme && clean && url.find("://") + 3 < url.size()) return ok();
  return invalid("base_url: '" + printable(url, kShownValue) +
                 "' must be http:// or https:// with a host, without user, query or fragment.");
}

std::string default_base_url(ProviderKind kind) {
  if (kind == ProviderKind::kOpenAi) return "https://api.openai.com/v1";
  if (kind == ProviderKind::kAnthropic) return "https://api.anthropic.com/v1";
  return "";
}

constexpr size_t kRebindGroup = 200;  // Records that are sealed anew in one write.

// The way out of an origin that was changed, for whoever may take it.
std::string again(std::string_view provider) {
  return "Send it again, or let an owner confirm the move with PUT /admin/ai/providers/" +
         std::string(provider) + "?rebind=true.";
}

// Headers are shown to everybody who may read providers, so a credential may not stand among them:
// it has a member of its own, which is sealed.
Status check_no_credential(const Provider& provider) {
  for (const auto& [name, value] : provider.headers) {
    if (!is_secret_name(name)) continue;
    return invalid("headers: '" + name +
                   "' holds a credential; send it as api_key, and its header's name as "
                   "auth_header.");
  }
  return ok();
}

// The record as it is stored, with the sealed key, which no answer shows.
std::string record_json(const Provider& provider) {
  Json json = provider_to_json(provider);
  json.erase("has_api_key");
  for (const auto& [name, value] : provider.headers) json["headers"][name] = value;
  json["sealed_api_key"] = provider.sealed_api_key;
  json["api_key_origins"] = origins_json(provider.api_key_origins);
  return dump_json(json);
}

}  // namespace

std::string_view provider_kind_name(ProviderKind kind) {
  switch (kind) {
    case ProviderKind::kOpenAi:
      return "openai";
    case ProviderKind::kAnthropic:
      return "anthropic";
    case ProviderKind::kOpenAiCompatible:
      return "openai_compatible";
  }
  return "";
}

std::string Provider::url(std::string_view path) const {
  std::string url = base_url;
  while (url.ends_with('/')) url.pop_back();
  if (url.find('/', url.find("://") + 3) == url.npos) url += "/v1";
  return url.append(path);
}

bool Provider::needs_api_key() const {
  const bool own_address = base_url.empty() || url("") == default_base_url(kind);
  const bool in_headers = std::any_of(headers.begin(), headers.end(), [](const auto& header) {
    return header.first == "authorization" || header.first == "x-api-key";
  });
  return kind != ProviderKind::kOpenAiCompatible && own_address && !in_headers;
}

Result<Provider> parse_provider(std::string_view name, const Json& object,
                                std::optional<Secret>& api_key) {
  if (!is_slug(name)) {
    return invalid("'" + printable(name, kShownName) +
                   "' is not a provider name: 1 to 64 of a-z, 0-9, '_', '.', '-'.");
  }
  JsonReader reader(object);
  Provider provider;
  provider.name = name;
  const std::string kind = reader.one_of("kind", {"openai", "anthropic", "openai_compatible"});
  provider.kind = kind == "anthropic"           ? ProviderKind::kAnthropic
                  : kind == "openai_compatible" ? ProviderKind::kOpenAiCompatible
                                                : ProviderKind::kOpenAi;
  provider.base_url =
      reader.optional_string("base_url", {1, 500}).value_or(default_base_url(provider.kind));
  provider.auth_header = lower_ascii(reader.optional_string("auth_header", {1, 64}).value_or(""));
  provider.timeout_ms =
      static_cast<int>(reader.optional_integer("timeout_ms", 100, 3'600'000).value_or(600'000));
  provider.stream_options = reader.boolean_or("stream_options", true);
  provider.cancel_stops_billing = reader.boolean_or("cancel_stops_billing", false);
  if (auto key = reader.optional_string("api_key", {1, 4096})) api_key = Secret(std::move(*key));
  if (reader.has("sealed_api_key")) {  // Of a stored record alone.
    provider.sealed_api_key = reader.string("sealed_api_key", {0, 8192});
  }
  if (reader.has("api_key_origins")) {
    reader.member("api_key_origins");
    provider.api_key_origins = origins_member(object, "api_key_origins");
  }
  read_headers(reader, provider);
  read_models(reader, provider);
  if (!provider.auth_header.empty() && !is_header_name(provider.auth_header)) {
    reader.fail("auth_header", "is not a header name.");
  }
  if (api_key && !is_header_value(api_key->reveal())) {
    reader.fail("api_key", "has characters that no header can carry.");
  }
  // Members that GET shows may be sent back; they change nothing.
  reader.member("name");
  reader.member("has_api_key");
  KVCS_TRY(reader.finish());
  KVCS_TRY(check_base_url(provider.base_url));
  provider.origin = origin_of(provider.base_url);
  return provider;
}

Json provider_to_json(const Provider& provider) {
  Json headers = Json::object();
  // What is secret by its name is of a record of before, or of the configuration.
  for (const auto& [name, value] : provider.headers) {
    headers[name] = is_secret_name(name) ? "***" : value;
  }
  return {
      {"name", provider.name},
      {"kind", provider_kind_name(provider.kind)},
      {"base_url", provider.base_url},
      {"auth_header", provider.auth_header.empty() ? Json(nullptr) : Json(provider.auth_header)},
      {"headers", headers},
      {"timeout_ms", provider.timeout_ms},
      {"stream_options", provider.stream_options},
      {"cancel_stops_billing", provider.cancel_stops_billing},
      {"models", provider.models},
      {"has_api_key", !provider.sealed_api_key.empty()}};
}

Providers::Providers(const KvStore& kv, AuditedKv& audited, WatchedKv& changes,
                     const Sealer& sealer, const Pricing& pricing)
    : kv_(kv),
      audited_(audited),
      sealer_(sealer),
      pricing_(pricing),
      all_(1),
      credentials_(10'000) {
  changes.add_listener([this](KvFamily family, std::string_view key) {
    if (family != KvFamily::kConfig) return;
    if (key.starts_with(kAllProviders)) {
      all_.invalidate(kAllProviders);
      credentials_.invalidate(key);
    } else if (keyspace::is_credential(key)) {
      credentials_.invalidate(key);
    }
  });
}

void Providers::add_configured(Provider provider, const Secret& api_key) {
  provider.origin = origin_of(provider.base_url);
  if (!api_key.empty()) {
    provider.api_key_origins = origins_of({provider.base_url});
    provider.sealed_api_key =
        sealer_.seal(api_key.reveal(),
                     bound_context(keyspace::ai_provider(provider.name), provider.api_key_origins));
  }
  configured_.push_back(std::make_shared<const Provider>(std::move(provider)));
}

void Providers::add_alias(std::string name, std::vector<std::string> targets) {
  aliases_.emplace_back(std::move(name), std::move(targets));
}

Result<std::vector<std::shared_ptr<const Provider>>> Providers::list() const {
  return *KVCS_TRY(all());
}

Result<std::shared_ptr<const Providers::ProviderList>> Providers::all() const {
  const auto load = [&](std::string_view) -> Result<ProviderList> {
    ProviderList list;
    const auto collect = [&](const KvItem& item) -> Status {
      const std::string_view name = keyspace::parse_ai_provider(item.key).value();
      const Json json = KVCS_TRY(parse_json(item.entry.value));
      std::optional<Secret> unused;
      Provider provider = KVCS_TRY(parse_provider(name, json, unused));
      list.push_back(std::make_shared<const Provider>(std::move(provider)));
      return ok();
    };
    KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, kAllProviders, collect));
    for (const auto& provider : configured_) {
      const bool overridden = std::any_of(list.begin(), list.end(), [&](const auto& stored) {
        return stored->name == provider->name;
      });
      if (!overridden) list.push_back(provider);
    }
    return list;
  };
  return all_.find_or_load(kAllProviders, load);
}

Result<std::shared_ptr<const Provider>> Providers::find(std::string_view name) const {
  for (const auto& provider : KVCS_TRY(list())) {
    if (provider->name == name) return provider;
  }
  return not_found("There is no AI provider called '" + printable(name, kShownName) + "'.")
      .with_reason("provider_not_found");
}

// A record of before is the sealed text alone, and bound to nothing.
Result<Providers::BoundKey> Providers::open_credential(std::string_view key,
                                                       std::string_view value) const {
  if (!value.starts_with('{')) return BoundKey{KVCS_TRY(sealer_.open(value, key)), {}};
  const Json record = KVCS_TRY(parse_json(value));
  Origins origins = origins_member(record, "origins");
  Secret secret =
      KVCS_TRY(sealer_.open(text_member(record, "sealed"), bound_context(key, origins)));
  return BoundKey{std::move(secret), std::move(origins)};
}

std::string Providers::seal_credential(std::string_view key, const BoundKey& bound) const {
  return dump_json(
      Json{{"sealed", sealer_.seal(bound.secret.reveal(), bound_context(key, bound.origins))},
           {"origins", origins_json(bound.origins)}});
}

Result<std::shared_ptr<const Providers::BoundKey>> Providers::own_key(
    std::string_view organization_id, const Provider& provider) const {
  const std::string own = keyspace::org_credential(organization_id, provider.name);
  return credentials_.find_or_load(own, [&](std::string_view key) -> Result<BoundKey> {
    Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
    if (entry.code() == Code::kNotFound) return BoundKey{};
    if (!entry.ok()) return std::move(entry).status();
    return open_credential(key, entry->value);
  });
}

bool Providers::has_own_key(std::string_view organization_id, const Provider& provider) const {
  const auto own = own_key(organization_id, provider);
  return own.ok() && !(*own)->secret.empty();
}

Result<Secret> Providers::credential(std::string_view organization_id,
                                     const Provider& provider) const {
  const auto given_for_it = [&](const BoundKey& key, std::string_view whose) -> Result<Secret> {
    if (may_go_to(key.origins, provider.origin)) return Secret(key.secret);
    return secret_origin_changed(whose, provider.origin, key.origins, again(provider.name));
  };
  auto secret = own_key(organization_id, provider);
  if (!secret.ok()) return std::move(secret).status();
  if (!(*secret)->secret.empty()) {
    return given_for_it(**secret,
                        "The organization's own API key of provider '" + provider.name + "'");
  }
  if (provider.sealed_api_key.empty()) return Secret();
  // The seal is bound to the key of the record, so that it opens nowhere else.
  const std::string shared = keyspace::ai_provider(provider.name);
  auto opened = credentials_.find_or_load(shared, [&](std::string_view key) -> Result<BoundKey> {
    return BoundKey{KVCS_TRY(sealer_.open(provider.sealed_api_key,
                                          bound_context(key, provider.api_key_origins))),
                    provider.api_key_origins};
  });
  if (!opened.ok()) return std::move(opened).status();
  return given_for_it(**opened, "The API key of provider '" + provider.name + "'");
}

Result<ModelTarget> Providers::resolve_one(std::string_view model, ApiKind api,
                                           std::string_view organization_id) const {
  const std::shared_ptr<const ProviderList> known = KVCS_TRY(all());
  const ProviderList& all = *known;
  // First "provider/model", when the part before the slash is a provider; a model's own name may
  // have a slash, too.
  const size_t slash = model.find('/');
  for (const auto& provider : all) {
    if (slash != model.npos && provider->name == model.substr(0, slash)) {
      return ModelTarget{provider, std::string(model.substr(slash + 1))};
    }
  }
  // Then a provider that lists the bare name, preferably one that speaks this API.
  std::shared_ptr<const Provider> listing;
  for (const auto& provider : all) {
    const auto& models = provider->models;
    if (std::find(models.begin(), models.end(), model) == models.end()) continue;
    if (!listing) listing = provider;
    if (!speaks(provider->kind, api)) continue;
    listing = provider;
    break;
  }
  if (listing) return ModelTarget{listing, std::string(model)};
  // Then the provider that the price table names for it, or for the model that it was made from.
  for (const std::string_view priced_name : {model, base_of_fine_tuned(model)}) {
    if (priced_name.empty()) continue;
    const Result<PricedModel> priced = pricing_.find(organization_id, "", priced_name);
    if (!priced.ok()) continue;
    for (const auto& provider : all) {
      if (provider->name == priced->price->provider) {
        return ModelTarget{provider, std::string(model)};
      }
    }
  }
  // Last, the only provider that speaks this API, unless it lists its models.
  std::shared_ptr<const Provider> only;
  for (const auto& provider : all) {
    if (!speaks(provider->kind, api)) continue;
    if (only) {
      only = nullptr;
      break;
    }
    only = provider;
  }
  if (only && only->models.empty()) return ModelTarget{only, std::string(model)};
  return not_found("The model '" + printable(model, kShownValue) +
                   "' is not served here; GET /v1/models lists those that are.")
      .with_reason("model_not_found");
}

Result<std::vector<ModelTarget>> Providers::resolve(std::string_view model, ApiKind api,
                                                    std::string_view organization_id) const {
  std::vector<ModelTarget> targets;
  const auto alias = std::find_if(aliases_.begin(), aliases_.end(),
                                  [&](const auto& entry) { return entry.first == model; });
  if (alias == aliases_.end()) {
    targets.push_back(KVCS_TRY(resolve_one(model, api, organization_id)));
  } else {
    for (const std::string& name : alias->second) {
      targets.push_back(KVCS_TRY(resolve_one(name, api, organization_id)));
    }
  }
  for (const ModelTarget& target : targets) {
    if (speaks(target.provider->kind, api)) continue;
    return invalid("The model '" + printable(model, kShownValue) + "' is served by '" +
                   target.provider->name + "', which does not speak this API; use " +
                   (api == ApiKind::kMessages ? "/v1/chat/completions." : "/v1/messages."))
        .with_reason("api_not_supported");
  }
  return targets;
}

Status Providers::put(Provider provider, std::optional<Secret> api_key, const AuditContext& who,
                      bool rebind) {
  KVCS_TRY(check_no_credential(provider));
  provider.origin = origin_of(provider.base_url);
  const std::string key = keyspace::ai_provider(provider.name);
  Result<std::shared_ptr<const Provider>> before = find(provider.name);
  const bool has_key = before.ok() && !(*before)->sealed_api_key.empty();
  if (!api_key && has_key && rebind) {
    api_key = KVCS_TRY(
        sealer_.open((*before)->sealed_api_key, bound_context(key, (*before)->api_key_origins)));
  }
  if (api_key) {
    provider.api_key_origins = origins_of({provider.base_url});
    provider.sealed_api_key =
        sealer_.seal(api_key->reveal(), bound_context(key, provider.api_key_origins));
  } else if (has_key) {
    provider.api_key_origins = (*before)->api_key_origins;
    if (!may_go_to(provider.api_key_origins, provider.origin)) {
      return secret_origin_changed("api_key: the stored key of provider '" + provider.name + "'",
                                   provider.origin, provider.api_key_origins, again(provider.name));
    }
    provider.sealed_api_key = (*before)->sealed_api_key;
  }
  if (KVCS_TRY(list()).size() >= kProvidersMax) {
    return invalid("There are " + std::to_string(kProvidersMax) +
                   " AI providers, the most allowed.");
  }
  // The provider's new address first: what is not carried over when this ends in between is refused
  // there, and the same request carries it.
  KvBatch batch;
  batch.put(KvFamily::kConfig, key, record_json(provider));
  KVCS_TRY(audited_.write(batch, who));
  return rebind ? rebind_credentials(provider, who) : ok();
}

Status Providers::write_in_groups(KvBatch& batch, size_t least, const AuditContext& who) {
  if (batch.ops().size() < least || batch.empty()) return ok();
  const KvBatch group = std::exchange(batch, {});
  return audited_.write(group, who);
}

Status Providers::rebind_credentials(const Provider& provider, const AuditContext& who) {
  KvBatch batch;
  const Origins origins = origins_of({provider.base_url});
  const auto carry = [&](const KvItem& item) -> Status {
    const auto parts = keyspace::parse_org_credential(item.key);
    if (!parts || parts->id != provider.name) return ok();
    BoundKey bound = KVCS_TRY(open_credential(item.key, item.entry.value));
    bound.origins = origins;
    batch.put(KvFamily::kConfig, item.key, seal_credential(item.key, bound));
    return write_in_groups(batch, kRebindGroup, who);
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, keyspace::kOrgPrefix, carry));
  return write_in_groups(batch, 0, who);
}

Result<int64_t> Providers::bind_unbound(const AuditContext& who) {
  KvBatch batch;
  int64_t bound_count = 0;
  for (const auto& known : KVCS_TRY(list())) {
    const std::string key = keyspace::ai_provider(known->name);
    if (known->sealed_api_key.empty() || !known->api_key_origins.empty()) continue;
    Provider provider = *known;
    const Result<Secret> secret = sealer_.open(provider.sealed_api_key, key);
    if (!secret.ok()) continue;  // It opens for nobody, and its first use says so.
    provider.api_key_origins = origins_of({provider.base_url});
    provider.sealed_api_key =
        sealer_.seal(secret->reveal(), bound_context(key, provider.api_key_origins));
    batch.put(KvFamily::kConfig, key, record_json(provider));
    ++bound_count;
  }
  const auto bind = [&](const KvItem& item) -> Status {
    const auto parts = keyspace::parse_org_credential(item.key);
    if (!parts || item.entry.value.starts_with('{')) return ok();
    const auto provider = find(parts->id);
    Result<BoundKey> bound = open_credential(item.key, item.entry.value);
    if (!provider.ok() || !bound.ok()) return ok();
    bound->origins = origins_of({(*provider)->base_url});
    batch.put(KvFamily::kConfig, item.key, seal_credential(item.key, *bound));
    ++bound_count;
    return write_in_groups(batch, kRebindGroup, who);
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, keyspace::kOrgPrefix, bind));
  KVCS_TRY(write_in_groups(batch, 0, who));
  return bound_count;
}

Status Providers::remove(std::string_view name, const AuditContext& who) {
  const std::string key = keyspace::ai_provider(name);
  const Status present = kv_.get(KvFamily::kConfig, key).status();
  if (present.code() == Code::kNotFound) {
    KVCS_TRY(find(name));
    return conflict("The provider '" + std::string(name) +
                    "' comes from the configuration file or the environment; remove it there.")
        .with_reason("provider_configured");
  }
  KVCS_TRY(Status(present));
  KvBatch batch;
  batch.remove(KvFamily::kConfig, key);
  return audited_.write(batch, who);
}

Status Providers::put_credential(std::string_view organization_id, std::string_view provider,
                                 const Secret& api_key, const AuditContext& who) {
  const auto known = KVCS_TRY(find(provider));
  if (!is_header_value(api_key.reveal())) {
    return invalid("api_key: has characters that no header can carry.");
  }
  const std::string key = keyspace::org_credential(organization_id, provider);
  KvBatch batch;
  batch.put(KvFamily::kConfig, key, seal_credential(key, {api_key, origins_of({known->base_url})}));
  return audited_.write(batch, who);
}

Status Providers::remove_credential(std::string_view organization_id, std::string_view provider,
                                    const AuditContext& who) {
  const std::string key = keyspace::org_credential(organization_id, provider);
  const Status present = kv_.get(KvFamily::kConfig, key).status();
  if (present.code() == Code::kNotFound) {
    return not_found("The organization has no key of its own at '" +
                     printable(provider, kShownName) + "'.");
  }
  KVCS_TRY(Status(present));
  KvBatch batch;
  batch.remove(KvFamily::kConfig, key);
  return audited_.write(batch, who);
}

}  // namespace kvcs::ai
