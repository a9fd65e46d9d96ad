// Goal: named secrets reach the provider and nobody else, and an answer that was kept for one
// credential is never another's. Method: the daemon and a provider on loopback that says what it
// was sent.
#include <nlohmann/json.hpp>

#include "gateway/call/response_cache.h"
#include "gateway/gateway_house.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kAccounts = "/admin/tenants/kahuna/providers/local/accounts/";

// Answers with the head that it got.
LoopbackServer::Behaviour echo_head() {
  return [](LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      const std::string body = dump_json(Json{{"head", request->head}});
      if (!peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body)) {
        return;
      }
    }
  };
}

std::string provider_at(const LoopbackServer& upstream, const std::string& more) {
  return R"({"base_url":")" + upstream.url("") +
         R"(","auth_type":"bearer","allow_private_addresses":true)" + more + "}";
}

}  // namespace

TEST_CASE("tool secrets: an answer kept for one credential is nobody else's", "[e2e][gateway]") {
  LoopbackServer upstream(echo_head());
  GatewayApp gateway(upstream);
  REQUIRE(gateway
              .admin("PUT", "/admin/providers/local",
                     provider_at(upstream, R"(,"cache":{"ttl_s":3600})"))
              .status == 200);
  const auto put = [&](const std::string& token) {
    const int status =
        gateway.admin("PUT", kAccounts + "default", R"({"access_token":")" + token + "\"}").status;
    CHECK((status == 200 || status == 201));
  };
  const auto check_call = [&](const std::string& token, const std::string& cache) {
    const RawResponse answer =
        gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"path":"/me"})");
    INFO(token << " " << answer.body);
    CHECK(answer.status == 200);
    CHECK(has(answer.body, "Bearer " + token));
    CHECK(json_text(answer.body, "cache") == cache);
  };
  put("TOKEN-ONE");
  check_call("TOKEN-ONE", "MISS");
  check_call("TOKEN-ONE", "HIT");
  put("TOKEN-TWO");
  CHECK(gateway.app.parts().gateway.cache->entries() == 0);
  check_call("TOKEN-TWO", "MISS");
  check_call("TOKEN-TWO", "HIT");
  CHECK(gateway.admin("DELETE", kAccounts + "default").status == 200);
  CHECK(gateway.app.parts().gateway.cache->entries() == 0);
  put("TOKEN-THREE");
  check_call("TOKEN-THREE", "MISS");
  check_call("TOKEN-THREE", "HIT");
}

TEST_CASE("tool secrets: named secrets are sent and never shown", "[e2e][gateway]") {
  LoopbackServer upstream(echo_head());
  GatewayApp gateway(upstream);
  const std::string path = "/admin/providers/local";
  const std::string viewer =
      json_text(gateway.admin("POST", "/admin/admin-keys", R"({"name":"v","role":"viewer"})").body,
                "admin_key");
  // In clear among the headers it is refused, with the way out.
  const RawResponse refused = gateway.admin(
      "PUT", path,
      provider_at(upstream, R"(,"default_headers":{"x-partner-key":"STATIC-PARTNER-SECRET"})"));
  CHECK(refused.status == 400);
  CHECK(has(refused.body, "x-partner-key"));
  CHECK(has(refused.body, "{secrets.NAME}"));
  const std::string headers =
      R"(,"default_headers":{"x-partner-key":"{secrets.partner}","x-plain":"plain-value",)"
      R"("x-shared-secret":"{secrets.shared}","x-tenant":"{meta.tenant}"})";
  const RawResponse put = gateway.admin(
      "PUT", path,
      provider_at(upstream, headers + R"(,"secrets":{"partner":"STATIC-PARTNER-SECRET"})"));
  INFO(put.body);
  REQUIRE(put.status == 200);
  // What a PUT does not mention of them stays.
  REQUIRE(gateway.admin("PUT", path, provider_at(upstream, headers)).status == 200);
  REQUIRE(gateway
              .admin("PUT", kAccounts + "default",
                     R"({"access_token":"tok-123456","secrets":{"shared":"ACCOUNT-SECRET"},)"
                     R"("meta":{"tenant":"T-1","developer_token":"DEVELOPER-SECRET"}})")
              .status == 200);
  const auto call = [&](const std::string& more) {
    return gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"path":"/x")" + more + "}");
  };
  const RawResponse answer = call("");
  for (const char* sent : {"x-partner-key: STATIC-PARTNER-SECRET",
                           "x-shared-secret: ACCOUNT-SECRET", "x-tenant: T-1"}) {
    INFO(answer.body);
    CHECK(has(answer.body, sent));
  }
  const RawResponse dry = call(R"(,"dry_run":true,"headers":{"x-own":"mine"})");
  const Json shown = parse_json(dry.body).value()["request"]["headers"];
  CHECK(shown["x-own"] == "mine");
  CHECK(shown["x-plain"] == "plain-value");
  for (const char* hidden : {"x-partner-key", "x-shared-secret", "x-tenant", "authorization"}) {
    CHECK(shown[hidden] == "***");
  }
  std::string all = dry.body;
  for (const std::string& page : {path, std::string("/admin/providers"), kAccounts + "default",
                                  std::string("/admin/kv/config/values/api_config:local")}) {
    all += gateway.app.as(viewer, "GET", page).body;
  }
  for (const char* secret : {"STATIC-PARTNER-SECRET", "ACCOUNT-SECRET", "DEVELOPER-SECRET"}) {
    CHECK_FALSE(has(all, secret));
  }
  CHECK(has(all, R"("secrets_set":["partner"])"));
  CHECK(has(all, R"("secrets":["developer_token","shared"])"));
  // A tenant's record is no drawer for them either.
  CHECK(gateway.admin("PUT", "/admin/tenants/kahuna", R"({"local":{"api_key":"x"}})").status ==
        400);
  // And null takes one away.
  REQUIRE(
      gateway.admin("PUT", path, provider_at(upstream, headers + R"(,"secrets":{"partner":null})"))
          .status == 200);
  CHECK(has(call("").body, "CONFIG_MISSING"));
}

