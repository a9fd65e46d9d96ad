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
#include "kv/owned.h"

namespace kvcs {
namespace {

constexpr uint32_t kCounterMax = 0xfff;

void append_member(std::string& out, std::string_view name, std::string_view text) {
  out.append(",\"").append(name).append("\":");
  append_json_string(out, text);
}

}  // namespace

std::string actor_name(const Principal& caller) {
  const bool is_admin = caller.kind == PrincipalKind::kAdminKey;
  if (!caller.person_id.empty()) return person_actor(caller.person_id);
  return (is_admin ? "adminkey:" : "projectkey:") + caller.key_id;
}

std::string person_actor(std::string_view person_id) {
  return "person:" + std::string(person_id);
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

AuditedKv::AuditedKv(KvStore& kv, const Clock& clock, Entropy& entropy, OwnerRule rule)
    : kv_(kv), clock_(clock), entropy_(entropy), rule_(rule), state_(std::make_unique<State>()) {}
AuditedKv::~AuditedKv() = default;

namespace {

// The owner's own records are held shared, so that no deletion of it begins before the write.
void lock_keys(KeyStripes::Guard& guard, const KvBatch& batch, OwnerRule rule) {
  for (const KvBatch::Op& op : batch.ops()) {
    guard.add_exclusive(op.family, op.key);
    if (rule == OwnerRule::kRequired && op.entry) add_owner_locks(guard, op);
  }
  guard.lock();
}

}  // namespace

// What was done, for one record of the audit.
struct AuditedKv::Deed {
  std::string_view family, key, action, old_hash, new_hash;
};

void AuditedKv::add_record(KvBatch& batch, const Deed& deed, const AuditContext& who) const {
  const auto [unix_ms, counter] = state_->next(clock_.unix_ms());
  std::string id = make_uuid_v7(entropy_, unix_ms);
  constexpr char kDigits[] = "0123456789abcdef";
  constexpr size_t kCounterAt = 15;  // Behind the version digit: xxxxxxxx-xxxx-7ccc-…
  for (size_t i = 0; i < 3; ++i) id[kCounterAt + i] = kDigits[(counter >> (8 - 4 * i)) & 0xf];

  std::string payload = "{\"id\":\"" + id + "\",\"ts_ms\":" + std::to_string(unix_ms);
  append_member(payload, "family", deed.family);
  append_member(payload, "key", deed.key);
  append_member(payload, "action", deed.action);
  append_member(payload, "old_hash", deed.old_hash);
  append_member(payload, "new_hash", deed.new_hash);
  append_member(payload, "actor", who.actor);
  append_member(payload, "source", who.source);
  append_member(payload, "request_id", who.request_id);
  payload += '}';
  add_to_outbox(batch, "audit", id, unix_ms, payload);
}

Status AuditedKv::note(std::string_view subject, std::string_view action, const AuditContext& who,
                       KvBatch also) {
  add_record(also, {"action", subject, action, "", ""}, who);
  return kv_.write(also, KvDurability::kSynced);
}

Result<KvBatch> AuditedKv::with_audit(const KvBatch& batch, const AuditContext& who) const {
  KvBatch audited = batch;
  // A later change of a key in this batch finds the value that the earlier one leaves.
  std::map<std::pair<KvFamily, std::string_view>, std::string> hashes;
  for (const KvBatch::Op& op : batch.ops()) {
    if (op.family == KvFamily::kOutbox) continue;
    auto [slot, first] = hashes.try_emplace({op.family, op.key});
    if (first) {
      auto before = kv_.get(op.family, op.key);
      if (before.ok()) {
        slot->second = sha256_hex(before->value);
      } else if (before.code() != Code::kNotFound) {
        return std::move(before).status();
      } else if (rule_ == OwnerRule::kRequired && op.entry) {
        const Status allowed = check_new_record(kv_, batch, op);
        const bool may_come_first = who.source == "import" && allowed.code() == Code::kNotFound;
        if (!allowed.ok() && !may_come_first) return allowed;
      }
    }
    const std::string new_hash = op.entry ? sha256_hex(op.entry->value) : std::string();
    add_record(
        audited,
        {kv_family_name(op.family), op.key, op.entry ? "put" : "delete", slot->second, new_hash},
        who);
    slot->second = new_hash;
  }
  return audited;
}

Status AuditedKv::write(const KvBatch& batch, const AuditContext& who) {
  KVCS_TRY(check_kv_batch(batch));
  KeyStripes::Guard guard(state_->stripes);
  lock_keys(guard, batch, rule_);
  const KvBatch audited = KVCS_TRY(with_audit(batch, who));
  return kv_.write(audited, KvDurability::kSynced);
}

Status AuditedKv::compare_and_swap(KvFamily family, std::string_view key,
                                   std::optional<std::string_view> expected, const KvBatch& batch,
                                   const AuditContext& who) {
  KVCS_TRY(check_kv_batch(batch));
  KeyStripes::Guard guard(state_->stripes);
  lock_keys(guard, batch, rule_);
  const KvBatch audited = KVCS_TRY(with_audit(batch, who));
  return kv_.compare_and_swap(family, key, expected, audited, KvDurability::kSynced);
}

AuditContext admin_context(const Principal& caller, std::string_view request_id) {
  // Those who are no operators come by /admin to their own organization alone, and the ledger keeps
  // what they do there no longer than what they do elsewhere.
  const bool is_operator = caller.role != AdminRole::kNone;
  return {actor_name(caller), is_operator ? "admin-api" : "own-admin-api", std::string(request_id)};
}
AuditContext caller_context(const Principal& caller, std::string_view request_id) {
  // The ledger keeps what operators do before what other callers do.
  const bool is_operator = caller.kind == PrincipalKind::kPerson && caller.role != AdminRole::kNone;
  return {actor_name(caller), is_operator ? "operator" : "api", std::string(request_id)};
}

}  // namespace kvcs
