// Records that must not be lost ride in the KV batch of the change that they describe, under a key
// of the outbox family; the ledger's mover brings them to SQL and removes them after its commit.
// Pure functions.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/kv.h"

namespace kvcs {

// The value under keyspace::outbox is the kind, a newline, the payload (JSON). Records that come
// together may share one key, that of the first: the value is the kind, "*" and a newline, and of
// each record the bytes of its id and of its payload in decimal, "12 345", a newline, both, and a
// newline.
struct OutboxRecord {
  std::string id;
  int64_t unix_ms = 0;
  std::string kind;
  std::string payload_json;
};

// `id` makes the move idempotent; records move in the order of (unix_ms, id). Precondition: `kind`
// holds no newline and does not end with "*".
void add_to_outbox(KvBatch& batch, std::string_view kind, std::string_view id, int64_t unix_ms,
                   std::string_view payload_json);
// The same for several of one kind, in this order, under as few keys as kOutboxGroupBytes allows:
// a key is written, read and removed once for all that share it.
struct OutboxPart {
  std::string_view id, payload_json;
};
inline constexpr size_t kOutboxGroupBytes = 128u << 10;  // Or one record, whatever its size.
void add_group_to_outbox(KvBatch& batch, std::string_view kind, int64_t unix_ms,
                         std::span<const OutboxPart> records);
// One record, or those that share the key. Internal when key or value are not of that form.
Result<std::vector<OutboxRecord>> parse_outbox(const KvItem& item);
// Visits the records that wait in the store, in the order of the move. Stops at the first failure
// of scan or `visit`; items that are malformed are passed over, as the mover sets them aside.
Status for_each_in_outbox(const KvStore& kv,
                          const std::function<Status(const OutboxRecord& record)>& visit);

}  // namespace kvcs
