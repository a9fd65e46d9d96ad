// Goal: each refusal of a sign-in is the one that it should be, and what comes between its steps is
// seen. Method: the services over a store in memory, with a password hasher that hashes for real.
#include "portal/sign_in.h"

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "identity/browser_session.h"
#include "kv/keyspace.h"
#include "portal/portal_rig.h"
#include "portal/totp.h"
#include "support/base32.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

TEST_CASE("sign-in: each refusal has its reason", "[unit][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  CHECK(rig.sign_in.set_up(Secret("other"), rig.account("a@b.c"), rig.caller).status().reason() ==
        "setup_token_invalid");
  const StartedSession started =
      rig.sign_in.set_up(Secret("token"), rig.account("Ada@b.c"), rig.caller).value();
  CHECK(rig.sign_in.set_up(Secret("token"), rig.account("b@b.c"), rig.caller).status().reason() ==
        "setup_token_invalid");
  rig.put_setup_token("old");
  rig.pass(kSetupLinkLifetimeS);
  CHECK(rig.sign_in.set_up(Secret("old"), rig.account("b@b.c"), rig.caller).status().reason() ==
        "setup_token_invalid");
  rig.put_setup_token("again");
  CHECK(rig.sign_in.set_up(Secret("again"), rig.account("ada@b.c"), rig.caller).status().reason() ==
        "sign_in_exists");

  CHECK(rig.sign_in.sign_in("ada@b.c", Secret("wrong"), rig.caller).status().reason() ==
        "wrong_credentials");
  CHECK(rig.sign_in.sign_in("nobody@b.c", kPassword, rig.caller).status().reason() ==
        "wrong_credentials");
  CHECK(rig.sign_in.sign_in("ADA@b.c", kPassword, rig.caller).ok());
  rig.wait_s = 7;
  CHECK(rig.sign_in.sign_in("ada@b.c", kPassword, rig.caller).status().reason() ==
        "too_many_tries");
  rig.wait_s = 0;

  const std::string id = started.session.person_id;
  const Secret fresh("another violin under seven clouds");
  CHECK(rig.sign_in.change_password(id, fresh, fresh, rig.caller).status().reason() ==
        "wrong_password");
  CHECK(rig.sign_in.change_password(id, kPassword, fresh, rig.caller).ok());
  const Person other = rig.person("other");
  CHECK(rig.sign_in.change_password(other.id, fresh, fresh, rig.caller).status().reason() ==
        "no_password");
  const auto suspend = [](Person& person) -> Status {
    person.active = false;
    return ok();
  };
  REQUIRE(rig.people.update(id, suspend, rig.who).ok());
  CHECK(rig.sign_in.sign_in("ada@b.c", fresh, rig.caller).status().reason() == "person_suspended");
  CHECK(rig.sign_in.sign_in("ada@b.c", kPassword, rig.caller).status().reason() ==
        "wrong_credentials");
}

