#include "kv/keyspace.h"

#include <algorithm>
#include <array>
#include <initializer_list>

namespace kvcs::keyspace {
namespace {

std::string concat(std::initializer_list<std::string_view> parts) {
  size_t size = 0;
  for (const auto part : parts) size += part.size();
  std::string key;
  key.reserve(size);
  for (const auto part : parts) key.append(part);
  return key;
}

// Padded so that keys sort by number; a negative time sorts first as zero.
std::string padded(int64_t number, size_t digits) {
  std::string text = std::to_string(std::max<int64_t>(number, 0));
  if (text.size() < digits) text.insert(0, digits - text.size(), '0');
  return text;
}
constexpr size_t kDueDigits = 12;
constexpr size_t kOutboxDigits = 15;

bool starts_with_one_of(std::string_view key, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return key.starts_with(prefix); });
}

}  // namespace

std::string api_key(std::string_view sha256_hex) {
  return concat({"apikey:", sha256_hex});
}
std::string tenant_auth(std::string_view sha256_hex) {
  return concat({"tenant_auth:", sha256_hex});
}
std::string admin_key(std::string_view sha256_hex) {
  return concat({"adminkey:", sha256_hex});
}
std::string org_config(std::string_view org_id) {
  return concat({"org:", org_id, ":config"});
}
std::string org_slug(std::string_view slug) {
  return concat({"org_slug:", slug});
}
std::string org_key(std::string_view org_id, std::string_view key_id) {
  return concat({"org:", org_id, ":keys:", key_id});
}
std::string org_key_prefix(std::string_view org_id) {
  return org_key(org_id, {});
}
std::string tenant_token(std::string_view org_id, std::string_view token_id) {
  return concat({"org:", org_id, ":tokens:", token_id});
}
std::string tenant_token_prefix(std::string_view org_id) {
  return tenant_token(org_id, {});
}
std::string org_credential(std::string_view org_id, std::string_view provider) {
  return concat({"org:", org_id, ":credential:", provider});
}
std::string user_config(std::string_view user_id) {
  return concat({"user:", user_id, ":config"});
}
std::string user_email(std::string_view org_id, std::string_view email) {
  return concat({"user_email:", org_id, ":", email});
}
std::string user_email_prefix() {
  return "user_email:";
}
std::string user_key(std::string_view user_id, std::string_view key_id) {
  return concat({"user:", user_id, ":keys:", key_id});
}
std::string user_key_prefix(std::string_view user_id) {
  return user_key(user_id, {});
}
std::string admin_key_view(std::string_view key_id) {
  return concat({"admin:keys:", key_id});
}
std::string api_config(std::string_view provider) {
  return concat({"api_config:", provider});
}
std::string tenant_config(std::string_view tenant) {
  return concat({"tenant_config:", tenant});
}
std::string agent_schedule(std::string_view tenant) {
  return concat({"agent_job_schedule:", tenant});
}
std::string ai_provider(std::string_view name) {
  return concat({"ai_provider:", name});
}
std::string ai_price(std::string_view model) {
  return concat({"ai_price:", model});
}
std::string ai_org_price(std::string_view org_id, std::string_view model) {
  return concat({"ai_price:", org_id, ":", model});
}
std::string token(std::string_view tenant, std::string_view provider, std::string_view account) {
  return concat({"tokens:", tenant, ":", provider, ":", account});
}
std::string token_prefix(std::string_view tenant, std::string_view provider) {
  return token(tenant, provider, {});
}
std::string refresh(std::string_view tenant, std::string_view provider, std::string_view account) {
  return concat({"refresh:", tenant, ":", provider, ":", account});
}
std::string refresh_due(int64_t due_unix_s, std::string_view tenant, std::string_view provider,
                        std::string_view account) {
  return concat(
      {"refresh_due:", padded(due_unix_s, kDueDigits), ":", tenant, ":", provider, ":", account});
}
std::string refresh_due_before(int64_t unix_s) {
  return concat({"refresh_due:", padded(unix_s, kDueDigits)});
}
std::string quota(std::string_view kind, std::string_view id, std::string_view month) {
  return concat({"quota:", kind, ":", id, ":", month});
}
std::string grace(std::string_view org_id, std::string_view day) {
  return concat({"grace:", org_id, ":", day});
}
std::string adjustments_of(std::string_view user_id) {
  return concat({"adjustment:", user_id, ":"});
}
std::string adjustment(std::string_view user_id, int64_t unix_ms) {
  return adjustments_of(user_id) + padded(unix_ms, kOutboxDigits);
}
std::string last_used(std::string_view key_id) {
  return concat({"last_used:", key_id});
}
std::string cron(std::string_view job) {
  return concat({"cron:", job});
}
std::string idempotency(std::string_view scope, std::string_view hash) {
  return concat({"idempotency:", scope, ":", hash});
}
std::string outbox(int64_t unix_ms, std::string_view id) {
  return concat({padded(unix_ms, kOutboxDigits), ":", id});
}

KvFamily family_of_key(std::string_view key) {
  if (starts_with_one_of(key, {"apikey:", "tenant_auth:", "adminkey:"})) return KvFamily::kAuth;
  if (starts_with_one_of(key, {"tokens:", "refresh:", "refresh_due:"})) return KvFamily::kTokens;
  if (starts_with_one_of(key, {"quota:", "grace:", "adjustment:"})) return KvFamily::kQuota;
  if (starts_with_one_of(key, {"user:", "org:"}) && key.ends_with(":quota")) {
    return KvFamily::kQuota;
  }
  if (starts_with_one_of(key, {"system:", "system_state:", "briefing:", "cron:", "idempotency:",
                               "last_used:", "oauth_state:", "agent_state:"})) {
    return KvFamily::kSystem;
  }
  return KvFamily::kConfig;
}

}  // namespace kvcs::keyspace
