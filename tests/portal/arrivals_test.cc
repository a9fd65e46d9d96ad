// Goal: who comes through a provider of sign-ins is let in by the rules and no further. Method: the
// rules over a store in memory, with identities as an issuer gives them.
#include "portal/arrivals.h"

#include <nlohmann/json.hpp>

#include <atomic>
#include <thread>

#include "base/crypto.h"
#include "identity/people_rig.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

namespace {

oauth::Identity identity(const std::string& subject, const std::string& email, bool verified) {
  return {.issuer = "https://idp",
          .subject = subject,
          .email = email,
          .email_verified = verified,
          .name = subject,
          .claims = oauth::Claims(Json::object())};
}

// The reason of the refusal by the rules of a provider; "" when the person was let in. Without
// projects, which stand in SQL and come with open sign-up alone.
std::string reason(PeopleRig& rig, const Provider& provider, const oauth::Identity& who,
                   SignUp sign_up = SignUp::kInvited, const Secret& invitation = Secret()) {
  InvitationService invitations(
      {*rig.kv, rig.audited, rig.members, rig.people, rig.organizations, rig.clock, *rig.entropy});
  Arrivals arrivals({.people = rig.people,
                     .members = rig.members,
                     .organizations = rig.organizations,
                     .add_project = [](std::string_view, const AuditContext&) { return ok(); },
                     .invitations = invitations,
                     .sign_up = sign_up});
  return arrivals.welcome(provider, who, invitation, "r1").status().reason();
}

}  // namespace

TEST_CASE("arrivals: an address counts only where the issuer has verified it", "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  provider.admins = {"boss@b.c"};
  CHECK(reason(rig, provider, identity("eve", "boss@b.c", false)) == "sign_up_closed");
  CHECK(reason(rig, provider, identity("stranger", "x@b.c", true)) == "sign_up_closed");
  CHECK(reason(rig, provider, identity("boss", "Boss@b.c", true)).empty());
  CHECK(rig.people.find_by_sign_in({"https://idp", "boss"})->operator_role() == AdminRole::kOwner);
  // The audit keeps it as long as what operators do.
  int kept = 0;
  const auto count = [&](const KvItem& item) {
    kept += item.entry.value.find(R"("source":"operator sign-in")") != std::string::npos ? 1 : 0;
    return ok();
  };
  CHECK(kv_for_each(*rig.kv, KvFamily::kOutbox, "", count).ok());
  CHECK(kept == 1);
  CHECK(rig.people.find_by_sign_in({"https://idp", "eve"}).code() == Code::kNotFound);
  // Whoever is known comes back, whatever the address is by now.
  CHECK(reason(rig, provider, identity("boss", "other@b.c", true)).empty());
}

TEST_CASE("arrivals: domains, closed sign-up and suspension", "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  provider.allowed_domains = {"b.c"};
  const auto open = SignUp::kOpen;
  CHECK(reason(rig, provider, identity("a", "a@evil.b.c", true), open) == "domain_not_allowed");
  CHECK(reason(rig, provider, identity("a", "a@b.c", false), open) == "domain_not_allowed");
  CHECK(reason(rig, provider, identity("a", "", true), open) == "domain_not_allowed");
  CHECK(reason(rig, provider, identity("a", "A@B.c", true), open).empty());
  const Person a = rig.people.find_by_sign_in({"https://idp", "a"}).value();
  const std::vector<std::string> places = rig.members.organizations_of(a.id).value();
  REQUIRE(places.size() == 1);
  CHECK(rig.members.roster(places[0])->role_of(a.id) == OrgRole::kOwner);
  CHECK(rig.organizations.find(places[0])->name == "My Org");
  CHECK(reason(rig, provider, identity("b", "b@b.c", true), SignUp::kClosed) == "sign_up_closed");
  CHECK(reason(rig, provider, identity("a", "a@b.c", true), SignUp::kClosed).empty());
  const auto suspend = [](Person& person) -> Status {
    person.active = false;
    return ok();
  };
  REQUIRE(rig.people.update(a.id, suspend, rig.who).ok());
  CHECK(reason(rig, provider, identity("a", "a@b.c", true), open) == "person_suspended");
}

