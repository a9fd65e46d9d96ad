// Goal: what comes between the steps of a sign-in is seen, and a session alone shows nobody.
// Method: the services over a store in memory, in which the other request runs at the moment that
// matters.
#include <functional>
#include <utility>

#include "identity/maker.h"
#include "kv/keyspace.h"
#include "portal/portal_rig.h"
#include "portal/sign_in.h"
#include "portal/totp.h"
#include "support/base32.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

TEST_CASE("sign-in: a session that the old password began meanwhile ends with it",
          "[fault][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  const std::string id =
      rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller)->session.person_id;
  NewSession wanted;
  wanted.person_id = id;
  const auto write = [&](const KvBatch& records) {
    return rig.memory->write(records, KvDurability::kSynced);
  };
  // Behind the look at the sessions, and before the write of the new password.
  std::string thief;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "cas" || key != keyspace::person_password(id)) return ok();
    thief = rig.sessions.start(wanted, rig.who, write)->session.id;
    return ok();
  };
  const Secret fresh("another violin under seven clouds");
  const auto changed = rig.sign_in.change_password(id, kPassword, fresh, rig.caller);
  REQUIRE(changed.ok());
  CHECK_FALSE(thief.empty());
  REQUIRE(rig.sessions.list(id)->size() == 1);
  CHECK(rig.sessions.list(id)->front().id == changed->session.id);
  // A sign-in whose session was ended by that is a wrong password, and no session that is not
  // there.
  int looks = 0;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "get" || key != keyspace::person_password(id) || ++looks != 2) return ok();
    KvBatch batch = rig.sessions.ending(id, "").value();
    batch.put(KvFamily::kConfig, std::string(key), std::string("another"));
    return write(batch);
  };
  CHECK(rig.sign_in.sign_in("a@b.c", fresh, rig.caller).status().reason() == "wrong_credentials");
  CHECK(looks == 2);
}

TEST_CASE("sign-in: a suspension that comes meanwhile leaves no session", "[fault][portal]") {
  PortalRig rig;
  const std::string org = rig.organization().id;
  rig.put_setup_token("token");
  const std::string id =
      rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller)->session.person_id;
  REQUIRE(rig.members.add(org, id, OrgRole::kOwner, rig.who).ok());
  REQUIRE(rig.sessions.end_all(id, "", rig.who).ok());
  const auto set_active = [&](bool active) {
    const auto edit = [&](Person& person) -> Status {
      person.active = active;
      return ok();
    };
    REQUIRE(rig.people.update(id, edit, rig.who).ok());
    REQUIRE(rig.sessions.end_all(id, "", rig.who).ok());
  };
  // Between the look at the person and the session, whatever vouches for the person.
  rig.on_first_project = [&] { set_active(false); };
  CHECK(rig.sign_in.sign_in("a@b.c", kPassword, rig.caller).status().reason() ==
        "person_suspended");
  CHECK(rig.sessions.list(id)->empty());
  set_active(true);
  const Person before = rig.people.find(id).value();
  CHECK(rig.sign_in.start(before, "idp", rig.caller).status().reason() == "person_suspended");
  CHECK(rig.sessions.list(id)->empty());
  set_active(true);
  rig.on_first_project = {};
  // While the password is compared: no ticket of a second step either.
  const std::string secret =
      std::string(rig.totp.start(id, "ada", rig.who)->secret_base32.reveal());
  const int64_t step = rig.clock.unix_ms() / 1000 / kTotpStepS;
  REQUIRE(rig.totp.confirm(id, totp_code(from_base32(secret), step), rig.who).ok());
  bool is_first = true;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "get" || key != keyspace::person_password(id) || !is_first) return ok();
    is_first = false;
    set_active(false);
    return ok();
  };
  CHECK(rig.sign_in.sign_in("a@b.c", kPassword, rig.caller).status().reason() ==
        "person_suspended");
  CHECK_FALSE(is_first);
}

