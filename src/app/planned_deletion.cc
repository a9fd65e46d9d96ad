// Plans deletions of organizations and begins them when they are due.
#include "app/planned_deletion.h"

#include <algorithm>

#include "app/owner_deletion.h"
#include "app/parts.h"
#include "base/kept_clock.h"
#include "base/log.h"

namespace kvcs {

Result<Organization> PlannedDeletions::plan(std::string_view organization_id,
                                            const AuditContext& who) {
  const int64_t at_ms = parts_.kept_clock->steady().unix_ms() + kPlannedDeletionMs;
  Organization planned = KVCS_TRY(parts_.organizations->plan_deletion(organization_id, at_ms, who));
  set_ended(organization_id, 0);  // Something may have been paid since it was given up before.
  // The deletion is planned in any case, and the job asks again.
  const Status ended = end_paid(organization_id, planned.deletion_ms);
  if (!ended.ok()) {
    log::warn("deletion.still_paid", {{"organization", planned.id}, {"error", ended.to_string()}});
  }
  // That may have taken its time, in which another owner may have taken it back.
  Result<Organization> now = parts_.organizations->find(organization_id);
  return now.ok() ? std::move(now) : std::move(planned);
}

// Asked once for each plan in each life of the daemon, which costs nothing where it was ended
// before.
Status PlannedDeletions::end_paid(std::string_view organization_id, int64_t at_ms) {
  if (!parts_.before_organization_goes) return ok();
  {
    const MutexLock lock(mutex_);
    const auto found = ended_.find(std::string(organization_id));
    if (found != ended_.end() && found->second == at_ms) return ok();
  }
  KVCS_TRY(parts_.before_organization_goes(organization_id));
  set_ended(organization_id, at_ms);
  return ok();
}

void PlannedDeletions::set_ended(std::string_view organization_id, int64_t at_ms) {
  const MutexLock lock(mutex_);
  if (at_ms != 0) {
    ended_[std::string(organization_id)] = at_ms;
  } else {
    ended_.erase(std::string(organization_id));
  }
}

Result<Organization> PlannedDeletions::take_back(std::string_view organization_id,
                                                 const AuditContext& who) {
  return parts_.organizations->withdraw_deletion(organization_id, who);
}

// Of one that comes between the list and this only Stripe is asked once more.
void PlannedDeletions::forget_gone(const std::vector<PlannedDeletion>& all) {
  const MutexLock lock(mutex_);
  std::erase_if(ended_, [&](const auto& entry) {
    return std::none_of(all.begin(), all.end(), [&](const PlannedDeletion& planned) {
      return planned.organization_id == entry.first;
    });
  });
}

Status PlannedDeletions::begin_due() {
  Status still_paid;
  const std::vector<PlannedDeletion> all = KVCS_TRY(parts_.organizations->list_planned());
  forget_gone(all);
  for (const PlannedDeletion& planned : all) {
    const Status ended = bring_on(planned);
    if (!ended.ok()) still_paid = ended;
  }
  return still_paid;
}

// Money first, as Stripe may have been away when the deletion was planned. Only what is paid still
// is a failure of the job. While Stripe is asked an owner may take the deletion back: it begins
// only if it is planned as it was.
Status PlannedDeletions::bring_on(const PlannedDeletion& planned) {
  const Result<Organization> organization = parts_.organizations->find(planned.organization_id);
  if (organization.code() == Code::kNotFound) return ok();  // Its deletion is under way.
  Status begun = organization.status();
  if (begun.ok() && organization->deletion_ms != planned.at_ms) return ok();
  const bool is_due = planned.at_ms <= parts_.kept_clock->steady().unix_ms();
  if (begun.ok()) {
    if (is_due) set_ended(organization->id, 0);  // Something may have been paid since.
    KVCS_TRY(end_paid(organization->id, planned.at_ms));
    if (!is_due) return ok();
    begun = parts_.deletions->begin_planned(
        {keyspace::Owner::kOrganization, organization->id, organization->id, organization->slug},
        planned.at_ms, {planned.actor, "deletion", ""});
    if (begun.reason() == "deletion_not_planned") return ok();
  }
  if (!begun.ok()) {
    log::warn("deletion.not_begun",
              {{"organization", planned.organization_id}, {"error", begun.to_string()}});
  }
  return ok();
}

}  // namespace kvcs
