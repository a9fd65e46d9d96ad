// AuditedKv: reads the old values, adds one audit record per changed key to the caller's batch and
// writes all in one step, under the stripes of the keys.
#include "kv/audited_kv.h"

#include <map>
#include <utility>

#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "kv/key_stripes.h"
#include "kv/outbox.h"

namespace kvcs {
namespace {

constexpr uint32_t kCounterMax = 0xfff;

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out.append(",\"").append(name).append("\":");
  append_json_string(out, text);
}

}  // namespace

std::string admin_actor(std::string_view key_id) {
  return "adminkey:" + std::string(key_id);
}

// Ids are UUIDv7 with the 12 bits behind the time as a counter (RFC 9562 §6.2, method 1), so that
// records of one millisecond, and those after a step back of the clock, keep their order.
struct AuditedKv::State {
  KeyStripes stripes;
  Mutex mutex;
  int64_t last_ms KVCS_GUARDED_BY(mutex) = 0;
  uint32_t counter KVCS_GUARDED_BY(mutex) = 0;

  std::pair<int64_t, uint32_t> next(int64_t now_ms) {
    MutexLock lock(mutex);
    if (now_ms > last_ms) {
      last_ms = now_ms;
      counter = 0;
    } else if (++counter > kCounterMax) {
      last_ms++;
      counter = 0;
    }
    return {last_ms, counter};
  }
};

AuditedKv::AuditedKv(KvStore& kv, const Clock& clock, Entropy& entropy)
    : kv_(kv), clock_(clock), entropy_(entropy), state_(std::make_unique<State>()) {}
AuditedKv::~AuditedKv() = default;

Result<KvBatch> AuditedKv::with_audit(const KvBatch& batch, const AuditContext& who) const {
  KvBatch audited = batch;
  // A later change of a key in this batch finds the value that the earlier one leaves.
  std::map<std::pair<KvFamily, std::string_view>, std::string> hashes;
  const int64_t now_ms = clock_.unix_ms();
  for (const KvBatch::Op& op : batch.ops()) {
    if (op.family == KvFamily::kOutbox) continue;
    auto [slot, first] = hashes.try_emplace({op.family, op.key});
    if (first) {
      auto before = kv_.get(op.family, op.key);
      if (before.ok()) {
        slot->second = sha256_hex(before->value);
      } else if (before.code() != Code::kNotFound) {
        return std::move(before).status();
      }
    }
    const std::string new_hash = op.entry ? sha256_hex(op.entry->value) : std::string();
    const auto [unix_ms, counter] = state_->next(now_ms);
    std::string id = make_uuid_v7(entropy_, unix_ms);
    constexpr char kDigits[] = "0123456789abcdef";
    constexpr size_t kCounterAt = 15;  // Behind the version digit: xxxxxxxx-xxxx-7ccc-…
    for (size_t i = 0; i < 3; ++i) id[kCounterAt + i] = kDigits[(counter >> (8 - 4 * i)) & 0xf];

    std::string payload = "{\"id\":\"" + id + "\",\"ts_ms\":" + std::to_string(unix_ms);
    append_member(payload, "family", kv_family_name(op.family));
    append_member(payload, "key", op.key);
    append_member(payload, "action", op.entry ? "put" : "delete");
    append_member(payload, "old_hash", slot->second);
    append_member(payload, "new_hash", new_hash);
    append_member(payload, "actor", who.actor);
    append_member(payload, "source", who.source);
    append_member(payload, "request_id", who.request_id);
    payload += '}';
    add_to_outbox(audited, "audit", id, unix_ms, payload);
    slot->second = new_hash;
  }
  return audited;
}

Status AuditedKv::write(const KvBatch& batch, const AuditContext& who) {
  KVCS_TRY(check_kv_batch(batch));
  KeyStripes::Guard guard(state_->stripes);
  for (const KvBatch::Op& op : batch.ops()) guard.add_exclusive(op.family, op.key);
  guard.lock();
  const KvBatch audited = KVCS_TRY(with_audit(batch, who));
  return kv_.write(audited, KvDurability::kSynced);
}

Status AuditedKv::compare_and_swap(KvFamily family, std::string_view key,
                                   std::optional<std::string_view> expected, const KvBatch& batch,
                                   const AuditContext& who) {
  KVCS_TRY(check_kv_batch(batch));
  KeyStripes::Guard guard(state_->stripes);
  for (const KvBatch::Op& op : batch.ops()) guard.add_exclusive(op.family, op.key);
  guard.lock();
  const KvBatch audited = KVCS_TRY(with_audit(batch, who));
  return kv_.compare_and_swap(family, key, expected, audited, KvDurability::kSynced);
}

AuditContext admin_context(std::string_view key_id, std::string_view request_id) {
  return {admin_actor(key_id), "admin-api", std::string(request_id)};
}

}  // namespace kvcs
