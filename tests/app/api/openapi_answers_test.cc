// The answers that /openapi.json describes, compared with those that the daemon gives: all rows
// that a house with one of everything can be asked.
#include <nlohmann/json.hpp>

#include <map>
#include <set>

#include "app/api/api_schema.h"
#include "app/api/api_walk.h"
#include "base/json.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Rows that the walk does not ask, and why.
const std::map<std::string, std::string> kUnseen = {
    {"POST /auth/setup", "the house has its first person already"},
    {"POST /auth/login", "the house has no local accounts"},
    {"POST /auth/login/totp", "the house has no local accounts"},
    {"POST /auth/password", "the house has no local accounts"},
    {"POST /auth/totp", "the house has no local accounts"},
    {"POST /auth/register", "the house has no local accounts"},
    {"POST /auth/invitation", "its token is told once; tests/app/links_test.cc has the answers"},
    {"POST /auth/totp/confirm", "the code comes from an app"},
    {"POST /auth/link/{provider}", "the house has no provider of sign-ins"},
    {"POST /auth/device/token", "the program's code is spent once"},
    {"DELETE /api/v1/me", "the last owner stays"},
    {"POST /api/v1/organizations/{org_id}/owner", "an owner does it once, as POST /api/v1/owner"},
    {"POST /api/v1/invitations/accept", "both people are members already"},
    {"POST /api/v1/billing/webhook", "Stripe signs it"},
    {"GET /{org}/{project}/{artifact_id}", "JSON is for who accepts nothing else"},
    {"POST /v1/responses", "the answer is the provider's"},
    {"POST /v1/embeddings", "the answer is the provider's"},
    {"POST /v1/messages", "the answer is the provider's"},
    {"POST /v1/messages/count_tokens", "the answer is the provider's"},
    {"POST /api/v1/artifacts/{id}/move", "not with a project key"},
    {"POST /api/v1/orgs/{org}/projects/{project}/artifacts/{id}/infer", "there is no engine"},
    {"POST /v1/orgs/{org}/projects/{project}/artifacts/{id}/infer", "there is no engine"},
    {"POST /api/v1/admin/api-keys", "the house has no seed of keys"},
    {"POST /api/v1/{tenant}/{provider}", "the answer is the provider's"},
    {"POST /admin/tenants/{tenant}/providers/{provider}/accounts/{account}/refresh",
     "needs a token endpoint"},
    {"POST /admin/tenants/{tenant}/providers/{provider}/connect", "needs a provider with OAuth"},
    {"POST /admin/backup", "the house has no directory of backups"},
};

std::string name_of(const http::Row& row) {
  return std::string(http::method_name(row.method)) + " " + row.pattern;
}

}  // namespace

TEST_CASE("openapi: answers are as described, member by member", "[contract][app]") {
  ApiHouse house;
  house.change_org(R"({"log_bodies":true})");
  house.names.insert({{"tenant", "acme"}, {"provider", "demo"}, {"account", "default"}});
  std::set<std::string> seen;
  for (const Step& step : walk_api(house)) {
    const http::Row& row = row_of(house, step);
    const RawResponse response = take(house, row, step);
    INFO(name_of(row) << " " << response.body);
    CHECK(response.status == row.shape.status);
    seen.insert(name_of(row));
    const Json stated = answer_schema(house.operation(row), row.shape.status);
    if (stated.is_null()) continue;
    const auto answer = parse_json(response.body, 128);
    REQUIRE(answer.ok());
    CHECK(find_fault(house.api, stated, *answer, row.shape.id) == "");
  }
  for (const http::Row& row : house.rows()) {
    const bool has_json = !answer_schema(house.operation(row), row.shape.status).is_null();
    if (has_json && !seen.contains(name_of(row))) {
      INFO(name_of(row) << ": no step of tests/app/api/api_walk.cc asks it");
      CHECK(kUnseen.contains(name_of(row)));
    }
  }
  for (const auto& [name, why] : kUnseen) {
    INFO(name << ": " << why);
    CHECK_FALSE(seen.contains(name));
  }
}

TEST_CASE("openapi: errors are as described, at each door", "[contract][app]") {
  ApiHouse house;
  const auto check = [&](const RawResponse& response, const char* type) {
    INFO(response.body);
    CHECK(response.status >= 400);
    const auto body = parse_json(response.body);
    REQUIRE(body.ok());
    const Json stated{{"$ref", std::string("#/components/schemas/") + type}};
    CHECK(find_fault(house.api, stated, *body, type) == "");
  };
  check(house.admin("GET", "/admin/users/nobody"), "AdminError");
  check(house.app.call("GET", "/api/v1/artifacts"), "PortalError");
  check(house.chat("{}"), "OpenAiError");
  house.change_user(R"({"monthly_limit_usd":0})");
  check(house.chat(), "OpenAiError");  // With details.
  check(house.message("{}"), "AnthropicError");
  check(house.app.call("POST", "/api/v1/acme/demo"), "GatewayError");
}
