// Goal: a token of an issuer stands for its person for as long as it is good and no longer, by the
// rules of a sign-in, and no forged one stands for anybody. Method: an issuer on a scripted
// upstream, identity over a store in memory, one change from the good token in each row.
#include "portal/bearers.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crypto.h"
#include "identity/people_rig.h"
#include "kv/keyspace.h"
#include "oauth/scripted_issuer.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

namespace {

constexpr int64_t kDayS = 86'400;

struct BearerRig : PeopleRig {
  explicit BearerRig(SignUp sign_up = SignUp::kOpen, const std::string& more = "",
                     size_t known_max = kBearersKnownMax) {
    auto read = Providers::read("{idp: {issuer: '" + issuer.url +
                                    "', client_id: kvcs, audience: 'urn:kvcs', cli_client_id: "
                                    "kvcs-cli, admins: [boss], role_claim: groups, role_map: "
                                    "{staff: acme/member}" +
                                    more + "}}",
                                issuer.upstream, issuer.clock, *issuer.entropy);
    INFO(read.status().to_string());
    REQUIRE(read.ok());
    providers = std::move(read).value();
    arrivals = std::make_unique<Arrivals>(Arrivals::Services{
        .people = people,
        .members = members,
        .organizations = organizations,
        .add_project = [](std::string_view, const AuditContext&) { return ok(); },
        .invitations = invitations,
        .sign_up = sign_up});
    bearers = std::make_unique<Bearers>(Bearers::Services{
        .providers = *providers,
        .arrivals = *arrivals,
        .people = people,
        .members = members,
        .first_project = [](std::string_view) -> Result<std::string> { return std::string("p1"); },
        .clock = issuer.clock,
        .known_max = known_max});
    doors.set_vouched_person([this](std::string_view token, std::string_view sha256_hex) {
      return bearers->find_person(token, sha256_hex);
    });
  }

  // The claims of a good access token, and those with one changed; null: the member goes.
  Json claims(const std::string& subject = "ada", const char* name = nullptr,
              const Json& value = nullptr) const {
    Json made{{"iss", issuer.url},
              {"sub", subject},
              {"aud", "kvcs-cli"},
              {"exp", issuer.clock.unix_s() + 300},
              {"iat", issuer.clock.unix_s()}};
    if (name != nullptr) made[name] = value;
    if (name != nullptr && value.is_null()) made.erase(name);
    return made;
  }
  std::string token(const Json& of) const { return issuer.key.token("k1", of, "at+jwt"); }
  std::string reason(const std::string& bearer) const {
    const Status refused = doors.authenticate(bearer).status();
    // What is said of a token does not hold it.
    CHECK(refused.message().find(bearer.substr(0, 40)) == std::string::npos);
    return refused.reason();
  }
  std::string id_of(const std::string& subject) const {
    return people.find_by_sign_in({issuer.url, subject}).value().id;
  }

  ScriptedIssuer issuer;
  InvitationService invitations{{*kv, audited, members, people, organizations, clock, *entropy}};
  std::unique_ptr<Providers> providers;
  std::unique_ptr<Arrivals> arrivals;
  std::unique_ptr<Bearers> bearers;
};

}  // namespace

TEST_CASE("bearers: the first one is a sign-in, and makes the person where the rules let it",
          "[unit][portal]") {
  BearerRig open;
  const Principal ada = open.doors.authenticate(open.token(open.claims())).value();
  CHECK(ada.kind == PrincipalKind::kPerson);
  CHECK(ada.person_id == open.id_of("ada"));
  CHECK(ada.session_id.empty());
  CHECK(ada.org_role == OrgRole::kOwner);
  CHECK(ada.scope == Scope::kAdmin);
  CHECK(ada.project_id == "p1");
  CHECK(ada.role == AdminRole::kNone);
  // Another token of the same subject is the same person.
  CHECK(open.doors.authenticate(open.token(open.claims("ada", "jti", "2")))->person_id ==
        ada.person_id);
  CHECK(open.doors.authenticate(open.token(open.claims("boss")))->role == AdminRole::kOwner);
  for (const char* audience : {"kvcs", "urn:kvcs"}) {
    CHECK(open.doors.authenticate(open.token(open.claims("ada", "aud", audience))).ok());
  }

  BearerRig invited(SignUp::kInvited);
  CHECK(invited.doors.authenticate(invited.token(invited.claims())).code() == Code::kForbidden);
  CHECK(invited.reason(invited.token(invited.claims())) == "sign_up_closed");
  const std::string acme = invited.organization("Acme").id;
  const Json staff = invited.claims("ada", "groups", Json{"staff"});
  CHECK(invited.doors.authenticate(invited.token(staff))->scope == Scope::kWrite);
  // A token that says nothing of groups takes nothing; one that says so takes what one gave.
  CHECK(invited.doors.authenticate(invited.token(invited.claims()))->scope == Scope::kWrite);
  const Json none = invited.claims("ada", "groups", Json::array());
  CHECK(invited.doors.authenticate(invited.token(none))->scope == Scope::kNone);
  CHECK(invited.members.roster(acme)->role_of(invited.id_of("ada")) == OrgRole::kNone);
}

