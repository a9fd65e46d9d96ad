// Goal: what is public is found and fetched by everybody, counted, and gone from there at once when
// its owner or its organization takes it back. Method: a whole daemon over HTTP.
#include <nlohmann/json.hpp>

#include <set>
#include <thread>

#include "support/artifact_desk.h"
#include "support/json_answer.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct Catalogue {
  TestApp app;
  std::string key = app.credential("api_key");

  Catalogue() = default;
  explicit Catalogue(const std::function<void(Config&)>& edit) : app(edit) {}

  std::string store(const std::string& name, const std::string& bytes,
                    const std::string& visibility = "public") const {
    return store_artifact(app, key,
                          R"("name":")" + name + R"(","visibility":")" + visibility + "\"", bytes);
  }
  std::vector<std::string> names(const std::string& query = "") const {
    const RawResponse answer = app.call("GET", "/api/v1/catalogue" + query);
    INFO(answer.body);
    REQUIRE(answer.status == 200);
    std::vector<std::string> found;
    const Json page = json_of(answer);
    for (const Json& item : page["artifacts"]) found.push_back(item["name"]);
    return found;
  }
  int64_t downloads(const std::string& id) const {
    return json_of(app.as(key, "GET", "/api/v1/artifacts/" + id))["downloads"];
  }
  Status turn_organization(const std::string& verb) const {
    const RawResponse answer = app.as_owner(
        "POST", "/admin/organizations/" + app.credential("organization_id") + "/" + verb);
    return answer.status == 200 ? ok() : internal(answer.body);
  }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("catalogue: public and ready artifacts of everybody, and no others",
          "[contract][app][artifacts]") {
  Catalogue c;
  const std::string open = c.store("open one", "1");
  c.store("hidden one", "2", "private");
  const std::string other = key_of_new_organization(c.app, "Other");
  store_artifact(c.app, other, R"("name":"theirs one","visibility":"public")", "3");
  REQUIRE(c.app
              .as(c.key, "POST", "/api/v1/artifacts/upload-url",
                  R"({"name":"pending one","dtype":"F16","visibility":"public"})")
              .status == 200);
  CHECK(c.names() == Names{"theirs one", "open one"});
  CHECK(c.names("?q=one") == Names{"theirs one", "open one"});
  CHECK(c.names("?q=open") == Names{"open one"});
  CHECK(c.names("?q=hidden").empty());
  CHECK(c.names("?q=pending").empty());
  // What a row tells is what a stranger may know.
  const Json one = json_of(c.app.call("GET", "/api/v1/catalogue?q=open"))["artifacts"][0];
  CHECK(one["organization"] == "default");
  CHECK(one["public_url"].get<std::string>().ends_with("/default/default/" + open));
  for (const char* own :
       {"owner_id", "organization_id", "project_id", "metadata", "download_url"}) {
    CHECK_FALSE(one.contains(own));
  }
  REQUIRE(c.app
              .as(c.key, "POST", "/api/v1/artifacts/" + open + "/visibility",
                  R"({"visibility":"private"})")
              .status == 204);
  CHECK(c.names() == Names{"theirs one"});
  CHECK(c.names("?q=open").empty());
  CHECK(c.app.call("GET", "/api/v1/catalogue?sort=owner").status == 400);
  CHECK(c.app.call("GET", "/api/v1/catalogue?cursor=bm9uZQ").status == 400);
  CHECK(c.app.call("GET", "/api/v1/catalogue?organization=x").status == 400);
}

TEST_CASE("catalogue: pages by time, name, size and downloads", "[contract][app]") {
  Catalogue c;
  std::vector<std::string> ids;
  for (const char* name : {"b", "d", "a", "c"}) {
    ids.push_back(c.store(name, std::string(ids.size() + 1, 'x')));
  }
  for (int i = 0; i < 2; i++) CHECK(c.app.call("GET", "/v1/artifacts/" + ids[3]).status == 200);
  CHECK(c.app.call("GET", "/v1/artifacts/" + ids[0]).status == 200);
  const auto walk = [&](const std::string& query) {
    Names all;
    std::string cursor;
    do {
      const std::string path =
          "/api/v1/catalogue?limit=1" + query + (cursor.empty() ? "" : "&cursor=" + cursor);
      const Json page = json_of(c.app.call("GET", path));
      for (const Json& item : page["artifacts"]) all.push_back(item["name"]);
      cursor = page.value("continuation_token", "");
    } while (!cursor.empty());
    return all;
  };
  CHECK(walk("") == Names{"c", "a", "d", "b"});
  CHECK(walk("&sort=created") == Names{"b", "d", "a", "c"});
  CHECK(walk("&sort=name") == Names{"a", "b", "c", "d"});
  CHECK(walk("&sort=-size") == Names{"c", "a", "d", "b"});
  REQUIRE(c.app.parts().artifacts.service->flush_downloads().ok());
  const Names by_downloads = walk("&sort=-downloads");
  REQUIRE(by_downloads.size() == 4);
  CHECK(by_downloads[0] == "c");
  CHECK(by_downloads[1] == "b");
}

