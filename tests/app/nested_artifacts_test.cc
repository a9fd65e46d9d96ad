// Goal: the nested routes answer in the shapes and words that earlier clients know, and two labels
// that somebody else uses too show nobody the other's artifacts. Method: a whole daemon over HTTP,
// asked as those clients ask.
#include <nlohmann/json.hpp>

#include "support/artifact_desk.h"
#include "support/json_answer.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kUnknown = "00000000-0000-4000-8000-000000000000";

// The body of clients up to 0.2.1, which name no model and write a null for no storage_dtype.
std::string nested_body(const std::string& bytes, const std::string& more = "") {
  return R"({"name":"demo","size_bytes":)" + std::to_string(bytes.size()) + R"(,"sha256":")" +
         sha256_hex(bytes) +
         R"(","dtype":"F16","storage_dtype":null,"num_tokens":7,"num_layers":2,"quantized":false)" +
         more + "}";
}

struct Nested {
  TestApp app;
  std::string key = app.credential("api_key");

  Nested() = default;
  explicit Nested(const std::function<void(Config&)>& edit) : app(edit) {}

  static std::string root(const std::string& labels, const std::string& version = "/api/v1") {
    const size_t slash = labels.find('/');
    return version + "/orgs/" + labels.substr(0, slash) + "/projects/" + labels.substr(slash + 1) +
           "/artifacts";
  }
  std::string store(const std::string& labels, const std::string& bytes,
                    const std::string& more = "", const std::string& version = "/api/v1") {
    const RawResponse made = app.as(key, "POST", root(labels, version), nested_body(bytes, more));
    INFO(made.body);
    REQUIRE(made.status == 201);
    CHECK(json_of(made).size() == 2);
    std::string id = json_text(made.body, "artifact_id");
    const std::string upload = target_of(json_text(made.body, "upload_url"));
    REQUIRE(app.call("PUT", upload, {}, bytes).status == 200);
    const RawResponse done = app.as(key, "POST", root(labels, version) + "/" + id + "/complete");
    CHECK(done.status == 200);
    CHECK(json_of(done) == Json{{"artifact_id", id}, {"sha256", sha256_hex(bytes)}});
    return id;
  }
};

}  // namespace

TEST_CASE("nested: create, complete, list, download and delete, under both roots",
          "[contract][app][artifacts]") {
  Nested n;
  for (const char* version : {"/api/v1", "/v1"}) {
    INFO(version);
    const std::string root = Nested::root("acme/demo", version);
    const std::string id = n.store("acme/demo", std::string("bytes of ") + version, "", version);
    const Json listed = json_of(n.app.as(n.key, "GET", root));
    CHECK(listed.size() == 1);  // No continuation_token on the last page.
    REQUIRE(listed["artifacts"].size() == 1);
    const Json& one = listed["artifacts"][0];
    CHECK(one["artifact_id"] == id);
    CHECK(one["org"] == "acme");
    CHECK(one["project"] == "demo");
    CHECK(one["num_tokens"] == 7);
    CHECK(one["num_layers"] == 2);
    CHECK(one["quantized"] == false);
    CHECK_FALSE(one.contains("storage_dtype"));
    // The public client reads name and model_name as one field, and sends no User-Agent.
    CHECK_FALSE(one.contains("model_name"));
    const RawResponse named =
        n.app.call("GET", root, {{"Authorization", "Bearer " + n.key}, {"User-Agent", "node"}});
    CHECK(json_of(named)["artifacts"][0]["model_name"] == "demo");
    const RawResponse link = n.app.as(n.key, "GET", root + "/" + id + "/download");
    CHECK(json_of(link).size() == 2);
    CHECK(n.app.call("GET", target_of(json_text(link.body, "download_url"))).body ==
          std::string("bytes of ") + version);
    CHECK(n.app.as(n.key, "DELETE", root + "/" + id).status == 204);
    CHECK(n.app.as(n.key, "DELETE", root + "/" + id).status == 404);
    CHECK(json_of(n.app.as(n.key, "GET", root))["artifacts"].empty());
  }
  CHECK(n.app.as(n.key, "GET", "/v1/quota").status == 200);
  CHECK(n.app.as(n.key, "POST", "/v1/api-keys/verify").status == 200);
}

