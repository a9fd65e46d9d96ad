// Records that must not be lost ride in the KV batch of the change that they describe, under a key
// of the outbox family; the ledger's mover brings them to SQL and removes them after its commit.
// Pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kv/kv.h"

namespace kvcs {

// The value under keyspace::outbox is the kind, a newline, the payload (JSON).
struct OutboxRecord {
  std::string id;
  int64_t unix_ms = 0;
  std::string kind;
  std::string payload_json;
};

// `id` makes the move idempotent; records move in the order of (unix_ms, id). Precondition: `kind`
// holds no newline.
void add_to_outbox(KvBatch& batch, std::string_view kind, std::string_view id, int64_t unix_ms,
                   std::string_view payload_json);
// Internal when key or value are not of that form.
Result<OutboxRecord> parse_outbox(const KvItem& item);

}  // namespace kvcs