TEST_CASE("second step: a right password is not enough, and a ticket is good for few tries",
          "[unit][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  const std::string id =
      rig.sign_in.set_up(Secret("token"), rig.account("ada@b.c"), rig.caller)->session.person_id;
  const std::string secret =
      std::string(rig.totp.start(id, "ada", rig.who)->secret_base32.reveal());
  const std::string bytes = from_base32(secret);
  const auto code = [&](int64_t steps = 0) {
    return totp_code(bytes, rig.clock.unix_ms() / 1000 / kTotpStepS + steps);
  };
  // Not on yet.
  CHECK(rig.sign_in.sign_in("ada@b.c", kPassword, rig.caller)->session.has_value());
  const std::vector<Secret> recovery = rig.totp.confirm(id, code(), rig.who).value();
  REQUIRE(recovery.size() == kRecoveryCodes);
  const auto ticket = [&] {
    FirstStep step = rig.sign_in.sign_in("ada@b.c", kPassword, rig.caller).value();
    CHECK_FALSE(step.session.has_value());
    return step.ticket;
  };
  const auto reason = [&](const Secret& of, std::string_view with) {
    return rig.sign_in.sign_in_with_code(of, with, rig.caller).status().reason();
  };
  CHECK(reason(Secret("none"), code(1)) == "ticket_invalid");
  const Secret first = ticket();
  // The code that turned it on is used.
  CHECK(reason(first, code()) == "wrong_code");
  CHECK(reason(first, code(1)).empty());
  CHECK(reason(first, code(1)) == "ticket_invalid");
  const Secret second = ticket();
  for (int i = 0; i < kSecondStepTries; i++) CHECK(reason(second, "000000x") == "wrong_code");
  rig.pass(10 * kTotpStepS);
  CHECK(reason(second, code()) == "ticket_invalid");
  // A recovery code is good once.
  CHECK(reason(ticket(), recovery[3].reveal()).empty());
  CHECK(reason(ticket(), recovery[3].reveal()) == "wrong_code");
  CHECK(reason(ticket(), code()).empty());
  // A ticket of before the password was changed, and one that is old.
  const Secret third = ticket();
  const std::string known = rig.people.password_hash(id).value();
  const std::string fresh = rig.hasher.hash(kPassword, "a").value();
  REQUIRE(rig.people.set_password_hash(id, known, fresh, rig.who).ok());
  CHECK(reason(third, code(1)) == "ticket_invalid");
  const Secret fourth = ticket();
  rig.pass(kSecondStepLifetimeS);
  CHECK(reason(fourth, code()) == "ticket_invalid");
  const Secret fifth = ticket();
  const auto suspend = [](Person& person) -> Status {
    person.active = false;
    return ok();
  };
  REQUIRE(rig.people.update(id, suspend, rig.who).ok());
  CHECK(reason(fifth, code()) == "person_suspended");
  rig.wait_s = 9;
  CHECK(reason(fifth, code()) == "too_many_tries");
}

namespace {

// An account with a second factor that is on.
struct TwoSteps : PortalRig {
  TwoSteps() {
    put_setup_token("token");
    id = sign_in.set_up(Secret("token"), account("ada@b.c"), caller)->session.person_id;
    bytes = from_base32(std::string(totp.start(id, "ada", who)->secret_base32.reveal()));
    REQUIRE(totp.confirm(id, code(), who).ok());
  }
  std::string code() const { return totp_code(bytes, clock.unix_ms() / 1000 / kTotpStepS); }
  Secret ticket() { return sign_in.sign_in("ada@b.c", kPassword, caller)->ticket; }
  Result<StartedSession> second(const Secret& of) {
    pass(kTotpStepS);  // Each code is good once.
    return sign_in.sign_in_with_code(of, code(), caller);
  }

  std::string id, bytes;
};

}  // namespace

TEST_CASE("second step: a store that cannot be read twice in a row costs no ticket",
          "[fault][portal]") {
  TwoSteps rig;
  int failing = 0, reads = 0;
  for (;; failing++) {
    INFO(failing);
    REQUIRE(failing < 100);
    const Secret ticket = rig.ticket();
    reads = 0;
    rig.fault = [&](std::string_view op, std::string_view) -> Status {
      if (op != "get" && op != "scan") return ok();
      const int at = reads++;
      return at == failing || at == failing + 1 ? unavailable("The store is down.") : ok();
    };
    const auto first = rig.second(ticket);
    rig.fault = nullptr;
    if (first.ok() && reads <= failing) break;
    if (first.ok()) continue;  // It was nothing that had to be known.
    CHECK(first.code() == Code::kUnavailable);
    CHECK(rig.second(ticket).ok());
    CHECK(rig.second(ticket).status().reason() == "ticket_invalid");
  }
  CHECK(failing > 4);
  // What nobody has the token of is not there.
  rig.pass(101);
  REQUIRE(rig.sessions.list(rig.id)->empty());
  const Secret ticket = rig.ticket();
  bool has_begun = false;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    has_begun = has_begun || (op == "cas" && key == keyspace::person_totp(rig.id));
    const bool is_look = op == "get" && key == keyspace::person_password(rig.id);
    return has_begun && is_look ? unavailable("The store is down.") : ok();
  };
  CHECK(rig.second(ticket).code() == Code::kUnavailable);
  rig.fault = nullptr;
  CHECK(rig.sessions.list(rig.id)->empty());
}

