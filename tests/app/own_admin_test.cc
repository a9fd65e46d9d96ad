// Goal: an organization's owner and admin administer their own organization under /admin, reach no
// other, and change nothing that operators have set. Method: a whole daemon over HTTP with a
// browser for each role, and an operator's key.
#include <nlohmann/json.hpp>

#include "gateway/gateway_house.h"
#include "support/ai_house.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// An organization with an owner who is no operator.
struct Place {
  explicit Place(TestApp& app_)
      : app(app_),
        operators(set_up(app_)),
        owner(join(app_, operators, "olga@example.com", "owner")) {
    org = app.credential("organization_id");
    const RawResponse made = app.as_owner("POST", "/admin/organizations", R"({"name":"Other"})");
    other = json_text(made.body, "org_id");
  }
  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {}) const {
    return app.as_owner(method, path, body);
  }

  TestApp& app;
  Browser operators, owner;
  std::string org, other;
};

std::string code_of(const RawResponse& answer) {
  return json_text(answer.body, "code");
}

std::string path_of(const std::string& organization) {
  return "/admin/organizations/" + organization;
}

}  // namespace

TEST_CASE("own admin: an owner sees and administers the own organization alone",
          "[contract][app][portal]") {
  TestApp app;
  Place place(app);
  Browser& owner = place.owner;
  const Json list = json_of(owner.send("GET", "/admin/organizations"))["organizations"];
  REQUIRE(list.size() == 1);
  CHECK(list[0]["org_id"] == place.org);
  CHECK(owner.send("GET", path_of(place.org)).status == 200);
  const RawResponse foreign = owner.send("GET", path_of(place.other));
  CHECK(foreign.status == 404);
  CHECK(code_of(foreign) == "org_not_found");
  CHECK(owner.send("GET", path_of("nobody")).status == 404);
  CHECK(owner.send("POST", "/admin/organizations", R"({"name":"Third"})").status == 403);
  const RawResponse project =
      owner.send("POST", path_of(place.org) + "/projects", R"({"name":"Research"})");
  REQUIRE(project.status == 201);
  const std::string keys =
      path_of(place.org) + "/projects/" + json_text(project.body, "project_id") + "/api-keys";
  CHECK(owner.send("POST", keys, R"({"name":"ci"})").status == 201);
  CHECK(owner.send("POST", path_of(place.other) + "/projects", R"({"name":"x"})").status == 404);
  // The audit names the person.
  const Json audit = json_of(place.admin("GET", "/admin/audit?limit=100"))["audit"];
  const std::string person =
      json_of(owner.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  CHECK(std::any_of(audit.begin(), audit.end(),
                    [&](const Json& row) { return row["actor"] == "person:" + person; }));
  // Without the proof against other sites' pages nothing changes.
  CHECK(app.call("POST", keys, {{"Cookie", owner.cookie}, {"Origin", owner.origin()}},
                 R"({"name":"evil"})")
            .status == 403);
  for (const char* role : {"member", "viewer"}) {
    Browser lesser = join(app, place.operators, std::string(role) + "@example.com", role);
    CHECK(lesser.send("GET", path_of(place.org)).status == 403);
    CHECK(lesser.send("GET", "/admin/users").status == 403);
  }
  Browser admin = join(app, place.operators, "adam@example.com", "admin");
  CHECK(admin.send("GET", path_of(place.org)).status == 200);
  CHECK(admin.send("GET", "/admin/people").status == 403);
  CHECK(admin.send("GET", "/admin/audit").status == 403);
}

TEST_CASE("own admin: what an operator sets stays the operator's", "[contract][app][portal]") {
  TestApp app;
  Place place(app);
  Browser& owner = place.owner;
  const std::string org = path_of(place.org);
  REQUIRE(place.admin("PATCH", org, R"({"monthly_budget_usd":7,"requests_per_minute":3})").status ==
          200);
  const Json before = json_of(place.admin("GET", org));
  for (const char* body :
       {R"({"monthly_budget_usd":8})", R"({"monthly_budget_usd":6})", R"({"status":"suspended"})",
        R"({"failure_mode":"fail_open"})", R"({"fallback_daily_limit":5})",
        R"({"requests_per_minute":null})", R"({"tokens_per_minute":null})",
        R"({"allowed_models":[]})",
        R"({"unknown_input_cost_per_token":0.1,"unknown_output_cost_per_token":0.1})",
        R"({"name":"x","monthly_budget_usd":8})"}) {
    const RawResponse refused = owner.send("PATCH", org, body);
    INFO(body << " " << refused.body);
    CHECK(refused.status == 403);
    CHECK(code_of(refused) == "operator_only");
  }
  CHECK(json_of(place.admin("GET", org)) == before);
  CHECK(
      owner.send("PATCH", org, R"({"name":"Ours","log_bodies":true,"output_fit":false})").status ==
      200);
  CHECK(json_of(place.admin("GET", org))["name"] == "Ours");
  CHECK(owner.send("POST", org + "/suspend").status == 403);
  CHECK(owner.send("DELETE", org + "?force=true").status == 403);
  CHECK(owner.send("PUT", "/admin/ai/prices/m?org_id=" + place.org, "{}").status == 403);
  CHECK(owner.send("PUT", org + "/ai-objects/openai/file-1").status == 403);
  CHECK(owner.send("GET", org + "/ai-objects").status == 200);
}

TEST_CASE("own admin: users of the own organization, and their keys", "[contract][app][portal]") {
  TestApp app;
  Place place(app);
  Browser& owner = place.owner;
  const auto body = [](const std::string& organization) {
    return R"({"email":"u@example.com","org_id":")" + organization + "\"}";
  };
  const RawResponse made = owner.send("POST", "/admin/users", body(place.org));
  REQUIRE(made.status == 201);
  const std::string own = "/admin/users/" + json_text(made.body, "user_id");
  CHECK(owner.send("POST", "/admin/users", body(place.other)).status == 404);
  const std::string foreign =
      "/admin/users/" +
      json_text(place.admin("POST", "/admin/users", body(place.other)).body, "user_id");
  const Json users = json_of(owner.send("GET", "/admin/users"))["users"];
  REQUIRE(users.size() == 1);
  CHECK(users[0]["org_id"] == place.org);
  CHECK(owner.send("GET", "/admin/users?org_id=" + place.other).status == 404);
  CHECK(owner.send("GET", "/admin/users?org_id=" + place.org).status == 200);
  CHECK(owner.send("PATCH", own, R"({"monthly_limit_usd":3})").status == 200);
  const RawResponse key = owner.send("POST", own + "/api-keys", R"({"name":"k"})");
  CHECK(key.status == 201);
  CHECK(owner.send("POST", own + "/reset-quota", R"({"reset_reason":"x"})").status == 403);
  for (const char* method : {"GET", "PATCH", "DELETE"}) {
    const RawResponse refused =
        owner.send(method, foreign, std::string(method) == "PATCH" ? "{}" : "");
    INFO(method);
    CHECK(refused.status == 404);
    CHECK(code_of(refused) == "user_not_found");
  }
  CHECK(owner.send("POST", foreign + "/api-keys", R"({"name":"k"})").status == 404);
  CHECK(owner.send("DELETE", own).status == 204);
}

