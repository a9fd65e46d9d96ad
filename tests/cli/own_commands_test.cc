// Goal: the commands of people ask for what was meant by its name, with the token of the session,
// and change nothing when there is no such thing. Method: the commands through their parser; what
// reaches the server, to the letter.
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Env;
using kvcs::test::Words;

namespace {

constexpr const char* kOrgs = R"({"organizations":[{"organization_id":"o1","slug":"acme"},)"
                              R"({"organization_id":"o2","slug":"b"}]})";
constexpr const char* kProjects = R"({"projects":[{"project_id":"p1","slug":"default"}]})";
constexpr const char* kMembers =
    R"({"members":[{"person_id":"x1","email":"ada@example.com"},{"person_id":"x2","email":""}]})";

}  // namespace

TEST_CASE("own commands: a token of a session goes before a key", "[unit][cli]") {
  CliDesk desk;
  const Env token("KVCS_TOKEN", "ks_token-1");
  desk.answer({{kOrgs}});
  CHECK(desk.run({"org", "list"}) == 0);
  CHECK(desk.head().find("authorization: Bearer ks_token-1\r\n") != std::string::npos);
}

TEST_CASE("own commands: organizations by slug or id", "[unit][cli]") {
  struct Row {
    Words words;
    std::string request;
  };
  const Row rows[] = {
      {{"org", "use", "acme"}, R"(PATCH /api/v1/me {"organization_id":"o1"})"},
      {{"org", "rename", "o2", "--slug", "c"}, R"(PATCH /api/v1/organizations/o2 {"slug":"c"})"},
      {{"org", "delete", "acme", "--yes"}, "DELETE /api/v1/organizations/o1"},
      {{"org", "delete", "acme", "--force", "--yes"}, "DELETE /api/v1/organizations/o1?force=true"},
      {{"org", "restore", "b"}, "POST /api/v1/organizations/o2/restore {}"},
      {{"project", "list", "--org", "acme"}, "GET /api/v1/organizations/o1/projects"},
      {{"project", "create", "P", "--org", "acme"},
       R"(POST /api/v1/organizations/o1/projects {"name":"P"})"},
      {{"member", "list", "--org", "b"}, "GET /api/v1/organizations/o2/members"},
  };
  CliDesk desk;
  for (const Row& row : rows) {
    INFO(row.request);
    desk.answer({{kOrgs}, {R"({"projects":[],"members":[]})"}});
    CHECK(desk.run(row.words) == 0);
    CHECK(desk.requests() == Words{"GET /api/v1/organizations", row.request});
  }
  desk.answer({{kOrgs}});
  CHECK(desk.run({"org", "delete", "nothing", "--yes"}) == 1);
  CHECK(desk.requests() == Words{"GET /api/v1/organizations"});
  CHECK(desk.error.find("there is: acme, b") != std::string::npos);
}

TEST_CASE("own commands: projects and members by what people call them", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{kProjects}});
  CHECK(desk.run({"project", "use", "default"}) == 0);
  CHECK(desk.requests() ==
        Words{"GET /api/v1/projects", R"(PATCH /api/v1/me {"project_id":"p1"})"});
  // The row of a deletion names the organization, which is the active one.
  desk.answer({{R"({"organization_id":"o1"})"}, {kProjects}, {""}});
  CHECK(desk.run({"project", "delete", "default", "--force", "--yes"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/me", "GET /api/v1/organizations/o1/projects",
                                 "DELETE /api/v1/organizations/o1/projects/p1?force=true"});
  desk.answer({{R"({"organization_id":null})"}});
  CHECK(desk.run({"project", "delete", "default", "--yes"}) == 1);
  CHECK(desk.error.find("--org") != std::string::npos);

  desk.answer({{kMembers}});
  CHECK(desk.run({"member", "role", "ada@example.com", "viewer"}) == 0);
  CHECK(desk.requests() ==
        Words{"GET /api/v1/members", R"(PATCH /api/v1/members/x1 {"role":"viewer"})"});
  CHECK(desk.run({"member", "remove", "me", "--yes"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /api/v1/members/me"});
  desk.answer({{kMembers}});
  CHECK(desk.run({"member", "remove", "", "--yes"}) != 0);
  CHECK(desk.run({"member", "invite", "--email", "g@example.com"}) == 0);
  CHECK(desk.requests() ==
        Words{R"(POST /api/v1/invitations {"role":"member","email":"g@example.com"})"});
}

TEST_CASE("own commands: keys of projects and of the organization", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"key", "create", "ci", "--permission", "read"}) == 0);
  CHECK(desk.requests() == Words{R"(POST /api/v1/api-keys {"name":"ci","permissions":["read"]})"});
  CHECK(desk.run({"key", "create", "all", "--organization"}) == 0);
  CHECK(desk.requests() ==
        Words{R"(POST /api/v1/api-keys {"name":"all","permissions":["write"],"project_id":null})"});
  desk.answer({{kProjects}});
  CHECK(desk.run({"key", "create", "p", "--project", "default", "--expires-at",
                  "2030-01-01T00:00:00Z"}) == 0);
  CHECK(desk.requests() ==
        Words{"GET /api/v1/projects",
              R"(POST /api/v1/api-keys {"name":"p","expires_at":"2030-01-01T00:00:00Z",)"
              R"("permissions":["write"],"project_id":"p1"})"});
  CHECK(desk.run({"key", "create", "p", "--project", "default", "--organization"}) == 1);
  CHECK(desk.requests().empty());
  CHECK(desk.run({"key", "rotate", "k/1"}) == 0);
  CHECK(desk.requests() == Words{"POST /api/v1/api-keys/k%2F1/rotate {}"});
  CHECK(desk.run({"key", "rotate", "k1", "--overlap-s", "0"}) == 0);
  CHECK(desk.requests() == Words{R"(POST /api/v1/api-keys/k1/rotate {"overlap_s":0})"});
  CHECK(desk.run({"key", "delete", "k1", "--yes"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /api/v1/api-keys/k1"});
  desk.answer({{R"({"keys":[],"cursor":null})"}});
  CHECK(desk.run({"key", "list"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/api-keys?limit=100"});
}
