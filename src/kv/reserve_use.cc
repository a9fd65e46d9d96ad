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

// How somebody gets in to free space: a session and its entry in the person's list, and the tickets
// of a sign-in. And the marker or the small answer of a request with an idempotency key, which may
// be one that takes a permission away.
bool is_way_in(const KvBatch::Op& op) {
  if (op.family != KvFamily::kSystem) return false;
  if (op.entry->value.size() + op.entry->metadata.size() > kGrowthMaxBytes) return false;
  const auto is_of = [&](const std::string& of_nobody) {  // "session_of::", one of which is enough.
    return op.key.starts_with(std::string_view(of_nobody).substr(0, of_nobody.find(':') + 1));
  };
  return is_of(std::string(keyspace::kSessionPrefix)) || is_of(keyspace::session_of_prefix("")) ||
         is_of(keyspace::oauth_state("")) || is_of(keyspace::idempotency("", ""));
}

}  // namespace

bool may_use_reserve(const KvStore& kv, const KvBatch& batch) {
  return std::all_of(batch.ops().begin(), batch.ops().end(), [&](const KvBatch::Op& op) {
    return !op.entry || op.family == KvFamily::kOutbox || is_mode(op) || is_deletion(op) ||
           is_way_in(op) || hardly_grows(kv, op);
  });
}

}  // namespace kvcs
