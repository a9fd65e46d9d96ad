// Goal: whatever the refresher does, requests are answered, with the old token or the new. Method:
// one that calls while ten thousand accounts are refreshed, and a thousand calls over
// 64 connections of the whole daemon while one token rotates.
#include <atomic>
#include <set>
#include <thread>

#include "base/mutex.h"
#include "gateway/gateway_house.h"
#include "gateway/gateway_setup.h"
#include "gateway/tokens/refresher.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::gateway;
using namespace kvcs::test;

namespace {

constexpr int kAccounts = 10'000;
constexpr int kTenants = 100;
constexpr int kParallel = 8;

AccountId account_at(int i) {
  return {"t" + std::to_string(i % kTenants), "hubspot", "a" + std::to_string(i)};
}

// Ten thousand accounts whose tokens end in the same minute, and a token endpoint that notes how
// many exchanges it has at once.
struct CrowdedMinute : GatewaySetup {
  CrowdedMinute() {
    put_provider("hubspot", R"({"rate_limit":{"requests_per_minute":1000000}})");
    for (int i = 0; i < kTenants; ++i) put_tenant("t" + std::to_string(i), "{}");
    for (int i = 0; i < kAccounts; ++i) {
      const AccountId id = account_at(i);
      AccessCredential credential;
      credential.type = AuthType::kOauth2RefreshToken;
      credential.access_token = Secret("old-token-1");
      credential.expires_at_s = clock.unix_s() + 3600 + i % 60;
      credential.origins = {"https://api.hubapi.com"};
      oauth::Grant material;
      material.refresh_token = Secret("refresh-token-1");
      material.origins = {"https://auth.example.com"};
      KvBatch alarm;
      add_refresh_alarm(alarm, id, credential.expires_at_s - 600);
      REQUIRE(tokens.put(id, credential, material, who, alarm).ok());
    }
    upstream.set_handler([this](const SeenRequest& request) { return answer(request); });
  }
  ScriptedAnswer answer(const SeenRequest& request) {
    if (request.url != "https://auth.example.com/token") {
      const std::string token = request.header("authorization");
      const bool known = token == "Bearer old-token-1" || token == "Bearer new-token-1";
      return json_answer(known ? 200 : 401, "{}");
    }
    const int now = ++exchanges;
    for (int most = most_exchanges; now > most;) most_exchanges.compare_exchange_weak(most, now);
    std::this_thread::yield();
    --exchanges;
    return json_answer(200, R"({"access_token":"new-token-1","expires_in":36000})");
  }
  static Result<ProviderClient> client(std::string_view) {
    ProviderClient provider;
    oauth::Client& made = *provider.client;
    made.token_url = "https://auth.example.com/token";
    made.client_id = "client";
    made.client_secret = Secret("client-secret");
    return provider;
  }
  std::atomic<int> exchanges = 0, most_exchanges = 0;
  Refresher refresher{*kv, tokens, upstream, client, clock, *entropy, kParallel};
};

}  // namespace

TEST_CASE(
    "refresher: ten thousand accounts of one minute are refreshed while requests are answered",
    "[unit][gateway][refresher]") {
  CrowdedMinute world;
  world.clock.advance_ms(3'060'000);
  std::atomic<bool> done = false;
  std::atomic<int> answered = 0, refused = 0;
  std::thread caller([&] {
    for (int i = 0; !done; i += 7) {
      const AccountId id = account_at(i % kAccounts);
      const auto response = world.call(
          id.provider, R"({"path":"/crm/x","format":"compact","account_id":")" + id.account + "\"}",
          id.tenant);
      ++(response.status == 200 ? answered : refused);
    }
  });
  test::wait_until([&] { return answered > 0; }, "a first call was answered");
  const int before = answered;
  CHECK(world.refresher.run_due().value() == kAccounts);
  const int during = answered - before;
  done = true;
  caller.join();
  CHECK(refused == 0);
  CHECK(during > 0);
  CHECK(world.most_exchanges > 1);
  CHECK(world.most_exchanges <= kParallel);
  CHECK(world.refresher.stats().refreshed == kAccounts);
  CHECK(world.refresher.run_due().value() == 0);
  for (int i = 0; i < kAccounts; ++i) {
    const auto found = world.tokens.find(account_at(i));
    if (found.value()->access_token.reveal() != "new-token-1") FAIL("a" << i);
  }
}

TEST_CASE("gateway over HTTP: a thousand callers while the token rotates see the old or the new",
          "[e2e][gateway]") {
  constexpr int kConnections = 64, kCalls = 16, kRotationsMin = 5;
  std::atomic<int> issued = 0, published = 0;
  // Its token endpoint numbers the tokens; its API says which one came.
  LoopbackServer upstream([&](LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      const bool is_token = request->line().find("/token") != std::string_view::npos;
      const size_t at = request->head.find("Bearer rotated-");
      const std::string body =
          is_token ? R"({"access_token":"rotated-)" + std::to_string(++issued) +
                         R"(","refresh_token":"refresh-1","expires_in":3600})"
          : at == std::string::npos
              ? R"({"number":0})"
              : R"({"number":)" + std::to_string(std::stoi(request->head.substr(at + 15))) + "}";
      if (!peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body)) {
        return;
      }
    }
  });
  GatewayApp gateway(upstream, [](Config& config) {
    config.gateway.limits.ip_requests_per_minute = config.gateway.limits.token_requests_per_minute =
        -1;
    config.gateway.limits.tenant_requests_per_minute = -1;
  });
  const std::string base = "http://127.0.0.1:" + std::to_string(upstream.port());
  REQUIRE(gateway
              .admin("PUT", "/admin/providers/rotating",
                     R"({"base_url":")" + base +
                         R"(","auth_type":"oauth2_refresh_token","allow_private_addresses":true,)"
                         R"("auth":{"token_url":")" +
                         base + R"(/token","client_id":"c","client_secret":"client-secret-1"}})")
              .status == 200);
  const std::string account = "/admin/tenants/kahuna/providers/rotating/accounts/main";
  REQUIRE(gateway.admin("PUT", account, R"({"refresh_token":"refresh-1"})").status == 201);
  // The daemon's own thread may have the account at that moment.
  const auto rotate = [&] {
    test::wait_until([&] { return gateway.admin("POST", account + "/refresh").status == 200; },
                     "the token was rotated");
    published = issued.load();
  };
  rotate();

  std::atomic<int> finished = 0, wrong = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < kConnections; ++c) {
    callers.emplace_back([&] {
      RawClient client(gateway.app.port());
      for (int i = 0; i < kCalls || published <= kRotationsMin; ++i) {
        const int oldest = published;
        const RawResponse answer =
            client.request("POST", "/api/v1/kahuna/rotating",
                           {{"Authorization", "Bearer " + gateway.token}}, R"({"path":"/v1/x"})");
        const size_t at = answer.body.find("\"number\":");
        const int number = at == std::string::npos ? 0 : std::atoi(answer.body.c_str() + at + 9);
        // Never none, never one that was replaced before the call began.
        if (answer.status != 200 || number < oldest || number > issued) ++wrong;
      }
      ++finished;
    });
  }
  while (finished < kConnections) rotate();
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
  CHECK(published > kRotationsMin);
}