TEST_CASE("arrivals: roles that claims gave go with them, and others stay", "[unit][portal]") {
  PeopleRig rig;
  const std::string org = rig.organization("Acme").id;
  Provider provider;
  provider.name = "idp";
  provider.role_claim = "groups";
  provider.role_map = {{"staff", {"acme", OrgRole::kMember}},
                       {"chiefs", {"acme", OrgRole::kAdmin}}};
  const auto role = [&](const Json& groups) {
    oauth::Identity who = identity("a", "a@b.c", true);
    who.claims = oauth::Claims(Json{{"groups", groups}});
    CHECK(reason(rig, provider, who).empty());
    return rig.members.roster(org)->role_of(rig.people.find_by_sign_in({"https://idp", "a"})->id);
  };
  CHECK(role("staff") == OrgRole::kMember);
  CHECK(role(Json{"staff", "chiefs"}) == OrgRole::kAdmin);
  CHECK(role(Json{"staff"}) == OrgRole::kMember);
  CHECK(role(Json::array()) == OrgRole::kNone);
  CHECK(role(Json{"staff"}) == OrgRole::kMember);
  const std::string id = rig.people.find_by_sign_in({"https://idp", "a"})->id;
  REQUIRE(rig.members.set_role(org, id, OrgRole::kOwner, rig.who, anyhow).ok());
  CHECK(role(Json::array()) == OrgRole::kOwner);
  CHECK(role(Json{"staff"}) == OrgRole::kOwner);
}

TEST_CASE("arrivals: what a list of admins gave goes with the entry, what operators gave stays",
          "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  provider.admins = {"boss@b.c", "chief"};
  const auto role = [&](const std::string& subject) {
    return rig.people.find_by_sign_in({"https://idp", subject})->operator_role();
  };
  const auto come = [&](const std::string& subject, const std::string& email) {
    CHECK(reason(rig, provider, identity(subject, email, true)).empty());
    return role(subject);
  };
  CHECK(come("boss", "boss@b.c") == AdminRole::kOwner);
  CHECK(come("chief", "chief@b.c") == AdminRole::kOwner);
  const auto make_viewer = [](Person& person) -> Status {
    person.role = AdminRole::kViewer;
    return ok();
  };
  const std::string chief = rig.people.find_by_sign_in({"https://idp", "chief"})->id;
  REQUIRE(rig.people.update(chief, make_viewer, rig.who).ok());
  CHECK(role("chief") == AdminRole::kOwner);
  // At the sign-in.
  provider.admins = {"chief"};
  CHECK(come("boss", "boss@b.c") == AdminRole::kNone);
  CHECK(come("chief", "chief@b.c") == AdminRole::kOwner);
  // At the start, without one; and not while the entry stands.
  Provider listed;
  const std::vector<const Provider*> providers{&listed};
  listed.name = "idp";
  listed.admins = {"chief"};
  REQUIRE(take_back_appointments(rig.people, providers).ok());
  CHECK(role("chief") == AdminRole::kOwner);
  listed.admins = {"chief@b.c"};
  REQUIRE(take_back_appointments(rig.people, providers).ok());
  CHECK(role("chief") == AdminRole::kViewer);
  CHECK(come("chief", "chief@b.c") == AdminRole::kOwner);
  REQUIRE(take_back_appointments(rig.people, {}).ok());
  CHECK(role("chief") == AdminRole::kViewer);
}

TEST_CASE("arrivals: a provider takes back its own appointments alone", "[unit][portal]") {
  PeopleRig rig;
  Provider first, second;
  first.name = "first";
  first.admins = {"boss"};
  second.name = "second";
  CHECK(reason(rig, first, identity("boss", "", false)).empty());
  CHECK(reason(rig, second, identity("boss", "", false)).empty());
  CHECK(rig.people.find_by_sign_in({"https://idp", "boss"})->operator_role() == AdminRole::kOwner);
}

