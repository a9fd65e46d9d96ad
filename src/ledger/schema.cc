// The tables of ledger.db. A migration that has been released is never edited: a change is a new
// number. Times are unix milliseconds (…_ms), identities are text, booleans 0 or 1.
#include "ledger/schema.h"

namespace kvcs {
namespace {

// `seq` is the order of arrival and breaks ties of time in cursors. Texts that repeat in every row
// of `usage` are kept once, in ledger_name, which holds a row under 200 bytes with its indexes.
// usage_daily is the sum of `usage`, kept by the same transaction.
constexpr const char* kLedger1 = R"sql(
CREATE TABLE ledger_state (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);
CREATE TABLE ledger_name (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);
CREATE TABLE error_ledger (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  ts_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL,
  tenant TEXT NOT NULL,
  provider TEXT NOT NULL,
  account_id TEXT NOT NULL,
  action TEXT NOT NULL,
  method TEXT NOT NULL,
  path TEXT NOT NULL,
  status INTEGER NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  upstream_status INTEGER NOT NULL,
  latency_ms INTEGER NOT NULL,
  ip_hash TEXT NOT NULL
);
CREATE INDEX error_ledger_by_time ON error_ledger (ts_ms);
CREATE INDEX error_ledger_by_tenant ON error_ledger (tenant, ts_ms);
CREATE INDEX error_ledger_by_provider ON error_ledger (provider, ts_ms);
CREATE INDEX error_ledger_by_code ON error_ledger (code, ts_ms);
CREATE INDEX error_ledger_by_request ON error_ledger (request_id);
CREATE TABLE kv_audit (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  ts_ms INTEGER NOT NULL,
  family TEXT NOT NULL,
  key TEXT NOT NULL,
  action TEXT NOT NULL,
  old_hash TEXT NOT NULL,
  new_hash TEXT NOT NULL,
  source TEXT NOT NULL,
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  prev_chain_hash TEXT NOT NULL,
  chain_hash TEXT NOT NULL
);
CREATE INDEX kv_audit_by_time ON kv_audit (ts_ms);
CREATE INDEX kv_audit_by_key ON kv_audit (key, ts_ms);
CREATE INDEX kv_audit_by_actor ON kv_audit (actor, ts_ms);
CREATE TABLE decision_log (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  ts_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  severity TEXT NOT NULL,
  subject TEXT NOT NULL,
  suggestion TEXT NOT NULL,
  evidence_json TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'proposed'
    CHECK (status IN ('proposed', 'accepted', 'rejected', 'applied')),
  decided_by TEXT,
  decided_ms INTEGER
);
CREATE INDEX decision_log_by_time ON decision_log (ts_ms);
CREATE INDEX decision_log_by_status ON decision_log (status, ts_ms);
CREATE TABLE job_runs (
  seq INTEGER PRIMARY KEY,
  job TEXT NOT NULL,
  ts_ms INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  result TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX job_runs_by_time ON job_runs (ts_ms);
CREATE INDEX job_runs_by_job ON job_runs (job, ts_ms);
-- Its names are of ledger_name too, entered by the same transaction; no REFERENCES, as seven
-- look-ups would be a third of what a row costs.
CREATE TABLE usage (
  seq INTEGER PRIMARY KEY,
  ts_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL UNIQUE,
  organization_ref INTEGER NOT NULL,
  user_ref INTEGER NOT NULL,
  key_ref INTEGER NOT NULL,
  provider_ref INTEGER NOT NULL,
  model_ref INTEGER NOT NULL,
  price_version_ref INTEGER NOT NULL,
  period_ref INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cache_read_tokens INTEGER NOT NULL,
  cache_write_5m_tokens INTEGER NOT NULL,
  cache_write_1h_tokens INTEGER NOT NULL,
  input_audio_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  output_audio_tokens INTEGER NOT NULL,
  web_searches INTEGER NOT NULL,
  cost_nano_usd INTEGER NOT NULL,
  first_byte_ms INTEGER NOT NULL,
  total_ms INTEGER NOT NULL,
  status INTEGER NOT NULL,
  estimated INTEGER NOT NULL,
  grace INTEGER NOT NULL,
  recovered INTEGER NOT NULL
);
CREATE INDEX usage_by_time ON usage (ts_ms);
CREATE INDEX usage_by_organization ON usage (organization_ref, ts_ms);
CREATE INDEX usage_by_user ON usage (user_ref, ts_ms);
CREATE TABLE usage_daily (
  day TEXT NOT NULL,
  period_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  organization_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  user_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  key_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  provider_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  model_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  requests INTEGER NOT NULL,
  failures INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cost_nano_usd INTEGER NOT NULL,
  total_ms INTEGER NOT NULL,
  PRIMARY KEY (day, period_ref, organization_ref, user_ref, key_ref, provider_ref, model_ref)
);
CREATE TABLE alert_log (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  ts_ms INTEGER NOT NULL,
  event TEXT NOT NULL,
  subject TEXT NOT NULL,
  channel TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed', 'suppressed')),
  attempts INTEGER NOT NULL,
  next_attempt_ms INTEGER,
  error TEXT NOT NULL,
  payload_json TEXT NOT NULL
);
CREATE INDEX alert_log_by_time ON alert_log (ts_ms);
CREATE INDEX alert_log_by_event ON alert_log (event, subject, ts_ms);
CREATE INDEX alert_log_pending ON alert_log (next_attempt_ms) WHERE status = 'pending';
CREATE TABLE outbox_dead (
  seq INTEGER PRIMARY KEY,
  outbox_key TEXT NOT NULL UNIQUE,
  ts_ms INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  payload TEXT NOT NULL
);
CREATE INDEX outbox_dead_by_time ON outbox_dead (ts_ms);
)sql";

constexpr const char* kLedger2 = R"sql(
CREATE TABLE body_log (
  seq INTEGER PRIMARY KEY,
  ts_ms INTEGER NOT NULL,
  request_id TEXT NOT NULL UNIQUE,
  organization_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  user_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  key_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  model_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  status INTEGER NOT NULL,
  request_bytes INTEGER NOT NULL,
  response_bytes INTEGER NOT NULL,
  request TEXT NOT NULL,
  response TEXT NOT NULL
);
CREATE INDEX body_log_by_time ON body_log (ts_ms);
CREATE INDEX body_log_by_organization ON body_log (organization_ref, ts_ms);
CREATE INDEX body_log_by_user ON body_log (user_ref, ts_ms);
)sql";

// What a request may cost beside tokens of text and sound, and the tries that it took.
constexpr const char* kLedger3 = R"sql(
ALTER TABLE usage ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN input_image_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN output_image_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN file_searches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN code_sessions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN images_made INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN service_tier TEXT NOT NULL DEFAULT '';
ALTER TABLE usage ADD COLUMN speed TEXT NOT NULL DEFAULT '';
ALTER TABLE usage ADD COLUMN region TEXT NOT NULL DEFAULT '';
ALTER TABLE usage ADD COLUMN search_size TEXT NOT NULL DEFAULT '';
ALTER TABLE usage ADD COLUMN reserved_nano_usd INTEGER NOT NULL DEFAULT 0;
)sql";

