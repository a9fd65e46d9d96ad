// Goal: who lost a password gets another by a link that is good once and for an hour, and nobody
// else gets in by it. Method: a whole daemon over HTTP; the service alone with a clock that is
// moved by hand, and mail that is kept instead of sent.
#include "portal/reset.h"

#include <nlohmann/json.hpp>

#include "identity/people_rig.h"
#include "kv/keyspace.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr const char* kFresh = "another violin under seven clouds";

std::string confirm_body(const std::string& token, const std::string& password = kFresh) {
  return R"({"token":")" + token + R"(","password":")" + password + "\"}";
}
std::string sign_in_body(const std::string& password) {
  return R"({"email":"ada@example.com","password":")" + password + "\"}";
}
std::string token_of(const std::string& url) {
  return url.substr(url.find("token=") + 6);
}

struct ResetRig : PeopleRig {
  portal::PasswordHasher hasher;
  std::vector<portal::Letter> letters;
  Status sent;  // What the mail server says.
  portal::Mailer mailer{[this](const portal::Letter& letter) {
                          letters.push_back(letter);
                          return sent;
                        },
                        clock, portal::Mailer::Runs::kWhenAsked};
  int64_t wait_s = 0;
  int looks_until_lost = 1'000;  // The right of a link's maker.
  std::vector<std::string> forgiven;
  portal::ResetService reset{{.kv = *kv,
                              .audited = audited,
                              .people = people,
                              .sessions = sessions,
                              .hasher = hasher,
                              .clock = clock,
                              .entropy = *entropy,
                              .public_url = [] { return std::string("https://kvcs.example"); },
                              .take_try = [this](std::string_view) { return wait_s; },
                              .forgive = [this](std::string_view w) { forgiven.emplace_back(w); },
                              .may_still = [this](std::string_view maker) -> Result<bool> {
                                return looks_until_lost-- > 0 && KVCS_TRY(doors.may_still(maker));
                              },
                              .mailer = &mailer}};
  const portal::Caller caller{"127.0.0.1", "test", "r1"};
  const Secret fresh{kFresh};

  Person account(const std::string& email) {
    Person wanted;
    wanted.name = wanted.email = email;
    return people.create(wanted, {"local", email}, "old hash", who).value();
  }
  std::string reason(const std::string& token, const std::string& password = kFresh) {
    return reset.use(Secret(token), Secret(password), caller).reason();
  }
};

}  // namespace

TEST_CASE("reset: an operator's link gives a password once and ends all sessions",
          "[contract][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  const std::string id = json_of(ada.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  const std::string path = "/admin/people/" + id + "/reset-link";
  CHECK(app.call("POST", path).status == 401);
  CHECK(app.as_owner("POST", "/admin/people/nobody/reset-link").status == 404);
  const Json first = json_of(app.as_owner("POST", path));
  const Json link = json_of(app.as_owner("POST", path));
  const std::string url = link["reset_url"].get<std::string>();
  CHECK(url.starts_with(ada.origin() + "/#/reset?token="));
  const std::string token = token_of(url);
  // The one before is good no longer, and the store does not hold the token.
  CHECK(app.call("POST", "/auth/reset/confirm", {},
                 confirm_body(token_of(first["reset_url"].get<std::string>())))
            .status == 401);
  const std::string secret = token.substr(token.find('.') + 1);
  const KvPage all = app.parts().kv->scan(KvFamily::kConfig, "", "", 1000).value();
  for (const KvItem& item : all.items) {
    CHECK(item.entry.value.find(secret) == std::string::npos);
  }
  // Somebody who guessed has locked this address out; the link takes that back.
  int refused = 0;
  for (int i = 0; i < 15; i++) {
    refused += app.call("POST", "/auth/login", {}, sign_in_body("wrong")).status == 429;
  }
  CHECK(refused > 0);
  CHECK(app.call("POST", "/auth/reset/confirm", {{"Origin", "http://evil.example"}},
                 confirm_body(token))
            .status == 403);
  CHECK(app.call("POST", "/auth/reset/confirm", {}, confirm_body(token, "password1")).status ==
        400);
  CHECK(app.call("POST", "/auth/reset/confirm", {}, confirm_body(token)).status == 204);
  CHECK(app.call("POST", "/auth/reset/confirm", {}, confirm_body(token)).status == 401);
  CHECK(ada.send("GET", "/api/v1/me").status == 401);
  CHECK(app.call("POST", "/auth/login", {}, sign_in_body(kGoodPassword)).status == 401);
  CHECK(app.call("POST", "/auth/login", {}, sign_in_body(kFresh)).status == 200);
  // What operators do stays in the audit, a new password by a link too.
  const Json audit = json_of(app.as_owner("GET", "/admin/audit?limit=1000"))["audit"];
  CHECK(std::any_of(audit.begin(), audit.end(), [&](const Json& row) {
    return row["actor"] == "reset-link:" + id && row["source"] == "operator sign-in";
  }));
  // Without mail the address of an account is told to nobody either.
  for (const char* email : {"ada@example.com", "nobody@example.com"}) {
    const RawResponse asked =
        app.call("POST", "/auth/reset", {}, R"({"email":")" + std::string(email) + "\"}");
    CHECK(asked.status == 409);  // Reason mail_not_configured.
    CHECK(asked.body.find("reset-link EMAIL") != std::string::npos);
  }
}

