// Gives each door the limits of a plan in the door's own terms, and gathers what is used.
#include "app/plan_limits.h"

#include <memory>

#include "ai/budget/budget.h"
#include "app/parts.h"
#include "app/shipped_files.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/money.h"
#include "gateway/call/call_counts.h"
#include "identity/directory.h"

namespace kvcs {
namespace {

constexpr size_t kPlansFileMaxBytes = 1u << 20;

// A door that speaks of whole numbers has none for "no limit".
uint64_t amount(int64_t limit) {
  return limit < 0 ? static_cast<uint64_t>(INT64_MAX) : static_cast<uint64_t>(limit);
}

struct PlansFile {
  std::string path, text;
};
Result<PlansFile> read_plans_file(const portal::PlansConfig& config) {
  PlansFile file;
  file.path = config.file;
  if (file.path.empty()) file.path = KVCS_TRY(find_shipped_file("plans.yaml", "plans.file"));
  file.text = KVCS_TRY(read_small_file(file.path, kPlansFileMaxBytes));
  return file;
}

}  // namespace

Status build_plans(Parts& parts) {
  const portal::PlansConfig& config = parts.config.auth.plans;
  const auto [path, text] = KVCS_TRY(read_plans_file(config));
  parts.plans = std::make_unique<portal::Plans>(KVCS_TRY(portal::Plans::parse(text, path, config)));
  return ok();
}

Status reload_plans(Parts& parts) {
  const portal::PlansConfig& config = parts.config.auth.plans;
  const auto [path, text] = KVCS_TRY(read_plans_file(config));
  return parts.plans->replace(text, path, config);
}

// The first start makes the project before the organization. Whether there is an organization at
// all is for the write to say that asks here.
Result<int64_t> plan_limit(const Parts& parts, std::string_view organization_id,
                           int64_t portal::PlanLimits::*limit) {
  const auto organization = parts.directory->organization(organization_id);
  if (organization.code() == Code::kNotFound) return kNoLimit;
  if (!organization.ok()) return organization.status();
  return parts.plans->of(**organization).limits.*limit;
}

Result<ArtifactQuota> artifact_quota(const Parts& parts, std::string_view organization_id) {
  const auto organization = KVCS_TRY(parts.directory->organization(organization_id));
  const portal::PlanLimits& limits = parts.plans->of(*organization).limits;
  return ArtifactQuota{.organizations = amount(limits.organizations),
                       .projects = amount(limits.projects),
                       .artifacts = amount(limits.artifacts),
                       .storage_bytes = amount(limits.storage_bytes)};
}

Result<portal::PlanUse> plan_use(Parts& parts, std::string_view organization_id) {
  const ArtifactUsage artifacts = KVCS_TRY(parts.artifacts.service->usage(organization_id));
  const auto roster = KVCS_TRY(parts.directory->roster(organization_id));
  const ai::BudgetView spent = KVCS_TRY(parts.ai.budgets->view("org", organization_id, ""));
  portal::PlanUse use;
  use.month = format_month(parts.clock().unix_ms());
  use.projects = static_cast<int64_t>(artifacts.projects);
  use.members = static_cast<int64_t>(roster->members.size());
  use.artifacts = static_cast<int64_t>(artifacts.artifacts);
  use.storage_bytes = static_cast<int64_t>(artifacts.storage_bytes);
  use.ai_nano_usd = spent.used_nano_usd;
  use.ai_projected_nano_usd = project_month(spent.used_nano_usd, parts.clock().unix_ms());
  use.gateway_calls = KVCS_TRY(parts.gateway.calls->used(organization_id));
  return use;
}

}  // namespace kvcs