TEST_CASE("bearers: a token stands for its person while the sign-in is the person's",
          "[unit][portal]") {
  BearerRig rig(SignUp::kInvited);
  const std::string acme = rig.organization("Acme").id;
  const std::string bearer = rig.token(rig.claims("ada", "groups", Json{"staff"}));
  const Principal ada = rig.doors.authenticate(bearer).value();
  REQUIRE(rig.people.add_sign_in(ada.person_id, {"https://other", "ada"}, rig.who).ok());
  REQUIRE(
      rig.people.remove_sign_in(ada.person_id, sign_in_id({rig.issuer.url, "ada"}), rig.who).ok());
  // By the rules it is somebody new from now on.
  const Result<Principal> now = rig.doors.authenticate(bearer);
  REQUIRE(now.ok());
  CHECK(now->person_id != ada.person_id);
  CHECK(rig.members.roster(acme)->role_of(ada.person_id) == OrgRole::kMember);
}

TEST_CASE("bearers: domains count by the address that is known", "[unit][portal]") {
  BearerRig rig(SignUp::kOpen, ", allowed_domains: [b.c]");
  CHECK(rig.reason(rig.token(rig.claims())) == "domain_not_allowed");
  Json told = rig.claims("ada", "email", "ada@b.c");
  CHECK(rig.reason(rig.token(told)) == "domain_not_allowed");
  told["email_verified"] = true;
  CHECK(rig.doors.authenticate(rig.token(told)).ok());
  CHECK(rig.doors.authenticate(rig.token(rig.claims())).ok());
  told["email"] = "ada@evil.c";
  CHECK(rig.reason(rig.token(told)) == "domain_not_allowed");
}