TEST_CASE("nested: what is wrong is told in the words of the contract", "[contract][app]") {
  Nested n;
  const std::string root = Nested::root("acme/demo");
  const RawResponse made = n.app.as(n.key, "POST", root, nested_body("later"));
  const std::string id = json_text(made.body, "artifact_id");
  const auto check = [&](const std::string& method, const std::string& path, int status,
                         const std::string& words, const std::string& body = "") {
    const RawResponse answer = n.app.as(n.key, method, root + path, body);
    INFO(method << " " << path << " " << answer.body);
    CHECK(answer.status == status);
    CHECK(json_text(answer.body, "error") == words);
  };
  // An unconfirmed upload is listed, and cannot be downloaded.
  CHECK(json_of(n.app.as(n.key, "GET", root))["artifacts"].size() == 1);
  check("GET", "/" + id + "/download", 400, "Artifact upload is not confirmed");
  check("POST", "/" + id + "/complete", 400, "Artifact data not found");
  check("POST", "/x/complete", 400, "invalid artifact_id");
  check("GET", "/x/download", 400, "invalid artifact_id");
  check("DELETE", "/x", 400, "invalid artifact_id");
  check("POST", "/" + kUnknown + "/complete", 404, "Artifact not found");
  check("DELETE", "/" + kUnknown, 404, "Artifact not found");
  check("POST", "", 400, "Bad Request", R"({"name":"x"})");
  check("POST", "", 400, "Bad Request", R"({"dtype":"F16"})");
  check("POST", "", 400, "Bad Request", R"({"name":"x","dtype":"F16","sha256":"short"})");
  check("POST", "", 400, "Bad Request", R"({"name":"x","dtype":"F16","quantized":1})");
  for (const char* method : {"POST", "GET"}) {
    for (const RawResponse& refused :
         {n.app.call(method, root), n.app.as("kv_" + std::string(64, '0'), method, root)}) {
      CHECK(refused.status == 401);
      CHECK(json_of(refused) == Json{{"error", "Unauthorized"}});
    }
  }
  CHECK(n.app.call("DELETE", root + "/" + id).status == 401);
  // Labels are words, not paths and not screens' controls.
  const std::string strange = "/api/v1/orgs/a%e2%80%aeb/projects/p/artifacts";
  CHECK(n.app.as(n.key, "POST", strange, nested_body("x")).status == 400);
  const std::string longest = "/api/v1/orgs/" + std::string(101, 'a') + "/projects/p/artifacts";
  CHECK(n.app.as(n.key, "POST", longest, nested_body("x")).status == 400);
}

TEST_CASE("nested: two callers with the same labels do not meet", "[contract][app]") {
  Nested n;
  const std::string other = key_of_new_organization(n.app, "Other");
  const std::string root = Nested::root("acme/demo");
  const std::string id = n.store("acme/demo", "private bytes");
  CHECK(json_of(n.app.as(other, "GET", root))["artifacts"].empty());
  const std::string download = root + "/" + id + "/download";
  CHECK(n.app.as(other, "GET", download).status == 404);
  CHECK(n.app.as(other, "DELETE", root + "/" + id).status == 404);
  CHECK(n.app.as(other, "POST", root + "/" + id + "/complete").status == 404);
  // Without a key, or with a wrong one, private and unknown ids are alike.
  CHECK(n.app.call("GET", download).status == 401);
  CHECK(n.app.as("kv_" + std::string(64, '0'), "GET", download).status == 401);
  CHECK(n.app.call("GET", root + "/" + kUnknown + "/download").status == 401);
  CHECK(n.app.as(n.key, "GET", root + "/" + kUnknown + "/download").status == 404);
  CHECK(n.app.call("GET", root + "/x/download").status == 400);
  // Under other labels the artifact is not there.
  CHECK(n.app.as(n.key, "GET", Nested::root("acme/else") + "/" + id + "/download").status == 404);
  CHECK(n.app.as(n.key, "DELETE", Nested::root("default/default") + "/" + id).status == 404);
  // A public one is for everybody, also for who has a key of another.
  const std::string open = n.store("acme/demo", "public bytes", R"(,"visibility":"public")");
  for (const std::string& key : {std::string(), other, n.key}) {
    const RawResponse link = key.empty() ? n.app.call("GET", root + "/" + open + "/download")
                                         : n.app.as(key, "GET", root + "/" + open + "/download");
    CHECK(link.status == 200);
    CHECK(n.app.call("GET", target_of(json_text(link.body, "download_url"))).body ==
          "public bytes");
  }
  CHECK(n.app.as(other, "DELETE", root + "/" + open).status == 404);
}

