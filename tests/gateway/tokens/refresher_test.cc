// Goal: tokens are fresh before they expire, no rotated refresh token is lost, no two runs meet,
// and every failure of a token endpoint leads to the documented state. Method: table of answers of
// a scripted endpoint over a clock moved by hand; store failures by plan.
#include "gateway/tokens/refresher.h"

#include <atomic>
#include <set>

#include "base/log.h"
#include "base/thread.h"
#include "gateway/tokens/token_world.h"
#include "support/no_threads.h"

using namespace kvcs;
using namespace kvcs::gateway;
using kvcs::test::NoThreads;
using kvcs::test::ScriptedAnswer;
using kvcs::test::TokenWorld;

namespace {

constexpr const char* kGood =
    R"({"access_token":"access-secret-1","refresh_token":"refresh-secret-1","expires_in":3600})";

ScriptedAnswer answer(int status, const std::string& body, const std::string& type = "") {
  ScriptedAnswer a;
  a.status = status;
  a.chunks = {body};
  if (!type.empty()) a.headers.emplace_back("content-type", type);
  return a;
}

}  // namespace

TEST_CASE("refresher: a token is refreshed ten minutes before it expires, not earlier",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.upstream.push_json(200, kGood);
  world.advance_s(2999);
  CHECK(world.run() == 0);
  world.advance_s(1);
  CHECK(world.run() == 1);
  CHECK(world.access() == "access-secret-1");
  CHECK(world.tokens.find_refresh(TokenWorld::kId, {}).value().refresh_token.reveal() ==
        "refresh-secret-1");
  const auto seen = world.upstream.last_seen();
  CHECK(seen.body == "grant_type=refresh_token&refresh_token=refresh-secret-0");
  // "client%20id:client%2Fsecret": both parts encoded before they are joined.
  CHECK(seen.header("authorization") == "Basic Y2xpZW50JTIwaWQ6Y2xpZW50JTJGc2VjcmV0");
  CHECK(seen.deadline_ms == oauth::kTokenDeadlineMs);
  CHECK(world.view().health.state == TokenState::kOk);
  // Exactly one alarm, ten minutes before the new expiry.
  const int64_t due_s = world.clock.unix_s() + 3000;
  CHECK(world.alarms() ==
        std::vector<std::string>{keyspace::refresh_due(due_s, "acme", "hubspot", "main")});
  CHECK(world.run() == 0);
}

TEST_CASE("refresher: without threads for helpers all accounts are refreshed by one",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  for (const char* account : {"a", "b", "c"}) {
    world.add_account({"acme", "hubspot", account});
    world.upstream.push_json(200, kGood);
  }
  world.advance_s(3000);
  const NoThreads limit;
  CHECK(world.run() == 3);
}

TEST_CASE("refresher: a token of a short life is refreshed at half of it",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account(TokenWorld::kId, 600);
  world.upstream.push_json(200, kGood);
  world.advance_s(299);
  CHECK(world.run() == 0);
  world.advance_s(1);
  CHECK(world.run() == 1);
}

