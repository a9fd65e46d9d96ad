// Reads the file of plans, and finds the plan of an organization.
#include "portal/plans.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <set>

#include "base/bytes.h"
#include "base/id.h"
#include "base/json.h"
#include "base/money.h"
#include "base/mutex.h"
#include "base/yaml.h"

namespace kvcs::portal {
namespace {

constexpr size_t kPricesPerPlanMax = 20;
constexpr size_t kPriceMaxBytes = 200;
constexpr size_t kTitleMaxBytes = 200;

// The members of a plan that are whole numbers.
struct Amount {
  const char* name;
  int64_t PlanLimits::*limit;
};
constexpr Amount kAmounts[] = {{"organizations", &PlanLimits::organizations},
                               {"projects", &PlanLimits::projects},
                               {"members", &PlanLimits::members},
                               {"artifacts", &PlanLimits::artifacts},
                               {"storage_bytes", &PlanLimits::storage_bytes},
                               {"gateway_calls", &PlanLimits::gateway_calls}};

Status read_amount(const std::string& name, const Json& value, PlanLimits& limits) {
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  if (name == "ai_budget_usd") {
    limits.ai_budget_nano_usd = KVCS_TRY(parse_nano_usd(text, name));
    return ok();
  }
  for (const Amount& amount : kAmounts) {
    if (name != amount.name) continue;
    const uint64_t number = KVCS_TRY(parse_u64(text, name));
    if (number > INT64_MAX) return invalid(name + ": is over " + std::to_string(INT64_MAX) + ".");
    limits.*amount.limit = static_cast<int64_t>(number);
    return ok();
  }
  return invalid(printable(name, kShownName) +
                 ": unknown member; known are: title, organizations, projects, members, "
                 "artifacts, storage_bytes, ai_budget_usd, gateway_calls, stripe_prices.");
}

bool is_price_id(std::string_view id) {
  return std::all_of(id.begin(), id.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; });
}

Status read_prices(const Json& list, std::vector<std::string>& prices) {
  if (!list.is_array() || list.size() > kPricesPerPlanMax) {
    return invalid("stripe_prices: must be a list of at most " + std::to_string(kPricesPerPlanMax) +
                   " ids.");
  }
  for (const Json& one : list) {
    const std::string id = one.is_string() ? one.get<std::string>() : "";
    if (id.empty() || id.size() > kPriceMaxBytes || !is_price_id(id)) {
      return invalid("stripe_prices: '" + printable(id, kShownName) + "' is no id of a price.");
    }
    prices.push_back(id);
  }
  return ok();
}

Result<Plan> read_plan(const std::string& name, const Json& entry, std::string& member) {
  if (!is_slug(name)) {
    return invalid("'" + printable(name, kShownName) +
                   "' must be 1 to 64 of a-z, 0-9, '_', '.', '-' and begin with a letter or "
                   "digit.");
  }
  if (!entry.is_object()) return invalid("must be a map of limits.");
  Plan plan;
  plan.name = plan.title = name;
  for (const auto& [key, value] : entry.items()) {
    member = key;
    if (key == "title") {
      plan.title = value.is_string() ? value.get<std::string>() : "";
      if (plan.title.empty() || plan.title.size() > kTitleMaxBytes) {
        return invalid("title: 1 to " + std::to_string(kTitleMaxBytes) + " bytes are allowed.");
      }
    } else if (key == "stripe_prices") {
      KVCS_TRY(read_prices(value, plan.stripe_prices));
    } else {
      KVCS_TRY(read_amount(key, value, plan.limits));
    }
  }
  member.clear();
  if (name == kDefaultPlan && !plan.stripe_prices.empty()) {
    member = "stripe_prices";
    return invalid("stripe_prices: the plan default is had without paying.");
  }
  return plan;
}

void set_above(int64_t config, int64_t& limit) {
  if (config >= 0) limit = config;
}

}  // namespace

struct Plans::Table {
  std::string yaml;
  std::vector<Plan> plans;
  size_t default_at = 0;

  const Plan* find(std::string_view name) const {
    for (const Plan& plan : plans) {
      if (plan.name == name) return &plan;
    }
    return nullptr;
  }
};

struct Plans::State {
  std::atomic<const Table*> now;
  Mutex mutex;
  std::vector<std::unique_ptr<const Table>> read KVCS_GUARDED_BY(mutex);  // The last one holds.
};

