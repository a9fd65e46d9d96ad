// Goal: people, memberships and sessions as records: unique sign-ins, rosters under races, sessions
// that end by time, use and revocation. Method: the services over a store in memory and a clock
// that is moved by hand.
#include <set>
#include <thread>

#include "identity/people_rig.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const MemberService::Allowed kAnyRole = [](OrgRole) { return ok(); };

}  // namespace

TEST_CASE("people: a sign-in belongs to one person", "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  Person again;
  again.name = "Somebody else";
  CHECK(rig.people.create(again, {"https://i", "ada"}, "", rig.who).status().reason() ==
        "sign_in_exists");
  // The same subject of another issuer is somebody else, and no text of one pair is that of
  // another.
  CHECK(rig.people.create(again, {"https://other", "ada"}, "", rig.who).ok());
  CHECK(rig.people.create(again, {"https://iad", "a"}, "", rig.who).ok());
  CHECK(rig.people.find_by_sign_in({"https://i", "ada"})->id == ada.id);
  CHECK(rig.people.find_by_sign_in({"https://i", "ad"}).code() == Code::kNotFound);
  CHECK(rig.people.add_sign_in(ada.id, {"https://other", "ada"}, rig.who).reason() ==
        "sign_in_exists");
  CHECK(rig.people.add_sign_in(ada.id, {"https://second", "x"}, rig.who).ok());
  CHECK(rig.people.list_sign_ins(ada.id)->size() == 2);
  for (size_t i = 2; i < kSignInsPerPersonMax; i++) {
    REQUIRE(rig.people.add_sign_in(ada.id, {"https://second", std::to_string(i)}, rig.who).ok());
  }
  CHECK(rig.people.add_sign_in(ada.id, {"https://second", "more"}, rig.who).reason() ==
        "sign_ins_full");
  CHECK(rig.people.find("nobody").status().reason() == "person_not_found");
  CHECK(rig.people.find_by_sign_in({"https://second", "x"})->id == ada.id);
}

TEST_CASE("people: a list has each person once, page by page", "[unit][identity]") {
  PeopleRig rig;
  for (int i = 0; i < 7; i++) rig.person("p" + std::to_string(i));
  std::set<std::string> seen;
  std::string cursor;
  do {
    const PersonPage page = rig.people.list({cursor, 3}).value();
    for (const Person& person : page.people) CHECK(seen.insert(person.name).second);
    cursor = page.cursor;
  } while (!cursor.empty());
  CHECK(seen.size() == 7);
}

