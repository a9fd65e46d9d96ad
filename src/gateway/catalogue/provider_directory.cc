// Loads the shipped catalogue from YAML and lays the stored records over it; a provider is merged
// and parsed on its first use, and again after each write of its record.
#include "gateway/catalogue/provider_directory.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/bytes.h"
#include "base/secret_names.h"
#include "base/yaml.h"
#include "kv/if_match.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {

constexpr size_t kFileMaxBytes = 256u << 10;
// The stored name of the client secret once it is sealed.
constexpr const char* kSealedMember = "client_secret_sealed";
constexpr const char* kOriginsMember = "client_secret_origins";
// The named secrets, once they are sealed as one object.
constexpr const char* kSecretsMember = "secrets";
constexpr const char* kSealedSecretsMember = "secrets_sealed";
constexpr const char* kSecretsOriginsMember = "secrets_origins";
constexpr const char* kHeadersMember = "default_headers";

// The named secrets have a context of their own, so that they cannot stand in for a client secret.
std::string secrets_context(std::string_view key, const Origins& origins) {
  return bound_context(std::string(key) + ":secrets", origins);
}

// Credentials among the static headers of a record of before, or of elsewhere, become secrets that
// the headers name. True: there were some.
bool move_header_secrets(Json& record) {
  const auto headers = record.find(kHeadersMember);
  if (headers == record.end() || !headers->is_object()) return false;
  std::vector<std::pair<std::string, std::string>> moved;
  for (const auto& [header, value] : headers->items()) {
    if (!value.is_string() || !is_secret_name(header)) continue;
    const std::string& text = value.get_ref<const std::string&>();
    if (!text.empty() && !has_template(text)) moved.emplace_back(header, text);
  }
  for (const auto& [header, text] : moved) {
    std::string name = "header_" + lower_ascii(header);
    std::replace(name.begin(), name.end(), '-', '_');
    record[kSecretsMember][name] = text;
    record[kHeadersMember][header] = "{secrets." + name + "}";
  }
  return !moved.empty();
}

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return unavailable("The provider file " + path.string() + " cannot be read.");
  if (text.view().size() > kFileMaxBytes) {
    return too_large("The provider file " + path.string() + " is over " +
                     format_bytes(kFileMaxBytes) + ".");
  }
  return std::move(text).str();
}

Status config_missing(std::string_view id) {
  return not_found("Provider '" + printable(id, kShownName) + "' is not configured.")
      .with_reason("CONFIG_MISSING");
}

// The object at `auth`, made when it is not there.
Json& auth_of(Json& record) {
  Json& auth = record["auth"];
  if (!auth.is_object()) auth = Json::object();
  return auth;
}

}  // namespace

Result<std::pair<std::string, std::string>> parse_catalogue_file(std::string_view yaml,
                                                                 std::string_view file_name) {
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(yaml, file_name));
  const Json& root = document.root();
  if (!root.is_object() || !root.contains("provider") || !root["provider"].is_string()) {
    return invalid(document.where({}) + ": provider: is required.");
  }
  const std::string id = root["provider"].get<std::string>();
  std::vector<std::string> fault_path;
  const Result<Provider> provider = parse_provider(id, root, true, &fault_path);
  if (!provider.ok()) {
    return invalid(document.where(fault_path) + ": " + provider.status().message());
  }
  return std::pair(id, dump_json(root));
}

Result<Catalogue> load_catalogue(const std::string& directory) {
  Catalogue catalogue;
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (auto it = std::filesystem::directory_iterator(directory, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    if (it->path().extension() == ".yaml") files.push_back(it->path());
  }
  // Directory order differs between machines; the first fault that is told should not.
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    const std::string text = KVCS_TRY(read_file(file));
    auto [id, record] = KVCS_TRY(parse_catalogue_file(text, file.string()));
    if (!catalogue.emplace(id, std::move(record)).second) {
      return invalid(file.string() + ": provider '" + id + "' is in another file already.");
    }
  }
  return catalogue;
}

