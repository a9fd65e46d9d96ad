// Goal: people share an organization by invitations and roles, and nobody gets more than was given.
// Method: a whole daemon over HTTP with a browser for each role.
#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "identity/people.h"
#include "portal/team_api.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string person_of(Browser& browser) {
  return json_of(browser.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

std::string role_body(const std::string& role) {
  return R"({"role":")" + role + "\"}";
}

}  // namespace

TEST_CASE("team: each role may do what it says and no more", "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser admin = join(app, owner, "admin@example.com", "admin");
  Browser member = join(app, owner, "member@example.com", "member");
  Browser viewer = join(app, owner, "viewer@example.com", "viewer");
  const std::string upload = R"({"name":"n","dtype":"F16"})";
  struct Row {
    std::string method, path, body;
    std::vector<int> statuses;  // Of owner, admin, member, viewer.
  };
  const std::string key = R"({"name":"ci"})";
  const Row rows[] = {
      {"GET", "/api/v1/artifacts", "", {200, 200, 200, 200}},
      {"POST", "/api/v1/artifacts/upload-url", upload, {200, 200, 200, 403}},
      {"GET", "/api/v1/members", "", {200, 200, 200, 200}},
      {"GET", "/api/v1/projects", "", {200, 200, 200, 200}},
      {"POST", "/api/v1/projects", R"({"name":"New"})", {201, 201, 403, 403}},
      {"POST", "/api/v1/api-keys", key, {201, 201, 403, 403}},
      {"GET", "/api/v1/invitations", "", {200, 200, 403, 403}},
      {"POST", "/api/v1/invitations", role_body("member"), {201, 201, 403, 403}},
      {"POST", "/api/v1/invitations", role_body("owner"), {201, 403, 403, 403}},
      {"GET", "/admin/organizations", "", {200, 200, 403, 403}},
  };
  Browser* const browsers[] = {&owner, &admin, &member, &viewer};
  for (const Row& row : rows) {
    for (size_t i = 0; i < 4; i++) {
      std::string body = row.body;
      if (row.path == "/api/v1/projects" && !body.empty()) {
        body = R"({"name":"New )" + std::to_string(i) + "\"}";
      }
      const RawResponse answer = browsers[i]->send(row.method, row.path, body);
      INFO(row.method << " " << row.path << " as " << i << ": " << answer.body);
      CHECK(answer.status == row.statuses[i]);
    }
  }
}

TEST_CASE("team: nobody gives or takes a role above the own, and an owner stays",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser admin = join(app, owner, "admin@example.com", "admin");
  Browser viewer = join(app, owner, "viewer@example.com", "viewer");
  const std::string members = "/api/v1/members/";
  const std::string owner_id = person_of(owner), admin_id = person_of(admin),
                    viewer_id = person_of(viewer);
  // Reason role_above_own.
  CHECK(admin.send("PATCH", members + owner_id, role_body("viewer")).body.find("above the own") !=
        std::string::npos);
  CHECK(admin.send("DELETE", members + owner_id).status == 403);
  CHECK(admin.send("PATCH", members + admin_id, role_body("owner")).status == 403);
  CHECK(viewer.send("PATCH", members + viewer_id, role_body("admin")).status == 403);
  CHECK(viewer.send("DELETE", members + admin_id).status == 403);
  CHECK(owner.send("DELETE", members + owner_id).status == 409);
  CHECK(owner.send("PATCH", members + owner_id, role_body("admin")).status == 409);
  // A change counts on the next request of the very session that is open.
  CHECK(owner.send("PATCH", members + viewer_id, role_body("owner")).status == 200);
  CHECK(viewer.send("POST", "/api/v1/invitations", role_body("owner")).status == 201);
  CHECK(owner.send("DELETE", members + owner_id).status == 204);
  CHECK(owner.send("GET", "/api/v1/members").status == 403);
  CHECK(json_of(owner.send("GET", "/api/v1/me"))["organization_id"].is_null());
  CHECK(viewer.send("DELETE", members + admin_id).status == 204);
  CHECK(json_of(viewer.send("GET", "/api/v1/members"))["members"].size() == 1);
}

