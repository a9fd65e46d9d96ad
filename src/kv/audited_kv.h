// The one way an admin write reaches the store: every changed key leaves an audit record in the
// same synced batch (in the outbox, from where the ledger chains it into kv_audit), so that neither
// the change nor its record can be lost or forged alone. Values are recorded as SHA-256, never as
// text.
//
// Thread-safe. Writers to one key are serialised by striped locks, which are held over the read and
// the write of the store, so that old and new hashes form a chain per key, in the order of the
// outbox. The chain has a gap where a key is also written around this class: such writes leave no
// record. Changes of the outbox family itself are records already and get none.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/principal.h"
#include "kv/kv.h"

namespace kvcs {

// The actor of a change and where it came from; both end in kv_audit.
struct AuditContext {
  std::string actor;       // "adminkey:<id>", "person:<id>", "refresher", "first-start", "import"
  std::string source;      // "admin-api", "cli", "job"
  std::string request_id;  // "" when there was none.
};
// The caller's name as an actor, which the ledger keeps: "adminkey:<id>", "projectkey:<id>",
// "person:<id>".
std::string actor_name(const Principal& caller);
std::string person_actor(std::string_view person_id);
// The context of a change that a caller makes over HTTP: by /admin, or by the other doors.
AuditContext admin_context(const Principal& caller, std::string_view request_id);
AuditContext caller_context(const Principal& caller, std::string_view request_id);

// kRequired: a record that is new needs its owner (kv/owned.h), and a write without it fails with
// NotFound, or with Conflict and reason name_in_deletion while the owner is being deleted. An
// import brings records in any order, so that only the latter holds for it.
enum class OwnerRule : uint8_t { kNone, kRequired };

class AuditedKv final {
 public:
  // All three outlive it.
  AuditedKv(KvStore& kv, const Clock& clock, Entropy& entropy, OwnerRule rule = OwnerRule::kNone);
  ~AuditedKv();
  AuditedKv(const AuditedKv&) = delete;
  AuditedKv& operator=(const AuditedKv&) = delete;
  // kSynced. Fails as KvStore::write.
  Status write(const KvBatch& batch, const AuditContext& who);
  // kSynced. Conflict as KvStore::compare_and_swap; nothing is recorded then.
  Status compare_and_swap(KvFamily family, std::string_view key,
                          std::optional<std::string_view> expected, const KvBatch& batch,
                          const AuditContext& who);
  // kSynced. Records what somebody did that changes no value here, such as starting a job, with
  // whatever the same deed writes; the keys of that leave no record of their own. `subject` stands
  // where else the key does.
  Status note(std::string_view subject, std::string_view action, const AuditContext& who,
              KvBatch also = {});
  const KvStore& store() const { return kv_; }

 private:
  struct Deed;
  void add_record(KvBatch& batch, const Deed& deed, const AuditContext& who) const;
  Result<KvBatch> with_audit(const KvBatch& batch, const AuditContext& who) const;

  KvStore& kv_;
  const Clock& clock_;
  Entropy& entropy_;
  const OwnerRule rule_;
  struct State;  // Locks and the order of ids.
  const std::unique_ptr<State> state_;
};

}  // namespace kvcs