TEST_CASE("refresher: every answer of a token endpoint leads to its state",
          "[unit][gateway][refresher]") {
  struct Row {
    const char* name;
    ScriptedAnswer answer;
    TokenState state;
    const char* token;
    const char* error;  // In last_error.
  };
  ScriptedAnswer broken = answer(200, "{\"access_token\":");
  broken.end = ScriptedAnswer::End::kTruncated;
  ScriptedAnswer refused;
  refused.open_failure = upstream_failed("no connection").with_reason("connect_failed");
  // A byte each second, well past the deadline of the exchange.
  ScriptedAnswer slow = answer(200, "{");
  for (const char c : std::string_view(kGood + 1)) slow.chunks.emplace_back(1, c);
  slow.chunk_latency_ms = 1000;
  const std::string form = "application/x-www-form-urlencoded";
  const Row rows[] = {
      {"json", answer(200, kGood), TokenState::kOk, "access-secret-1", ""},
      {"form", answer(200, "access_token=access-secret-1&expires_in=60", form), TokenState::kOk,
       "access-secret-1", ""},
      {"expires_in as text", answer(200, R"({"access_token":"access-secret-1","expires_in":"60"})"),
       TokenState::kOk, "access-secret-1", ""},
      {"no expires_in", answer(200, R"({"access_token":"access-secret-1"})"), TokenState::kOk,
       "access-secret-1", ""},
      {"503", answer(503, "busy"), TokenState::kRetrying, "access-secret-0", "503"},
      {"500 with invalid_grant", answer(500, R"({"error":"invalid_grant"})"), TokenState::kRetrying,
       "access-secret-0", "invalid_grant"},
      {"429", answer(429, "{}"), TokenState::kRetrying, "access-secret-0", "429"},
      {"garbage", answer(200, "\x01\x02\xff"), TokenState::kRetrying, "access-secret-0", "neither"},
      {"html", answer(200, "<html>Sign in</html>", "text/html"), TokenState::kRetrying,
       "access-secret-0", "neither"},
      {"2xx without a token", answer(200, R"({"ok":true})"), TokenState::kRetrying,
       "access-secret-0", "without a token"},
      {"token that is no text", answer(200, R"({"access_token":{"a":1}})"), TokenState::kRetrying,
       "access-secret-0", "without a token"},
      {"token that would split a header", answer(200, R"({"access_token":"a\r\nx: y"})"),
       TokenState::kRetrying, "access-secret-0", "cannot be sent"},
      {"truncated", broken, TokenState::kRetrying, "access-secret-0", "cannot be reached"},
      {"reset", refused, TokenState::kRetrying, "access-secret-0", "cannot be reached"},
      {"slow drips", slow, TokenState::kRetrying, "access-secret-0", "cannot be reached"},
      {"too long", answer(200, std::string(oauth::kTokenAnswerMaxBytes + 1, ' ')),
       TokenState::kRetrying, "access-secret-0", "cannot be reached"},
      {"invalid_request", answer(400, R"({"error":"invalid_request"})"), TokenState::kRetrying,
       "access-secret-0", "invalid_request"},
      {"redirect", answer(302, ""), TokenState::kRetrying, "access-secret-0", "302"},
      {"200 with an error", answer(200, R"({"error":"bad_refresh_token"})"),
       TokenState::kReauthRequired, "access-secret-0", "bad_refresh_token"},
      {"form with an error", answer(400, "error=invalid_grant", form), TokenState::kReauthRequired,
       "access-secret-0", "invalid_grant"},
      {"description that repeats the secret",
       answer(400, R"({"error":"invalid_grant","error_description":"no refresh-secret-0 here"})"),
       TokenState::kReauthRequired, "access-secret-0", "no *** here"},
      {"invalid_client", answer(401, R"({"error":"invalid_client"})"), TokenState::kReauthRequired,
       "access-secret-0", "invalid_client"},
      {"unauthorized_client", answer(400, R"({"error":"unauthorized_client"})"),
       TokenState::kReauthRequired, "access-secret-0", "unauthorized_client"},
      {"invalid_scope", answer(400, R"({"error":"invalid_scope"})"), TokenState::kReauthRequired,
       "access-secret-0", "invalid_scope"},
      {"unsupported_grant_type", answer(400, R"({"error":"unsupported_grant_type"})"),
       TokenState::kReauthRequired, "access-secret-0", "unsupported_grant_type"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    TokenWorld world;
    world.add_account();
    world.upstream.push(row.answer);
    world.advance_s(3000);
    CHECK(world.run() == 1);
    const AccountView view = world.view();
    INFO(view.health.last_error);
    CHECK(view.health.state == row.state);
    CHECK(world.access() == row.token);
    CHECK(view.health.last_error.find(row.error) != std::string::npos);
    CHECK(view.health.failures == (row.state == TokenState::kOk ? 0 : 1));
    CHECK(world.alerts("token.reauth_required") == (row.state == TokenState::kReauthRequired));
    CHECK(world.dump().find("-secret-") == std::string::npos);
    CHECK(world.upstream.seen_count() == 1);
    if (row.state == TokenState::kReauthRequired) CHECK(world.alarms().empty());
  }
}

TEST_CASE("refresher: attempts back off, tell once, honour Retry-After and end after a day",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  ScriptedAnswer later = answer(503, "");
  later.headers.emplace_back("retry-after", "77");
  world.upstream.push(later);
  CHECK(world.run() == 1);
  CHECK(world.view().health.next_attempt_at_s == world.clock.unix_s() + 77);
  world.upstream.set_handler([](const auto&) { return answer(503, "busy"); });
  const int64_t expires_s = world.view().expires_at_s;
  int64_t last_s = 0;
  while (world.view().health.state == TokenState::kRetrying) {
    const int64_t wait_s = world.view().health.next_attempt_at_s - world.clock.unix_s();
    CHECK(wait_s >= 1);
    CHECK(wait_s <= 360);
    world.advance_s(wait_s);
    last_s = world.clock.unix_s();
    REQUIRE(world.run() == 1);
    CHECK(world.alarms().size() <= 1);
  }
  CHECK(world.view().health.state == TokenState::kReauthRequired);
  CHECK(last_s > expires_s + kGiveUpAfterS - 400);
  CHECK(world.alerts("token.refresh_failing") == 1);
  CHECK(world.alerts("token.reauth_required") == 1);
  CHECK(world.alarms().empty());
  // An admin's attempt that fails again is the same incident; one that works ends it.
  CHECK(world.refresher.refresh_now(TokenWorld::kId).code() == Code::kUpstream);
  CHECK(world.alerts("token.") == 2);
  world.advance_s(400);
  world.upstream.push_json(200, kGood);
  CHECK(world.refresher.refresh_now(TokenWorld::kId).ok());
  CHECK(world.view().health.state == TokenState::kOk);
}

TEST_CASE("refresher: backoff is min(2^n * 2 s, 5 min) within 20 percent",
          "[unit][gateway][refresher]") {
  CHECK(refresh_backoff_s(0, 0, 0.5) == 2);
  CHECK(refresh_backoff_s(3, 0, 0.5) == 16);
  CHECK(refresh_backoff_s(40, 0, 0.0) == 240);
  CHECK(refresh_backoff_s(40, 0, 0.999999) == 359);
  CHECK(refresh_backoff_s(0, 900, 0.5) == 900);
}

TEST_CASE("refresher: a rotated token whose write fails is kept and written later",
          "[fault][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  std::atomic<int> writes{0};
  // The first compare-and-swap of the record is the lease, the second publishes.
  world.plan = [&](std::string_view op, std::string_view key) -> Status {
    if (op == "cas" && key.starts_with("tokens:") && ++writes == 2) return unavailable("disk");
    return ok();
  };
  world.upstream.push_json(200, kGood);
  CHECK_FALSE(world.refresher.run_due().ok());
  // Neither half of the pair without the other; the old token still serves.
  CHECK(world.access() == "access-secret-0");
  CHECK(world.tokens.find_refresh(TokenWorld::kId, {}).value().refresh_token.reveal() ==
        "refresh-secret-0");
  CHECK(world.refresher.stats().unsaved == 1);
  CHECK(world.run() == 0);
  world.advance_s(kRefreshLeaseS);
  CHECK(world.run() == 1);
  CHECK(world.access() == "access-secret-1");
  CHECK(world.tokens.find_refresh(TokenWorld::kId, {}).value().refresh_token.reveal() ==
        "refresh-secret-1");
  CHECK(world.upstream.seen_count() == 1);
  CHECK(world.refresher.stats().unsaved == 0);
}

TEST_CASE("refresher: a token that could not be written is written when it stops",
          "[fault][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  std::atomic<int> writes{0};
  world.plan = [&](std::string_view op, std::string_view key) -> Status {
    if (op == "cas" && key.starts_with("tokens:") && ++writes == 2) return unavailable("disk");
    return ok();
  };
  world.upstream.push_json(200, kGood);
  CHECK_FALSE(world.refresher.run_due().ok());
  world.refresher.stop();
  CHECK(world.access() == "access-secret-1");
}

TEST_CASE("refresher: a store that fails leaves accounts due and asks nobody",
          "[fault][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  world.plan = [](std::string_view op, std::string_view) -> Status {
    return op == "cas" || op == "write" ? unavailable("disk") : ok();
  };
  CHECK(world.refresher.run_due().status().code() == Code::kUnavailable);
  CHECK(world.upstream.seen_count() == 0);
  world.plan = [](std::string_view, std::string_view) { return ok(); };
  world.upstream.push_json(200, kGood);
  CHECK(world.run() == 1);
}