TEST_CASE("own admin: the limits of users that an operator has set stay the operator's",
          "[contract][app][portal]") {
  TestApp app;
  Place place(app);
  Browser& owner = place.owner;
  const auto make = [&](const std::string& email, const std::string& more) {
    return R"({"email":")" + email + R"(","org_id":")" + place.org + "\"" + more + "}";
  };
  const RawResponse made = owner.send("POST", "/admin/users", make("own@example.com", ""));
  const std::string user = "/admin/users/" + json_text(made.body, "user_id");
  CHECK(owner.send("PATCH", user, R"({"monthly_limit_usd":3,"status":"suspended"})").status == 200);
  CHECK(json_of(owner.send("GET", user))["operator_set"] == Json::array());
  REQUIRE(place
              .admin("PATCH", user,
                     R"({"monthly_limit_usd":5,"requests_per_minute":9,"status":"suspended"})")
              .status == 200);
  const Json before = json_of(place.admin("GET", user));
  CHECK(before["operator_set"] == Json{"monthly_limit_usd", "status", "requests_per_minute"});
  for (const char* body :
       {R"({"monthly_limit_usd":6})", R"({"monthly_limit_usd":4})", R"({"status":"active"})",
        R"({"requests_per_minute":null})", R"({"tokens_per_minute":7,"monthly_limit_usd":50})",
        R"({"operator_set":[]})"}) {
    const RawResponse refused = owner.send("PATCH", user, body);
    INFO(body << " " << refused.body);
    CHECK(refused.status == 403);
    CHECK(code_of(refused) == "operator_only");
  }
  CHECK(json_of(place.admin("GET", user)) == before);
  // What the operator left alone is the organization's, and so is what is given back.
  CHECK(owner.send("PATCH", user, R"({"tokens_per_minute":7,"monthly_limit_usd":5})").status ==
        200);
  CHECK(place.admin("PATCH", user, R"({"operator_set":["budget"]})").status == 400);
  REQUIRE(place.admin("PATCH", user, R"({"operator_set":["status"]})").status == 200);
  CHECK(owner.send("PATCH", user, R"({"monthly_limit_usd":6})").status == 200);
  CHECK(owner.send("PATCH", user, R"({"status":"active"})").status == 403);
  // Also of a user whom an operator makes; what is not stated is nobody's.
  const RawResponse theirs =
      place.admin("POST", "/admin/users", make("two@example.com", R"(,"monthly_limit_usd":2)"));
  const std::string second = "/admin/users/" + json_text(theirs.body, "user_id");
  CHECK(owner.send("PATCH", second, R"({"monthly_limit_usd":20})").status == 403);
  CHECK(owner.send("PATCH", second, R"({"requests_per_minute":20})").status == 200);
  CHECK(
      owner.send("POST", "/admin/users", make("three@example.com", R"(,"operator_set":["status"])"))
          .status == 403);
}

