// Goal: nobody without an account can fill the store or the issuer with sign-ins that are begun.
// Method: a whole daemon over HTTP, with an issuer that is away, behind a proxy that names clients.
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("providers: sign-ins that begin have a share per address, and are short",
          "[contract][app][portal]") {
  ManualClock clock{1'800'000'000'000};  // On which no share fills up again.
  TestApp app(
      [](Config& config) {
        config.auth.providers = R"({"idp": {"issuer": "http://127.0.0.1:1", "client_id": "kvcs"}})";
        config.http.server.trusted_proxies = {"127.0.0.1"};
      },
      AppOptions{.clock = &clock, .kv_faults = {}});
  const auto begin = [&](const std::string& address, const std::string& query) {
    return app.call("GET", "/auth/login/idp" + query, {{"X-Forwarded-For", address}}).status;
  };
  CHECK(begin("203.0.113.1", "?next=/" + std::string(299, 'x')) == 503);
  CHECK(begin("203.0.113.1", "?next=/" + std::string(300, 'x')) == 400);
  CHECK(begin("203.0.113.1", "?invitation=" + std::string(64, 'x')) == 503);
  CHECK(begin("203.0.113.1", "?invitation=" + std::string(65, 'x')) == 400);
  int refused = 0;
  for (int i = 0; i < 130; i++) refused += begin("203.0.113.2", "") == 429;
  CHECK(refused > 0);
  CHECK(begin("203.0.113.3", "") == 503);
  // And so many of all, since each is a write: from then on an address has its first few alone.
  refused = 0;
  for (int i = 0; i < 1500 && refused == 0; i++) {
    refused += begin("198.51.100." + std::to_string(i % 11), "") == 429;
  }
  CHECK(refused == 1);
  CHECK(begin("203.0.113.3", "") == 503);
  int taken = 0;
  for (int i = 0; i < 30; i++) taken += begin("203.0.113.4", "") == 503;
  CHECK(taken == 10);
}
