// Goal: what comes between a look at people, members or sessions and the write is seen. Method: the
// services over a store in memory, in which the other request runs at the moment that matters.
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "identity/people_rig.h"
#include "kv/keyspace.h"
#include "support/wait.h"

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

namespace {

// Holds the first writer of what `is_held` names until a second one has come, or could not.
struct Meeting {
  std::function<bool(std::string_view op, std::string_view key)> is_held;
  std::atomic<int> arrived{0};

  Status operator()(std::string_view op, std::string_view key) {
    if (!is_held(op, key)) return ok();
    arrived++;
    (void)test::comes_true([this] { return arrived >= 2; }, 200);
    return ok();
  }
};

// How many of `count` that run at once are ok.
int many_at_once(int count, const std::function<Status(int index)>& act) {
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; i++) threads.emplace_back([&, i] { good += act(i).ok(); });
  for (std::thread& one : threads) one.join();
  return good;
}

}  // namespace

TEST_CASE("members: of many who make one person an owner at once no more fit than the limit says",
          "[fault][identity]") {
  PeopleRig rig;
  const Person ada = rig.person("ada");
  std::vector<std::string> places;
  for (size_t i = 0; i < kOwnOrganizationsMax + 3; i++) {
    places.push_back(rig.organization("Org " + std::to_string(i)).id);
  }
  const auto own = [&](const std::string& place) {
    return rig.members.add(place, ada.id, OrgRole::kOwner, rig.who);
  };
  for (size_t i = 0; i + 1 < kOwnOrganizationsMax; i++) REQUIRE(own(places[i]).ok());
  const size_t first = kOwnOrganizationsMax - 1;
  // In the third she is a member, and in the fourth somebody gives it to her.
  REQUIRE(rig.members.add(places[first + 2], ada.id, OrgRole::kMember, rig.who).ok());
  REQUIRE(rig.members.add(places[first + 3], ada.id, OrgRole::kMember, rig.who).ok());
  const Person giver = rig.person("giver");
  REQUIRE(rig.members.add(places[first + 3], giver.id, OrgRole::kOwner, rig.who).ok());
  Meeting meeting{[](std::string_view op, std::string_view key) {
    return op == "cas" && key.ends_with(":members");
  }};
  rig.fault = std::ref(meeting);
  const int good = many_at_once(5, [&](int index) -> Status {
    if (index < 2) return own(places[first + static_cast<size_t>(index)]);
    if (index == 2) {
      return rig.members
          .set_role(places[first + 2], ada.id, OrgRole::kOwner, rig.who,
                    [](OrgRole) { return ok(); })
          .status();
    }
    if (index == 3) {
      return rig.members.transfer(places[first + 3], giver.id, ada.id, rig.who).status();
    }
    return rig.members.own_one_more(ada.id, [&]() -> Status {
      const auto add_owner = [&](const Organization& made, KvBatch& batch) {
        rig.members.add_first(batch, made.id, ada.id);
      };
      Organization wanted;
      wanted.name = "Made";
      return rig.organizations.create(wanted, rig.who, add_owner).status();
    });
  });
  CHECK(good == 1);
}

TEST_CASE("keys: of many that are made at once no more fit than the limit says",
          "[fault][identity]") {
  IdentityRig rig;
  const KeyOwner owner = rig.owner(PrincipalKind::kProjectKey, rig.organization());
  NewKey wanted;
  wanted.name = "one of many";
  KvBatch present;
  for (size_t i = 0; i + 1 < kKeysPerOwnerMax; i++) rig.keys.prepare(owner, wanted, present);
  REQUIRE(rig.kv->write(present, KvDurability::kSynced).ok());
  Meeting meeting{[](std::string_view op, std::string_view) { return op == "write"; }};
  rig.fault = std::ref(meeting);
  const auto make = [&](int) { return rig.keys.create(owner, wanted, rig.who).status(); };
  CHECK(many_at_once(4, make) == 1);
}
