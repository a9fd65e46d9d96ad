// Where plans meet the doors that they limit: each door gets its limits as functions, which look
// the organization's plan up when they are called.
#pragma once
#include <cstdint>
#include <string_view>

#include "artifacts/artifacts.h"
#include "base/status.h"
#include "portal/plans_api.h"

namespace kvcs {

struct Parts;

// Reads plans.file, or the shipped one. Invalid names the file and line that does not fit.
Status build_plans(Parts& parts);
// The same again, while others read; what holds stays when it fails.
Status reload_plans(Parts& parts);

// What the plan of an organization, by its record in memory, allows of one thing; no limit for one
// that is not there.
Result<int64_t> plan_limit(const Parts& parts, std::string_view organization_id,
                           int64_t portal::PlanLimits::*limit);
Result<ArtifactQuota> artifact_quota(const Parts& parts, std::string_view organization_id);
// What it has, asked of every door that counts.
Result<portal::PlanUse> plan_use(Parts& parts, std::string_view organization_id);

}  // namespace kvcs