TEST_CASE("nested: labels count as the organizations and projects that are used",
          "[contract][app]") {
  Nested n;
  const auto used = [&] { return json_of(n.app.as(n.key, "GET", "/api/v1/quota"))["used"]; };
  CHECK(used()["organizations"] == 1);
  CHECK(used()["projects"] == 1);
  n.store("acme/a", "1");
  n.store("acme/b", "2");
  n.store("contoso/a", "3");
  const std::string flat = store_artifact(n.app, n.key, R"("name":"flat")", "4");
  CHECK(used()["organizations"] == 3);  // acme, contoso and the flat routes' default.
  CHECK(used()["projects"] == 4);
  CHECK(used()["artifacts"] == 4);
  // The flat routes see all of them, and the nested ones theirs.
  CHECK(json_of(n.app.as(n.key, "GET", "/api/v1/artifacts"))["total"] == 4);
  CHECK(json_of(n.app.as(n.key, "GET", Nested::root("acme/a")))["artifacts"].size() == 1);
  const Json listed = json_of(n.app.as(n.key, "GET", Nested::root("default/default")));
  REQUIRE(listed["artifacts"].size() == 1);
  CHECK(listed["artifacts"][0]["artifact_id"] == flat);
}

TEST_CASE("nested: pages follow each other, each artifact once", "[contract][app]") {
  Nested n;
  std::set<std::string> stored, seen;
  for (int i = 0; i < 5; i++) stored.insert(n.store("acme/demo", std::to_string(i)));
  std::string token;
  for (int page = 0; page < 3; page++) {
    const std::string query = "?limit=2" + (token.empty() ? "" : "&continuation=" + token);
    const Json answer = json_of(n.app.as(n.key, "GET", Nested::root("acme/demo") + query));
    CHECK(answer["artifacts"].size() == (page < 2 ? 2 : 1));
    for (const Json& item : answer["artifacts"]) {
      CHECK(seen.insert(item["artifact_id"].get<std::string>()).second);
    }
    token = answer.value("continuation_token", "");
    CHECK(token.empty() == (page == 2));
  }
  CHECK(seen == stored);
}

TEST_CASE("nested: a key of no project puts things into the organization's own",
          "[contract][app]") {
  Nested n;
  const std::string keys =
      "/admin/organizations/" + n.app.credential("organization_id") + "/api-keys";
  const RawResponse made = n.app.as_owner("POST", keys, R"({"name":"all","scopes":["write"]})");
  const std::string project_key = n.key;
  n.key = json_text(made.body, "api_key");
  const std::string id = n.store("acme/demo", "by the organization");
  CHECK(json_of(n.app.as(project_key, "GET", "/api/v1/artifacts/" + id))["project"] == "default");
}

