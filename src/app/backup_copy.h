// The copying of the running daemon's stores into a new directory, all of them as they were at one
// moment. Internal to backup.cc.
#pragma once
#include <functional>
#include <string>

#include "base/status.h"
#include "blob/blob_links.h"

namespace kvcs {

struct Parts;

// Copies kv/, sql/portal.db, sql/ledger.db, charges.journal and store.json into the new directory
// `path`, and the blobs by hard link into blobs/. Where links are impossible blobs.list names them,
// a digest and a size in each line. All of it is on disk afterwards. `check` is asked at each step,
// at most some megabytes apart; its failure ends the copy and is returned. After a failure `path`
// holds a part.
//
// The moment: both databases stand between two commits while their snapshots begin and KV is
// checkpointed. So SQL is never newer than KV: a row that is not in the copy of SQL is still in the
// outbox of the copy of KV, and the counters there count it.
Result<BlobLinks> copy_stores(Parts& parts, const std::string& path,
                              const std::function<Status()>& check);

// Removes what a copy that died left in the data directory.
Status remove_left_checkpoint(Parts& parts);

}  // namespace kvcs
