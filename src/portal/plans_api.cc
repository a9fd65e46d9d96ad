// Handlers that show plans and what is used of them, and the one by which an operator gives one.
#include "portal/plans_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"
#include "http/json_api.h"
#include "identity/admin_common.h"
#include "identity/records.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"Plan", R"(
name!: string
title!: string
limits!: PlanLimits
stripe_prices!: [string] # What a checkout may be for; none: it cannot be bought.)"},
    {"PlanLimits", R"(
projects!: integer?
members!: integer?
artifacts!: integer?
storage_bytes!: integer?
ai_budget_usd!: number? # Of a month.
gateway_calls!: integer? # Of a month.)"},
    {"PlanList", R"(
plans!: [Plan])"},
    {"Used", R"(
used!: integer
allowed!: integer?)"},
    {"UsedUsd", R"(
used!: number
projected!: number? # Of the whole month, if it goes on like this; null in its first day.
allowed!: number? # The smaller of the plan's and the organization's own budget.)"},
    {"PlanUse", R"(
organization_id!: id
organization!: string # Its slug.
plan!: string
month!: string # Of calls and money: 2026-01.
projects!: Used
members!: Used
artifacts!: Used # Uploads under way count.
storage_bytes!: Used
ai_usd!: UsedUsd
gateway_calls!: Used)"},
    {"GivenPlan", R"(
plan!: string(1..64)? = "default" # Null takes back what was given.)"},
    {"OrganizationPlan", R"(
organization_id!: id
plan!: string # In force.
given_plan!: string? # By an operator; it is in force whatever is paid for.
paid_plan!: string?
limits!: PlanLimits)"},
};

Json usd_or_null(int64_t nano_usd) {
  return nano_usd < 0 ? Json(nullptr) : usd_json(nano_usd);
}

Json limits_json(const PlanLimits& limits) {
  return Json{{"projects", limit_json(limits.projects)},
              {"members", limit_json(limits.members)},
              {"artifacts", limit_json(limits.artifacts)},
              {"storage_bytes", limit_json(limits.storage_bytes)},
              {"ai_budget_usd", usd_or_null(limits.ai_budget_nano_usd)},
              {"gateway_calls", limit_json(limits.gateway_calls)}};
}

Json used_json(int64_t used, int64_t allowed) {
  return Json{{"used", used}, {"allowed", limit_json(allowed)}};
}

Json plan_json(const Organization& organization, const Plan& plan) {
  return Json{{"organization_id", organization.id},
              {"plan", plan.name},
              {"given_plan", http::text_or_null(organization.plan)},
              {"paid_plan", http::text_or_null(organization.paid_plan)},
              {"limits", limits_json(plan.limits)}};
}

}  // namespace

PlansApi::PlansApi(const Plans& plans, OrganizationService& organizations, UseOf use_of)
    : plans_(plans), organizations_(organizations), use_of_(std::move(use_of)) {}

std::span<const http::ApiType> PlansApi::types() {
  return kTypes;
}

void PlansApi::add_routes(std::vector<http::Row>& table, const http::Access& person,
                          const http::Access& reader) {
  using enum http::Method;
  http::Rows rows(table, *this);
  rows.add(kGet, "/api/v1/plans", person, http::kNoBody, &PlansApi::list,
           "The plans that an organization may have.", {.id = "listPlans", .answer = "PlanList"});
  rows.add(kGet, "/api/v1/usage", reader, http::kNoBody, &PlansApi::usage,
           "What the organization has used of its plan.",
           {.id = "getPlanUse", .answer = "PlanUse"});
}

void PlansApi::add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  http::Rows rows(table, *this, "/admin/organizations/{org_id}/plan");
  rows.add(kGet, "", access.billing, http::kNoBody, &PlansApi::get,
           "The plan of an organization, and where it comes from.",
           {.id = "getOrganizationPlan", .answer = "OrganizationPlan"});
  rows.add(kPut, "", access.admin, http::kib(1), &PlansApi::set,
           "Give an organization a plan, whatever it pays for.",
           {.id = "setOrganizationPlan", .body = "GivenPlan", .answer = "OrganizationPlan"});
}

Result<http::Response> PlansApi::list(http::Request&) {
  Json plans = Json::array();
  for (const Plan& plan : plans_.all()) {
    plans.push_back({{"name", plan.name},
                     {"title", plan.title},
                     {"limits", limits_json(plan.limits)},
                     {"stripe_prices", plan.stripe_prices}});
  }
  return http::private_reply(200, Json{{"plans", std::move(plans)}});
}

Result<std::string> PlansApi::describe_use(std::string_view organization_id) const {
  const Organization organization = KVCS_TRY(organizations_.find(organization_id));
  const PlanUse use = KVCS_TRY(use_of_(organization_id));
  const Plan& plan = plans_.of(organization);
  const PlanLimits& limits = plan.limits;
  int64_t budget = organization.monthly_budget_nano_usd;
  if (limits.ai_budget_nano_usd >= 0) budget = std::min(budget, limits.ai_budget_nano_usd);
  return dump_json(
      Json{{"organization_id", organization.id},
           {"organization", shown_slug(organization)},
           {"plan", plan.name},
           {"month", use.month},
           {"projects", used_json(use.projects, limits.projects)},
           {"members", used_json(use.members, limits.members)},
           {"artifacts", used_json(use.artifacts, limits.artifacts)},
           {"storage_bytes", used_json(use.storage_bytes, limits.storage_bytes)},
           {"ai_usd", Json{{"used", usd_json(use.ai_nano_usd)},
                           {"projected", usd_or_null(use.ai_projected_nano_usd.value_or(-1))},
                           {"allowed", usd_or_null(budget)}}},
           {"gateway_calls", used_json(use.gateway_calls, limits.gateway_calls)}});
}

Result<http::Response> PlansApi::usage(http::Request& request) {
  http::Response response =
      http::json_response(200, KVCS_TRY(describe_use(request.principal.organization_id)));
  response.set("Cache-Control", "no-store");
  return response;
}

Result<http::Response> PlansApi::get(http::Request& request) {
  const Organization organization = KVCS_TRY(organizations_.find(request.param("org_id")));
  return http::private_reply(200, plan_json(organization, plans_.of(organization)));
}

Result<http::Response> PlansApi::set(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  std::string plan;
  if (admin_api::is_null(body, "plan")) {
    reader.member("plan");
  } else {
    plan = reader.string("plan", {.max_bytes = 64});
  }
  KVCS_TRY(reader.finish());
  if (!plan.empty() && plans_.find(plan) == nullptr) {
    return invalid("plan: '" + printable(plan, kShownName) + "' is none of: " + plans_.names() +
                   ".")
        .with_reason("plan_unknown");
  }
  const auto edit = [&](Organization& organization) -> Status {
    organization.plan = plan;
    return ok();
  };
  const Organization changed =
      KVCS_TRY(organizations_.update(request.param("org_id"), edit, admin_api::who(request)));
  return http::private_reply(200, plan_json(changed, plans_.of(changed)));
}

}  // namespace kvcs::portal
