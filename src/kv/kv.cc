// The part that all engines share: the names of families, batches, and the checks of keys, batches
// and scans that each engine calls first, so that all refuse the same.
#include "kv/kv.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"

namespace kvcs {
namespace {

constexpr std::array<std::string_view, kKvFamilyCount> kFamilyNames = {"auth",  "config", "tokens",
                                                                       "quota", "system", "outbox"};

Status check_entry(const KvBatch::Op& op) {
  const KvEntry& entry = *op.entry;
  if (entry.value.size() > kKvValueMaxBytes) {
    return too_large("The value of \"" + printable(op.key) + "\" has " +
                     std::to_string(entry.value.size()) + " bytes; the limit is " +
                     std::to_string(kKvValueMaxBytes) + ".");
  }
  if (entry.expires_at_s < 0) {
    return invalid("The expiry of \"" + printable(op.key) + "\" is " +
                   std::to_string(entry.expires_at_s) + "; give Unix seconds, or 0 for never.");
  }
  if (entry.metadata.empty()) return ok();
  if (entry.metadata.size() > kKvMetadataMaxBytes) {
    return too_large("The metadata of \"" + printable(op.key) + "\" has " +
                     std::to_string(entry.metadata.size()) + " bytes; the limit is " +
                     std::to_string(kKvMetadataMaxBytes) + ".");
  }
  auto parsed = parse_json(entry.metadata);
  if (parsed.ok()) return ok();
  return std::move(parsed).status().with_context("The metadata of \"" + printable(op.key) +
                                                 "\" is not JSON");
}

}  // namespace

std::string_view kv_family_name(KvFamily family) {
  return kFamilyNames[static_cast<size_t>(family)];
}

Result<KvFamily> parse_kv_family(std::string_view name) {
  for (size_t i = 0; i < kFamilyNames.size(); ++i) {
    if (kFamilyNames[i] == name) return static_cast<KvFamily>(i);
  }
  return invalid("\"" + printable(name) +
                 "\" is no key family; use auth, config, tokens, quota, system or outbox.");
}

void KvBatch::put(KvFamily family, std::string key, KvEntry entry) {
  ops_.push_back({family, std::move(key), std::move(entry)});
}

void KvBatch::remove(KvFamily family, std::string key) {
  ops_.push_back({family, std::move(key), std::nullopt});
}

void KvBatch::append(KvBatch other) {
  ops_.reserve(ops_.size() + other.ops_.size());
  for (Op& op : other.ops_) ops_.push_back(std::move(op));
}

Status check_kv_key(std::string_view key) {
  if (key.empty()) return invalid("A key must not be empty.");
  if (key.size() > kKvKeyMaxBytes) {
    return invalid("The key \"" + printable(key, kShownName) + "\" has " +
                   std::to_string(key.size()) + " bytes; the limit is " +
                   std::to_string(kKvKeyMaxBytes) + ".");
  }
  if (key == "." || key == "..") {
    return invalid("The key \"" + std::string(key) + "\" is reserved; choose another.");
  }
  return ok();
}

Status check_kv_batch(const KvBatch& batch) {
  if (batch.ops().size() > kKvBatchMax) {
    return too_large("A batch of " + std::to_string(batch.ops().size()) +
                     " changes; the limit is " + std::to_string(kKvBatchMax) + ".");
  }
  for (const KvBatch::Op& op : batch.ops()) {
    KVCS_TRY(check_kv_key(op.key));
    if (op.entry) KVCS_TRY(check_entry(op));
  }
  return ok();
}

Status check_kv_scan(std::string_view prefix, std::string_view cursor, size_t limit) {
  if (limit < 1 || limit > kKvScanMax) {
    return invalid("A scan limit of " + std::to_string(limit) + "; it must be 1 to " +
                   std::to_string(kKvScanMax) + ".");
  }
  if (prefix.size() > kKvKeyMaxBytes || cursor.size() > kKvKeyMaxBytes) {
    return invalid("A scan prefix or cursor has over " + std::to_string(kKvKeyMaxBytes) +
                   " bytes, the limit of a key.");
  }
  return ok();
}

bool is_kv_expired(int64_t expires_at_s, const Clock& clock) {
  return expires_at_s != 0 && expires_at_s <= clock.unix_s();
}

Result<KvEntry> kv_get_live(const KvStore& kv, KvFamily family, std::string_view key,
                            const Clock& latest, int64_t lifetime_s) {
  KvEntry entry = KVCS_TRY(kv.get(family, key));
  const bool is_of_a_leap = lifetime_s != 0 && entry.expires_at_s > latest.unix_s() + lifetime_s;
  if (is_kv_expired(entry.expires_at_s, latest) || is_of_a_leap) {
    return not_found("The entry has ended.");
  }
  return entry;
}

Status kv_for_each(const KvStore& kv, KvFamily family, std::string_view prefix,
                   const std::function<Status(const KvItem&)>& visit) {
  std::string cursor;
  do {
    KvPage page = KVCS_TRY(kv.scan(family, prefix, cursor, kKvScanMax));
    for (const KvItem& item : page.items) KVCS_TRY(visit(item));
    cursor = std::move(page.cursor);
  } while (!cursor.empty());
  return ok();
}

}  // namespace kvcs