TEST_CASE("reset: each refusal has its reason", "[unit][portal]") {
  ResetRig rig;
  const Person ada = rig.account("ada@b.c");
  const Person other = rig.person("other");
  CHECK(rig.reset.make("nobody", rig.who).status().reason() == "person_not_found");
  CHECK(rig.reset.make(other.id, rig.who).status().reason() == "no_password");
  const auto link = [&] { return token_of(rig.reset.make(ada.id, rig.who)->url); };
  const std::string token = link();
  for (const std::string& wrong : {std::string("x"), std::string("."), ada.id + ".", ada.id,
                                   other.id + token.substr(36), token + "x", "../" + token}) {
    INFO(wrong);
    CHECK(rig.reason(wrong) == "reset_token_invalid");
  }
  CHECK(rig.reason(token, "password1") == "password_guessable");
  rig.wait_s = 3;
  CHECK(rig.reason(token) == "too_many_tries");
  rig.wait_s = 0;
  rig.session(ada);
  CHECK(rig.reason(token).empty());
  CHECK(rig.sessions.list(ada.id)->empty());
  CHECK(rig.forgiven.size() == 1);
  CHECK(rig.reason(token) == "reset_token_invalid");
  // A link is for the password that there was.
  const std::string before = link();
  const std::string known = rig.people.password_hash(ada.id).value();
  REQUIRE(rig.people.set_password_hash(ada.id, known, "another", rig.who).ok());
  CHECK(rig.reason(before) == "reset_token_invalid");
  const std::string late = link();
  rig.pass(portal::kResetLinkLifetimeS);
  CHECK(rig.reason(late) == "reset_token_invalid");
}

TEST_CASE("reset: a maker who loses the right while the password is hashed has made nothing",
          "[unit][portal]") {
  ResetRig rig;
  const Person ada = rig.account("ada@b.c");
  rig.session(ada);
  const std::string token = token_of(rig.reset.make(ada.id, rig.who)->url);
  for (const int looks : {0, 1}) {
    rig.looks_until_lost = looks;
    CHECK(rig.reason(token) == "reset_token_invalid");
  }
  CHECK(rig.people.password_hash(ada.id).value() == "old hash");
  CHECK(rig.sessions.list(ada.id)->size() == 1);
  rig.looks_until_lost = 2;
  CHECK(rig.reason(token).empty());
}

TEST_CASE("reset: a link and a change of the password at once leave one of the two",
          "[fault][portal]") {
  ResetRig rig;
  const Person ada = rig.account("ada@b.c");
  const std::string token = token_of(rig.reset.make(ada.id, rig.who)->url);
  // A whole change comes between the link's last look and its write.
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "cas" || key != keyspace::person_reset(ada.id)) return ok();
    rig.fault = nullptr;
    KvBatch change;
    change.remove(KvFamily::kConfig, keyspace::person_reset(ada.id));
    change.put(KvFamily::kConfig, keyspace::person_password(ada.id), "changed");
    REQUIRE(rig.memory->write(change, KvDurability::kSynced).ok());
    return ok();
  };
  CHECK(rig.reason(token) == "reset_token_invalid");
  CHECK(rig.people.password_hash(ada.id).value() == "changed");
  // And the link between a change's comparison and its write.
  const std::string next = token_of(rig.reset.make(ada.id, rig.who)->url);
  const std::string known = rig.people.password_hash(ada.id).value();
  CHECK(rig.reason(next).empty());
  CHECK(rig.people.set_password_hash(ada.id, known, "late", rig.who).reason() ==
        "password_changed");
  CHECK(rig.people.password_hash(ada.id).value() != "late");
}

TEST_CASE("reset: a link of a clock that was ahead is none, for its use and for the next letter",
          "[fault][portal]") {
  ResetRig rig;
  const Person ada = rig.account("ada@b.c");
  const std::string token = token_of(rig.reset.make(ada.id, rig.who)->url);
  const auto ask = [&] {
    CHECK(rig.reset.send("ada@b.c", rig.caller).ok());
    rig.mailer.run_due();
    return rig.letters.size();
  };
  rig.clock.set_unix_ms(rig.clock.unix_ms() - 1000);
  CHECK(rig.reason(token) == "reset_token_invalid");
  rig.clock.set_unix_ms(rig.clock.unix_ms() + 1000);
  CHECK(ask() == 1);  // No letter has gone out.
  CHECK(ask() == 1);  // It is young still.
  rig.clock.set_unix_ms(rig.clock.unix_ms() - 1000);
  CHECK(ask() == 2);
}

