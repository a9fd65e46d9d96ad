// Where a model lives: providers, their credentials, aliases, and how a model's name finds them.
//
// A provider is a record `ai_provider:{name}` (admin API), an entry of kvcs.yaml (ai.providers) or,
// with nothing configured at all, OPENAI_API_KEY and ANTHROPIC_API_KEY of the environment. A record
// in KV wins over the file. Credentials are sealed and never returned; an organization's own
// (`org:{org_id}:credential:{provider}`) beats the provider's. Each is bound to the origin of the
// base_url that it was given for and is sent nowhere else. Thread-safe; reads come from memory.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ai/dialects/usage.h"
#include "ai/prices/pricing.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/origins.h"
#include "base/secret.h"
#include "base/status.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"
#include "kv/record_cache.h"

namespace kvcs::ai {

// The make of a provider's server. It decides which APIs it speaks (ApiKind of dialects/usage.h),
// how a key is sent, and what the bound on an output is called.
enum class ProviderKind : uint8_t { kOpenAi, kAnthropic, kOpenAiCompatible };
std::string_view provider_kind_name(ProviderKind kind);

struct Provider {
  std::string name;  // A slug; the part before '/' in a model's full name.
  ProviderKind kind = ProviderKind::kOpenAi;
  // With or without the version path: "https://api.openai.com" and ".../v1" are the same.
  std::string base_url;
  std::string origin;                                        // Of base_url.
  std::vector<std::pair<std::string, std::string>> headers;  // Sent with every request.
  std::string auth_header;  // "" = the kind's own; else the header that carries the bare key.
  int timeout_ms = 600'000;
  // False: the server does not take stream_options, so that a stream of chat completions is not
  // asked for its usage.
  bool stream_options = true;
  // True: what is cut off is not billed, so that an exchange ends as soon as its client has left.
  bool cancel_stops_billing = false;
  // Models that a client may ask for without "name/" before them. Empty: those that the price table
  // lists for this provider, and any model when it is the only provider that speaks the API; see
  // Providers::resolve().
  std::vector<std::string> models;
  std::string sealed_api_key;  // "" = none is sent.
  Origins api_key_origins;     // Where the key may be sent; part of its seal.

  // "<base_url>[/v1]<path>", path like "/chat/completions".
  std::string url(std::string_view path) const;
  // True at the vendor's own address, where nothing works without a key.
  bool needs_api_key() const;
};

// Strict: unknown members, bad URLs and reserved headers are Invalid, naming the member. `api_key`
// is read into `api_key` and never kept in the record in the clear.
Result<Provider> parse_provider(std::string_view name, const Json& object,
                                std::optional<Secret>& api_key);
Json provider_to_json(const Provider& provider);  // Without the key; "has_api_key" says.

struct ModelTarget {
  std::shared_ptr<const Provider> provider;  // Owners: the directory, and requests under way.
  std::string model;                         // As the provider calls it.
};

class Providers final {
 public:
  Providers(const KvStore& kv, AuditedKv& audited, WatchedKv& changes, const Sealer& sealer,
            const Pricing& pricing);
  // Adds a provider from kvcs.yaml or the environment. Called before threads start.
  void add_configured(Provider provider, const Secret& api_key);
  // Adds a name that stands for several targets, tried in this order. Called before threads start.
  void add_alias(std::string name, std::vector<std::string> targets);

  Result<std::shared_ptr<const Provider>> find(std::string_view name) const;
  Result<std::vector<std::shared_ptr<const Provider>>> list() const;
  // The organization's own credential, else the provider's; empty when neither is set. Conflict
  // with reason secret_origin_changed when it was given for another origin than the provider's.
  Result<Secret> credential(std::string_view organization_id, const Provider& provider) const;

  // True: its requests go out with a key that is nobody else's.
  bool has_own_key(std::string_view organization_id, const Provider& provider) const;

  // An alias, "provider/model", or a bare name: a provider's own list, then the price table with
  // the overrides that the organization has ("ft:BASE:..." belongs where BASE does), then the one
  // provider that speaks this API. NotFound with reason model_not_found.
  Result<std::vector<ModelTarget>> resolve(std::string_view model, ApiKind api,
                                           std::string_view organization_id = {}) const;
  const std::vector<std::pair<std::string, std::vector<std::string>>>& aliases() const {
    return aliases_;
  }

  // Admin. put() keeps the stored key when `api_key` is absent; Conflict with reason
  // secret_origin_changed when base_url then names another origin, Invalid for credentials among
  // the headers. `rebind` carries the stored key and those of all organizations over to the new
  // origin: an owner's word.
  Status put(Provider provider, std::optional<Secret> api_key, const AuditContext& who,
             bool rebind = false);
  Status remove(std::string_view name, const AuditContext& who);
  Status put_credential(std::string_view organization_id, std::string_view provider,
                        const Secret& api_key, const AuditContext& who);
  Status remove_credential(std::string_view organization_id, std::string_view provider,
                           const AuditContext& who);
  // Binds every key that is bound to nothing, of records of before, to the origin that its
  // provider has now; how many. Once, at a start.
  Result<int64_t> bind_unbound(const AuditContext& who);

 private:
  // A key in clear and where it may be sent.
  struct BoundKey {
    Secret secret;
    Origins origins;
  };
  Result<std::shared_ptr<const BoundKey>> own_key(std::string_view organization_id,
                                                  const Provider& provider) const;
  Result<BoundKey> open_credential(std::string_view key, std::string_view value) const;
  std::string seal_credential(std::string_view key, const BoundKey& bound) const;
  Status rebind_credentials(const Provider& provider, const AuditContext& who);
  Status write_in_groups(KvBatch& batch, size_t least, const AuditContext& who);
  Result<ModelTarget> resolve_one(std::string_view model, ApiKind api,
                                  std::string_view organization_id) const;

  const KvStore& kv_;
  AuditedKv& audited_;
  const Sealer& sealer_;
  const Pricing& pricing_;
  std::vector<std::shared_ptr<const Provider>> configured_;
  std::vector<std::pair<std::string, std::vector<std::string>>> aliases_;
  using ProviderList = std::vector<std::shared_ptr<const Provider>>;
  Result<std::shared_ptr<const ProviderList>> all() const;
  mutable RecordCache<ProviderList> all_;      // One entry: the whole list.
  mutable RecordCache<BoundKey> credentials_;  // By the record's KV key.
};

}  // namespace kvcs::ai
