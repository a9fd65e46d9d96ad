// Goal: each refusal of the portal's services is the one that it should be. Method: the services
// over a store in memory, with a password hasher that hashes for real.
#include "portal/sign_in.h"

#include <atomic>
#include <stdexcept>
#include <thread>

#include "identity/browser_session.h"
#include "identity/people_rig.h"
#include "kv/keyspace.h"
#include "portal/invitations.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

namespace {

const Secret kPassword("correct horse battery staple");

std::string from_base32(std::string_view text) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string bytes;
  uint32_t kept = 0;
  int bits = 0;
  for (const char c : text) {
    kept = kept << 5 | static_cast<uint32_t>(kLetters.find(c));
    if ((bits += 5) < 8) continue;
    bytes += static_cast<char>(kept >> (bits -= 8) & 0xff);
  }
  return bytes;
}

struct PortalRig : PeopleRig {
  explicit PortalRig(SignUp sign_up_ = SignUp::kInvited) : sign_up(sign_up_) {}

  const SignUp sign_up;
  PasswordHasher hasher;
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  TotpService totp{*kv,   audited,  sealer,
                   clock, *entropy, [this](std::string_view) { return wait_s; }};
  InvitationService invitations{{*kv, audited, members, people, organizations, clock, *entropy}};
  int64_t wait_s = 0;  // Until the next try.
  SignInService sign_in{
      {.kv = *kv,
       .audited = audited,
       .people = people,
       .members = members,
       .sessions = sessions,
       .hasher = hasher,
       .totp = totp,
       .tickets = oauth::TicketStore(*kv, sealer, clock),
       .entropy = *entropy,
       .clock = clock,
       .find_organization = [](std::string_view) -> Result<std::string> { return not_found("x"); },
       .first_project = [](std::string_view) -> Result<std::string> { return std::string(); },
       .take_try = [this](std::string_view, int64_t) { return wait_s; },
       .sign_up = sign_up}};
  const Caller caller{"127.0.0.1", "test", "r1", Secret()};

  void put_setup_token(const std::string& token) {
    REQUIRE(kv->write(setup_token_record(token, clock.unix_s()), KvDurability::kSynced).ok());
  }
  NewAccount account(const std::string& email) const { return {email, "", kPassword}; }
};

}  // namespace

TEST_CASE("passwords: those that are guessed first are refused", "[unit][portal]") {
  for (const char* weak : {"password", "12345678", "qwertyuiop", "ada.lovelace", "iloveyou1"}) {
    INFO(weak);
    CHECK(check_new_password(Secret(weak), {"ada.lovelace@example.com", "ada.lovelace"}).reason() ==
          "password_guessable");
  }
  CHECK(check_new_password(Secret("seven77"), {}).reason() == "password_length");
  CHECK(check_new_password(Secret(std::string(1001, 'x')), {}).reason() == "password_length");
  CHECK(check_new_password(kPassword, {}).ok());
  CHECK(check_new_password(Secret("Ub9!hq-27zL"), {}).ok());
}

TEST_CASE("passwords: a hash fits its password alone", "[unit][portal]") {
  PasswordHasher hasher;
  const std::string hash = hasher.hash(kPassword, "a").value();
  // What an account that is not there is compared with has the same cost.
  CHECK(hash.starts_with("$argon2id$v=19$m=65536,t=2,p=1$"));
  CHECK(hasher.hash(kPassword, "a").value() != hash);
  CHECK(hasher.fits(kPassword, hash, "a").value());
  CHECK_FALSE(hasher.fits(Secret("other"), hash, "a").value());
  CHECK_FALSE(hasher.fits(kPassword, "", "a").value());
  CHECK_FALSE(hasher.fits(kPassword, "no hash", "a").value());
}

TEST_CASE("passwords: so many wait and no more", "[fault][portal]") {
  PasswordHasher hasher;
  std::atomic<int> busy{0}, hashed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 60; i++) {
    threads.emplace_back([&, i] {
      const Result<std::string> hash = hasher.hash(kPassword, std::to_string(i));
      if (hash.ok()) hashed++;
      if (hash.status().reason() == "sign_in_busy") busy++;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(busy > 0);
  CHECK(hashed >= 32);
  CHECK(busy + hashed == 60);
}

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
  REQUIRE(rig.people.set_password_hash(id, rig.hasher.hash(kPassword).value(), rig.who).ok());
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

TEST_CASE("invitations: each refusal has its reason", "[unit][portal]") {
  PortalRig rig;
  const std::string org = rig.organization().id;
  Person ada = rig.person("ada");
  ada.email = "ada@b.c";
  ada.email_verified_by = "idp";
  const Person owner = rig.person("owner");
  REQUIRE(rig.members.add(org, owner.id, OrgRole::kOwner, rig.who).ok());
  Invitation wanted;
  wanted.organization_id = org;
  wanted.invited_by = owner.id;
  wanted.role = OrgRole::kMember;
  const CreatedInvitation made = rig.invitations.create(wanted, rig.who).value();
  CHECK(rig.invitations.accept(Secret("other"), ada, rig.who).status().reason() ==
        "invitation_invalid");
  rig.pass(kInvitationLifetimeS);
  CHECK(rig.invitations.accept(made.token, ada, rig.who).status().reason() == "invitation_invalid");
  const auto anyhow = [](OrgRole) { return ok(); };
  CHECK(rig.invitations.withdraw(org, made.invitation.id, anyhow, rig.who).reason() ==
        "invitation_not_found");
  wanted.email = "eve@b.c";
  const CreatedInvitation named = rig.invitations.create(wanted, rig.who).value();
  CHECK(rig.invitations.accept(named.token, ada, rig.who).status().reason() ==
        "invitation_for_another");
  CHECK(rig.sign_in
            .register_account(
                rig.account("ada@b.c"), "eve@b.c",
                [](const Person&, const AuditContext&, const KvBatch&) { return ok(); }, rig.caller)
            .status()
            .reason() == "invitation_for_another");
  for (size_t i = 1; i < kInvitationsPerOrganizationMax; i++) {
    REQUIRE(rig.invitations.create(wanted, rig.who).ok());
  }
  CHECK(rig.invitations.create(wanted, rig.who).status().reason() == "invitations_full");
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
  const BrowserRules rules{[] { return std::vector<std::string>{"https://kvcs.example"}; }};
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
  // Over TLS the plain name, which a page without TLS could have set, says nothing.
  CHECK(find(kGet, {{"Cookie", "kvcs_session=" + token}}).code() == Code::kUnauthenticated);
  CHECK(find(kPost, {{"Cookie", cookie}, {"Authorization", "Bearer other"}}).value() == "other");
}
