// Goal: what watches over accounts and providers says what is so, once per incident, without a
// secret. Method: memory store, scripted upstream, manual clock.
#include <nlohmann/json.hpp>

#include <set>

#include "base/json.h"
#include "gateway/catalogue/canaries.h"
#include "gateway/tokens/token_watch.h"
#include "gateway/tokens/token_world.h"

using namespace kvcs;
using namespace kvcs::gateway;
using kvcs::test::TokenWorld;

namespace {

struct WatchWorld : TokenWorld {
  ProviderDirectory providers{
      *kv, audited, *kv, sealer,
      Catalogue{{"hubspot", R"({"base_url":"https://api.hubapi.example","version":"v3",)"
                            R"("auth_type":"bearer","canary":{"path":"/ping?limit=1",)"
                            R"("expect":[200]}})"}}};
  std::set<std::string> refused;  // Tenants that may not call.
  Canaries canaries{*kv, tokens, providers, upstream, clock, *entropy, [this](const AccountId& id) {
                      return !refused.contains(id.tenant);
                    }};

  Json snapshot() const {
    const auto entry = memory->get(KvFamily::kSystem, keyspace::kProviderHealth);
    REQUIRE(entry.ok());
    return parse_json(entry.value().value).value()["providers"]["hubspot"];
  }
  int64_t ask() {
    const Result<int64_t> asked = canaries.run([] { return false; });
    INFO(asked.status().to_string());
    REQUIRE(asked.ok());
    return asked.value();
  }
};

}  // namespace

TEST_CASE("token watch: counts and the troubled ones", "[unit][gateway][watch]") {
  TokenWorld world;
  const int64_t now_s = world.clock.unix_s();
  world.add_account({"acme", "hubspot", "fine"}, 7200);
  // The refresher renews one in good time, nobody the other, and the third could not be renewed.
  world.add_account({"acme", "hubspot", "renewed"}, 800);
  world.add_account({"acme", "hubspot", "soon"}, 800, AuthType::kBearer);
  world.add_account({"acme", "hubspot", "failing"}, 800);
  const TokenHealth failing{TokenState::kRetrying, 1, now_s + 60, "down"};
  REQUIRE(world.tokens.set_health({"acme", "hubspot", "failing"}, failing, TokenWorld::kWho).ok());
  world.add_account({"acme", "hubspot", "expired"}, -5);
  world.add_account({"acme", "hubspot", "reauth"}, 7200);
  TokenHealth health{TokenState::kReauthRequired, 1, 0, "revoked"};
  REQUIRE(world.tokens.set_health({"acme", "hubspot", "reauth"}, health, TokenWorld::kWho).ok());
  const TokenSummary summary = summarize_tokens(world.tokens, now_s).value();
  CHECK(summary.total == 6);
  CHECK(summary.expiring_soon == 2);
  CHECK(summary.expired == 1);
  CHECK(summary.reauth_required == 1);
  CHECK(summary.troubled.size() == 3);
  const std::string json = token_health_json(summary, now_s);
  CHECK(json.find("\"revoked\"") != std::string::npos);
  CHECK(json.find("-secret-") == std::string::npos);
  // A watch answers from memory for a second, and its last answer while the store fails.
  TokenWatch watch(world.tokens, world.clock);
  CHECK(watch.summary().total == 6);
  world.add_account({"acme", "hubspot", "seventh"}, 7200);
  CHECK(watch.summary().total == 6);
  world.advance_s(2);
  CHECK(watch.summary().total == 7);
  world.plan = [](std::string_view, std::string_view) { return unavailable("disk"); };
  world.advance_s(2);
  CHECK(watch.summary().total == 7);
}

