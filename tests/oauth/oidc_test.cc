// Goal: a sign-in ends in an identity only when this issuer says so, to this daemon, about this
// sign-in; its endpoints are found and its keys change without a restart; and while it is away
// nothing waits long and nothing good stops. Method: an issuer on a scripted upstream, a clock
// moved by hand, one change from the good case in each row.
#include "oauth/oidc.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <thread>

#include "base/bytes.h"
#include "base/json.h"
#include "oauth/authorization.h"
#include "oauth/scripted_issuer.h"

using namespace kvcs;
using namespace kvcs::oauth;
using kvcs::test::ScriptedIssuer;

namespace {

constexpr const char* kCallback = "https://kvcs.example.com/auth/callback";

std::map<std::string, std::string> query_of(const std::string& url) {
  std::map<std::string, std::string> query;
  for (const std::string_view pair : split(std::string_view(url).substr(url.find('?') + 1), '&')) {
    const size_t equals = pair.find('=');
    query[std::string(pair.substr(0, equals))] =
        percent_decode(pair.substr(equals + 1), true).value();
  }
  return query;
}

}  // namespace

TEST_CASE("oidc: a sign-in leads to the issuer with state, nonce and PKCE", "[unit][oauth]") {
  ScriptedIssuer rig;
  rig.config.scopes = {"email", "groups"};
  const SignInStart start = rig.issuer().begin_sign_in(kCallback).value();
  CHECK(start.url.starts_with("https://id.example.com/realm/authorize?"));
  auto query = query_of(start.url);
  CHECK(query["response_type"] == "code");
  CHECK(query["client_id"] == "kvcs");
  CHECK(query["redirect_uri"] == kCallback);
  CHECK(query["scope"] == "openid email groups");
  CHECK(query["state"] == start.state);
  CHECK(query["nonce"] == start.nonce);
  CHECK(query["code_challenge"] == pkce_challenge(start.verifier));
  CHECK(query["code_challenge_method"] == "S256");
  const SignInStart again = rig.issuer().begin_sign_in(kCallback).value();
  for (const std::string& one : {start.state, start.nonce, start.verifier}) {
    CHECK(one.size() == 43);  // 256 bits.
    for (const std::string& other : {again.state, again.nonce, again.verifier}) {
      CHECK(one != other);
    }
  }
  CHECK(rig.upstream.seen_count() == 1);  // The metadata is kept.
}

TEST_CASE("oidc: a sign-in ends with who it was, by ID token and UserInfo", "[unit][oauth]") {
  ScriptedIssuer rig;
  const std::string token = rig.token(rig.claims());
  const Result<Identity> identity = rig.sign_in(token);
  INFO(identity.status().to_string());
  REQUIRE(identity.ok());
  CHECK(identity.value().issuer == rig.url);
  CHECK(identity.value().subject == "ada");
  CHECK(identity.value().email == "ada@example.com");
  CHECK(identity.value().email_verified);
  CHECK(identity.value().name == "Ada");
  CHECK(identity.value().claims.json()["groups"][0] == "staff");
  for (const test::SeenRequest& seen : rig.upstream.seen()) {
    CHECK(seen.allow_private_addresses);  // The origin that the operator named.
    if (seen.url == rig.url + "/userinfo") {
      CHECK(seen.header("authorization") == "Bearer access-secret-1");
    }
    if (seen.method != "POST") continue;
    auto form = query_of("?" + seen.body);
    CHECK(seen.url == rig.url + "/token");
    CHECK(form["grant_type"] == "authorization_code");
    CHECK(form["code"] == "code-secret-1");
    CHECK(form["redirect_uri"] == kCallback);
    CHECK(form["code_verifier"] == "verifier-secret-1");
    CHECK(seen.header("authorization") == "Basic " + to_base64("kvcs:client-secret-1"));
  }
}

