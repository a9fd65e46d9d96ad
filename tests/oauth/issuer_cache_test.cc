// Goal: an issuer's endpoints and keys are found, checked and kept; a new key counts at the first
// token that names it, and no token makes the daemon ask more than once a minute; while the issuer
// is away what is known goes on for a day, and callers do not wait. Method: as oidc_test.cc, with
// the requests counted.
#include "oauth/issuer_cache.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <stdexcept>
#include <thread>

#include "oauth/scripted_issuer.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::oauth;
using kvcs::test::ScriptedIssuer;

namespace {

constexpr const char* kDiscovery = "/.well-known/openid-configuration";
constexpr int64_t kMinuteMs = 60'000, kHourMs = 60 * kMinuteMs;

// Tokens that do not end while a test moves the clock.
std::string long_token(const ScriptedIssuer& rig, const test::TokenMaker& key,
                       std::string_view key_id) {
  Json claims = rig.claims_with("nonce", nullptr);
  claims["exp"] = rig.clock.unix_s() + 10 * 86'400;
  return key.token(key_id, claims);
}

}  // namespace

TEST_CASE("issuer: discovery must name the issuer and endpoints that are safe", "[unit][oauth]") {
  struct Row {
    const char* name;
    Json value;
    std::string says;  // "": good.
  };
  const Row rows[] = {
      {"issuer", "https://id.example.com/realm/", "to the last character"},
      {"issuer", "https://ID.example.com/realm", "to the last character"},
      {"issuer", nullptr, "to the last character"},
      {"authorization_endpoint", nullptr, "authorization_endpoint is missing"},
      {"token_endpoint", nullptr, "token_endpoint is missing"},
      {"jwks_uri", nullptr, "jwks_uri is missing"},
      {"token_endpoint", 7, "token_endpoint is missing"},
      {"authorization_endpoint", "http://id.example.com/a", "authorization_endpoint"},
      {"token_endpoint", "http://id.example.com/t", "is not https"},
      {"jwks_uri", "http://127.0.0.1/keys", "is not https"},
      {"userinfo_endpoint", "http://id.example.com/u", "userinfo_endpoint"},
      {"end_session_endpoint", "javascript:alert(1)", "end_session_endpoint"},
      {"jwks_uri", "https://a@id.example.com/", "no URL"},
      {"userinfo_endpoint", nullptr, ""},
      {"end_session_endpoint", nullptr, ""},
      {"token_endpoint", "https://elsewhere.example.com/token", ""},
  };
  for (const Row& row : rows) {
    ScriptedIssuer rig;
    rig.set_metadata(row.name, row.value);
    const Status status = rig.issuer().begin_sign_in("https://kvcs.example.com/cb").status();
    INFO(row.name << " " << dump_json(row.value) << ": " << status.to_string());
    CHECK(status.ok() == row.says.empty());
    if (status.ok()) continue;
    CHECK(status.code() == Code::kUnavailable);
    CHECK(status.reason() == kIssuerUnavailable);
    CHECK(status.message().find("Sign-in by example") == 0);
    CHECK(status.message().find(row.says) != std::string::npos);
  }
  const std::pair<int, std::string> answers[] = {
      {200, "[]"}, {200, "<html>"}, {200, std::string(300 << 10, ' ')},
      {302, "{}"}, {429, "{}"},     {503, "{}"}};
  for (const auto& [status, body] : answers) {
    ScriptedIssuer rig;
    rig.answer(kDiscovery, status, body);
    const Status failed = rig.issuer().begin_sign_in("https://kvcs.example.com/cb").status();
    INFO(status << ": " << failed.to_string());
    CHECK(failed.reason() == kIssuerUnavailable);
    CHECK(rig.upstream.seen_count() == 1);
  }
}

TEST_CASE("issuer: http is for an issuer on this machine and its endpoints there",
          "[unit][oauth]") {
  ScriptedIssuer rig("http://127.0.0.1:4000");
  CHECK(rig.sign_in(rig.token(rig.claims())).ok());
  ScriptedIssuer away("http://127.0.0.1:4000");
  away.set_metadata("token_endpoint", "http://10.0.0.1/token");
  CHECK(away.issuer().begin_sign_in("http://127.0.0.1/cb").status().reason() == kIssuerUnavailable);
}

