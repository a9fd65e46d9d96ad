// Goal: the same figures always make the same findings, each rule finds its matter and nothing
// else, and a run leaves the briefing and its decisions, without a secret. Method: figures as
// values; the gateway's stores on memory, the ledger on real files, a clock moved by hand.
#include "briefing/briefing.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "gateway/tokens/token_world.h"
#include "identity/records.h"
#include "kv/keyspace.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"

using namespace kvcs;
using namespace kvcs::briefing;
using namespace kvcs::gateway;
using kvcs::test::TokenWorld;

namespace {

std::vector<std::string> titles(const std::vector<Finding>& findings) {
  std::vector<std::string> all;
  for (const Finding& finding : findings) all.push_back(finding.severity + ": " + finding.title);
  return all;
}

}  // namespace

TEST_CASE("briefing: each rule finds its matter, worst first, the same each time",
          "[unit][briefing]") {
  Figures figures;
  figures.now_ms = parse_iso8601_ms("2026-11-10T06:00:00Z").value();
  DayFigures& digest = figures.digest;
  digest.error_groups = {{"hubspot", "UPSTREAM_ERROR", 40, 3, "it broke", "r1"},
                         {"", "RARE", 1, 0, "", ""}};
  digest.rate_groups = {{"acme", "hubspot", 50, 45, 30}, {"acme", "slack", 2, 2, 2}};
  digest.job_groups = {{"ledger-prune", "disk full", 2}};
  digest.latency_groups = {{"openai", "gpt-4o", 100, 2000, 500}, {"openai", "o1", 3, 9000, 1}};
  figures.providers = {{"slack", "It answered 503.", false, 10, 10, 3},
                       {"github", "", true, 900, 100, 0},
                       {"notion", "", true, 100, 100, 0}};
  figures.budgets = {{"acme", "o1", 100'000'000'000, 50'000'000'000},
                     {"calm", "o2", 100'000'000'000, 1'000'000'000},
                     {"spent", "o3", 1'000'000'000, 2'000'000'000}};
  figures.unused_keys = {{"k1", "old", "acme", figures.now_ms - kUnusedAfterMs * 2, 0}};
  figures.cached = {{"hubspot", false}, {"slack", false}};
  AccountView reauth;
  reauth.id = {"acme", "slack", "main"};
  reauth.health = {TokenState::kReauthRequired, 1, 0, "invalid_grant"};
  AccountView expiring;
  expiring.id = {"acme", "stripe", "main"};
  expiring.expires_at_s = figures.now_ms / 1000 + 86'400;
  AccountView retrying;
  retrying.id = {"acme", "gmail", "main"};
  retrying.health = {TokenState::kRetrying, 4, 0, "answered 503"};
  AccountView expired;
  expired.id = {"acme", "twilio", "main"};
  expired.expires_at_s = figures.now_ms / 1000 - 60;
  figures.accounts = {reauth, expiring, retrying, expired};
  figures.unused_accounts = {{{"acme", "zendesk", "old"}, figures.now_ms - kUnusedAfterMs * 2, 0}};
  const std::vector<Finding> findings = find_findings(figures);
  CHECK(titles(findings) == std::vector<std::string>{
                                "critical: An account needs consent",
                                "critical: An account's credential has expired",
                                "critical: The provider's canary fails",
                                "critical: A budget is used up",
                                "warning: 40 requests failed with UPSTREAM_ERROR at hubspot",
                                "warning: A credential expires within a week and nothing renews it",
                                "warning: An account's token cannot be refreshed",
                                "warning: The provider is slower than usual",
                                "warning: A model is slower than in the week before",
                                "warning: A tenant runs into rate limits",
                                "warning: A budget will not last until the end of the month",
                                "warning: A scheduled job fails",
                                "info: Reads that the provider refuses could come from the cache",
                                "info: A key has not been used for 30 days",
                                "info: An account has not been used for 30 days",
                            });
  const Json budget = parse_json(findings[10].evidence_json).value();
  CHECK(budget["projected_usd"] == "162.16");
  CHECK(budget["lasts_until"] == "2026-11-19");
  CHECK(findings.back().subject == "acme/zendesk/old");
  CHECK(findings.back().suggested_action.find("accounts/old") != std::string::npos);
  CHECK(findings[0].id == find_findings(figures)[0].id);
  CHECK(findings[0].id != findings[1].id);
  CHECK(find_findings({}).empty());
}

