#include "ledger/rows.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/id.h"
#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"

namespace kvcs {
namespace {

std::string_view cut(std::string_view text) {
  if (text.size() <= kLedgerTextMaxBytes) return text;
  size_t end = kLedgerTextMaxBytes;
  // Not inside a UTF-8 sequence.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) end--;
  return text.substr(0, end);
}

struct UsageNumber {
  const char* name;
  int64_t UsageRow::*field;
};
constexpr UsageNumber kUsageNumbers[] = {
    {"input_tokens", &UsageRow::input_tokens},
    {"cache_read_tokens", &UsageRow::cache_read_tokens},
    {"cache_write_5m_tokens", &UsageRow::cache_write_5m_tokens},
    {"cache_write_1h_tokens", &UsageRow::cache_write_1h_tokens},
    {"input_audio_tokens", &UsageRow::input_audio_tokens},
    {"output_tokens", &UsageRow::output_tokens},
    {"reasoning_tokens", &UsageRow::reasoning_tokens},
    {"output_audio_tokens", &UsageRow::output_audio_tokens},
    {"web_searches", &UsageRow::web_searches},
    {"cost_nano_usd", &UsageRow::cost_nano_usd},
    {"first_byte_ms", &UsageRow::first_byte_ms},
    {"total_ms", &UsageRow::total_ms},
};
struct UsageText {
  const char* name;
  std::string UsageRow::*field;
};
constexpr UsageText kUsageTexts[] = {
    {"request_id", &UsageRow::request_id},
    {"organization_id", &UsageRow::organization_id},
    {"user_id", &UsageRow::user_id},
    {"key_id", &UsageRow::key_id},
    {"provider", &UsageRow::provider},
    {"model", &UsageRow::model},
    {"price_version", &UsageRow::price_version},
    {"period", &UsageRow::period},
};
struct UsageFlag {
  const char* name;
  bool UsageRow::*field;
};
constexpr UsageFlag kUsageFlags[] = {
    {"estimated", &UsageRow::estimated},
    {"grace", &UsageRow::grace},
    {"recovered", &UsageRow::recovered},
};

// In the order of the columns of `usage` and `usage_daily`.
struct UsageRefs {
  int64_t organization, user, key, provider, model, price_version, period;
};

Result<UsageRefs> intern_usage(Database& db, const UsageRow& row) {
  UsageRefs refs{};
  refs.organization = KVCS_TRY(intern_name(db, row.organization_id));
  refs.user = KVCS_TRY(intern_name(db, row.user_id));
  refs.key = KVCS_TRY(intern_name(db, row.key_id));
  refs.provider = KVCS_TRY(intern_name(db, row.provider));
  refs.model = KVCS_TRY(intern_name(db, row.model));
  refs.price_version = KVCS_TRY(intern_name(db, row.price_version));
  refs.period = KVCS_TRY(intern_name(db, row.period));
  return refs;
}

Status add_to_day(Database& db, const UsageRow& row, const UsageRefs& refs) {
  auto add = KVCS_TRY(db.prepare(
      "INSERT INTO usage_daily (day, period_ref, organization_ref, user_ref, key_ref, provider_ref,"
      " model_ref, requests, failures, input_tokens, output_tokens, cost_nano_usd, total_ms)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?)"
      " ON CONFLICT (day, period_ref, organization_ref, user_ref, key_ref, provider_ref, model_ref)"
      " DO UPDATE SET requests = usage_daily.requests + 1,"
      " failures = usage_daily.failures + excluded.failures,"
      " input_tokens = usage_daily.input_tokens + excluded.input_tokens,"
      " output_tokens = usage_daily.output_tokens + excluded.output_tokens,"
      " cost_nano_usd = usage_daily.cost_nano_usd + excluded.cost_nano_usd,"
      " total_ms = usage_daily.total_ms + excluded.total_ms"));
  const int64_t input = row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens +
                        row.cache_write_1h_tokens + row.input_audio_tokens;
  const int64_t output = row.output_tokens + row.reasoning_tokens + row.output_audio_tokens;
  add.bind(1, format_day(row.ts_ms)).bind(2, refs.period).bind(3, refs.organization);
  add.bind(4, refs.user).bind(5, refs.key).bind(6, refs.provider).bind(7, refs.model);
  add.bind(8, row.status >= 400 ? 1 : 0).bind(9, input).bind(10, output);
  return add.bind(11, row.cost_nano_usd).bind(12, row.total_ms).run();
}

}  // namespace

Status insert_error(Database& db, const ErrorRecord& r) {
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO error_ledger (id, ts_ms, request_id, tenant, provider, account_id, action,"
      " method, path, status, code, message, upstream_status, latency_ms, ip_hash)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"));
  put.bind(1, r.id.empty() ? make_request_id() : r.id).bind(2, r.ts_ms);
  put.bind(3, cut(r.request_id)).bind(4, cut(r.tenant)).bind(5, cut(r.provider));
  put.bind(6, cut(r.account_id)).bind(7, cut(r.action)).bind(8, cut(r.method));
  put.bind(9, cut(r.path)).bind(10, r.status).bind(11, cut(r.code)).bind(12, cut(r.message));
  return put.bind(13, r.upstream_status).bind(14, r.latency_ms).bind(15, r.ip_hash).run();
}