TEST_CASE("issuer: only what the operator named may be at a private address", "[unit][oauth]") {
  for (const bool allowed : {false, true}) {
    ScriptedIssuer rig;
    rig.config.allow_private_addresses = allowed;
    rig.set_metadata("token_endpoint", "https://elsewhere.example.com/token");
    rig.set_metadata("jwks_uri", "https://elsewhere.example.com/keys");
    rig.next_tokens(rig.token(rig.claims()));
    rig.answers["https://elsewhere.example.com/token"] = rig.answers["/token"];
    rig.answers["https://elsewhere.example.com/keys"] = rig.answers["/keys"];
    CHECK(rig.issuer().finish_sign_in(ScriptedIssuer::browser_answer()).ok());
    CHECK(rig.upstream.seen_count() == 4);
    for (const test::SeenRequest& seen : rig.upstream.seen()) {
      CHECK(seen.allow_private_addresses == (allowed || seen.url.starts_with(rig.url)));
    }
  }
}

TEST_CASE("issuer: a server of OAuth alone is found by RFC 8414", "[unit][oauth]") {
  for (const char* path : {"/realm", ""}) {
    ScriptedIssuer rig(std::string("https://id.example.com") + path);
    const std::string url =
        std::string("https://id.example.com/.well-known/oauth-authorization-server") + path;
    const std::string key = *path == '\0' ? url.substr(rig.url.size()) : url;
    rig.answers[key] = rig.answers[kDiscovery];
    rig.answers.erase(kDiscovery);
    CHECK(rig.sign_in(rig.token(rig.claims())).ok());
    rig.answers.erase(key);
  }
  // The slash at the end of an issuer is not doubled, and still is part of its name.
  ScriptedIssuer slash("https://id.example.com/");
  slash.answers[".well-known/openid-configuration"] = slash.answers[kDiscovery];
  CHECK(slash.issuer().begin_sign_in("https://kvcs.example.com/cb").ok());
  ScriptedIssuer none;
  none.answers.erase(kDiscovery);
  const Status status = none.issuer().begin_sign_in("https://kvcs.example.com/cb").status();
  CHECK(status.message().find("answered 404") != std::string::npos);
  CHECK(none.upstream.seen_count() == 2);
}

TEST_CASE("issuer: the client authenticates in the way that the issuer knows", "[unit][oauth]") {
  ScriptedIssuer rig;
  rig.set_metadata("token_endpoint_auth_methods_supported", Json::array({"client_secret_post"}));
  CHECK(rig.sign_in(rig.token(rig.claims())).ok());
  for (const test::SeenRequest& seen : rig.upstream.seen()) {
    if (seen.method != "POST") continue;
    CHECK(seen.header("authorization").empty());
    CHECK(seen.body.find("client_secret=client-secret-1") != std::string::npos);
  }
  ScriptedIssuer open;
  open.config.client_secret = Secret();
  CHECK(open.sign_in(open.token(open.claims())).ok());
  for (const test::SeenRequest& seen : open.upstream.seen()) {
    if (seen.method != "POST") continue;
    CHECK(seen.header("authorization").empty());
    CHECK(seen.body.find("client_id=kvcs") != std::string::npos);
    CHECK(seen.body.find("client_secret") == std::string::npos);
  }
}

