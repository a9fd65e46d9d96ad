// Plans: what an organization may have of each thing. They stand in a file (plans.file, or the
// shipped config/plans.yaml), which is read at the start and on SIGHUP. An organization has the
// plan that an operator gave it, else the one that it pays for, else `default`. What is over a
// limit, as after a change to a smaller plan, stays and can be read; nothing is added to it.
// Thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "identity/records.h"
#include "portal/portal.h"

namespace kvcs::portal {

inline constexpr std::string_view kDefaultPlan = "default";
inline constexpr size_t kPlansMax = 100;
// What was read before stays in memory, so that a plan that somebody looks at does not go.
inline constexpr size_t kPlanTablesMax = 1000;

// Each negative where there is no limit.
struct PlanLimits {
  int64_t organizations = kNoLimit;  // Told by /api/v1/quota alone.
  int64_t projects = kNoLimit, members = kNoLimit;
  int64_t artifacts = kNoLimit, storage_bytes = kNoLimit;
  int64_t ai_budget_nano_usd = kNoLimit;  // Of a month; the organization's own budget may be less.
  int64_t gateway_calls = kNoLimit;       // Of a month.
};

struct Plan {
  std::string name, title;
  PlanLimits limits;
  std::vector<std::string> stripe_prices;  // Ids; the first is what a checkout is for.
};

class Plans final {
 public:
  // Invalid names the file and line that does not fit. `config` has what stands above the file's
  // plan `default`.
  static Result<Plans> parse(std::string_view yaml, std::string_view file_name,
                             const PlansConfig& config);
  Plans(Plans&&) noexcept;
  Plans& operator=(Plans&&) = delete;
  ~Plans();
  // What parse() would read holds from now on; where that fails, what held before. Conflict after
  // kPlanTablesMax changes. What the others return stays good all the same.
  Status replace(std::string_view yaml, std::string_view file_name, const PlansConfig& config);

  // A plan that the file has no longer counts as none.
  const Plan& of(const Organization& organization) const;
  const Plan* find(std::string_view name) const;            // Null: there is none.
  const Plan* find_by_price(std::string_view price) const;  // Likewise.
  const std::vector<Plan>& all() const;                     // In the order of the file.
  std::string names() const;                                // "default, pro"

 private:
  struct Table;
  struct State;
  explicit Plans(std::unique_ptr<const Table> table);
  static Result<std::unique_ptr<const Table>> read(std::string_view yaml,
                                                   std::string_view file_name,
                                                   const PlansConfig& config);
  const Table& table() const;

  std::unique_ptr<State> state_;
};

}  // namespace kvcs::portal
