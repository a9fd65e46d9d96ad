// Typed rows of ledger.db and the functions that insert them, for sinks and Ledger::write jobs.
// They run on the writer thread, in its transaction. Inserting an id that is there already changes
// nothing and is Ok, so that every one of them may be repeated.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ledger/ledger.h"
#include "ledger/usage_record.h"

namespace kvcs {

// Texts of diagnostics are cut here, so that one request cannot fill the ledger.
inline constexpr size_t kLedgerTextMaxBytes = 2000;

Status insert_error(Database& db, const ErrorRecord& record);
Status insert_job_run(Database& db, const JobRunRecord& record);
Status insert_bodies(Database& db, const BodyRecord& record);  // Uncut; the writer cuts.

// A finding or a suggestion, to be accepted, rejected or applied by an admin.
struct DecisionRecord {
  std::string id;
  int64_t ts_ms = 0;
  std::string kind;      // "autoresearch": of the briefing.
  std::string severity;  // "info", "warning", "critical"
  std::string subject, suggestion;
  std::string evidence_json = "{}";
};
Status insert_decision(Database& db, const DecisionRecord& record);
// Moves a decision on: proposed → accepted, rejected or applied; accepted → rejected or applied.
// Repeating the present status is Ok. NotFound; Conflict naming both states.
Status decide(Database& db, std::string_view id, std::string_view status,
              std::string_view decided_by, int64_t now_ms);

// One alert to one channel: its delivery log, and the list of what is still to be tried.
struct AlertRecord {
  std::string id;
  int64_t ts_ms = 0;
  std::string event;    // "token.reauth_required", "budget.80", …
  std::string subject;  // What it is about; alerts of one event and subject are one incident.
  std::string channel;  // "webhook:<name>", "slack", "smtp"; never a URL with a secret in it.
  std::string status = "pending";  // pending, delivered, failed, suppressed
  int attempts = 0;
  std::optional<int64_t> next_attempt_ms;
  std::string error;  // Of the last attempt.
  std::string payload_json = "{}";
};
Status insert_alert(Database& db, const AlertRecord& record);
// After an attempt. NotFound.
Status update_alert(Database& db, std::string_view id, std::string_view status, int attempts,
                    std::optional<int64_t> next_attempt_ms, std::string_view error);

// Of a row with its indexes, at the most.
inline constexpr int64_t kUsageRowMaxBytes = 200;
// The group sink of outbox kind "usage", whose payload is usage_json() of usage_record.h: inserts
// each row and adds it to its day in usage_daily, once per request_id.
Status usage_sink(Database& db, const std::vector<OutboxRecord>& records);
// Reads one payload; a record without a request_id gets that of the outbox.
Status parse_usage(const OutboxRecord& record, UsageRecord& row);
// The model of a row that is no request: an admin set a user's use to zero, and the row's negative
// cost says by how much.
inline constexpr std::string_view kAdjustmentModel = "adjustment";

// The number of a text in ledger_name, made when it is new.
Result<int64_t> intern_name(Database& db, std::string_view text);

}  // namespace kvcs