TEST_CASE("nested: without a Host, URLs name the place where the server listens",
          "[contract][app]") {
  const Nested n;
  const std::string body = nested_body("bytes");
  RawClient client(n.app.port());
  client.send("POST " + Nested::root("acme/demo") + " HTTP/1.0\r\nAuthorization: Bearer " + n.key +
              "\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  const RawResponse made = client.read_response();
  REQUIRE(made.status == 201);
  const std::string own = "http://127.0.0.1:" + std::to_string(n.app.port()) + "/blobs/";
  CHECK(json_text(made.body, "upload_url").starts_with(own));
}

TEST_CASE("nested: infer without an engine says that there is none, to who may ask",
          "[contract][app]") {
  Nested n;
  const std::string root = Nested::root("acme/demo");
  const std::string id = n.store("acme/demo", "bytes");
  const RawResponse none = n.app.as(n.key, "POST", root + "/" + id + "/infer", "{}");
  CHECK(none.status == 501);
  CHECK(json_text(none.body, "code") == "inference_disabled");
  CHECK(none.body.find("artifacts.engine_url") != std::string::npos);
  CHECK(n.app.call("POST", root + "/" + id + "/infer").status == 401);
  CHECK(n.app.call("POST", root + "/x/infer").status == 400);
  CHECK(n.app.as(n.key, "POST", root + "/" + kUnknown + "/infer").status == 404);
}

TEST_CASE("nested: infer asks the engine for the caller", "[contract][app]") {
  using http::Method;
  std::string asked;
  std::string answer = R"({"tokens":[5,6,7]})";
  int status = 200;
  TestServer engine({route(
      Method::kPost, "/infer",
      [&](http::Request& request) -> Result<http::Response> {
        asked = KVCS_TRY(request.body->read_all());
        return http::json_response(status, answer);
      },
      http::mib(1))});
  Nested n([&](Config& config) {
    config.artifacts.engine_url = "http://127.0.0.1:" + std::to_string(engine.port()) + "/infer";
  });
  const std::string id = n.store("acme/demo", "the cache");
  const std::string infer = Nested::root("acme/demo") + "/" + id + "/infer";
  const RawResponse told = n.app.as(n.key, "POST", infer, R"({"question":"Why?","n":2})");
  CHECK(told.status == 200);
  CHECK(json_of(told) == Json{{"artifact_id", id}, {"tokens", {5, 6}}, {"token_count", 2}});
  const Json seen = *parse_json(asked);
  CHECK(seen["question"] == "Why?");
  CHECK(seen["n"] == 2);
  CHECK(seen["model"] == "demo");
  CHECK(n.app.call("GET", target_of(seen["download_url"])).body == "the cache");
  // The engine is sent to this server, whatever host the caller names.
  RawClient caller(n.app.port());
  caller.send("POST " + infer + " HTTP/1.1\r\nHost: 169.254.169.254\r\nAuthorization: Bearer " +
              n.key + "\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
  CHECK(caller.read_response().status == 200);
  const std::string own = "http://127.0.0.1:" + std::to_string(n.app.port()) + "/blobs/";
  CHECK((*parse_json(asked))["download_url"].get<std::string>().starts_with(own));
  for (const auto& [n_text, n_asked] : std::vector<std::pair<std::string, int>>{
           {"0", 1}, {"-5", 1}, {"100000", 256}, {"18446744073709551615", 256}, {"null", 32}}) {
    INFO(n_text);
    CHECK(n.app.as(n.key, "POST", infer, R"({"n":)" + n_text + "}").status == 200);
    CHECK((*parse_json(asked))["n"] == n_asked);
  }
  CHECK(n.app.as(n.key, "POST", infer, R"({"n":"many"})").status == 400);
  status = 500;
  answer = "out of memory\x1b[31m";
  const RawResponse failed = n.app.as(n.key, "POST", infer);
  CHECK(failed.status == 502);
  CHECK(json_text(failed.body, "error") == "Inference failed");
  CHECK(failed.body.find("out of memory") != std::string::npos);
  CHECK(failed.body.find('\x1b') == std::string::npos);
  status = 200;
  for (const char* nonsense : {"{}", "[]", "no", R"({"tokens":["a"]})", R"({"tokens":5})"}) {
    answer = nonsense;
    CHECK(n.app.as(n.key, "POST", infer).status == 502);
  }
  // Of a public one anybody may ask, and not for ever: the engine's time is the operator's.
  const std::string open = n.store("acme/demo", "for all", R"(,"visibility":"public")");
  const std::string infer_open = Nested::root("acme/demo") + "/" + open + "/infer";
  answer = R"({"tokens":[5]})";
  int answered = 0, refused = 0;
  for (int i = 0; i < 12; i++) {
    const int got = n.app.call("POST", infer_open, {}, "{}").status;
    answered += got == 200 ? 1 : 0;
    refused += got == 429 ? 1 : 0;
  }
  CHECK(answered >= 10);
  CHECK(refused > 0);
  CHECK(n.app.as(n.key, "POST", infer_open, "{}").status == 200);
}
