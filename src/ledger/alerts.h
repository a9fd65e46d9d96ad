// Alerts: what a person should look at. An event rides in the KV batch of the change that it
// reports (outbox kind "alert"), so that it cannot be lost; the sink makes one row of alert_log per
// channel, and Alerts delivers those.
//
// Events: token.reauth_required, token.refresh_failing, provider.down, budget.80, budget.100,
// budget.counter_damaged, budget.journal_damaged, ai.above_reservation, ai.absurd_usage,
// ai.unpriced_dimension, ledger.dead, ledger.dead_full, job.failed, disk.low, backup.failed,
// blob.damaged, kv.damaged, db.damaged, clock.leapt, audit.cut, tls.expiring, deletion.taken_back,
// billing.payment_failed, billing.price_unknown, billing.difference, billing.webhook_refused,
// billing.not_canceled, billing.paid_for_nobody, billing.ended_while_restored, upload.damaged,
// account.codes_locked.
// Alerts of one event and subject within `quiet_s` are one incident: the first is sent, others
// kept.
//
// Channels: "webhook" gets a POST of {"id","event","subject","message","ts"} with
//   x-kvcs-timestamp: <unix s>   x-kvcs-signature: sha256=<hex HMAC-SHA256 of "<unix s>.<body>">
// "slack" gets {"text"}; "smtp" a mail. Failed deliveries are tried again after 30 s · 2^n, at most
// kAlertAttemptsMax times.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"
#include "http/client/upstream.h"
#include "kv/kv.h"
#include "ledger/ledger.h"

namespace kvcs {

inline constexpr int kAlertAttemptsMax = 8;
inline constexpr int kAlertsPerRunMax = 200;

struct AlertEvent {
  std::string event;
  std::string subject;  // What it is about: "acme/hubspot/main".
  std::string message;  // One line for a person; never a secret.
};
// Puts the event into `batch`.
void add_alert(KvBatch& batch, const AlertEvent& alert, const Clock& clock, Entropy& entropy);
// The same under an id of its own: an id is told once, however often it is put.
void add_alert(KvBatch& batch, const AlertEvent& alert, std::string_view id, int64_t unix_ms);

// Writes the event in a batch of its own, for callers without one. Never fails: an alert that the
// store does not take is an error in the log.
void raise_alert(KvStore& kv, const AlertEvent& alert, const Clock& clock, Entropy& entropy);

// The receivers of alerts; without any channel alerts are only kept.
struct AlertChannels {
  std::string webhook_url;  // "" = none.
  Secret webhook_secret;
  Secret slack_url;                          // Holds a secret in its path.
  std::string smtp_url, smtp_from, smtp_to;  // "smtps://mail.example.com:465"
  std::string smtp_user;
  Secret smtp_password;
  bool allow_private_addresses = false;
  int64_t quiet_s = 3600;
};

class Alerts final {
 public:
  // `send_mail` is http::send_mail, or a test's.
  struct Mail {
    std::string url, user, from, to, subject, text;
    Secret password;
  };
  using MailSender = std::function<Status(const Mail& mail)>;
  // All outlive it.
  Alerts(Ledger& ledger, http::HttpUpstream& upstream, AlertChannels channels, MailSender send_mail,
         const Clock& clock);

  // For Ledger::add_sink("alert", …), before the ledger starts.
  OutboxSink sink() const;
  // Tries every delivery that is due; how many arrived. Failures are in alert_log.
  Result<int64_t> deliver_due();

 private:
  struct Due {
    std::string id, channel, payload_json;
    int attempts = 0;
  };
  Status deliver(const Due& due) const;
  Status post(const std::string& url, const std::string& body, bool with_signature) const;

  Ledger& ledger_;
  http::HttpUpstream& upstream_;
  const AlertChannels channels_;
  const MailSender send_mail_;
  const Clock& clock_;
};

}  // namespace kvcs
