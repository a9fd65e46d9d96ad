// Goal: what people have is found by its id, then by its whole name, an artifact also by how its id
// begins; a name of several things is refused with their ids, before anything is changed. Lists say
// which project they are of. Method: the commands through their parser; what reaches the server.
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliAnswer;
using kvcs::test::CliDesk;
using kvcs::test::Env;
using kvcs::test::Words;

namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kOther = "3f0c9d00-7e0a-4a62-9c1b-0a4f6c1d2e3f";
const std::string kSearch = "GET /api/v1/artifacts?shape=single&status=all&limit=100&";
const CliAnswer kNone{R"({"artifacts":[]})"};

CliAnswer found(const Words& ids, const std::string& name = "demo") {
  std::string list;
  for (const std::string& id : ids) {
    list += std::string(list.empty() ? "" : ",") + R"({"artifact_id":")" + id + R"(","name":")" +
            name + "\"}";
  }
  return {R"({"artifacts":[)" + list + "]}"};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("names: an artifact by its name, then by how its id begins", "[unit][cli]") {
  CliDesk desk;
  desk.answer({found({kId})});
  CHECK(desk.run({"delete", "demo", "--yes"}) == 0);
  CHECK(desk.requests() == Words{kSearch + "exact_name=demo", "DELETE /api/v1/artifacts/" + kId});
  desk.answer({kNone, found({kId})});
  CHECK(desk.run({"delete", "3F0C9D", "--yes"}) == 0);
  CHECK(desk.requests() == Words{kSearch + "exact_name=3F0C9D", kSearch + "id_prefix=3f0c9d",
                                 "DELETE /api/v1/artifacts/" + kId});
  // A whole id is not looked up.
  CHECK(desk.run({"delete", kId, "--yes"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /api/v1/artifacts/" + kId});
  // Five digits are too few; a server of before answers with artifacts that were not asked for.
  desk.answer({found({kOther}, "another")});
  CHECK(desk.run({"delete", "3f0c9", "--yes"}) == 1);
  CHECK(desk.requests() == Words{kSearch + "exact_name=3f0c9"});
  CHECK(has(desk.error, "kvcs list --all-projects"));
}

TEST_CASE("names: a URL of an artifact names it", "[unit][cli]") {
  for (const std::string before :
       {"https://kvcs.example/acme/default/", "https://kvcs.example/api/v1/artifacts/",
        "http://127.0.0.1:1/kv/#/artifacts/"}) {
    CliDesk desk;
    INFO(before);
    CHECK(desk.run({"delete", before + kId, "--yes"}) == 0);
    CHECK(desk.requests() == Words{"DELETE /api/v1/artifacts/" + kId});
  }
  // One that needs a key is fetched from the own server; no other server is told of the key.
  CliDesk desk;
  desk.run({"download", "http://127.0.0.1:1/api/v1/artifacts/" + kId, "-o", desk.folder.file("x")});
  REQUIRE_FALSE(desk.requests().empty());
  CHECK(desk.requests()[0] == "GET /api/v1/artifacts/" + kId + "?shape=single");
}

TEST_CASE("names: one that several artifacts have is refused with their ids", "[unit][cli]") {
  {
    CliDesk desk;
    desk.answer({found({kId, kOther})});
    CHECK(desk.run({"delete", "demo", "--yes"}) == 1);
    CHECK(desk.requests().size() == 1);
    CHECK(has(desk.error, kId + ", " + kOther));
  }
  CliDesk desk;
  desk.answer({kNone, found({kId, kOther})});
  CHECK(desk.run({"delete", "3f0c9d", "--yes"}) == 1);
  CHECK(desk.requests().size() == 2);
  CHECK(has(desk.error, kId + ", " + kOther));
}

TEST_CASE("names: every command about an artifact takes them", "[unit][cli]") {
  const std::string path = "/api/v1/artifacts/" + kId;
  const std::pair<Words, std::string> rows[] = {
      {{"download", "demo"}, "GET " + path + "?shape=single"},
      {{"edit", "demo", "--name", "n"}, "PATCH " + path + R"( {"name":"n"})"},
      {{"rename", "demo", "n"}, "PATCH " + path + R"( {"name":"n"})"},
      {{"tag", "demo", "+n"}, "GET " + path + "?shape=single"},
      {{"share", "create", "demo"}, "POST " + path + "/shares {}"},
      {{"share", "list", "demo"}, "GET " + path + "/shares"},
      {{"share", "delete", "demo", kOther}, "DELETE " + path + "/shares/" + kOther},
  };
  for (const auto& [words, request] : rows) {
    CliDesk desk;
    INFO(request);
    desk.answer({found({kId})});
    desk.run(words);
    const Words asked = desk.requests();
    REQUIRE(asked.size() >= 2);
    CHECK(asked[0] == kSearch + "exact_name=demo");
    CHECK(asked[1] == request);
  }
}

TEST_CASE("names: a key by its name, and two of one name by their ids alone", "[unit][cli]") {
  const CliAnswer keys{R"({"keys":[{"id":"k1","name":"ci"},{"id":"k2","name":"laptop"},)"
                       R"({"id":"k3","name":"laptop"}],"cursor":null})"};
  CliDesk desk;
  desk.answer({keys});
  CHECK(desk.run({"key", "rotate", "ci"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/api-keys?limit=100",
                                 "POST /api/v1/api-keys/k1/rotate {\"overlap_s\":86400}"});
  desk.answer({keys});
  CHECK(desk.run({"key", "revoke", "ci", "--yes"}) == 0);
  CHECK(desk.requests().back() == "DELETE /api/v1/api-keys/k1");
  CHECK(has(desk.error, "Revoked key k1 ('ci')."));
  desk.answer({keys});
  CHECK(desk.run({"key", "revoke", "laptop", "--yes"}) == 1);
  CHECK(desk.requests().size() == 1);
  CHECK(has(desk.error, "k2, k3"));
  desk.answer({keys});
  CHECK(desk.run({"key", "rotate", "nothing"}) == 1);
  CHECK(has(desk.error, "there is: ci, laptop, laptop"));
}

TEST_CASE("names: organizations, projects and members by name, when no slug is so", "[unit][cli]") {
  CliDesk desk;
  const CliAnswer orgs{R"({"organizations":[{"organization_id":"o1","slug":"acme","name":"b"},)"
                       R"({"organization_id":"o2","slug":"b","name":"Twin"},)"
                       R"({"organization_id":"o3","slug":"c","name":"Twin"}]})"};
  desk.answer({orgs});
  CHECK(desk.run({"org", "use", "b"}) == 0);
  CHECK(desk.requests().back() == R"(PATCH /api/v1/me {"organization_id":"o2"})");
  desk.answer({orgs});
  CHECK(desk.run({"org", "use", "Twin"}) == 1);
  CHECK(has(desk.error, "o2, o3"));
  desk.answer({{R"({"projects":[{"project_id":"p1","slug":"law","name":"The Law"}]})"}});
  CHECK(desk.run({"project", "use", "The Law"}) == 0);
  CHECK(desk.requests().back() == R"(PATCH /api/v1/me {"project_id":"p1"})");
  desk.answer({{R"({"members":[{"person_id":"x1","email":"a@b.c","name":"Ada"}]})"}});
  CHECK(desk.run({"member", "role", "Ada", "viewer"}) == 0);
  CHECK(desk.requests().back() == R"(PATCH /api/v1/members/x1 {"role":"viewer"})");
}

TEST_CASE("names: somebody who has signed in sees the active project, and which it is",
          "[unit][cli]") {
  CliDesk desk;
  const Env token("KVCS_TOKEN", "ks_token-1");
  const CliAnswer me{R"({"kind":"person","organization_id":"o1","organization":"acme",)"
                     R"("project_id":"p1","project":"law"})"};
  desk.answer({me, found({kId})});
  CHECK(desk.run({"list"}) == 0);
  CHECK(desk.requests() ==
        Words{"GET /api/v1/me", "GET /api/v1/artifacts?shape=single&project=p1"});
  CHECK(desk.error == "Project law of organization acme; --all-projects lists all of them.\n");
  desk.answer({me, found({kId})});
  CHECK(desk.run({"list", "-q"}) == 0);
  CHECK(desk.error.empty());
  // What was chosen is not told.
  desk.answer({{R"({"artifacts":[{"artifact_id":"a","project":"law"}]})"}});
  CHECK(desk.run({"list", "--all-projects"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/artifacts?shape=single"});
  CHECK(has(desk.out, "PROJECT"));
  CHECK(has(desk.out, "law"));
  desk.answer({found({kId})});
  CHECK(desk.run({"list", "--project", "law"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/artifacts?shape=single&project=law"});
  CHECK(desk.error.empty());
  CHECK(desk.run({"list", "--project", "law", "--all-projects"}) == 1);
  CHECK(desk.requests().empty());
  desk.answer({{R"({"error":"Ended."})", "401 Unauthorized"}});
  CHECK(desk.run({"list"}) == 1);
  CHECK(desk.requests().size() == 1);
}

TEST_CASE("names: a key lists what it reaches, and people are told what that is", "[unit][cli]") {
  CliDesk desk;
  desk.answer({found({kId}),
               {R"({"kind":"project","organization":"acme","project_id":"p1",)"
                R"("project":"law"})"}});
  CHECK(desk.run({"list"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/artifacts?shape=single", "GET /api/v1/me"});
  CHECK(desk.error == "Project law of organization acme.\n");
  desk.answer({found({kId}), {R"({"kind":"organization","organization":"acme"})"}});
  CHECK(desk.run({"list"}) == 0);
  CHECK(desk.error == "All projects of organization acme.\n");
  // Programs ask for nothing more than before.
  for (const Words& words : {Words{"list", "--json"}, Words{"list", "--format", "ids"}}) {
    desk.answer({found({kId})});
    CHECK(desk.run(words) == 0);
    CHECK(desk.requests() == Words{"GET /api/v1/artifacts?shape=single"});
    CHECK(desk.error.empty());
  }
}

TEST_CASE("names: a key of a project that is asked for another says so", "[unit][cli]") {
  CliDesk desk;
  const CliAnswer me{R"({"kind":"project","project":"work","project_id":")" + kId + "\"}"};
  desk.answer({kNone, me});
  CHECK(desk.run({"list", "--project", "play"}) == 1);
  CHECK(has(desk.error,
            "--project: the key (environment) is of the project work alone, and 'play' "
            "is not that."));
  for (const std::string& own : {std::string("work"), kId}) {
    desk.answer({kNone, me});
    CHECK(desk.run({"list", "--project", own}) == 0);
    CHECK(desk.out == "No artifacts.\n");
  }
  // Keys of an organization reach all of its projects.
  desk.answer({kNone, {R"({"kind":"organization"})"}});
  CHECK(desk.run({"list", "--project", "play"}) == 0);
  desk.answer({{R"({"error":"No."})", "403 No"}, me});
  CHECK(desk.run({"edit", kId, "--project", "play"}) == 1);
  CHECK(has(desk.error, "is of the project work alone"));
}

TEST_CASE("names: lists mark the organization, the project and the server in use", "[unit][cli]") {
  const CliAnswer me{R"({"organization_id":"o2","project_id":"p1"})"};
  const CliAnswer orgs{R"({"organizations":[{"organization_id":"o1","slug":"acme"},)"
                       R"({"organization_id":"o2","slug":"b"}]})"};
  const CliAnswer projects{R"({"projects":[{"project_id":"p1","slug":"law"},)"
                           R"({"project_id":"p2","slug":"tax"}]})"};
  CliDesk desk;
  const auto line_of = [&](const std::string& word) {
    const size_t at = desk.out.find(word);
    REQUIRE(at != std::string::npos);
    return desk.out.substr(at, desk.out.find('\n', at) - at);
  };
  desk.answer({orgs, me});
  CHECK(desk.run({"org", "list"}) == 0);
  CHECK(has(line_of("ORG ID"), "CURRENT"));
  CHECK_FALSE(has(line_of("o1"), "*"));
  CHECK(has(line_of("o2"), "*"));
  desk.answer({projects, me});
  CHECK(desk.run({"project", "list"}) == 0);
  CHECK(has(line_of("p1"), "*"));
  CHECK_FALSE(has(line_of("p2"), "*"));
  desk.answer({projects, me});
  CHECK(desk.run({"project", "list", "--json"}) == 0);
  CHECK(has(desk.out, R"("current": true)"));
  CHECK(has(desk.out, R"("current": false)"));
  CHECK(desk.run({"server", "list"}) == 0);
  CHECK(has(desk.out, "CURRENT"));
  CHECK(has(desk.out, "*"));
  // Without an answer to the question nothing is marked, and the list is there.
  desk.answer({orgs, {"{}", "503 Service Unavailable"}});
  CHECK(desk.run({"org", "list"}) == 0);
  CHECK_FALSE(has(desk.out, "*"));
}

TEST_CASE("names: the quota is the organization's, and its figures agree", "[unit][cli]") {
  const std::string body =
      R"({"customer_id":"255ae7f79a8a2c14a5e5c38f677bcde2",)"
      R"("quota":{"organizations":1,"projects":9223372036854775807,"artifacts":4,)"
      R"("storage_bytes":4194304},)"
      R"("used":{"organizations":1,"projects":3,"artifacts":1,"storage_bytes":1048576})";
  CliDesk desk;
  desk.answer(
      {{body + R"(,"plan":{"organization":"acme","plan":"free","month":"2030-01",)"
               R"("projects":{"used":2,"allowed":null},"members":{"used":1,"allowed":3},)"
               R"("artifacts":{"used":1,"allowed":4},)"
               R"("storage_bytes":{"used":1048576,"allowed":4194304},)"
               R"("ai_usd":{"used":0.25,"allowed":10},"gateway_calls":{"used":7,"allowed":5}}})"}});
  CHECK(desk.run({"quota"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/quota"});
  CHECK(desk.out ==
        "Organization  acme\n"
        "Plan          free\n"
        "Month         2030-01\n"
        "RESOURCE                      USED   ALLOWED      FREE  USED OF IT\n"
        "Projects                         2  no limit         -           -\n"
        "Members                          1         3         2      33.3 %\n"
        "Artifacts                        1         4         3      25.0 %\n"
        "Storage                   1.00 MiB  4.00 MiB  3.00 MiB      25.0 %\n"
        "AI this month, USD            0.25     10.00      9.75       2.5 %\n"
        "Gateway calls this month         7         5         0     140.0 %\n");
  // A server of before tells no plan.
  desk.answer({{body + "}"}});
  CHECK(desk.run({"quota"}) == 0);
  CHECK(has(desk.out, "Artifacts         1         4         3      25.0 %\n"));
  CHECK_FALSE(has(desk.out, "255ae7"));
  CHECK_FALSE(has(desk.out, "EiB"));
}
