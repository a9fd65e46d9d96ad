// Plans deletions of organizations and begins them when they are due.
#include "app/planned_deletion.h"

#include "app/owner_deletion.h"
#include "app/parts.h"
#include "base/kept_clock.h"
#include "base/log.h"

namespace kvcs {

Result<Organization> PlannedDeletions::plan(std::string_view organization_id,
                                            const AuditContext& who) {
  if (parts_.before_organization_goes) {
    KVCS_TRY(parts_.before_organization_goes(organization_id));
  }
  const int64_t at_ms = parts_.kept_clock->steady().unix_ms() + kPlannedDeletionMs;
  return parts_.organizations->plan_deletion(organization_id, at_ms, who);
}

Result<Organization> PlannedDeletions::take_back(std::string_view organization_id,
                                                 const AuditContext& who) {
  return parts_.organizations->withdraw_deletion(organization_id, who);
}

Status PlannedDeletions::begin_due() {
  const int64_t now_ms = parts_.kept_clock->steady().unix_ms();
  for (const PlannedDeletion& planned : KVCS_TRY(parts_.organizations->list_planned())) {
    if (planned.at_ms > now_ms) continue;
    const Result<Organization> organization = parts_.organizations->find(planned.organization_id);
    if (organization.code() == Code::kNotFound) continue;  // Its deletion is under way.
    Status begun = organization.status();
    if (begun.ok() && organization->deletion_ms == planned.at_ms) {
      begun = parts_.deletions->begin(
          {keyspace::Owner::kOrganization, organization->id, organization->id, organization->slug},
          {planned.actor, "deletion", ""});
    }
    if (!begun.ok()) {
      log::warn("deletion.not_begun",
                {{"organization", planned.organization_id}, {"error", begun.to_string()}});
    }
  }
  return ok();
}

}  // namespace kvcs