TEST_CASE("arrivals: a stranger who is refused leaves nothing behind", "[unit][portal]") {
  PeopleRig rig;
  const std::string org = rig.organization().id;
  const Person owner = rig.person("owner");
  REQUIRE(rig.members.add(org, owner.id, OrgRole::kOwner, rig.who).ok());
  const auto invite = [&](const std::string& email) {
    InvitationService invitations({*rig.kv, rig.audited, rig.members, rig.people, rig.organizations,
                                   rig.clock, *rig.entropy});
    Invitation wanted;
    wanted.organization_id = org;
    wanted.role = OrgRole::kViewer;
    wanted.invited_by = owner.id;
    wanted.email = email;
    return invitations.create(wanted, anyhow, rig.who)->token;
  };
  Provider provider;
  provider.name = "idp";
  const auto come = [&](const std::string& subject, const Secret& invitation) {
    return reason(rig, provider, identity(subject, subject + "@b.c", true), SignUp::kInvited,
                  invitation);
  };
  const Secret bobs = invite("bob@b.c");
  CHECK(come("eve", bobs) == "invitation_for_another");
  CHECK(come("eve", Secret()) == "sign_up_closed");
  CHECK(rig.people.find_by_sign_in({"https://idp", "eve"}).code() == Code::kNotFound);
  CHECK(come("bob", bobs).empty());
  CHECK(come("late", bobs) == "invitation_invalid");
  CHECK(come("late", Secret()) == "sign_up_closed");
  // Somebody who is known signs in, and is put nowhere by the link: neither by one that is good nor
  // kept out by one that is not.
  const std::string other = rig.organization("Other").id;
  REQUIRE(rig.members.add(other, owner.id, OrgRole::kOwner, rig.who).ok());
  const Person bob = rig.people.find_by_sign_in({"https://idp", "bob"}).value();
  REQUIRE(rig.members.remove(org, bob.id, rig.who, [](OrgRole) { return ok(); }).ok());
  CHECK(come("bob", invite("")).empty());
  CHECK(come("bob", bobs).empty());
  CHECK(rig.members.organizations_of(bob.id)->empty());
}

TEST_CASE("arrivals: a role in an organization that is not there lets nobody in",
          "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  provider.role_claim = "groups";
  provider.role_map = {{"staff", {"nowhere", OrgRole::kMember}}};
  oauth::Identity who = identity("a", "a@b.c", true);
  who.claims = oauth::Claims(Json{{"groups", "staff"}});
  CHECK(reason(rig, provider, who) == "sign_up_closed");
  CHECK(reason(rig, provider, who, SignUp::kOpen).empty());
  const Person a = rig.people.find_by_sign_in({"https://idp", "a"}).value();
  CHECK(rig.members.organizations_of(a.id)->size() == 1);
}

TEST_CASE(
    "arrivals: roles are given by an organization's first slug or id, not by what it took later",
    "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  provider.role_claim = "groups";
  const Organization acme = rig.organization("Acme"), eves = rig.organization("Eve's");
  REQUIRE(rig.organizations.rename(eves.id, "nowhere", rig.who).ok());
  oauth::Identity who = identity("a", "a@b.c", true);
  who.claims = oauth::Claims(Json{{"groups", "staff"}});
  provider.role_map = {{"staff", {"nowhere", OrgRole::kMember}}};
  CHECK(reason(rig, provider, who) == "sign_up_closed");
  provider.role_map = {{"staff", {acme.id, OrgRole::kMember}}};
  CHECK(reason(rig, provider, who).empty());
  const Person a = rig.people.find_by_sign_in({"https://idp", "a"}).value();
  CHECK(rig.members.organizations_of(a.id).value() == std::vector<std::string>{acme.id});
  // At the start goes what stands by another name alone.
  REQUIRE(rig.organizations.rename(acme.id, "acme-two", rig.who).ok());
  provider.role_map = {{"staff", {"acme-two", OrgRole::kMember}}};
  REQUIRE(take_back_roles(*rig.kv, rig.members, rig.organizations, {&provider}).ok());
  CHECK(rig.members.organizations_of(a.id)->empty());
  CHECK(mapped_slugs({&provider}) == std::set<std::string>{"acme-two"});
}

TEST_CASE("arrivals: a first sign-in that was cut off is made whole by the next",
          "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  Person wanted;
  wanted.name = "a";
  wanted.wants_place = true;
  const std::string id = rig.people.create(wanted, {"https://idp", "a"}, "", rig.who)->id;
  CHECK(reason(rig, provider, identity("a", "a@b.c", true), SignUp::kOpen).empty());
  const std::vector<std::string> places = rig.members.organizations_of(id).value();
  REQUIRE(places.size() == 1);
  CHECK(rig.members.roster(places[0])->role_of(id) == OrgRole::kOwner);
  // Once it is there it is the person's to leave, for good.
  const Person other = rig.person("other");
  REQUIRE(rig.members.add(places[0], other.id, OrgRole::kOwner, rig.who).ok());
  REQUIRE(rig.members.remove(places[0], id, rig.who, [](OrgRole) { return ok(); }).ok());
  CHECK(reason(rig, provider, identity("a", "a@b.c", true), SignUp::kOpen).empty());
  CHECK(rig.members.organizations_of(id)->empty());
}

