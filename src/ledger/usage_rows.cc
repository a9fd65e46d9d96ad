// Rows of AI requests. They come by the thousand, so a group of them shares the look-up of names
// and is added to usage_daily in one sum, and JSON is read by the fast parser.
#include <nlohmann/json.hpp>
#include <simdjson.h>

#include <map>
#include <tuple>
#include <unordered_map>

#include "base/clock.h"
#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"
#include "ledger/rows.h"

namespace kvcs {
namespace {

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

// The numbers of names, looked up once per group.
class Names final {
 public:
  explicit Names(Database& db) : db_(db) {}
  Result<int64_t> find(const std::string& text) {
    const auto known = ids_.find(text);
    if (known != ids_.end()) return known->second;
    const int64_t id = KVCS_TRY(intern_name(db_, text));
    ids_.emplace(text, id);
    return id;
  }

 private:
  Database& db_;
  std::unordered_map<std::string, int64_t> ids_;
};

// In the order of the columns of `usage` and `usage_daily`.
struct UsageRefs {
  int64_t organization, user, key, provider, model, price_version, period;
};

Result<UsageRefs> find_refs(Names& names, const UsageRow& row) {
  UsageRefs refs{};
  refs.organization = KVCS_TRY(names.find(row.organization_id));
  refs.user = KVCS_TRY(names.find(row.user_id));
  refs.key = KVCS_TRY(names.find(row.key_id));
  refs.provider = KVCS_TRY(names.find(row.provider));
  refs.model = KVCS_TRY(names.find(row.model));
  refs.price_version = KVCS_TRY(names.find(row.price_version));
  refs.period = KVCS_TRY(names.find(row.period));
  return refs;
}

// What a group adds to usage_daily, by the columns of its key.
class Days final {
 public:
  void add(const UsageRow& row, const UsageRefs& refs) {
    Sums& sums = sums_[{format_day(row.ts_ms), refs.period, refs.organization, refs.user, refs.key,
                        refs.provider, refs.model}];
    sums.requests++;
    sums.failures += row.status >= 400 ? 1 : 0;
    sums.input += row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens +
                  row.cache_write_1h_tokens + row.input_audio_tokens;
    sums.output += row.output_tokens + row.reasoning_tokens + row.output_audio_tokens;
    sums.cost_nano_usd += row.cost_nano_usd;
    sums.total_ms += row.total_ms;
  }
  Status write(Database& db) const {
    auto add = KVCS_TRY(db.prepare(
        "INSERT INTO usage_daily (day, period_ref, organization_ref, user_ref, key_ref,"
        " provider_ref, model_ref, requests, failures, input_tokens, output_tokens, cost_nano_usd,"
        " total_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (day, period_ref, organization_ref, user_ref, key_ref, provider_ref,"
        " model_ref) DO UPDATE SET requests = usage_daily.requests + excluded.requests,"
        " failures = usage_daily.failures + excluded.failures,"
        " input_tokens = usage_daily.input_tokens + excluded.input_tokens,"
        " output_tokens = usage_daily.output_tokens + excluded.output_tokens,"
        " cost_nano_usd = usage_daily.cost_nano_usd + excluded.cost_nano_usd,"
        " total_ms = usage_daily.total_ms + excluded.total_ms"));
    for (const auto& [key, sums] : sums_) {
      const auto& [day, period, organization, user, api_key, provider, model] = key;
      add.bind(1, day).bind(2, period).bind(3, organization).bind(4, user).bind(5, api_key);
      add.bind(6, provider).bind(7, model).bind(8, sums.requests).bind(9, sums.failures);
      add.bind(10, sums.input).bind(11, sums.output).bind(12, sums.cost_nano_usd);
      KVCS_TRY(add.bind(13, sums.total_ms).run());
      add.reset();
    }
    return ok();
  }

