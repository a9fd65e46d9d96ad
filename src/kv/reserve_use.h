// Which writes may use the part of the disk that is kept free (disk_room.h). A function without
// state, for any thread. Internal to kv/.
#pragma once
#include "kv/kv.h"

namespace kvcs {

// True when each change of the batch is one of these: a removal, which gives space back; a record
// of the outbox, which says who removed or changed, or tells of something that is done already; the
// mode of the gateway; the record of a deletion that begins or goes on; a session or a ticket, by
// which somebody comes in to free space, and a small record under an idempotency key; a change of a
// record of auth or config that is there and that hardly grows by it. That and the mode are how an
// operator takes a permission away: a key that is revoked, an organization that is suspended and a
// gateway that is frozen must stop at once, whoever has filled the disk. Reads `kv` for the last.
bool may_use_reserve(const KvStore& kv, const KvBatch& batch);

}  // namespace kvcs