TEST_CASE("own admin: the own tenant, its tokens, accounts and links", "[contract][app][portal]") {
  TestApp app;
  Place place(app);
  Browser& owner = place.owner;
  const std::string own = "/admin/tenants/default", foreign = "/admin/tenants/theirs";
  REQUIRE(place.admin("PUT", foreign, R"({"name":"Theirs"})").status == 200);
  CHECK(json_of(owner.send("GET", "/admin/tenants"))["tenants"].empty());
  CHECK(owner.send("PUT", own, R"({"name":"Ours","local":{"shop":"a"}})").status == 200);
  REQUIRE(json_of(owner.send("GET", "/admin/tenants"))["tenants"].size() == 1);
  CHECK(owner.send("PUT", foreign, R"({"name":"Mine"})").status == 404);
  CHECK(owner.send("GET", foreign).status == 404);
  CHECK(owner.send("GET", "/admin/tenants/nobody").status == 404);
  // Limits, status and billing of the operator's outlive what the organization puts.
  REQUIRE(place.admin("PUT", own, R"({"name":"Ours","limits":{"requests_per_minute":5}})").status ==
          200);
  REQUIRE(place.admin("POST", own + "/suspend").status == 200);
  const Json set = json_of(owner.send("GET", own));
  CHECK(owner.send("PUT", own, R"({"name":"New"})").status == 200);
  CHECK(owner.send("PUT", own, dump_json(set)).status == 200);  // As it was read.
  CHECK(json_of(owner.send("GET", own))["limits"] == set["limits"]);
  CHECK(json_of(owner.send("GET", own))["status"] == "suspended");
  for (const char* body : {R"({"status":"active"})", R"({"limits":{}})", R"({"billing":{}})"}) {
    CHECK(code_of(owner.send("PUT", own, body)) == "operator_only");
  }
  CHECK(owner.send("POST", own + "/resume").status == 403);
  CHECK(owner.send("DELETE", own).status == 403);
  CHECK(owner.send("POST", own + "/tokens", R"({"name":"t"})").status == 201);
  CHECK(owner.send("GET", own + "/tokens").status == 200);
  CHECK(owner.send("GET", foreign + "/tokens").status == 404);
  // Whether a bearer is anybody's is told to operators alone, at both doors.
  const std::string known = R"({"name":"t","token":"their-agents-own-bearer"})",
                    unknown = R"({"name":"t","token":"a-bearer-that-is-nobodys"})";
  REQUIRE(place.admin("POST", foreign + "/tokens", known).status == 201);
  CHECK(code_of(place.admin("POST", own + "/tokens", known)) == "token_exists");
  for (const std::string& path : {own + "/tokens", path_of(place.org) + "/tokens"}) {
    for (const std::string& body : {known, unknown}) {
      CHECK(code_of(owner.send("POST", path, body)) == "operator_only");
    }
  }
  REQUIRE(place
              .admin("PUT", "/admin/providers/local",
                     R"({"base_url":"https://api.example.com","auth_type":"bearer"})")
              .status == 200);
  const std::string account = "/providers/local/accounts/main";
  const std::string token = R"({"access_token":"secret"})";
  CHECK(owner.send("PUT", own + account, token).status == 201);
  CHECK(owner.send("PUT", foreign + account, token).status == 404);
  CHECK(owner.send("GET", own + "/accounts").status == 200);
  CHECK(owner.send("POST", foreign + "/providers/local/connect", "{}").status == 404);
  CHECK(owner.send("PUT", "/admin/providers/local", "{}").status == 403);
  CHECK(owner.send("GET", "/admin/providers").status == 200);
  CHECK(owner.send("GET", "/admin/providers/local").status == 403);
}

TEST_CASE(
    "own admin: a tenant of one's own making reaches no private API until an operator says so",
    "[contract][app][portal][gateway]") {
  FakeProvider provider;
  GatewayApp gateway(provider.server());
  Place place(gateway.app);
  Browser& owner = place.owner;
  const std::string own = "/admin/tenants/default", allowed = R"({"private_apis":true})";
  const RawResponse early =
      owner.send("PUT", own + "/providers/local/accounts/main", R"({"access_token":"secret"})");
  CHECK(code_of(owner.send("PUT", own, allowed)) == "operator_only");
  CHECK(owner.send("PUT", own, R"({"name":"Ours"})").status == 200);
  CHECK(json_of(owner.send("GET", own))["private_apis"] == false);
  CHECK(owner.send("PUT", own, dump_json(json_of(owner.send("GET", own)))).status == 200);
  CHECK(code_of(owner.send("PUT", own, allowed)) == "operator_only");
  CHECK(code_of(owner.send("PUT", own, R"({"private_apis":"no"})")) == "operator_only");
  const std::string account = R"({"access_token":"secret","meta":{"shop":"a"}})";
  const std::string main = own + "/providers/local/accounts/main";
  // Also before there is a record, and what an operator stores.
  CHECK(code_of(early) == "TENANT_NOT_FOUND");
  CHECK(code_of(owner.send("PUT", main, account)) == "PRIVATE_APIS_NOT_ALLOWED");
  CHECK(code_of(place.admin("PUT", main, account)) == "PRIVATE_APIS_NOT_ALLOWED");
  const std::string token =
      json_text(owner.send("POST", own + "/tokens", R"({"name":"t"})").body, "token");
  const auto call = [&](const std::string& more) {
    return gateway.call(token, "/api/v1/default/local", R"({"path":"/v1/x")" + more + "}");
  };
  for (const char* more : {"", R"(,"dry_run":true)"}) {
    const RawResponse refused = call(more);
    INFO(refused.body);
    CHECK(refused.status == 403);
    CHECK(code_of(refused) == "PRIVATE_APIS_NOT_ALLOWED");
    CHECK(has(refused.body, "Ask an operator"));
    CHECK(has(refused.body, own));
  }
  CHECK(provider.heads().empty());
  const auto is_told = [&] {
    const Json told = json_of(owner.send("GET", "/admin/providers"))["providers"];
    for (const Json& one : told) {
      if (one["provider"] == "local") return one["default_headers"].empty();
    }
    return false;
  };
  CHECK_FALSE(is_told());
  // What an operator does not name stays.
  REQUIRE(place.admin("PUT", own, R"({"limits":{"requests_per_minute":50}})").status == 200);
  CHECK(call("").status == 403);
  CHECK(place.admin("PUT", own, R"({"private_apis":"yes"})").status == 400);
  REQUIRE(place.admin("PUT", own, allowed).status == 200);
  CHECK(is_told());
  CHECK(owner.send("PUT", main, account).status == 201);
  CHECK(call("").status == 200);
  CHECK(owner.send("PUT", own, R"({"name":"New"})").status == 200);
  CHECK(json_of(owner.send("GET", own))["private_apis"] == true);
  CHECK(code_of(owner.send("PUT", own, R"({"private_apis":false})")) == "operator_only");
  CHECK(call("").status == 200);
  // A record that operators made says nothing of it.
  CHECK(json_of(place.admin("GET", "/admin/tenants/kahuna"))["private_apis"] == true);
  CHECK(gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"path":"/v1/x"})").status == 200);
}

