// Goal: the development issuer signs in whoever asks from this machine, as an issuer does, and
// nobody who comes from elsewhere. Method: a whole daemon over HTTP, asked as a client of OAuth
// asks.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crypto.h"
#include "identity/browser_session.h"
#include "kv/keyspace.h"
#include "oauth/authorization.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kVerifier(43, 'v');
const std::string kBack = "http://127.0.0.1:1/callback";

struct DevApp {
  TestApp app{[](Config& config) { config.auth.dev_issuer = true; }};

  RawResponse ask(const std::string& method, const std::string& path,
                  const std::string& form = {}) const {
    return app.call(method, "/oidc" + path, {}, form);
  }
  RawResponse token(const std::string& form) const { return ask("POST", "/token", form); }
  // Where a browser is led.
  std::string led(const std::string& more = {}, const std::string& back = kBack) const {
    const RawResponse answer =
        ask("GET", "/auth?client_id=kvcdn-cli&state=s1&scope=openid&nonce=n1&redirect_uri=" +
                       percent_encode(back) + "&code_challenge_method=S256&code_challenge=" +
                       oauth::pkce_challenge(kVerifier) + more);
    return answer.status == 302 ? std::string(answer.header("location")) : answer.body;
  }
  std::string code(const std::string& more = {}) const {
    const std::string url = led(more);
    INFO(url);
    REQUIRE(url.starts_with(kBack + "?code="));
    REQUIRE(url.find("&state=s1") != std::string::npos);
    const size_t begin = url.find("code=") + 5;
    return url.substr(begin, url.find('&') - begin);
  }
  static std::string exchange(const std::string& code, const std::string& verifier = kVerifier) {
    return "grant_type=authorization_code&client_id=kvcdn-cli&redirect_uri=" +
           percent_encode(kBack) + "&code=" + code + "&code_verifier=" + verifier;
  }
  std::string error(const RawResponse& answer) const {
    CHECK(answer.status == 400);
    return json_text(answer.body, "error");
  }
  int me(const std::string& token) const { return app.as(token, "GET", "/api/v1/me").status; }
};

}  // namespace

TEST_CASE("dev issuer: a code with its verifier gives tokens that are let in at every door",
          "[contract][app][portal]") {
  DevApp dev;
  const std::string code = dev.code();
  CHECK(dev.error(dev.token(DevApp::exchange("guess"))) == "invalid_grant");
  CHECK(dev.error(dev.token(DevApp::exchange(dev.code(), "x" + kVerifier.substr(1)))) ==
        "invalid_grant");
  // Nor is a code a refresh token, which needs no verifier.
  CHECK(dev.error(dev.token("grant_type=refresh_token&client_id=kvcdn-cli&refresh_token=" +
                            dev.code())) == "invalid_grant");
  const RawResponse answer = dev.token(DevApp::exchange(code));
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  CHECK(answer.header("cache-control").find("no-store") != std::string::npos);
  CHECK(dev.error(dev.token(DevApp::exchange(code))) == "invalid_grant");
  const Json tokens = json_of(answer);
  CHECK(tokens["expires_in"] == 3600);
  const std::string access = tokens["access_token"].get<std::string>();
  const Json me = json_of(dev.app.as(access, "GET", "/api/v1/me"));
  CHECK(me["kind"] == "person");
  CHECK(me["name"] == "developer");
  CHECK(me["session_id"].is_null());
  CHECK(me["operator_role"].is_null());
  REQUIRE(me["organizations"].size() == 1);
  CHECK(me["organizations"][0]["role"] == "owner");
  // A bearer needs neither an origin nor a CSRF token.
  CHECK(dev.app.as(access, "POST", "/api/v1/artifacts/upload-url", R"({"name":"n","dtype":"F16"})")
            .status == 200);
  CHECK(dev.app.as(access, "POST", "/v1/artifacts/upload-url", R"({"name":"n","dtype":"F16"})")
            .status == 200);
  CHECK(dev.app.as(access, "GET", "/admin/people").status == 403);
  CHECK(dev.app.as(access, "GET", "/v1/models").status == 400);        // For which user?
  const RawResponse out = dev.app.as(access, "POST", "/auth/logout");  // Reason no_session.
  CHECK(out.status == 409);
  CHECK(out.body.find("no session of this daemon") != std::string::npos);
  // The ID token travels in addresses, and is no bearer.
  CHECK(dev.me(tokens["id_token"].get<std::string>()) == 401);
  const Json user =
      json_of(dev.app.call("GET", "/oidc/userinfo", {{"Authorization", "Bearer " + access}}));
  CHECK(user["sub"] == "developer");
  const std::string as_ada =
      json_text(dev.token(DevApp::exchange(dev.code("&login_hint=ada"))).body, "access_token");
  CHECK(json_of(dev.app.as(as_ada, "GET", "/api/v1/me"))["name"] == "ada");
  // A suspension counts at once.
  const std::string person = "/admin/people/" + me["person_id"].get<std::string>();
  CHECK(dev.app.as_owner("PATCH", person, R"({"status":"suspended"})").status == 200);
  CHECK(dev.me(access) == 403);
  CHECK(dev.me(as_ada) == 200);
}