TEST_CASE("refresher: a credential that an admin replaced meanwhile counts",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  world.upstream.set_handler([&](const auto&) {
    world.add_account(TokenWorld::kId, 7200);
    return answer(200, kGood);
  });
  CHECK(world.run() == 1);
  CHECK(world.access() == "access-secret-0");
  CHECK(world.view().health.state == TokenState::kOk);
  // The lease's alarm is stale; it moves to where the record says and asks nobody.
  world.advance_s(kRefreshLeaseS);
  CHECK(world.run() == 0);
  CHECK(world.alarms().size() == 1);
}

TEST_CASE("refresher: an account that was removed meanwhile stays removed",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  world.upstream.set_handler([&](const auto&) {
    CHECK(world.tokens.remove(TokenWorld::kId, TokenWorld::kWho).ok());
    return answer(200, kGood);
  });
  CHECK(world.run() == 1);
  CHECK(world.tokens.find(TokenWorld::kId).code() == Code::kNotFound);
  world.advance_s(kRefreshLeaseS);
  CHECK(world.run() == 0);
  CHECK(world.alarms().empty());
}

TEST_CASE("refresher: an answer for an account that was removed changes none stored after it",
          "[unit][gateway][refresher]") {
  const int status = GENERATE(200, 400, 503);
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  world.upstream.set_handler([&](const auto&) {
    CHECK(world.tokens.remove(TokenWorld::kId, TokenWorld::kWho).ok());
    // As many writes as the account of before had: its version is the same.
    world.add_account(TokenWorld::kId, 7200);
    world.add_account(TokenWorld::kId, 7200);
    return answer(status, status == 200 ? kGood : R"({"error":"invalid_grant"})");
  });
  CHECK(world.run() == 1);
  CHECK(world.view().version == 2);
  CHECK(world.access() == "access-secret-0");
  CHECK(world.tokens.find_refresh(TokenWorld::kId, {world.client.token_url})
            ->refresh_token.reveal() == "refresh-secret-0");
  CHECK(world.view().health.state == TokenState::kOk);
  CHECK(world.view().health.failures == 0);
}

