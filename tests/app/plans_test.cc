// Goal: nobody gets more than the plan allows, at any door and however many ask at once; what is
// over after a change to a smaller plan stays and can be read. Method: a whole daemon with a file
// of small plans.
#include <nlohmann/json.hpp>

#include <atomic>
#include <fstream>
#include <thread>

#include "gateway/gateway_house.h"
#include "support/ai_house.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kPlans =
    "plans:\n"
    "  default: {artifacts: 2, storage_bytes: 1000, projects: 2, members: 3,\n"
    "            ai_budget_usd: 0.00005, gateway_calls: 2}\n"
    "  big: {title: Big, gateway_calls: 1000}\n"
    "  none: {artifacts: 0, storage_bytes: 0, projects: 0, members: 0, ai_budget_usd: 0,\n"
    "         gateway_calls: 0}\n";

void set_plans(Config& config) {
  config.auth.plans.file = config.data_dir + ".plans.yaml";
  std::ofstream(config.auth.plans.file) << kPlans;
}

void give(const TestApp& app, const std::string& organization, const std::string& plan) {
  const std::string body = plan.empty() ? R"({"plan":null})" : R"({"plan":")" + plan + "\"}";
  const RawResponse set =
      app.as_owner("PUT", "/admin/organizations/" + organization + "/plan", body);
  INFO(set.body);
  REQUIRE(set.status == 200);
}

RawResponse announce(const TestApp& app, const std::string& size) {
  return app.as(app.credential("api_key"), "POST", "/api/v1/artifacts/upload-url",
                R"({"name":"n","dtype":"F16","size_bytes":)" + size + "}");
}

}  // namespace

