// Goal: what the page of an artifact asks for (what is inside, its history, the models there are,
// the way back from a deletion) is answered to its owners alone, in plain words where it cannot be.
// Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include <set>

#include "artifacts/artifacts.h"
#include "support/artifact_desk.h"
#include "support/json_answer.h"
#include "support/tiny_kv.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct Details {
  TestApp app;
  std::string key = app.credential("api_key");
  const std::string all = "/api/v1/artifacts";

  explicit Details(const std::function<void(Config&)>& edit = [](Config&) {}) : app(edit) {}

  std::string store(const std::string& name, const std::string& bytes,
                    const std::string& model = "m") const {
    return store_artifact(app, key, R"("name":")" + name + R"(","model_name":")" + model + "\"",
                          bytes);
  }
  const BlobStore& blobs() { return *app.parts().blobs; }
  RawResponse ask(const std::string& method, const std::string& path,
                  const std::string& body = "") const {
    return app.as(key, method, all + path, body);
  }
  Json get(const std::string& path) const {
    const RawResponse answer = ask("GET", path);
    INFO(path << " " << answer.body);
    REQUIRE(answer.status == 200);
    return json_of(answer);
  }
  std::vector<std::string> deeds(const std::string& id) const {
    std::vector<std::string> words;
    const Json answer = get("/" + id + "/history");
    for (const Json& one : answer["history"]) words.push_back(one["action"].get<std::string>());
    return words;
  }
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("details: inspect tells figures, and refuses in clear words what is no .kv file",
          "[contract][app][artifacts]") {
  const Details d;
  const std::string bytes = tiny_kv({0x3c00, 0xc000});
  const std::string id = d.store("tiny", bytes), text = d.store("text", "bytes");
  const Json report = d.get("/" + id + "/inspect");
  CHECK(report["artifact_id"] == id);
  CHECK(report["sha256"] == sha256_hex(bytes));
  CHECK(report["per_layer"][0]["keys"]["max"] == 1.0);
  CHECK(report["tokens_preview"]["preview"] == Json::array({7, 8, 9, 10}));
  const RawResponse refused = d.ask("GET", "/" + text + "/inspect");
  CHECK(refused.status == 422);
  CHECK(json_of(refused)["code"] == "not_inspectable");
  CHECK(refused.body.find("cannot be inspected: ") != std::string::npos);
  CHECK(d.ask("GET", "/x/inspect").status == 400);
  const std::string stranger = key_of_new_organization(d.app, "other");
  CHECK(d.app.as(stranger, "GET", d.all + "/" + id + "/inspect").status == 404);
  CHECK(d.app.call("GET", d.all + "/" + id + "/inspect").status == 401);
  const RawResponse pending =
      d.ask("POST", "/upload-url", R"({"name":"pending","dtype":"F16","size_bytes":1})");
  CHECK(d.ask("GET", "/" + json_text(pending.body, "artifact_id") + "/inspect").status == 400);
}

TEST_CASE("details: models with their counts, and the artifacts that have certain bytes",
          "[contract][app][artifacts]") {
  const Details d;
  const std::string a = d.store("a", "one", "llama"), b = d.store("b", "one", "qwen");
  d.store("c", "two", "llama");
  REQUIRE(d.ask("POST", "/upload-url", R"({"name":"pending","dtype":"F16"})").status == 200);
  const Json answer = d.get("/models");
  CHECK(answer["is_whole"] == true);
  CHECK(answer["models"] == Json::array({{{"model", "llama"}, {"artifacts", 2}},
                                         {{"model", "qwen"}, {"artifacts", 1}}}));
  CHECK(d.get("/models?limit=1")["is_whole"] == false);
  CHECK(d.get("/models?limit=1")["models"].size() == 1);
  for (const char* limit : {"0", "1001", "x"}) {
    CHECK(d.ask("GET", "/models?limit=" + std::string(limit)).status == 400);
  }
  const std::string stranger = key_of_new_organization(d.app, "other");
  CHECK(json_of(d.app.as(stranger, "GET", d.all + "/models"))["models"].empty());
  std::string digest = sha256_hex("one");
  for (const char* page : {"", "&limit=10"}) {
    std::set<std::string> ids;
    const Json found = d.get("?sha256=" + digest + page);
    for (const Json& one : found["artifacts"]) ids.insert(one["artifact_id"].get<std::string>());
    CHECK(ids == std::set<std::string>{a, b});
    CHECK(found["total"] == 2);
  }
  digest[0] = digest[0] == 'a' ? 'A' : digest[0];
  CHECK(d.get("?sha256=" + digest + "&model=llama")["total"] == 1);
  CHECK(d.get("?sha256=" + std::string(64, '0'))["total"] == 0);
  for (const std::string& bad : {std::string("abc"), std::string(64, 'g'), std::string(65, '0')}) {
    const RawResponse refused = d.ask("GET", "?sha256=" + bad);
    CHECK(refused.status == 400);
    CHECK(refused.body.find("sha256: 64 hex digits are expected") != std::string::npos);
  }
  CHECK(json_of(d.app.as(stranger, "GET", d.all + "?sha256=" + digest))["total"] == 0);
}

