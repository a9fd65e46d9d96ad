// Goal: who gives and takes roles has the own one still when it is written. Method: a whole daemon
// over a store in which the other request runs at the moment that matters.
#include <nlohmann/json.hpp>

#include <atomic>

#include "identity/members.h"
#include "kv/keyspace.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("team: nobody changes roles by one that is lost meanwhile", "[fault][app][portal]") {
  std::function<void(std::string_view key)> between;
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "cas" || !key.ends_with(":members") || !between) return ok();
    const auto act = std::move(between);
    between = {};
    act(key);
    return ok();
  };
  TestApp app(options);
  Browser ada = set_up(app);
  Browser bob = join(app, ada, "bob@example.com", "owner");
  Browser eve = join(app, ada, "eve@example.com", "admin");
  const auto id_of = [](Browser& who) {
    return json_of(who.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  };
  const std::string bobs = id_of(bob), eves = id_of(eve);
  // Another owner demotes bob between the look at bob's role and the write of bob's change.
  const auto demote_to = [&](OrgRole role) {
    between = [&app, bobs, role](std::string_view key) {
      Roster roster = parse_roster(app.parts().kv->get(KvFamily::kConfig, key)->value).value();
      for (Member& member : roster.members) {
        if (member.person_id == bobs) member.role = role;
      }
      KvBatch batch;
      batch.put(KvFamily::kConfig, std::string(key), roster_to_json(roster));
      REQUIRE(app.parts().kv->write(batch, KvDurability::kSynced).ok());
    };
  };
  const auto promote = [&] {
    REQUIRE(ada.send("PATCH", "/api/v1/members/" + bobs, R"({"role":"owner"})").status == 200);
  };
  demote_to(OrgRole::kAdmin);
  CHECK(bob.send("PATCH", "/api/v1/members/" + eves, R"({"role":"owner"})").status == 403);
  promote();
  demote_to(OrgRole::kViewer);
  CHECK(bob.send("PATCH", "/api/v1/members/" + eves, R"({"role":"viewer"})").status == 403);
  promote();
  demote_to(OrgRole::kMember);
  CHECK(bob.send("DELETE", "/api/v1/members/" + eves).status == 403);
  // With the role that is left one may go.
  CHECK(bob.send("DELETE", "/api/v1/members/me").status == 204);
  CHECK(ada.send("PATCH", "/api/v1/members/" + eves, R"({"role":"member"})").status == 200);
}