TEST_CASE("dev issuer: an operator's bearer is let into /admin, and all bearers act in one place",
          "[contract][app][portal]") {
  DevApp dev;
  const auto bearer = [&] {
    return json_text(dev.token(DevApp::exchange(dev.code())).body, "access_token");
  };
  const std::string first = bearer();
  const Json me = json_of(dev.app.as(first, "GET", "/api/v1/me"));
  const std::string person = "/admin/people/" + me["person_id"].get<std::string>();
  CHECK(dev.app.as_owner("PATCH", person, R"({"operator_role":"admin"})").status == 200);
  CHECK(dev.app.as(first, "GET", "/admin/people").status == 200);
  CHECK(dev.app.as(first, "POST", "/admin/organizations", R"({"name":"Other"})").status == 201);
  const Json made =
      json_of(dev.app.as(first, "POST", "/api/v1/organizations", R"({"name":"Second"})"));
  const std::string second = made["organization_id"].get<std::string>();
  CHECK(
      dev.app.as(first, "PATCH", "/api/v1/me", R"({"organization_id":")" + second + "\"}").status ==
      200);
  CHECK(json_of(dev.app.as(bearer(), "GET", "/api/v1/me"))["organization_id"] == second);
}

TEST_CASE("dev issuer: refresh tokens work, once each, and over a restart",
          "[contract][app][portal]") {
  DevApp dev;
  const Json tokens = json_of(dev.token(DevApp::exchange(dev.code())));
  const auto renew = [&](const std::string& token, const std::string& client = "kvcdn-cli") {
    return dev.token("grant_type=refresh_token&client_id=" + client + "&refresh_token=" + token);
  };
  const std::string first = tokens["refresh_token"].get<std::string>();
  const RawResponse second = renew(first);
  REQUIRE(second.status == 200);
  CHECK(dev.me(json_text(second.body, "access_token")) == 200);
  CHECK(dev.error(renew(first)) == "invalid_grant");
  const std::string kept = json_text(second.body, "refresh_token");
  const std::string keys = dev.ask("GET", "/keys").body;
  dev.app.restart();
  CHECK(dev.ask("GET", "/keys").body == keys);
  const RawResponse third = renew(kept);
  REQUIRE(third.status == 200);
  CHECK(dev.error(renew(json_text(third.body, "refresh_token"), "kvcs")) == "invalid_grant");
  // The key is not in the store in clear.
  const auto record = dev.app.parts().kv->get(KvFamily::kSystem, keyspace::kDevIssuerKey);
  REQUIRE(record.ok());
  CHECK(record->value.find("PRIVATE") == std::string::npos);
}

TEST_CASE("dev issuer: a device is let in when its page was opened", "[contract][app][portal]") {
  DevApp dev;
  const Json started = json_of(dev.ask("POST", "/device/auth", "client_id=kvcdn-cli&scope=openid"));
  CHECK(started["interval"] == 1);
  CHECK(started["expires_in"] == 300);
  const std::string poll =
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
      "&client_id=kvcdn-cli&device_code=" +
      started["device_code"].get<std::string>();
  const std::string early = dev.error(dev.token(poll));
  CHECK((early == "slow_down" || early == "authorization_pending"));
  const std::string no_code = poll.substr(0, poll.rfind('&'));
  CHECK(dev.error(dev.token(no_code)) == "invalid_request");
  CHECK(dev.error(dev.token(no_code + "&device_code=other")) == "invalid_grant");
  CHECK(dev.ask("GET", "/device/activate?user_code=BBBB-BBBB").status == 404);
  const std::string page = started["verification_uri_complete"].get<std::string>();
  CHECK(dev.app.call("GET", page.substr(page.find("/oidc/"))).status == 200);
  const RawResponse answer = dev.token(poll);
  REQUIRE(answer.status == 200);
  CHECK(dev.me(json_text(answer.body, "access_token")) == 200);
  CHECK(dev.error(dev.token(poll)) == "invalid_grant");
  // The token endpoint takes JSON as well, and says what it does not know.
  CHECK(dev.error(dev.token(R"({"client_id":"kvcdn-cli","grant_type":"password"})")) ==
        "unsupported_grant_type");
  CHECK(dev.error(dev.token(R"({"client_id":"other","grant_type":"refresh_token"})")) ==
        "invalid_client");
  const RawResponse named = dev.token(
      R"({"client_id":"kvcdn-cli","grant_type":"authorization_code","code":"mock-auth-code-eve"})");
  REQUIRE(named.status == 200);
  CHECK(json_of(dev.app.as(json_text(named.body, "access_token"), "GET", "/api/v1/me"))["name"] ==
        "eve");
}