ProviderDirectory::ProviderDirectory(const KvStore& kv, AuditedKv& audited, WatchedKv& changes,
                                     const Sealer& sealer, Catalogue catalogue)
    : kv_(kv),
      audited_(audited),
      sealer_(sealer),
      catalogue_(std::move(catalogue)),
      cache_(kProvidersMax) {
  // The listener runs after each write, before the writer is answered: the next call sees the new
  // record.
  changes.add_listener([this](KvFamily family, std::string_view key) {
    if (family != KvFamily::kConfig || !key.starts_with(keyspace::kApiConfigPrefix)) return;
    cache_.invalidate(key);
  });
}

// RFC 7396: members of `stored` replace those of the catalogue, null removes them.
Result<Json> ProviderDirectory::merged(std::string_view id, const Json& stored) const {
  const auto base = catalogue_.find(id);
  if (base == catalogue_.end()) return stored;
  Json record = KVCS_TRY(parse_json(base->second));
  record.merge_patch(stored);
  return record;
}

// Not strict: a record that an older or newer version wrote may have members that this one does not
// know.
Result<Provider> ProviderDirectory::load(std::string_view id, std::string_view key) const {
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
  if (entry.code() == Code::kNotFound) {
    if (!in_catalogue(id)) return config_missing(id);
    const Json record = KVCS_TRY(merged(id, Json::object()));
    Provider provider = KVCS_TRY(parse_provider(id, record, false));
    provider.digest = sha256_hex(dump_json(record));
    return provider;
  }
  if (!entry.ok()) return entry.status();
  Result<Json> stored = parse_json(entry.value().value);
  if (!stored.ok() || !stored.value().is_object()) {
    return internal("the record " + std::string(key) + " is damaged");
  }
  Json record = KVCS_TRY(merged(id, stored.value()));
  const std::string digest = sha256_hex(dump_json(record));
  const Origins secrets_origins = origins_member(record, kSecretsOriginsMember);
  if (const std::string sealed = text_member(record, kSealedSecretsMember); !sealed.empty()) {
    const Secret plain = KVCS_TRY(sealer_.open(sealed, secrets_context(key, secrets_origins)));
    record[kSecretsMember] = KVCS_TRY(parse_json(plain.reveal()));
  }
  Json& auth = auth_of(record);
  const Origins origins = origins_member(auth, kOriginsMember);
  if (const auto sealed = auth.find(kSealedMember); sealed != auth.end() && sealed->is_string()) {
    const Secret secret =
        KVCS_TRY(sealer_.open(sealed->get_ref<const std::string&>(), bound_context(key, origins)));
    auth["client_secret"] = secret.reveal();
    auth.erase(kSealedMember);
  }
  Result<Provider> provider = parse_provider(id, record, false);
  if (!provider.ok()) {
    return internal("the record " + std::string(key) + ": " + provider.status().message());
  }
  provider->oauth.client_secret_origins = origins;
  provider->secrets_origins = secrets_origins;
  provider->digest = digest;
  return provider;
}

Result<ProviderDirectory::Pointer> ProviderDirectory::find(std::string_view id) const {
  if (!is_id_part(id)) return config_missing(id);
  return cache_.find_or_load(keyspace::api_config(id),
                             [&](std::string_view key) { return load(id, key); });
}

Result<std::vector<std::string>> ProviderDirectory::list() const {
  std::set<std::string> names;
  for (const auto& [name, record] : catalogue_) names.insert(name);
  const std::string prefix = keyspace::api_config("");
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, prefix, [&](const KvItem& item) -> Status {
    names.insert(item.key.substr(prefix.size()));
    return ok();
  }));
  return std::vector<std::string>(names.begin(), names.end());
}

bool ProviderDirectory::is_stored(std::string_view id) const {
  return kv_.get(KvFamily::kConfig, keyspace::api_config(id)).ok();
}

