// Goal: what comes between a look at people, members or sessions and the write is seen. Method: the
// services over a store in memory, in which the other request runs at the moment that matters.
#include "identity/people_rig.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("sessions: one that begins while all are ended ends too", "[fault][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  NewSession wanted;
  wanted.person_id = ada.id;
  wanted.provider = "idp";
  const auto write = [&](const KvBatch& records) {
    return rig.memory->write(records, KvDurability::kSynced);
  };
  int begun = 0, wanted_count = 1;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    // Behind the look at the sessions, and before the write that ends them.
    const bool ends = op == "write" && key.starts_with(keyspace::kSessionPrefix);
    if (ends && begun < wanted_count) {
      begun++;
      return rig.sessions.start(wanted, rig.who, write).status();
    }
    return ok();
  };
  const auto start = [&] { REQUIRE(rig.sessions.start(wanted, rig.who, write).ok()); };
  start();
  REQUIRE(rig.sessions.end_all(ada.id, "", rig.who).ok());
  CHECK(begun == 1);
  CHECK(rig.sessions.list(ada.id)->empty());
  begun = 0;
  start();
  REQUIRE(rig.sessions.end_of_provider(ada.id, "idp", rig.who).ok());
  CHECK(begun == 1);
  CHECK(rig.sessions.list(ada.id)->empty());
  // Whoever goes on beginning them does not hold anybody for ever.
  start();
  begun = 0;
  wanted_count = 1000;
  CHECK(rig.sessions.end_all(ada.id, "", rig.who).code() == Code::kUnavailable);
}

TEST_CASE("sessions: of two tabs that choose what is active both are in", "[fault][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  NewSession wanted;
  wanted.person_id = ada.id;
  const std::string hash = rig.sessions.start(wanted, rig.who)->session.token_hash;
  int others = 1;
  rig.fault = [&](std::string_view op, std::string_view) -> Status {
    if (op != "cas" || others <= 0) return ok();
    const std::string place = "org_" + std::to_string(others--);
    return rig.sessions.set_active(hash, place, "");
  };
  CHECK(rig.sessions.set_active(hash, "org_mine", "").ok());
  CHECK(rig.sessions.list(ada.id)->front().organization_id == "org_mine");
  rig.fault = [&](std::string_view op, std::string_view) -> Status {
    if (op != "cas" || others++ > 0) return ok();
    return rig.memory->write(rig.sessions.ending(ada.id, "").value(), KvDurability::kSynced);
  };
  CHECK(rig.sessions.set_active(hash, "org_mine", "").reason() == "session_ended");
}

TEST_CASE("people: a removal that took longer than its mark removes nobody", "[fault][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  REQUIRE(rig.people.begin_removal(ada.id, rig.who).ok());
  rig.pass(kRemovalS);
  CHECK(rig.people.remove(ada.id, rig.who).reason() == "removal_ended");
  CHECK(rig.people.find(ada.id).ok());
  REQUIRE(rig.people.begin_removal(ada.id, rig.who).ok());
  rig.pass(kRemovalS - 1);
  CHECK(rig.people.remove(ada.id, rig.who).ok());
  CHECK(rig.people.find(ada.id).code() == Code::kNotFound);
}

TEST_CASE("members: a store that cannot tell who is an owner takes no role back, and says so",
          "[fault][identity]") {
  PeopleRig rig;
  const std::string org = rig.organization().id;
  const Person ada = rig.person("ada"), eve = rig.person("eve");
  REQUIRE(rig.members.set_given(org, ada.id, "idp", OrgRole::kOwner, rig.who).ok());
  REQUIRE(rig.members.add(org, eve.id, OrgRole::kOwner, rig.who).ok());
  const auto take_back = [&] {
    return rig.members.set_given(org, ada.id, "idp", OrgRole::kNone, rig.who);
  };
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    const bool is_look = op == "get" && key == keyspace::person_profile(eve.id);
    return is_look ? unavailable("The store is down.") : ok();
  };
  CHECK(take_back().code() == Code::kUnavailable);
  CHECK(rig.members.roster(org)->role_of(ada.id) == OrgRole::kOwner);
  rig.fault = {};
  CHECK(take_back().ok());
  CHECK(rig.members.roster(org)->role_of(ada.id) == OrgRole::kNone);
}
