// Export and import of the bulk form. An import is gone through twice, an entry at a time: all of
// it is checked before the first batch is applied, and beside the text no more than a batch is in
// memory. An export streams, a page of the store at a time.
#include "kv/bulk_json.h"

#include <nlohmann/json.hpp>

#include <utility>

#include "base/bytes.h"
#include "base/json.h"
#include "base/json_cursor.h"
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

// The entry that `text` is, or what is wrong with it, with its place.
Result<KvItem> parse_entry(std::string_view text, size_t index, int64_t now_s) {
  const auto parsed = parse_json_exact(text);
  if (!parsed.ok()) return Status(parsed.status()).with_context(name_of({}, index));
  const Json& object = parsed.value();
  auto item = read_entry(object, now_s);
  if (!item.ok()) return std::move(item).status().with_context(name_of(object, index));
  KvBatch alone;
  alone.put(KvFamily::kConfig, item->key, item->entry);
  Status checked = check_kv_batch(alone);
  if (!checked.ok()) return std::move(checked).with_context(name_of(object, index));
  return item;
}

// Visits each entry of the array.
Status for_each_entry(std::string_view json, size_t entries_max, int64_t now_s,
                      const std::function<Status(KvItem)>& visit) {
  JsonCursor cursor(json);
  if (cursor.peek() != '[') return invalid("The import must be a JSON array of entries.");
  cursor.enter();
  size_t index = 0;
  for (; cursor.next(); ++index) {
    const std::string_view text = cursor.value();
    if (!cursor.ok()) break;
    if (index == entries_max) {
      return too_large("The import has more than " + std::to_string(entries_max) +
                       " entries. Split it.");
    }
    KvItem item = KVCS_TRY(parse_entry(text, index, now_s));
    KVCS_TRY(visit(std::move(item)));
  }
  if (cursor.ok() && cursor.at_end()) return ok();
  return invalid("The import is malformed JSON at entry " + std::to_string(index) + ".");
}

// Entries gather here until a batch is full.
class Batches final {
 public:
  explicit Batches(const std::function<Status(const KvBatch&)>& apply) : apply_(apply) {}
  Status put(KvItem item) {
    open_bytes_ += item.key.size() + item.entry.value.size();
    const KvFamily family = keyspace::family_of_key(item.key);
    open_.put(family, std::move(item.key), std::move(item.entry));
    if (open_.ops().size() < kBatchEntries && open_bytes_ < kBatchBytes) return ok();
    return close();
  }
  Status close() {
    if (open_.empty()) return ok();
    const KvBatch batch = std::exchange(open_, {});
    open_bytes_ = 0;
    return apply_(batch);
  }

 private:
  const std::function<Status(const KvBatch&)>& apply_;
  KvBatch open_;
  size_t open_bytes_ = 0;
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
  const int64_t now_s = clock.unix_s();
  KVCS_TRY(for_each_entry(json, limits.entries_max, now_s, [](const KvItem&) { return ok(); }));
  BulkImport report;
  Batches batches(apply);
  const auto put = [&](KvItem item) {
    const bool expired = is_kv_expired(item.entry.expires_at_s, clock);
    (expired ? report.expired : report.imported)++;
    return expired ? ok() : batches.put(std::move(item));
  };
  KVCS_TRY(for_each_entry(json, limits.entries_max, now_s, put));
  KVCS_TRY(batches.close());
  return report;
}

}  // namespace kvcs
