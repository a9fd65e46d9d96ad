// Goal: what the daemon writes for the history is read by the admin's lists with every member:
// audit rows and alerts through the outbox, diagnostics through the queue. Method: every member has
// a value of its own; the production writer writes, the production reader reads.
#include <nlohmann/json.hpp>

#include "base/crypto.h"
#include "base/entropy.h"
#include "base/json.h"
#include "kv/audited_kv.h"
#include "ledger/alerts.h"
#include "ledger/audit.h"
#include "ledger/ledger_api.h"
#include "ledger/ledger_fixture.h"
#include "ledger/rows.h"
#include "support/members.h"
#include "support/scripted_upstream.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kTimeMs = 1'793'880'000'123;

// The only row of a table, as the admin API shows it. Times come as ISO 8601 and are turned back.
Json only_row(const Ledger& ledger, const std::string& table) {
  const Result<LedgerPage> page = ledger.query({.table = table});
  INFO(page.status().to_string());
  REQUIRE(page.ok());
  REQUIRE(page->rows.size() == 1);
  return parse_json(page->rows[0]).value();
}

Members members_of_row(const Json& row, const Members& like) {
  Members members;
  for (const auto& [name, unused] : like) {
    INFO("member " << name << " of " << row);
    const bool is_time = name == "ts_ms" || name == "started_ms" || name == "next_attempt_ms";
    const std::string outside = name == "next_attempt_ms" ? "next_attempt_at"
                                : is_time                 ? "ts"
                                : name.ends_with("_json") ? name.substr(0, name.size() - 5)
                                                          : name;
    const Json& value = row.at(outside);
    if (is_time) {
      members.emplace_back(name,
                           std::to_string(parse_iso8601_ms(value.get<std::string>()).value()));
    } else {
      members.emplace_back(name, value.is_string() ? value.get<std::string>() : dump_json(value));
    }
  }
  return members;
}

Members members_of(const AuditRow& row) {
  const auto& [id, ts_ms, family, key, action, old_hash, new_hash, source, actor, request_id] = row;
  return name_members("id ts_ms family key action old_hash new_hash source actor request_id", id,
                      ts_ms, family, key, action, old_hash, new_hash, source, actor, request_id);
}

Members members_of(const AlertEvent& alert) {
  const auto& [event, subject, message] = alert;
  return name_members("event subject message", event, subject, message);
}

Members members_of(const ErrorRecord& record) {
  const auto& [id, ts_ms, request_id, tenant, provider, account_id, action, method, path, code,
               message, status, upstream_status, latency_ms, ip_hash] = record;
  return name_members(
      "id ts_ms request_id tenant provider account_id action method path code message status "
      "upstream_status latency_ms ip_hash",
      id, ts_ms, request_id, tenant, provider, account_id, action, method, path, code, message,
      status, upstream_status, latency_ms, ip_hash);
}

Members members_of(const JobRunRecord& record) {
  const auto& [job, started_ms, duration_ms, result, detail] = record;
  return name_members("job started_ms duration_ms result detail", job, started_ms, duration_ms,
                      result, detail);
}

Members members_of(const DecisionRecord& record) {
  const auto& [id, ts_ms, kind, severity, subject, suggestion, evidence_json] = record;
  return name_members("id ts_ms kind severity subject suggestion evidence_json", id, ts_ms, kind,
                      severity, subject, suggestion, evidence_json);
}

Members members_of(const AlertRecord& record) {
  const auto& [id, ts_ms, event, subject, channel, status, attempts, next_attempt_ms, error,
               payload_json] = record;
  return name_members(
      "id ts_ms event subject channel status attempts next_attempt_ms error payload_json", id,
      ts_ms, event, subject, channel, status, attempts, next_attempt_ms.value_or(0), error,
      payload_json);
}

Members members_of(const BodyRecord& record) {
  const auto& [ts_ms, request_id, organization_id, user_id, key_id, model, status, request_bytes,
               response_bytes, request, response] = record;
  return name_members(
      "ts_ms request_id org_id user_id key_id model status request_bytes response_bytes request "
      "response",
      ts_ms, request_id, organization_id, user_id, key_id, model, status, request_bytes,
      response_bytes, request, response);
}

}  // namespace

TEST_CASE("records: an audited write reaches the audit's list with every member",
          "[unit][ledger][records]") {
  LedgerFixture f;
  f.clock.set_unix_ms(kTimeMs);
  const auto entropy = make_seeded_entropy(5);
  const auto kv = make_memory_kv(f.clock);
  AuditedKv audited(*kv, f.clock, *entropy);
  Ledger ledger(*kv, *f.writer, *f.readers, f.clock);
  KvBatch before;
  before.put(KvFamily::kTokens, "tokens:a:b:c", std::string("old"));
  REQUIRE(kv->write(before, KvDurability::kSynced).ok());
  KvBatch batch;
  batch.put(KvFamily::kTokens, "tokens:a:b:c", std::string("new"));
  REQUIRE(audited.write(batch, {"actor", "source", "request"}).ok());
  REQUIRE(ledger.drain().ok());
  const Json row = only_row(ledger, "kv_audit");
  // The id is made by the writer.
  const AuditRow wanted{row.at("id").get<std::string>(),
                        kTimeMs,
                        "tokens",
                        "tokens:a:b:c",
                        "put",
                        sha256_hex("old"),
                        sha256_hex("new"),
                        "source",
                        "actor",
                        "request"};
  const Members written = members_of(wanted);
  check_same(written, members_of_row(row, written), members_of(AuditRow{}));
}

