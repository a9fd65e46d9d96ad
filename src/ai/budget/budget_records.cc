// The JSON of open reservations and of usage rows (which usage_sink of ledger/rows.h reads),
// written by hand because every request pays for both, and read back for recovery.
#include <nlohmann/json.hpp>

#include "ai/budget/budget_book.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/json_text.h"

namespace kvcs::ai {
namespace {

constexpr size_t kTextBytes = 768;  // The first allocation; enough for nearly every row.

// A member that is zero or false is left out: most kinds of tokens are zero in most rows, and the
// readers take an absent member for that.
void number(JsonObjectText& row, std::string_view name, int64_t value) {
  if (value != 0) row.number(name, value);
}
void flag(JsonObjectText& row, std::string_view name, bool value) {
  if (value) row.flag(name, true);
}

}  // namespace

std::string reservation_json(const OpenReservation& open) {
  std::string out;
  JsonObjectText row(out, kTextBytes);
  row.text("request_id", open.request_id);
  row.text("key_id", open.key_id);
  row.text("user_id", open.user_id);
  row.text("organization_id", open.organization_id);
  row.text("month", open.month);
  number(row, "estimate_nano_usd", open.estimate);
  number(row, "input_only_nano_usd", open.input_only);
  number(row, "created_ms", open.created_ms);
  row.text("provider", open.provider);
  row.text("model", open.model);
  row.text("price_version", open.price_version);
  flag(row, "grace", open.grace);
  row.finish();
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
  // The day of the admission; the record has its time.
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
  JsonObjectText row(out, kTextBytes);
  row.text("request_id", record.request_id);
  number(row, "ts_ms", record.ts_ms);
  row.text("organization_id", record.organization_id);
  row.text("user_id", record.user_id);
  row.text("key_id", record.key_id);
  row.text("provider", record.provider);
  row.text("model", record.model);
  number(row, "input_tokens", record.tokens.input);
  number(row, "cache_read_tokens", record.tokens.cache_read);
  number(row, "cache_write_5m_tokens", record.tokens.cache_write_5m);
  number(row, "cache_write_1h_tokens", record.tokens.cache_write_1h);
  number(row, "input_audio_tokens", record.tokens.input_audio);
  number(row, "output_tokens", record.tokens.output);
  number(row, "reasoning_tokens", record.tokens.reasoning);
  number(row, "output_audio_tokens", record.tokens.output_audio);
  number(row, "web_searches", record.tokens.web_searches);
  number(row, "cost_nano_usd", record.cost_nano_usd);
  row.text("price_version", record.price_version);
  number(row, "first_byte_ms", record.first_byte_ms);
  number(row, "total_ms", record.total_ms);
  row.number("status", record.status);
  flag(row, "estimated", record.tokens.estimated);
  flag(row, "grace", record.grace);
  flag(row, "recovered", record.recovered);
  row.text("period", record.period);
  row.finish();
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