Plans::Plans(std::unique_ptr<const Table> table) : state_(std::make_unique<State>()) {
  const MutexLock lock(state_->mutex);
  state_->now = table.get();
  state_->read.push_back(std::move(table));
}
Plans::Plans(Plans&&) noexcept = default;
Plans::~Plans() = default;

const Plans::Table& Plans::table() const {
  return *state_->now.load(std::memory_order_acquire);
}

const std::vector<Plan>& Plans::all() const {
  return table().plans;
}

Result<Plans> Plans::parse(std::string_view yaml, std::string_view file_name,
                           const PlansConfig& config) {
  return Plans(KVCS_TRY(read(yaml, file_name, config)));
}

Status Plans::replace(std::string_view yaml, std::string_view file_name,
                      const PlansConfig& config) {
  if (table().yaml == yaml) return ok();
  std::unique_ptr<const Table> fresh = KVCS_TRY(read(yaml, file_name, config));
  const MutexLock lock(state_->mutex);
  if (state_->read.size() >= kPlanTablesMax) {
    return conflict(std::string(file_name) + " was read anew " + std::to_string(kPlanTablesMax) +
                    " times since the start; restart to read it again.");
  }
  state_->now.store(fresh.get(), std::memory_order_release);
  state_->read.push_back(std::move(fresh));
  return ok();
}

Result<std::unique_ptr<const Plans::Table>> Plans::read(std::string_view yaml,
                                                        std::string_view file_name,
                                                        const PlansConfig& config) {
  const YamlDocument document = KVCS_TRY(YamlDocument::parse(yaml, file_name));
  const Json& root = document.root();
  const auto list = root.is_object() ? root.find("plans") : root.end();
  if (!root.is_object() || root.size() != 1 || list == root.end() || !list->is_object() ||
      list->size() > kPlansMax) {
    return invalid(std::string(file_name) + ": must be a map `plans` of at most " +
                   std::to_string(kPlansMax) + " plans.");
  }
  auto table = std::make_unique<Table>();
  table->yaml = yaml;
  std::set<std::string> prices;
  for (const auto& [name, entry] : list->items()) {
    std::string member;
    Result<Plan> plan = read_plan(name, entry, member);
    std::vector<std::string> path = {"plans", name};
    if (!member.empty()) path.push_back(member);
    const std::string where = document.where(path) + ": plan " + printable(name, kShownName);
    if (!plan.ok()) return std::move(plan).status().with_context(where);
    for (const std::string& price : plan->stripe_prices) {
      if (prices.insert(price).second) continue;
      return invalid(where + ": stripe_prices: '" + printable(price, kShownName) +
                     "' is the price of another plan too.");
    }
    if (name == kDefaultPlan) table->default_at = table->plans.size();
    table->plans.push_back(std::move(plan).value());
  }
  if (table->find(kDefaultPlan) == nullptr) {
    return invalid(std::string(file_name) +
                   ": has no plan default, which every organization has "
                   "that has no other.");
  }
  PlanLimits& limits = table->plans[table->default_at].limits;
  set_above(config.organizations, limits.organizations);
  set_above(config.projects, limits.projects);
  set_above(config.artifacts, limits.artifacts);
  set_above(config.storage_bytes, limits.storage_bytes);
  return std::unique_ptr<const Table>(std::move(table));
}

const Plan* Plans::find(std::string_view name) const {
  return table().find(name);
}

const Plan* Plans::find_by_price(std::string_view price) const {
  for (const Plan& plan : table().plans) {
    const auto& prices = plan.stripe_prices;
    if (std::find(prices.begin(), prices.end(), price) != prices.end()) return &plan;
  }
  return nullptr;
}

const Plan& Plans::of(const Organization& organization) const {
  const Table& now = table();
  for (const std::string* name : {&organization.plan, &organization.paid_plan}) {
    if (name->empty()) continue;
    if (const Plan* plan = now.find(*name)) return *plan;
  }
  return now.plans[now.default_at];
}

std::string Plans::names() const {
  std::vector<std::string> names;
  for (const Plan& plan : table().plans) names.push_back(plan.name);
  return join(names, ", ");
}

}  // namespace kvcs::portal
