// Alerts: the sink that makes rows of alert_log (on the ledger's writer thread), and the delivery
// of rows that are due (on the thread of the job "alert-delivery", which alone changes their
// state).
#include "ledger/alerts.h"

#include <nlohmann/json.hpp>

#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "db/db.h"
#include "kv/outbox.h"
#include "ledger/rows.h"

namespace kvcs {
namespace {

constexpr int kDeliveryDeadlineMs = 10'000;
constexpr int64_t kRetryMs = 30'000;  // Doubled after each attempt: 30 s to 32 min.
constexpr size_t kAnswerMaxBytes = 64 << 10;

// The longest time between two attempts, and some.
constexpr int64_t kAttemptGapMaxMs = 3'600'000;

// Whether this channel was told of the event and subject after `since_ms` and not after `now_ms`,
// which a clock that was wrong for a while leaves behind. Suppressed rows do not count: an incident
// that goes on is told again when its quiet time is over.
Result<bool> is_known_incident(Database& db, const std::string& event, const std::string& subject,
                               const std::string& channel, int64_t since_ms, int64_t now_ms) {
  auto query =
      KVCS_TRY(db.prepare("SELECT 1 FROM alert_log WHERE event = ? AND subject = ? AND channel = ?"
                          " AND ts_ms > ? AND ts_ms <= ? AND status <> 'suppressed' LIMIT 1"));
  query.bind(1, event).bind(2, subject).bind(3, channel).bind(4, since_ms).bind(5, now_ms);
  return KVCS_TRY(query.step());
}

}  // namespace

void add_alert(KvBatch& batch, const AlertEvent& alert, const Clock& clock, Entropy& entropy) {
  add_alert(batch, alert, to_hex(entropy.bytes(16)), clock.unix_ms());
}

void add_alert(KvBatch& batch, const AlertEvent& alert, std::string_view id, int64_t unix_ms) {
  const Json payload = {
      {"event", alert.event}, {"subject", alert.subject}, {"message", alert.message}};
  add_to_outbox(batch, "alert", id, unix_ms, dump_json(payload));
}

void raise_alert(KvStore& kv, const AlertEvent& alert, const Clock& clock, Entropy& entropy) {
  KvBatch batch;
  add_alert(batch, alert, clock, entropy);
  const Status written = kv.write(batch, KvDurability::kSynced);
  if (!written.ok()) {
    log::error("alert.lost", {{"event", alert.event}, {"error", written.to_string()}});
  }
}

Alerts::Alerts(Ledger& ledger, http::HttpUpstream& upstream, AlertChannels channels,
               MailSender send_mail, const Clock& clock)
    : ledger_(ledger),
      upstream_(upstream),
      channels_(std::move(channels)),
      send_mail_(std::move(send_mail)),
      clock_(clock) {}

OutboxSink Alerts::sink() const {
  return [this](Database& db, const OutboxRecord& record) -> Status {
    const Json payload = KVCS_TRY(parse_json(record.payload_json));
    if (!payload.is_object()) return invalid("an alert is not an object");
    AlertRecord row;
    row.ts_ms = record.unix_ms;
    row.event = text_member(payload, "event");
    row.subject = text_member(payload, "subject");
    row.payload_json = dump_json(Json{{"id", record.id},
                                      {"event", row.event},
                                      {"subject", row.subject},
                                      {"message", text_member(payload, "message")},
                                      {"ts", format_iso8601_ms(record.unix_ms)}});
    std::vector<std::string> channels;
    if (!channels_.webhook_url.empty()) channels.emplace_back("webhook");
    if (!channels_.slack_url.empty()) channels.emplace_back("slack");
    if (!channels_.smtp_url.empty()) channels.emplace_back("smtp");
    // Without a channel the alert is kept in the log alone, as delivered.
    if (channels.empty()) channels.emplace_back("log");
    // One row per channel. Its id follows from the record's, so that a record that is moved again
    // after a crash makes no second row and no second message.
    for (const std::string& channel : channels) {
      row.id = record.id + "-" + channel;
      row.channel = channel;
      const bool known = KVCS_TRY(is_known_incident(
          db, row.event, row.subject, channel, row.ts_ms - channels_.quiet_s * 1000, row.ts_ms));
      row.status = known ? "suppressed" : channel == "log" ? "delivered" : "pending";
      row.next_attempt_ms = row.status == "pending" ? std::optional(row.ts_ms) : std::nullopt;
      KVCS_TRY(insert_alert(db, row));
    }
    return ok();
  };
}

Result<int64_t> Alerts::deliver_due() {
  std::vector<Due> all;
  const int64_t now_ms = clock_.unix_ms();
  const auto collect = [&](Database& db) -> Status {
    auto query =
        KVCS_TRY(db.prepare("SELECT id, channel, payload_json, attempts FROM alert_log"
                            " WHERE status = 'pending'"
                            " AND (next_attempt_ms <= ? OR next_attempt_ms > ?)"
                            " ORDER BY next_attempt_ms LIMIT ?"));
    query.bind(1, now_ms).bind(2, now_ms + kAttemptGapMaxMs).bind(3, int64_t{kAlertsPerRunMax});
    while (KVCS_TRY(query.step())) {
      all.push_back({std::string(query.text(0)), std::string(query.text(1)),
                     std::string(query.text(2)), static_cast<int>(query.integer(3))});
    }
    return ok();
  };
  KVCS_TRY(ledger_.read(collect));
  // The message leaves before its row says so: a crash in between repeats it rather than losing it.
  int64_t delivered = 0;
  for (const Due& due : all) {
    const Status sent = deliver(due);
    const int attempts = due.attempts + 1;
    const bool again = !sent.ok() && attempts < kAlertAttemptsMax;
    const char* status = sent.ok() ? "delivered" : again ? "pending" : "failed";
    std::optional<int64_t> next_ms;
    if (again) next_ms = now_ms + (kRetryMs << due.attempts);
    const std::string error = sent.message();
    const auto update = [&](Database& db) {
      return update_alert(db, due.id, status, attempts, next_ms, error);
    };
    KVCS_TRY(ledger_.write(update));
    if (sent.ok()) ++delivered;
  }
  return delivered;
}

Status Alerts::deliver(const Due& due) const {
  const Json payload = KVCS_TRY(parse_json(due.payload_json));
  const std::string title = text_member(payload, "event") + " " + text_member(payload, "subject");
  const std::string text = title + ": " + text_member(payload, "message");
  if (due.channel == "webhook") return post(channels_.webhook_url, due.payload_json, true);
  if (due.channel == "slack") {
    return post(channels_.slack_url.reveal(), dump_json(Json{{"text", text}}), false);
  }
  if (due.channel != "smtp") return invalid("The channel " + due.channel + " is not set up.");
  return send_mail_({channels_.smtp_url, channels_.smtp_user, channels_.smtp_from,
                     channels_.smtp_to, "[kvcs] " + title, text + "\n", channels_.smtp_password});
}

Status Alerts::post(const std::string& url, const std::string& body, bool with_signature) const {
  if (url.empty()) return invalid("The channel is not set up any more.");
  http::UpstreamRequest request;
  request.method = "POST";
  request.url = url;
  request.body = body;
  request.deadline_ms = kDeliveryDeadlineMs;
  request.allow_private_addresses = channels_.allow_private_addresses;
  request.headers = {{"Content-Type", "application/json"}};
  // Without a secret anybody could make the signature, and a receiver would believe it.
  if (with_signature && !channels_.webhook_secret.empty()) {
    const std::string timestamp = std::to_string(clock_.unix_s());
    request.headers.emplace_back("x-kvcs-timestamp", timestamp);
    request.headers.emplace_back(
        "x-kvcs-signature",
        "sha256=" + to_hex(hmac_sha256(channels_.webhook_secret.reveal(), timestamp + "." + body)));
  }
  auto opened = upstream_.open(request);
  // The words of a failed connection may hold the URL; its secret path stays out of the log.
  if (!opened.ok()) {
    return upstream_failed("The channel cannot be reached (" +
                           std::string(code_name(opened.code())) + " " + opened.status().reason() +
                           ").");
  }
  const Result<std::string> answer = opened.value()->read_all(kAnswerMaxBytes);
  const int status = opened.value()->status();
  if (status >= 200 && status <= 299) return ok();
  return upstream_failed("The channel answered " + std::to_string(status) + ".");
}

}  // namespace kvcs