TEST_CASE("arrivals: an entry of admins with an '@' is an address that was verified",
          "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  provider.admins = {"boss@b.c", "chief", "sub:odd@subject"};
  const auto role = [&](const std::string& subject, const std::string& email, bool verified) {
    CHECK(reason(rig, provider, identity(subject, email, verified), SignUp::kOpen).empty());
    return rig.people.find_by_sign_in({"https://idp", subject})->operator_role();
  };
  CHECK(role("boss@b.c", "eve@b.c", true) == AdminRole::kNone);
  CHECK(role("x", "boss@b.c", false) == AdminRole::kNone);
  CHECK(role("y", "BOSS@b.c", true) == AdminRole::kOwner);
  CHECK(role("z", "chief", true) == AdminRole::kNone);
  CHECK(role("chief", "c@b.c", true) == AdminRole::kOwner);
  CHECK(role("odd@subject", "d@b.c", true) == AdminRole::kOwner);
}

TEST_CASE("arrivals: what is no address, or no name, counts as none", "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  provider.allowed_domains = {"b.c"};
  for (const char* email : {"b.c", "@b.c", "a@evil.d@b.c", "a@b.c."}) {
    INFO(email);
    CHECK(reason(rig, provider, identity("a", email, true), SignUp::kOpen) == "domain_not_allowed");
  }
  for (const char* name : {"   ",
                           "\xE2\x80\xAE"
                           "a",
                           "a\nb"}) {
    oauth::Identity who = identity(sha256_hex(name), "n@b.c", true);
    who.name = name;
    CHECK(reason(rig, provider, who, SignUp::kOpen).empty());
    CHECK(rig.people.find_by_sign_in({"https://idp", who.subject})->name == "n@b.c");
  }
}

TEST_CASE("arrivals: whoever has no name is called by the subject, as far as it goes",
          "[unit][portal]") {
  PeopleRig rig;
  Provider provider;
  provider.name = "idp";
  oauth::Identity who = identity(std::string(255, 's'), "", false);
  who.name = "";
  CHECK(reason(rig, provider, who, SignUp::kOpen).empty());
  CHECK(rig.people.find_by_sign_in({"https://idp", who.subject})->name.starts_with("sss"));
}

TEST_CASE("arrivals: an address is the person's while the provider says so", "[unit][portal]") {
  PeopleRig rig;
  Provider provider, other;
  provider.name = "idp";
  other.name = "other";
  const auto email = [&](const Provider& by, bool verified) {
    CHECK(reason(rig, by, identity("a", "a@b.c", verified), SignUp::kOpen).empty());
    return rig.people.find_by_sign_in({"https://idp", "a"})->email;
  };
  CHECK(email(provider, true) == "a@b.c");
  CHECK(email(other, false) == "a@b.c");
  CHECK(email(provider, false).empty());
  CHECK(email(provider, true) == "a@b.c");
}

