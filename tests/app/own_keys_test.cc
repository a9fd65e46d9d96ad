// Goal: people make keys of their projects and of their organization, replace their secrets without
// an outage, and see which are in use; nobody reaches a key of another project or organization.
// Method: a whole daemon over HTTP, with a clock set by hand where a key's time ends.
#include <nlohmann/json.hpp>

#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kKeys = "/api/v1/api-keys";

struct House {
  ManualClock clock{1'800'000'000'000};
  TestApp app{AppOptions{.clock = &clock, .kv_faults = {}}};
  Browser owner = set_up(app);

  Json key(const std::string& body) {
    const RawResponse made = owner.send("POST", kKeys, body);
    INFO(made.body);
    REQUIRE(made.status == 201);
    return json_of(made);
  }
  int status_of(const Json& made) const {
    return app.as(made["api_key"].get<std::string>(), "GET", "/api/v1/me").status;
  }
  Json listed(const Json& made) {
    const Json all = json_of(owner.send("GET", kKeys));
    for (const Json& item : all["keys"]) {
      if (item["id"] == made["id"]) return item;
    }
    return nullptr;
  }
  static std::string path(const Json& made) { return kKeys + "/" + made["id"].get<std::string>(); }
};

}  // namespace

TEST_CASE("own keys: a person makes keys of the active project and of the organization",
          "[contract][app][portal]") {
  House f;
  const std::string project = f.app.credential("project_id");
  const Json ci = f.key(R"({"name":"ci","permissions":["read"]})");
  CHECK(ci["project_id"] == project);
  CHECK(ci["permissions"] == Json{"read"});
  CHECK(ci["api_key"].get<std::string>().starts_with("kv_"));
  const Json me = json_of(f.app.as(ci["api_key"].get<std::string>(), "GET", "/api/v1/me"));
  CHECK(me["project_id"] == project);
  CHECK(me["project"] == "default");
  CHECK(me["permissions"] == Json{"read"});
  const Json all = f.key(R"({"name":"all","project_id":null})");
  CHECK(all["project_id"].is_null());
  CHECK(json_of(f.app.as(all["api_key"].get<std::string>(), "GET", "/api/v1/me"))["kind"] ==
        "organization");
  // Both are listed with what tells them apart, and with their use; never the keys.
  CHECK(f.listed(all)["project_id"].is_null());
  CHECK(f.listed(ci)["hint"] == ci["hint"]);
  CHECK(f.listed(ci).contains("last_used_at"));
  CHECK(f.listed(ci)["expires_at"].is_null());
  CHECK(f.owner.send("GET", kKeys).body.find(ci["api_key"].get<std::string>()) ==
        std::string::npos);
  const RawResponse of_project = f.owner.send("GET", kKeys + "?project_id=" + project);
  CHECK(of_project.body.find(all["id"].get<std::string>()) == std::string::npos);
  const Json first = json_of(f.owner.send("GET", kKeys + "?limit=1"));
  CHECK(first["keys"].size() == 1);
  CHECK(first["cursor"].is_string());
  for (const Json& key : {ci, all}) {
    CHECK(f.owner.send("DELETE", House::path(key)).status == 204);
    CHECK(f.status_of(key) == 401);
    CHECK(f.listed(key).is_null());
  }
}

TEST_CASE("own keys: after a rename the present slug is shown, to keys and to people",
          "[contract][app][portal]") {
  House f;
  const std::string key = f.key(R"({"name":"k"})")["api_key"];
  const std::string organization = "/api/v1/organizations/" + f.app.credential("organization_id");
  REQUIRE(f.owner.send("PATCH", organization, R"({"slug":"renamed"})").status == 200);
  const Json of_key = json_of(f.app.as(key, "GET", "/api/v1/me"));
  CHECK(of_key["organization"] == "renamed");
  CHECK(json_of(f.owner.send("GET", "/api/v1/me"))["organization"] == "renamed");
  // Clients know the owner of what they stored by this.
  const RawResponse verified = f.app.as(key, "POST", "/api/v1/api-keys/verify", "{}");
  CHECK(of_key["customer_id"] == json_of(verified)["customer_id"]);
}