TEST_CASE("reset: mail goes to accounts that are there, and not again and again",
          "[unit][portal]") {
  ResetRig rig;
  rig.account("ada@b.c");
  Person gone = rig.account("gone@b.c");
  const auto suspend = [](Person& person) -> Status {
    person.active = false;
    return ok();
  };
  REQUIRE(rig.people.update(gone.id, suspend, rig.who).ok());
  const auto ask = [&](const std::string& email) {
    CHECK(rig.reset.send(email, rig.caller).ok());
    CHECK(rig.kv->scan(KvFamily::kConfig, "person:", "", 100)->items.size() < 100);
    rig.mailer.run_due();
    return rig.letters.size();
  };
  CHECK(ask("nobody@b.c") == 0);
  CHECK(ask("gone@b.c") == 0);
  CHECK(ask("Ada@B.c") == 1);
  const std::string text = rig.letters[0].text;
  const size_t at = text.find("token=") + 6;
  const std::string token = text.substr(at, text.find('\n', at) - at);
  // Whoever asks for it again spoils nothing.
  CHECK(ask("ada@b.c") == 1);
  CHECK(rig.reason(token).empty());
  CHECK(ask("ada@b.c") == 2);
  rig.pass(portal::kResetMailGapS + 1);
  CHECK(ask("ada@b.c") == 3);
  CHECK(rig.letters[2].to == "ada@b.c");
  rig.wait_s = 5;
  CHECK(rig.reset.send("ada@b.c", rig.caller).reason() == "too_many_tries");
  rig.wait_s = 0;
  for (size_t i = 0; i < portal::kLettersMax; i++) {
    if (!rig.reset.send("ada@b.c", rig.caller).ok()) break;
  }
  CHECK(rig.reset.send("ada@b.c", rig.caller).reason() == "mail_busy");
}

TEST_CASE("reset: a mail that did not go out holds up no other", "[fault][portal]") {
  ResetRig rig;
  rig.account("ada@b.c");
  const auto ask = [&] {
    CHECK(rig.reset.send("ada@b.c", rig.caller).ok());
    return rig.mailer.run_due();
  };
  const auto token = [&] {
    const std::string text = rig.letters.back().text;
    const size_t at = text.find("token=") + 6;
    return text.substr(at, text.find('\n', at) - at);
  };
  rig.sent = unavailable("The mail server is away.");
  ask();
  const std::string first = token();
  // While it is tried again its link is the one.
  ask();
  CHECK(token() == first);
  while (rig.mailer.run_due() >= 0) rig.clock.advance_ms(portal::kLetterRetryMs);
  CHECK(rig.letters.size() == portal::kLetterAttemptsMax);
  rig.sent = ok();
  ask();
  CHECK(rig.letters.size() == portal::kLetterAttemptsMax + 1);
  CHECK(token() != first);
  CHECK(rig.reason(first) == "reset_token_invalid");
  // That one went out.
  ask();
  CHECK(rig.letters.size() == portal::kLetterAttemptsMax + 1);
  CHECK(rig.reason(token()).empty());
}

TEST_CASE("reset: nobody spoils an operator's link by asking for a mail", "[unit][portal]") {
  ResetRig rig;
  const Person ada = rig.account("ada@b.c");
  const CreatedKey key = rig.key(rig.owner(PrincipalKind::kAdminKey, {}));
  const Principal maker = rig.authenticate(key).value();
  const auto link = rig.reset.make(ada.id, rig.who, maker_text(maker, AdminRole::kAdmin));
  rig.pass(portal::kResetMailGapS + 1);
  CHECK(rig.reset.send("ada@b.c", rig.caller).ok());
  rig.mailer.run_due();
  CHECK(rig.letters.empty());
  CHECK(rig.reason(token_of(link->url)).empty());
}

TEST_CASE("reset: a session that the old password began meanwhile ends with it",
          "[fault][portal]") {
  ResetRig rig;
  const Person ada = rig.account("ada@b.c");
  const std::string token = token_of(rig.reset.make(ada.id, rig.who)->url);
  NewSession wanted;
  wanted.person_id = ada.id;
  int begun = 0;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "cas" || key != keyspace::person_reset(ada.id)) return ok();
    begun++;
    const auto write = [&](const KvBatch& records) {
      return rig.memory->write(records, KvDurability::kSynced);
    };
    return rig.sessions.start(wanted, rig.who, write).status();
  };
  CHECK(rig.reason(token).empty());
  CHECK(begun == 1);
  CHECK(rig.sessions.list(ada.id)->empty());
}
