// The bulk format of Cloudflare Workers KV: a JSON array of
//   {"key", "value", "expiration"?, "expiration_ttl"?, "metadata"?, "base64"?}
// so that a namespace can be moved in and out. Keys carry no family here; an import asks
// keyspace::family_of_key. Values that are not UTF-8 travel as base64. Pure but for the store;
// one thread.
#pragma once
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "kv/kv.h"

namespace kvcs {

struct BulkLimits {
  size_t size_max_bytes = 256u << 20;
  size_t entries_max = 1'000'000;
};

struct BulkImport {
  size_t imported = 0;
  size_t expired = 0;  // Left out, because their expiration has passed.
};

// Writes the live entries of `families` below `prefix` through `write`, a page of the store at a
// time. Fails as the store or as `write`; Invalid for a key that is not UTF-8, which the format
// cannot carry. The outbox is in transit to SQL and is better left out.
Status export_bulk_json(const KvStore& kv, const std::vector<KvFamily>& families,
                        std::string_view prefix,
                        const std::function<Status(std::string_view text)>& write);

// Checks every entry, then hands them to `apply` in batches of at most 500 (AuditedKv::write, say).
// Invalid names the entry's index and key; TooLarge names the limit; in both cases nothing was
// applied. A failure of `apply` is returned: earlier batches stay, and a repeat is harmless.
Result<BulkImport> import_bulk_json(std::string_view json, const Clock& clock,
                                    const std::function<Status(const KvBatch&)>& apply,
                                    BulkLimits limits = {});

}  // namespace kvcs
