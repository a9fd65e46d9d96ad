// Handlers of the store's admin routes: reads of single keys and pages, audited writes, and the
// bulk form in both directions as a stream.
#include "ops/kv_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/secret_names.h"
#include "http/json_api.h"
#include "kv/bulk_json.h"
#include "kv/keyspace.h"

namespace kvcs {

namespace {

// The outbox is the ledger's, and soon in SQL.
constexpr std::array kBrowsed = {KvFamily::kAuth, KvFamily::kConfig, KvFamily::kTokens,
                                 KvFamily::kQuota, KvFamily::kSystem};

// {family}, or "auto": the one that a key of this form has.
Result<KvFamily> family_of(const http::Request& request, std::string_view key) {
  const std::string_view name = request.param("family");
  if (name == "auto") return keyspace::family_of_key(key);
  return parse_kv_family(name);
}

// The outbox belongs to the ledger: an entry changed by hand would break the audit's chain.
Result<KvFamily> writable_family(const http::Request& request) {
  const KvFamily family = KVCS_TRY(family_of(request, request.param("key")));
  if (family == KvFamily::kOutbox) return invalid("The family 'outbox' is read-only.");
  return family;
}

Json metadata_json(const KvEntry& entry) {
  if (entry.metadata.empty()) return nullptr;
  Result<Json> parsed = parse_json(entry.metadata);
  return parsed.ok() ? std::move(parsed).value() : Json(nullptr);
}

Json describe_key(const KvItem& item) {
  Json key{{"name", item.key}, {"size_bytes", item.entry.value.size()}};
  if (item.entry.expires_at_s != 0) key["expiration"] = item.entry.expires_at_s;
  if (!item.entry.metadata.empty()) key["metadata"] = metadata_json(item.entry);
  return key;
}

Result<int64_t> expiry_of(const http::Request& request, const Clock& clock) {
  const auto at = request.query_value("expiration");
  const auto ttl = request.query_value("expiration_ttl");
  if (at && ttl) return invalid("expiration and expiration_ttl exclude each other.");
  if (!at && !ttl) return int64_t{0};
  const uint64_t seconds =
      KVCS_TRY(parse_u64(at ? *at : *ttl, at ? "expiration" : "expiration_ttl"));
  const int64_t expires_at_s =
      static_cast<int64_t>(std::min<uint64_t>(seconds, UINT32_MAX)) + (at ? 0 : clock.unix_s());
  if (expires_at_s <= clock.unix_s()) {
    return invalid(std::string(at ? "expiration" : "expiration_ttl") + ": lies in the past.");
  }
  return expires_at_s;
}

}  // namespace

bool is_hidden_kv_value(KvFamily family, std::string_view key) {
  if (family == KvFamily::kTokens) return true;
  if (family == KvFamily::kConfig) {
    return keyspace::is_credential(key) || keyspace::is_password(key);
  }
  return family == KvFamily::kSystem && keyspace::is_private_state(key);
}

namespace {

bool is_hidden_member(std::string_view name) {
  if (name == "sealed" || name.starts_with("sealed_") || name.ends_with("_sealed")) return true;
  // Addresses are named after what is got there: token_url.
  return is_secret_name(name) && !name.ends_with("_url");
}

// True when something was hidden.
bool hide_members(Json& value) {
  bool hidden = false;
  if (value.is_array()) {
    for (Json& one : value) hidden |= hide_members(one);
  }
  if (!value.is_object()) return hidden;
  for (auto& [name, member] : value.items()) {
    if (is_hidden_member(name) && member.is_string() && !member.get_ref<std::string&>().empty()) {
      member = "***";
      hidden = true;
    } else if (name == "secrets" && member.is_object()) {
      for (auto& [secret, text] : member.items()) text = "***";
      hidden |= !member.empty();
    } else {
      hidden |= hide_members(member);
    }
  }
  return hidden;
}

// Records of providers and tenants, which have secrets among what is shown: sealed ones, and in
// clear those that were brought past the daemon's own doors.
bool has_hidden_members(KvFamily family, std::string_view key) {
  return family == KvFamily::kConfig && (key.starts_with(keyspace::kApiConfigPrefix) ||
                                         key.starts_with(keyspace::kTenantConfigPrefix) ||
                                         key.starts_with(keyspace::kAiProviderPrefix));
}

}  // namespace

KvApi::KvApi(KvStore& kv, AuditedKv& audited, const Clock& clock, Seal seal, Complete complete)
    : kv_(kv),
      audited_(audited),
      clock_(clock),
      seal_(std::move(seal)),
      complete_(std::move(complete)) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"KvKeys", R"(
keys!: [KvKey]
list_complete!: boolean
cursor!: string?)"},
    {"KvKey", R"(
name!: string
family: string
size_bytes!: integer
expiration: integer # Unix seconds.
metadata: any # As it was written beside the value: any JSON.)"},
    {"KvValue", R"(
key!: string
size_bytes!: integer
value!: string
hidden: boolean # True: a secret, whose value is shown as ***.
base64: boolean # True: the value is no text, and shown in base64.
expiration: integer # Unix seconds.
metadata: any # As it was written beside the value: any JSON.)"},
    {"KvPair", R"(
key!: string
value!: string
expiration: integer # Unix seconds.
expiration_ttl: integer # Seconds from now; of an import alone.
metadata: any # Any JSON.
base64: boolean # True: the value is in base64.)"},
    {"KvImported", R"(
imported!: integer
expired!: integer)"},
};

}  // namespace

std::span<const http::ApiType> KvApi::types() {
  return kTypes;
}

void KvApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  using http::mib;
  http::Rows rows(table, *this, "/admin/kv");
  rows.add(kGet, "", access.viewer, kNoBody, &KvApi::browse, "Keys of every family, by ?prefix=.",
           {.id = "browseKv", .query = "prefix limit cursor", .answer = "KvKeys"});
  rows.add(kGet, "/{family}/keys", access.viewer, kNoBody, &KvApi::list,
           "Keys of one family, by ?prefix=.",
           {.id = "listKvKeys", .query = "prefix limit cursor", .answer = "KvKeys"});
  rows.add(kGet, "/{family}/values/{key}", access.viewer, kNoBody, &KvApi::get,
           "One entry, of family auto by its key; sealed ones as ***.",
           {.id = "getKvValue", .answer = "KvValue"});
  rows.add(kPut, "/{family}/values/{key}", access.owner, mib(26), &KvApi::put,
           "Write one value; ?expiration= or ?expiration_ttl=.",
           {.id = "putKvValue",
            .query = "expiration:integer(1..) expiration_ttl:integer(1..)",
            .body = "application/octet-stream",
            .status = 204});
  rows.add(kDelete, "/{family}/values/{key}", access.owner, kNoBody, &KvApi::remove,
           "Delete one key.", {.id = "deleteKvValue", .status = 204});
  rows.add(kGet, "/bulk", access.owner, kNoBody, &KvApi::export_bulk,
           "Entries in Workers KV bulk JSON; sealed values stay sealed.",
           {.id = "exportKv",
            .query = "family:auth|config|tokens|quota|system|outbox prefix",
            .answer = "[KvPair]"});
  rows.add(kPut, "/bulk", access.owner, mib(100), &KvApi::import_bulk,
           "Write pairs in Workers KV bulk JSON.",
           {.id = "importKv", .body = "[KvPair]", .answer = "KvImported"});
}

