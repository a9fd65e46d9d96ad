// Export and import of the bulk form. An import is read whole and checked whole before the first
// batch is applied; an export streams, a page of the store at a time.
#include "kv/bulk_json.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr size_t kBatchEntries = 500;
constexpr size_t kBatchBytes = 16u << 20;
constexpr size_t kExportChunkBytes = 1u << 20;
constexpr int64_t kExpirationMaxS = 253'402'300'799;  // The end of the year 9999.

Status append_entry(const KvItem& item, std::string& out) {
  if (!is_valid_utf8(item.key)) {
    return invalid("The key \"" + printable(item.key) +
                   "\" is not UTF-8; the bulk format cannot carry it.");
  }
  const KvEntry& entry = item.entry;
  const bool text = is_valid_utf8(entry.value);
  out += "{\"key\":";
  append_json_string(out, item.key);
  out += ",\"value\":";
  append_json_string(out, text ? entry.value : to_base64(entry.value));
  if (entry.expires_at_s != 0) out += ",\"expiration\":" + std::to_string(entry.expires_at_s);
  if (!entry.metadata.empty()) out += ",\"metadata\":" + entry.metadata;
  if (!text) out += ",\"base64\":true";
  out += '}';
  return ok();
}

// The entry's key and value, or what is wrong with them.
Result<KvItem> read_entry(const Json& object, int64_t now_s) {
  if (!object.is_object()) return invalid("it is not an object");
  JsonReader reader(object);
  KvItem item;
  item.key = reader.string("key", {.min_bytes = 1, .max_bytes = kKvKeyMaxBytes});
  // Base64 takes four characters for three bytes.
  std::string value =
      reader.string("value", {.min_bytes = 0, .max_bytes = kKvValueMaxBytes / 3 * 4 + 8});
  const auto expiration = reader.optional_integer("expiration", 0, kExpirationMaxS);
  const auto ttl_s = reader.optional_integer("expiration_ttl", 1, kExpirationMaxS - now_s);
  const Json* metadata = reader.member("metadata");
  const bool is_base64 = reader.boolean_or("base64", false);
  KVCS_TRY(reader.finish());
  if (is_base64) value = KVCS_TRY(from_base64(value));
  item.entry.value = std::move(value);
  if (metadata != nullptr && !metadata->is_null()) item.entry.metadata = dump_json(*metadata);
  if (expiration) item.entry.expires_at_s = *expiration;
  if (ttl_s) item.entry.expires_at_s = now_s + *ttl_s;  // From now on; wins over expiration.
  return item;
}

std::string name_of(const Json& object, size_t index) {
  std::string name = "Entry " + std::to_string(index);
  if (!object.is_object()) return name;
  const auto key = object.find("key");
  if (key == object.end() || !key->is_string()) return name;
  return name + " (key \"" + printable(key->get_ref<const std::string&>()) + "\")";
}

// Entries gather here until a batch is full.
struct Batches {
  std::vector<KvBatch> done;
  KvBatch open;
  size_t open_bytes = 0;

  void put(KvItem item) {
    open_bytes += item.key.size() + item.entry.value.size();
    const KvFamily family = keyspace::family_of_key(item.key);
    open.put(family, std::move(item.key), std::move(item.entry));
    if (open.ops().size() >= kBatchEntries || open_bytes >= kBatchBytes) close();
  }
  void close() {
    if (!open.empty()) done.push_back(std::move(open));
    open = {};
    open_bytes = 0;
  }
};

}  // namespace

Status export_bulk_json(const KvStore& kv, const std::vector<KvFamily>& families,
                        std::string_view prefix,
                        const std::function<Status(std::string_view text)>& write) {
  std::string chunk = "[";
  bool first = true;
  const auto append = [&](const KvItem& item) -> Status {
    chunk += first ? "\n" : ",\n";
    first = false;
    KVCS_TRY(append_entry(item, chunk));
    if (chunk.size() < kExportChunkBytes) return ok();
    KVCS_TRY(write(chunk));
    chunk.clear();
    return ok();
  };
  for (const KvFamily family : families) {
    KVCS_TRY(kv_for_each(kv, family, prefix, append));
  }
  return write(chunk += "\n]\n");
}

Result<BulkImport> import_bulk_json(std::string_view json, const Clock& clock,
                                    const std::function<Status(const KvBatch&)>& apply,
                                    BulkLimits limits) {
  if (json.size() > limits.size_max_bytes) {
    return too_large("The import has " + std::to_string(json.size()) + " bytes; the limit is " +
                     std::to_string(limits.size_max_bytes) + ". Split it.");
  }
  const Json parsed = KVCS_TRY(parse_json_exact(json));
  if (!parsed.is_array()) return invalid("The import must be a JSON array of entries.");
  if (parsed.size() > limits.entries_max) {
    return too_large("The import has " + std::to_string(parsed.size()) + " entries; the limit is " +
                     std::to_string(limits.entries_max) + ". Split it.");
  }
  BulkImport report;
  Batches batches;
  for (size_t i = 0; i < parsed.size(); ++i) {
    auto item = read_entry(parsed[i], clock.unix_s());
    if (!item.ok()) return std::move(item).status().with_context(name_of(parsed[i], i));
    KvBatch alone;
    alone.put(KvFamily::kConfig, item->key, item->entry);
    Status checked = check_kv_batch(alone);
    if (!checked.ok()) return std::move(checked).with_context(name_of(parsed[i], i));
    if (is_kv_expired(item->entry.expires_at_s, clock)) {
      report.expired++;
      continue;
    }
    batches.put(std::move(item).value());
    report.imported++;
  }
  batches.close();
  for (const KvBatch& batch : batches.done) KVCS_TRY(apply(batch));
  return report;
}

}  // namespace kvcs
