// JSON of open reservations, and of usage rows as ledger/rows.h's usage_sink reads them; written by
// hand because every request pays for it.
#include <nlohmann/json.hpp>

#include "ai/budget_book.h"
#include "base/clock.h"
#include "base/json.h"

namespace kvcs::ai {
namespace {

constexpr size_t kTextBytes = 640;  // Mostly enough.

void text(std::string& out, std::string_view name, std::string_view value) {
  out += out.size() > 1 ? ",\"" : "\"";
  out.append(name).append("\":");
  append_json_string(out, value);
}
void number(std::string& out, std::string_view name, int64_t value) {
  if (value == 0) return;  // Absent is zero: most kinds of tokens are, in most rows.
  out.append(out.size() > 1 ? ",\"" : "\"").append(name).append("\":") += std::to_string(value);
}

void flag(std::string& out, std::string_view name, bool value) {
  if (value) out.append(",\"").append(name).append("\":true");
}

}  // namespace

std::string reservation_json(const OpenReservation& open) {
  std::string out;
  out.reserve(kTextBytes);
  out += '{';
  text(out, "request_id", open.request_id);
  text(out, "key_id", open.key_id);
  text(out, "user_id", open.user_id);
  text(out, "organization_id", open.organization_id);
  text(out, "month", open.month);
  number(out, "estimate_nano_usd", open.estimate);
  number(out, "input_only_nano_usd", open.input_only);
  number(out, "created_ms", open.created_ms);
  text(out, "provider", open.provider);
  text(out, "model", open.model);
  text(out, "price_version", open.price_version);
  flag(out, "grace", open.grace);
  out += '}';
  return out;
}

Result<OpenReservation> parse_reservation(std::string_view json) {
  const Json value = KVCS_TRY(parse_json(json));
  JsonReader reader(value, "reservation");
  OpenReservation open;
  open.request_id = reader.string("request_id");
  open.key_id = reader.string("key_id");
  open.user_id = reader.string("user_id");
  open.organization_id = reader.string("organization_id");
  open.month = reader.string("month", {7, 7});
  open.estimate = reader.optional_integer("estimate_nano_usd", 0, INT64_MAX).value_or(0);
  open.input_only = reader.optional_integer("input_only_nano_usd", 0, INT64_MAX).value_or(0);
  open.created_ms = reader.optional_integer("created_ms", 0, INT64_MAX).value_or(0);
  const StringRule any{.min_bytes = 0};
  open.provider = reader.optional_string("provider", any).value_or("");
  open.model = reader.optional_string("model", any).value_or("unknown");
  open.price_version = reader.optional_string("price_version", any).value_or("");
  open.grace = reader.boolean_or("grace", false);
  open.grace_day = format_day(open.created_ms);
  KVCS_TRY(reader.finish());
  return open;
}

Result<BudgetView> parse_counter(std::string_view json, std::string_view month) {
  const Json value = KVCS_TRY(parse_json(json));
  JsonReader reader(value, "counter");
  BudgetView view;
  view.month = month;
  view.used_nano_usd = reader.integer("used_nano_usd", INT64_MIN, INT64_MAX);
  view.request_count = reader.integer("request_count", 0, INT64_MAX);
  view.error_count = reader.integer("error_count", 0, INT64_MAX);
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  return view;
}

std::string usage_json(const UsageRecord& record) {
  std::string out;
  out.reserve(kTextBytes);
  out += '{';
  text(out, "request_id", record.request_id);
  number(out, "ts_ms", record.ts_ms);
  text(out, "organization_id", record.organization_id);
  text(out, "user_id", record.user_id);
  text(out, "key_id", record.key_id);
  text(out, "provider", record.provider);
  text(out, "model", record.model);
  number(out, "input_tokens", record.tokens.input);
  number(out, "cache_read_tokens", record.tokens.cache_read);
  number(out, "cache_write_5m_tokens", record.tokens.cache_write_5m);
  number(out, "cache_write_1h_tokens", record.tokens.cache_write_1h);
  number(out, "input_audio_tokens", record.tokens.input_audio);
  number(out, "output_tokens", record.tokens.output);
  number(out, "reasoning_tokens", record.tokens.reasoning);
  number(out, "output_audio_tokens", record.tokens.output_audio);
  number(out, "web_searches", record.tokens.web_searches);
  number(out, "cost_nano_usd", record.cost_nano_usd);
  text(out, "price_version", record.price_version);
  number(out, "first_byte_ms", record.first_byte_ms);
  number(out, "total_ms", record.total_ms);
  out += ",\"status\":" + std::to_string(record.status);
  flag(out, "estimated", record.tokens.estimated);
  flag(out, "grace", record.grace);
  flag(out, "recovered", record.recovered);
  text(out, "period", record.period);
  out += '}';
  return out;
}

Result<ChargedRow> parse_charge(std::string_view row_json) {
  const Json value = KVCS_TRY(parse_json(row_json));
  JsonReader reader(value, "charge");
  ChargedRow row;
  row.open.request_id = reader.string("request_id");
  row.open.organization_id = reader.string("organization_id", {.min_bytes = 0});
  row.open.user_id = reader.string("user_id");
  row.open.key_id = reader.string("key_id", {.min_bytes = 0});
  row.open.month = reader.string("period", {7, 7});
  row.open.grace = reader.boolean_or("grace", false);
  row.charge.cost_nano_usd =
      reader.optional_integer("cost_nano_usd", INT64_MIN, INT64_MAX).value_or(0);
  row.charge.status = static_cast<int>(reader.integer("status", 0, 999));
  row.charge.ts_ms = reader.optional_integer("ts_ms", 0, INT64_MAX).value_or(0);
  row.open.grace_day = format_day(row.charge.ts_ms);
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  return row;
}

}  // namespace kvcs::ai