TEST_CASE("catalogue: a suspension takes it out at once, and its end brings it back",
          "[contract][app][artifacts]") {
  const bool serve = GENERATE(false, true);
  Catalogue c([&](Config& config) { config.artifacts.serve_suspended = serve; });
  for (int i = 0; i < 3; i++) c.store("ours", "bytes " + std::to_string(i));
  const std::string id = c.store("ours", "last");
  const std::string other = key_of_new_organization(c.app, "Other");
  store_artifact(c.app, other, R"("name":"theirs","visibility":"public")", "theirs");
  CHECK(c.names().size() == 5);
  REQUIRE(c.turn_organization("suspend").ok());
  CHECK(c.names() == Names{"theirs"});
  CHECK(c.names("?limit=1") == Names{"theirs"});
  CHECK(c.names("?q=ours").empty());
  CHECK(c.app.call("GET", "/v1/artifacts/" + id).status == (serve ? 200 : 403));
  REQUIRE(c.turn_organization("resume").ok());
  CHECK(c.names().size() == 5);
}

TEST_CASE("public URL: bytes for programs, a page for people, data for who asks for JSON",
          "[contract][app][artifacts]") {
  Catalogue c;
  const std::string id = store_artifact(
      c.app, c.key,
      R"("name":"<b>bold</b>","visibility":"public","description":"<script>alert(1)</script>",)"
      R"("tags":["\"quoted\""])",
      "0123456789");
  const std::string path = "/default/default/" + id;
  const auto get = [&](TestApp::Headers headers, const std::string& query = "") {
    return c.app.call("GET", path + query, std::move(headers));
  };
  const RawResponse bytes = get({});
  CHECK(bytes.status == 200);
  CHECK(bytes.body == "0123456789");
  CHECK(bytes.header("etag") == "\"" + sha256_hex("0123456789") + "\"");
  CHECK(bytes.header("cache-control") == "public, no-cache");
  // The page's URLs are of what the proxies tell of the place.
  const std::string by_place =
      "Accept, X-Forwarded-Host, X-Forwarded-Port, X-Forwarded-Prefix, X-Forwarded-Proto";
  CHECK(bytes.header("vary").starts_with(by_place));
  CHECK(get({{"Accept", "*/*"}}).body == "0123456789");
  const std::string browser = "text/html,application/xhtml+xml,*/*;q=0.8";
  const RawResponse page = get({{"Accept", browser}});
  CHECK(page.status == 200);
  CHECK(page.header("content-type") == "text/html; charset=utf-8");
  CHECK(page.header("content-security-policy").starts_with("default-src 'none'"));
  CHECK(page.body.find("<script>") == std::string::npos);
  CHECK(page.body.find("<b>") == std::string::npos);
  CHECK(page.body.find(path + "?download=1") != std::string::npos);
  CHECK(get({{"Accept", browser}}, "?download=1").body == "0123456789");
  const RawResponse data = get({{"Accept", "application/json"}});
  CHECK(json_of(data)["name"] == "<b>bold</b>");
  CHECK(json_of(data)["size_bytes"] == 10);
  // A part, what is known already, and what is not there.
  const RawResponse part = get({{"Range", "bytes=2-4"}, {"Accept", browser}});
  CHECK(part.status == 206);
  CHECK(part.body == "234");
  CHECK(get({{"If-None-Match", bytes.header("etag")}}).status == 304);
  CHECK(get({{"Range", "bytes=99-"}}).status == 416);
  // Under another project of its organization, where it may have been, it leads on.
  const RawResponse moved = c.app.call("GET", "/default/other/" + id);
  CHECK(moved.status == 301);
  CHECK(moved.header("location").ends_with("/default/default/" + id));
  CHECK(moved.header("vary").starts_with(by_place));
  CHECK(c.app.call("GET", "/other/default/" + id).status == 403);
  const std::string hidden = c.store("hidden", "hidden", "private");
  const RawResponse refused =
      c.app.call("GET", "/default/default/" + hidden, {{"Accept", browser}});
  CHECK(refused.status == 403);
  CHECK(refused.body.find("hidden") == std::string::npos);
}

TEST_CASE("downloads: each is counted once, also when many come at once",
          "[contract][app][artifacts]") {
  Catalogue c;
  const std::string id = c.store("counted", "0123456789");
  const std::string path = "/default/default/" + id;
  CHECK(c.downloads(id) == 0);
  const auto get = [&](const char* method, TestApp::Headers headers) {
    return c.app.call(method, path, std::move(headers)).status;
  };
  // Neither a look, nor what is known already, nor the further parts are a download.
  CHECK(get("HEAD", {}) == 200);
  CHECK(get("GET", {{"Accept", "text/html"}}) == 200);
  CHECK(get("GET", {{"If-None-Match", "\"" + sha256_hex("0123456789") + "\""}}) == 304);
  CHECK(get("GET", {{"Range", "bytes=5-"}}) == 206);
  CHECK(get("GET", {{"Range", "bytes=-3"}}) == 206);
  CHECK(get("GET", {{"Range", "bytes=50-"}}) == 416);
  CHECK(c.downloads(id) == 0);
  CHECK(get("GET", {{"Range", "bytes=0-4"}}) == 206);
  CHECK(get("GET", {}) == 200);
  CHECK(c.app.call("GET", "/v1/artifacts/" + id).status == 200);
  CHECK(c.downloads(id) == 3);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; i++) {
    threads.emplace_back([&] {
      for (int n = 0; n < 10; n++) c.app.call("GET", path);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(c.downloads(id) == 63);
  c.app.restart();
  CHECK(c.downloads(id) == 63);
}