Status insert_job_run(Database& db, const JobRunRecord& r) {
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO job_runs (job, ts_ms, duration_ms, result, detail) VALUES (?, ?, ?, ?, ?)"));
  put.bind(1, r.job).bind(2, r.started_ms).bind(3, r.duration_ms);
  return put.bind(4, cut(r.result)).bind(5, cut(r.detail)).run();
}

Status insert_bodies(Database& db, const BodyRecord& r) {
  const int64_t organization = KVCS_TRY(intern_name(db, r.organization_id));
  const int64_t user = KVCS_TRY(intern_name(db, r.user_id));
  const int64_t key = KVCS_TRY(intern_name(db, r.key_id));
  const int64_t model = KVCS_TRY(intern_name(db, r.model));
  auto put = KVCS_TRY(
      db.prepare("INSERT INTO body_log (ts_ms, request_id, organization_ref, user_ref, key_ref,"
                 " model_ref, status, request_bytes, response_bytes, request, response)"
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING"));
  put.bind(1, r.ts_ms).bind(2, r.request_id).bind(3, organization).bind(4, user).bind(5, key);
  put.bind(6, model).bind(7, r.status).bind(8, r.request_bytes).bind(9, r.response_bytes);
  return put.bind(10, r.request).bind(11, r.response).run();
}

Status insert_decision(Database& db, const DecisionRecord& r) {
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO decision_log (id, ts_ms, kind, severity, subject, suggestion, evidence_json)"
      " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"));
  put.bind(1, r.id).bind(2, r.ts_ms).bind(3, r.kind).bind(4, r.severity);
  return put.bind(5, r.subject).bind(6, r.suggestion).bind(7, r.evidence_json).run();
}

Status decide(Database& db, std::string_view id, std::string_view status,
              std::string_view decided_by, int64_t now_ms) {
  std::string present;
  {
    auto find = KVCS_TRY(db.prepare("SELECT status FROM decision_log WHERE id=?"));
    const bool there = KVCS_TRY(find.bind(1, id).step());
    if (!there) return not_found("No decision has the id " + printable(id) + ".");
    present = find.text(0);
  }
  if (present == status) return ok();
  const bool allowed = status == "applied" || status == "rejected"
                           ? present == "proposed" || present == "accepted"
                           : status == "accepted" && present == "proposed";
  if (!allowed) {
    return conflict("Decision " + printable(id) + " is " + present + " and cannot become " +
                    printable(status) + ".");
  }
  auto set = KVCS_TRY(
      db.prepare("UPDATE decision_log SET status=?, decided_by=?, decided_ms=? WHERE id=?"));
  return set.bind(1, status).bind(2, decided_by).bind(3, now_ms).bind(4, id).run();
}

