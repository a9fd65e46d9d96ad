// Goal: each list that takes ?q= finds what its document names, page by page, and shows nobody more
// than the list without it. Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include <set>
#include <string>

#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

using Names = std::set<std::string>;

// The member `name` of all rows, read by pages of two.
template <typename Send>
Names found(const Send& send, const std::string& path, const std::string& list,
            const std::string& name) {
  Names names;
  std::string cursor;
  do {
    const RawResponse answer = send(path + (path.find('?') == path.npos ? "?" : "&") + "limit=2" +
                                    (cursor.empty() ? "" : "&cursor=" + cursor));
    INFO(path << ": " << answer.body);
    REQUIRE(answer.status == 200);
    const Json page = json_of(answer);
    CHECK(page[list].size() <= 2);
    for (const Json& row : page[list]) CHECK(names.insert(row[name].get<std::string>()).second);
    cursor = page["cursor"].is_null() ? "" : page["cursor"].get<std::string>();
  } while (!cursor.empty());
  return names;
}

}  // namespace

TEST_CASE("search: an operator finds organizations, users, keys, tenants and people",
          "[contract][app]") {
  TestApp app;
  Browser ada = set_up(app);
  const auto send = [&](const std::string& path) { return app.as_owner("GET", path); };
  const auto make = [&](const std::string& method, const std::string& path,
                        const std::string& body) {
    const RawResponse made = app.as_owner(method, path, body);
    INFO(path << ": " << made.body);
    REQUIRE((made.status == 200 || made.status == 201));
    return json_of(made);
  };
  std::string org;
  for (const char* name : {"Nordwind", "Südwind", "Ostsee", "WINDMILL"}) {
    org =
        make("POST", "/admin/organizations", R"({"name":")" + std::string(name) + "\"}")["org_id"];
  }
  const std::string orgs = "/admin/organizations";
  CHECK(found(send, orgs + "?q=wind", "organizations", "name") ==
        Names{"Nordwind", "Südwind", "WINDMILL"});
  CHECK(found(send, orgs + "?q=S%C3%9CD", "organizations", "name") == Names{"Südwind"});
  CHECK(found(send, orgs + "?q=" + org.substr(0, 13), "organizations", "name") ==
        Names{"WINDMILL"});
  CHECK(found(send, orgs + "?q=nothing", "organizations", "name").empty());

  std::string user;
  for (const char* name : {"ada", "adam", "bob", "canada"}) {
    user = make(
        "POST", "/admin/users",
        R"({"email":")" + std::string(name) + R"(@x.org","org_id":")" + org + "\"}")["user_id"];
  }
  CHECK(found(send, "/admin/users?q=ADA", "users", "email") ==
        Names{"ada@x.org", "adam@x.org", "canada@x.org"});
  CHECK(found(send, "/admin/users?q=ada&org_id=" + app.credential("organization_id"), "users",
              "email")
            .empty());
  CHECK(found(send, "/admin/users?q=" + user, "users", "email") == Names{"canada@x.org"});

  const std::string user_keys = "/admin/users/" + user + "/api-keys",
                    org_keys = orgs + "/" + org + "/api-keys",
                    tokens = orgs + "/" + org + "/tokens";
  for (const char* name : {"laptop", "Lab", "phone"}) {
    const std::string body = R"({"name":")" + std::string(name) + "\"}";
    make("POST", user_keys, body);
    make("POST", org_keys, body);
    make("POST", tokens, body);
    make("POST", "/admin/admin-keys", R"({"role":"viewer","name":")" + std::string(name) + "\"}");
  }
  for (const auto& [path, list] : {std::pair<std::string, std::string>{user_keys, "api_keys"},
                                   {org_keys, "api_keys"},
                                   {tokens, "tokens"},
                                   {"/admin/admin-keys", "admin_keys"}}) {
    CHECK(found(send, path + "?q=la", list, "name") == Names{"laptop", "Lab"});
    const Json phone = json_of(send(path + "?q=phone"))[list][0];
    CHECK(found(send, path + "?q=" + phone["key_id"].get<std::string>(), list, "name") ==
          Names{"phone"});
    CHECK(found(send, path + "?q=" + phone["key_prefix"].get<std::string>().substr(0, 7), list,
                "name")
              .contains("phone"));
  }

  for (const char* tenant : {"north", "northwest", "south"}) {
    make("PUT", "/admin/tenants/" + std::string(tenant),
         R"({"name":"Harbour of )" + std::string(tenant) + "\"}");
  }
  CHECK(found(send, "/admin/tenants?q=NORTH", "tenants", "tenant_id") ==
        Names{"north", "northwest"});
  CHECK(found(send, "/admin/tenants?q=harbour%20of%20s", "tenants", "tenant_id") == Names{"south"});

  CHECK(found(send, "/admin/people?q=aDa", "people", "name") == Names{"Ada"});
  CHECK(found(send, "/admin/people?q=zed", "people", "name").empty());
  const Names written = found(send, "/admin/audit?q=NORTHWEST", "audit", "key");
  CHECK(written.contains("tenant_config:northwest"));
  for (const std::string& key : written) CHECK(key.find("northwest") != key.npos);
  CHECK(send("/admin/users?q=" + std::string(101, 'a')).status == 400);
  CHECK(send("/admin/errors?q=x").status == 400);  // It takes none.
}

TEST_CASE("search: a member finds what is the organization's alone", "[contract][app]") {
  TestApp app;
  Browser ada = set_up(app);
  const auto send = [&](const std::string& path) { return ada.send("GET", path); };
  for (const char* name : {"laptop", "Lab", "phone"}) {
    REQUIRE(
        ada.send("POST", "/api/v1/api-keys", R"({"name":")" + std::string(name) + "\"}").status ==
        201);
  }
  CHECK(found(send, "/api/v1/api-keys?q=LA", "keys", "name") == Names{"laptop", "Lab"});
  CHECK(json_of(send("/api/v1/members?q=ada"))["members"].size() == 1);
  CHECK(json_of(send("/api/v1/members?q=grace"))["members"].empty());
  CHECK(found(send, "/api/v1/audit?q=laptop", "audit", "thing") == Names{"laptop"});
  CHECK(found(send, "/api/v1/audit?q=nobody", "audit", "thing").empty());
  // Somebody who is no operator sees the own organization, and finds no other one.
  REQUIRE(app.as_owner("POST", "/admin/organizations", R"({"name":"Elsewhere"})").status == 201);
  Browser grace = join(app, ada, "grace@example.com", "admin");
  const auto as_grace = [&](const std::string& path) { return grace.send("GET", path); };
  CHECK(found(as_grace, "/admin/organizations?q=else", "organizations", "name").empty());
  CHECK(found(as_grace, "/admin/organizations", "organizations", "name").size() == 1);
}