TEST_CASE("plans: uploads at once do not pass the plan, and a smaller plan leaves what is there",
          "[contract][app][portal]") {
  TestApp app(set_plans);
  const std::string key = app.credential("api_key"), org = app.credential("organization_id");
  std::atomic<int> made{0}, refused{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; i++) {
    clients.emplace_back([&] {
      const RawResponse answer = announce(app, "5");
      made += answer.status == 200;
      refused += answer.status == 403;
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(made == 2);
  CHECK(refused == 6);
  const Json over = json_of(announce(app, "5"));
  CHECK(over["used"] == 2);
  CHECK(over["limit"] == 2);
  CHECK(over["resource"] == "artifacts");

  give(app, org, "big");
  const RawResponse place = announce(app, "5000");
  REQUIRE(place.status == 200);
  const std::string url = json_text(place.body, "url"), id = json_text(place.body, "artifact_id");
  REQUIRE(app.call("PUT", url.substr(url.find("/blobs/")), {}, std::string(5000, 'x')).status ==
          200);
  const std::string confirm = "/api/v1/artifacts/" + id + "/confirm-upload";
  give(app, org, "");
  CHECK(app.as(key, "POST", confirm).status == 403);
  give(app, org, "big");
  CHECK(app.as(key, "POST", confirm).status == 200);
  give(app, org, "none");
  CHECK(announce(app, "1").status == 403);
  CHECK(app.as(key, "GET", "/api/v1/artifacts/" + id).status == 200);
  CHECK(app.as(key, "POST", "/api/v1/artifacts/" + id + "/download-url").status == 200);
  // A plan that is given is there after a restart.
  app.restart();
  CHECK(announce(app, "1").status == 403);
}

TEST_CASE("plans: members are counted when they are invited and when they come",
          "[contract][app][portal]") {
  TestApp app(set_plans);
  Browser owner = set_up(app);
  Browser second = join(app, owner, "second@example.com", "member");
  const std::string member = R"({"role":"member"})";
  // One place is left: the second link is refused, and the first one counts.
  const RawResponse link = owner.send("POST", "/api/v1/invitations", member);
  REQUIRE(link.status == 201);
  const RawResponse refused = owner.send("POST", "/api/v1/invitations", member);
  CHECK(refused.status == 403);
  CHECK(json_of(refused)["resource"] == "members");
  CHECK(json_of(refused)["limit"] == 3);
  // A plan that became smaller meanwhile refuses whoever comes with the link, and takes nobody out.
  const std::string org = app.credential("organization_id");
  give(app, org, "none");
  const std::string registration = R"({"token":")" + json_text(link.body, "token") +
                                   R"(","email":"third@example.com","password":")" + kGoodPassword +
                                   "\"}";
  CHECK(Browser(app).send("POST", "/auth/register", registration).status == 403);
  CHECK(json_of(owner.send("GET", "/api/v1/members"))["members"].size() == 2);
  CHECK(second.send("GET", "/api/v1/artifacts").status == 200);
}

TEST_CASE("plans: of many who come at once so many join as there are places",
          "[fault][app][portal]") {
  TestApp app(set_plans);
  const std::string org = app.credential("organization_id");
  Browser owner = set_up(app);
  give(app, org, "big");
  std::vector<std::string> tokens;
  std::vector<Browser> people;
  for (int i = 0; i < 4; i++) {
    people.push_back(join(app, owner, "p" + std::to_string(i) + "@example.com", "viewer"));
  }
  const Json made = json_of(owner.send("POST", "/api/v1/organizations", R"({"name":"Second"})"));
  const std::string other = made["organization_id"].get<std::string>();
  give(app, other, "big");
  for (int i = 0; i < 4; i++) {
    const RawResponse link = owner.send("POST", "/api/v1/organizations/" + other + "/invitations",
                                        R"({"role":"viewer"})");
    tokens.push_back(json_text(link.body, "token"));
  }
  give(app, other, "default");  // Three, and the owner is one of them.
  std::atomic<int> joined{0}, refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      const int status = people[static_cast<size_t>(i)]
                             .send("POST", "/api/v1/invitations/accept",
                                   R"({"token":")" + tokens[static_cast<size_t>(i)] + "\"}")
                             .status;
      joined += status == 200;
      refused += status == 403;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(joined == 2);
  CHECK(refused == 2);
}

TEST_CASE("plans: projects are counted when they are made, but never the first",
          "[contract][app][portal]") {
  TestApp app(set_plans);
  Browser owner = set_up(app);
  CHECK(owner.send("POST", "/api/v1/projects", R"({"name":"Two"})").status == 201);
  const RawResponse refused = owner.send("POST", "/api/v1/projects", R"({"name":"Three"})");
  CHECK(refused.status == 403);
  CHECK(json_of(refused)["resource"] == "projects");
  CHECK(json_of(refused)["used"] == 2);
  CHECK(owner.send("GET", "/api/v1/projects").status == 200);
  CHECK(owner.send("POST", "/api/v1/organizations", R"({"name":"New"})").status == 201);
}

TEST_CASE("plans: the smaller of the plan's and the own budget holds at providers",
          "[contract][app][portal]") {
  AiHouse house(set_plans);
  house.change_org(R"({"monthly_budget_usd":5})");
  CHECK(house.chat().status == 429);  // 100 tokens at 600 nano-USD are over 0.00005 USD.
  CHECK(has(house.chat().body, "organization_quota_exceeded"));
  give(house.app, house.org, "big");
  CHECK(house.chat().status == 200);
  house.change_org(R"({"monthly_budget_usd":0})");
  CHECK(house.chat().status == 429);
  house.change_org(R"({"monthly_budget_usd":5})");
  give(house.app, house.org, "none");
  CHECK(house.chat().status == 429);
}

TEST_CASE("plans: calls through the tool gateway are counted by month", "[contract][app][portal]") {
  LoopbackServer upstream([](LoopbackPeer& peer) {
    while (peer.read_request()) {
      if (!peer.answer("{\"ok\":true}", "200 OK")) return;
    }
  });
  GatewayApp house(upstream, set_plans);
  const auto call = [&](const std::string& more = "") {
    return house.call(house.token, "/api/v1/kahuna/local", R"({"path":"/v1/x")" + more + "}");
  };
  CHECK(call(R"(,"dry_run":true)").status == 200);
  CHECK(call().status == 200);
  CHECK(call().status == 200);
  const RawResponse refused = call();
  CHECK(refused.status == 403);
  CHECK(json_text(refused.body, "code") == "CALLS_QUOTA_EXCEEDED");
  CHECK(json_of(refused)["details"]["limit"] == 2);
  house.app.restart();
  CHECK(call().status == 403);
}

TEST_CASE("plans: what is used and what is allowed is told", "[contract][app][portal]") {
  TestApp app(set_plans);
  Browser owner = set_up(app);
  REQUIRE(announce(app, "100").status == 200);
  const Json use = json_of(owner.send("GET", "/api/v1/usage"));
  CHECK(use["plan"] == "default");
  CHECK(use["artifacts"] == Json({{"used", 1}, {"allowed", 2}}));
  CHECK(use["storage_bytes"] == Json({{"used", 100}, {"allowed", 1000}}));
  CHECK(use["projects"] == Json({{"used", 1}, {"allowed", 2}}));
  CHECK(use["members"] == Json({{"used", 1}, {"allowed", 3}}));
  CHECK(use["gateway_calls"] == Json({{"used", 0}, {"allowed", 2}}));
  const Json quota = json_of(app.as(app.credential("api_key"), "GET", "/api/v1/quota"));
  CHECK(quota["quota"]["artifacts"] == 2);
  CHECK(quota["used"]["artifacts"] == 1);
  CHECK(quota["quota"]["organizations"] == INT64_MAX);  // Clients want a number.
  CHECK(quota["plan"]["members"]["allowed"] == 3);

  const std::string org = app.credential("organization_id");
  const std::string path = "/admin/organizations/" + org + "/plan";
  // Reason plan_unknown.
  const RawResponse unknown = app.as_owner("PUT", path, R"({"plan":"huge"})");
  CHECK(unknown.status == 400);
  CHECK(has(unknown.body, "'huge' is none of: default, big, none."));
  give(app, org, "big");
  CHECK(json_of(app.as_owner("GET", path))["given_plan"] == "big");
  CHECK(json_of(owner.send("GET", "/api/v1/usage"))["artifacts"]["allowed"].is_null());
  CHECK(json_of(owner.send("GET", "/api/v1/plans"))["plans"].size() == 3);
  CHECK(json_text(app.as_owner("GET", "/admin/organizations/" + org).body, "plan") == "big");
  CHECK(has(app.as_owner("GET", "/admin/audit").body, "org:" + org + ":config"));
  CHECK(app.as_owner("PUT", "/admin/organizations/none/plan", R"({"plan":"big"})").status == 404);
}
