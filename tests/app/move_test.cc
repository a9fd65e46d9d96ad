// Goal: an artifact moves whole to another project of its organization, and nobody moves what is
// not theirs to a place that is not theirs. Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "base/crypto.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct House {
  TestApp app;
  Browser owner = set_up(app);
  std::string first = app.credential("project_id"), second = new_project("Second");

  std::string new_project(const std::string& name) {
    const RawResponse made = owner.send("POST", "/api/v1/projects", R"({"name":")" + name + "\"}");
    REQUIRE(made.status == 201);
    return json_text(made.body, "project_id");
  }
  std::string key_of(const std::string& project) {
    return json_text(owner
                         .send("POST", "/api/v1/api-keys",
                               R"({"name":"k","project_id":)" +
                                   (project.empty() ? "null" : "\"" + project + "\"") + "}")
                         .body,
                     "api_key");
  }
  // A public one of the first project, announced and, unless it is to stay so, confirmed.
  std::string artifact(bool confirmed = true) {
    const std::string key = app.credential("api_key");
    const RawResponse made =
        app.as(key, "POST", "/api/v1/artifacts/upload-url",
               R"({"name":"n","dtype":"F16","size_bytes":5,"visibility":"public","sha256":")" +
                   sha256_hex("bytes") + "\"}");
    const std::string url = json_text(made.body, "url"), id = json_text(made.body, "artifact_id");
    REQUIRE(app.call("PUT", url.substr(url.find("/blobs/")), {}, "bytes").status == 200);
    if (confirmed) {
      REQUIRE(app.as(key, "POST", "/api/v1/artifacts/" + id + "/confirm-upload").status == 200);
    }
    return id;
  }
  static std::string path(const std::string& id) { return "/api/v1/artifacts/" + id; }
  static std::string to(const std::string& project) {
    return R"({"project_id":")" + project + "\"}";
  }
};

}  // namespace

TEST_CASE("move: an artifact is in its new project and in no other", "[contract][app][portal]") {
  House f;
  const std::string id = f.artifact(), pending = f.artifact(false);
  const std::string of_first = f.app.credential("api_key"), of_second = f.key_of(f.second);
  const std::string quota = f.owner.send("GET", "/api/v1/quota").body;
  CHECK(f.app.as(of_second, "GET", House::path(id)).status == 404);
  const RawResponse moved = f.owner.send("POST", House::path(id) + "/move", House::to(f.second));
  INFO(moved.body);
  REQUIRE(moved.status == 200);
  CHECK(json_of(moved)["project"] == "second");
  CHECK(json_text(moved.body, "public_url").ends_with("/default/second/" + id));
  CHECK(f.app.as(of_first, "GET", House::path(id)).status == 404);
  CHECK(f.app.as(of_second, "GET", House::path(id)).status == 200);
  CHECK(json_of(f.app.as(of_second, "GET", "/api/v1/artifacts"))["total"] == 1);
  CHECK(f.app.call("GET", "/default/second/" + id).body == "bytes");
  // A link to where it was leads on, while it is public.
  const RawResponse before = f.app.call("GET", "/default/default/" + id + "?tokens=0:1");
  CHECK(before.status == 301);
  CHECK(before.header("location").ends_with("/default/second/" + id + "?tokens=0:1"));
  CHECK(before.header("cache-control") == "no-cache");
  const auto show = [&](const std::string& visibility) {
    return f.owner.send("POST", House::path(id) + "/visibility",
                        R"({"visibility":")" + visibility + "\"}");
  };
  CHECK(show("private").status == 204);
  const RawResponse hidden = f.app.call("GET", "/default/default/" + id);
  CHECK(hidden.status == 403);
  CHECK(show("public").status == 204);
  // What the organization uses is the same, and its projects have what they have.
  CHECK(f.owner.send("GET", "/api/v1/quota").body == quota);
  // An upload that is under way moves too, and ends where it is.
  const std::string whole = f.key_of("");
  REQUIRE(f.app.as(whole, "POST", House::path(pending) + "/move", House::to(f.second)).status ==
          200);
  CHECK(f.app.as(of_first, "POST", House::path(pending) + "/confirm-upload").status == 404);
  CHECK(f.app.as(of_second, "POST", House::path(pending) + "/confirm-upload").status == 200);
  // One that comes in several requests, too: the old project's key sends nothing into it.
  const TestApp::Headers tus = {{"Authorization", "Bearer " + of_first},
                                {"Tus-Resumable", "1.0.0"},
                                {"Upload-Length", "5"},
                                {"Upload-Metadata", "name bg==,dtype RjE2"}};
  const RawResponse begun = f.app.call("POST", "/api/v1/uploads", tus);
  REQUIRE(begun.status == 201);
  const std::string location(begun.header("location"));
  const std::string upload = location.substr(location.rfind('/') + 1);
  REQUIRE(f.app.as(whole, "POST", House::path(upload) + "/move", House::to(f.second)).status ==
          200);
  const auto look = [&](const std::string& key) {
    return f.app
        .call("HEAD", "/api/v1/uploads/" + upload,
              {{"Authorization", "Bearer " + key}, {"Tus-Resumable", "1.0.0"}})
        .status;
  };
  CHECK(look(of_first) == 404);
  CHECK(look(of_second) == 200);
  // To where it is already, and back.
  CHECK(f.owner.send("POST", House::path(id) + "/move", House::to(f.second)).status == 200);
  CHECK(f.owner.send("POST", House::path(id) + "/move", House::to(f.first)).status == 200);
  CHECK(f.app.as(of_first, "GET", House::path(id)).status == 200);
  // A new project did not become the active one.
  CHECK(json_of(f.owner.send("GET", "/api/v1/me"))["project_id"] == f.first);
}