TEST_CASE("second step: what the store fails at is no try", "[fault][portal]") {
  TwoSteps rig;
  const Secret ticket = rig.ticket();
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    const bool fails = op == "get" && key == keyspace::person_totp(rig.id);
    return fails ? unavailable("The store is down.") : ok();
  };
  for (int i = 0; i < kSecondStepTries + 1; i++) {
    CHECK(rig.second(ticket).code() == Code::kUnavailable);
  }
  rig.fault = nullptr;
  for (int i = 1; i < kSecondStepTries; i++) {
    CHECK(rig.sign_in.sign_in_with_code(ticket, "000000x", rig.caller).status().reason() ==
          "wrong_code");
  }
  CHECK(rig.second(ticket).ok());
}

TEST_CASE("links: one of a clock that was ahead is none", "[fault][portal]") {
  PortalRig rig;
  const std::string org = rig.organization().id;
  const Person owner = rig.person("owner");
  REQUIRE(rig.members.add(org, owner.id, OrgRole::kOwner, rig.who).ok());
  rig.put_setup_token("token");
  Invitation wanted;
  wanted.organization_id = org;
  wanted.invited_by = owner.id;
  wanted.role = OrgRole::kMember;
  const Secret invitation = rig.invitations.create(wanted, anyhow, rig.who)->token;
  const auto set_up = [&] {
    return rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller).status().reason();
  };
  rig.clock.set_unix_ms(rig.clock.unix_ms() - 1000);
  CHECK(set_up() == "setup_token_invalid");
  CHECK(rig.invitations.find_by_token(invitation).status().reason() == "invitation_invalid");
  rig.clock.set_unix_ms(rig.clock.unix_ms() + 1000);
  CHECK(set_up().empty());
  CHECK(rig.invitations.find_by_token(invitation).ok());
}

TEST_CASE("sign-in: of a registration that cannot join nothing is left", "[fault][portal]") {
  PortalRig rig;
  const auto refuse = [&](const Person&, const AuditContext&, const KvBatch&) {
    // While it is under way the address is taken, and is nobody's.
    CHECK(rig.people.find_by_sign_in({"local", "a@b.c"}).code() == Code::kNotFound);
    Person other;
    other.name = "other";
    CHECK(rig.people.create(other, {"local", "a@b.c"}, "", rig.who).status().reason() ==
          "sign_in_exists");
    return not_found("gone").with_reason("invitation_invalid");
  };
  CHECK(rig.sign_in.register_account(rig.account("a@b.c"), "", refuse, rig.caller)
            .status()
            .reason() == "invitation_invalid");
  CHECK(rig.kv->scan(KvFamily::kConfig, "", "", 10)->items.empty());
  // A process that dies meanwhile leaves the address taken for a minute, and no longer.
  const auto die = [&](const Person&, const KvBatch&) -> Status {
    throw std::runtime_error("died");
  };
  Person wanted;
  wanted.name = "a";
  CHECK_THROWS(rig.people.create_with(wanted, {"local", "a@b.c"}, "", rig.who, die));
  CHECK(rig.people.create(wanted, {"local", "a@b.c"}, "", rig.who).status().reason() ==
        "sign_in_exists");
  rig.pass(61);
  CHECK(rig.people.create(wanted, {"local", "a@b.c"}, "", rig.who).ok());
}