// The cursor is the family and the last key of it that was shown.
Result<http::Response> KvApi::browse(http::Request& request) {
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const std::string prefix = request.query_value("prefix").value_or("");
  size_t at = 0;
  std::string after;
  if (!ask.cursor.empty()) {
    const size_t colon = std::min(ask.cursor.find(':'), ask.cursor.size());
    const KvFamily family = KVCS_TRY(parse_kv_family(ask.cursor.substr(0, colon)));
    at =
        static_cast<size_t>(std::find(kBrowsed.begin(), kBrowsed.end(), family) - kBrowsed.begin());
    after = ask.cursor.substr(std::min(colon + 1, ask.cursor.size()));
  }
  Json keys = Json::array();
  std::string cursor;
  for (; at < kBrowsed.size() && cursor.empty(); ++at) {
    const std::string family(kv_family_name(kBrowsed[at]));
    const size_t left = ask.limit - keys.size();
    if (left == 0) {
      cursor = family + ":";
      break;
    }
    const KvPage page = KVCS_TRY(kv_.scan(kBrowsed[at], prefix, after, left));
    after.clear();
    for (const KvItem& item : page.items) {
      keys.push_back(describe_key(item));
      keys.back()["family"] = family;
    }
    if (!page.cursor.empty()) cursor = family + ":" + page.cursor;
  }
  return http::reply(200, Json{{"keys", keys},
                               {"list_complete", cursor.empty()},
                               {"cursor", http::cursor_json(cursor)}});
}

Result<http::Response> KvApi::list(http::Request& request) {
  const KvFamily family = KVCS_TRY(parse_kv_family(request.param("family")));
  const http::PageAsk ask = KVCS_TRY(http::read_page(request));
  const std::string prefix = request.query_value("prefix").value_or("");
  const KvPage page = KVCS_TRY(kv_.scan(family, prefix, ask.cursor, ask.limit));
  Json keys = Json::array();
  for (const KvItem& item : page.items) keys.push_back(describe_key(item));
  return http::reply(200, Json{{"keys", keys},
                               {"list_complete", page.cursor.empty()},
                               {"cursor", http::cursor_json(page.cursor)}});
}

