// Goal: of a token whose signature is good only that counts which is from the issuer, for this
// daemon and this sign-in, and good at this time, give or take a minute. Method: good claims, one
// of them changed in each row; the clock is a number.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "oauth/jose.h"

using namespace kvcs;
using namespace kvcs::oauth;

namespace {

constexpr int64_t kNowS = 1'767'225'600;

Json good_claims() {
  return Json{{"iss", "https://id.example.com"},
              {"sub", "ada"},
              {"aud", "kvcs"},
              {"exp", kNowS + 300},
              {"iat", kNowS - 10},
              {"nonce", "n-1"}};
}
ClaimRules rules() {
  return {.issuer = "https://id.example.com",
          .audiences = {"kvcs"},
          .authorized_party = "kvcs",
          .nonce = "n-1"};
}
Status check(const Json& claims, const ClaimRules& by = rules(), int64_t now_ms = kNowS * 1000) {
  return check_claims(Claims(claims), by, now_ms);
}
Json with(const char* name, const Json& value) {
  Json claims = good_claims();
  claims[name] = value;
  return claims;
}
Json without(const char* name) {
  Json claims = good_claims();
  claims.erase(name);
  return claims;
}

}  // namespace

TEST_CASE("claims: one that is wrong refuses the token and is named", "[unit][oauth]") {
  REQUIRE(check(good_claims()).ok());
  struct Row {
    Json claims;
    std::string says;
  };
  const Json two = Json::array({"kvcs", "other"});
  Json foreign_party = with("aud", two);
  foreign_party["azp"] = "other";
  const Row rows[] = {
      {without("iss"), "iss"},
      {with("iss", ""), "iss"},
      {with("iss", "https://id.example.com/"), "iss"},
      {with("iss", "https://ID.example.com"), "iss"},
      {with("iss", Json::array({"https://id.example.com"})), "iss"},
      {without("aud"), "aud"},
      {with("aud", "kvcs2"), "another audience"},
      {with("aud", ""), "another audience"},
      {with("aud", Json::array()), "aud"},
      {with("aud", Json::array({"kvcs", 7})), "aud"},
      {with("aud", Json{{"kvcs", true}}), "aud"},
      {with("aud", two), "2 audiences and no azp"},
      {foreign_party, "azp"},
      {with("azp", "other"), "azp"},
      {with("azp", nullptr), "azp"},
      {with("azp", Json::array({"kvcs"})), "azp"},
      {without("sub"), "sub"},
      {with("sub", ""), "sub"},
      {with("sub", 7), "sub"},
      {with("sub", std::string(256, 'a')), "sub"},
      {with("sub", "ada\n"), "sub"},
      {with("sub", "ad\u00e4"), "sub"},
      {without("exp"), "exp"},
      {with("exp", std::to_string(kNowS + 300)), "exp"},
      {with("exp", -1), "exp"},
      {with("exp", 1e300), "exp"},
      {with("exp", nullptr), "exp"},
      {without("iat"), "iat"},
      {with("iat", true), "iat"},
      {with("nbf", "now"), "nbf"},
      {without("nonce"), "nonce"},
      {with("nonce", "n-2"), "nonce"},
      {with("nonce", ""), "nonce"},
      {with("nonce", Json::array({"n-1"})), "nonce"},
  };
  for (const Row& row : rows) {
    const Status status = check(row.claims);
    INFO(dump_json(row.claims) << "\n" << status.to_string());
    CHECK(status.code() == Code::kUnauthenticated);
    CHECK(status.reason() == kTokenClaims);
    CHECK(status.message().find(row.says) != std::string::npos);
  }
  // What a token says is shown with its controls escaped.
  CHECK(check(with("iss", "\x1b[2J")).message().find('\x1b') == std::string::npos);
}

TEST_CASE("claims: audiences, authorized party and subject in their other good forms",
          "[unit][oauth]") {
  CHECK(check(with("aud", Json::array({"kvcs"}))).ok());
  CHECK(check(with("azp", "kvcs")).ok());
  Json two = with("aud", Json::array({"other", "kvcs"}));
  two["azp"] = "kvcs";
  CHECK(check(two).ok());
  CHECK(check(with("sub", std::string(255, 'a'))).ok());
  CHECK(check(with("sub", "auth0|a b:c@d")).ok());
  ClaimRules bearer = rules();
  bearer.authorized_party.clear();
  bearer.nonce.reset();
  bearer.audiences.emplace_back("api://kvcs");
  bearer.needs_issue_time = bearer.needs_subject = bearer.needs_expiry = false;
  CHECK(check(with("aud", Json::array({"other", "api://kvcs"})), bearer).ok());
  CHECK(check(without("iat"), bearer).ok());
  CHECK(check(without("sub"), bearer).ok());
  CHECK(check(without("exp"), bearer).ok());
  CHECK_FALSE(check(with("sub", 7), bearer).ok());
  // An audience that was not configured is none that a token may name.
  bearer.audiences = {"kvcs", ""};
  CHECK_FALSE(check(with("aud", ""), bearer).ok());
}

TEST_CASE("claims: times hold to the millisecond, with a minute for clocks that differ",
          "[unit][oauth]") {
  struct Row {
    const char* name;
    Json value;
    int64_t now_ms;
    std::string_view reason;  // "": good.
  };
  constexpr int64_t kMs = kNowS * 1000;
  const Row rows[] = {
      {"exp", kNowS, kMs + 59'999, ""},
      {"exp", kNowS, kMs + 60'000, kTokenExpired},
      {"exp", static_cast<double>(kNowS) + 0.5, kMs + 60'499, ""},
      {"exp", static_cast<double>(kNowS) + 0.5, kMs + 60'500, kTokenExpired},
      {"exp", 0, kMs, kTokenExpired},
      {"nbf", kNowS, kMs - 60'000, ""},
      {"nbf", kNowS, kMs - 60'001, kTokenEarly},
      {"nbf", static_cast<double>(kNowS) + 0.25, kMs - 59'750, ""},
      {"nbf", static_cast<double>(kNowS) + 0.25, kMs - 59'751, kTokenEarly},
      {"iat", kNowS, kMs - 60'000, ""},
      {"iat", kNowS, kMs - 60'001, kTokenEarly},
      {"exp", 253'402'300'799, kMs, ""},
      {"exp", 253'402'300'800, kMs, kTokenClaims},
      {"exp", 1.8e9, kMs, ""},
  };
  for (const Row& row : rows) {
    const Status status = check(with(row.name, row.value), rules(), row.now_ms);
    INFO(row.name << " " << dump_json(row.value) << " at " << row.now_ms << ": "
                  << status.to_string());
    CHECK(status.reason() == row.reason);
  }
}

TEST_CASE("claims: only an object is claims, and no member may appear twice", "[unit][oauth]") {
  CHECK(Claims::parse(R"({"a":true,"b":"true","c":1})").value().is_true("a"));
  CHECK_FALSE(Claims::parse(R"({"a":true,"b":"true","c":1})").value().is_true("b"));
  CHECK_FALSE(Claims::parse(R"({"a":true,"b":"true","c":1})").value().is_true("c"));
  for (const char* text : {"", "[]", "null", R"({"sub":"a","sub":"b"})", R"({"sub":"a"}x)"}) {
    INFO(text);
    CHECK(Claims::parse(text).status().reason() == kTokenMalformed);
  }
}