// How many rows of usage there have been of an organization and a month of the budget, and what
// they cost: kept by the transaction of the rows, never pruned. Each start compares it with the
// counter of the organization in KV, which says the same of the rows that were made.
constexpr const char* kLedger4 = R"sql(
CREATE TABLE usage_sum (
  period_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  organization_ref INTEGER NOT NULL REFERENCES ledger_name (id),
  row_count INTEGER NOT NULL,
  cost_nano_usd INTEGER NOT NULL,
  PRIMARY KEY (period_ref, organization_ref)
) WITHOUT ROWID;
)sql";

// Rows that were removed from within the audit's chain (audit.h), and the rows that go first.
constexpr const char* kLedger5 = R"sql(
CREATE TABLE audit_gap (
  from_hash TEXT PRIMARY KEY,
  to_hash TEXT NOT NULL UNIQUE,
  rows INTEGER NOT NULL
);
CREATE INDEX kv_audit_callers ON kv_audit (seq)
  WHERE actor >= 'projectkey:' AND actor < 'projectkey;';
)sql";

// People who are no operators go first, too, with the sign-ins that made them.
constexpr const char* kLedger6 = R"sql(
DROP INDEX kv_audit_callers;
CREATE INDEX kv_audit_callers ON kv_audit (seq)
  WHERE ((actor >= 'projectkey:' AND actor < 'projectkey;') OR (source <> 'admin-api'
    AND NOT (source >= 'operator' AND source < 'operatos')
    AND ((actor >= 'person:' AND actor < 'person;')
      OR (actor >= 'sign-in:' AND actor < 'sign-in;'))));
)sql";

// So does whatever else lets people in: tokens of an issuer, invitations, links for a new password.
constexpr const char* kLedger7 = R"sql(
DROP INDEX kv_audit_callers;
CREATE INDEX kv_audit_callers ON kv_audit (seq)
  WHERE ((actor >= 'projectkey:' AND actor < 'projectkey;') OR (source <> 'admin-api'
    AND NOT (source >= 'operator' AND source < 'operatos')
    AND ((actor >= 'person:' AND actor < 'person;')
      OR (actor >= 'sign-in:' AND actor < 'sign-in;')
      OR (actor >= 'bearer:' AND actor < 'bearer;')
      OR (actor >= 'reset-' AND actor < 'reset.')
      OR actor = 'invitation')));
)sql";

constexpr TableOwner kOwners[] = {
    {"ledger_state", "nobody", ""}, {"ledger_name", "history", ""}, {"error_ledger", "history", ""},
    {"kv_audit", "history", ""},    {"audit_gap", "history", ""},   {"decision_log", "history", ""},
    {"job_runs", "history", ""},    {"usage", "history", ""},       {"usage_daily", "history", ""},
    {"usage_sum", "history", ""},   {"alert_log", "history", ""},   {"outbox_dead", "history", ""},
    {"body_log", "history", ""},
};

}  // namespace

std::span<const TableOwner> ledger_table_owners() {
  return kOwners;
}

const std::vector<Migration>& ledger_migrations() {
  static const std::vector<Migration> list = {{1, kLedger1}, {2, kLedger2}, {3, kLedger3},
                                              {4, kLedger4}, {5, kLedger5}, {6, kLedger6},
                                              {7, kLedger7}};
  return list;
}

}  // namespace kvcs