TEST_CASE("move: rights are needed on both sides", "[contract][app][portal]") {
  House f;
  const std::string id = f.artifact(), move = House::path(id) + "/move";
  Browser viewer = join(f.app, f.owner, "viewer@example.com", "viewer");
  Browser member = join(f.app, f.owner, "member@example.com", "member");
  CHECK(viewer.send("POST", move, House::to(f.second)).status == 403);
  const RawResponse with_key =
      f.app.as(f.app.credential("api_key"), "POST", move, House::to(f.second));
  CHECK(with_key.status == 403);
  CHECK(with_key.body.find("its own project alone") != std::string::npos);
  const RawResponse other = f.owner.send("POST", "/api/v1/organizations", R"({"name":"Other"})");
  const std::string org = json_text(other.body, "organization_id");
  const std::string foreign = json_text(
      f.owner.send("POST", "/api/v1/organizations/" + org + "/projects", R"({"name":"P"})").body,
      "project_id");
  CHECK(f.owner.send("POST", move, House::to(foreign)).status == 404);
  CHECK(f.owner.send("POST", move, House::to("no-such-project")).status == 404);
  CHECK(f.owner.send("POST", move, "{}").status == 400);
  // From another organization it is not there.
  REQUIRE(f.owner.send("PATCH", "/api/v1/me", R"({"organization_id":")" + org + "\"}").status ==
          200);
  CHECK(f.owner.send("POST", move, House::to(foreign)).status == 404);
  CHECK(member.send("POST", move, House::to(f.second)).status == 200);
}

TEST_CASE("move: against deletions and confirmations at once nothing is counted twice",
          "[fault][app][portal]") {
  House f;
  const std::string whole = f.key_of("");
  for (int round = 0; round < 10; round++) {
    const std::string id = f.artifact(false);
    std::vector<std::thread> threads;
    const auto send = [&](const std::string& method, const std::string& tail,
                          const std::string& body) {
      threads.emplace_back([&f, &whole, method, target = House::path(id) + tail, body] {
        (void)f.app.as(whole, method, target, body);
      });
    };
    send("POST", "/move", House::to(f.second));
    send("POST", "/confirm-upload", "");
    send("DELETE", "", "");
    for (std::thread& thread : threads) thread.join();
    (void)f.app.as(whole, "DELETE", House::path(id));
  }
  const Json quota = json_of(f.owner.send("GET", "/api/v1/quota"));
  CHECK(quota["used"]["artifacts"] == 0);
  CHECK(quota["used"]["storage_bytes"] == 0);
}
