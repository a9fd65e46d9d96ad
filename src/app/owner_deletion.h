// Deleting users, projects, tenants and organizations. A deletion begins with one batch that takes
// the owner's own record away, so that nobody finds it or comes in by it, and puts a record
// `deletion:{kind}:{id}` in its place: with that the owner's name is taken, nothing new can be
// stored for it (kv/owned.h), and a restart goes on. Then passes of the walk (app/owner_walk.h)
// remove what the owner has, until one finds nothing; the record goes last. An organization's
// deletion is also that of the tenant with its slug.
//
// A deletion that may be refused for what its owner holds puts the record up first, marked as
// asked: nothing new comes from then on, what is there is counted, and either the deletion begins
// or the record goes away again. One that a crash left behind is withdrawn, for nobody was
// answered. Thread-safe.
#pragma once
#include <atomic>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "app/deletion_record.h"
#include "app/owner_walk.h"
#include "base/mutex.h"

namespace kvcs {

struct Project;

inline constexpr const char* kDeletionJob = "owner-deletion";

class OwnerDeletions final {
 public:
  explicit OwnerDeletions(Parts& parts) : parts_(parts) {}

  // The owner whose deletion is under way; nothing: none of this kind and id.
  Result<std::optional<OwnerRef>> find(keyspace::Owner kind, std::string_view id) const;
  // What goes with the owner.
  Result<OwnerHoldings> count(const OwnerRef& owner) const;
  // From here on the owner is not there any more. Conflict with reason name_in_deletion: it or its
  // tenant is being deleted already. `check` may refuse what the owner holds then, when nothing
  // more can come to it; its failure is returned, and all is as before. An empty one is not asked.
  using HoldingsCheck = std::function<Status(const OwnerHoldings& holdings)>;
  Status begin(const OwnerRef& owner, const AuditContext& who, const HoldingsCheck& check = {});
  // The same of an organization, while it is planned to go at `at_ms`. Conflict with reason
  // deletion_not_planned: it is not, or not then; it goes on living.
  Status begin_planned(const OwnerRef& owner, int64_t at_ms, const AuditContext& who);
  // Conflict with reason name_in_deletion.
  Status check_not_begun(keyspace::Owner kind, std::string_view id) const;
  // Ends what an organization pays for, then passes until nothing is left. False: cancelled,
  // another thread is at it, or a request of the owner is still under way. Fails as
  // Parts::before_organization_goes does, and is tried again.
  Result<bool> go_on(const OwnerRef& owner, const std::function<bool()>& cancelled);

  // Before the first request: nobody comes in with a key of what is half gone, and no project is
  // hidden by a deletion that the store has forgotten. How many deletions there are.
  int64_t resume();
  // The job: goes on with all.
  Result<std::string> run(const std::function<bool()>& cancelled);
  void stop() { stopping_ = true; }  // Ends every go_on() between two batches.

 private:
  class Turn;
  Result<std::optional<DeletionRecord>> read(keyspace::Owner kind, std::string_view id) const;
  Result<std::vector<DeletionRecord>> list() const;
  Result<DeletionBegin> first_batch(const DeletionRecord& record) const;
  Status put_up(const DeletionBegin& begin, const DeletionRecord& record,
                const AuditContext& who) const;
  Status remove_tombstones(const DeletionRecord& record) const;
  Status ask(DeletionRecord record, const HoldingsCheck& check) const;
  Status withdraw(const DeletionRecord& record) const;
  Status take_from_sight(const DeletionRecord& record) const;
  Status end(const DeletionRecord& record);
  Status settle_marks();
  Status settle_mark(const Project& project);
  Status complete(DeletionRecord& record) const;

  Parts& parts_;
  std::atomic<bool> stopping_{false};
  Mutex mutex_;
  std::set<std::string> running_ KVCS_GUARDED_BY(mutex_);  // Keys of their records.
};

}  // namespace kvcs