Result<http::Response> KvApi::get(http::Request& request) {
  const std::string_view key = request.param("key");
  const KvFamily family = KVCS_TRY(family_of(request, key));
  const Result<KvEntry> entry = kv_.get(family, key);
  if (entry.code() == Code::kNotFound) {
    return not_found("No key '" + printable(key) + "' in family '" +
                     std::string(kv_family_name(family)) + "'.")
        .with_reason("key_not_found");
  }
  if (!entry.ok()) return entry.status();
  std::string value = entry.value().value;
  const bool hidden = is_hidden_kv_value(family, key);
  Json body{{"key", key}, {"size_bytes", value.size()}};
  if (has_hidden_members(family, key)) {
    Result<Json> record = parse_json(value);
    if (record.ok() && hide_members(*record)) {
      value = dump_json(*record);
      body["hidden"] = true;
    }
  }
  if (hidden) {
    body["value"] = "***";
    body["hidden"] = true;
  } else if (is_valid_utf8(value)) {
    body["value"] = value;
  } else {
    body["value"] = to_base64(value);
    body["base64"] = true;
  }
  if (entry.value().expires_at_s != 0) body["expiration"] = entry.value().expires_at_s;
  if (!entry.value().metadata.empty()) body["metadata"] = metadata_json(entry.value());
  return http::reply(200, body);
}

Result<KvBatch> KvApi::sealed(const KvBatch& batch) const {
  KvBatch out;
  for (const KvBatch::Op& op : batch.ops()) {
    if (!op.entry) {
      out.remove(op.family, op.key);
      continue;
    }
    KvEntry entry = *op.entry;
    entry.value = KVCS_TRY(seal_(op.family, op.key, std::move(entry.value)));
    out.put(op.family, op.key, std::move(entry));
  }
  return out;
}

Status KvApi::write(const KvBatch& batch, const AuditContext& who) {
  const KvBatch kept = KVCS_TRY(sealed(batch));
  const KvBatch whole = KVCS_TRY(complete_(kept, who));
  return audited_.write(whole, who);
}

Result<http::Response> KvApi::put(http::Request& request) {
  const KvFamily family = KVCS_TRY(writable_family(request));
  KvEntry entry;
  entry.expires_at_s = KVCS_TRY(expiry_of(request, clock_));
  entry.value = KVCS_TRY(request.body->read_all());
  KvBatch batch;
  batch.put(family, std::string(request.param("key")), std::move(entry));
  AuditContext by = admin_context(request.principal, request.request_id);
  by.source = "import";  // Of one value; its owner may come after it, as in a bulk.
  KVCS_TRY(write(batch, by));
  return http::empty_response(204);
}

Result<http::Response> KvApi::remove(http::Request& request) {
  const KvFamily family = KVCS_TRY(writable_family(request));
  KvBatch batch;
  batch.remove(family, std::string(request.param("key")));
  KVCS_TRY(audited_.write(batch, admin_context(request.principal, request.request_id)));
  return http::empty_response(204);
}

Result<http::Response> KvApi::export_bulk(http::Request& request) {
  std::vector<KvFamily> families(kBrowsed.begin(), kBrowsed.end());
  if (const auto name = request.query_value("family")) {
    families = {KVCS_TRY(parse_kv_family(*name))};
  }
  http::Response response;
  response.set("content-type", "application/json");
  response.stream = [this, families, prefix = request.query_value("prefix").value_or("")](
                        http::BodyWriter& writer) {
    return export_bulk_json(kv_, families, prefix,
                            [&](std::string_view text) { return writer.write(text); });
  };
  return response;
}

Result<http::Response> KvApi::import_bulk(http::Request& request) {
  const std::string text = KVCS_TRY(request.body->read_all());
  AuditContext by = admin_context(request.principal, request.request_id);
  by.source = "import";
  const auto write = [&](const KvBatch& batch) -> Status {
    // Configuration first: it says where the secrets of the others may be sent.
    KvBatch configuration, others;
    for (const KvBatch::Op& op : batch.ops()) {
      if (op.family == KvFamily::kSystem && keyspace::is_of_directory(op.key)) continue;
      (op.family == KvFamily::kConfig ? configuration : others).put(op.family, op.key, *op.entry);
    }
    for (const KvBatch* part : {&configuration, &others}) {
      if (!part->empty()) KVCS_TRY(this->write(*part, by));
    }
    return ok();
  };
  const BulkImport result = KVCS_TRY(import_bulk_json(text, clock_, write));
  return http::reply(200, Json{{"imported", result.imported}, {"expired", result.expired}});
}

}  // namespace kvcs
