// Goal: an organization's owner and admin see what their own organization has used of models, sums
// and single requests, and nothing of others. Method: a whole daemon with a scripted provider and
// two organizations, each with a user who has called once.
#include <nlohmann/json.hpp>

#include "support/ai_house.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct TwoPlaces {
  TwoPlaces() {
    other = json_text(
        house.admin("POST", "/admin/organizations", R"({"name":"Other","monthly_budget_usd":5})")
            .body,
        "org_id");
    other_user = json_text(house
                               .admin("POST", "/admin/users",
                                      R"({"email":"eve@example.com","org_id":")" + other + "\"}")
                               .body,
                           "user_id");
    const std::string key = json_text(
        house.admin("POST", "/admin/users/" + other_user + "/api-keys", R"({"name":"k"})").body,
        "api_key");
    REQUIRE(house.chat().status == 200);
    for (int i = 0; i < 2; i++) {
      REQUIRE(house.app.as(key, "POST", "/v1/chat/completions", kHello).status == 200);
    }
  }
  int64_t requests(Browser& browser, const std::string& query) {
    int64_t sum = 0;
    Json report = json_of(browser.send("GET", "/admin/usage?" + query));
    for (const Json& row : report["usage"]) sum += row["requests"].get<int64_t>();
    return sum;
  }

  AiHouse house;
  Browser operators = set_up(house.app);
  Browser owner = join(house.app, operators, "olga@example.com", "owner");
  std::string other, other_user;
};

}  // namespace

TEST_CASE("own usage: an owner sees the use of the own organization alone", "[contract][app][ai]") {
  TwoPlaces places;
  Browser& owner = places.owner;
  CHECK(places.requests(places.operators, "group_by=day") == 3);
  for (const char* group : {"day", "model", "user", "key", "provider", "organization"}) {
    INFO(group);
    CHECK(places.requests(owner, std::string("group_by=") + group) == 1);
  }
  const Json sums = json_of(owner.send("GET", "/admin/usage?group_by=organization"))["usage"];
  CHECK(sums[0]["organization"] == places.house.org);
  CHECK(places.requests(owner, "org_id=" + places.house.org) == 1);
  CHECK(owner.send("GET", "/admin/usage?org_id=" + places.other).status == 404);
  CHECK(places.requests(owner, "user_id=" + places.other_user) == 0);
  // Nor what the other's user may spend and has spent.
  const std::string budget_of = "/admin/usage?user_id=";
  CHECK(json_of(owner.send("GET", budget_of + places.other_user)).at("budget").is_null());
  CHECK(json_of(owner.send("GET", budget_of + places.house.user)).at("budget").is_object());
  CHECK(json_of(places.operators.send("GET", budget_of + places.other_user))
            .at("budget")
            .is_object());

  const Json rows = json_of(owner.send("GET", "/admin/usage/requests"))["requests"];
  REQUIRE(rows.size() == 1);
  CHECK(rows[0]["organization_id"] == places.house.org);
  CHECK(owner.send("GET", "/admin/usage/requests?org_id=" + places.other).status == 404);
  const std::string of_eve = "/admin/usage/requests?user_id=" + places.other_user;
  CHECK(json_of(owner.send("GET", of_eve))["requests"].empty());
  CHECK(json_of(places.operators.send("GET", of_eve))["requests"].size() == 2);
  // A second org_id does not lead past the one that the guard has looked at.
  const std::string both = "?org_id=" + places.house.org + "&org_id=" + places.other;
  CHECK(places.requests(owner, both.substr(1)) <= 1);
  Json doubled = json_of(owner.send("GET", "/admin/usage/requests" + both));
  CHECK(doubled["requests"].empty());
  for (const char* path :
       {"/admin/usage?format=csv&group_by=user", "/admin/usage/requests?format=csv"}) {
    INFO(path);
    const std::string csv = owner.send("GET", path).body;
    CHECK(has(csv, places.house.user));
    CHECK_FALSE(has(csv, places.other_user));
  }
}

TEST_CASE("own usage: of users and organizations, by role", "[contract][app][ai]") {
  TwoPlaces places;
  const std::string own_user = "/admin/users/" + places.house.user + "/usage",
                    own_org = "/admin/organizations/" + places.house.org + "/usage";
  const std::string foreign_user = "/admin/users/" + places.other_user + "/usage",
                    foreign_org = "/admin/organizations/" + places.other + "/usage";
  Browser admin = join(places.house.app, places.operators, "adam@example.com", "admin");
  for (Browser* const browser : {&places.owner, &admin}) {
    for (const char* const end : {"", "/history"}) {
      CHECK(browser->send("GET", own_user + end).status == 200);
      CHECK(browser->send("GET", own_org + end).status == 200);
      CHECK(browser->send("GET", foreign_user + end).status == 404);
      CHECK(browser->send("GET", foreign_org + end).status == 404);
    }
    CHECK(json_of(browser->send("GET", own_org))["request_count"] == 1);
  }
  for (const char* const role : {"member", "viewer"}) {
    Browser lesser =
        join(places.house.app, places.operators, std::string(role) + "@example.com", role);
    for (const std::string& path : {std::string("/admin/usage"), own_user, own_org}) {
      CHECK(lesser.send("GET", path).status == 403);
    }
    CHECK(lesser.send("GET", "/admin/usage/requests").status == 403);
  }
}