TEST_CASE("refresher: two refreshers on one store never ask for the same account",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  constexpr int kAccounts = 200;
  for (int i = 0; i < kAccounts; ++i) {
    world.add_account({"acme", "hubspot", "a" + std::to_string(i)});
  }
  world.upstream.set_handler([](const auto&) {
    return answer(200, R"({"access_token":"access-secret-1","expires_in":36000})");
  });
  world.advance_s(3000);
  TokenStore others{*world.kv, world.audited, *world.kv, world.sealer, world.clock};
  Refresher second{*world.kv,      others, world.upstream, world.clients, world.clock,
                   *world.entropy, 4};
  std::atomic<int64_t> asked{0};
  {
    Thread other("second", [&] { asked += second.run_due().value_or(0); });
    asked += world.refresher.run_due().value_or(0);
  }
  CHECK(asked == kAccounts);
  CHECK(world.upstream.seen_count() == kAccounts);
  // Who met the other's lease may have left an alarm at its end; it finds nothing to do and goes.
  world.advance_s(kRefreshLeaseS);
  CHECK(world.run() == 0);
  CHECK(world.upstream.seen_count() == kAccounts);
  CHECK(world.alarms().size() == kAccounts);
}

TEST_CASE("refresher: a run that died is taken over when its lease ends",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  const AccountView view = world.view();
  KvBatch also;
  also.remove(KvFamily::kTokens, world.alarms().at(0));
  add_refresh_alarm(also, TokenWorld::kId, world.clock.unix_s() + kRefreshLeaseS);
  TokenHealth lease{TokenState::kRefreshing, 0, world.clock.unix_s() + kRefreshLeaseS, ""};
  REQUIRE(world.tokens.set_health(TokenWorld::kId, lease, TokenWorld::kWho, also).ok());
  world.upstream.push_json(200, kGood);
  CHECK(world.run() == 0);
  CHECK(world.refresher.refresh_now(TokenWorld::kId).code() == Code::kConflict);
  world.advance_s(kRefreshLeaseS);
  CHECK(world.run() == 1);
  CHECK(world.access() == "access-secret-1");
}

