// Goal: a link opens one artifact to whoever has it, as often and as long as its maker said, and
// not once more. Method: a whole daemon over HTTP, as browsers, programs and link previews ask.
#include "artifacts/shares.h"

#include <nlohmann/json.hpp>

#include <thread>

#include "base/bytes.h"
#include "support/artifact_desk.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const char* const kBrowser = "text/html,application/xhtml+xml,*/*;q=0.8";

struct Link {
  std::string id, path;
};

struct Shares {
  TestApp app;
  std::string key = app.credential("api_key");
  std::string artifact = store_artifact(app, key, R"("name":"secret plan")", "0123456789");

  std::string all() const { return "/api/v1/artifacts/" + artifact + "/shares"; }
  Link link(const std::string& body = "{}") const {
    const RawResponse made = app.as(key, "POST", all(), body);
    INFO(made.body);
    REQUIRE(made.status == 201);
    return {json_text(made.body, "share_id"), target_of(json_text(made.body, "url"))};
  }
  RawResponse get(const Link& link, TestApp::Headers headers = {}) const {
    return app.call("GET", link.path, std::move(headers));
  }
  Json listed() const { return json_of(app.as(key, "GET", all()))["shares"]; }
  static TestApp::Headers basic(const std::string& password) {
    return {{"Authorization", "Basic " + to_base64("anybody:" + password)}};
  }
};

}  // namespace

TEST_CASE("shares: made, listed, followed and withdrawn", "[contract][app][artifacts]") {
  Shares s;
  const RawResponse made = s.app.as(s.key, "POST", s.all(), "{}");
  REQUIRE(made.status == 201);
  const std::string url = json_text(made.body, "url"), id = json_text(made.body, "share_id");
  CHECK(url.starts_with("http://127.0.0.1:" + std::to_string(s.app.port()) + "/share/"));
  CHECK(url.substr(url.rfind('/') + 1).size() == 43);  // 256 bits.
  const RawResponse bytes = s.app.call("GET", target_of(url));
  CHECK(bytes.status == 200);
  CHECK(bytes.body == "0123456789");
  CHECK(bytes.header("cache-control") == "private, no-store");
  CHECK(bytes.header("content-disposition") == "attachment; filename=\"secret_plan.kv\"");
  const Json listed = s.listed();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0]["share_id"] == id);
  CHECK(listed[0]["downloads"] == 1);
  CHECK(listed[0]["state"] == "active");
  CHECK(listed[0]["downloads_max"].is_null());
  CHECK(listed[0]["has_password"] == false);
  // The link itself is shown once, and is nowhere in the store.
  const std::string token = url.substr(url.rfind('/') + 1);
  CHECK(s.app.as(s.key, "GET", s.all()).body.find(token) == std::string::npos);
  CHECK(s.app.as_owner("GET", "/admin/audit").body.find(token) == std::string::npos);
  CHECK(s.app.as_owner("GET", "/admin/audit").body.find(id) != std::string::npos);
  CHECK(s.app.as(s.key, "DELETE", s.all() + "/" + id).status == 204);
  CHECK(s.app.as(s.key, "DELETE", s.all() + "/" + id).status == 404);
  CHECK(s.app.call("GET", target_of(url)).status == 404);
  CHECK(s.listed().empty());
  // Its audit is of portal.db, which the next start knows: the key-value store is no older for it.
  REQUIRE(s.app.as(s.key, "POST", s.all(), "{}").status == 201);
  s.app.restart();
  CHECK(s.listed().size() == 1);
}

TEST_CASE("shares: what is wrong with a wish is told, and others' artifacts are not there",
          "[contract][app]") {
  Shares s;
  for (const char* body :
       {R"({"expires_in_s":59})", R"({"expires_in_s":31622401})", R"({"downloads_max":0})",
        R"({"password":""})", R"({"password":5})", R"({"wish":1})", "[]", "no"}) {
    INFO(body);
    CHECK(s.app.as(s.key, "POST", s.all(), body).status == 400);
  }
  const std::string other = key_of_new_organization(s.app, "Other");
  CHECK(s.app.as(other, "POST", s.all(), "{}").status == 404);
  CHECK(s.app.as(other, "GET", s.all()).status == 404);
  const Link link = s.link();
  CHECK(s.app.as(other, "DELETE", s.all() + "/" + link.id).status == 404);
  CHECK(s.get(link).status == 200);
  CHECK(s.app.call("GET", "/share/" + std::string(43, 'A')).status == 404);
  CHECK(s.app.call("GET", "/share/" + std::string(5000, 'A')).status == 404);
  CHECK(s.app.call("GET", "/share/" + link.id).status == 404);
  const RawResponse pending = s.app.as(s.key, "POST", "/api/v1/artifacts/upload-url",
                                       R"({"name":"pending","dtype":"F16"})");
  CHECK(s.app
            .as(s.key, "POST",
                "/api/v1/artifacts/" + json_text(pending.body, "artifact_id") + "/shares", "{}")
            .status == 400);
}

