#include "kv/outbox.h"

#include "base/bytes.h"
#include "kv/keyspace.h"

namespace kvcs {

void add_to_outbox(KvBatch& batch, std::string_view kind, std::string_view id, int64_t unix_ms,
                   std::string_view payload_json) {
  KVCS_ASSERT(kind.find('\n') == std::string_view::npos);
  std::string value;
  value.reserve(kind.size() + 1 + payload_json.size());
  value.append(kind).append("\n").append(payload_json);
  batch.put(KvFamily::kOutbox, keyspace::outbox(unix_ms, id), std::move(value));
}

Result<OutboxRecord> parse_outbox(const KvItem& item) {
  const size_t colon = item.key.find(':');
  const size_t newline = item.entry.value.find('\n');
  if (colon == std::string::npos || newline == std::string::npos) {
    return internal("outbox record " + printable(item.key) + " is malformed");
  }
  auto unix_ms = parse_u64(std::string_view(item.key).substr(0, colon), "outbox time");
  if (!unix_ms.ok()) return internal("outbox key " + printable(item.key) + " has no time");
  return OutboxRecord{item.key.substr(colon + 1), static_cast<int64_t>(*unix_ms),
                      item.entry.value.substr(0, newline), item.entry.value.substr(newline + 1)};
}

}  // namespace kvcs