TEST_CASE("oidc: what the token endpoint gives must be an ID token of this sign-in",
          "[unit][oauth]") {
  ScriptedIssuer rig;
  const test::TokenMaker stranger(JwsAlgorithm::kEdDsa);
  const Json good = rig.claims();
  struct Row {
    std::string token;
    std::string_view reason;
  };
  const Row rows[] = {
      {rig.token(rig.claims_with("nonce", "n-2")), kTokenClaims},
      {rig.token(rig.claims_with("nonce", nullptr)), kTokenClaims},
      {rig.token(rig.claims_with("iss", "https://id.example.com/other")), kTokenClaims},
      {rig.token(rig.claims_with("aud", "other")), kTokenClaims},
      {rig.token(rig.claims_with("aud", Json::array({"kvcs", "other"}))), kTokenClaims},
      {rig.token(rig.claims_with("azp", "other")), kTokenClaims},
      {rig.token(rig.claims_with("sub", nullptr)), kTokenClaims},
      {rig.token(rig.claims_with("iat", nullptr)), kTokenClaims},
      {rig.token(rig.claims_with("exp", nullptr)), kTokenClaims},
      {rig.token(rig.claims_with("exp", rig.clock.unix_s() - 60)), kTokenExpired},
      {rig.token(rig.claims_with("nbf", rig.clock.unix_s() + 61)), kTokenEarly},
      {rig.token(rig.claims_with("iat", rig.clock.unix_s() + 61)), kTokenEarly},
      {rig.token(good, "at+jwt"), kTokenMalformed},
      {rig.token(good, "application/logout+jwt"), kTokenMalformed},
      {stranger.token("k1", good), kTokenSignature},
      {rig.key.sign(R"({"alg":"none"})", dump_json(good)), kTokenAlgorithm},
      {"not.a.token", kTokenClaims},
  };
  for (const Row& row : rows) {
    const Status status = rig.sign_in(row.token).status();
    INFO(status.to_string());
    CHECK(status.code() == Code::kUnauthenticated);
    CHECK(status.reason() == row.reason);
  }
  CHECK(rig.asked("/userinfo") == 0);
  CHECK(rig.sign_in(rig.token(rig.claims_with("exp", rig.clock.unix_s() - 59))).ok());
  CHECK(rig.sign_in(rig.token(rig.claims_with("iat", rig.clock.unix_s() + 60))).ok());
  CHECK(rig.sign_in("").status().reason() == kIssuerRefused);
}

TEST_CASE("oidc: an answer of another issuer is not exchanged", "[unit][oauth]") {
  ScriptedIssuer rig;
  rig.next_tokens(rig.token(rig.claims()));
  SignInAnswer answer = ScriptedIssuer::browser_answer();
  for (const std::string& other :
       {std::string("https://evil.example"), rig.url + "/", std::string()}) {
    answer.issuer = other;
    CHECK(rig.issuer().finish_sign_in(answer).code() == Code::kInvalid);
  }
  CHECK(rig.asked("/token") == 0);
  answer.issuer = rig.url;
  CHECK(rig.issuer().finish_sign_in(answer).ok());
  // An issuer that names itself in each answer must do so in this one.
  ScriptedIssuer naming;
  naming.set_metadata("authorization_response_iss_parameter_supported", true);
  naming.next_tokens(naming.token(naming.claims()));
  answer.issuer.reset();
  CHECK(naming.issuer().finish_sign_in(answer).code() == Code::kInvalid);
  CHECK(naming.asked("/token") == 0);
  answer.issuer = naming.url;
  CHECK(naming.issuer().finish_sign_in(answer).ok());
}

TEST_CASE("oidc: an address is verified by whoever gives it, and by nobody else", "[unit][oauth]") {
  struct Row {
    Json token, info;  // email and email_verified of each.
    std::string email;
    bool verified;
  };
  const Json none = Json::object();
  const auto one = [](const Json& email, const Json& verified) {
    Json both = Json::object();
    if (!email.is_null()) both["email"] = email;
    if (!verified.is_null()) both["email_verified"] = verified;
    return both;
  };
  const Row rows[] = {
      {one("a@x", true), none, "a@x", true},
      {one("a@x", false), none, "a@x", false},
      {one("a@x", nullptr), none, "a@x", false},
      {one("a@x", "true"), none, "a@x", false},
      {one("a@x", 1), none, "a@x", false},
      {none, one("b@x", true), "b@x", true},
      {none, one("b@x", nullptr), "b@x", false},
      {one("a@x", nullptr), one("b@x", true), "a@x", false},
      {one("a@x", false), one("a@x", true), "a@x", false},
      {one(nullptr, true), one("b@x", nullptr), "b@x", false},
      {one(nullptr, true), one("b@x", false), "b@x", false},
      {none, one(nullptr, true), "", false},
      {one("a@x\n", true), none, "", false},
      {one(std::string(321, 'a'), true), none, "", false},
      {one(7, true), none, "", false},
      {none, none, "", false},
  };
  ScriptedIssuer rig;
  for (const Row& row : rows) {
    Json claims = rig.claims();
    claims.erase("email");
    claims.erase("email_verified");
    claims.update(row.token);
    Json info = {{"sub", "ada"}};
    info.update(row.info);
    rig.answer("/userinfo", 200, dump_json(info));
    const Result<Identity> identity = rig.sign_in(rig.token(claims));
    INFO(dump_json(claims) << dump_json(info) << identity.status().to_string());
    REQUIRE(identity.ok());
    CHECK(identity.value().email == row.email);
    CHECK(identity.value().email_verified == row.verified);
  }
}

