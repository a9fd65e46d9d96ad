// Readers and writers that handlers of the admin API share. They refuse in one voice: the member,
// the value, what is allowed.
#include "identity/admin_common.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/money.h"
#include "http/json_api.h"
#include "identity/access.h"
#include "identity/keys.h"

namespace kvcs::admin_api {
namespace {
// A list of models is read by every request of the key.
constexpr size_t kModelsMax = 200;
constexpr size_t kModelMaxBytes = 200;
// Amounts that people set have six decimals at most, so that what is shown is what was set.
constexpr int64_t kMicroInNano = 1000;
}  // namespace

AuditContext who(const http::Request& request) {
  return admin_context(request.principal, request.request_id);
}

Status operator_only(std::string_view member) {
  return forbidden(printable(member, kShownName) +
                   ": only an operator of this daemon sets it. Ask one.")
      .with_reason("operator_only");
}

Status check_own_members(const http::Request& request, const Json& body,
                         std::initializer_list<std::string_view> own) {
  if (access::is_operator(request.principal)) return ok();
  for (const auto& [name, value] : body.items()) {
    if (std::find(own.begin(), own.end(), name) == own.end()) return operator_only(name);
  }
  return ok();
}

AuditContext who_from(const http::Request& request) {
  AuditContext context = caller_context(request.principal, request.request_id);
  context.source += " " + request.remote_ip;
  return context;
}

Result<bool> wants_rebind(const http::Request& request) {
  const bool asked = KVCS_TRY(http::read_flag(request, "rebind"));
  if (asked && request.principal.role != AdminRole::kOwner) {
    return forbidden(
        "rebind: only an owner may let stored secrets go to another origin; send the "
        "secrets again instead.");
  }
  return asked;
}

std::optional<int64_t> optional_usd(JsonReader& reader, std::string_view name) {
  const std::optional<std::string> decimal = reader.optional_decimal(name);
  if (!decimal) return std::nullopt;
  const Result<int64_t> nano_usd = parse_nano_usd(*decimal, name);
  if (!nano_usd.ok()) {
    reader.fail(name, "'" + printable(*decimal, kShownWord) + "' is not an amount between 0 and " +
                          std::to_string(kUsdMax) + " USD.");
    return std::nullopt;
  }
  if (nano_usd.value() > kUsdMax * kNanoUsdPerUsd) {
    reader.fail(name, "is over " + std::to_string(kUsdMax) + " USD.");
    return std::nullopt;
  }
  if (nano_usd.value() % kMicroInNano != 0) {
    reader.fail(name, "has more than 6 decimals.");
    return std::nullopt;
  }
  return nano_usd.value();
}

bool is_null(const Json& body, std::string_view name) {
  if (!body.is_object()) return false;
  const auto it = body.find(std::string(name));
  return it != body.end() && it->is_null();
}

std::optional<int64_t> optional_limit(const Json& body, JsonReader& reader, std::string_view name) {
  const std::optional<int64_t> limit = reader.optional_integer(name, 0, 1'000'000'000'000);
  if (!limit && is_null(body, name)) return kNoLimit;
  return limit;
}

std::optional<std::vector<std::string>> optional_models(JsonReader& reader) {
  const Json* array = reader.array("allowed_models");
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> models;
  for (const Json& item : *array) {
    if (!item.is_string() || item.get_ref<const std::string&>().empty() ||
        item.get_ref<const std::string&>().size() > kModelMaxBytes || models.size() >= kModelsMax) {
      reader.fail("allowed_models", "must hold at most " + std::to_string(kModelsMax) +
                                        " names of 1 to " + std::to_string(kModelMaxBytes) +
                                        " bytes.");
      return std::nullopt;
    }
    models.push_back(item.get<std::string>());
  }
  return models;
}

std::optional<bool> optional_status(JsonReader& reader) {
  const auto status = reader.optional_one_of("status", {"active", "suspended"});
  if (!status) return std::nullopt;
  return *status == "active";
}

std::optional<int64_t> optional_time(const Json& body, JsonReader& reader, std::string_view name) {
  const std::optional<std::string> text = reader.optional_string(name, {.max_bytes = 40});
  if (!text) return is_null(body, name) ? std::optional<int64_t>(0) : std::nullopt;
  const Result<int64_t> unix_ms = parse_iso8601_ms(*text);
  if (!unix_ms.ok() || unix_ms.value() <= 0) {
    reader.fail(name,
                "'" + printable(*text, kShownWord) + "' is not a time like 2026-12-31T00:00:00Z.");
    return std::nullopt;
  }
  return unix_ms.value();
}

Result<int64_t> read_expiry(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::optional<int64_t> expires_ms = optional_time(body, reader, "expires_at");
  KVCS_TRY(reader.finish());
  if (!expires_ms) return invalid("expires_at: required; a time, or null for never.");
  return *expires_ms;
}

Result<int64_t> read_overlap(http::Request& request, int64_t default_s) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const int64_t overlap_s =
      reader.optional_integer("overlap_s", 0, kKeyOverlapMaxS).value_or(default_s);
  KVCS_TRY(reader.finish());
  return overlap_s;
}

std::optional<std::vector<std::string>> optional_scopes(JsonReader& reader, std::string_view name) {
  const Json* array = reader.array(name);
  if (array == nullptr) return std::nullopt;
  std::vector<std::string> scopes;
  for (const Json& item : *array) {
    const std::vector<std::string> word = {item.is_string() ? item.get<std::string>() : ""};
    if (access::scope_of(word) == Scope::kNone) {
      reader.fail(name,
                  "'" + printable(word[0], kShownWord) + "' is not one of: read, write, admin.");
      return std::nullopt;
    }
    if (std::find(scopes.begin(), scopes.end(), word[0]) == scopes.end()) scopes.push_back(word[0]);
  }
  if (scopes.empty()) {
    reader.fail(name, "must name at least one of: read, write, admin.");
    return std::nullopt;
  }
  return scopes;
}

// The hash is left out as well: with it a stolen list would tell whether a key that was found
// somewhere is good, without one request.
Json key_json(const KeyRecord& key) {
  Json json{{"key_id", key.id}, {"name", key.name}, {"status", key_status_name(key.status)}};
  json["key_prefix"] = key.key_prefix;
  if (!key.project_id.empty()) json["project_id"] = key.project_id;
  if (!key.user_id.empty()) json["user_id"] = key.user_id;
  if (key.kind == PrincipalKind::kAdminKey) json["role"] = admin_role_name(key.role);
  if (!key.scopes.empty()) json["scopes"] = key.scopes;
  if (key.kind == PrincipalKind::kUserKey) {
    json["monthly_limit_usd"] =
        key.limits.monthly_nano_usd < 0 ? Json(nullptr) : usd_json(key.limits.monthly_nano_usd);
    json["requests_per_minute"] = limit_json(key.limits.requests_per_minute);
    json["tokens_per_minute"] = limit_json(key.limits.tokens_per_minute);
    json["allowed_models"] = key.limits.allowed_models;
  }
  json["created_at"] = time_json(key.created_ms);
  json["expires_at"] = time_json(key.expires_ms);
  json["last_used_at"] = time_json(key.last_used_ms);
  if (key.revoked_ms != 0) json["revoked_at"] = time_json(key.revoked_ms);
  return json;
}

}  // namespace kvcs::admin_api