Result<std::string> ProviderDirectory::etag(std::string_view id) const {
  return etag_of_record(kv_, KvFamily::kConfig, keyspace::api_config(id));
}

// What the record's URLs are, or nothing where it is no provider.
Origins ProviderDirectory::origins_of_record(std::string_view id, const Json& stored) const {
  const Result<Json> whole = merged(id, stored);
  if (!whole.ok()) return {};
  const Result<Provider> provider = parse_provider(id, *whole, false);
  return provider.ok() ? provider_origins(*provider) : Origins{};
}

std::string ProviderDirectory::seal_record(std::string_view key, std::string value) const {
  if (!key.starts_with(keyspace::kApiConfigPrefix)) return value;
  Result<Json> record = parse_json(value);
  if (!record.ok() || !record->is_object()) return value;
  const std::string_view id = key.substr(keyspace::kApiConfigPrefix.size());
  const Origins origins = origins_of_record(id, *record);
  bool changed = move_header_secrets(*record);
  if (record->contains(kSecretsMember) && !record->contains(kSealedSecretsMember)) {
    changed = seal_secrets(*record, id, Json::object(), origins, false).ok();
  }
  if (record->contains("auth") && (*record)["auth"].is_object()) {
    changed |= seal_client_secret((*record)["auth"], key, origins);
  }
  return changed ? dump_json(*record) : value;
}

// Takes the named secrets out of `stored`, lays them over those of the old record, and seals all.
// Those of before stay only where they may go.
Status ProviderDirectory::seal_secrets(Json& stored, std::string_view id, const Json& old,
                                       const Origins& wanted, bool rebind) const {
  const std::string key = keyspace::api_config(id);
  const auto member = stored.find(kSecretsMember);
  const Json given = member == stored.end() || !member->is_object() ? Json::object() : *member;
  stored.erase(kSecretsMember);
  Json secrets = Json::object();
  const Origins bound = origins_member(old, kSecretsOriginsMember);
  if (const std::string sealed = text_member(old, kSealedSecretsMember); !sealed.empty()) {
    const Secret plain = KVCS_TRY(sealer_.open(sealed, secrets_context(key, bound)));
    secrets = KVCS_TRY(parse_json(plain.reveal()));
  }
  for (const auto& [name, value] : given.items()) secrets.erase(name);
  for (const std::string& origin : wanted) {
    if (secrets.empty() || rebind || may_go_to(bound, origin)) continue;
    return secret_origin_changed(
        "secrets: the stored ones of provider " + std::string(id), origin, bound,
        "Send secrets along with the new URL (null takes one away), or let an owner confirm the "
        "move with ?rebind=true.");
  }
  for (const auto& [name, value] : given.items()) {
    if (value.is_string()) secrets[name] = value;
  }
  if (secrets.empty()) return ok();
  const Secret plain(dump_json(secrets));
  stored[kSealedSecretsMember] = sealer_.seal(plain.reveal(), secrets_context(key, wanted));
  stored[kSecretsOriginsMember] = origins_json(wanted);
  return ok();
}

// True: there was one in clear.
bool ProviderDirectory::seal_client_secret(Json& auth, std::string_view key,
                                           const Origins& origins) const {
  const auto given = auth.find("client_secret");
  if (given == auth.end() || !given->is_string() || given->get_ref<const std::string&>().empty()) {
    return false;
  }
  const Secret secret(given->get<std::string>());
  auth[kSealedMember] = sealer_.seal(secret.reveal(), bound_context(key, origins));
  auth[kOriginsMember] = origins_json(origins);
  auth.erase("client_secret");
  return true;
}