TEST_CASE("own admin: what an organization does leaves the audit before what operators do",
          "[contract][app][portal]") {
  TestApp app([](Config& config) { config.ledger.audit_max_rows = 100; });
  Place place(app);
  const auto count = [&](const std::string& member, const std::string& begin) {
    const Json audit = json_of(place.admin("GET", "/admin/audit?limit=1000"))["audit"];
    return std::count_if(audit.begin(), audit.end(), [&](const Json& row) {
      return row[member].get<std::string>().starts_with(begin);
    });
  };
  const RawResponse made = place.owner.send(
      "POST", "/admin/users", R"({"email":"u@example.com","org_id":")" + place.org + "\"}");
  REQUIRE(made.status == 201);
  const auto first = count("actor", "first-start"), keys = count("actor", "adminkey:"),
             setup = count("actor", "setup-link");
  REQUIRE(first > 0);
  REQUIRE(keys > 0);
  CHECK(count("source", "own-admin-api") == 2);  // The user, and the index of its address.
  const std::string own = "/admin/users/" + json_text(made.body, "user_id");
  for (int i = 0; i < 150; i++) {
    REQUIRE(place.owner.send("PATCH", own, R"({"monthly_limit_usd":)" + std::to_string(i + 1) + "}")
                .status == 200);
  }
  CHECK(count("actor", "first-start") == first);
  CHECK(count("actor", "adminkey:") == keys);
  CHECK(count("actor", "setup-link") == setup);
  CHECK(count("source", "own-admin-api") > 0);
  CHECK(count("actor", "") <= 101);
}