TEST_CASE("refresher: a restart arms what has no alarm, and only that",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.add_account({"acme", "hubspot", "second"});
  world.add_account({"acme", "stripe", "key"}, 3600, AuthType::kBearer);
  KvBatch lost;
  for (const std::string& key : world.alarms()) lost.remove(KvFamily::kTokens, key);
  REQUIRE(world.kv->write(lost, KvDurability::kSynced).ok());
  CHECK(world.refresher.rearm().value() == 2);
  CHECK(world.refresher.rearm().value() == 0);
  CHECK(world.alarms().size() == 2);
  world.upstream.set_handler([](const auto&) { return answer(200, kGood); });
  world.advance_s(3000);
  CHECK(world.run() == 2);
}

TEST_CASE("refresher: a token of unknown expiry is refreshed once the provider refuses it",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  world.advance_s(3000);
  world.upstream.push_json(200, R"({"access_token":"access-secret-1"})");
  CHECK(world.run() == 1);
  CHECK(world.view().expires_at_s == 0);
  CHECK(world.alarms().empty());
  world.refresher.token_rejected(TokenWorld::kId);
  world.refresher.token_rejected(TokenWorld::kId);
  CHECK(world.alarms().size() == 1);
  world.upstream.push_json(200, kGood);
  CHECK(world.run() == 1);
  CHECK(world.access() == "access-secret-1");
  CHECK(world.upstream.seen_count() == 2);
  // A known expiry is believed: no alarm.
  world.advance_s(61);
  world.refresher.token_rejected(TokenWorld::kId);
  CHECK(world.run() == 0);
}

TEST_CASE("refresher: a refresh token that is rotated twice is never used twice",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  std::vector<std::string> used;
  world.upstream.set_handler([&](const test::SeenRequest& request) {
    used.push_back(request.body.substr(request.body.rfind('=') + 1));
    const std::string number = std::to_string(used.size());
    return answer(200, R"({"access_token":"access-secret-)" + number +
                           R"(","refresh_token":"refresh-secret-)" + number +
                           R"(","expires_in":3600})");
  });
  for (int i = 1; i <= 3; ++i) {
    world.advance_s(3000);
    CHECK(world.run() == 1);
    CHECK(world.access() == "access-secret-" + std::to_string(i));
  }
  CHECK(used ==
        std::vector<std::string>{"refresh-secret-0", "refresh-secret-1", "refresh-secret-2"});
  CHECK(world.tokens.find_refresh(TokenWorld::kId, {}).value().refresh_token.reveal() ==
        "refresh-secret-3");
}