TEST_CASE("token watch: an account needs somebody where nothing renews it in time",
          "[unit][gateway][watch]") {
  TokenWorld world;
  const int64_t now_s = world.clock.unix_s(), day_s = 86'400;
  const auto needs = [&](int64_t in_s, const TokenHealth& health = {},
                         AuthType type = AuthType::kBearer) {
    AccountView view;
    view.type = type;
    view.health = health;
    view.expires_at_s = in_s == 0 ? 0 : now_s + in_s;
    view.updated_at_s = now_s - day_s;
    return needs_somebody(view, now_s);
  };
  CHECK_FALSE(needs(0));
  CHECK_FALSE(needs(7 * day_s));
  CHECK(needs(7 * day_s - 1));
  CHECK(needs(-1));
  // One that is renewed needs nobody until its end has come, or a refresh has failed.
  CHECK_FALSE(needs(60, {}, AuthType::kOauth2RefreshToken));
  CHECK_FALSE(
      needs(60, {TokenState::kRefreshing, 0, now_s + 30, ""}, AuthType::kOauth2RefreshToken));
  CHECK(needs(-1, {}, AuthType::kOauth2RefreshToken));
  CHECK(needs(day_s, {TokenState::kOk, 1, 0, "down"}, AuthType::kOauth2RefreshToken));
  CHECK(needs(0, {TokenState::kRetrying, 1, now_s + 60, "down"}));
  CHECK(needs(0, {TokenState::kReauthRequired, 0, 0, "revoked"}));
}

TEST_CASE("token watch: those that need somebody are counted over all tenants, the first listed",
          "[unit][gateway][watch]") {
  TokenWorld world;
  for (int i = 0; i < 12; i++) {
    const std::string tenant = "t" + std::to_string(i);
    for (int j = 0; j < 10; j++) {
      world.add_account({tenant, "hubspot", "a" + std::to_string(j)}, -5, AuthType::kBearer);
    }
    world.add_account({tenant, "hubspot", "fine"}, 30 * 86'400, AuthType::kBearer);
  }
  const int64_t now_s = world.clock.unix_s();
  const TokenSummary all = summarize_tokens(world.tokens, now_s).value();
  CHECK(all.in_need == 120);
  CHECK(all.needing.size() == kTroubledMax);
  CHECK(all.counted_at_s == now_s);
  const TokenSummary one = summarize_tokens(world.tokens, now_s, "t11").value();
  CHECK(one.in_need == 10);
  REQUIRE(one.needing.size() == 10);
  CHECK(one.needing.front().id.tenant == "t11");
}

TEST_CASE("canaries: a provider that fails twice raises one alert until it is up again",
          "[unit][gateway][watch]") {
  WatchWorld world;
  world.add_account();
  world.upstream.push_json(200, "{}");
  CHECK(world.ask() == 1);
  CHECK(world.snapshot()["status"] == "up");
  CHECK(world.upstream.last_seen().url == "https://api.hubapi.example/ping?limit=1");
  CHECK(world.upstream.last_seen().header("authorization") == "Bearer access-secret-0");
  world.upstream.set_handler([](const auto&) {
    test::ScriptedAnswer answer;
    answer.status = 503;
    return answer;
  });
  for (int i = 0; i < 4; ++i) CHECK(world.ask() == 1);
  CHECK(world.snapshot()["status"] == "down");
  CHECK(world.snapshot()["failures"] == 4);
  CHECK(world.alerts("provider.down") == 1);
  world.upstream.push_json(200, "{}");
  CHECK(world.ask() == 1);
  CHECK(world.snapshot()["failures"] == 0);
  test::ScriptedAnswer reset;
  reset.open_failure = upstream_failed("reset by access-secret-0");
  world.upstream.push(reset);
  CHECK(world.ask() == 1);
  CHECK(world.dump().find("access-secret-0") == std::string::npos);
}

TEST_CASE("canaries: a tenant that may not call lends nobody its account",
          "[unit][gateway][watch]") {
  WatchWorld world;
  world.add_account();
  world.refused = {"acme"};
  CHECK(world.ask() == 0);
  world.add_account({"beta", "hubspot", "main"});
  world.upstream.push_json(200, "{}");
  CHECK(world.ask() == 1);
  CHECK(world.upstream.seen_count() == 1);
  world.refused = {"acme", "beta"};
  CHECK(world.ask() == 0);
  CHECK(world.upstream.seen_count() == 1);
}

TEST_CASE("canaries: providers without canary or account are not asked", "[unit][gateway][watch]") {
  WatchWorld world;
  CHECK(world.ask() == 0);
  world.add_account({"acme", "unheard-of", "main"});
  CHECK(world.ask() == 0);
  world.add_account();
  CHECK(world.canaries.run([] { return true; }).value() == 0);
  CHECK(world.upstream.seen_count() == 0);
}
