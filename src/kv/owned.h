// Records and whose they are, by the table of keyspace.h: the walk over all records of an owner,
// and the rule that a new record needs its owner, which no deletion may be under way of. Functions
// without state.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "kv/key_stripes.h"
#include "kv/keyspace.h"
#include "kv/kv.h"

namespace kvcs {

// Visits every record whose owner is `id`, as far as its key, metadata or whole value says so.
// Stops at the first failure of a scan or of `visit`. `visit` may remove the record.
Status for_each_owned(const KvStore& kv, keyspace::Owner owner, std::string_view id,
                      const std::function<Status(KvFamily family, const KvItem& item)>& visit);

// Takes the locks under which check_new_record() holds until the write.
void add_owner_locks(KeyStripes::Guard& guard, const KvBatch::Op& put);
// Whether a record that is not there yet may come. Conflict with reason name_in_deletion: its owner
// is being deleted. NotFound: it has no owner, neither in the store nor in `batch`.
Status check_new_record(const KvStore& kv, const KvBatch& batch, const KvBatch::Op& put);

}  // namespace kvcs
