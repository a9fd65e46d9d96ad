// Organizations that their owners give up: suspended at once, and deleted a week later by the job
// owner-deletion, unless an owner takes it back. The time goes by the clock that does not leap
// (base/kept_clock.h). Thread-safe.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "identity/orgs.h"
#include "kv/audited_kv.h"

namespace kvcs {

struct Parts;

inline constexpr int64_t kPlannedDeletionMs = int64_t{7} * 86'400'000;

class PlannedDeletions final {
 public:
  explicit PlannedDeletions(Parts& parts) : parts_(parts) {}

  // From now on every door refuses what is of the organization. Then what is paid for it ends, by
  // Parts::before_organization_goes; where that fails, the job tries again until it has.
  Result<Organization> plan(std::string_view organization_id, const AuditContext& who);
  // Conflict with reason deletion_not_planned.
  Result<Organization> take_back(std::string_view organization_id, const AuditContext& who);
  // Ends what is paid for organizations that are to go, and begins the deletions whose time has
  // come. One that fails is told in the log and tried again. Fails where something is paid still.
  Status begin_due();

 private:
  Status end_paid(std::string_view organization_id, int64_t at_ms);
  // `at_ms`: of the plan for which it was ended; 0: it is to be asked again.
  void set_ended(std::string_view organization_id, int64_t at_ms);
  Status bring_on(const PlannedDeletion& planned);
  void forget_gone(const std::vector<PlannedDeletion>& all);

  Parts& parts_;
  Mutex mutex_;
  // Organizations that pay no longer, and when they are to go: one that was taken back and given up
  // once more has another time, and may pay again.
  std::map<std::string, int64_t> ended_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs
