// Puts a record that must not be lost into a KV batch; the ledger's mover brings it to SQL.
// Pure. (kv/audited_kv.cc builds its "audit" records by the same rule with keyspace::outbox.)
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kv/kv.h"

namespace kvcs {

// Value of the outbox key: kind "\n" payload (JSON). `id` makes the move idempotent.
void add_to_outbox(KvBatch& batch, std::string_view kind, std::string_view id, int64_t unix_ms,
                   std::string_view payload_json);

}  // namespace kvcs
