// Goal: the file of plans is read as it stands, a fault in it is named by its line, and an
// organization has the plan that it should. Method: small files as text.
#include "portal/plans.h"

#include <catch2/catch.hpp>

using namespace kvcs;
using namespace kvcs::portal;

namespace {

const std::string kTwo =
    "plans:\n"
    "  default:\n"
    "    artifacts: 20\n"
    "    projects: 0\n"
    "  pro:\n"
    "    title: Pro\n"
    "    members: 5\n"
    "    ai_budget_usd: 12.50\n"
    "    gateway_calls: 1000\n"
    "    stripe_prices: [price_month, price_year]\n";

std::string fault_of(const std::string& yaml) {
  return Plans::parse(yaml, "plans.yaml", {}).status().message();
}

bool has(const std::string& text, const std::string& part) {
  INFO(text << " has " << part);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("plans: what is left out has no limit", "[unit][portal]") {
  const Plans plans = Plans::parse(kTwo, "plans.yaml", {}).value();
  CHECK(plans.names() == "default, pro");
  const Plan& pro = *plans.find("pro");
  CHECK(pro.title == "Pro");
  CHECK(pro.limits.members == 5);
  CHECK(pro.limits.ai_budget_nano_usd == 12'500'000'000);
  CHECK(pro.limits.gateway_calls == 1000);
  CHECK(pro.limits.artifacts == kNoLimit);
  CHECK(pro.limits.organizations == kNoLimit);
  CHECK(plans.find("default")->limits.artifacts == 20);
  CHECK(plans.find("default")->limits.projects == 0);
  CHECK(plans.find_by_price("price_year") == &pro);
  CHECK(plans.find_by_price("price_other") == nullptr);
}

TEST_CASE("plans: an operator's word stands above what is paid for, and that above the default",
          "[unit][portal]") {
  const Plans plans = Plans::parse(kTwo, "plans.yaml", {}).value();
  Organization organization;
  CHECK(plans.of(organization).name == "default");
  organization.paid_plan = "pro";
  CHECK(plans.of(organization).name == "pro");
  organization.plan = "default";
  CHECK(plans.of(organization).name == "default");
  // A plan that is in the file no longer counts as none.
  organization.plan = "gone";
  CHECK(plans.of(organization).name == "pro");
  organization.paid_plan = "gone";
  CHECK(plans.of(organization).name == "default");
}

TEST_CASE("plans: the configuration stands above the file's default", "[unit][portal]") {
  PlansConfig config;
  config.artifacts = 7;
  config.storage_bytes = 0;
  const Plans plans = Plans::parse(kTwo, "plans.yaml", config).value();
  CHECK(plans.find("default")->limits.artifacts == 7);
  CHECK(plans.find("default")->limits.storage_bytes == 0);
  CHECK(plans.find("default")->limits.projects == 0);
  CHECK(plans.find("pro")->limits.artifacts == kNoLimit);
}

TEST_CASE("plans: a fault is named by its line", "[unit][portal]") {
  const std::string two = "plans:\n  default:\n    artifacts: 1\n";
  CHECK(has(fault_of("plans:\n  pro:\n    artifacts: 1\n"), "has no plan default"));
  CHECK(has(fault_of(two + "    artefacts: 1\n"), "plans.yaml, line 4: plan default: artefacts: "));
  CHECK(has(fault_of(two + "    members: -1\n"), "line 4"));
  CHECK(has(fault_of(two + "    members: many\n"), "members"));
  CHECK(has(fault_of(two + "    ai_budget_usd: 1e-12\n"), "ai_budget_usd"));
  CHECK(has(fault_of(two + "    stripe_prices: [price_1]\n"), "is had without paying"));
  CHECK(has(fault_of(two + "  pro:\n    stripe_prices: [\"a b\"]\n"), "'a b' is no id of a price"));
  CHECK(has(fault_of(two + "  pro:\n    stripe_prices: [a]\n  max:\n    stripe_prices: [a]\n"),
            "'a' is the price of another plan too"));
  CHECK(has(fault_of(two + "  \"No Slug\":\n    members: 1\n"), "'No Slug' must be"));
  CHECK(has(fault_of(two + "other: 1\n"), "must be a map `plans`"));
  CHECK(has(fault_of("plans: 5\n"), "must be a map `plans`"));
  CHECK(has(fault_of("[]"), "must be a map `plans`"));
  CHECK_FALSE(Plans::parse("plans: [", "plans.yaml", {}).ok());
}

TEST_CASE("plans: read anew, they hold at once, and a faulty file changes nothing",
          "[unit][portal]") {
  Plans plans = Plans::parse("plans: {default: {artifacts: 1}}", "plans.yaml", {}).value();
  const Organization organization;
  const Plan& before = plans.of(organization);
  REQUIRE(plans.replace("plans: {default: {artifacts: 2}, pro: {}}", "plans.yaml", {}).ok());
  CHECK(plans.of(organization).limits.artifacts == 2);
  CHECK(plans.names() == "default, pro");
  for (const char* bad : {"plans: [", "plans: {pro: {}}", "plans: {default: {artifacts: many}}"}) {
    CHECK(plans.replace(bad, "plans.yaml", {}).code() == Code::kInvalid);
    CHECK(plans.of(organization).limits.artifacts == 2);
  }
  // Whoever looks at a plan of before may go on.
  CHECK(before.limits.artifacts == 1);
  for (size_t i = 2; i < kPlanTablesMax; i++) {
    const std::string yaml = "plans: {default: {artifacts: " + std::to_string(i) + "0}}";
    REQUIRE(plans.replace(yaml, "plans.yaml", {}).ok());
    REQUIRE(plans.replace(yaml, "plans.yaml", {}).ok());  // The same is no change.
  }
  CHECK(plans.replace("plans: {default: {}}", "plans.yaml", {}).code() == Code::kConflict);
}