TEST_CASE("arrivals: at the start goes what the configuration gives no longer", "[unit][portal]") {
  PeopleRig rig;
  const std::string org = rig.organization("Acme").id;
  const Person owner = rig.person("owner"), by_hand = rig.person("hand");
  REQUIRE(rig.members.add(org, owner.id, OrgRole::kOwner, rig.who).ok());
  REQUIRE(rig.members.add(org, by_hand.id, OrgRole::kMember, rig.who).ok());
  Provider listed;
  std::vector<const Provider*> providers{&listed};
  listed.name = "idp";
  listed.role_claim = "groups";
  listed.role_map = {{"staff", {"acme", OrgRole::kMember}}};
  oauth::Identity who = identity("a", "a@b.c", true);
  who.claims = oauth::Claims(Json{{"groups", "staff"}});
  REQUIRE(reason(rig, listed, who).empty());
  const Person a = rig.people.find_by_sign_in({"https://idp", "a"}).value();
  const auto role_after_start = [&] {
    REQUIRE(take_back_roles(*rig.kv, rig.members, rig.organizations, providers).ok());
    CHECK(rig.members.roster(org)->role_of(by_hand.id) == OrgRole::kMember);
    return rig.members.roster(org)->role_of(a.id);
  };
  CHECK(role_after_start() == OrgRole::kMember);
  listed.role_map = {{"staff", {"acme", OrgRole::kViewer}}};
  CHECK(role_after_start() == OrgRole::kNone);
  listed.role_map = {{"staff", {"acme", OrgRole::kMember}}};
  REQUIRE(reason(rig, listed, who).empty());
  CHECK(role_after_start() == OrgRole::kMember);
  // Without the claim the next sign-in takes it back, too.
  Provider without;
  without.name = "idp";
  CHECK(reason(rig, without, who).empty());
  CHECK(rig.members.roster(org)->role_of(a.id) == OrgRole::kNone);
  REQUIRE(reason(rig, listed, who).empty());

  NewSession begun;
  begun.person_id = a.id;
  for (const char* provider : {"idp", "password", "gone"}) {
    begun.provider = provider;
    REQUIRE(rig.sessions.start(begun, rig.who).ok());
  }
  REQUIRE(end_sessions_of_the_gone(*rig.kv, rig.sessions, providers).ok());
  CHECK(rig.sessions.list(a.id)->size() == 2);
  providers.clear();
  REQUIRE(end_sessions_of_the_gone(*rig.kv, rig.sessions, providers).ok());
  REQUIRE(rig.sessions.list(a.id)->size() == 1);
  CHECK(rig.sessions.list(a.id)->front().provider == "password");
  CHECK(role_after_start() == OrgRole::kNone);
}

TEST_CASE("arrivals: a bearer without an address goes by what its own provider has verified",
          "[unit][portal]") {
  PeopleRig rig;
  InvitationService invitations(
      {*rig.kv, rig.audited, rig.members, rig.people, rig.organizations, rig.clock, *rig.entropy});
  Arrivals arrivals({.people = rig.people,
                     .members = rig.members,
                     .organizations = rig.organizations,
                     .add_project = [](std::string_view, const AuditContext&) { return ok(); },
                     .invitations = invitations,
                     .sign_up = SignUp::kOpen});
  Provider provider;
  provider.name = "idp";
  provider.allowed_domains = {"b.c"};
  const auto come = [&](const char* verified_by) {
    Person wanted;
    wanted.name = "a";
    wanted.email = "a@b.c";
    wanted.email_verified_by = verified_by;
    const std::string subject = std::string("by ") + verified_by;
    REQUIRE(rig.people.create(wanted, {"https://idp", subject}, "", rig.who).ok());
    return std::string(
        arrivals.recognize(provider, identity(subject, "", false)).status().reason());
  };
  CHECK(come("idp").empty());
  CHECK(come("other") == "domain_not_allowed");
  CHECK(come("") == "domain_not_allowed");
}

TEST_CASE("arrivals: an organization that is full keeps nobody out of the others",
          "[unit][portal]") {
  PeopleRig rig;
  const std::string acme = rig.organization("Acme").id, beta = rig.organization("Beta").id;
  Roster crowd;
  for (size_t i = 0; i < kMembersPerOrganizationMax; i++) {
    crowd.members.push_back({"p" + std::to_string(i), OrgRole::kViewer, 1, ""});
  }
  KvBatch batch;
  batch.put(KvFamily::kConfig, keyspace::org_members(acme), roster_to_json(crowd));
  REQUIRE(rig.kv->write(batch, KvDurability::kSynced).ok());
  Provider provider;
  provider.name = "idp";
  provider.role_claim = "groups";
  provider.role_map = {{"staff", {"acme", OrgRole::kMember}}, {"dev", {"beta", OrgRole::kMember}}};
  const auto come = [&](const std::string& subject, const Json& groups,
                        SignUp sign_up = SignUp::kInvited) {
    oauth::Identity who = identity(subject, subject + "@b.c", true);
    who.claims = oauth::Claims(Json{{"groups", groups}});
    return reason(rig, provider, who, sign_up);
  };
  const auto places = [&](const std::string& subject) {
    const auto person = rig.people.find_by_sign_in({"https://idp", subject});
    return rig.members.organizations_of(person.value().id).value();
  };
  // A stranger whom that role alone would let in is not in, and does not come in without it later.
  CHECK(come("eve", "staff") == "members_full");
  CHECK(rig.people.find_by_sign_in({"https://idp", "eve"}).code() == Code::kNotFound);
  CHECK(come("eve", Json::array()) == "sign_up_closed");
  CHECK(rig.kv->scan(KvFamily::kConfig, keyspace::kPersonPrefix, "", 10)->items.empty());
  CHECK(come("ada", Json::array({"staff", "dev"})).empty());
  CHECK(places("ada") == std::vector<std::string>{beta});
  CHECK(rig.members.roster(beta)->members.at(0).given_by == "idp");
  // Whoever is known, and whoever may come anyway.
  rig.person("bob", "https://idp");
  CHECK(come("bob", "staff").empty());
  CHECK(places("bob").empty());
  CHECK(come("carl", "staff", SignUp::kOpen).empty());
  // A failure that is none of room keeps everybody out still.
  rig.fault = [&](std::string_view op, std::string_view key) {
    return op == "cas" && key == keyspace::org_members(beta) ? unavailable("down") : ok();
  };
  CHECK(come("dora", "dev") == unavailable("down").reason());
  CHECK(rig.people.find_by_sign_in({"https://idp", "dora"}).code() == Code::kNotFound);
}