TEST_CASE("tool secrets: raw records of providers show none, sealed or not", "[e2e][gateway]") {
  LoopbackServer upstream(echo_head());
  GatewayApp gateway(upstream);
  const std::string oauth =
      R"({"base_url":")" + upstream.url("") +
      R"(","allow_private_addresses":true,"auth_type":"oauth2_refresh_token","secrets":{"a":"b"},)"
      R"("auth":{"token_url":")" +
      upstream.url("/token") + R"(","client_id":"c","client_secret":"CLIENT-SECRET"}})";
  REQUIRE(gateway.admin("PUT", "/admin/providers/oauth", oauth).status == 200);
  REQUIRE(gateway
              .admin("PUT", "/admin/ai/providers/shared",
                     R"({"kind":"openai","base_url":"https://ai.example/v1","api_key":"sk-1"})")
              .status == 200);
  for (const char* key : {"api_config:oauth", "ai_provider:shared"}) {
    const Json shown =
        parse_json(gateway.admin("GET", std::string("/admin/kv/config/values/") + key).body)
            .value();
    INFO(dump_json(shown));
    CHECK(shown["hidden"] == true);
    const Json record = parse_json(shown["value"].get<std::string>()).value();
    const auto check = [](const auto& self, const Json& value) -> void {
      for (const auto& [name, member] : value.items()) {
        if (name.find("sealed") != name.npos && member.is_string()) CHECK(member == "***");
        if (member.is_object()) self(self, member);
      }
    };
    check(check, record);
    CHECK(dump_json(record).find("***") != std::string::npos);
  }
}

TEST_CASE("tool secrets: a provider's own goes to no host that an account names",
          "[e2e][gateway]") {
  LoopbackServer upstream(echo_head());
  GatewayApp gateway(upstream);
  const std::string port = upstream.url("").substr(upstream.url("").rfind(':'));
  REQUIRE(gateway
              .admin("PUT", "/admin/providers/local",
                     R"({"base_url":"http://{host})" + port +
                         R"(","auth_type":"bearer","allow_private_addresses":true,)"
                         R"("default_headers":{"x-partner-key":"{secrets.partner}"},)"
                         R"("secrets":{"partner":"PARTNER-SECRET"}})")
              .status == 200);
  const auto put = [&](const std::string& more) {
    return gateway
        .admin("PUT", kAccounts + "default",
               R"({"access_token":"tok-123456","meta":{"host":"localhost"})" + more + "}")
        .status;
  };
  REQUIRE(put("") == 200);
  const auto call = [&] {
    return gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"path":"/x"})");
  };
  const RawResponse refused = call();
  INFO(refused.body);
  CHECK(refused.status >= 400);
  CHECK(has(refused.body, "secrets of the accounts"));
  CHECK_FALSE(has(refused.body, "PARTNER-SECRET"));
  // The account's own is bound to the host that it names.
  REQUIRE(put(R"(,"secrets":{"partner":"ACCOUNT-SECRET"})") == 200);
  CHECK(has(call().body, "x-partner-key: ACCOUNT-SECRET"));
}

TEST_CASE("tool secrets: one below the host is sent and shown as stars", "[e2e][gateway]") {
  LoopbackServer upstream(echo_head());
  GatewayApp gateway(upstream);
  const std::string base = upstream.url("/bot{secrets.bot}");
  REQUIRE(gateway
              .admin("PUT", "/admin/providers/local",
                     R"({"base_url":")" + base +
                         R"(","auth_type":"none","allow_private_addresses":true,)"
                         R"("secrets":{"bot":"123456:ABC-def"}})")
              .status == 200);
  const auto call = [&](const std::string& more) {
    return gateway.call(gateway.token, "/api/v1/kahuna/local", R"({"path":"/x")" + more + "}").body;
  };
  CHECK(has(call(""), "GET /bot123456:ABC-def/x "));
  CHECK(has(call(R"(,"dry_run":true)"), "/bot***/x"));
  // The account that the provider does not need may go where it was given for alone; the secret of
  // the provider goes where its record was.
  CHECK(gateway
            .admin("PUT", "/admin/providers/local",
                   R"({"base_url":"http://127.0.0.1:1/bot{secrets.bot}","auth_type":"none",)"
                   R"("allow_private_addresses":true})")
            .status == 409);
}
