// Goal: a rename changes what is shown and nothing that is kept: what leads to an organization or a
// project by a name of before is told the new one, nobody else gets that name, and the tenant and
// the customer id stay what they were. Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "identity/orgs.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct House {
  TestApp app;
  Browser owner = set_up(app);
  std::string org = app.credential("organization_id"), project = app.credential("project_id");
  std::string org_path = "/api/v1/organizations/" + org,
              project_path = "/api/v1/projects/" + project;

  int rename(const std::string& path, const std::string& slug) {
    return owner.send("PATCH", path, R"({"slug":")" + slug + "\"}").status;
  }
  // The id of one with five bytes.
  std::string artifact(const std::string& visibility) const {
    const std::string key = app.credential("api_key"), digest = sha256_hex("bytes");
    const RawResponse made = app.as(key, "POST", "/api/v1/artifacts/upload-url",
                                    R"({"name":"n","dtype":"F16","size_bytes":5,"visibility":")" +
                                        visibility + R"(","sha256":")" + digest + "\"}");
    REQUIRE(made.status == 200);
    const std::string url = json_text(made.body, "url"), id = json_text(made.body, "artifact_id");
    REQUIRE(app.call("PUT", url.substr(url.find("/blobs/")), {}, "bytes").status == 200);
    REQUIRE(app.as(key, "POST", "/api/v1/artifacts/" + id + "/confirm-upload").status == 200);
    return id;
  }
  std::string public_url(const std::string& id) const {
    const std::string key = app.credential("api_key");
    const std::string url =
        json_text(app.as(key, "GET", "/api/v1/artifacts/" + id).body, "public_url");
    return url.substr(url.find('/', 8));
  }
  std::string made_organization(const std::string& body) {
    const RawResponse made = owner.send("POST", "/api/v1/organizations", body);
    INFO(made.body);
    REQUIRE(made.status == 201);
    return json_text(made.body, "organization_id");
  }
};

}  // namespace

TEST_CASE("rename: public URLs with a name of before lead to the new ones",
          "[contract][app][portal]") {
  House f;
  const std::string id = f.artifact("public"), hidden = f.artifact("private");
  CHECK(f.public_url(id) == "/default/default/" + id);
  REQUIRE(f.rename(f.org_path, "acme") == 200);
  REQUIRE(f.rename(f.project_path, "contexts") == 200);
  const std::string now = "/acme/contexts/" + id;
  CHECK(f.public_url(id) == now);
  CHECK(f.app.call("GET", now).body == "bytes");
  CHECK(f.app.call("GET", "/v1/artifacts/" + id).body == "bytes");
  CHECK(f.app.call("GET", "/api/v1/catalogue").body.find(now) != std::string::npos);
  for (const char* before : {"/default/default/", "/acme/default/", "/default/contexts/"}) {
    INFO(before);
    const RawResponse moved = f.app.call("GET", before + id + "?tokens=0:1");
    CHECK(moved.status == 301);
    CHECK(moved.header("location").ends_with(now + "?tokens=0:1"));
    CHECK(moved.header("cache-control") == "no-cache");
  }
  // Another organization's name, and what is private, as before; of projects none tells anything.
  CHECK(f.app.call("GET", "/other/contexts/" + id).status == 403);
  CHECK(f.app.call("GET", "/default/other/" + id).header("location").ends_with(now));
  CHECK(f.app.call("GET", "/default/other/" + hidden).status == 403);
  CHECK(f.app.call("GET", "/default/default/" + hidden).status == 403);
  // And back again.
  REQUIRE(f.rename(f.org_path, "default") == 200);
  REQUIRE(f.rename(f.project_path, "default") == 200);
  CHECK(f.app.call("GET", "/default/default/" + id).body == "bytes");
  CHECK(f.app.call("GET", now).header("location").ends_with("/default/default/" + id));
}

TEST_CASE("rename: people see the new name, tenant and customer id stay",
          "[contract][app][portal]") {
  House f;
  const std::string key = f.app.credential("api_key");
  Json before = json_of(f.app.as(key, "GET", "/api/v1/me"));
  const RawResponse renamed =
      f.owner.send("PATCH", f.org_path, R"({"name":"Acme Inc.","slug":"acme"})");
  REQUIRE(renamed.status == 200);
  CHECK(json_text(renamed.body, "slug") == "acme");
  CHECK(json_text(renamed.body, "name") == "Acme Inc.");
  CHECK(json_of(f.owner.send("GET", f.org_path))["slug"] == "acme");
  CHECK(json_of(f.owner.send("GET", "/api/v1/organizations"))["organizations"][0]["slug"] ==
        "acme");
  CHECK(json_of(f.owner.send("GET", "/api/v1/me"))["organizations"][0]["slug"] == "acme");
  before["organization"] = "acme";
  CHECK(json_of(f.app.as(key, "GET", "/api/v1/me")) == before);
  const Json record = json_of(f.app.as_owner("GET", "/admin/organizations/" + f.org));
  CHECK(record["slug"] == "default");
  CHECK(record["shown_slug"] == "acme");
  // Operators' lists name it once.
  CHECK(json_of(f.app.as_owner("GET", "/admin/organizations"))["organizations"].size() == 1);
  CHECK(f.app.parts().organizations->find_by_any_slug("acme")->id == f.org);
  CHECK(f.app.parts().organizations->find_by_slug("acme").code() == Code::kNotFound);
  f.app.restart();
  CHECK(json_of(f.app.as(key, "GET", "/api/v1/me")) == before);
  CHECK(json_of(f.owner.send("GET", f.org_path))["slug"] == "acme");
}