TEST_CASE("dev issuer: a code is led to this machine alone, and to whom showed a challenge",
          "[contract][app][portal]") {
  DevApp dev;
  for (const char* evil :
       {"https://evil.example/", "http://127.0.0.1.evil.example/", "http://localhost@evil.example/",
        "http://127.0.0.1:1@evil.example/", "javascript:alert(1)", "http://127.0.0.1\\evil.example",
        "http://127.0.0.1:80evil.example/", "//127.0.0.1/", "http://127.0.0.1/#f", ""}) {
    INFO(evil);
    CHECK(dev.led({}, evil).find("redirect_uri") != std::string::npos);
  }
  CHECK(dev.led({}, "http://localhost:7/cb?x=1").starts_with("http://localhost:7/cb?x=1&code="));
  CHECK(dev.led({}, "http://[::1]:7/cb").starts_with("http://[::1]:7/cb?code="));
  CHECK(dev.led("&login_hint=" + percent_encode("<script>")).find("error=invalid_request") !=
        std::string::npos);
  const RawResponse without =
      dev.ask("GET", "/auth?client_id=kvcdn-cli&redirect_uri=" + percent_encode(kBack));
  CHECK(std::string(without.header("location")).find("error=invalid_request") != std::string::npos);
}

TEST_CASE("dev issuer: nobody comes to it from elsewhere", "[contract][app][portal]") {
  DevApp dev;
  const std::string path = "/oidc/.well-known/openid-configuration";
  CHECK(dev.app.call("GET", path).status == 200);
  for (const char* name : {"X-Forwarded-For", "x-forwarded-host", "X-Forwarded-Proto", "Forwarded",
                           "Via", "X-Real-IP"}) {
    const RawResponse answer = dev.app.call("GET", path, {{name, "for=192.0.2.1"}});
    CHECK(answer.status == 403);
    CHECK(answer.body.find("that a proxy passed on") != std::string::npos);
  }
  // A page of another site, whatever cross-origin requests are let in elsewhere.
  for (const char* origin : {"https://evil.example", "null", "http://localhost.evil.example"}) {
    const RawResponse page = dev.app.call("GET", path, {{"Origin", origin}});
    CHECK(page.status == 403);
    CHECK(page.body.find("answers no page of") != std::string::npos);
  }
  CHECK(dev.app.call("GET", path, {{"Origin", "http://localhost:5173"}}).status == 200);
  RawClient client(dev.app.port());
  REQUIRE(client.send("GET " + path + " HTTP/1.1\r\nHost: evil.example\r\n\r\n"));
  const RawResponse answer = client.read_response();
  CHECK(answer.status == 403);
  CHECK(answer.body.find("evil.example") != std::string::npos);
  TestApp without;
  CHECK(without.call("GET", path).status == 404);
}

TEST_CASE("dev issuer: a browser signs in through it as through any issuer",
          "[contract][app][portal]") {
  DevApp dev;
  const Json providers = json_of(dev.app.call("GET", "/auth/providers"))["providers"];
  REQUIRE(providers.size() == 1);
  CHECK(providers[0]["name"] == "dev");
  CHECK(providers[0]["cli_client_id"] == "kvcdn-cli");
  const RawResponse away = dev.app.call("GET", "/auth/login/dev?next=/done");
  REQUIRE(away.status == 302);
  const std::string to_issuer(away.header("location"));
  const RawResponse back = dev.app.call("GET", to_issuer.substr(to_issuer.find("/oidc/")));
  REQUIRE(back.status == 302);
  const std::string to_daemon(back.header("location"));
  const std::string cookie(away.header("set-cookie"));
  const RawResponse in = dev.app.call("GET", to_daemon.substr(to_daemon.find("/auth/callback")),
                                      {{"Cookie", cookie.substr(0, cookie.find(';'))}});
  INFO(in.body);
  REQUIRE(in.status == 302);
  CHECK(in.header("location") == "/done");
  const std::string session(in.header("set-cookie"));
  CHECK(dev.app.call("GET", "/api/v1/me", {{"Cookie", session.substr(0, session.find(';'))}})
            .status == 200);
}
