// The JSON of open reservations, written by hand because every request pays for it; and what a
// recovery reads: reservations, charges and counters.
#include <nlohmann/json.hpp>

#include "ai/budget/budget_book.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/money.h"

namespace kvcs::ai {
namespace {

constexpr size_t kTextBytes = 768;  // The first allocation; enough for nearly every record.

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
  number(row, "attempt", open.attempt);
  number(row, "output_token_pico", open.output_token_pico);
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
  open.attempt = reader.optional_integer("attempt", 0, INT64_MAX).value_or(0);
  open.output_token_pico = reader.optional_integer("output_token_pico", 0, INT64_MAX).value_or(0);
  open.grace = reader.boolean_or("grace", false);
  // The day of the admission; the record has its time.
  open.grace_day = format_day(open.created_ms);
  KVCS_TRY(reader.finish());
  return open;
}

// month_usage_usd, current_month and last_update are for people and for other readers of the same
// namespace.
std::string counter_json(const BudgetView& counter, int64_t now_ms) {
  std::string text = "{\"month_usage_usd\":" + format_usd(counter.used_nano_usd) +
                     ",\"used_nano_usd\":" + std::to_string(counter.used_nano_usd) +
                     ",\"current_month\":\"" + counter.month +
                     "\",\"request_count\":" + std::to_string(counter.request_count) +
                     ",\"error_count\":" + std::to_string(counter.error_count) +
                     ",\"last_update\":" + std::to_string(now_ms);
  if (counter.rows) {
    text += ",\"rows\":" + std::to_string(counter.rows->count) +
            ",\"rows_nano_usd\":" + std::to_string(counter.rows->nano_usd);
  }
  return text + "}";
}

Result<BudgetView> parse_counter(std::string_view json, std::string_view month) {
  const Json value = KVCS_TRY(parse_json(json));
  JsonReader reader(value, "counter");
  BudgetView view;
  view.month = month;
  view.used_nano_usd = reader.integer("used_nano_usd", INT64_MIN, INT64_MAX);
  view.request_count = reader.integer("request_count", 0, INT64_MAX);
  view.error_count = reader.integer("error_count", 0, INT64_MAX);
  if (const auto rows = reader.optional_integer("rows", 0, INT64_MAX)) {
    view.rows = {*rows, reader.integer("rows_nano_usd", INT64_MIN, INT64_MAX)};
  }
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  return view;
}

Result<ChargedRow> parse_charge(std::string_view row_json) {
  ChargedRow row;
  KVCS_TRY(parse_usage(row_json, row.charge));
  const UsageRecord& charge = row.charge;
  if (charge.request_id.empty() || charge.user_id.empty() || charge.period.size() != 7) {
    return invalid("charge: request_id, user_id or period is missing or malformed");
  }
  row.open = {.request_id = std::string(usage_request_id(charge)),
              .key_id = charge.key_id,
              .user_id = charge.user_id,
              .organization_id = charge.organization_id,
              .month = charge.period,
              .grace = charge.grace,
              .grace_day = format_day(charge.ts_ms)};
  return row;
}

}  // namespace kvcs::ai