namespace {

struct OpenRig : PeopleRig {
  explicit OpenRig(std::set<std::string> kept_slugs = {})
      : arrivals({.people = people,
                  .members = members,
                  .organizations = organizations,
                  .add_project = [](std::string_view, const AuditContext&) { return ok(); },
                  .invitations = invitations,
                  .sign_up = SignUp::kOpen,
                  .kept_slugs = std::move(kept_slugs)}) {
    provider.name = "idp";
  }
  Provider provider;
  InvitationService invitations{{*kv, audited, members, people, organizations, clock, *entropy}};
  Arrivals arrivals;
};

}  // namespace

TEST_CASE("arrivals: of many first requests of one person one makes the place", "[fault][portal]") {
  OpenRig rig;
  Person wanted;
  wanted.name = "a";
  wanted.wants_place = true;
  const std::string id = rig.people.create(wanted, {"https://idp", "a"}, "", rig.who)->id;
  std::atomic<int> let_in{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; i++) {
    threads.emplace_back(
        [&] { let_in += rig.arrivals.recognize(rig.provider, identity("a", "", false)).ok(); });
  }
  for (std::thread& one : threads) one.join();
  CHECK(let_in == 8);
  CHECK(rig.members.organizations_of(id)->size() == 1);
  // One that read the person before the place was made, and comes when it has been left.
  const auto want_again = [](Person& person) -> Status {
    person.wants_place = true;
    return ok();
  };
  REQUIRE(rig.people.update(id, want_again, rig.who).ok());
  rig.provider.role_claim = "groups";
  rig.provider.role_map = {{"staff", {"nowhere", OrgRole::kMember}}};
  oauth::Identity late = identity("a", "", false);
  late.claims = oauth::Claims(Json{{"groups", "staff"}});
  bool is_first = true;
  rig.fault = [&](std::string_view, std::string_view key) -> Status {
    if (!is_first || key != keyspace::org_slug("nowhere")) return ok();
    is_first = false;
    KVCS_TRY(rig.arrivals.recognize(rig.provider, identity("a", "", false)).status());
    const std::string place = rig.members.organizations_of(id)->at(0);
    const Person other = rig.person("other");
    KVCS_TRY(rig.members.add(place, other.id, OrgRole::kOwner, rig.who));
    return rig.members.remove(place, id, rig.who, [](OrgRole) { return ok(); });
  };
  CHECK(rig.arrivals.recognize(rig.provider, late).ok());
  CHECK_FALSE(is_first);
  CHECK(rig.members.organizations_of(id)->empty());
}

TEST_CASE("arrivals: a first organization takes no slug that a role_map names", "[unit][portal]") {
  OpenRig rig({"my-org"});
  const Result<Arrivals::Arrival> come =
      rig.arrivals.welcome(rig.provider, identity("a", "a@b.c", true), Secret(), "r1");
  REQUIRE(come.ok());
  CHECK(rig.organizations.find_by_slug("my-org").code() == Code::kNotFound);
  const std::string id = rig.members.organizations_of(come->person.id)->at(0);
  CHECK(rig.organizations.find(id)->slug == "my-org-" + come->person.id.substr(0, 8));
}
