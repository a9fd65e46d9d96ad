// Reads auth.providers. Secrets stand in variables or files that an entry names.
#include "portal/providers.h"

#include <nlohmann/json.hpp>

#include <cstdlib>

#include "base/bytes.h"
#include "base/id.h"
#include "base/private_file.h"
#include "base/yaml.h"

namespace kvcs::portal {
namespace {

constexpr size_t kSecretFileMaxBytes = 16u << 10;
constexpr size_t kListMax = 1000;
constexpr size_t kTextMaxBytes = 500;

// A list of texts, or one text.
std::vector<std::string> read_list(JsonReader& reader, const char* name) {
  std::vector<std::string> words;
  const Json* const member = reader.member(name);
  if (member == nullptr) return words;
  if (member->is_string()) return {member->get<std::string>()};
  const bool fits = member->is_array() && member->size() <= kListMax;
  if (!fits) reader.fail(name, "must be a list of at most " + std::to_string(kListMax) + ".");
  for (const Json& item : fits ? *member : Json::array()) {
    if (item.is_string()) {
      words.push_back(item.get<std::string>());
    } else {
      reader.fail(name, "must be a list of texts.");
    }
  }
  return words;
}

Result<Secret> read_client_secret(const std::string& variable, const std::string& file) {
  if (!variable.empty() && !file.empty()) {
    return invalid("client_secret_env and client_secret_file: give one of them.");
  }
  if (!variable.empty()) {
    const char* const value = std::getenv(variable.c_str());
    if (value == nullptr) return invalid("client_secret_env: " + variable + " is not set.");
    return Secret(value);
  }
  if (file.empty()) return Secret();
  const Secret text = KVCS_TRY(read_private_file(file, kSecretFileMaxBytes));
  return Secret(std::string(trim(text.reveal())));
}

// "ORG_SLUG/ROLE".
Result<MappedRole> parse_mapped_role(std::string_view text) {
  const size_t slash = text.find('/');
  MappedRole mapped;
  mapped.organization = std::string(text.substr(0, slash));
  if (slash == text.npos || !is_slug(mapped.organization)) {
    return invalid("role_map: '" + printable(text, kShownName) + "' is not ORG_SLUG/ROLE.");
  }
  mapped.role = KVCS_TRY(parse_org_role(text.substr(slash + 1)));
  return mapped;
}

Result<std::map<std::string, MappedRole>> read_role_map(JsonReader& reader) {
  std::map<std::string, MappedRole> roles;
  const Json* const object = reader.object("role_map");
  if (object == nullptr) return roles;
  for (const auto& [value, target] : object->items()) {
    if (!target.is_string()) return invalid("role_map: each value must be ORG_SLUG/ROLE.");
    roles[value] = KVCS_TRY(parse_mapped_role(target.get_ref<const std::string&>()));
  }
  return roles;
}

struct Entry {
  Provider provider;
  oauth::IssuerConfig issuer;
};
Result<Entry> read_entry(const std::string& name, const Json& object) {
  if (!is_slug(name)) return invalid("the name must be a slug, as it stands in paths.");
  if (name == kByPassword) return invalid("the name stands for local accounts; take another.");
  if (!object.is_object()) return invalid("must be a map.");
  JsonReader reader(object);
  Entry entry;
  entry.provider.name = entry.issuer.name = name;
  entry.issuer.issuer = reader.string("issuer", {.max_bytes = kTextMaxBytes});
  entry.issuer.client_id = reader.string("client_id", {.max_bytes = kTextMaxBytes});
  entry.issuer.audience =
      reader.optional_string("audience", {.max_bytes = kTextMaxBytes}).value_or("");
  entry.issuer.cli_client_id =
      reader.optional_string("cli_client_id", {.max_bytes = kTextMaxBytes}).value_or("");
  const auto variable = reader.optional_string("client_secret_env").value_or("");
  const auto file = reader.optional_string("client_secret_file", {.max_bytes = 4096}).value_or("");
  const std::vector<std::string> scopes = read_list(reader, "scopes");
  if (!scopes.empty()) entry.issuer.scopes = scopes;
  entry.provider.admins = read_list(reader, "admins");
  for (const std::string& domain : read_list(reader, "allowed_domains")) {
    entry.provider.allowed_domains.push_back(lower_ascii(domain));
  }
  entry.provider.role_claim = reader.optional_string("role_claim").value_or("");
  const Result<std::map<std::string, MappedRole>> roles = read_role_map(reader);
  KVCS_TRY(reader.finish());
  entry.provider.role_map = KVCS_TRY(roles);
  entry.issuer.client_secret = KVCS_TRY(read_client_secret(variable, file));
  KVCS_TRY(oauth::check_issuer_config(entry.issuer));
  return entry;
}

}  // namespace

Result<std::unique_ptr<Providers>> Providers::read(const std::string& text,
                                                   http::HttpUpstream& upstream, const Clock& clock,
                                                   Entropy& entropy) {
  auto made = std::make_unique<Providers>();
  if (text.empty()) return made;
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(text, "auth.providers"));
  if (!document.root().is_object()) return invalid("auth.providers: must be a map.");
  for (const auto& [name, object] : document.root().items()) {
    Result<Entry> entry = read_entry(name, object);
    if (!entry.ok()) return std::move(entry).status().with_context("auth.providers." + name);
    if (made->find_by_issuer(entry->issuer.issuer) != nullptr) {
      return invalid("auth.providers." + name + ": its issuer stands in another entry.");
    }
    entry->provider.issuer =
        std::make_unique<oauth::Issuer>(std::move(entry->issuer), upstream, clock, entropy);
    made->providers_.push_back(std::move(entry->provider));
  }
  return made;
}

Status Providers::add_own(std::string_view name, MakeOwn make, http::HttpUpstream& upstream,
                          const Clock& clock, Entropy& entropy) {
  if (find(name) != nullptr) {
    return conflict("auth.providers." + std::string(name) +
                    ": the name is that of the development issuer (auth.dev_issuer); choose "
                    "another.")
        .with_reason("provider_name_taken");
  }
  own_ = std::make_unique<Own>();
  own_->name = name;
  own_->make = [make = std::move(make), &upstream, &clock, &entropy] {
    return std::make_unique<oauth::Issuer>(make(), upstream, clock, entropy);
  };
  return ok();
}

const Provider* Providers::own() const {
  if (!own_) return nullptr;
  std::call_once(own_->made, [this] {
    own_->provider.name = own_->name;
    own_->provider.issuer = own_->make();
  });
  return &own_->provider;
}

std::vector<const Provider*> Providers::configured() const {
  std::vector<const Provider*> list;
  for (const Provider& provider : providers_) list.push_back(&provider);
  return list;
}

std::vector<const Provider*> Providers::all() const {
  std::vector<const Provider*> list = configured();
  if (own_) list.push_back(own());
  return list;
}

const Provider* Providers::find(std::string_view name) const {
  if (own_ && own_->name == name) return own();
  for (const Provider& provider : providers_) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

const Provider* Providers::find_by_issuer(std::string_view issuer) const {
  for (const Provider& provider : providers_) {
    if (provider.issuer->config().issuer == issuer) return &provider;
  }
  const bool is_own = own_ && own()->issuer->config().issuer == issuer;
  return is_own ? own() : nullptr;
}

}  // namespace kvcs::portal
