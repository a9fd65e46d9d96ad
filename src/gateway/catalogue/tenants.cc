// Reads and writes tenants' records, and the mode that stops every call at once.
#include "gateway/catalogue/tenants.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/secret_names.h"
#include "gateway/catalogue/tenant_secrets.h"
#include "gateway/gateway.h"
#include "identity/directory.h"
#include "identity/names.h"
#include "kv/if_match.h"
#include "kv/keyspace.h"

namespace kvcs::gateway {
namespace {

// Of a read, change and write that others disturb.
constexpr int kChangeAttemptsMax = 5;
constexpr size_t kTenantsMax = 100'000;
constexpr size_t kIncarnationBytes = 8;
constexpr std::string_view kModeKey = keyspace::kGatewayMode;

Status missing(std::string_view tenant) {
  return not_found("Tenant '" + printable(tenant, kShownName) + "' is not set up for the gateway.")
      .with_reason("TENANT_NOT_FOUND");
}

// Reads what calls need. A status that is not known counts as not active: it must not open a door.
Tenant tenant_of(std::string_view id, const Json& record) {
  Tenant tenant;
  tenant.id = id;
  tenant.name = text_member(record, "name");
  const std::string status = text_member(record, "status");
  tenant.active = status.empty() || status == "active";
  tenant.private_apis = Tenants::has_private_apis(record);
  for (const auto& [name, value] : record.items()) {
    // Every object beside billing and limits is meta for the provider of that name.
    if (!value.is_object() || name == "billing") continue;
    if (name == "limits") {
      const auto rate = value.find("requests_per_minute");
      if (rate != value.end() && rate->is_number_integer()) {
        tenant.requests_per_minute = rate->get<int64_t>();
      }
      continue;
    }
    for (const auto& [key, text] : value.items()) {
      if (text.is_string()) tenant.provider_meta[name][key] = text.get<std::string>();
    }
  }
  return tenant;
}

// A record that came by an import has no incarnation, and is what it says.
std::string incarnation_of_bytes(std::string_view record) {
  return "sha256:" + sha256_hex(record);
}

// Stricter than reading: a record that is written now must fit, one of another system is read as
// far as it fits.
Status check_record(const Json& record) {
  JsonReader reader(record);
  reader.optional_string("tenant_id", {.max_bytes = 64});
  reader.optional_string("incarnation");  // Of a record that was read; what is stored stays.
  const auto called = reader.optional_string("name", {.min_bytes = 0, .max_bytes = 200});
  if (called && !called->empty()) KVCS_TRY(normal_name(*called).status());
  reader.optional_one_of("status", {"active", "suspended"});
  reader.optional_boolean("private_apis");
  reader.array("providers");
  reader.object("billing");
  if (const Json* limits = reader.object("limits")) {
    JsonReader inner(*limits, "limits");
    inner.optional_integer("requests_per_minute", 0, 10'000'000);
    KVCS_TRY(inner.finish());
  }
  for (const auto& [name, value] : record.items()) {
    if (name == "billing" || name == "limits" || !value.is_object()) continue;
    reader.member(name);
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string())
        return invalid(name + "." + printable(key, kShownName) + ": must be a string.");
      if (is_secret_name(key)) {
        return invalid(name + "." + printable(key, kShownName) +
                       ": is secret by its name; put it into secrets of the provider's accounts.");
      }
    }
  }
  return reader.finish();
}

}  // namespace

Tenants::Tenants(const KvStore& kv, AuditedKv& audited, WatchedKv& changes, Entropy& entropy,
                 const Sealer& sealer)
    : kv_(kv),
      audited_(audited),
      entropy_(entropy),
      sealer_(sealer),
      tenants_(kTenantsMax),
      modes_(1) {
  changes.add_listener([this](KvFamily family, std::string_view key) {
    if (family == KvFamily::kConfig && key.starts_with(keyspace::kTenantConfigPrefix)) {
      tenants_.invalidate(key);
      may_hold_clear_ = true;
    }
    if (family == KvFamily::kSystem && key == kModeKey) modes_.invalidate(key);
  });
}

Result<Json> Tenants::find_record(std::string_view tenant) const {
  if (!is_id_part(tenant)) return missing(tenant);
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::tenant_config(tenant));
  if (entry.code() == Code::kNotFound) return missing(tenant);
  if (!entry.ok()) return entry.status();
  Result<Json> record = parse_json(entry.value().value);
  if (!record.ok() || !record.value().is_object()) {
    return internal("the record tenant_config:" + std::string(tenant) + " is damaged");
  }
  return record;
}