TEST_CASE("members: of owners that leave at once one stays", "[unit][fault][identity]") {
  PeopleRig rig;
  const std::string org = rig.organization().id;
  std::vector<Person> owners;
  for (int i = 0; i < 4; i++) {
    owners.push_back(rig.person("o" + std::to_string(i)));
    REQUIRE(rig.members.add(org, owners.back().id, OrgRole::kOwner, rig.who).ok());
  }
  std::vector<std::thread> threads;
  std::atomic<int> refused{0};
  for (const Person& owner : owners) {
    threads.emplace_back([&] {
      const Status left = rig.members.remove(org, owner.id, rig.who, kAnyRole);
      if (left.reason() == "last_owner") refused++;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(refused == 1);
  const Roster roster = rig.members.roster(org).value();
  REQUIRE(roster.members.size() == 1);
  CHECK(roster.members[0].role == OrgRole::kOwner);
  CHECK(rig.members.organizations_of(roster.members[0].person_id)->size() == 1);
}

TEST_CASE("members: nobody joins what is not there, or twice", "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  const std::string org = rig.organization().id;
  CHECK(rig.members.add(org, ada.id, OrgRole::kViewer, rig.who).ok());
  CHECK(rig.members.add(org, ada.id, OrgRole::kOwner, rig.who).reason() == "member_exists");
  CHECK(rig.members.roster(org)->role_of(ada.id) == OrgRole::kViewer);
  CHECK(rig.members.roster(org)->role_of("somebody") == OrgRole::kNone);
  CHECK(
      rig.members.set_role(org, "somebody", OrgRole::kAdmin, rig.who, kAnyRole).status().reason() ==
      "member_not_found");
}

TEST_CASE("members: an organization and a person hold so many of each other", "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  Roster crowd;
  for (size_t i = 0; i < kMembersPerOrganizationMax; i++) {
    crowd.members.push_back({"p" + std::to_string(i), OrgRole::kViewer, 1});
  }
  const std::string crowded = rig.organization("Crowded").id;
  KvBatch batch;
  batch.put(KvFamily::kConfig, keyspace::org_members(crowded), roster_to_json(crowd));
  REQUIRE(rig.kv->write(batch, KvDurability::kSynced).ok());
  CHECK(rig.members.add(crowded, ada.id, OrgRole::kViewer, rig.who).reason() == "members_full");
  const std::string given = rig.organization("Given").id;
  const auto give = [&] {
    return rig.members.set_given(given, ada.id, "idp", OrgRole::kOwner, rig.who);
  };
  REQUIRE(give().ok());
  KvBatch places;
  for (size_t i = 0; i < kOrganizationsPerPersonMax; i++) {
    places.put(KvFamily::kConfig, keyspace::person_org(ada.id, "o" + std::to_string(i)), "{}");
  }
  REQUIRE(rig.kv->write(places, KvDurability::kSynced).ok());
  CHECK(rig.members.add(rig.organization("Last").id, ada.id, OrgRole::kViewer, rig.who).reason() ==
        "organizations_full");
  // Who is in already signs in as before.
  CHECK(give().ok());
}

TEST_CASE("sessions: they end by disuse, by age and when they are ended", "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  const std::string used = rig.session(ada), unused = rig.session(ada);
  CHECK(used.starts_with("ks_"));
  for (int i = 0; i < 5; i++) {
    rig.pass(90);
    CHECK(rig.doors.authenticate(used).ok());
  }
  CHECK(rig.doors.authenticate(unused).status().reason() == "session_ended");
  REQUIRE(rig.doors.flush_last_used().ok());
  CHECK(rig.sessions.list(ada.id)->size() == 1);
  for (int i = 0; i < 5; i++) {
    rig.pass(90);
    CHECK(rig.doors.authenticate(used).ok());
  }
  rig.pass(100);  // 1,000 s since it began.
  CHECK(rig.doors.authenticate(used).status().reason() == "session_ended");

  const std::string third = rig.session(ada);
  const std::string id = rig.doors.authenticate(third)->session_id;
  CHECK(rig.sessions.end("somebody", id, rig.who).reason() == "session_not_found");
  CHECK(rig.doors.authenticate(third).ok());
  CHECK(rig.sessions.end(ada.id, id, rig.who).ok());
  CHECK(rig.doors.authenticate(third).status().reason() == "session_ended");
}

TEST_CASE("sessions: the oldest makes room", "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  const std::string first = rig.session(ada);
  for (size_t i = 0; i < kSessionsPerPersonMax; i++) {
    rig.clock.advance_ms(1);
    rig.session(ada);
  }
  CHECK(rig.sessions.list(ada.id)->size() == kSessionsPerPersonMax);
  CHECK_FALSE(rig.doors.authenticate(first).ok());
}

TEST_CASE("sessions: those that have ended make room before one that is in use",
          "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  const std::string used = rig.session(ada);
  for (size_t i = 1; i < kSessionsPerPersonMax; i++) rig.session(ada);
  rig.pass(90);
  REQUIRE(rig.doors.authenticate(used).ok());
  REQUIRE(rig.doors.flush_last_used().ok());
  rig.pass(20);  // The others rested for too long.
  REQUIRE(rig.sessions.list(ada.id)->size() == 1);
  for (size_t i = 1; i < kSessionsPerPersonMax; i++) rig.session(ada);
  CHECK(rig.doors.authenticate(used).ok());
  CHECK(rig.sessions.list(ada.id)->size() == kSessionsPerPersonMax);
  // Of those that have not ended the oldest goes.
  rig.session(ada);
  CHECK_FALSE(rig.doors.authenticate(used).ok());
  CHECK(rig.sessions.list(ada.id)->size() == kSessionsPerPersonMax);
}

TEST_CASE("sessions: a suspension and a change of role count at once", "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  const std::string org = rig.organization().id;
  REQUIRE(rig.members.add(org, ada.id, OrgRole::kOwner, rig.who).ok());
  const Person other = rig.person("other");
  REQUIRE(rig.members.add(org, other.id, OrgRole::kOwner, rig.who).ok());
  const std::string token = rig.session(ada, org);
  CHECK(rig.doors.authenticate(token)->scope == Scope::kAdmin);
  REQUIRE(rig.members.set_role(org, ada.id, OrgRole::kViewer, rig.who, kAnyRole).ok());
  CHECK(rig.doors.authenticate(token)->scope == Scope::kRead);
  REQUIRE(rig.members.remove(org, ada.id, rig.who, kAnyRole).ok());
  const Principal alone = rig.doors.authenticate(token).value();
  CHECK(alone.organization_id.empty());
  CHECK(alone.scope == Scope::kNone);
  const auto suspend = [](Person& person) -> Status {
    person.active = false;
    return ok();
  };
  REQUIRE(rig.people.update(ada.id, suspend, rig.who).ok());
  CHECK(rig.doors.authenticate(token).status().reason() == "person_suspended");
}

TEST_CASE("sessions: a store that is down refuses nobody for good", "[fault][identity]") {
  PeopleRig rig;
  const std::string token = rig.session(rig.person("ada"));
  rig.down = true;
  CHECK(rig.doors.authenticate(token).code() == Code::kUnavailable);
  rig.down = false;
  CHECK(rig.doors.authenticate(token).ok());
}

TEST_CASE("people: a way to sign in is taken away, but for the last", "[unit][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada"), eve = rig.person("eve");
  const SignIn first{"https://i", "ada"}, local{std::string(kLocalIssuer), "a@b.c"};
  const auto take = [&](const Person& whom, const SignIn& which) {
    return std::string(
        rig.people.remove_sign_in(whom.id, sign_in_id(which), rig.who).status().reason());
  };
  CHECK(take(ada, first) == "last_sign_in");
  REQUIRE(rig.people.add_sign_in(ada.id, local, rig.who).ok());
  REQUIRE(rig.people.set_password_hash(ada.id, "", "hash", rig.who).ok());
  CHECK(take(eve, local) == "sign_in_not_found");
  CHECK(take(ada, {"https://i", "eve"}) == "sign_in_not_found");
  CHECK(take(ada, local).empty());
  CHECK(rig.people.password_hash(ada.id)->empty());
  CHECK(rig.people.find_by_sign_in(local).code() == Code::kNotFound);
  CHECK(rig.people.find_by_sign_in(first)->id == ada.id);
  CHECK(take(ada, first) == "last_sign_in");
}

TEST_CASE("members: the last owner who can sign in stays", "[unit][identity]") {
  PeopleRig rig;
  const std::string org = rig.organization().id;
  const Person ada = rig.person("ada"), eve = rig.person("eve");
  REQUIRE(rig.members.add(org, ada.id, OrgRole::kOwner, rig.who).ok());
  REQUIRE(rig.members.add(org, eve.id, OrgRole::kOwner, rig.who).ok());
  const auto set_active = [&](bool active) {
    const auto edit = [&](Person& person) -> Status {
      person.active = active;
      return ok();
    };
    REQUIRE(rig.people.update(eve.id, edit, rig.who).ok());
  };
  set_active(false);
  CHECK(rig.members.remove(org, ada.id, rig.who, kAnyRole).reason() == "last_owner");
  CHECK(rig.members.set_role(org, ada.id, OrgRole::kAdmin, rig.who, kAnyRole).status().reason() ==
        "last_owner");
  set_active(true);
  CHECK(rig.members.remove(org, ada.id, rig.who, kAnyRole).ok());
}

TEST_CASE("people: who acts for a user is where the user is, and at no project",
          "[unit][identity]") {
  PeopleRig rig;
  const Organization here = rig.organization(), there = rig.organization("Beta");
  const User own = rig.user(here), other = rig.user(there, "b@x.org");
  const Person ada = rig.person("ada");
  REQUIRE(rig.members.add(here.id, ada.id, OrgRole::kMember, rig.who).ok());
  const auto started = rig.sessions.start(
      {.person_id = ada.id, .organization_id = here.id, .project_id = "p1"}, rig.who);
  const Principal caller = rig.doors.authenticate(started->token.reveal()).value();
  CHECK(caller.project_id == "p1");
  const auto act = [&](Principal who, const User& user) {
    const Status acts = rig.doors.act_for(user.id, PrincipalKind::kUserKey, who);
    if (!acts.ok()) return std::string(acts.reason());
    return who.organization + "/" + who.project_id + "/" + who.user_id;
  };
  CHECK(act(caller, own) == here.slug + "//" + own.id);
  CHECK(act(caller, other) == "user_not_found");
  REQUIRE(rig.members.add(there.id, ada.id, OrgRole::kMember, rig.who).ok());
  CHECK(act(caller, other) == there.slug + "//" + other.id);
  REQUIRE(rig.members.set_role(there.id, ada.id, OrgRole::kViewer, rig.who, kAnyRole).ok());
  CHECK(act(caller, other) == "insufficient_role");
  Principal nowhere = caller;
  nowhere.organization_id = "";
  nowhere.org_role = OrgRole::kNone;
  CHECK(act(nowhere, own) == here.slug + "//" + own.id);
}

TEST_CASE("people: a caller is looked up again with what is left to it", "[unit][identity]") {
  PeopleRig rig;
  const std::string org = rig.organization().id;
  const Person ada = rig.person("ada");
  REQUIRE(rig.members.add(org, ada.id, OrgRole::kAdmin, rig.who).ok());
  const Principal before = rig.doors.authenticate(rig.session(ada, org)).value();
  Principal caller = before;
  CHECK(rig.doors.look_up_again(caller).ok());
  REQUIRE(rig.members.set_role(org, ada.id, OrgRole::kOwner, rig.who, kAnyRole).ok());
  CHECK(rig.doors.look_up_again(caller).ok());
  const Person other = rig.person("other");
  REQUIRE(rig.members.add(org, other.id, OrgRole::kOwner, rig.who).ok());
  REQUIRE(rig.members.set_role(org, ada.id, OrgRole::kViewer, rig.who, kAnyRole).ok());
  CHECK(rig.doors.look_up_again(caller).reason() == "rights_changed");
  caller.org_role = OrgRole::kViewer;
  caller.scope = Scope::kRead;
  CHECK(rig.doors.look_up_again(caller).ok());
  REQUIRE(rig.members.remove(org, ada.id, rig.who, kAnyRole).ok());
  CHECK(rig.doors.look_up_again(caller).reason() == "rights_changed");
  REQUIRE(rig.sessions.end_all(ada.id, "", rig.who).ok());
  CHECK(rig.doors.look_up_again(caller).reason() == "session_ended");
  Principal static_key = rig.auth.authenticate("static-viewer-key-1").value();
  CHECK(rig.doors.look_up_again(static_key).ok());
}