TEST_CASE("sign-in: the setup link makes the person and the place in one write",
          "[fault][portal]") {
  PortalRig rig;
  const std::string org = rig.first_organization = rig.organization().id;
  rig.put_setup_token("token");
  const auto set_up = [&](const std::string& token, const std::string& email) {
    return rig.sign_in.set_up(Secret(token), rig.account(email), rig.caller);
  };
  rig.fault = [&](std::string_view op, std::string_view key) {
    return op == "cas" && key == keyspace::org_members(org) ? unavailable("down") : ok();
  };
  CHECK(set_up("token", "a@b.c").code() == Code::kUnavailable);
  CHECK(rig.people.find_by_sign_in({"local", "a@b.c"}).code() == Code::kNotFound);
  rig.fault = {};
  const auto started = set_up("token", "a@b.c");
  REQUIRE(started.ok());
  CHECK(started->session.organization_id == org);
  CHECK(rig.members.roster(org)->role_of(started->session.person_id) == OrgRole::kOwner);
  CHECK(set_up("token", "b@b.c").status().reason() == "setup_token_invalid");
  // Of two at once that one write decides: the link is looked at again behind the other's.
  rig.put_setup_token("another");
  bool is_first = true;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "cas" || key != keyspace::org_members(org) || !is_first) return ok();
    is_first = false;
    KvBatch others;
    others.remove(KvFamily::kSystem, std::string(keyspace::kSetupToken));
    Roster roster = rig.members.roster(org).value();
    roster.members.push_back({"other", OrgRole::kOwner, 1, ""});
    others.put(KvFamily::kConfig, std::string(key), roster_to_json(roster));
    return rig.memory->write(others, KvDurability::kSynced);
  };
  CHECK(set_up("another", "c@b.c").status().reason() == "setup_token_invalid");
  CHECK(rig.people.find_by_sign_in({"local", "c@b.c"}).code() == Code::kNotFound);
  rig.fault = {};
  // An organization that is full keeps no owner of the daemon out.
  Roster crowd;
  for (size_t i = 0; i < kMembersPerOrganizationMax; i++) {
    crowd.members.push_back({"p" + std::to_string(i), OrgRole::kViewer, 1, ""});
  }
  KvBatch batch;
  batch.put(KvFamily::kConfig, keyspace::org_members(org), roster_to_json(crowd));
  REQUIRE(rig.kv->write(batch, KvDurability::kSynced).ok());
  rig.put_setup_token("third");
  const auto last = set_up("third", "d@b.c");
  REQUIRE(last.ok());
  CHECK(last->session.organization_id.empty());
  CHECK(set_up("third", "e@b.c").status().reason() == "setup_token_invalid");
}

TEST_CASE("sign-in: where there is a second factor its code shows who somebody is, besides",
          "[unit][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  const StartedSession started =
      rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller).value();
  Principal who;
  who.person_id = started.session.person_id;
  who.session_id = started.session.id;
  const auto reason = [&](const std::optional<Secret>& password, const std::string& code) {
    const Status shown = rig.sign_in.confirm_factors(who, {password, code}, rig.caller);
    return shown.ok() ? "ok" : shown.reason();
  };
  CHECK(reason(kPassword, "") == "ok");
  const std::string secret =
      std::string(rig.totp.start(who.person_id, "ada", rig.who)->secret_base32.reveal());
  const int64_t step = rig.clock.unix_ms() / 1000 / kTotpStepS;
  REQUIRE(rig.totp.confirm(who.person_id, totp_code(from_base32(secret), step), rig.who).ok());
  CHECK(reason(kPassword, "") == "code_required");
  CHECK(reason(kPassword, "000000x") == "wrong_code");
  const std::string code = totp_code(from_base32(secret), step + 1);
  // A code is not spent beside a wrong password.
  CHECK(reason(Secret("wrong"), code) == "wrong_password");
  CHECK(reason(kPassword, code) == "ok");
  CHECK(reason(kPassword, code) == "wrong_code");
}