// What is no boolean must not open a door.
bool Tenants::has_private_apis(const Json& record) {
  const auto said = record.find("private_apis");
  return said == record.end() || (said->is_boolean() && said->get<bool>());
}

Json Tenants::shown(Json record) {
  if (record.is_object()) record["private_apis"] = has_private_apis(record);
  return with_hidden_secrets(std::move(record));
}

Result<Json> Tenants::find_shown(std::string_view tenant) const {
  return shown(KVCS_TRY(find_record(tenant)));
}

Result<Tenants::Pointer> Tenants::find(std::string_view tenant) const {
  return tenants_.find_or_load(keyspace::tenant_config(tenant),
                               [&](std::string_view key) -> Result<Tenant> {
                                 Json record = KVCS_TRY(find_record(tenant));
                                 record = with_clear_secrets(std::move(record), key, sealer_);
                                 return tenant_of(tenant, record);
                               });
}

Result<int64_t> Tenants::seal_secrets(const AuditContext& who,
                                      const std::function<bool()>& cancelled) {
  if (!may_hold_clear_.exchange(false)) return 0;
  int64_t sealed = 0;
  bool is_whole = true;
  const auto seal = [&](const KvItem& item) -> Status {
    if (cancelled()) is_whole = false;
    if (!is_whole) return ok();
    const Result<Json> before = parse_json(item.entry.value);
    if (!before.ok() || !has_clear_secrets(*before)) return ok();
    std::optional<Json> record = with_sealed_secrets(*before, item.key, sealer_);
    if (!record) return ok();
    // A record without one is known by its bytes (find_root), which change now.
    if (text_member(*record, "incarnation").empty()) {
      (*record)["incarnation"] = incarnation_of_bytes(item.entry.value);
    }
    KvEntry entry = item.entry;
    entry.value = dump_json(*record);
    KvBatch batch;
    batch.put(KvFamily::kConfig, item.key, std::move(entry));
    const Status written =
        audited_.compare_and_swap(KvFamily::kConfig, item.key, item.entry.value, batch, who);
    if (written.code() == Code::kConflict) return ok();  // It was written, and is looked at again.
    KVCS_TRY(Status(written));
    ++sealed;
    return ok();
  };
  const Status walked = kv_for_each(kv_, KvFamily::kConfig, keyspace::kTenantConfigPrefix, seal);
  if (!walked.ok() || !is_whole) may_hold_clear_ = true;
  KVCS_TRY(Status(walked));
  return sealed;
}

bool Tenants::fits(const SearchText& search, std::string_view record) {
  return search.fits_members(record, {"tenant_id", "name"});
}

Result<TenantPage> Tenants::list(const ListAsk& ask) const {
  TenantPage page;
  const auto step = [&](const KvItem& item) -> Result<Walked> {
    if (!fits(ask.search, item.entry.value)) return Walked::kPassed;
    Result<Json> record = parse_json(item.entry.value);
    if (!record.ok()) return Walked::kPassed;
    page.records.push_back(std::move(record).value());
    return Walked::kTaken;
  };
  page.cursor = KVCS_TRY(walk_list(kv_, KvFamily::kConfig, keyspace::tenant_config(""), ask, step));
  return page;
}

Result<std::string> Tenants::etag(std::string_view tenant) const {
  return etag_of_record(kv_, KvFamily::kConfig, keyspace::tenant_config(tenant));
}

Result<TenantRecord> Tenants::find_root(std::string_view tenant) const {
  if (!is_id_part(tenant)) return missing(tenant);
  std::string key = keyspace::tenant_config(tenant);
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, key);
  if (entry.ok()) {
    const Result<Json> record = parse_json(entry->value);
    std::string incarnation = record.ok() ? text_member(*record, "incarnation") : "";
    if (incarnation.empty()) incarnation = incarnation_of_bytes(entry->value);
    return TenantRecord{std::move(key), std::move(entry->value), std::move(incarnation)};
  }
  if (entry.code() != Code::kNotFound) return entry.status();
  key = keyspace::org_slug(tenant);
  entry = kv_.get(KvFamily::kConfig, key);
  if (entry.code() == Code::kNotFound) return missing(tenant);
  if (!entry.ok()) return entry.status();
  std::string organization = "organization:" + entry->value;
  return TenantRecord{std::move(key), std::move(entry->value), std::move(organization)};
}

