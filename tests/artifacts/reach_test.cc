// Goal: a key reaches what is its own, and whoever has no key what is public and no more; what is
// out of reach answers as what does not exist, to the byte. Method: the routes over HTTP with two
// projects of one organization, an organization key, and another organization.
#include <nlohmann/json.hpp>

#include "artifact_world.h"

namespace kvcs {
namespace {

using test::ArtifactWorld;
using test::RawResponse;

const std::string kUnknown = "00000000-0000-4000-8000-000000000000";
const std::string kAll = "/api/v1/artifacts";

struct ReachDoor {
  ArtifactWorld w;
  test::TestServer server;
  explicit ReachDoor(ArtifactConfig config = {}) : w(false, config), server(w.routes()) {}

  RawResponse send(const std::string& method, const std::string& target, const std::string& body,
                   const std::string& key,
                   std::vector<std::pair<std::string, std::string>> headers = {}) {
    if (!key.empty()) headers.push_back({"authorization", "Bearer " + key});
    return test::fetch(server.port(), method, target, headers, body);
  }
  RawResponse get(const std::string& target) { return send("GET", target, "", ""); }
  // What an upload of this caller is told, with a project named or not.
  RawResponse announce(const std::string& key, const std::string& project = "") {
    Json body{{"name", "n"}, {"dtype", "F16"}};
    if (!project.empty()) body["project_id"] = project;
    return send("POST", kAll + "/upload-url", dump_json(body), key);
  }
  std::set<std::string> listed(const std::string& key, const std::string& query) {
    std::set<std::string> ids;
    const Json page = parse_json(send("GET", kAll + query, "", key).body).value();
    for (const Json& item : page["artifacts"]) ids.insert(item["artifact_id"]);
    CHECK(page["total"] == ids.size());
    return ids;
  }
  std::string signed_path(const char* method, const Artifact& a) {
    return w.presigner.sign_path({method, a.id, a.size_bytes, a.sha256, w.clock.unix_s() + 60});
  }
};

// What is the same for two answers but the request's own id and the time.
std::string told(const RawResponse& answer) {
  std::string text = std::to_string(answer.status) + " " + answer.body;
  for (const auto& [name, value] : answer.headers) {
    if (name != "x-request-id" && name != "date") text += "\n" + name + ": " + value;
  }
  return text;
}

}  // namespace

TEST_CASE("reach: another project's artifact answers as an unknown one, whatever is asked",
          "[artifacts][contract]") {
  ReachDoor d;
  const Artifact ready = d.w.store("bytes", d.w.acme),
                 pending = d.w.create("more", d.w.acme).value();
  REQUIRE(d.w.put(pending, "more").ok());
  struct Ask {
    const char *method, *tail, *body;
  };
  for (const auto& [method, tail, body] : std::vector<Ask>{
           {"GET", "", ""},
           {"POST", "/download-url", ""},
           {"POST", "/confirm-upload", ""},
           {"POST", "/visibility", R"({"visibility":"public"})"},
           {"DELETE", "", ""},
       }) {
    for (const char* key : {"sibling", "other"}) {
      const std::string unknown = told(d.send(method, kAll + "/" + kUnknown + tail, body, key));
      CHECK(unknown.starts_with("404 "));
      for (const Artifact& artifact : {ready, pending}) {
        INFO(method << " " << tail << " as " << key);
        CHECK(told(d.send(method, kAll + "/" + artifact.id + tail, body, key)) == unknown);
      }
    }
  }
  CHECK_FALSE(d.w.service->find(ready.id)->is_public);
  CHECK_FALSE(d.w.service->find(pending.id)->ready);
  // The organization's own key comes to all of them.
  CHECK(d.send("POST", kAll + "/" + pending.id + "/confirm-upload", "", "whole_acme").status ==
        200);
  CHECK(d.send("GET", kAll + "/" + ready.id, "", "whole_acme").status == 200);
  CHECK(d.send("DELETE", kAll + "/" + ready.id, "", "whole_acme").status == 204);
}

TEST_CASE("reach: lists and counts hold what is the caller's own", "[artifacts][contract]") {
  ReachDoor d;
  const std::string a = d.w.store("a", d.w.acme).id, s = d.w.store("s", d.w.sibling).id;
  d.w.store("o", d.w.other);
  for (const std::string query : {"", "?limit=10", "?limit=10&status=all"}) {
    CHECK(d.listed("acme", query) == std::set<std::string>{a});
    CHECK(d.listed("sibling", query) == std::set<std::string>{s});
    CHECK(d.listed("whole_acme", query) == std::set<std::string>{a, s});
  }
  for (const std::string& name : {std::string("sibling"), d.w.sibling.project_id}) {
    CHECK(d.listed("acme", "?project=" + name).empty());
    CHECK(d.listed("whole_acme", "?project=" + name) == std::set<std::string>{s});
  }
  // The quota is the organization's, so that each of its projects sees all that is used of it.
  const Json quota = parse_json(d.send("GET", "/api/v1/quota", "", "sibling").body).value();
  CHECK(quota["used"]["artifacts"] == 2);
}

TEST_CASE("reach: an upload goes to the own project, and an organization key names one",
          "[artifacts][contract]") {
  ReachDoor d;
  CHECK(d.announce("acme").status == 200);
  CHECK(d.announce("acme", d.w.acme.project_id).status == 200);
  for (const char* key : {"acme", "whole_acme"}) {
    const RawResponse unknown = d.announce(key, kUnknown),
                      foreign = d.announce(key, d.w.other.project_id);
    CHECK(unknown.status == 404);
    CHECK(foreign.status == 404);
    CHECK(foreign.body.find(d.w.other.project_id) != std::string::npos);
  }
  CHECK(d.announce("acme", d.w.sibling.project_id).status == 404);
  const RawResponse missing = d.announce("whole_acme");
  CHECK(missing.status == 400);
  CHECK(missing.body.find("project_id: required") != std::string::npos);
  const RawResponse made = d.announce("whole_acme", d.w.sibling.project_id);
  REQUIRE(made.status == 200);
  const std::string id = parse_json(made.body).value()["artifact_id"];
  CHECK(d.w.service->find(id)->project_id == d.w.sibling.project_id);
  // A key without a project, which no service makes, reaches nothing.
  Principal none = d.w.acme;
  none.project_id.clear();
  CHECK(d.w.service->find_own(none, id).code() == Code::kNotFound);
}

TEST_CASE("public doors: what is private, pending or absent is told alike to strangers",
          "[artifacts][contract]") {
  ReachDoor d;
  const Artifact kept = d.w.store("kept", d.w.acme);
  Artifact draft = d.w.draft("later", d.w.acme);
  draft.is_public = true;
  const Artifact pending = d.w.service->create(draft).value();
  for (const char* method : {"GET", "HEAD"}) {
    for (const char* part : {"", "?tokens=0:1", "?layers=0:1"}) {
      const std::string absent = told(d.send(method, "/v1/artifacts/" + kUnknown + part, "", ""));
      CHECK(absent.starts_with("403 "));
      for (const std::string& id : {kept.id, pending.id, kUnknown}) {
        INFO(method << " " << id << part);
        CHECK(told(d.send(method, "/v1/artifacts/" + id + part, "", "")) == absent);
        CHECK(told(d.send(method, "/acme/default/" + id + part, "", "")) == absent);
        CHECK(told(d.send(method, "/nobody/nothing/" + id + part, "", "")) == absent);
      }
    }
  }
}

TEST_CASE("public doors: what was taken back is not served from a cache that asks",
          "[artifacts][contract]") {
  ReachDoor d;
  const Artifact a = d.w.store("0123456789", d.w.acme);
  REQUIRE(d.w.service->set_visibility(d.w.acme, a.id, true, "r").ok());
  for (const std::string& target : {"/v1/artifacts/" + a.id, "/acme/default/" + a.id}) {
    const RawResponse first = d.get(target);
    CHECK(first.status == 200);
    CHECK(first.header("cache-control") == "public, no-cache");
    const std::pair<std::string, std::string> match = {"if-none-match", first.header("etag")};
    const RawResponse again = d.send("GET", target, "", "", {match});
    CHECK(again.status == 304);
    CHECK(again.header("cache-control") == "public, no-cache");
    CHECK(again.header("etag") == first.header("etag"));
    CHECK(d.send("HEAD", target, "", "", {match}).status == 304);
    // A refusal of one request is no answer to others.
    for (const auto& [name, value] :
         {std::pair<std::string, std::string>{"range", "bytes=5000-"}, {"if-match", "\"other\""}}) {
      INFO(target << " " << name);
      const RawResponse refused = d.send("GET", target, "", "", {{name, value}});
      CHECK((refused.status == 416 || refused.status == 412));
      CHECK(refused.header("cache-control") == "private, no-store");
      CHECK(refused.header("content-disposition").empty());
    }
    REQUIRE(d.w.service->set_visibility(d.w.acme, a.id, false, "r").ok());
    CHECK(d.send("GET", target, "", "", {match}).status == 403);
    REQUIRE(d.w.service->set_visibility(d.w.acme, a.id, true, "r").ok());
  }
}

TEST_CASE("public doors: a stranger's signed URL is good while the artifact is public",
          "[artifacts][contract]") {
  ReachDoor d;
  const Artifact a = d.w.store("bytes", d.w.acme);
  const std::string strangers =
      d.w.presigner.sign_path({"GET", a.id, a.size_bytes, a.sha256, d.w.clock.unix_s() + 60, true});
  const std::string own = d.signed_path("GET", a);
  CHECK(d.send("GET", strangers, "", "").status == 403);
  REQUIRE(d.w.service->set_visibility(d.w.acme, a.id, true, "").ok());
  CHECK(d.send("GET", strangers, "", "").status == 200);
  // Without the word it is another claim.
  const size_t word = strangers.find("&while=public");
  REQUIRE(word != std::string::npos);
  CHECK(d.send("GET", strangers.substr(0, word) + strangers.substr(word + 13), "", "").status ==
        403);
  CHECK(d.send("GET", own + "&while=public", "", "").status == 403);
  REQUIRE(d.w.service->set_visibility(d.w.acme, a.id, false, "").ok());
  CHECK(d.send("GET", strangers, "", "").status == 403);
  CHECK(d.send("GET", own, "", "").status == 200);
}

TEST_CASE("suspended: signed URLs end with the organization's suspension, and go on after it",
          "[artifacts][contract]") {
  ReachDoor d;
  const Artifact ready = d.w.store("ready", d.w.acme),
                 pending = d.w.create("later", d.w.acme).value();
  const std::string get = d.signed_path("GET", ready), put = d.signed_path("PUT", pending);
  d.w.suspended = {"acme"};
  for (const RawResponse& refused : {d.get(get), d.send("PUT", put, "later", "")}) {
    CHECK(refused.status == 403);
    CHECK(refused.body.find("suspended") != std::string::npos);
  }
  CHECK_FALSE(d.w.service->find(pending.id)->uploaded);
  d.w.suspended.clear();
  CHECK(d.get(get).body == "ready");
  CHECK(d.send("PUT", put, "later", "").status == 200);
}

TEST_CASE("suspended: public artifacts are not served, unless the operator wants them to be",
          "[artifacts][contract]") {
  for (const bool serves : {false, true}) {
    ArtifactConfig config;
    config.serve_suspended = serves;
    ReachDoor d(config);
    const Artifact a = d.w.store("open", d.w.acme);
    REQUIRE(d.w.service->set_visibility(d.w.acme, a.id, true, "r").ok());
    d.w.suspended = {"acme"};
    for (const std::string& target : {"/v1/artifacts/" + a.id, "/acme/default/" + a.id}) {
      CHECK(d.get(target).status == (serves ? 200 : 403));
      if (!serves) CHECK(told(d.get(target)) == told(d.get("/v1/artifacts/" + kUnknown)));
    }
  }
}

}  // namespace kvcs