TEST_CASE("refresher: client credentials and the ways to authenticate the client",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.client.scopes = {"read", "write"};
  world.add_account(TokenWorld::kId, 3600, AuthType::kOauth2ClientCredentials);
  world.client.client_auth = oauth::ClientAuth::kPost;
  world.upstream.push_json(200, kGood);
  world.advance_s(3000);
  CHECK(world.run() == 1);
  CHECK(world.upstream.last_seen().body ==
        "grant_type=client_credentials&scope=read%20write&client_id=client%20id"
        "&client_secret=client%2Fsecret");
  world.client.client_auth = oauth::ClientAuth::kNone;
  world.upstream.push_json(200, kGood);
  REQUIRE(world.refresher.refresh_now(TokenWorld::kId).ok());
  CHECK(world.upstream.last_seen().body.find("client_secret") == std::string::npos);
  CHECK(world.upstream.last_seen().header("authorization").empty());
  // Nothing said: basic, and after invalid_client once more in the body.
  world.client.client_auth = oauth::ClientAuth::kAuto;
  world.upstream.push_json(401, R"({"error":"invalid_client"})");
  world.upstream.push_json(200, kGood);
  REQUIRE(world.refresher.refresh_now(TokenWorld::kId).ok());
  CHECK(world.upstream.last_seen().body.find("client_secret=") != std::string::npos);
  CHECK(oauth::parse_client_auth("private_key_jwt").code() == Code::kInvalid);
}

TEST_CASE("refresher: its own thread finds what is due and stops when asked",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  Mutex mutex;
  CondVar changed;
  bool asked = false;
  world.upstream.set_handler([&](const auto&) {
    const MutexLock lock(mutex);
    asked = true;
    changed.notify_all();
    return answer(200, kGood);
  });
  world.advance_s(3000);
  world.refresher.start();
  {
    const MutexLock lock(mutex);
    while (!asked) changed.wait(mutex);
  }
  world.refresher.stop();
  CHECK(world.access() == "access-secret-1");
}

TEST_CASE("refresher: leases of a process that died end with the next start",
          "[fault][gateway][refresher]") {
  TokenWorld world;
  world.add_account();
  const AccountId other{"acme", "hubspot", "other"};
  world.add_account(other);
  world.advance_s(3000);
  // As a run leaves it that died with its process.
  KvBatch alarm;
  const int64_t lease_s = world.clock.unix_s() + kRefreshLeaseS;
  add_refresh_alarm(alarm, TokenWorld::kId, lease_s);
  REQUIRE(world.tokens
              .set_health(TokenWorld::kId, {TokenState::kRefreshing, 2, lease_s, "before"},
                          TokenWorld::kWho, alarm)
              .ok());
  CHECK(world.refresher.refresh_now(TokenWorld::kId).code() == Code::kConflict);
  CHECK(world.refresher.take_leases_back().value() == 1);
  CHECK(world.view().health.failures == 2);
  CHECK(world.view(other).health.state == TokenState::kOk);
  world.upstream.set_handler([](const auto&) { return answer(200, kGood); });
  CHECK(world.run() == 2);
  CHECK(world.view().health.state == TokenState::kOk);
  CHECK(world.alarms().size() == 2);
  CHECK(world.refresher.take_leases_back().value() == 0);
  world.plan = [](std::string_view, std::string_view) { return unavailable("disk"); };
  CHECK(world.refresher.take_leases_back().code() == Code::kUnavailable);
}

