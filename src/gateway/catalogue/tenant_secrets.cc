// Takes secret values out of tenants' records, and puts them back.
#include "gateway/catalogue/tenant_secrets.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/secret_names.h"

namespace kvcs::gateway {
namespace {

constexpr std::string_view kHidden = "***";
constexpr const char* kSealedMember = "secrets_sealed";

// `visit` may change the value; of what it returns false the member goes.
void for_each_secret(Json& record,
                     const std::function<bool(const std::string& object, const std::string& name,
                                              Json& value)>& visit) {
  for (auto& [object, members] : record.items()) {
    if (!members.is_object()) continue;
    for (auto it = members.begin(); it != members.end();) {
      const bool is_secret = it->is_string() && is_secret_name(it.key());
      const bool stays = !is_secret || visit(object, it.key(), *it);
      it = stays ? std::next(it) : members.erase(it);
    }
  }
}

std::string context_of(std::string_view key) {
  return std::string(key) + ":secrets";
}

// {object: {name: value}}; empty when nothing is sealed. Nothing: it does not open.
std::optional<Json> open(const Json& record, std::string_view key, const Sealer& sealer) {
  const std::string sealed = text_member(record, kSealedMember);
  if (sealed.empty()) return Json::object();
  const Result<Secret> plain = sealer.open(sealed, context_of(key));
  if (!plain.ok()) return {};
  Result<Json> secrets = parse_json(plain->reveal());
  if (!secrets.ok() || !secrets->is_object()) return {};
  return std::move(secrets).value();
}

}  // namespace

bool has_clear_secrets(const Json& record) {
  if (!record.is_object()) return false;
  for (const auto& [object, members] : record.items()) {
    if (!members.is_object()) continue;
    for (const auto& [name, value] : members.items()) {
      if (value.is_string() && value != kHidden && is_secret_name(name)) return true;
    }
  }
  return false;
}

std::optional<Json> with_sealed_secrets(Json record, std::string_view key, const Sealer& sealer) {
  std::optional<Json> secrets = open(record, key, sealer);
  if (!secrets) return {};
  for_each_secret(record, [&](const std::string& object, const std::string& name, Json& value) {
    if (value != kHidden) (*secrets)[object][name] = std::exchange(value, kHidden);
    return true;
  });
  record[kSealedMember] = sealer.seal(dump_json(*secrets), context_of(key));
  return record;
}

Json with_clear_secrets(Json record, std::string_view key, const Sealer& sealer) {
  if (!record.contains(kSealedMember)) return record;
  const std::optional<Json> secrets = open(record, key, sealer);
  if (!secrets) log::error("tenant.secrets_unreadable", {{"key", key}});
  for_each_secret(record, [&](const std::string& object, const std::string& name, Json& value) {
    if (value != kHidden) return true;
    const std::string secret =
        secrets && secrets->contains(object) ? text_member((*secrets)[object], name.c_str()) : "";
    value = secret;
    return !secret.empty();
  });
  record.erase(kSealedMember);
  return record;
}

Json with_hidden_secrets(Json record) {
  for_each_secret(record, [](const std::string&, const std::string&, Json& value) {
    value = kHidden;
    return true;
  });
  record.erase(kSealedMember);
  return record;
}

}  // namespace kvcs::gateway