TEST_CASE("details: the history of an artifact says what was done, also when it is deleted",
          "[contract][app][artifacts]") {
  const Details d;
  const std::string id = d.store("a", "bytes"), other = d.store("b", "more");
  const std::string one = "/" + id;
  REQUIRE(d.ask("PATCH", one, R"({"name":"renamed"})").status == 200);
  REQUIRE(d.ask("POST", one + "/visibility", R"({"visibility":"public"})").status == 204);
  const RawResponse share = d.ask("POST", one + "/shares", "{}");
  REQUIRE(share.status == 201);
  REQUIRE(d.ask("DELETE", one + "/shares/" + json_text(share.body, "share_id")).status == 204);
  CHECK(d.deeds(id) == Words{"unshare", "share", "visibility", "update", "confirm"});
  const Json newest = d.get(one + "/history?limit=3");
  REQUIRE(newest["cursor"].is_string());
  CHECK(newest["history"][2]["value"] == "public");
  CHECK(newest["history"][2]["actor"].get<std::string>().starts_with("projectkey:"));
  const Json rest = d.get(one + "/history?limit=3&cursor=" + newest["cursor"].get<std::string>());
  CHECK(rest["history"].size() == 2);
  CHECK(rest["history"][1]["action"] == "confirm");
  CHECK(rest["cursor"].is_null());
  CHECK(d.ask("GET", one + "/history?cursor=x").status == 400);
  REQUIRE(d.ask("DELETE", one).status == 204);
  CHECK(d.deeds(id).front() == "delete");
  REQUIRE(d.ask("POST", one + "/restore").status == 200);
  CHECK(d.deeds(id).front() == "restore");
  CHECK(d.deeds(other) == Words{"confirm"});
  const std::string stranger = key_of_new_organization(d.app, "other");
  CHECK(d.app.as(stranger, "GET", d.all + one + "/history").status == 404);
  REQUIRE(d.ask("DELETE", one + "?permanent=true").status == 204);
  CHECK(d.ask("GET", one + "/history").status == 404);
}