TEST_CASE("browser sessions: what changes something proves where it comes from", "[unit][portal]") {
  const std::vector<std::string> origins = {"https://kvcs.example"};
  const BrowserRules rules{[&] { return &origins; }};
  const std::string token = "ks_" + std::string(64, 'a'), csrf = csrf_token(token);
  const std::string cookie = "__Host-kvcs_session=" + token;
  const auto find = [&](http::Method method, std::vector<http::Header> headers) {
    http::Request request;
    request.method = method;
    request.headers = std::move(headers);
    return find_bearer(request, rules);
  };
  using enum http::Method;
  CHECK(find(kGet, {{"Cookie", cookie}}).value() == token);
  CHECK(find(kPost, {{"Cookie", cookie}, {"X-CSRF-Token", csrf}}).status().reason() ==
        "foreign_origin");
  CHECK(find(kPost, {{"Cookie", cookie}, {"Origin", "https://kvcs.example"}}).status().reason() ==
        "csrf_token_missing");
  CHECK(
      find(kPost, {{"Cookie", cookie}, {"Origin", "https://kvcs.example"}, {"X-CSRF-Token", csrf}})
          .value() == token);
  for (const char* origin : {"http://kvcs.example", "https://kvcs.example:444", "null",
                             "https://kvcs.example.evil", "https://evil.kvcs.example"}) {
    CHECK(find(kPost, {{"Cookie", cookie}, {"Origin", origin}, {"X-CSRF-Token", csrf}})
              .status()
              .reason() == "foreign_origin");
  }
  // A proxy's own scheme beside a session is for the proxy.
  CHECK(find(kGet, {{"Cookie", cookie}, {"Authorization", "Basic eDp5"}}).value() == token);
  CHECK(find(kGet, {{"Authorization", "Basic eDp5"}}).code() == Code::kUnauthenticated);
  CHECK(find(kPost, {{"Cookie", cookie}, {"Authorization", "Basic eDp5"}}).status().reason() ==
        "foreign_origin");
  // Over TLS the plain name, which a page without TLS could have set, says nothing.
  CHECK(find(kGet, {{"Cookie", "kvcs_session=" + token}}).code() == Code::kUnauthenticated);
  CHECK(find(kPost, {{"Cookie", cookie}, {"Authorization", "Bearer other"}}).value() == "other");
}

TEST_CASE("sign-in: a password that changes meanwhile leaves no session", "[fault][portal]") {
  PortalRig rig;
  const std::string org = rig.organization().id;
  rig.put_setup_token("token");
  const std::string id =
      rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller)->session.person_id;
  REQUIRE(rig.members.add(org, id, OrgRole::kOwner, rig.who).ok());
  // A whole change of the password, between the comparison and the session.
  REQUIRE(rig.sessions.end_all(id, "", rig.who).ok());
  rig.on_first_project = [&] {
    const std::string known = rig.people.password_hash(id).value();
    REQUIRE(rig.people.set_password_hash(id, known, "another", rig.who).ok());
    REQUIRE(rig.sessions.end_all(id, "", rig.who).ok());
  };
  CHECK(rig.sign_in.sign_in("a@b.c", kPassword, rig.caller).status().reason() ==
        "wrong_credentials");
  CHECK(rig.sessions.list(id)->empty());
}

TEST_CASE("sign-in: of many changes of one password at once one counts", "[fault][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  const std::string id =
      rig.sign_in.set_up(Secret("token"), rig.account("a@b.c"), rig.caller)->session.person_id;
  const std::string known = rig.people.password_hash(id).value();
  // What the others compared with is the account's no more.
  REQUIRE(rig.people.set_password_hash(id, known, "first", rig.who).ok());
  CHECK(rig.people.set_password_hash(id, known, "second", rig.who).reason() == "password_changed");
  CHECK(rig.people.set_password_hash(id, "", "third", rig.who).reason() == "password_changed");
  CHECK(rig.people.password_hash(id).value() == "first");
  REQUIRE(rig.people.set_password_hash(id, "first", known, rig.who).ok());
  // The whole of it, at once: whoever compared with the old one is refused.
  std::atomic<int> changed{0}, refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&, i] {
      const Secret wanted("another violin under seven clouds " + std::to_string(i));
      const auto done = rig.sign_in.change_password(id, kPassword, wanted, rig.caller);
      changed += done.ok();
      refused += done.status().reason() == "wrong_password";
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(changed == 1);
  CHECK(refused == 3);
  CHECK(rig.sessions.list(id)->size() == 1);
}