Status insert_alert(Database& db, const AlertRecord& r) {
  auto put = KVCS_TRY(
      db.prepare("INSERT INTO alert_log (id, ts_ms, event, subject, channel, status, attempts,"
                 " next_attempt_ms, error, payload_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                 " ON CONFLICT (id) DO NOTHING"));
  put.bind(1, r.id).bind(2, r.ts_ms).bind(3, r.event).bind(4, r.subject).bind(5, r.channel);
  put.bind(6, r.status).bind(7, r.attempts).bind_optional(8, r.next_attempt_ms);
  return put.bind(9, cut(r.error)).bind(10, r.payload_json).run();
}

Status update_alert(Database& db, std::string_view id, std::string_view status, int attempts,
                    std::optional<int64_t> next_attempt_ms, std::string_view error) {
  auto set = KVCS_TRY(db.prepare(
      "UPDATE alert_log SET status=?, attempts=?, next_attempt_ms=?, error=? WHERE id=?"));
  set.bind(1, status).bind(2, attempts).bind_optional(3, next_attempt_ms).bind(4, cut(error));
  KVCS_TRY(set.bind(5, id).run());
  return db.changes() > 0 ? ok() : not_found("No alert has the id " + printable(id) + ".");
}

Result<int64_t> intern_name(Database& db, std::string_view text) {
  auto find = KVCS_TRY(db.prepare("SELECT id FROM ledger_name WHERE text=?"));
  if (KVCS_TRY(find.bind(1, text).step())) return find.integer(0);
  find.reset();
  auto add = KVCS_TRY(db.prepare("INSERT INTO ledger_name (text) VALUES (?)"));
  KVCS_TRY(add.bind(1, text).run());
  const bool there = KVCS_TRY(find.bind(1, text).step());
  KVCS_ASSERT(there);
  return find.integer(0);
}

Status insert_usage(Database& db, const UsageRow& row) {
  {
    auto find = KVCS_TRY(db.prepare("SELECT 1 FROM usage WHERE request_id=?"));
    if (KVCS_TRY(find.bind(1, row.request_id).step())) return ok();
  }
  const UsageRefs refs = KVCS_TRY(intern_usage(db, row));
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO usage (ts_ms, request_id, organization_ref, user_ref, key_ref, provider_ref,"
      " model_ref, price_version_ref, period_ref, status, estimated, grace, recovered,"
      " input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,"
      " input_audio_tokens, output_tokens, reasoning_tokens, output_audio_tokens, web_searches,"
      " cost_nano_usd, first_byte_ms, total_ms)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  put.bind(1, row.ts_ms).bind(2, row.request_id).bind(3, refs.organization).bind(4, refs.user);
  put.bind(5, refs.key).bind(6, refs.provider).bind(7, refs.model).bind(8, refs.price_version);
  put.bind(9, refs.period).bind(10, row.status);
  int position = 11;
  for (const UsageFlag& flag : kUsageFlags) put.bind(position++, row.*flag.field ? 1 : 0);
  for (const UsageNumber& number : kUsageNumbers) put.bind(position++, row.*number.field);
  KVCS_TRY(put.run());
  return add_to_day(db, row, refs);
}

std::string usage_payload(const UsageRow& row) {
  Json json = Json::object();
  for (const UsageText& text : kUsageTexts) json[text.name] = row.*text.field;
  json["ts_ms"] = row.ts_ms;
  json["status"] = row.status;
  // What is zero is left out: most requests use few kinds of tokens.
  for (const UsageNumber& number : kUsageNumbers) {
    if (row.*number.field != 0) json[number.name] = row.*number.field;
  }
  for (const UsageFlag& flag : kUsageFlags) {
    if (row.*flag.field) json[flag.name] = true;
  }
  return dump_json(json);
}

Status usage_sink(Database& db, const OutboxRecord& record) {
  const Json json = KVCS_TRY(parse_json(record.payload_json));
  if (!json.is_object()) return invalid("usage record: not a JSON object");
  UsageRow row;
  JsonReader reader(json);
  for (const UsageText& text : kUsageTexts) {
    row.*text.field = reader.string(text.name, {.min_bytes = 0});
  }
  row.ts_ms = reader.integer("ts_ms", 0, INT64_MAX);
  row.status = static_cast<int>(reader.integer("status", 0, 999));
  for (const UsageNumber& number : kUsageNumbers) {
    // A reset of a user's use is a row with a negative cost.
    row.*number.field = reader.optional_integer(number.name, INT64_MIN, INT64_MAX).value_or(0);
  }
  for (const UsageFlag& flag : kUsageFlags) row.*flag.field = reader.boolean_or(flag.name, false);
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  if (row.request_id.empty()) row.request_id = record.id;
  return insert_usage(db, row);
}

}  // namespace kvcs
