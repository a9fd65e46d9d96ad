// How long the stores take, as kvcs_store_seconds{store,op}: what each store's timer calls. The
// instruments live in Metrics, which outlives the stores.
#pragma once
#include "blob/blob.h"
#include "db/db.h"
#include "kv/kv.h"
#include "ops/metrics.h"

namespace kvcs {

KvTimer kv_timer(Metrics& metrics);
BlobTimer blob_timer(Metrics& metrics);
// `store` is the database's name; `op` is "commit" or "query".
DbTimer db_timer(Metrics& metrics, const Clock& clock, std::string_view store, std::string_view op);

}  // namespace kvcs