TEST_CASE("shares: parallel downloads are never one more than the limit",
          "[contract][app][artifacts]") {
  Shares s;
  const Link link = s.link(R"({"downloads_max":7})");
  std::vector<int> statuses(30);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 6; t++) {
    threads.emplace_back([&, t] {
      for (size_t i = t; i < statuses.size(); i += 6) statuses[i] = s.get(link).status;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::count(statuses.begin(), statuses.end(), 200) == 7);
  CHECK(std::count(statuses.begin(), statuses.end(), 410) == 23);
  CHECK(s.listed()[0]["downloads"] == 7);
  const RawResponse page = s.get(link, {{"Accept", kBrowser}});
  CHECK(page.status == 410);
  CHECK(page.body.find("as often as it may be") != std::string::npos);
}

TEST_CASE("shares: the page says how long the link works, how often, and the command for it",
          "[contract][app][artifacts]") {
  Shares s;
  const auto page_of = [&](const std::string& body) {
    const RawResponse made = s.app.as(s.key, "POST", s.all(), body);
    REQUIRE(made.status == 201);
    const std::string url = json_text(made.body, "url"), end = json_text(made.body, "expires_at");
    const std::string page = s.app.call("GET", target_of(url), {{"Accept", kBrowser}}).body;
    CHECK(page.find("<pre>kvcs download &#39;" + url + "&#39;</pre>") != std::string::npos);
    const std::string until = "The link works until <time datetime=\"" + end.substr(0, 19);
    CHECK(page.find(until) != std::string::npos);
    return page;
  };
  CHECK(page_of(R"({"downloads_max":1})").find("for 1 more download.") != std::string::npos);
  CHECK(page_of(R"({"downloads_max":3})").find("for 3 more downloads.") != std::string::npos);
  CHECK(page_of("{}").find("more download") == std::string::npos);
  // Of one with a password no more than before: not its name.
  CHECK(page_of(R"({"password":"open sesame"})").find("secret plan") == std::string::npos);
}

TEST_CASE("shares: a download in parts, or one that is resumed, counts once",
          "[contract][app][artifacts]") {
  Shares s;
  const auto part = [&](const Link& link, const std::string& range) {
    return s.get(link, {{"Range", "bytes=" + range}}).status;
  };
  const Link parts = s.link(R"({"downloads_max":1})");
  CHECK(part(parts, "0-3") == 206);
  CHECK(part(parts, "4-6") == 206);
  CHECK(part(parts, "7-") == 206);
  CHECK(part(parts, "50-") == 416);
  CHECK(s.get(parts).status == 410);  // All of it is another download.
  // Of so small a file twice and no more.
  CHECK(part(parts, "0-8") == 206);
  CHECK(part(parts, "0-8") == 410);
  const Link resumed = s.link(R"({"downloads_max":1})");
  CHECK(s.get(resumed).status == 200);
  CHECK(part(resumed, "5-") == 206);
  // Of parts that come at once the first one counts.
  const Link at_once = s.link(R"({"downloads_max":1})");
  std::vector<int> statuses(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < statuses.size(); i++) {
    threads.emplace_back([&, i] { statuses[i] = part(at_once, std::to_string(i) + "-9"); });
  }
  for (std::thread& thread : threads) thread.join();
  size_t sent = 0;
  for (size_t i = 0; i < statuses.size(); i++) {
    CHECK((statuses[i] == 206 || statuses[i] == 410));
    if (statuses[i] == 206) sent += 10 - i;
  }
  CHECK(sent > 0);
  CHECK(sent <= 20);
  const Json links = s.listed();
  REQUIRE(links.size() == 3);
  for (const Json& share : links) CHECK(share["downloads"] == 1);
}

TEST_CASE("shares: looking at a link uses nothing up", "[contract][app][artifacts]") {
  Shares s;
  const Link link = s.link(R"({"downloads_max":1})");
  const RawResponse head = s.app.call("HEAD", link.path);
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == "10");
  const RawResponse page = s.get(link, {{"Accept", kBrowser}});
  CHECK(page.status == 200);
  CHECK(page.body.find("<form method=\"post\">") != std::string::npos);
  CHECK(page.header("referrer-policy") == "no-referrer");
  CHECK(page.header("cache-control") == "no-store");
  for (const char* agent :
       {"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "Twitterbot/1.0",
        "facebookexternalhit/1.1", "WhatsApp/2.23", "TelegramBot (like TwitterBot)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}) {
    INFO(agent);
    const RawResponse seen = s.get(link, {{"Accept", "*/*"}, {"User-Agent", agent}});
    CHECK(seen.status == 200);
    CHECK(seen.body.find("0123456789") == std::string::npos);
  }
  CHECK(s.listed()[0]["downloads"] == 0);
  // The button of the page is the download.
  const RawResponse sent = s.app.call("POST", link.path, {{"Accept", kBrowser}}, "");
  CHECK(sent.status == 200);
  CHECK(sent.body == "0123456789");
  CHECK(s.app.call("POST", link.path, {{"Accept", kBrowser}}, "").status == 410);
  CHECK(s.get(link, {{"User-Agent", "robotics/1.0"}}).status == 410);
}

TEST_CASE("shares: a password opens it, a wrong one does not, and tries are few",
          "[contract][app][artifacts]") {
  Shares s;
  const Link link = s.link(R"({"password":"correct horse","downloads_max":3})");
  CHECK(s.listed()[0]["has_password"] == true);
  const RawResponse asked = s.get(link);
  CHECK(asked.status == 401);
  CHECK(asked.header("www-authenticate").starts_with("Basic "));
  CHECK(s.get(link, Shares::basic("wrong")).status == 401);
  CHECK(s.get(link, Shares::basic("correct horse")).body == "0123456789");
  CHECK(s.app.call("HEAD", link.path).status == 401);
  // Who has not said the password learns no name.
  const RawResponse page = s.get(link, {{"Accept", kBrowser}});
  CHECK(page.status == 200);
  CHECK(page.body.find("secret plan") == std::string::npos);
  CHECK(page.body.find("type=\"password\"") != std::string::npos);
  const auto post = [&](const std::string& form) {
    return s.app.call("POST", link.path,
                      {{"Accept", kBrowser}, {"Content-Type", "application/x-www-form-urlencoded"}},
                      form);
  };
  const RawResponse wrong = post("password=wrong");
  CHECK(wrong.status == 403);
  CHECK(wrong.body.find("<form") != std::string::npos);
  CHECK(wrong.header("www-authenticate").empty());
  CHECK(post("password=correct+horse").body == "0123456789");
  CHECK(s.listed()[0]["downloads"] == 2);
  int limited = 0;
  for (int i = 0; i < 12; i++) limited += s.get(link, Shares::basic("guess")).status == 429;
  CHECK(limited > 0);
  CHECK(post("password=correct+horse").status == 429);
  // Another link's password has tries of its own.
  const Link second = s.link(R"({"password":"second"})");
  CHECK(s.get(second, Shares::basic("second")).status == 200);
}

TEST_CASE("shares: it ends with its artifact, its organization's suspension and its maker's right",
          "[contract][app][artifacts]") {
  Shares s;
  Browser ada = set_up(s.app);
  Browser grace = join(s.app, ada, "grace@example.com", "member");
  const Json grace_me = json_of(grace.send("GET", "/api/v1/me"));
  const auto made_by = [&](Browser& browser) {
    const RawResponse made = browser.send("POST", s.all(), "{}");
    INFO(made.body);
    REQUIRE(made.status == 201);
    return Link{json_text(made.body, "share_id"), target_of(json_text(made.body, "url"))};
  };
  const Link by_key = s.link(), by_ada = made_by(ada), by_grace = made_by(grace);
  const std::string organization = "/admin/organizations/" + s.app.credential("organization_id");
  REQUIRE(s.app.as_owner("POST", organization + "/suspend").status == 200);
  CHECK(s.get(by_key).status == 403);
  REQUIRE(s.app.as_owner("POST", organization + "/resume").status == 200);
  CHECK(s.get(by_key).status == 200);
  CHECK(s.get(by_grace).status == 200);
  // Who may only read now has no open doors; nor has who left.
  const std::string member = "/api/v1/members/" + grace_me["person_id"].get<std::string>();
  REQUIRE(ada.send("PATCH", member, R"({"role":"viewer"})").status == 200);
  CHECK(s.get(by_grace).status == 410);
  CHECK(grace.send("POST", s.all(), "{}").status == 403);
  CHECK(grace.send("GET", s.all()).status == 200);
  REQUIRE(ada.send("PATCH", member, R"({"role":"member"})").status == 200);
  CHECK(s.get(by_grace).status == 200);
  REQUIRE(ada.send("DELETE", member).status == 204);
  CHECK(s.get(by_grace).status == 410);
  CHECK(s.get(by_ada).status == 200);
  // A key that is revoked.
  const std::string keys =
      organization + "/projects/" + s.app.credential("project_id") + "/api-keys";
  const RawResponse second = s.app.as_owner("POST", keys, R"({"name":"second"})");
  const std::string project_key = s.key;
  s.key = json_text(second.body, "api_key");
  const Link by_second = s.link();
  CHECK(s.get(by_second).status == 200);
  REQUIRE(s.app.as_owner("DELETE", keys + "/" + json_text(second.body, "key_id")).status == 200);
  CHECK(s.get(by_second).status == 410);
  CHECK(s.get(by_key).status == 200);
  REQUIRE(s.app.as(project_key, "DELETE", "/api/v1/artifacts/" + s.artifact).status == 204);
  CHECK(s.get(by_key).status == 404);
  CHECK(s.get(by_ada).status == 404);
}