TEST_CASE("sign-in: goes on where the last one was, else where the person has been for longest",
          "[unit][portal]") {
  PortalRig rig;
  const Person ada = rig.person("ada");
  std::vector<std::string> places;
  for (int i = 0; i < 8; i++) {
    places.push_back(rig.organization("Org " + std::to_string(i)).id);
    REQUIRE(rig.members.add(places.back(), ada.id, OrgRole::kMember, rig.who).ok());
    rig.pass(1);
  }
  const auto active = [&] {
    return rig.sign_in.start(ada, "idp", rig.caller)->session.organization_id;
  };
  CHECK(active() == places[0]);
  const StartedSession session = rig.sign_in.start(ada, "idp", rig.caller).value();
  REQUIRE(rig.sessions.set_active(session.session.token_hash, places[5], "").ok());
  rig.pass(1);
  CHECK(active() == places[5]);
  const Person owner = rig.person("owner");
  REQUIRE(rig.members.remove(places[5], ada.id, rig.who, anyhow).ok());
  CHECK(active() == places[0]);
}

TEST_CASE("sign-in: ends the session that the browser had", "[unit][portal]") {
  PortalRig rig;
  const Person ada = rig.person("ada"), bob = rig.person("bob");
  const StartedSession first = rig.sign_in.start(ada, "idp", rig.caller).value();
  Caller again = rig.caller;
  again.old_session = first.token;
  REQUIRE(rig.sign_in.start(bob, "idp", again).ok());
  CHECK(rig.sessions.list(ada.id)->empty());
  again.old_session = Secret("ks_nobodys");
  CHECK(rig.sign_in.start(bob, "idp", again).ok());
  CHECK(rig.sessions.list(bob.id)->size() == 2);
}

TEST_CASE("sign-in: where sign-up is closed nobody registers", "[unit][portal]") {
  PortalRig rig(SignUp::kClosed);
  const auto join = [](const Person&, const AuditContext&, const KvBatch&) { return ok(); };
  CHECK(
      rig.sign_in.register_account(rig.account("a@b.c"), "", join, rig.caller).status().reason() ==
      "sign_up_closed");
}

TEST_CASE("sign-in: the link of one address tells nothing of others", "[unit][portal]") {
  PortalRig rig;
  rig.put_setup_token("token");
  REQUIRE(rig.sign_in.set_up(Secret("token"), rig.account("ada@b.c"), rig.caller).ok());
  const auto join = [](const Person&, const AuditContext&, const KvBatch&) { return ok(); };
  for (const char* email : {"ada@b.c", "nobody@b.c"}) {
    CHECK(rig.sign_in.register_account(rig.account(email), "eve@b.c", join, rig.caller)
              .status()
              .reason() == "invitation_for_another");
  }
}

TEST_CASE("sign-in: without a password a fresh sign-in confirms who somebody is, no device",
          "[unit][portal]") {
  PortalRig rig;
  const Person ada = rig.person("ada");
  NewSession wanted;
  wanted.person_id = ada.id;
  const StartedSession started = rig.sessions.start(wanted, rig.who).value();
  const Session& own = started.session;
  wanted.device = "box";
  const Session device = rig.sessions.start(wanted, rig.who)->session;
  const auto reason = [&](const std::string& session_id) {
    Principal who;
    who.person_id = ada.id;
    who.session_id = session_id;
    return rig.sign_in.confirm_person(who, std::nullopt, rig.caller).reason();
  };
  CHECK(reason(own.id).empty());
  CHECK(reason(device.id) == "sign_in_again");
  CHECK(reason("") == "sign_in_again");
  for (int64_t passed = 0; passed <= kFreshSignInS; passed += 90) {
    rig.pass(90);
    REQUIRE(rig.doors.authenticate(started.token.reveal()).ok());  // It does not rest too long.
  }
  REQUIRE(rig.doors.flush_last_used().ok());
  CHECK(reason(own.id) == "sign_in_again");
}

TEST_CASE("sign-in: one address has a share over all accounts", "[unit][portal]") {
  PortalRig rig;
  rig.wait_s = 7;
  rig.waiting = "sign-in-address:127.0.0.1";
  for (const char* email : {"a@b.c", "b@b.c"}) {
    CHECK(rig.sign_in.sign_in(email, kPassword, rig.caller).status().reason() == "too_many_tries");
  }
  Caller other = rig.caller;
  other.address = "203.0.113.1";
  CHECK(rig.sign_in.sign_in("a@b.c", kPassword, other).status().reason() == "wrong_credentials");
}