TEST_CASE("details: a deletion hides it at every door, and is taken back",
          "[contract][app][artifacts]") {
  const Details d;
  const std::string id = d.store("a", tiny_kv({0x3c00})), one = "/" + id;
  REQUIRE(d.ask("POST", one + "/visibility", R"({"visibility":"public"})").status == 204);
  const Json about = d.get(one);
  const std::string signed_url = target_of(about["download_url"].get<std::string>());
  const std::string public_url = target_of(about["public_url"].get<std::string>());
  const std::string link = target_of(json_text(d.ask("POST", one + "/shares", "{}").body, "url"));
  const auto search = [&] {
    return json_of(d.ask("POST", "/search", R"({"tokens":[7,8,9,10]})"))["hits"].size();
  };
  const auto open_doors = [&] {
    int open = 0;
    for (const std::string& path : {signed_url, public_url, link, "/v1/artifacts/" + id}) {
      open += d.app.call("GET", path).status == 200 ? 1 : 0;
    }
    for (const char* rest : {"", "/history", "/inspect", "/shares"}) {
      open += d.ask("GET", one + rest).status == 200 ? 1 : 0;
    }
    const Json catalogue = json_of(d.app.call("GET", "/api/v1/catalogue"));
    open += static_cast<int>(catalogue["artifacts"].size());
    return open + static_cast<int>(d.get("?status=all")["total"].get<int64_t>() + search());
  };
  CHECK(open_doors() == 11);
  const RawResponse gone = d.ask("DELETE", one);
  CHECK(gone.status == 204);
  CHECK(gone.header("x-kvcs-restorable-until").size() == 24);
  CHECK(open_doors() == 1);  // Its history.
  CHECK(d.ask("DELETE", one).status == 404);
  CHECK(d.ask("PATCH", one, R"({"name":"x"})").status == 404);
  CHECK(d.ask("POST", one + "/download-url").status == 404);
  const Json quota = json_of(d.app.as(d.key, "GET", "/api/v1/quota"));
  CHECK(quota["used"]["storage_bytes"] == 0);
  CHECK(quota["used"]["artifacts"] == 0);
  CHECK(quota["deleted"]["artifacts"] == 1);
  CHECK(quota["deleted"]["storage_bytes"] == tiny_kv({0x3c00}).size());
  const Json list = d.get("/deleted");
  REQUIRE(list["deleted"].size() == 1);
  CHECK(list["deleted"][0]["artifact_id"] == id);
  CHECK(list["lifetime_s"] == 86'400);
  CHECK(list["artifacts"] == 1);
  const std::string stranger = key_of_new_organization(d.app, "other");
  CHECK(json_of(d.app.as(stranger, "GET", d.all + "/deleted"))["deleted"].empty());
  CHECK(d.app.as(stranger, "POST", d.all + one + "/restore").status == 404);
  const RawResponse back = d.ask("POST", one + "/restore");
  CHECK(back.status == 200);
  CHECK(json_of(back)["visibility"] == "private");
  // Private, and without its link.
  CHECK(d.app.call("GET", public_url).status == 403);
  CHECK(d.app.call("GET", link).status == 404);
  CHECK(d.app.call("GET", signed_url).status == 200);
  CHECK(search() == 1);
  CHECK(d.get("/deleted")["deleted"].empty());
  CHECK(d.ask("POST", one + "/restore").status == 200);
  CHECK(d.ask("DELETE", one + "?permanent=yes").status == 400);
  const RawResponse ended = d.ask("DELETE", one + "?permanent=true");
  CHECK(ended.status == 204);
  CHECK(ended.header("x-kvcs-restorable-until").empty());
  CHECK(d.ask("POST", one + "/restore").status == 404);
}

TEST_CASE("details: what no longer fits is not restored, and a setting keeps nothing",
          "[contract][app][artifacts]") {
  {
    const Details d([](Config& config) { config.auth.plans.storage_bytes = 8; });
    const std::string id = d.store("a", "12345");
    REQUIRE(d.ask("DELETE", "/" + id).status == 204);
    d.store("b", "12345");
    const RawResponse refused = d.ask("POST", "/" + id + "/restore");
    CHECK(refused.status == 403);
    CHECK(json_of(refused)["used"] == 5);
    CHECK(json_of(refused)["limit"] == 8);
  }
  const Details d([](Config& config) { config.artifacts.deleted_lifetime_s = 0; });
  const std::string id = d.store("a", "12345");
  const RawResponse gone = d.ask("DELETE", "/" + id);
  CHECK(gone.status == 204);
  CHECK(gone.header("x-kvcs-restorable-until").empty());
  CHECK(d.ask("POST", "/" + id + "/restore").status == 404);
  CHECK(d.get("/deleted")["lifetime_s"] == 0);
}

TEST_CASE("details: what can be restored goes with its project", "[contract][app][artifacts]") {
  Details d;
  const std::string id = d.store("a", "bytes");
  REQUIRE(d.ask("DELETE", "/" + id).status == 204);
  const std::string organizations = d.app.as_owner("GET", "/admin/organizations").body;
  const std::string project = "/admin/organizations/" + json_text(organizations, "org_id") +
                              "/projects/" + d.app.credential("project_id");
  CHECK(d.app.as_owner("DELETE", project).status == 409);
  const RawResponse gone = d.app.as_owner("DELETE", project + "?force=true");
  INFO(gone.body);
  CHECK(gone.status == 204);
  CHECK_FALSE(d.blobs().stat(sha256_hex("bytes")).ok());
}
