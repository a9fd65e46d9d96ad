// Goal: the commands of people ask for what was meant by its name, with the token of the session,
// and change nothing when there is no such thing. Method: the commands through their parser; what
// reaches the server, to the letter.
#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliAnswer;
using kvcs::test::CliDesk;
using kvcs::test::Env;
using kvcs::test::Words;

namespace {

constexpr const char* kOrgs = R"({"organizations":[{"organization_id":"o1","slug":"acme"},)"
                              R"({"organization_id":"o2","slug":"b"}]})";
constexpr const char* kKeyId = "9b1c8e52-2f43-4d0e-8f0a-5f2b6f6f0c11";
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
    const Words asked = desk.requests();
    REQUIRE(asked.size() >= 2);
    CHECK(Words(asked.begin(), asked.begin() + 2) ==
          Words{"GET /api/v1/organizations", row.request});
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
  // Nobody is asked about what is only shown.
  desk.answer({{R"({"organization_id":"o1"})"}, {kProjects}, {R"({"artifacts":3})"}});
  CHECK(desk.run({"project", "delete", "default", "--dry-run"}) == 0);
  CHECK(desk.requests().back() == "DELETE /api/v1/organizations/o1/projects/p1?dry_run=true");
  CHECK(desk.out == "artifacts  3\n");
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

TEST_CASE("own commands: invitations are listed, sent again and withdrawn", "[unit][cli]") {
  const CliAnswer open{R"({"invitations":[{"invitation_id":"i1","email":"grace@example.com",)"
                       R"("role":"member","created_at":"2030-01-01T00:00:00.000Z"},)"
                       R"({"invitation_id":"i2","email":null,"role":"viewer"}]})"};
  CliDesk desk;
  desk.answer({open});
  CHECK(desk.run({"member", "invitations"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/invitations"});
  CHECK(desk.out.find("grace@example.com") != std::string::npos);
  desk.answer({open});
  CHECK(desk.run({"member", "withdraw", "Grace@example.com"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/invitations", "DELETE /api/v1/invitations/i1"});
  desk.answer({{kOrgs}, open, {R"({"url":"http://h/#/invitation?token=t"})"}});
  CHECK(desk.run({"member", "resend", "i2", "--org", "acme"}) == 0);
  CHECK(desk.requests().back() == "POST /api/v1/organizations/o1/invitations/i2/resend {}");
  CHECK(desk.out.find("http://h/#/invitation?token=t") != std::string::npos);
  desk.answer({open});
  CHECK(desk.run({"member", "withdraw", "nobody@example.com"}) == 1);
  CHECK(desk.requests().size() == 1);
  CHECK(desk.error.find("grace@example.com") != std::string::npos);
}

TEST_CASE("own commands: a rotated key says when the old one ends", "[unit][cli]") {
  CliDesk desk;
  const CliAnswer works{
      R"({"id":"k1","api_key":"kv_new","hint":"kv_new","overlap_s":60,)"
      R"("previous":{"hint":"kv_old…","expires_at":"2030-01-01T00:00:00.000Z"}})"};
  desk.answer({works});
  CHECK(desk.run({"key", "rotate", kKeyId}) == 0);
  CHECK(desk.out.find("kv_old… works until 2030-01-01T00:00:00.000Z") != std::string::npos);
  CHECK(desk.out.find("overlap_s") == std::string::npos);
  desk.answer({{R"({"id":"k1","api_key":"kv_new","hint":"kv_new","overlap_s":0})"}});
  CHECK(desk.run({"key", "rotate", kKeyId, "--overlap-s", "0"}) == 0);
  CHECK(desk.out.find("refused from now on") != std::string::npos);
  desk.answer({works});
  CHECK(desk.run({"key", "rotate", kKeyId, "--json"}) == 0);
  CHECK(desk.out.find(R"("previous")") != std::string::npos);
}

TEST_CASE("own commands: the plan, and who gives more", "[unit][cli]") {
  const CliAnswer use{R"({"plan":"free","projects":{"used":1,"allowed":3},)"
                      R"("storage_bytes":{"used":1048576,"allowed":null},)"
                      R"("ai_usd":{"used":0.5,"allowed":10}})"};
  CliDesk desk;
  desk.answer({use,
               {R"({"plans":[{"name":"free","stripe_prices":[]},)"
                R"({"name":"pro","stripe_prices":["price_1"]}]})"}});
  CHECK(desk.run({"org", "plan"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/usage", "GET /api/v1/plans"});
  CHECK(desk.out.find("Plan  free\n") == 0);
  CHECK(desk.out.find("no limit") != std::string::npos);
  CHECK(desk.out.find("0.5") != std::string::npos);
  CHECK(desk.error.find("An owner can buy pro") != std::string::npos);
  desk.answer({use, {R"({"plans":[]})"}});
  CHECK(desk.run({"org", "plan"}) == 0);
  CHECK(desk.error.find("kvcs admin org plan") != std::string::npos);
  // A key may see what is used, and not which plans there are.
  desk.answer({use, {R"({"error":"no"})", "403 Forbidden"}});
  CHECK(desk.run({"org", "plan"}) == 0);
  CHECK(desk.error.empty());
  desk.answer({{R"({"kind":"checkout","url":"https://pay/x"})"}});
  CHECK(desk.run({"org", "upgrade", "pro", "-q"}) == 0);
  CHECK(desk.requests() == Words{R"(POST /api/v1/billing/checkout {"plan":"pro"})"});
  CHECK(desk.out == "https://pay/x\n");
  desk.answer({use});
  CHECK(desk.run({"org", "plan", "--json"}) == 0);
  CHECK(desk.requests().size() == 1);
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
  // What the server calls an id stays one segment of a path.
  desk.answer({{R"({"keys":[{"id":"k/1","name":"odd"}],"cursor":null})"}});
  CHECK(desk.run({"key", "rotate", "k/1"}) == 0);
  CHECK(desk.requests().back() == R"(POST /api/v1/api-keys/k%2F1/rotate {"overlap_s":86400})");
  const std::string key_path = "/api/v1/api-keys/" + std::string(kKeyId);
  CHECK(desk.run({"key", "rotate", kKeyId, "--overlap-s", "0"}) == 0);
  CHECK(desk.requests() == Words{"POST " + key_path + R"(/rotate {"overlap_s":0})"});
  CHECK(desk.run({"key", "revoke", kKeyId, "--yes"}) == 0);
  CHECK(desk.requests() == Words{"DELETE " + key_path});
  desk.answer({{R"({"keys":[],"cursor":null})"}});
  CHECK(desk.run({"key", "list"}) == 0);
  CHECK(desk.requests() == Words{"GET /api/v1/api-keys?limit=100"});
}

TEST_CASE("own commands: keys of an organization that is named, by an administrator's key",
          "[unit][cli]") {
  CliDesk desk;
  const Env key("KVCS_ADMIN_KEY", "ka_1");
  const CliAnswer orgs{R"({"organizations":[{"org_id":"o1","slug":"acme"}],"cursor":null})"};
  const CliAnswer projects{R"({"projects":[{"project_id":"p1","slug":"default"}]})"};
  const CliAnswer of_all{R"({"api_keys":[{"key_id":"k1","name":"all","status":"active"},)"
                         R"({"key_id":"k0","name":"old","status":"revoked"}],"cursor":null})"};
  const CliAnswer of_project{
      R"({"api_keys":[{"key_id":"k2","name":"my ci","status":"active","key_prefix":"kv_2…",)"
      R"("project_id":"p1","scopes":["read"]}],"cursor":null})"};
  const std::string find = "GET /admin/organizations?limit=100", place = "/admin/organizations/o1",
                    project = place + "/projects/p1/api-keys";
  const Words listing{find, "GET " + place + "/api-keys?limit=100", "GET " + place + "/projects",
                      "GET " + project + "?limit=100"};
  desk.answer({orgs, of_all, projects, of_project});
  CHECK(desk.run({"key", "list", "--org", "acme", "--json"}) == 0);
  CHECK(desk.requests() == listing);
  CHECK(desk.head().find("authorization: Bearer ka_1\r\n") != std::string::npos);
  CHECK(desk.out.find(R"("hint": "kv_2…")") != std::string::npos);
  CHECK(desk.out.find("k0") == std::string::npos);

  desk.answer({orgs, projects, {R"({"key_id":"k3","api_key":"kv_3","scopes":["write"]})"}});
  CHECK(desk.run({"key", "create", "b", "--org", "acme", "--project", "default"}) == 0);
  CHECK(desk.requests().back() == "POST " + project + R"( {"name":"b","scopes":["write"]})");
  CHECK(desk.out.find("kv_3") != std::string::npos);
  desk.answer({orgs, {R"({"key_id":"k4","api_key":"kv_4"})"}});
  CHECK(desk.run({"key", "create", "b", "--org", "acme", "--organization"}) == 0);
  CHECK(desk.requests().back() == "POST " + place + R"(/api-keys {"name":"b","scopes":["write"]})");
  CHECK(desk.run({"key", "create", "b", "--org", "acme"}) == 1);
  CHECK(desk.requests().empty());
  CHECK(desk.error.find("--project") != std::string::npos);

  desk.answer({orgs, of_all, projects, of_project, {R"({"key_id":"k2","api_key":"kv_5"})"}});
  CHECK(desk.run({"key", "rotate", "my ci", "--org", "acme", "--overlap-s", "60"}) == 0);
  CHECK(desk.requests().back() == "POST " + project + R"(/k2/rotate {"overlap_s":60})");
  CHECK(desk.out.find("kv_5") != std::string::npos);
  desk.answer({orgs, of_all, projects, of_project});
  CHECK(desk.run({"key", "revoke", "all", "--org", "acme", "--yes"}) == 0);
  CHECK(desk.requests().back() == "DELETE " + place + "/api-keys/k1");
}

TEST_CASE("own commands: what there is, is told by name where the slug is an id", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"projects":[{"project_id":"p1","slug":"p1","name":"Проект"},)"
                R"({"project_id":"p2","slug":"two","name":"Two"}]})"}});
  CHECK(desk.run({"project", "use", "nothing"}) == 1);
  CHECK(desk.error.find("there is: Проект, two.") != std::string::npos);
}

TEST_CASE("own commands: who is no operator names one of the own organizations for its keys",
          "[unit][cli]") {
  CliDesk desk;
  const Env key("KVCS_ADMIN_KEY", "ks_of-a-session");
  desk.answer({{R"({"error":"no","code":"not_operator"})", "403 Forbidden"},
               {kOrgs},
               {R"({"api_keys":[]})"},
               {R"({"projects":[]})"}});
  CHECK(desk.run({"key", "list", "--org", "b"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/organizations?limit=100", "GET /api/v1/organizations",
                                 "GET /admin/organizations/o2/api-keys?limit=100",
                                 "GET /admin/organizations/o2/projects"});
}
