// Tells changes that take a permission away from those that fill the store, by what they change:
// the engine sees keys and values, not what a caller means by them.
#include "kv/reserve_use.h"

#include <algorithm>

#include "kv/keyspace.h"

namespace kvcs {
namespace {

// What a record may grow by: a status, a time, a reason of some words.
constexpr size_t kGrowthMaxBytes = 4096;
constexpr size_t kModeMaxBytes = 64;

bool hardly_grows(const KvStore& kv, const KvBatch::Op& op) {
  if (op.family != KvFamily::kAuth && op.family != KvFamily::kConfig) return false;
  const Result<KvEntry> before = kv.get(op.family, op.key);
  return before.ok() && op.entry->value.size() <= before->value.size() + kGrowthMaxBytes;
}

bool is_mode(const KvBatch::Op& op) {
  return op.family == KvFamily::kSystem && op.key == keyspace::kGatewayMode &&
         op.entry->value.size() <= kModeMaxBytes;
}

// The beginning of a deletion, which will give space back: the record that says whose.
bool is_deletion(const KvBatch::Op& op) {
  return op.family == KvFamily::kSystem && op.key.starts_with(keyspace::kDeletionPrefix) &&
         op.entry->value.size() <= kGrowthMaxBytes;
}

}  // namespace

bool may_use_reserve(const KvStore& kv, const KvBatch& batch) {
  return std::all_of(batch.ops().begin(), batch.ops().end(), [&](const KvBatch::Op& op) {
    return !op.entry || op.family == KvFamily::kOutbox || is_mode(op) || is_deletion(op) ||
           hardly_grows(kv, op);
  });
}

}  // namespace kvcs