TEST_CASE("issuer: an unknown key is asked for at once, and then not for a minute",
          "[unit][oauth]") {
  ScriptedIssuer rig;
  const test::TokenMaker second(JwsAlgorithm::kEs256), third(JwsAlgorithm::kRs256);
  const std::string old_token = long_token(rig, rig.key, "k1");
  const std::string second_token = long_token(rig, second, "k2");
  const std::string third_token = long_token(rig, third, "k3");
  const auto reason = [&](const std::string& token) {
    return rig.issuer().verify_bearer(token).status().reason();
  };
  // The first load is no answer to an unknown key: the same call asks once more.
  CHECK(reason(second_token) == kTokenKeyUnknown);
  CHECK(rig.asked("/keys") == 2);
  rig.publish({rig.key.jwk("k1"), second.jwk("k2")});
  CHECK(reason(second_token) == kTokenKeyUnknown);
  CHECK(rig.asked("/keys") == 2);
  rig.clock.advance_ms(59'999);
  CHECK(reason(second_token) == kTokenKeyUnknown);
  CHECK(rig.asked("/keys") == 2);
  rig.clock.advance_ms(1);
  CHECK(reason(second_token).empty());
  CHECK(reason(old_token).empty());
  CHECK(rig.asked("/keys") == 3);
  // A key that is taken back is not taken for the other one of its name.
  rig.publish({third.jwk("k3")});
  rig.clock.advance_ms(kMinuteMs);
  CHECK(reason(third_token).empty());
  CHECK(reason(second_token) == kTokenKeyUnknown);
  CHECK(reason(old_token) == kTokenKeyUnknown);
  CHECK(rig.asked("/keys") == 4);
  CHECK(rig.asked(kDiscovery) == 1);
}

TEST_CASE("issuer: after the first load a rotation counts at once", "[unit][oauth]") {
  ScriptedIssuer rig;
  const test::TokenMaker second(JwsAlgorithm::kEdDsa);
  CHECK(rig.issuer().verify_bearer(long_token(rig, rig.key, "k1")).ok());
  CHECK(rig.asked("/keys") == 1);
  rig.publish({second.jwk("k2")});
  CHECK(rig.issuer().verify_bearer(long_token(rig, second, "k2")).ok());
  CHECK(rig.asked("/keys") == 2);
  // A forged signature is no unknown key.
  rig.clock.advance_ms(kMinuteMs);
  CHECK(rig.issuer().verify_bearer(long_token(rig, rig.key, "k2")).status().reason() ==
        kTokenSignature);
  CHECK(rig.asked("/keys") == 2);
}

TEST_CASE("issuer: keys without names rotate too", "[unit][oauth]") {
  ScriptedIssuer rig;
  const test::TokenMaker second(JwsAlgorithm::kEdDsa);
  rig.publish({rig.key.jwk("")});
  CHECK(rig.issuer().verify_bearer(long_token(rig, rig.key, "")).ok());
  rig.publish({second.jwk("")});
  CHECK(rig.issuer().verify_bearer(long_token(rig, second, "")).ok());
  CHECK(rig.issuer().verify_bearer(long_token(rig, rig.key, "")).status().reason() ==
        kTokenKeyUnknown);
  CHECK(rig.asked("/keys") == 2);
}

TEST_CASE("issuer: keys and endpoints are looked at again when they are old", "[unit][oauth]") {
  ScriptedIssuer rig;
  const test::TokenMaker second(JwsAlgorithm::kEdDsa);
  const std::string token = long_token(rig, rig.key, "k1");
  CHECK(rig.issuer().verify_bearer(token).ok());
  rig.publish({second.jwk("k2")});  // k1 is withdrawn, and no token names another key.
  rig.clock.advance_ms(15 * kMinuteMs - 1);
  CHECK(rig.issuer().verify_bearer(token).ok());
  CHECK(rig.asked("/keys") == 1);
  rig.clock.advance_ms(1);
  CHECK(rig.issuer().verify_bearer(token).status().reason() == kTokenKeyUnknown);
  CHECK(rig.asked(kDiscovery) == 1);
  rig.set_metadata("end_session_endpoint", rig.url + "/other");
  rig.clock.advance_ms(45 * kMinuteMs - 1);
  CHECK(rig.issuer().end_session_url("").value().starts_with(rig.url + "/logout?"));
  rig.clock.advance_ms(1);
  CHECK(rig.issuer().end_session_url("").value().starts_with(rig.url + "/other?"));
  CHECK(rig.asked(kDiscovery) == 2);
}

TEST_CASE("issuer: one that was never there is told at once, and asked again after ten seconds",
          "[unit][oauth]") {
  ScriptedIssuer rig;
  rig.go_away();
  const std::string token = long_token(rig, rig.key, "k1");
  const auto status = [&] { return rig.issuer().verify_bearer(token).status(); };
  CHECK(status().code() == Code::kUnavailable);
  CHECK(status().reason() == kIssuerUnavailable);
  CHECK(status().retry_after_s() == 10);
  CHECK(status().message().find("gave no answer: No connection.") != std::string::npos);
  CHECK(rig.upstream.seen_count() == 1);
  rig.clock.advance_ms(9'999);
  CHECK_FALSE(status().ok());
  CHECK(rig.upstream.seen_count() == 1);
  rig.come_back();
  rig.clock.advance_ms(1);
  CHECK(status().ok());
}

TEST_CASE("issuer: while it is away the last good keys go on for a day", "[unit][oauth]") {
  const std::pair<int, std::string> wrong[] = {{0, ""},
                                               {200, R"({"keys":[]})"},
                                               {200, R"({"keys":[{"kty":"oct","kid":"k1"}]})"},
                                               {200, "<html>"},
                                               {500, ""}};
  for (const auto& [answered, body] : wrong) {
    ScriptedIssuer rig;
    const std::string token = long_token(rig, rig.key, "k1");
    CHECK(rig.issuer().verify_bearer(token).ok());
    const size_t asked = rig.upstream.seen_count();
    if (answered == 0) rig.go_away();
    if (answered != 0) rig.answer("/keys", answered, body);
    rig.clock.advance_ms(15 * kMinuteMs);
    CHECK(rig.issuer().verify_bearer(token).ok());
    CHECK(rig.issuer().verify_bearer(token).ok());
    CHECK(rig.upstream.seen_count() == asked + 1);  // One try in a minute.
    rig.clock.advance_ms(kMinuteMs);
    CHECK(rig.issuer().verify_bearer(token).ok());
    CHECK(rig.upstream.seen_count() == asked + 2);
    // A key that nobody can ask about is not called unknown.
    const std::string other = long_token(rig, rig.key, "k2");
    CHECK(rig.issuer().verify_bearer(other).status().reason() == kIssuerUnavailable);
    CHECK(rig.issuer().verify_bearer(other).status().reason() == kIssuerUnavailable);
    CHECK(rig.upstream.seen_count() == asked + 3);
    rig.clock.advance_ms(24 * kHourMs - 16 * kMinuteMs - 1);
    CHECK(rig.issuer().verify_bearer(token).ok());
    rig.clock.advance_ms(kMinuteMs);
    CHECK(rig.issuer().verify_bearer(token).status().reason() == kIssuerUnavailable);
    rig.come_back();
    rig.publish({rig.key.jwk("k1")});
    rig.clock.advance_ms(10'000);
    CHECK(rig.issuer().verify_bearer(token).ok());
  }
}

TEST_CASE("issuer: of many callers one asks, and the others wait for its answer or go on",
          "[unit][oauth]") {
  ScriptedIssuer rig;
  const std::string token = long_token(rig, rig.key, "k1");
  rig.answers[kDiscovery].hang_before_head = true;
  std::atomic<int> good = 0;
  const auto verify = [&] { good += rig.issuer().verify_bearer(token).ok() ? 1 : 0; };
  rig.issuer();  // Made before there are threads.
  const auto run = [&](int count) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; i++) threads.emplace_back(verify);
    return threads;
  };
  std::vector<std::thread> first = run(4);
  test::wait_until([&] { return rig.upstream.seen_count() == 1; }, "the request");
  rig.upstream.release_hanging();
  for (std::thread& thread : first) thread.join();
  CHECK(good == 4);
  CHECK(rig.asked(kDiscovery) == 1);
  CHECK(rig.asked("/keys") == 1);
  // Old keys are fetched by one, and the others do not wait for it.
  rig.answers["/keys"].hang_before_head = true;
  rig.clock.advance_ms(15 * kMinuteMs);
  std::vector<std::thread> second = run(1);
  test::wait_until([&] { return rig.asked("/keys") == 2; }, "the request");
  verify();
  CHECK(good == 5);
  rig.upstream.release_hanging();
  second[0].join();
  CHECK(good == 6);
  CHECK(rig.asked("/keys") == 2);
}

TEST_CASE("issuer: a fetch that ended by an exception is not waited for", "[fault][oauth]") {
  ManualClock clock;
  bool fails = true;
  KeptDocument<int> kept(clock, kKeysFreshUs, [&]() -> Result<int> {
    if (fails) throw std::runtime_error("no memory");
    return 7;
  });
  CHECK_THROWS(kept.get());
  fails = false;
  const auto first = kept.get();
  REQUIRE(first.ok());
  CHECK(**first == 7);
  fails = true;
  CHECK_THROWS(kept.newer_than(*first));
  fails = false;
  clock.advance_ms(2 * kUnknownKeyAgainUs / 1000);
  CHECK(*kept.newer_than(*first) != *first);
}