// Carries the stored client secret over, still sealed where its origins hold.
Status ProviderDirectory::keep_client_secret(Json& auth, std::string_view id, const Json& old_auth,
                                             const Origins& wanted, bool rebind) const {
  const std::string sealed = text_member(old_auth, kSealedMember);
  if (sealed.empty()) return ok();
  const std::string key = keyspace::api_config(id);
  const Origins bound = origins_member(old_auth, kOriginsMember);
  if (rebind) {
    const Secret secret = KVCS_TRY(sealer_.open(sealed, bound_context(key, bound)));
    auth[kSealedMember] = sealer_.seal(secret.reveal(), bound_context(key, wanted));
    auth[kOriginsMember] = origins_json(wanted);
    return ok();
  }
  for (const std::string& origin : wanted) {
    if (may_go_to(bound, origin)) continue;
    return secret_origin_changed(
        "auth.client_secret: the stored one of provider " + std::string(id), origin, bound,
        "Send client_secret along with the new URL, or let an owner confirm the move with "
        "?rebind=true.");
  }
  auth[kSealedMember] = sealed;
  auth[kOriginsMember] = origins_json(bound);
  return ok();
}

Status ProviderDirectory::put(std::string_view id, const Json& record, const AuditContext& who,
                              std::string_view if_match, bool rebind) {
  if (!record.is_object()) return invalid("The body must be an object.");
  const Json whole = KVCS_TRY(merged(id, record));
  const Origins wanted = provider_origins(KVCS_TRY(parse_provider(id, whole, true)));
  const std::string key = keyspace::api_config(id);
  const Result<KvEntry> old = kv_.get(KvFamily::kConfig, key);
  if (!old.ok() && old.code() != Code::kNotFound) return old.status();
  Json stored = record;
  Json& auth = auth_of(stored);
  // A client secret that the record does not mention is carried over, still sealed; an empty or
  // null one removes it.
  const bool given = auth.contains("client_secret");
  const Result<Json> before = old.ok() ? parse_json(old->value) : Json::object();
  const bool readable = before.ok() && before->is_object();
  if (!seal_client_secret(auth, key, wanted) && !given && readable && before->contains("auth") &&
      (*before)["auth"].is_object()) {
    KVCS_TRY(keep_client_secret(auth, id, (*before)["auth"], wanted, rebind));
  }
  auth.erase("client_secret");
  KVCS_TRY(seal_secrets(stored, id, readable ? *before : Json::object(), wanted, rebind));
  return put_if_match(kv_, audited_, KvFamily::kConfig, key, dump_json(stored), if_match, who);
}

Result<int64_t> ProviderDirectory::bind_unbound(const AuditContext& who) {
  KvBatch batch;
  const auto bind = [&](const KvItem& item) -> Status {
    const std::string_view id =
        std::string_view(item.key).substr(keyspace::kApiConfigPrefix.size());
    Result<Json> record = parse_json(item.entry.value);
    if (!record.ok() || !record->is_object()) return ok();
    const Origins origins = origins_of_record(id, *record);
    bool changed = false;
    if (const auto auth = record->find("auth"); auth != record->end() && auth->is_object() &&
                                                !text_member(*auth, kSealedMember).empty() &&
                                                !auth->contains(kOriginsMember)) {
      // What does not open stays as it is; its use says so.
      const Json old_auth = *auth;
      changed = keep_client_secret(*auth, id, old_auth, origins, true).ok();
    }
    if (move_header_secrets(*record)) {
      KVCS_TRY(seal_secrets(*record, id, Json(*record), origins, true));
      changed = true;
    }
    if (changed) batch.put(KvFamily::kConfig, item.key, dump_json(*record));
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, keyspace::kApiConfigPrefix, bind));
  if (!batch.empty()) KVCS_TRY(audited_.write(batch, who));
  return static_cast<int64_t>(batch.ops().size());
}

Status ProviderDirectory::remove(std::string_view id, const AuditContext& who) {
  const std::string key = keyspace::api_config(id);
  if (!is_id_part(id) || !is_stored(id)) {
    return not_found("Nothing is stored for provider '" + printable(id, kShownName) + "'.")
        .with_reason("CONFIG_MISSING");
  }
  KvBatch batch;
  batch.remove(KvFamily::kConfig, key);
  return audited_.write(batch, who);
}

}  // namespace kvcs::gateway