TEST_CASE("oidc: UserInfo speaks of the same subject, or the sign-in fails", "[unit][oauth]") {
  ScriptedIssuer rig;
  const std::string token = rig.token(rig.claims());
  struct Row {
    int status;
    std::string body, content_type;
    std::string_view reason;
  };
  const Row rows[] = {
      {200, R"({"sub":"eve","groups":["admins"]})", "application/json", kIssuerRefused},
      {200, R"({"groups":["admins"]})", "application/json", kIssuerRefused},
      {200, "[]", "application/json", kIssuerRefused},
      {200, R"({"sub":"ada"})", "application/jwt", kIssuerRefused},
      {401, R"({"sub":"ada"})", "application/json", kIssuerRefused},
      {302, R"({"sub":"ada"})", "application/json", kIssuerRefused},
      {500, R"({"sub":"ada"})", "application/json", kIssuerUnavailable},
      {429, R"({"sub":"ada"})", "application/json", kIssuerUnavailable},
  };
  for (const Row& row : rows) {
    rig.answer("/userinfo", row.status, row.body, row.content_type);
    const Status status = rig.sign_in(token).status();
    INFO(status.to_string());
    CHECK(status.reason() == row.reason);
  }
  // What the token says is not overwritten.
  rig.answer("/userinfo", 200, R"({"sub":"ada","iss":"https://evil.example","name":"Eve"})");
  const Result<Identity> identity = rig.sign_in(token);
  CHECK(identity.value().issuer == rig.url);
  CHECK(identity.value().name == "Ada");
  ScriptedIssuer without;
  without.set_metadata("userinfo_endpoint", nullptr);
  CHECK(without.sign_in(without.token(without.claims())).ok());
}

TEST_CASE("oidc: a refused exchange says whose turn it is, and repeats no secret",
          "[unit][oauth]") {
  ScriptedIssuer rig;
  struct Row {
    int status;
    std::string body;
    Code code;
    std::string_view reason;
  };
  const Row rows[] = {
      {400, R"({"error":"invalid_grant","error_description":"code-secret-1 is used"})",
       Code::kInvalid, kCodeRefused},
      {401, R"({"error":"invalid_client","error_description":"client-secret-1"})", Code::kUpstream,
       kIssuerRefused},
      {400, R"({"error":"redirect_uri_mismatch","error_description":"verifier-secret-1"})",
       Code::kUpstream, kIssuerRefused},
      {503, "busy", Code::kUnavailable, kIssuerUnavailable},
      {200, "<html>", Code::kUnavailable, kIssuerUnavailable},
  };
  for (const Row& row : rows) {
    rig.answer("/token", row.status, row.body);
    const Status status = rig.issuer().finish_sign_in(ScriptedIssuer::browser_answer()).status();
    INFO(status.to_string());
    CHECK(status.code() == row.code);
    CHECK(status.reason() == row.reason);
    CHECK(status.to_string().find("secret-1") == std::string::npos);
  }
}

TEST_CASE("oidc: a bearer counts for this daemon's client or audience alone", "[unit][oauth]") {
  ScriptedIssuer rig;
  rig.config.audience = "api://kvcs";
  const auto bearer = [&](const char* name, const Json& value) {
    Json claims = rig.claims_with("nonce", nullptr);
    claims[name] = value;
    return claims;
  };
  const Json plain = bearer("scope", "openid");
  const Result<Identity> identity = rig.issuer().verify_bearer(rig.token(plain));
  REQUIRE(identity.ok());
  CHECK(identity.value().subject == "ada");
  CHECK(identity.value().email_verified);
  CHECK(rig.asked("/userinfo") == 0);
  const auto reason = [&](const std::string& token) {
    return rig.issuer().verify_bearer(token).status().reason();
  };
  CHECK(reason(rig.token(bearer("aud", "api://kvcs"))).empty());
  CHECK(reason(rig.token(bearer("aud", Json::array({"x", "api://kvcs"})))).empty());
  CHECK(reason(rig.token(bearer("azp", "kvcs-cli"))).empty());
  CHECK(reason(rig.token(bearer("iat", rig.clock.unix_s() - 10), "at+jwt")).empty());
  CHECK(reason(rig.token(rig.claims(), "at+jwt")).empty());
  CHECK(reason(rig.token(bearer("aud", "account"))) == kTokenClaims);
  CHECK(reason(rig.token(bearer("sub", ""))) == kTokenClaims);
  CHECK(reason(rig.token(bearer("exp", rig.clock.unix_s() - 60))) == kTokenExpired);
  // Tokens for other uses, which pass through browsers and logs.
  CHECK(reason(rig.token(rig.claims())) == kTokenMalformed);
  CHECK(reason(rig.token(bearer("at_hash", "x"))) == kTokenMalformed);
  CHECK(reason(rig.token(bearer("c_hash", "x"))) == kTokenMalformed);
  CHECK(reason(rig.token(rig.logout_claims())) == kTokenMalformed);
  CHECK(reason(rig.token(plain, "logout+jwt")) == kTokenMalformed);
  // Somebody else's token makes nobody ask for keys.
  ScriptedIssuer other;
  CHECK(other.issuer()
            .verify_bearer(rig.token(bearer("iss", "https://evil.example")))
            .status()
            .reason() == kTokenClaims);
  CHECK(other.issuer().verify_bearer("kv_0123").status().reason() == kTokenClaims);
  CHECK(other.upstream.seen_count() == 0);
}

TEST_CASE("oidc: the end of a session leads to the issuer's page for it", "[unit][oauth]") {
  ScriptedIssuer rig;
  const std::string url = rig.issuer().end_session_url("https://kvcs.example.com/").value();
  CHECK(url.starts_with(rig.url + "/logout?"));
  auto query = query_of(url);
  CHECK(query["client_id"] == "kvcs");
  CHECK(query["post_logout_redirect_uri"] == "https://kvcs.example.com/");
  CHECK(rig.issuer().end_session_url("").value() == rig.url + "/logout?client_id=kvcs");
  ScriptedIssuer without;
  without.set_metadata("end_session_endpoint", nullptr);
  const Status none = without.issuer().end_session_url("").status();
  CHECK(none.code() == Code::kNotFound);
  CHECK(none.reason() == kNoEndSession);
  ScriptedIssuer with_query;
  with_query.set_metadata("end_session_endpoint", with_query.url + "/logout?tenant=1");
  CHECK(with_query.issuer().end_session_url("").value() ==
        with_query.url + "/logout?tenant=1&client_id=kvcs");
}

TEST_CASE("oidc: a logout token names a session, once, and within minutes", "[unit][oauth]") {
  ScriptedIssuer rig;
  const auto reason = [&](const Json& claims, std::string_view type = "logout+jwt") {
    return rig.issuer().verify_logout_token(rig.token(claims, type)).status().reason();
  };
  const auto with = [&](const char* name, const Json& value) {
    static int next = 100;
    Json claims = rig.logout_claims();
    claims["jti"] = "t-" + std::to_string(next++);
    claims[name] = value;
    if (value.is_null()) claims.erase(name);
    return claims;
  };
  const Result<Logout> logout =
      rig.issuer().verify_logout_token(rig.token(rig.logout_claims(), "logout+jwt"));
  INFO(logout.status().to_string());
  REQUIRE(logout.ok());
  CHECK(logout.value().subject == "ada");
  CHECK(logout.value().session_id == "s-1");
  CHECK(reason(rig.logout_claims()) == kTokenClaims);  // The same again.
  CHECK(reason(with("sid", nullptr)).empty());
  CHECK(reason(with("sub", nullptr)).empty());
  CHECK(reason(with("exp", nullptr)).empty());
  CHECK(reason(with("iat", rig.clock.unix_s()), "").empty());
  CHECK(reason(with("iat", rig.clock.unix_s()), "JWT").empty());
  CHECK(reason(with("iat", rig.clock.unix_s()), "at+jwt") == kTokenMalformed);
  Json nobody = with("sub", nullptr);
  nobody.erase("sid");
  const std::string kEvent = "http://schemas.openid.net/event/backchannel-logout";
  for (const Json& claims :
       {nobody, with("nonce", "n-1"), with("events", nullptr), with("events", kEvent),
        with("events", Json{{kEvent, true}}), with("events", Json{{"other", Json::object()}}),
        with("jti", nullptr), with("jti", ""), with("jti", std::string(256, 'j')), with("sid", 7),
        with("sid", std::string(256, 's')), with("sub", 7), with("aud", "other"),
        with("iat", nullptr)}) {
    INFO(dump_json(claims));
    CHECK(reason(claims) == kTokenClaims);
  }
  CHECK(reason(with("exp", rig.clock.unix_s() - 60)) == kTokenExpired);
  // Whatever its exp says, a token is good for ten minutes.
  Json old = with("exp", rig.clock.unix_s() + 86'400);
  old["iat"] = rig.clock.unix_s() - 660;
  CHECK(reason(old) == kTokenExpired);
  old["iat"] = rig.clock.unix_s() - 659;
  CHECK(reason(old).empty());
  CHECK(reason(old) == kTokenClaims);
}

TEST_CASE("oidc: of the logout tokens that were seen a bounded number is remembered",
          "[unit][oauth]") {
  ScriptedIssuer rig;
  const auto reason = [&](size_t id, int64_t lifetime_s) {
    Json claims = rig.logout_claims();
    claims["jti"] = std::to_string(id);
    claims["exp"] = rig.clock.unix_s() + lifetime_s;
    return rig.issuer().verify_logout_token(rig.token(claims)).status().reason();
  };
  for (size_t id = 0; id < kLogoutTokensMax; id++) REQUIRE(reason(id, id == 7 ? 100 : 200).empty());
  CHECK(reason(7, 100) == kTokenClaims);
  CHECK(reason(kLogoutTokensMax, 200).empty());  // The one that ends first is forgotten for it.
  CHECK(reason(1, 200) == kTokenClaims);
  CHECK(reason(7, 300).empty());
  // Those that have ended go all at once.
  rig.clock.advance_ms(400'000);
  CHECK(reason(kLogoutTokensMax + 1, 200).empty());
  CHECK(reason(kLogoutTokensMax + 1, 200) == kTokenClaims);
  CHECK(reason(1, 200).empty());
}

TEST_CASE("oidc: a configuration that cannot work names its member", "[unit][oauth]") {
  const IssuerConfig good = {.name = "a", .issuer = "https://id.example.com", .client_id = "kvcs"};
  CHECK(check_issuer_config(good).ok());
  struct Row {
    const char* issuer;
    bool allowed;
  };
  const Row rows[] = {
      {"https://id.example.com/realms/x", true},
      {"http://127.0.0.1:4000", true},
      {"http://localhost:4000/oidc", true},
      {"http://[::1]:4000", true},
      {"http://[::1]", true},
      {"http://127.8.9.1", true},
      {"http://id.example.com", false},
      {"http://127.0.0.1.evil.example", false},
      {"http://127.evil.example", false},
      {"http://localhost.evil.example", false},
      {"http://10.0.0.1", false},
      {"https://id.example.com/?a=b", false},
      {"https://id.example.com/#a", false},
      {"https://a@id.example.com", false},
      {"ftp://id.example.com", false},
      {"", false},
  };
  for (const Row& row : rows) {
    IssuerConfig config = good;
    config.issuer = row.issuer;
    const Status status = check_issuer_config(config);
    INFO(row.issuer << ": " << status.to_string());
    CHECK(status.ok() == row.allowed);
    if (!status.ok()) CHECK(status.message().starts_with("issuer"));
  }
  IssuerConfig config = good;
  config.client_id.clear();
  CHECK(check_issuer_config(config).message().starts_with("client_id"));
  config = good;
  config.name.clear();
  CHECK(check_issuer_config(config).message().starts_with("name"));
  for (const char* scope : {"", "a b", "a\n"}) {
    config = good;
    config.scopes = {"openid", scope};
    CHECK(check_issuer_config(config).message().starts_with("scopes"));
  }
}