TEST_CASE("team: an invitation above one's own role is neither renewed nor withdrawn",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser admin = join(app, owner, "admin@example.com", "admin");
  const auto invite = [&](Browser& by, const std::string& role) {
    return "/api/v1/invitations/" +
           json_text(by.send("POST", "/api/v1/invitations", role_body(role)).body, "invitation_id");
  };
  const std::string owners = invite(owner, "owner"), admins = invite(owner, "admin");
  const RawResponse renewed = admin.send("POST", owners + "/resend");
  CHECK(renewed.status == 403);
  CHECK(renewed.body.find("above the own") != std::string::npos);
  CHECK(renewed.body.find("token") == std::string::npos);
  CHECK(admin.send("DELETE", owners).status == 403);
  CHECK(json_of(owner.send("GET", "/api/v1/invitations"))["invitations"].size() == 2);
  CHECK(admin.send("POST", admins + "/resend").status == 200);
  CHECK(admin.send("DELETE", admins).status == 204);
  CHECK(owner.send("POST", owners + "/resend").status == 200);
  CHECK(owner.send("DELETE", owners).status == 204);
}

TEST_CASE("team: an invitation is good once, until it is withdrawn, for whom it names",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser other = join(app, owner, "other@example.com", "viewer");
  REQUIRE(owner.send("POST", "/api/v1/organizations", R"({"name":"Second"})").status == 201);
  const Json places = json_of(owner.send("GET", "/api/v1/organizations"))["organizations"];
  REQUIRE(places.size() == 2);
  const std::string second = places[0]["name"] == "Second"
                                 ? places[0]["organization_id"].get<std::string>()
                                 : places[1]["organization_id"].get<std::string>();
  const std::string invitations = "/api/v1/organizations/" + second + "/invitations";
  CHECK(other.send("GET", invitations).status == 404);
  const auto invite = [&](const std::string& body) {
    return json_of(owner.send("POST", invitations, body));
  };
  const auto accept = [&](Browser& who, const Json& invitation) {
    return who
        .send("POST", "/api/v1/invitations/accept",
              R"({"token":")" + invitation["token"].get<std::string>() + "\"}")
        .status;
  };
  const Json for_another = invite(R"({"email":"third@example.com","role":"member"})");
  CHECK(accept(other, for_another) == 403);
  const std::string one = invitations + "/" + for_another["invitation_id"].get<std::string>();
  const Json renewed = json_of(owner.send("POST", one + "/resend"));
  CHECK(renewed["token"] != for_another["token"]);
  CHECK(accept(other, for_another) == 404);
  CHECK(owner.send("DELETE", one).status == 204);
  CHECK(owner.send("DELETE", one).status == 404);
  CHECK(accept(other, renewed) == 404);

  const Json open = invite(role_body("member"));
  CHECK(open["url"].get<std::string>().starts_with(owner.origin() + "/"));
  CHECK(accept(other, open) == 200);
  CHECK(accept(owner, open) == 404);
  CHECK(other.send("GET", "/api/v1/organizations/" + second + "/members").status == 200);
  CHECK(json_of(owner.send("GET", invitations))["invitations"].empty());
}