TEST_CASE("records: an alert reaches its log and its mail with every member",
          "[unit][ledger][records]") {
  LedgerFixture f;
  f.clock.set_unix_ms(kTimeMs);
  ScriptedUpstream upstream;
  std::vector<Alerts::Mail> mails;
  AlertChannels channels;
  channels.smtp_url = "smtp://mail.example.com";
  Alerts alerts(
      *f.ledger, upstream, channels,
      [&](const Alerts::Mail& mail) {
        mails.push_back(mail);
        return ok();
      },
      f.clock);
  f.ledger->add_sink("alert", alerts.sink());
  const AlertEvent written{"budget.80", "subject", "message"};
  KvBatch batch;
  add_alert(batch, written, "alert-id", kTimeMs);
  REQUIRE(f.kv.write(batch, KvDurability::kSynced).ok());
  REQUIRE(f.ledger->drain().ok());
  const Json row = only_row(*f.ledger, "alert_log");
  check_same(members_of(written), members_of_row(row.at("payload"), members_of(written)),
             members_of(AlertEvent{}));
  CHECK(row.at("payload").at("id") == "alert-id");
  CHECK(row.at("payload").at("ts") == format_iso8601_ms(kTimeMs));
  CHECK(row.at("event") == written.event);
  CHECK(row.at("subject") == written.subject);
  f.ledger->start();
  CHECK(alerts.deliver_due().value() == 1);
  REQUIRE(mails.size() == 1);
  CHECK(mails[0].subject == "[kvcs] budget.80 subject");
  CHECK(mails[0].text == "budget.80 subject: message\n");
}

TEST_CASE("records: diagnostics reach their lists with every member", "[unit][ledger][records]") {
  LedgerFixture f;
  const ErrorRecord error{.id = "error-id",
                          .ts_ms = kTimeMs,
                          .request_id = "request",
                          .tenant = "tenant",
                          .provider = "provider",
                          .account_id = "account",
                          .action = "action",
                          .method = "METHOD",
                          .path = "/path",
                          .code = "CODE",
                          .message = "message",
                          .status = 501,
                          .upstream_status = 502,
                          .latency_ms = 503,
                          .ip_hash = "ip"};
  f.ledger->record_error(error);
  const JobRunRecord run{"job", kTimeMs, 601, "result", "detail"};
  f.ledger->record_job_run(run);
  REQUIRE(f.ledger->drain().ok());
  check_same(members_of(error),
             members_of_row(only_row(*f.ledger, "error_ledger"), members_of(error)),
             members_of(ErrorRecord{}));
  check_same(members_of(run), members_of_row(only_row(*f.ledger, "job_runs"), members_of(run)),
             members_of(JobRunRecord{}));
}

TEST_CASE("records: decisions and deliveries reach their lists with every member",
          "[unit][ledger][records]") {
  LedgerFixture f;
  const DecisionRecord decision{"decision-id", kTimeMs,      "kind",          "critical",
                                "subject",     "suggestion", "{\"rows\":[1]}"};
  const AlertRecord alert{"alert-id", kTimeMs, "event",         "subject", "channel",
                          "failed",   7,       kTimeMs + 1'000, "error",   "{\"a\":1}"};
  REQUIRE(f.ledger
              ->write([&](Database& db) -> Status {
                KVCS_TRY(insert_decision(db, decision));
                return insert_alert(db, alert);
              })
              .ok());
  check_same(members_of(decision),
             members_of_row(only_row(*f.ledger, "decision_log"), members_of(decision)),
             members_of(DecisionRecord{}));
  check_same(members_of(alert), members_of_row(only_row(*f.ledger, "alert_log"), members_of(alert)),
             members_of(AlertRecord{}));
  REQUIRE(f.ledger
              ->write([&](Database& db) {
                return update_alert(db, "alert-id", "delivered", 8, kTimeMs + 2'000, "410 Gone");
              })
              .ok());
  AlertRecord changed = alert;
  changed.status = "delivered";
  changed.attempts = 8;
  changed.next_attempt_ms = kTimeMs + 2'000;
  changed.error = "410 Gone";
  check_same(members_of(changed),
             members_of_row(only_row(*f.ledger, "alert_log"), members_of(changed)),
             members_of(AlertRecord{}));
}

TEST_CASE("records: the bodies of a request are shown with every member",
          "[unit][ledger][records]") {
  LedgerFixture f;
  const BodyRecord written{.ts_ms = kTimeMs,
                           .request_id = "request-id",
                           .organization_id = "organization",
                           .user_id = "user",
                           .key_id = "key",
                           .model = "model",
                           .status = 401,
                           .request_bytes = 402,
                           .response_bytes = 403,
                           .request = "what was \"asked\"",
                           .response = "what was answered"};
  f.ledger->record_bodies(written);
  const std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  AuditedKv audited(f.kv, f.clock, *entropy);
  LedgerApi api(*f.ledger, audited, f.clock);
  http::Request request;
  request.params = {{"request_id", "request-id"}};
  const Result<http::Response> shown = api.show_bodies(request);
  INFO(shown.status().to_string());
  REQUIRE(shown.ok());
  check_same(members_of(written),
             members_of_row(parse_json(shown->body).value(), members_of(written)),
             members_of(BodyRecord{}));
}