TEST_CASE("briefing: an account counts as unused after 30 days without a call, not before",
          "[unit][briefing]") {
  TokenWorld world;
  test::LedgerFixture ledger;
  ProviderDirectory providers{*world.kv, world.audited, *world.kv, world.sealer, {}};
  DailyBriefing daily(*world.kv, *ledger.ledger, world.tokens, providers, world.clock);
  const AccountId idle{"acme", "slack", "idle"}, busy{"acme", "slack", "busy"};
  for (const AccountId& id : {idle, busy}) {
    AccessCredential credential;
    credential.access_token = Secret("access-secret-0");
    REQUIRE(world.tokens.put(id, credential, {}, TokenWorld::kWho).ok());
  }
  world.clock.advance_ms(kUnusedAfterMs - 1000);
  CHECK(daily.run().value() == R"({"findings":0})");
  world.tokens.note_used(busy);
  REQUIRE(world.tokens.flush_used().ok());
  world.clock.advance_ms(1000);
  CHECK(daily.run().value() == R"({"findings":1})");
  http::Request request;
  request.params = {{"date", "latest"}};
  const std::string body = daily.show(request)->body;
  CHECK(body.find("An account has not been used for 30 days") != std::string::npos);
  CHECK(body.find("acme/slack/idle") != std::string::npos);
  CHECK(body.find("acme/slack/busy") == std::string::npos);
}

TEST_CASE("briefing: a run writes decisions and the briefing once a day", "[unit][briefing]") {
  TokenWorld world;
  test::LedgerFixture ledger;
  ProviderDirectory providers{*world.kv, world.audited, *world.kv, world.sealer, {}};
  DailyBriefing daily(*world.kv, *ledger.ledger, world.tokens, providers, world.clock);
  world.add_account(TokenWorld::kId, -5);
  const int64_t now_ms = world.clock.unix_ms();
  const auto fill = [now_ms](Database& db) -> Status {
    for (int i = 0; i < 6; ++i) {
      ErrorRecord record;
      record.id = "e" + std::to_string(i);
      record.ts_ms = now_ms - 1000;
      record.tenant = "acme";
      record.provider = "hubspot";
      record.code = "UPSTREAM_ERROR";
      record.message = "answered 500";
      record.request_id = "r" + std::to_string(i);
      KVCS_TRY(insert_error(db, record));
    }
    return insert_job_run(db, {"ledger-prune", now_ms - 1000, 5, "disk full", ""});
  };
  REQUIRE(ledger.ledger->write(fill).ok());
  Organization acme;
  acme.id = "0192a4b0-0000-7000-8000-000000000001";
  acme.slug = "acme";
  KeyRecord key;
  key.kind = PrincipalKind::kTenantToken;
  key.id = "tok1";
  key.name = "agent";
  key.organization_id = acme.id;
  key.key_hash = std::string(64, 'a');
  key.created_ms = now_ms - 2 * kUnusedAfterMs;
  KvBatch batch;
  batch.put(KvFamily::kConfig, keyspace::org_config(acme.id), organization_to_json(acme));
  batch.put(KvFamily::kConfig, keyspace::tenant_token(acme.id, "tok1"), key_to_json(key));
  REQUIRE(world.kv->write(batch, KvDurability::kSynced).ok());
  for (int i = 0; i < 2; ++i) {
    const auto report = daily.run();
    INFO(report.status().to_string());
    REQUIRE(report.ok());
    CHECK(report.value() == R"({"findings":4})");
  }
  CHECK(ledger.number("SELECT count(*) FROM decision_log WHERE status = 'proposed'") == 4);
  http::Request request;
  const std::string day = format_day(now_ms);
  for (const std::string& date : {day, std::string("latest")}) {
    request.params = {{"date", date}};
    const auto shown = daily.show(request);
    REQUIRE(shown.ok());
    for (const char* text : {"UPSTREAM_ERROR", "\"example_request_id\":\"r5\"", "disk full",
                             "has expired", "tok1", "\"organization\":\"acme\""}) {
      INFO(text);
      CHECK(shown.value().body.find(text) != std::string::npos);
    }
    CHECK(shown.value().body.find("-secret-") == std::string::npos);
  }
  request.params = {{"date", "2020-01-01"}};
  CHECK(daily.show(request).code() == Code::kNotFound);
  request.params = {{"date", "../x"}};
  CHECK(daily.show(request).code() == Code::kInvalid);
}
