// Goal: an organization is given to somebody else whole, one can leave it, and its members see who
// changed what. Method: a whole daemon over HTTP with a browser for each person.
#include <nlohmann/json.hpp>

#include <atomic>
#include <set>
#include <thread>

#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string person_of(Browser& browser) {
  return json_of(browser.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

std::string to(const std::string& person_id) {
  return R"({"person_id":")" + person_id + "\"}";
}

std::string role_in(Browser& who, const std::string& person_id) {
  const Json all = json_of(who.send("GET", "/api/v1/members"));
  for (const Json& member : all["members"]) {
    if (member["person_id"] == person_id) return member["role"].get<std::string>();
  }
  return "none";
}

}  // namespace

TEST_CASE("transfer: a member becomes the owner, and the owner an admin",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser heir = join(app, owner, "heir@example.com", "viewer");
  Browser admin = join(app, owner, "admin@example.com", "admin");
  const std::string path = "/api/v1/organizations/" + app.credential("organization_id") + "/owner";
  const std::string owner_id = person_of(owner), heir_id = person_of(heir);
  CHECK(admin.send("POST", path, to(heir_id)).status == 403);
  CHECK(owner.send("POST", path, to(owner_id)).status == 400);
  CHECK(owner.send("POST", path, to("00000000-0000-4000-8000-000000000000")).status == 404);
  CHECK(owner.send("POST", path, "{}").status == 400);
  // Whoever is suspended gets nothing.
  const std::string admin_id = person_of(admin);
  REQUIRE(owner.send("PATCH", "/admin/people/" + admin_id, R"({"status":"suspended"})").status ==
          200);
  CHECK(owner.send("POST", path, to(admin_id)).status == 409);
  CHECK(role_in(owner, owner_id) == "owner");
  const RawResponse given = owner.send("POST", path, to(heir_id));
  INFO(given.body);
  REQUIRE(given.status == 200);
  CHECK(json_text(given.body, "role") == "owner");
  CHECK(json_text(given.body, "person_id") == heir_id);
  CHECK(role_in(heir, heir_id) == "owner");
  CHECK(role_in(heir, owner_id) == "admin");
  CHECK(owner.send("POST", path, to(heir_id)).status == 403);
  CHECK(heir.send("POST", "/api/v1/owner", to(owner_id)).status == 200);
  CHECK(role_in(heir, owner_id) == "owner");
}

TEST_CASE("transfer: of two at once one has its way", "[fault][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser first = join(app, owner, "first@example.com", "member");
  Browser second = join(app, owner, "second@example.com", "member");
  const std::string owner_id = person_of(owner);
  const std::string ids[] = {person_of(first), person_of(second)};
  for (int round = 0; round < 5; round++) {
    std::atomic<int> given{0};
    std::vector<std::thread> threads;
    for (const std::string& id : ids) {
      threads.emplace_back([&, id] {
        Browser same = owner;
        given += same.send("POST", "/api/v1/owner", to(id)).status == 200;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(given == 1);
    const bool is_first = role_in(first, ids[0]) == "owner";
    CHECK(role_in(first, ids[is_first ? 1 : 0]) != "owner");
    CHECK(role_in(first, owner_id) == "admin");
    Browser& now = is_first ? first : second;
    REQUIRE(now.send("POST", "/api/v1/owner", to(owner_id)).status == 200);
  }
}

TEST_CASE("leave: a member goes by the word me, the last owner does not",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser viewer = join(app, owner, "viewer@example.com", "viewer");
  const std::string path = "/api/v1/organizations/" + app.credential("organization_id");
  CHECK(owner.send("DELETE", path + "/members/me").status == 409);
  CHECK(viewer.send("DELETE", path + "/members/me").status == 204);
  CHECK(viewer.send("GET", path).status == 404);
  CHECK(owner.send("GET", path).status == 200);
}

TEST_CASE("history: members see who changed what in their organization, and nothing of another",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser viewer = join(app, owner, "viewer@example.com", "viewer");
  const std::string org = app.credential("organization_id");
  const std::string path = "/api/v1/organizations/" + org;
  const std::string owner_id = person_of(owner), project = app.credential("project_id");
  REQUIRE(owner.send("PATCH", path, R"({"name":"Renamed"})").status == 200);
  REQUIRE(owner.send("PATCH", path + "/projects/" + project, R"({"name":"P"})").status == 200);
  const std::string key =
      json_text(owner.send("POST", "/api/v1/api-keys", R"({"name":"ci"})").body, "id");
  const std::string other = json_text(
      owner.send("POST", "/api/v1/organizations", R"({"name":"Other"})").body, "organization_id");
  REQUIRE(app.parts().ledger->drain().ok());

  const auto find = [&](Browser& who, const std::string& subject) {
    const Json all = json_of(who.send("GET", path + "/audit"));
    for (const Json& entry : all["audit"]) {
      if (entry["subject"] == subject && entry["actor"] == "person:" + owner_id) return entry;
    }
    return Json(nullptr);
  };
  for (const std::string& subject : {std::string("config"), "keys:" + key, "project:" + project}) {
    INFO(subject);
    const Json entry = find(owner, subject);
    REQUIRE(entry.is_object());
    CHECK(entry["name"] == "Ada");
    CHECK(entry["address"] == "127.0.0.1");
    CHECK(find(viewer, subject)["address"].is_null());
    CHECK(find(viewer, subject)["name"] == "Ada");
  }
  CHECK(owner.send("GET", path + "/audit").body.find(other) == std::string::npos);
  CHECK(viewer.send("GET", "/api/v1/organizations/" + other + "/audit").status == 404);
  CHECK(viewer.send("GET", "/api/v1/audit").body == viewer.send("GET", path + "/audit").body);

  // Pages have every row once.
  const size_t all = json_of(owner.send("GET", path + "/audit"))["audit"].size();
  std::set<std::string> seen;
  std::string cursor;
  size_t pages = 0;
  do {
    const Json page = json_of(owner.send("GET", path + "/audit?limit=2&cursor=" + cursor));
    for (const Json& entry : page["audit"]) CHECK(seen.insert(entry["id"]).second);
    cursor = page["cursor"].is_null() ? "" : page["cursor"].get<std::string>();
  } while (!cursor.empty() && ++pages < 100);
  CHECK(seen.size() == all);
  CHECK(owner.send("GET", path + "/audit?cursor=bm9uZQ==").status == 400);
}
