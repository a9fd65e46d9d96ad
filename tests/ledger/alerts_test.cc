// Goal: an alert reaches each channel once per incident, signed, is tried again after failures, and
// its log holds no secret. Method: the ledger on real files, a scripted upstream, a manual clock.
#include "ledger/alerts.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/json.h"
#include "ledger/ledger_fixture.h"
#include "support/scripted_upstream.h"

using namespace kvcs;

namespace {

struct AlertWorld : test::LedgerFixture {
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(3);
  test::ScriptedUpstream upstream;
  std::vector<Alerts::Mail> mails;
  Status mail_status;
  AlertChannels channels = [] {
    AlertChannels c;
    c.webhook_url = "https://hooks.example.com/kvcs";
    c.webhook_secret = Secret("hook-secret");
    return c;
  }();
  std::unique_ptr<Alerts> alerts;

  void start() {
    alerts = std::make_unique<Alerts>(
        *ledger, upstream, channels,
        [this](const Alerts::Mail& mail) {
          mails.push_back(mail);
          return mail_status;
        },
        clock);
    ledger->add_sink("alert", alerts->sink());
    ledger->start();
  }
  void raise(const std::string& event, const std::string& subject) {
    KvBatch batch;
    add_alert(batch, {event, subject, "It broke."}, clock, *entropy);
    REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
    REQUIRE(ledger->drain().ok());
  }
  int64_t count(const std::string& where) const {
    return number("SELECT count(*) FROM alert_log WHERE " + where);
  }
};

}  // namespace

TEST_CASE("alerts: without a secret nothing is signed", "[unit][ledger][alerts]") {
  AlertWorld world;
  world.channels.webhook_secret = Secret();
  world.start();
  world.upstream.push_json(200, "{}");
  world.raise("token.reauth_required", "acme/hubspot/main");
  CHECK(world.alerts->deliver_due().value() == 1);
  const auto seen = world.upstream.last_seen();
  CHECK_FALSE(seen.body.empty());
  CHECK(seen.header("x-kvcs-signature").empty());
  CHECK(seen.header("x-kvcs-timestamp").empty());
}

TEST_CASE("alerts: a webhook gets the event once per incident, signed", "[unit][ledger][alerts]") {
  AlertWorld world;
  world.start();
  world.upstream.push_json(200, "{}");
  world.raise("token.reauth_required", "acme/hubspot/main");
  world.raise("token.reauth_required", "acme/hubspot/main");
  CHECK(world.alerts->deliver_due().value() == 1);
  CHECK(world.alerts->deliver_due().value() == 0);
  CHECK(world.count("status = 'suppressed'") == 1);
  CHECK(world.count("status = 'delivered'") == 1);
  const auto seen = world.upstream.last_seen();
  CHECK(seen.header("x-kvcs-signature") ==
        "sha256=" +
            to_hex(hmac_sha256("hook-secret", seen.header("x-kvcs-timestamp") + "." + seen.body)));
  const Json body = parse_json(seen.body).value();
  CHECK(body["event"] == "token.reauth_required");
  CHECK(body["subject"] == "acme/hubspot/main");
  // Another subject, and the same one after the quiet time, are incidents of their own.
  world.upstream.push_json(200, "{}");
  world.upstream.push_json(200, "{}");
  world.raise("token.reauth_required", "acme/hubspot/second");
  world.clock.advance_ms(3'601'000);
  world.raise("token.reauth_required", "acme/hubspot/main");
  CHECK(world.alerts->deliver_due().value() == 2);
}

TEST_CASE("alerts: what a wrong clock left behind silences nobody", "[unit][ledger][alerts]") {
  AlertWorld world;
  world.start();
  constexpr int64_t kYearMs = int64_t{365} * 86'400'000;
  world.clock.advance_ms(kYearMs);
  world.upstream.push_json(200, "{}");
  world.raise("backup.failed", "backup");
  CHECK(world.alerts->deliver_due().value() == 1);
  world.upstream.push_json(503, "{}");
  world.raise("disk.low", "data");
  CHECK(world.alerts->deliver_due().value() == 0);
  world.clock.advance_ms(-kYearMs);
  // The same incident is told now, and so is the one that waits for a time a year away.
  world.raise("backup.failed", "backup");
  world.upstream.push_json(200, "{}");
  world.upstream.push_json(200, "{}");
  CHECK(world.alerts->deliver_due().value() == 2);
}

TEST_CASE("alerts: a channel that fails is tried again later, and not for ever",
          "[unit][ledger][alerts]") {
  AlertWorld world;
  world.channels.webhook_url.clear();
  world.channels.slack_url = Secret("https://hooks.slack.test/services/slack-secret");
  world.start();
  world.upstream.set_handler([](const auto&) {
    test::ScriptedAnswer answer;
    answer.open_failure =
        upstream_failed("cannot reach https://hooks.slack.test/services/slack-secret");
    return answer;
  });
  world.raise("provider.down", "hubspot");
  for (int i = 0; i < kAlertAttemptsMax; ++i) {
    CHECK(world.alerts->deliver_due().value() == 0);
    CHECK(world.alerts->deliver_due().value() == 0);
    CHECK(world.upstream.seen_count() == static_cast<size_t>(i + 1));
    world.clock.advance_ms(30'000LL << i);
  }
  CHECK(world.count("status = 'failed' AND attempts = 8") == 1);
  CHECK(world.count("error LIKE '%slack-secret%' OR payload_json LIKE '%slack-secret%'") == 0);
  CHECK(parse_json(world.upstream.last_seen().body).value()["text"] ==
        "provider.down hubspot: It broke.");
}

TEST_CASE("alerts: mail goes out by the sender, and without channels the log alone knows",
          "[unit][ledger][alerts]") {
  AlertWorld world;
  world.channels.webhook_url.clear();
  SECTION("mail") {
    world.channels.smtp_url = "smtp://mail.example.com";
    world.channels.smtp_to = "ops@example.com";
    world.start();
    world.raise("disk.low", "data");
    CHECK(world.alerts->deliver_due().value() == 1);
    REQUIRE(world.mails.size() == 1);
    CHECK(world.mails[0].subject == "[kvcs] disk.low data");
    CHECK(world.mails[0].to == "ops@example.com");
  }
  SECTION("none") {
    world.start();
    world.raise("disk.low", "data");
    CHECK(world.alerts->deliver_due().value() == 0);
    CHECK(world.count("channel = 'log' AND status = 'delivered'") == 1);
  }
}