TEST_CASE("own keys: roles, projects and organizations keep their keys apart",
          "[contract][app][portal]") {
  House f;
  Browser admin = join(f.app, f.owner, "admin@example.com", "admin");
  Browser member = join(f.app, f.owner, "member@example.com", "member");
  const Json key = f.key(R"({"name":"k","permissions":["admin"]})");
  const Json all = f.key(R"({"name":"all","permissions":["admin"],"project_id":null})");
  const std::string bearer = key["api_key"].get<std::string>();
  CHECK(admin.send("POST", kKeys, R"({"name":"k","project_id":null})").status == 201);
  CHECK(member.send("POST", kKeys, R"({"name":"k"})").status == 403);
  CHECK(member.send("GET", kKeys).status == 403);
  CHECK(member.send("POST", House::path(key) + "/rotate").status == 403);
  CHECK(member.send("DELETE", House::path(key)).status == 403);
  // Reason project_key_reach.
  const RawResponse wide = f.app.as(bearer, "POST", kKeys, R"({"name":"k","project_id":null})");
  CHECK(wide.status == 403);
  CHECK(wide.body.find("its own project alone") != std::string::npos);
  CHECK(f.app.as(bearer, "DELETE", House::path(all)).status == 404);
  CHECK(f.app.as(bearer, "POST", House::path(all) + "/rotate").status == 404);
  CHECK(f.app.as(bearer, "GET", kKeys).body.find(all["id"].get<std::string>()) ==
        std::string::npos);
  // Another organization of the very same person.
  const Json second =
      json_of(f.owner.send("POST", "/api/v1/organizations", R"({"name":"Second"})"));
  REQUIRE(f.owner
              .send("PATCH", "/api/v1/me",
                    R"({"organization_id":)" + second["organization_id"].dump() + "}")
              .status == 200);
  CHECK(f.listed(key).is_null());
  CHECK(f.owner.send("DELETE", House::path(key)).status == 404);
  CHECK(f.owner.send("POST", House::path(all) + "/rotate").status == 404);
  const std::string foreign = R"({"name":"k","project_id":")" + f.app.credential("project_id");
  CHECK(f.owner.send("POST", kKeys, foreign + "\"}").status == 404);
  CHECK(f.status_of(key) == 200);
}

TEST_CASE("own keys: a rotated key works on for the overlap, and no longer",
          "[contract][app][portal]") {
  House f;
  const Json old = f.key(R"({"name":"k"})");
  const RawResponse answer = f.owner.send("POST", House::path(old) + "/rotate");
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  const Json fresh = json_of(answer);
  CHECK(fresh["overlap_s"] == 86'400);
  CHECK(fresh["id"] == old["id"]);
  CHECK(f.status_of(old) == 200);
  CHECK(f.status_of(fresh) == 200);
  const Json item = f.listed(old);
  CHECK(item["hint"] == fresh["hint"]);
  CHECK(item["previous"]["hint"] == old["hint"]);
  CHECK(item["previous"]["expires_at"] == format_iso8601_ms(f.clock.unix_ms() + 86'400'000));
  f.clock.advance_ms(86'400'000 + 1000);
  CHECK(f.status_of(old) == 401);
  CHECK(f.status_of(fresh) == 200);
  CHECK_FALSE(f.listed(old).contains("previous"));
  // Without an overlap at once; over the cap not at all.
  const RawResponse last = f.owner.send("POST", House::path(old) + "/rotate", R"({"overlap_s":0})");
  REQUIRE(last.status == 200);
  CHECK(f.status_of(fresh) == 401);
  CHECK(f.owner.send("POST", House::path(old) + "/rotate", R"({"overlap_s":2592001})").status ==
        400);
  CHECK(f.status_of(json_of(last)) == 200);
  // Whatever works ends with the key.
  const Json both = json_of(f.owner.send("POST", House::path(old) + "/rotate"));
  CHECK(f.owner.send("DELETE", House::path(old)).status == 204);
  CHECK(f.status_of(json_of(last)) == 401);
  CHECK(f.status_of(both) == 401);
  CHECK(f.owner.send("POST", House::path(old) + "/rotate").status == 409);
}

TEST_CASE("own keys: an expiry counts, and one that is over is refused",
          "[contract][app][portal]") {
  House f;
  const auto until = [&](int64_t ms) {
    return R"({"name":"k","expires_at":")" + format_iso8601_ms(f.clock.unix_ms() + ms) + "\"}";
  };
  const Json key = f.key(until(60'000));
  CHECK(f.listed(key)["expires_at"] == key["expires_at"]);
  CHECK(f.status_of(key) == 200);
  f.clock.advance_ms(60'000);
  CHECK(f.status_of(key) == 401);
  for (const std::string& body :
       {until(0), until(-1000), std::string(R"({"name":"k","permissions":["owner"]})"),
        std::string(R"({"name":"k","permissions":["read"],"scopes":["read"]})"),
        std::string(R"({"name":""})"), std::string(R"({"name":"k","project_id":7})")}) {
    INFO(body);
    CHECK(f.owner.send("POST", kKeys, body).status == 400);
  }
}

TEST_CASE("own keys: verify says whose a key is, in the members that clients read",
          "[contract][app][portal]") {
  House f;
  const Json key = f.key(R"({"name":"k"})");
  const std::string bearer = key["api_key"].get<std::string>();
  for (const char* method : {"GET", "POST"}) {
    const Json answer = json_of(f.app.as(bearer, method, kKeys + "/verify"));
    CHECK(answer.size() == 4);
    CHECK(answer["customer_id"].get<std::string>().size() == 32);
    CHECK(answer["project_id"] == f.app.credential("project_id"));
    CHECK(answer["organization_id"] == f.app.credential("organization_id"));
    CHECK(answer["permissions"] == Json{"write"});
    const RawResponse refused = f.app.as("kv_" + std::string(64, '0'), method, kKeys + "/verify");
    CHECK(refused.status == 401);
    CHECK(json_of(refused).size() == 1);
    CHECK(json_of(refused)["error"].is_string());
  }
}