TEST_CASE("refresher: an account whose tenant may not reach its provider is left alone",
          "[unit][gateway][refresher]") {
  TokenWorld world;
  bool may = false;
  Refresher one{*world.kv,
                world.tokens,
                world.upstream,
                world.clients,
                world.clock,
                *world.entropy,
                1,
                [&](const AccountId& id) {
                  return may ? ok() : forbidden(id.tenant + " may not reach it.");
                }};
  world.add_account();
  world.advance_s(3100);
  CHECK(one.run_due().ok());
  CHECK(one.refresh_now(TokenWorld::kId).message() == "acme may not reach it.");
  CHECK(world.upstream.seen_count() == 0);
  CHECK(world.view().health.state == TokenState::kRetrying);
  CHECK(world.access() == "access-secret-0");
  may = true;
  world.upstream.set_handler([](const auto&) { return answer(200, kGood); });
  CHECK(one.refresh_now(TokenWorld::kId).ok());
  CHECK(world.access() == "access-secret-1");
}

TEST_CASE("refresher: a provider that fails does not keep the others waiting",
          "[fault][gateway][refresher]") {
  TokenWorld world;
  const ProviderClientSource clients = [&](std::string_view provider) -> Result<ProviderClient> {
    oauth::Client client = world.client;
    client.token_url = "https://" + std::string(provider) + ".example.com/token";
    return ProviderClient{world.account_type, client};
  };
  Refresher one{*world.kv, world.tokens, world.upstream, clients, world.clock, *world.entropy, 1};
  for (int i = 0; i < 50; ++i)
    world.add_account({"acme", "hanging", "a" + std::to_string(i)}, 3600);
  for (int i = 0; i < 5; ++i) world.add_account({"acme", "working", "a" + std::to_string(i)}, 3700);
  world.upstream.set_handler([](const kvcs::test::SeenRequest& request) {
    if (request.url.find("working") != std::string::npos) return answer(200, kGood);
    ScriptedAnswer late;
    late.open_failure = timed_out("15 s");
    return late;
  });
  world.advance_s(3100);
  CHECK(one.run_due().value() == kProviderFailuresMax + 5);
  // They took turns: the second asked is of the other provider, though due later.
  CHECK(world.upstream.seen()[0].url == "https://hanging.example.com/token");
  CHECK(world.upstream.seen()[1].url == "https://working.example.com/token");
  for (int i = 0; i < 5; ++i) {
    CHECK(world.access({"acme", "working", "a" + std::to_string(i)}) == "access-secret-1");
  }
  // The rest stays due, and a provider that is back gets it all.
  world.upstream.set_handler([](const auto&) { return answer(200, kGood); });
  CHECK(one.run_due().value() == 50 - kProviderFailuresMax);
}

TEST_CASE("refresher: a clock that jumps leaves no token behind", "[fault][gateway][refresher]") {
  TokenWorld world;
  world.upstream.set_handler([](const auto&) { return answer(200, kGood); });
  // A year ahead: all is due at once, and once.
  world.add_account();
  world.advance_s(365 * 86'400);
  CHECK(world.run() == 1);
  CHECK(world.run() == 0);
  // And back: the record is of a time that has not come, so its expiry means nothing.
  world.clock.set_unix_ms(world.clock.unix_ms() - 365LL * 86'400'000);
  CHECK(world.run() == 0);
  CHECK(world.refresher.rearm().value() == 1);
  CHECK(world.run() == 1);
  CHECK(world.view().expires_at_s == world.clock.unix_s() + 3600);
  CHECK(world.refresher.rearm().value() == 0);
  // A lease and an attempt put off that lie further ahead than any can.
  for (const TokenState state : {TokenState::kRefreshing, TokenState::kRetrying}) {
    const int64_t far_s = world.clock.unix_s() + 30 * 86'400;
    REQUIRE(world.tokens.set_health(TokenWorld::kId, {state, 1, far_s, ""}, TokenWorld::kWho).ok());
    CHECK(world.refresher.rearm().value() == 1);
    CHECK(world.run() == 1);
    CHECK(world.view().health.state == TokenState::kOk);
  }
}