TEST_CASE("team: one address has one invitation, and who is here has none",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser member = join(app, owner, "member@example.com", "member");
  const auto invite = [&](const std::string& email, const std::string& role) {
    return owner.send("POST", "/api/v1/invitations",
                      R"({"email":")" + email + R"(","role":")" + role + "\"}");
  };
  for (const char* email : {"ada@example.com", "Member@Example.com"}) {
    const RawResponse here = invite(email, "viewer");
    INFO(here.body);
    CHECK(here.status == 409);
    CHECK(json_text(here.body, "code") == "already_member");
  }
  const Json first = json_of(invite("grace@example.com", "member"));
  const RawResponse again = invite("Grace@example.com", "admin");
  INFO(again.body);
  CHECK(again.status == 201);
  const Json renewed = json_of(again);
  CHECK(renewed["invitation_id"] == first["invitation_id"]);
  CHECK(renewed["role"] == "admin");
  const auto look = [&](const Json& made) {
    return member.send("POST", "/auth/invitation",
                       R"({"token":")" + made["token"].get<std::string>() + "\"}");
  };
  CHECK(json_text(look(first).body, "state") == "withdrawn");
  CHECK(json_text(look(renewed).body, "state") == "open");
  // An admin changes none that is for an owner.
  Browser admin = join(app, owner, "admin@example.com", "admin");
  CHECK(invite("grace@example.com", "owner").status == 201);
  const RawResponse above =
      admin.send("POST", "/api/v1/invitations", R"({"email":"grace@example.com","role":"viewer"})");
  INFO(above.body);
  CHECK(above.status == 403);
  CHECK(json_text(above.body, "code") == "role_above_own");
  CHECK(above.body.find("invited already, as owner") != std::string::npos);
  CHECK(json_of(owner.send("GET", "/api/v1/invitations"))["invitations"].size() == 1);
  // Links that name nobody are not the same one.
  CHECK(owner.send("POST", "/api/v1/invitations", role_body("member")).status == 201);
  CHECK(owner.send("POST", "/api/v1/invitations", role_body("member")).status == 201);
  // Who has left may be asked back.
  CHECK(member.send("DELETE", "/api/v1/members/me").status == 204);
  CHECK(invite("member@example.com", "member").status == 201);
}

