// The condition of a PUT with If-Match, checked by compare-and-swap so that it still holds at the
// write.
#include "kv/if_match.h"

#include <optional>

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs {
namespace {

// 64 bits of the digest: an ETag tells versions of one record apart, and proves nothing.
constexpr size_t kDigits = 16;
constexpr const char* kAbsent = "\"0\"";

std::string etag_of(const std::optional<std::string>& value) {
  return value ? "\"" + sha256_hex(*value).substr(0, kDigits) + "\"" : kAbsent;
}

Result<std::optional<std::string>> read(const KvStore& kv, KvFamily family, std::string_view key) {
  Result<KvEntry> entry = kv.get(family, key);
  if (entry.code() == Code::kNotFound) return std::optional<std::string>();
  if (!entry.ok()) return entry.status();
  return std::optional<std::string>(std::move(entry.value().value));
}

Status mismatch(std::string_view key) {
  return conflict("The record " + printable(key) +
                  " was changed meanwhile; read it again and repeat the change.")
      .with_reason("etag_mismatch");
}

}  // namespace

Result<std::string> etag_of_record(const KvStore& kv, KvFamily family, std::string_view key) {
  return etag_of(KVCS_TRY(read(kv, family, key)));
}

Status put_if_match(const KvStore& kv, AuditedKv& audited, KvFamily family, const std::string& key,
                    std::string value, std::string_view if_match, const AuditContext& who) {
  KvBatch batch;
  batch.put(family, key, std::move(value));
  const std::string_view wanted = trim(if_match);
  // A caller that names no version overwrites whatever is there.
  if (wanted.empty()) return audited.write(batch, who);
  const std::optional<std::string> stored = KVCS_TRY(read(kv, family, key));
  // RFC 9110 §13.1.1: any of several ETags.
  bool matches = wanted == "*" && stored.has_value();
  for (const std::string_view each : split(wanted, ',')) {
    matches = matches || trim(each) == etag_of(stored);
  }
  if (!matches) return mismatch(key);
  // A change that comes between the look above and this is found here.
  const Status written = audited.compare_and_swap(family, key, stored, batch, who);
  const bool was_changed = written.code() == Code::kConflict && written.reason().empty();
  return was_changed ? mismatch(key) : written;
}

}  // namespace kvcs
