// Organizations that their owners give up: suspended at once, and deleted a week later by the job
// owner-deletion, unless an owner takes it back. The time goes by the clock that does not leap
// (base/kept_clock.h). Thread-safe.
#pragma once
#include <cstdint>
#include <string_view>

#include "identity/orgs.h"
#include "kv/audited_kv.h"

namespace kvcs {

struct Parts;

inline constexpr int64_t kPlannedDeletionMs = int64_t{7} * 86'400'000;

class PlannedDeletions final {
 public:
  explicit PlannedDeletions(Parts& parts) : parts_(parts) {}

  // From now on every door refuses what is of the organization. As Parts::before_organization_goes
  // fails, and then nothing is changed.
  Result<Organization> plan(std::string_view organization_id, const AuditContext& who);
  // Conflict with reason deletion_not_planned.
  Result<Organization> take_back(std::string_view organization_id, const AuditContext& who);
  // Begins the deletions whose time has come. One that fails is told in the log and tried again.
  Status begin_due();

 private:
  Parts& parts_;
};

}  // namespace kvcs
