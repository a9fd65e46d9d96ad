// Goal: an account that is deleted leaves no membership behind, whatever comes at the same moment,
// and the last owner of the daemon stays. Method: a whole daemon over HTTP, asked at once.
#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "identity/members.h"
#include "identity/orgs.h"
#include "identity/people.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kItIsMe = std::string(R"({"current_password":")") + kGoodPassword + "\"}";

const AuditContext kWho{"test", "test", ""};

std::string id_of(Browser& person) {
  return json_of(person.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

// In how many organizations somebody is a member.
int memberships(TestApp& app, const std::string& id) {
  int found = 0;
  std::string cursor;
  do {
    const OrganizationPage page = app.parts().organizations->list({cursor, 100}).value();
    for (const Organization& one : page.organizations) {
      found += app.parts().members->roster(one.id)->role_of(id) != OrgRole::kNone ? 1 : 0;
    }
    cursor = page.cursor;
  } while (!cursor.empty());
  return found;
}

void sign_in(Browser& browser, const std::string& email) {
  REQUIRE(browser
              .send("POST", "/auth/login",
                    R"({"email":")" + email + R"(","password":")" + kGoodPassword + "\"}")
              .status == 200);
}

}  // namespace

TEST_CASE("account end: nothing new becomes a person's who is being deleted",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "member");
  const std::string id = id_of(bob);
  const std::string other =
      json_of(ada.send("POST", "/api/v1/organizations", R"({"name":"Other"})"))["organization_id"];
  PersonService& people = *app.parts().people;
  REQUIRE(people.begin_removal(id, kWho).ok());
  CHECK(people.begin_removal(id, kWho).reason() == "name_in_deletion");
  CHECK(app.parts().members->add(other, id, OrgRole::kMember, kWho).reason() == "name_in_deletion");
  CHECK(bob.send("POST", "/api/v1/organizations", R"({"name":"Bobs"})").status == 409);
  CHECK(bob.send("DELETE", "/api/v1/me", kItIsMe).status == 409);
  CHECK(memberships(app, id) == 1);
  CHECK(app.as_owner("GET", "/admin/deletions").status != 500);
  REQUIRE(people.withdraw_removal(id, kWho).ok());
  CHECK(bob.send("POST", "/api/v1/organizations", R"({"name":"Bobs"})").status == 201);
  CHECK(bob.send("DELETE", "/api/v1/me", kItIsMe).status == 200);
}

TEST_CASE("account end: organizations made at the same moment have no ghost",
          "[fault][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  for (int round = 0; round < 4; round++) {
    Browser bob = join(app, ada, "bob" + std::to_string(round) + "@example.com", "member");
    const std::string id = id_of(bob);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) {
      threads.emplace_back([browser = bob, i]() mutable {
        const std::string name = R"({"name":"made )" + std::to_string(i) + "\"}";
        for (int k = 0; k < 4; k++) browser.send("POST", "/api/v1/organizations", name);
      });
    }
    Browser leaving = bob;
    const int status = leaving.send("DELETE", "/api/v1/me", kItIsMe).status;
    for (std::thread& thread : threads) thread.join();
    INFO(status);
    const Result<Person> left = app.parts().people->find(id);
    if (left.code() != Code::kNotFound) continue;  // The deletion was refused, and nothing is lost.
    int active = 0;
    std::string cursor;
    const OrganizationPage page = app.parts().organizations->list({cursor, 100}).value();
    for (const Organization& one : page.organizations) {
      const bool has = app.parts().members->roster(one.id)->role_of(id) != OrgRole::kNone;
      active += has && one.deletion_ms == 0 ? 1 : 0;
    }
    CHECK(active == 0);
  }
}

TEST_CASE("account end: the last owner of the daemon stays", "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const RawResponse refused = ada.send("DELETE", "/api/v1/me", kItIsMe);
  CHECK(refused.status == 409);  // Reason last_operator.
  CHECK(refused.body.find("is an owner of this daemon") != std::string::npos);
  CHECK(memberships(app, id_of(ada)) == 1);
  Browser bob = join(app, ada, "bob@example.com", "owner");
  REQUIRE(ada.send("PATCH", "/admin/people/" + id_of(bob), R"({"operator_role":"owner"})").status ==
          200);
  CHECK(ada.send("DELETE", "/api/v1/me", kItIsMe).status == 200);
}

TEST_CASE("account end: of two owners who end each other's role at once one stays",
          "[fault][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "member");
  const std::string path = "/admin/people/", ada_id = id_of(ada), bob_id = id_of(bob);
  for (int round = 0; round < 5; round++) {
    for (const std::string& id : {ada_id, bob_id}) {
      REQUIRE(app.as_owner("PATCH", path + id, R"({"operator_role":"owner"})").status == 200);
    }
    sign_in(ada, "ada@example.com");
    sign_in(bob, "bob@example.com");
    std::thread other([&, browser = bob]() mutable {
      browser.send("PATCH", path + ada_id, R"({"operator_role":null})");
    });
    Browser one = ada;
    one.send("PATCH", path + bob_id, R"({"operator_role":null})");
    other.join();
    int owners = 0;
    for (const std::string& id : {ada_id, bob_id}) {
      owners += app.parts().people->find(id)->operator_role() == AdminRole::kOwner ? 1 : 0;
    }
    CHECK(owners == 1);
  }
  // Who holds an owner's key may leave the daemon without people.
  for (const std::string& id : {ada_id, bob_id}) {
    CHECK(app.as_owner("PATCH", path + id, R"({"operator_role":null})").status == 200);
  }
}