 private:
  struct Sums {
    int64_t requests = 0, failures = 0, input = 0, output = 0, cost_nano_usd = 0, total_ms = 0;
  };
  std::map<std::tuple<std::string, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t>, Sums>
      sums_;
};

// False when a row of that request is there already.
Result<bool> insert_row(Database& db, const UsageRow& row, const UsageRefs& refs) {
  auto put = KVCS_TRY(db.prepare(
      "INSERT INTO usage (ts_ms, request_id, organization_ref, user_ref, key_ref, provider_ref,"
      " model_ref, price_version_ref, period_ref, status, estimated, grace, recovered,"
      " input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,"
      " input_audio_tokens, output_tokens, reasoning_tokens, output_audio_tokens, web_searches,"
      " cost_nano_usd, first_byte_ms, total_ms)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
      " ON CONFLICT (request_id) DO NOTHING"));
  put.bind(1, row.ts_ms).bind(2, row.request_id).bind(3, refs.organization).bind(4, refs.user);
  put.bind(5, refs.key).bind(6, refs.provider).bind(7, refs.model).bind(8, refs.price_version);
  put.bind(9, refs.period).bind(10, row.status);
  int position = 11;
  for (const UsageFlag& flag : kUsageFlags) put.bind(position++, row.*flag.field ? 1 : 0);
  for (const UsageNumber& number : kUsageNumbers) put.bind(position++, row.*number.field);
  KVCS_TRY(put.run());
  return db.changes() > 0;
}

Status insert_rows(Database& db, const std::vector<UsageRow>& rows) {
  Names names(db);
  Days days;
  for (const UsageRow& row : rows) {
    const UsageRefs refs = KVCS_TRY(find_refs(names, row));
    if (KVCS_TRY(insert_row(db, row, refs))) days.add(row, refs);
  }
  return days.write(db);
}

Status bad(std::string_view member) {
  return invalid("usage record: " + std::string(member) + " is missing or malformed");
}

// One member of the record; what this version does not know is passed over.
Status read_member(std::string_view name, const simdjson::dom::element& value, UsageRow& row) {
  const auto number = [&](int64_t min, int64_t max, int64_t& out) {
    const bool fits = value.get(out) == simdjson::SUCCESS && out >= min && out <= max;
    return fits || value.is_null() ? ok() : bad(name);
  };
  if (name == "ts_ms") return number(0, INT64_MAX, row.ts_ms);
  if (name == "status") {
    int64_t status = 0;
    KVCS_TRY(number(0, 999, status));
    row.status = static_cast<int>(status);
    return ok();
  }
  for (const UsageText& text : kUsageTexts) {
    if (name != text.name) continue;
    std::string_view found;
    if (value.get(found) != simdjson::SUCCESS) return bad(name);
    row.*text.field = found;
    return ok();
  }
  for (const UsageNumber& known : kUsageNumbers) {
    // A reset of a user's use is a row with a negative cost.
    if (name == known.name) return number(INT64_MIN, INT64_MAX, row.*known.field);
  }
  for (const UsageFlag& flag : kUsageFlags) {
    if (name != flag.name) continue;
    return value.get(row.*flag.field) == simdjson::SUCCESS ? ok() : bad(name);
  }
  return ok();
}

}  // namespace

Status insert_usage(Database& db, const UsageRow& row) {
  return insert_rows(db, {row});
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

Result<UsageRow> parse_usage(const OutboxRecord& record) {
  thread_local simdjson::dom::parser parser;
  simdjson::dom::object members;
  if (parser.parse(record.payload_json).get(members) != simdjson::SUCCESS) {
    return invalid("usage record: not a JSON object");
  }
  UsageRow row;
  row.ts_ms = row.status = -1;
  for (const auto& [name, value] : members) KVCS_TRY(read_member(name, value, row));
  if (row.ts_ms < 0) return bad("ts_ms");
  if (row.status < 0) return bad("status");
  if (row.request_id.empty()) row.request_id = record.id;
  return row;
}

Status usage_sink(Database& db, const std::vector<OutboxRecord>& records) {
  std::vector<UsageRow> rows;
  rows.reserve(records.size());
  for (const OutboxRecord& record : records) rows.push_back(KVCS_TRY(parse_usage(record)));
  return insert_rows(db, rows);
}

}  // namespace kvcs
