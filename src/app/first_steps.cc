// Asks artifacts, keys, model providers, users, usage and accounts whether there is one of each.
#include "app/first_steps.h"

#include <nlohmann/json.hpp>

#include "ai/budget/budget.h"
#include "ai/providers.h"
#include "app/first_start.h"
#include "app/parts.h"
#include "artifacts/artifacts.h"
#include "artifacts/shares.h"
#include "base/json.h"
#include "http/json_api.h"
#include "identity/directory.h"
#include "identity/keys.h"
#include "identity/users.h"
#include "kv/keyspace.h"
#include "kv/room.h"
#include "ledger/usage_report.h"

namespace kvcs {
namespace {

// Small: a walk ends at the first that answers, which most often is among the first.
constexpr size_t kPage = 20;

constexpr http::ApiType kTypes[] = {
    {"FirstSteps", R"(
steps!: [FirstStep] # In the order in which they are taken.)"},
    {"FirstStep", R"(
name!: artifact|share|api_key|ai_provider|ai_user|chat|account
done!: boolean # account: one of a service is connected; ai_user: one who has a budget to spend.)"},
};

Result<bool> has_artifact(const Parts& parts, const Organization& organization) {
  ArtifactFilter filter;
  filter.organization_id = organization.id;
  return KVCS_TRY(parts.artifacts.service->count(filter)) > 0;
}

// By a link, or with everybody.
Result<bool> has_shared(const Parts& parts, const Organization& organization) {
  ArtifactFilter filter;
  filter.organization_id = organization.id;
  filter.visibility = "public";
  if (KVCS_TRY(parts.artifacts.service->count(filter)) > 0) return true;
  return parts.artifacts.shares->has_any(organization.id);
}

// The key of the first start counts once it is used: it stands in a file that nobody may have read.
Result<bool> has_key(const Parts& parts, const Organization& organization) {
  const KeyOwner whole{PrincipalKind::kProjectKey, organization.id, "", ""};
  std::string cursor;
  do {
    const KeyPage page = KVCS_TRY(parts.keys->list(whole, {cursor, kPage}));
    for (const KeyRecord& key : page.keys) {
      const bool is_made = key.name != kInitialKeyName || key.last_used_ms > 0;
      if (is_made && key.status == KeyStatus::kActive) return true;
    }
    cursor = page.cursor;
  } while (!cursor.empty());
  return false;
}

// One that can be called: it has a key, or needs none.
Result<bool> has_provider(const Parts& parts, const Organization& organization) {
  for (const auto& provider : KVCS_TRY(parts.ai.providers->list())) {
    if (!provider->needs_api_key()) return true;
    const Result<Secret> key = parts.ai.providers->credential(organization.id, *provider);
    if (key.ok() && !key->empty()) return true;
  }
  return false;
}

// Without a budget of the organization no user has one.
Result<bool> has_user(const Parts& parts, const Organization& organization) {
  if (organization.monthly_budget_nano_usd == 0) return false;
  std::string cursor;
  do {
    const UserPage page = KVCS_TRY(parts.users->list(organization.id, {cursor, kPage}));
    for (const User& user : page.users) {
      if (user.active && user.monthly_limit_nano_usd != 0) return true;
    }
    cursor = page.cursor;
  } while (!cursor.empty());
  return false;
}

// In this month by its counters, which need no SQL, or in any month before.
Result<bool> has_chatted(const Parts& parts, const Organization& organization) {
  const ai::BudgetView month = KVCS_TRY(parts.ai.budgets->view("org", organization.id, ""));
  if (month.request_count > month.error_count) return true;
  UsageAsk ask;
  ask.organization_id = organization.id;
  for (const UsageGroup& day : KVCS_TRY(usage_report(*parts.ledger, ask))) {
    if (day.requests > day.failures) return true;
  }
  return false;
}

Result<bool> has_account(const Parts& parts, const Organization& organization) {
  return is_full(*parts.kv, KvFamily::kTokens, keyspace::token_prefix(organization.slug, ""), 1);
}

struct Step {
  const char* name;
  Result<bool> (*is_done)(const Parts& parts, const Organization& organization);
};
constexpr Step kSteps[] = {{"artifact", has_artifact}, {"share", has_shared},
                           {"api_key", has_key},       {"ai_provider", has_provider},
                           {"ai_user", has_user},      {"chat", has_chatted},
                           {"account", has_account}};

}  // namespace

std::span<const http::ApiType> FirstSteps::types() {
  return kTypes;
}

void FirstSteps::add_routes(std::vector<http::Row>& table, const http::Access& viewer) {
  http::Rows rows(table, *this);
  rows.add(http::Method::kGet, "/api/v1/first-steps", viewer, http::kNoBody, &FirstSteps::show,
           "What to do first, and which of it the organization has done.",
           {.id = "listFirstSteps", .answer = "FirstSteps"});
}

Result<http::Response> FirstSteps::show(http::Request& request) {
  const auto organization =
      KVCS_TRY(parts_.directory->organization(request.principal.organization_id));
  Json steps = Json::array();
  for (const Step& step : kSteps) {
    const bool is_done = KVCS_TRY(step.is_done(parts_, *organization));
    steps.push_back({{"name", step.name}, {"done", is_done}});
  }
  return http::private_reply(200, Json{{"steps", std::move(steps)}});
}

}  // namespace kvcs