TEST_CASE("rename: nobody gets a name that another has or had", "[contract][app][portal]") {
  House f;
  const std::string other = f.made_organization(R"({"name":"Other"})");
  const std::string other_path = "/api/v1/organizations/" + other;
  REQUIRE(f.rename(f.org_path, "acme") == 200);
  REQUIRE(f.rename(f.org_path, "acme-two") == 200);
  for (const char* slug : {"default", "acme", "acme-two"}) {
    INFO(slug);
    const RawResponse refused =
        f.owner.send("PATCH", other_path, R"({"slug":")" + std::string(slug) + "\"}");
    CHECK(refused.status == 409);
    CHECK(json_text(refused.body, "code") == "slug_exists");
    CHECK(f.owner
              .send("POST", "/api/v1/organizations",
                    R"({"name":"New","slug":")" + std::string(slug) + "\"}")
              .status == 409);
  }
  // A tenant of an import has the name too, and words of the paths are nobody's.
  REQUIRE(f.app.as_owner("PUT", "/admin/tenants/tool-tenant", "{}").status == 200);
  CHECK(f.rename(other_path, "tool-tenant") == 409);
  for (const char* slug :
       {"billing", "artifacts", "oidc", "admin", "health", "Acme", "../x", "-"}) {
    INFO(slug);
    CHECK(f.rename(other_path, slug) == 400);
  }
  CHECK(f.owner.send("PATCH", other_path, "{}").status == 400);
  // A slug that is made of a name goes around it.
  CHECK(json_of(f.owner.send("POST", "/api/v1/organizations", R"({"name":"Acme"})"))["slug"]
            .get<std::string>()
            .starts_with("acme-"));
  Browser viewer = join(f.app, f.owner, "viewer@example.com", "viewer");
  CHECK(viewer.send("PATCH", f.org_path, R"({"slug":"mine"})").status == 403);
}

TEST_CASE("rename: projects of one organization keep their names apart",
          "[contract][app][portal]") {
  House f;
  const std::string second = json_text(
      f.owner.send("POST", "/api/v1/projects", R"({"name":"Second"})").body, "project_id");
  const std::string second_path = f.org_path + "/projects/" + second;
  REQUIRE(f.rename(f.project_path, "contexts") == 200);
  CHECK(f.rename(second_path, "contexts") == 409);
  CHECK(f.rename(second_path, "default") == 409);
  CHECK(f.owner.send("POST", "/api/v1/projects", R"({"name":"Default"})").status == 409);
  CHECK(f.rename(second_path, "No Slug") == 400);
  const RawResponse named = f.owner.send("PATCH", second_path, R"({"name":"Renamed"})");
  CHECK(json_text(named.body, "name") == "Renamed");
  CHECK(json_text(named.body, "slug") == "second");
  CHECK(f.rename("/api/v1/projects/00000000-0000-4000-8000-000000000000", "x") == 404);
  // Another organization may have the same names.
  const std::string other = f.made_organization(R"({"name":"Other"})");
  CHECK(f.owner
            .send("POST", "/api/v1/organizations/" + other + "/projects",
                  R"({"name":"C","slug":"contexts"})")
            .status == 201);
  CHECK(f.rename("/api/v1/organizations/" + other + "/projects/" + f.project, "x") == 404);
}

TEST_CASE("rename: how many names are kept has an end", "[contract][app][portal]") {
  House f;
  for (const std::string& path : {f.org_path, f.project_path}) {
    int last = 0;
    for (int i = 0; i < 21; i++) last = f.rename(path, "name-" + std::to_string(i));
    CHECK(last == 409);  // Reason slugs_full.
    CHECK(f.rename(path, "name-3") == 200);
    CHECK(f.rename(path, "default") == 200);
  }
}

TEST_CASE(
    "rename: a name goes with its organization, and what has it next finds nothing of the old",
    "[contract][app][portal]") {
  House f;
  const std::string other = f.made_organization(R"({"name":"Other","slug":"other"})");
  REQUIRE(f.rename("/api/v1/organizations/" + other, "shown") == 200);
  REQUIRE(f.app.as_owner("DELETE", "/admin/organizations/" + other + "?force=true").status == 204);
  const std::string next = f.made_organization(R"({"name":"Next","slug":"shown"})");
  CHECK(next != other);
  CHECK(f.app.parts().organizations->find_by_any_slug("other").code() == Code::kNotFound);
  CHECK(f.made_organization(R"({"name":"Again","slug":"other"})") != other);
}

TEST_CASE("rename: slugs that have become words of the API's paths are found at the start",
          "[unit][app][portal]") {
  House f;
  REQUIRE(f.rename(f.org_path, "acme") == 200);
  const auto found = f.app.parts().organizations->find_reserved({"acme", "artifacts", "default"});
  REQUIRE(found.ok());
  CHECK(*found == std::vector<std::string>{"acme", "default"});
}
