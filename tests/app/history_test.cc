// Goal: the history of an organization names what was changed, every kind of record that an
// organization has is a kind there, and every verb that the daemon writes is in its document, which
// the pages have words for. Method: a whole daemon over HTTP; the kinds of keys are read from the
// table of src/kv/keyspace.h, and the verbs from the calls in src/.
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "kv/audited_kv.h"
#include "support/json_answer.h"
#include "support/people.h"
#include "support/source_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// The newest entry of this kind; null when there is none.
Json newest(Browser& browser, const std::string& kind) {
  Json history = json_of(browser.send("GET", "/api/v1/audit?limit=100"));
  for (const Json& entry : history["audit"]) {
    if (entry["kind"] == kind) return entry;
  }
  return nullptr;
}

void check(const Json& entry, const char* action, const Json& thing) {
  INFO(entry.dump());
  REQUIRE_FALSE(entry.is_null());
  CHECK(entry.at("action") == action);
  CHECK(entry.at("thing") == thing);
  CHECK(entry.at("name") == "Ada");
}

}  // namespace

TEST_CASE("history: what was changed has its name, and the verb is what was done",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const RawResponse key = ada.send("POST", "/api/v1/api-keys", R"({"name":"laptop"})");
  REQUIRE(key.status == 201);
  check(newest(ada, "key"), "create", "laptop");
  REQUIRE(ada.send("DELETE", "/api/v1/api-keys/" + json_text(key.body, "id")).status == 204);
  check(newest(ada, "key"), "update", "laptop");

  const RawResponse project = ada.send("POST", "/api/v1/projects", R"({"name":"Research"})");
  const std::string path = "/api/v1/projects/" + json_text(project.body, "project_id");
  check(newest(ada, "project"), "create", "Research");
  REQUIRE(ada.send("PATCH", path, R"({"name":"Development"})").status == 200);
  check(newest(ada, "project"), "update", "Development");

  const RawResponse invited =
      ada.send("POST", "/api/v1/invitations", R"({"email":"grace@example.com","role":"viewer"})");
  check(newest(ada, "invitation"), "create", "grace@example.com");
  REQUIRE(ada.send("DELETE", "/api/v1/invitations/" + json_text(invited.body, "invitation_id"))
              .status == 204);
  check(newest(ada, "invitation"), "delete", nullptr);  // Nothing is left of its address.

  const std::string org = app.credential("organization_id");
  REQUIRE(ada.send("PATCH", "/api/v1/organizations/" + org, R"({"name":"Acme"})").status == 200);
  check(newest(ada, "organization"), "update", "Acme");
}

TEST_CASE("history: addresses and names of keys are for who may list them",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser viewer = join(app, ada, "vera@example.com", "viewer");
  Browser admin = join(app, ada, "adam@example.com", "admin");
  const RawResponse robot =
      ada.send("POST", "/api/v1/api-keys",
               R"({"name":"robot","project_id":null,"permissions":["read","write","admin"]})");
  REQUIRE(robot.status == 201);
  const RawResponse child = app.as(json_text(robot.body, "api_key"), "POST", "/api/v1/api-keys",
                                   R"({"name":"child","project_id":null})");
  INFO(child.body);
  REQUIRE(child.status == 201);
  CHECK(newest(ada, "key")["name"] == "robot");  // Who acts has a name, too, for whom it is meant.
  CHECK(newest(viewer, "key")["name"].is_null());
  REQUIRE(ada.send("POST", "/api/v1/api-keys", R"({"name":"laptop"})").status == 201);
  REQUIRE(ada.send("POST", "/api/v1/projects", R"({"name":"Research"})").status == 201);
  REQUIRE(
      ada.send("POST", "/api/v1/invitations", R"({"email":"grace@example.com","role":"viewer"})")
          .status == 201);
  check(newest(admin, "key"), "create", "laptop");
  check(newest(admin, "invitation"), "create", "grace@example.com");
  check(newest(viewer, "key"), "create", nullptr);
  check(newest(viewer, "invitation"), "create", nullptr);
  check(newest(viewer, "project"), "create", "Research");
  const std::string whole = viewer.send("GET", "/api/v1/audit?limit=100").body;
  CHECK(whole.find("grace@example.com") == std::string::npos);
}

TEST_CASE("history: each kind of an organization's records has a word", "[unit][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const std::string org = app.credential("organization_id");
  std::ifstream file(source_dir() + "/src/kv/keyspace.h");
  const std::regex row(R"(// config  org:\{org_id\}:([a-z_]+).*)");
  std::set<std::string> parts;
  for (std::string line; std::getline(file, line);) {
    std::smatch found;
    if (std::regex_match(line, found, row)) parts.insert(found[1]);
  }
  REQUIRE(parts.size() >= 7);
  for (const std::string& part : parts) {
    INFO(part << ": a kind of records that kKinds of portal/history_api.cc has no word for");
    KvBatch batch;
    batch.put(KvFamily::kConfig, "org:" + org + ":" + part + ":walked", "{}");
    REQUIRE(app.parts().audited->write(batch, {"person:x", "api", ""}).ok());
    Json history = json_of(ada.send("GET", "/api/v1/audit?limit=1"));
    REQUIRE(history["audit"].size() == 1);
    CHECK(history["audit"][0]["subject"] == part + ":walked");
    CHECK(history["audit"][0]["kind"] != "other");
  }
}

namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The words that stand in calls which write to the audit, up to their semicolon.
std::set<std::string> words_of_audit_calls() {
  const std::regex call(
      R"((?:audited_?(?:\.|->)note|\baudit_?|\baudit_change|PortalEvent change|add_record))"
      R"([({][^;]*;)");
  const std::regex word(R"re("([a-z]+)")re");
  std::set<std::string> words;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(source_dir() + "/src")) {
    if (entry.path().extension() != ".cc") continue;
    const std::string text = read_file(entry.path());
    for (std::sregex_iterator found(text.begin(), text.end(), call), end; found != end; ++found) {
      const std::string statement = found->str();
      for (std::sregex_iterator one(statement.begin(), statement.end(), word); one != end; ++one) {
        words.insert((*one)[1]);
      }
    }
  }
  return words;
}

}  // namespace

TEST_CASE("audit: each verb that the daemon writes is in its document", "[unit][app]") {
  TestApp app;
  Json document = json_of(app.call("GET", "/openapi.json"));
  std::set<std::string> verbs;
  for (const Json& verb :
       document["components"]["schemas"]["AuditRow"]["properties"]["action"]["enum"]) {
    verbs.insert(verb.get<std::string>());
  }
  // What else stands in such calls: families, sources, and parts of JSON.
  const std::set<std::string> others = {"artifact", "share", "project", "api", "action", "unknown"};
  const std::set<std::string> words = words_of_audit_calls();
  for (const char* known : {"put", "create", "confirm", "purge", "run", "link", "refused"}) {
    INFO(known << ": the pattern finds no call that writes it");
    CHECK(words.contains(known));
  }
  for (const std::string& word : words) {
    INFO(word << ": is no verb of AuditRow in ledger/ledger_api.cc");
    CHECK((verbs.contains(word) || others.contains(word)));
  }
  // Those of decisions come with the request.
  for (const char* status : {"accepted", "rejected", "applied"}) CHECK(verbs.contains(status));
}