TEST_CASE("second step: a ticket ends when it was to end, and a limit costs none of its tries",
          "[unit][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  const std::string id =
      rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller)->session.person_id;
  const std::string secret =
      from_base32(std::string(rig.totp.start(id, "ada", rig.who)->secret_base32.reveal()));
  const auto code = [&](int64_t steps = 0) {
    return totp_code(secret, rig.clock.unix_ms() / 1000 / kTotpStepS + steps);
  };
  REQUIRE(rig.totp.confirm(id, code(-1), rig.who).ok());
  const auto ticket = [&] { return rig.sign_in.sign_in("a@b.c", kPassword, rig.caller)->ticket; };
  const auto reason = [&](const Secret& of, std::string_view with) {
    return rig.sign_in.sign_in_with_code(of, with, rig.caller).status().reason();
  };
  const Secret first = ticket();
  rig.pass(kSecondStepLifetimeS - 10);
  CHECK(reason(first, "000000x") == "wrong_code");
  rig.pass(9);
  CHECK(reason(first, "000000x") == "wrong_code");
  rig.pass(1);
  CHECK(reason(first, code()) == "ticket_invalid");
  // The limit is that of codes, wherever they come from.
  const Secret second = ticket();
  rig.waiting = "nobody's";
  rig.wait_s = 9;
  for (int i = 0; i < 2 * kSecondStepTries; i++) CHECK(reason(second, code()) == "too_many_tries");
  rig.wait_s = 0;
  CHECK(reason(second, code()).empty());
}

TEST_CASE("sign-in: whatever takes a password or a link takes a try", "[unit][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  const StartedSession started =
      rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller).value();
  const std::string& id = started.session.person_id;
  Principal who;
  who.person_id = id;
  who.session_id = started.session.id;
  const auto join = [](const Person&, const AuditContext&, const KvBatch&) { return ok(); };
  const std::pair<std::string, std::function<Status()>> rows[] = {
      {"setup",
       [&] { return rig.sign_in.set_up(Secret("x"), rig.account("b@b.c"), rig.caller).status(); }},
      {"register",
       [&] {
         return rig.sign_in.register_account(rig.account("b@b.c"), "", join, rig.caller).status();
       }},
      {"a@b.c", [&] { return rig.sign_in.sign_in("a@b.c", kPassword, rig.caller).status(); }},
      {"second-step",
       [&] { return rig.sign_in.sign_in_with_code(Secret("x"), "1", rig.caller).status(); }},
      {id, [&] { return rig.sign_in.confirm_person(who, kPassword, rig.caller); }},
      {id,
       [&] { return rig.sign_in.change_password(id, kPassword, kPassword, rig.caller).status(); }}};
  rig.wait_s = 7;
  for (const auto& [name, act] : rows) {
    INFO(name);
    rig.waiting = try_name(name, rig.caller);
    CHECK(act().reason() == "too_many_tries");
    rig.waiting = "nobody's";
    CHECK(act().reason() != "too_many_tries");
  }
}

TEST_CASE("sign-in: a setup link ends with its maker, also while a password is hashed",
          "[fault][portal]") {
  PortalRig rig;
  const KeyOwner owner = rig.owner(PrincipalKind::kAdminKey, {});
  const CreatedKey key = rig.key(owner);
  const Principal maker = rig.authenticate(key).value();
  REQUIRE(rig.kv
              ->write(setup_token_record("token", rig.clock.unix_s(),
                                         maker_text(maker, AdminRole::kAdmin)),
                      KvDurability::kSynced)
              .ok());
  bool is_first = true;
  rig.fault = [&](std::string_view op, std::string_view read) -> Status {
    if (op != "get" || !read.starts_with("sign_in:") || !is_first) return ok();
    is_first = false;
    return rig.keys.revoke(owner, key.record.id, rig.who).status();
  };
  CHECK(rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller).status().reason() ==
        "setup_token_invalid");
  CHECK_FALSE(is_first);
  CHECK(rig.people.find_by_sign_in({"local", "a@b.c"}).code() == Code::kNotFound);
}