TEST_CASE("team: of many who use one invitation at once one joins", "[fault][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  std::vector<Browser> people;
  for (int i = 0; i < 4; i++) {
    people.push_back(join(app, owner, "p" + std::to_string(i) + "@example.com", "viewer"));
  }
  const Json made = json_of(owner.send("POST", "/api/v1/organizations", R"({"name":"Second"})"));
  const std::string second = made["organization_id"].get<std::string>();
  const Json invitation = json_of(
      owner.send("POST", "/api/v1/organizations/" + second + "/invitations", role_body("member")));
  const std::string body = R"({"token":")" + invitation["token"].get<std::string>() + "\"}";
  std::atomic<int> joined{0};
  std::vector<std::thread> threads;
  for (Browser& person : people) {
    threads.emplace_back([&person, &joined, &body] {
      joined += person.send("POST", "/api/v1/invitations/accept", body).status == 200;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(joined == 1);
  CHECK(json_of(owner.send("GET", "/api/v1/organizations/" + second + "/members"))["members"]
            .size() == 2);
}

TEST_CASE("team: by one link addresses are asked about a few times an hour",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  const auto ask = [&](const std::string& token, const std::string& email) {
    return Browser(app).send("POST", "/auth/register",
                             R"({"token":")" + token + R"(","email":")" + email +
                                 R"(","password":")" + kGoodPassword + "\"}");
  };
  const std::string token =
      json_text(owner.send("POST", "/api/v1/invitations", R"({"role":"viewer"})").body, "token");
  // Without a link nothing is told.
  for (const char* email : {"ada@example.com", "eve@example.com"}) {
    CHECK(json_text(ask("nobodys", email).body, "code") == "invitation_invalid");
  }
  for (int i = 0; i < portal::kRegistrationsByLinkPerHour; i++) {
    CHECK(json_text(ask(token, "ada@example.com").body, "code") == "sign_in_exists");
  }
  // From now on who has an account and who has none answer alike.
  for (const char* email : {"ada@example.com", "eve@example.com"}) {
    const RawResponse refused = ask(token, email);
    CHECK(refused.status == 429);
    CHECK(json_text(refused.body, "code") == "too_many_tries");
    CHECK(refused.header("retry-after") == "360");
  }
}

TEST_CASE("team: from one address so many ask about addresses in an hour, by whatever links",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  int refused = 0, asked = 0;
  while (refused == 0 && asked < 2 * portal::kRegistrationsFromAddressPerHour) {
    const std::string token =
        json_text(owner.send("POST", "/api/v1/invitations", role_body("viewer")).body, "token");
    for (int i = 1; i < portal::kRegistrationsByLinkPerHour; i++, asked++) {
      const RawResponse answer = Browser(app).send(
          "POST", "/auth/register",
          R"({"token":")" + token + R"(","email":"eve@example.com","password":"password1"})");
      refused += answer.body.find("Too many registrations") != std::string::npos;
    }
  }
  CHECK(refused > 0);
  CHECK(asked >= portal::kRegistrationsFromAddressPerHour);
}

TEST_CASE("team: of many who register with one invitation at once one has an account",
          "[fault][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  const Json invitation = json_of(owner.send("POST", "/api/v1/invitations", role_body("member")));
  const std::string token = invitation["token"].get<std::string>();
  std::atomic<int> joined{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      Browser browser(app);
      joined += browser
                    .send("POST", "/auth/register",
                          R"({"token":")" + token + R"(","email":"p)" + std::to_string(i) +
                              R"(@example.com","password":")" + kGoodPassword + "\"}")
                    .status == 201;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(joined == 1);
  CHECK(json_of(owner.send("GET", "/admin/people"))["people"].size() == 2);
  const KvPage people = app.parts().kv->scan(KvFamily::kConfig, "sign_in:", "", 100).value();
  CHECK(people.items.size() == 2);
}

TEST_CASE("team: a person changes so much in a minute and no more", "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser viewer = join(app, owner, "viewer@example.com", "viewer");
  int refused = 0;
  for (int i = 0; i < 320; i++) {
    refused += viewer.send("PATCH", "/api/v1/me", R"({"name":"V"})").status == 429;
  }
  CHECK(refused > 0);
  CHECK(viewer.send("GET", "/api/v1/me").status == 200);
  CHECK(owner.send("PATCH", "/api/v1/me", R"({"name":"Ada"})").status == 200);
}

TEST_CASE("team: an organization that a person made goes with its members",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  const Json made = json_of(owner.send("POST", "/api/v1/organizations", R"({"name":"Second"})"));
  const std::string id = made["organization_id"].get<std::string>();
  REQUIRE(owner.send("PATCH", "/api/v1/me", R"({"organization_id":")" + id + "\"}").status == 200);
  CHECK(json_of(owner.send("GET", "/api/v1/me"))["organization_id"] == id);
  REQUIRE(owner.send("POST", "/api/v1/invitations", role_body("viewer")).status == 201);
  REQUIRE(app.as_owner("DELETE", "/admin/organizations/" + id + "?force=true").status == 204);
  const Json me = json_of(owner.send("GET", "/api/v1/me"));
  CHECK(me["organization_id"].is_null());
  CHECK(me["organizations"].size() == 1);
  for (const KvFamily family : {KvFamily::kConfig, KvFamily::kSystem}) {
    const KvPage all = app.parts().kv->scan(family, "", "", 1000).value();
    for (const KvItem& item : all.items) {
      INFO(item.key << " " << item.entry.value);
      const bool is_session = item.key.starts_with("session:");
      CHECK((is_session || (item.key + item.entry.value).find(id) == std::string::npos));
    }
  }
}

