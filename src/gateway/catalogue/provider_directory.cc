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
#include "base/yaml.h"
#include "kv/if_match.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {

constexpr size_t kFileMaxBytes = 256u << 10;
// The stored name of the client secret once it is sealed.
constexpr const char* kSealedMember = "client_secret_sealed";

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
    return parse_provider(id, record, false);
  }
  if (!entry.ok()) return entry.status();
  Result<Json> stored = parse_json(entry.value().value);
  if (!stored.ok() || !stored.value().is_object()) {
    return internal("the record " + std::string(key) + " is damaged");
  }
  Json record = KVCS_TRY(merged(id, stored.value()));
  Json& auth = auth_of(record);
  if (const auto sealed = auth.find(kSealedMember); sealed != auth.end() && sealed->is_string()) {
    const Secret secret = KVCS_TRY(sealer_.open(sealed->get_ref<const std::string&>(), key));
    auth["client_secret"] = secret.reveal();
    auth.erase(kSealedMember);
  }
  Result<Provider> provider = parse_provider(id, record, false);
  if (!provider.ok()) {
    return internal("the record " + std::string(key) + ": " + provider.status().message());
  }
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

std::string ProviderDirectory::seal_record(std::string_view key, std::string value) const {
  if (!key.starts_with(keyspace::api_config(""))) return value;
  Result<Json> record = parse_json(value);
  if (!record.ok() || !record->is_object() || !record->contains("auth") ||
      !(*record)["auth"].is_object()) {
    return value;
  }
  Json& auth = (*record)["auth"];
  return seal_client_secret(auth, key) ? dump_json(*record) : value;
}

// True: there was one in clear.
bool ProviderDirectory::seal_client_secret(Json& auth, std::string_view key) const {
  const auto given = auth.find("client_secret");
  if (given == auth.end() || !given->is_string() || given->get_ref<const std::string&>().empty()) {
    return false;
  }
  const Secret secret(given->get<std::string>());
  auth[kSealedMember] = sealer_.seal(secret.reveal(), key);
  auth.erase("client_secret");
  return true;
}

Status ProviderDirectory::put(std::string_view id, const Json& record, const AuditContext& who,
                              std::string_view if_match) {
  if (!record.is_object()) return invalid("The body must be an object.");
  const Json whole = KVCS_TRY(merged(id, record));
  KVCS_TRY(parse_provider(id, whole, true));
  const std::string key = keyspace::api_config(id);
  const Result<KvEntry> old = kv_.get(KvFamily::kConfig, key);
  if (!old.ok() && old.code() != Code::kNotFound) return old.status();
  Json stored = record;
  Json& auth = auth_of(stored);
  // A client secret that the record does not mention is carried over, still sealed; an empty or
  // null one removes it.
  const bool given = auth.contains("client_secret");
  if (!seal_client_secret(auth, key) && !given && old.ok()) {
    const Result<Json> before = parse_json(old.value().value);
    if (before.ok() && before.value().contains("auth") && before.value()["auth"].is_object()) {
      const Json& old_auth = before.value()["auth"];
      if (old_auth.contains(kSealedMember)) auth[kSealedMember] = old_auth[kSealedMember];
    }
  }
  auth.erase("client_secret");
  return put_if_match(kv_, audited_, KvFamily::kConfig, key, dump_json(stored), if_match, who);
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
