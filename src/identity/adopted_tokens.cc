// Makes tokens of the bearers that another system's store brings. The record under the hash keeps
// the members that it came with, so that the store can be moved back.
#include "identity/adopted_tokens.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/id.h"
#include "base/log.h"
#include "identity/names.h"
#include "identity/records.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr size_t kSha256HexBytes = 64;
constexpr std::string_view kRevoked = "revoked";
constexpr size_t kAdoptedPerBatch = 200;  // At a start; two records each.

// The hash in the key's name, of a record that has no id of ours; "" for all others.
std::string_view foreign_hash(const KvBatch::Op& op) {
  const std::string prefix = keyspace::tenant_auth("");
  if (op.family != KvFamily::kAuth || !op.entry || !op.key.starts_with(prefix)) return {};
  const std::string_view hash = std::string_view(op.key).substr(prefix.size());
  const Result<Json> record = parse_json(op.entry->value);
  if (hash.size() != kSha256HexBytes || !record.ok() || !record.value().is_object()) return {};
  const bool is_foreign = text_member(record.value(), "key_id").empty() &&
                          text_member(record.value(), "status") != kRevoked &&
                          is_slug(text_member(record.value(), "tenant_id"));
  return is_foreign ? hash : std::string_view();
}

}  // namespace

TokenAdoption::TokenAdoption(const KvStore& kv, AuditedKv& audited,
                             OrganizationService& organizations, const Clock& clock,
                             Entropy& entropy)
    : kv_(kv), audited_(audited), organizations_(organizations), clock_(clock), entropy_(entropy) {}

// Found, or created as PUT /admin/tenants/{tenant} would.
Result<std::string> TokenAdoption::organization_of(std::string_view tenant,
                                                   const AuditContext& who) const {
  const Result<Organization> known = organizations_.find_by_slug(tenant);
  if (known.ok()) return known.value().id;
  if (known.code() != Code::kNotFound) return known.status();
  Organization wanted;
  wanted.slug = wanted.name = tenant;
  const Result<Organization> created = organizations_.create_for_tenant(std::move(wanted), who);
  if (created.ok()) return created.value().id;
  if (created.status().reason() != "slug_exists") return created.status();
  return KVCS_TRY(organizations_.find_by_slug(tenant)).id;  // Another import was quicker.
}

// What is known of the bearer here already: an id that lists show, and that it was revoked.
Status TokenAdoption::take_over(const std::string& key, KeyRecord& token) const {
  const Result<KvEntry> stored = kv_.get(KvFamily::kAuth, key);
  if (!stored.ok()) return stored.code() == Code::kNotFound ? ok() : stored.status();
  const Result<KeyRecord> here = parse_key(stored.value().value, token.kind);
  if (!here.ok() || here.value().organization_id != token.organization_id) return ok();
  token.id = here.value().id;
  if (here.value().status == KeyStatus::kRevoked) {
    token.status = KeyStatus::kRevoked;
    token.revoked_ms = here.value().revoked_ms;
  }
  return ok();
}

// Invalid: the tenant's name is no slug that an organization may have. Internal: the record is
// damaged.
Status TokenAdoption::adopt_one(const KvBatch::Op& op, const std::string& hash, KvBatch& out,
                                const AuditContext& who) const {
  KeyRecord token = KVCS_TRY(parse_key(op.entry->value, PrincipalKind::kTenantToken));
  Json json = KVCS_TRY(parse_json(op.entry->value));
  token.organization_id = KVCS_TRY(organization_of(text_member(json, "tenant_id"), who));
  token.key_hash = hash;
  token.name = normal_name(token.name).value_or("imported");  // Nobody is there to be refused.
  if (token.created_ms == 0) token.created_ms = clock_.unix_ms();
  if (const int64_t end_ms = op.entry->expires_at_s * 1000; end_ms != 0) {
    token.expires_ms = token.expires_ms == 0 ? end_ms : std::min(token.expires_ms, end_ms);
  }
  KVCS_TRY(take_over(op.key, token));
  if (token.id.empty()) token.id = make_uuid_v7(entropy_, clock_.unix_ms());
  json.update(KVCS_TRY(parse_json_exact(key_to_json(token))));
  KvEntry entry = *op.entry;
  entry.value = dump_json(json);
  out.put(KvFamily::kConfig, keyspace::tenant_token(token.organization_id, token.id), entry.value);
  out.put(op.family, op.key, std::move(entry));
  return ok();
}

Result<KvBatch> TokenAdoption::adopt(const KvBatch& incoming, const AuditContext& who) const {
  KvBatch out;
  for (const KvBatch::Op& op : incoming.ops()) {
    const std::string hash(foreign_hash(op));
    if (hash.empty()) {
      op.entry ? out.put(op.family, op.key, *op.entry) : out.remove(op.family, op.key);
      continue;
    }
    const Status adopted = adopt_one(op, hash, out, who);
    if (adopted.ok()) continue;
    if (adopted.code() != Code::kInvalid && adopted.code() != Code::kInternal) return adopted;
    log::warn("token.not_adopted", {{"key_hash", hash}, {"error", adopted.message()}});
    out.put(op.family, op.key, *op.entry);
  }
  return out;
}

// Nothing when the bearer's tenant is here; else its record as one that was revoked.
Result<std::optional<std::string>> TokenAdoption::without_tenant(const KvItem& item) const {
  Json json = KVCS_TRY(parse_json(item.entry.value));
  const std::string tenant = text_member(json, "tenant_id");
  const Status organization = organizations_.find_by_slug(tenant).status();
  if (organization.ok()) return std::optional<std::string>();
  if (organization.code() != Code::kNotFound) return organization;
  const Status configured = kv_.get(KvFamily::kConfig, keyspace::tenant_config(tenant)).status();
  if (configured.ok()) return std::optional<std::string>();
  if (configured.code() != Code::kNotFound) return configured;
  json["status"] = kRevoked;
  return std::optional<std::string>(dump_json(json));
}

Result<int64_t> TokenAdoption::adopt_stored(const AuditContext& who) const {
  int64_t adopted = 0;
  KvBatch found;
  const auto flush = [&]() -> Status {
    KvBatch batch;
    const KvBatch made = KVCS_TRY(adopt(found, who));
    if (made.ops().size() > found.ops().size()) KVCS_TRY(audited_.write(made, who));
    adopted += static_cast<int64_t>(made.ops().size() - found.ops().size());
    found = KvBatch();
    return ok();
  };
  const auto visit = [&](const KvItem& item) -> Status {
    KvBatch one;
    one.put(KvFamily::kAuth, item.key, item.entry);
    if (foreign_hash(one.ops().front()).empty()) return ok();
    if (const auto revoked = KVCS_TRY(without_tenant(item))) {
      log::warn("token.revoked", {{"key", item.key}, {"reason", "its tenant is not here"}});
      KvEntry entry = item.entry;
      entry.value = *revoked;
      KvBatch batch;
      batch.put(KvFamily::kAuth, item.key, std::move(entry));
      return audited_.write(batch, who);
    }
    found.append(std::move(one));
    return found.ops().size() < kAdoptedPerBatch ? ok() : flush();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kAuth, keyspace::tenant_auth(""), visit));
  if (!found.empty()) KVCS_TRY(flush());
  return adopted;
}

}  // namespace kvcs