TEST_CASE("bearers: a forged, foreign or ended token is nobody's", "[unit][portal]") {
  BearerRig rig;
  const std::string good = rig.token(rig.claims());
  const auto with_header = [&](const std::string& header, const std::string& signature) {
    return to_base64url(header) + "." + to_base64url(dump_json(rig.claims())) + "." + signature;
  };
  const std::string public_key = dump_json(rig.issuer.key.jwk("k1"));
  const std::string hs256 =
      to_base64url(R"({"alg":"HS256","kid":"k1"})") + "." + to_base64url(dump_json(rig.claims()));
  const int64_t now_s = rig.issuer.clock.unix_s();
  TokenMaker other(oauth::JwsAlgorithm::kEdDsa);
  struct Row {
    const char* name;
    std::string token, reason;
  };
  const Row rows[] = {
      {"no signature", with_header(R"({"alg":"none"})", ""), "token_algorithm"},
      {"a signature of none", with_header(R"({"alg":"none"})", "AAAA"), "token_algorithm"},
      {"a MAC by the public key", hs256 + "." + to_base64url(hmac_sha256(public_key, hs256)),
       "token_algorithm"},
      {"another's key", other.token("k1", rig.claims(), "at+jwt"), "token_signature"},
      {"a changed signature", good.substr(0, good.size() - 4) + "AAAA", "token_signature"},
      {"an unknown key", other.token("k2", rig.claims(), "at+jwt"), "token_key_unknown"},
      {"a kid that is a path", other.token("../../keys", rig.claims()), "token_key_unknown"},
      {"another audience", rig.token(rig.claims("ada", "aud", "other")), "token_claims"},
      {"no audience", rig.token(rig.claims("ada", "aud")), "token_claims"},
      {"no subject", rig.token(rig.claims("ada", "sub")), "token_claims"},
      {"no end", rig.token(rig.claims("ada", "exp")), "token_claims"},
      {"ended", rig.token(rig.claims("ada", "exp", now_s - 61)), "token_expired"},
      {"not begun", rig.token(rig.claims("ada", "nbf", now_s + 61)), "token_not_yet_valid"},
      {"an ID token", rig.issuer.key.token("k1", rig.claims("ada", "nonce", "n")),
       "token_malformed"},
      {"a logout token", rig.issuer.key.token("k1", rig.issuer.logout_claims(), "logout+jwt"),
       "token_malformed"},
      {"another issuer", rig.token(rig.claims("ada", "iss", "https://evil")),
       "token_issuer_unknown"},
      {"another issuer by a slash", rig.token(rig.claims("ada", "iss", rig.issuer.url + "/")),
       "token_issuer_unknown"},
      {"no JSON", "eyJhbGciOi.eyJpc3MiOi.eyJj", "token_issuer_unknown"},
      {"too long", rig.token(rig.claims("ada", "pad", std::string(16 << 10, 'x'))),
       "invalid_api_key"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(rig.reason(row.token) == row.reason);
    CHECK(rig.doors.authenticate(row.token).code() == Code::kUnauthenticated);
  }
  CHECK(rig.people.find_by_sign_in({rig.issuer.url, "ada"}).code() == Code::kNotFound);
  CHECK(rig.doors.authenticate(good).ok());
  // A daemon without issuers says the same of all of them.
  CHECK(rig.auth.authenticate(good).status().reason() == "invalid_api_key");
}

TEST_CASE("bearers: a token is verified once, and looked at again with each request",
          "[unit][portal]") {
  BearerRig rig;
  Json of = rig.claims();
  of["exp"] = rig.issuer.clock.unix_s() + 5 * kDayS;
  const std::string known = rig.token(of);
  const std::string id = rig.doors.authenticate(known)->person_id;
  // The issuer is away, and what was kept of it is too old: only what is known goes on.
  rig.issuer.go_away();
  rig.issuer.clock.advance_ms(2 * kDayS * 1000);
  CHECK(rig.doors.authenticate(known)->person_id == id);
  CHECK(rig.reason(rig.token(rig.claims())) == "issuer_unavailable");
  CHECK(rig.doors.authenticate(rig.token(rig.claims())).code() == Code::kUnavailable);
  rig.issuer.come_back();
  rig.issuer.clock.advance_ms(60'000);
  const Principal caller = rig.doors.authenticate(known).value();
  CHECK(rig.doors.still_admits(caller).ok());
  CHECK(depends_on(caller, keyspace::person_profile(id)));
  const auto suspend = [](Person& person) -> Status {
    person.active = false;
    return ok();
  };
  REQUIRE(rig.people.update(id, suspend, rig.who).ok());
  CHECK(rig.reason(known) == "person_suspended");
  CHECK(rig.doors.still_admits(caller).reason() == "person_suspended");
  const auto let_in = [](Person& person) -> Status {
    person.active = true;
    return ok();
  };
  REQUIRE(rig.people.update(id, let_in, rig.who).ok());
  CHECK(rig.doors.authenticate(known).ok());
  rig.issuer.clock.advance_ms(3 * kDayS * 1000);
  CHECK(rig.reason(known) == "token_expired");
}

TEST_CASE("bearers: those of one person act in one place, where the person is a member",
          "[unit][portal]") {
  BearerRig rig;
  const std::string token = rig.token(rig.claims());
  const std::string first = rig.doors.authenticate(token)->organization_id;
  const std::string id = rig.id_of("ada");
  const std::string second = rig.organization("Second").id;
  REQUIRE(rig.members.add(second, id, OrgRole::kViewer, rig.who).ok());
  REQUIRE(rig.people.set_active_place(id, {second, "p2"}).ok());
  const std::string another = rig.token(rig.claims("ada", "jti", "2"));
  for (const std::string& one : {token, another}) {
    const Principal there = rig.doors.authenticate(one).value();
    CHECK(there.organization_id == second);
    CHECK(there.project_id == "p2");
    CHECK(there.scope == Scope::kRead);
  }
  REQUIRE(rig.members.remove(second, id, rig.who, anyhow).ok());
  CHECK(rig.doors.authenticate(token)->organization_id.empty());
  // The next token finds a place again: of several the one that has had the person for longest.
  for (int i = 0; i < 8; i++) {
    rig.pass(1);
    const std::string later = rig.organization("Later " + std::to_string(i)).id;
    REQUIRE(rig.members.add(later, id, OrgRole::kMember, rig.who).ok());
  }
  const std::string third = rig.token(rig.claims("ada", "jti", "3"));
  CHECK(rig.doors.authenticate(third)->organization_id == first);
  CHECK(rig.people.set_active_place("nobody", {}).reason() == "person_not_found");
}

TEST_CASE("bearers: so many are remembered and no more", "[unit][portal]") {
  constexpr int kMax = 3, kTokens = 8;
  BearerRig rig(SignUp::kOpen, "", kMax);
  std::vector<std::string> tokens;
  for (int i = 0; i < kTokens; i++) {
    tokens.push_back(rig.token(rig.claims("ada", "jti", std::to_string(i))));
  }
  // Where the person acts is looked at when a token is checked, and not for one that is known.
  int checked = 0;
  const std::string id = rig.doors.authenticate(tokens[0])->person_id;
  rig.fault = [&](std::string_view op, std::string_view key) -> Status {
    checked += op == "get" && key == keyspace::person_active(id);
    return ok();
  };
  const auto reads = [&](const std::string& token) {
    checked = 0;
    REQUIRE(rig.bearers->find_person(token, sha256_hex(token)).value() == id);
    return checked;
  };
  const int of_known = reads(tokens[0]), of_new = reads(tokens[1]);
  REQUIRE(of_known < of_new);
  for (const std::string& token : tokens) (void)reads(token);
  int known = 0;
  for (int i = kTokens - 1; i >= 0; i--) {
    if (reads(tokens[static_cast<size_t>(i)]) == of_known) known++;
  }
  CHECK(known > 0);
  CHECK(known <= kMax);
}