TEST_CASE("team: operators do not take their own rights, and end those of others",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser other = join(app, owner, "other@example.com", "viewer");
  const std::string people = "/admin/people/";
  const RawResponse own =
      owner.send("PATCH", people + person_of(owner), R"({"operator_role":null})");
  CHECK(own.status == 409);
  CHECK(json_text(own.body, "code") == "own_rights");
  const std::string id = person_of(other);
  CHECK(owner.send("PATCH", people + id, R"({"operator_role":"viewer"})").status == 200);
  // Whoever gets or loses rights signs in anew.
  CHECK(other.send("GET", "/admin/people").status == 401);
  const std::string sign_in =
      std::string(R"({"email":"other@example.com","password":")") + kGoodPassword + "\"}";
  REQUIRE(other.send("POST", "/auth/login", sign_in).status == 200);
  CHECK(other.send("GET", "/admin/people").status == 200);
  CHECK(other.send("PATCH", people + id, R"({"operator_role":"owner"})").status == 403);
  CHECK(owner.send("PATCH", people + id, R"({"status":"suspended"})").status == 200);
  CHECK(other.send("GET", "/api/v1/me").status == 401);
  CHECK(other.send("POST", "/auth/login", sign_in).status == 403);
  const RawResponse reach = owner.send("POST", "/admin/setup-link");
  CHECK(reach.status == 201);
  CHECK(json_text(reach.body, "setup_url").starts_with(owner.origin() + "/#/setup?token="));
}

TEST_CASE("team: a role that the configuration gives is not an operator's to take",
          "[contract][app][portal]") {
  TestApp app;
  Browser owner = set_up(app);
  Browser other = join(app, owner, "other@example.com", "viewer");
  const std::string id = person_of(other);
  const auto appoint = [](Person& person) -> Status {
    person.appointed = AppointedBy{"idp", "other@example.com"};
    return ok();
  };
  REQUIRE(app.parts().people->update(id, appoint, {"test", "test", ""}).ok());
  const RawResponse taken = owner.send("PATCH", "/admin/people/" + id, R"({"operator_role":null})");
  CHECK(taken.status == 409);
  CHECK(json_text(taken.body, "code") == "role_configured");
  CHECK(owner.send("PATCH", "/admin/people/" + id, R"({"status":"suspended"})").status == 200);
}

TEST_CASE("team: few letters go to one address, and some for one organization",
          "[contract][app][portal]") {
  TestApp app([](Config& config) {
    config.mail.smtp_url = "smtp://127.0.0.1:1";  // Nobody is there; what counts is what is queued.
    config.mail.from = "kvcs@example.com";
  });
  Browser owner = set_up(app);
  const auto invite = [&](const std::string& email) {
    return json_of(
        owner.send("POST", "/api/v1/invitations", R"({"role":"viewer","email":")" + email + "\"}"));
  };
  const Json first = invite("eve@example.com");
  CHECK(first["mailed"] == true);
  const std::string resend =
      "/api/v1/invitations/" + first["invitation_id"].get<std::string>() + "/resend";
  int mailed = 1;
  for (int i = 0; i < 20; i++) {
    const RawResponse answer = owner.send("POST", resend);
    REQUIRE(answer.status == 200);
    const Json again = json_of(answer);
    CHECK(again["url"].get<std::string>().find("token=") != std::string::npos);
    mailed += again["mailed"] == true ? 1 : 0;
  }
  CHECK(mailed == portal::kInvitationsMailedToAddressPerHour);
  for (int i = 0; i < 30; i++) {
    mailed += invite("p" + std::to_string(i) + "@example.com")["mailed"] == true ? 1 : 0;
  }
  CHECK(mailed < portal::kInvitationsMailedForOrganizationPerHour);
  CHECK(invite("last@example.com")["mailed"] == false);
  // Another organization of the same people has its own share.
  const Json made = json_of(owner.send("POST", "/api/v1/organizations", R"({"name":"Second"})"));
  const std::string second = made["organization_id"].get<std::string>();
  const std::string body = R"({"role":"viewer","email":"last@example.com"})";
  CHECK(json_of(owner.send("POST", "/api/v1/organizations/" + second + "/invitations",
                           body))["mailed"] == true);
}