// The incarnation of the record that is there, or a new one; and of private_apis what it says, when
// the new record does not name it.
void Tenants::keep_members(std::string_view tenant, bool names_apis, Json& record) const {
  const Result<Json> before = find_record(tenant);
  std::string incarnation = before.ok() ? text_member(*before, "incarnation") : "";
  if (incarnation.empty()) incarnation = to_hex(entropy_.bytes(kIncarnationBytes));
  record["incarnation"] = std::move(incarnation);
  if (names_apis) return;
  record.erase("private_apis");
  if (before.ok() && before->contains("private_apis")) {
    record["private_apis"] = has_private_apis(*before);
  }
}

Result<Json> Tenants::put(std::string_view tenant, Json record, const AuditContext& who,
                          std::string_view if_match) {
  if (!is_id_part(tenant)) {
    return invalid("tenant: '" + printable(tenant, kShownName) +
                   "' must be 1 to 64 of a-z 0-9 _ . -");
  }
  if (!record.is_object()) return invalid("The body must be an object.");
  KVCS_TRY(check_record(record));
  if (record.contains("tenant_id") && record["tenant_id"] != std::string(tenant)) {
    return invalid("tenant_id: is not the tenant of the URL.");
  }
  Json whole = {{"tenant_id", std::string(tenant)}, {"status", "active"}};
  whole.update(record);
  // A record that is deleted and made anew between the look and the write keeps its own.
  for (int attempt = 1;; ++attempt) {
    const std::string seen = KVCS_TRY(etag(tenant));
    keep_members(tenant, record.contains("private_apis"), whole);
    const Status written =
        put_if_match(kv_, audited_, KvFamily::kConfig, keyspace::tenant_config(tenant),
                     dump_json(whole), if_match.empty() ? seen : if_match, who);
    if (written.ok()) return whole;
    const bool overtaken = if_match.empty() && written.reason() == "etag_mismatch";
    if (!overtaken || attempt == kChangeAttemptsMax) return written;
  }
}

Status Tenants::set_active(std::string_view tenant, bool active, const AuditContext& who) {
  if (!is_id_part(tenant)) return missing(tenant);
  // Read and written as one: another's change of the record must not be undone by this.
  for (int attempt = 1;; ++attempt) {
    const std::string seen = KVCS_TRY(etag(tenant));
    Json record = KVCS_TRY(find_record(tenant));
    record["status"] = active ? "active" : "suspended";
    const Status written =
        put_if_match(kv_, audited_, KvFamily::kConfig, keyspace::tenant_config(tenant),
                     dump_json(record), seen, who);
    if (written.code() != Code::kConflict || attempt == kChangeAttemptsMax) return written;
  }
}

bool Tenants::frozen() const {
  const auto mode = modes_.find_or_load(kModeKey, [this](std::string_view key) -> Result<bool> {
    const Result<KvEntry> entry = kv_.get(KvFamily::kSystem, key);
    if (entry.code() == Code::kNotFound) return false;
    if (!entry.ok()) return entry.status();
    // Plain or as a JSON string.
    return entry.value().value == "frozen" || entry.value().value == "\"frozen\"";
  });
  return mode.ok() && **mode;
}

Status Tenants::set_frozen(bool frozen, const AuditContext& who) {
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(kModeKey), frozen ? "frozen" : "active");
  return audited_.write(batch, who);
}

Status check_tenant(const Tenants& tenants, const Directory& directory, std::string_view tenant) {
  const Status known = tenants.find(tenant).status();
  if (known.code() != Code::kNotFound) return known;
  const Status organization = directory.organization_by_slug(tenant).status();
  return organization.code() == Code::kNotFound ? known : organization;
}

Status check_tenant_active(const Tenants& tenants, const Directory& directory,
                           std::string_view tenant) {
  KVCS_TRY(check_tenant(tenants, directory, tenant));
  const auto record = tenants.find(tenant);
  const auto organization = directory.organization_by_slug(tenant);
  if ((record.ok() && !record.value()->active) ||
      (organization.ok() && !organization.value()->active)) {
    return forbidden("Tenant " + printable(tenant, kShownName) + " is suspended.")
        .with_reason("TENANT_SUSPENDED");
  }
  return ok();
}

}  // namespace kvcs::gateway
