// Rows of AI requests. They come by the thousand, so a group of them shares statements and the
// look-up of names, and is added to usage_daily in one sum; JSON is read by the fast parser.
#include <simdjson.h>

#include <array>
#include <compare>
#include <functional>
#include <iterator>
#include <map>
#include <unordered_map>

#include "base/clock.h"
#include "base/quick_json.h"
#include "db/db.h"
#include "kv/outbox.h"
#include "ledger/rows.h"

namespace kvcs {
namespace {

// One member of the record of an AI request: its name in the outbox payload, its column in the
// table `usage`, and the field of UsageRow that holds it. At most one of the three pointers is set;
// the member without any is `status`, which is an int.
struct UsageMember {
  std::string_view name;
  std::string_view column;  // Texts with a column that ends in "_ref" are kept in ledger_name.
  std::string UsageRow::*text = nullptr;
  int64_t UsageRow::*number = nullptr;
  bool UsageRow::*flag = nullptr;
};
constexpr UsageMember text_member(std::string_view name, std::string_view column,
                                  std::string UsageRow::*field) {
  return {.name = name, .column = column, .text = field};
}
constexpr UsageMember number_member(std::string_view name, int64_t UsageRow::*field) {
  return {.name = name, .column = name, .number = field};
}
constexpr UsageMember flag_member(std::string_view name, bool UsageRow::*field) {
  return {.name = name, .column = name, .flag = field};
}

// Every member that a record may have. Reading, the INSERT statement and its parameters all follow
// this table. The order is the order in which ai/budget/budget_records.cc writes the members: a
// reader that looks for the next member from where it found the last one finds it at once.
constexpr UsageMember kUsageMembers[] = {
    text_member("request_id", "request_id", &UsageRow::request_id),
    number_member("ts_ms", &UsageRow::ts_ms),
    text_member("organization_id", "organization_ref", &UsageRow::organization_id),
    text_member("user_id", "user_ref", &UsageRow::user_id),
    text_member("key_id", "key_ref", &UsageRow::key_id),
    text_member("provider", "provider_ref", &UsageRow::provider),
    text_member("model", "model_ref", &UsageRow::model),
    number_member("input_tokens", &UsageRow::input_tokens),
    number_member("cache_read_tokens", &UsageRow::cache_read_tokens),
    number_member("cache_write_5m_tokens", &UsageRow::cache_write_5m_tokens),
    number_member("cache_write_1h_tokens", &UsageRow::cache_write_1h_tokens),
    number_member("input_audio_tokens", &UsageRow::input_audio_tokens),
    number_member("output_tokens", &UsageRow::output_tokens),
    number_member("reasoning_tokens", &UsageRow::reasoning_tokens),
    number_member("output_audio_tokens", &UsageRow::output_audio_tokens),
    number_member("web_searches", &UsageRow::web_searches),
    number_member("cost_nano_usd", &UsageRow::cost_nano_usd),
    text_member("price_version", "price_version_ref", &UsageRow::price_version),
    number_member("first_byte_ms", &UsageRow::first_byte_ms),
    number_member("total_ms", &UsageRow::total_ms),
    {.name = "status", .column = "status"},
    flag_member("estimated", &UsageRow::estimated),
    flag_member("grace", &UsageRow::grace),
    flag_member("recovered", &UsageRow::recovered),
    text_member("period", "period_ref", &UsageRow::period),
};

constexpr bool is_kept_by_number(const UsageMember& member) {
  return member.text != nullptr && member.column.ends_with("_ref");
}

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

// The texts of a row that are kept by number, in the order of kUsageMembers.
enum : size_t { kOrganization, kUser, kKey, kProvider, kModel, kPriceVersion, kPeriod, kRefs };
constexpr auto kRefTexts = [] {
  std::array<std::string UsageRow::*, kRefs> texts{};
  size_t count = 0;
  for (const UsageMember& member : kUsageMembers) {
    if (is_kept_by_number(member)) texts[count++] = member.text;
  }
  return texts;
}();
static_assert(kRefTexts[kOrganization] == &UsageRow::organization_id &&
              kRefTexts[kUser] == &UsageRow::user_id && kRefTexts[kKey] == &UsageRow::key_id &&
              kRefTexts[kProvider] == &UsageRow::provider &&
              kRefTexts[kModel] == &UsageRow::model &&
              kRefTexts[kPriceVersion] == &UsageRow::price_version &&
              kRefTexts[kPeriod] == &UsageRow::period);
using UsageRefs = std::array<int64_t, kRefTexts.size()>;

class RefFinder final {
 public:
  explicit RefFinder(Database& db) : names_(db) {}
  Result<UsageRefs> find(const UsageRow& row) {
    for (size_t i = 0; i < kRefTexts.size(); i++) {
      const std::string& text = row.*kRefTexts[i];
      // Rows that come together are mostly alike.
      if (has_last_ && text == last_texts_[i]) continue;
      last_[i] = KVCS_TRY(names_.find(text));
      last_texts_[i] = text;
    }
    has_last_ = true;
    return last_;
  }

 private:
  Names names_;
  bool has_last_ = false;
  UsageRefs last_{};
  std::array<std::string, kRefTexts.size()> last_texts_;
};

// The key of a row of usage_daily, and below it the sums that rows of usage add to it.
struct DayKey {
  int64_t day;  // Since 1970, UTC.
  int64_t period, organization, user, key, provider, model;
  auto operator<=>(const DayKey&) const = default;
};
struct DaySums {
  int64_t requests = 0, failures = 0, input = 0, output = 0, cost_nano_usd = 0, total_ms = 0;
};

class Days final {
 public:
  struct Part {
    DayKey key;
    DaySums sums;
  };
  static Part part_of(const UsageRow& row, const UsageRefs& refs) {
    return {{row.ts_ms / kDayMs, refs[kPeriod], refs[kOrganization], refs[kUser], refs[kKey],
             refs[kProvider], refs[kModel]},
            {1, row.status >= 400 ? 1 : 0,
             row.input_tokens + row.cache_read_tokens + row.cache_write_5m_tokens +
                 row.cache_write_1h_tokens + row.input_audio_tokens,
             row.output_tokens + row.reasoning_tokens + row.output_audio_tokens, row.cost_nano_usd,
             row.total_ms}};
  }
  void add(const Part& part) {
    if (last_ == nullptr || last_->first != part.key) last_ = &*sums_.try_emplace(part.key).first;
    DaySums& sums = last_->second;
    sums.requests += part.sums.requests;
    sums.failures += part.sums.failures;
    sums.input += part.sums.input;
    sums.output += part.sums.output;
    sums.cost_nano_usd += part.sums.cost_nano_usd;
    sums.total_ms += part.sums.total_ms;
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
      add.bind(1, format_day(key.day * kDayMs)).bind(2, key.period).bind(3, key.organization);
      add.bind(4, key.user).bind(5, key.key).bind(6, key.provider).bind(7, key.model);
      add.bind(8, sums.requests).bind(9, sums.failures).bind(10, sums.input);
      add.bind(11, sums.output).bind(12, sums.cost_nano_usd);
      KVCS_TRY(add.bind(13, sums.total_ms).run());
      add.reset();
    }
    return ok();
  }

 private:
  static constexpr int64_t kDayMs = 86'400'000;
  std::map<DayKey, DaySums> sums_;
  std::map<DayKey, DaySums>::value_type* last_ = nullptr;
};

// A statement that inserts many rows opens the table and its four indexes once, and each row is put
// where the last one went.
constexpr size_t kRowsPerInsert = 32;

std::string insert_sql(size_t rows, std::string_view on_conflict) {
  std::string columns, parameters;
  for (const UsageMember& member : kUsageMembers) {
    columns.append(columns.empty() ? "" : ", ").append(member.column);
    parameters.append(parameters.empty() ? "?" : ", ?");
  }
  std::string sql = "INSERT INTO usage (" + columns + ") VALUES ";
  for (size_t row = 0; row < rows; row++) {
    sql.append(row > 0 ? ", (" : "(").append(parameters).append(")");
  }
  return sql.append(on_conflict);
}

// Binds row number `place` of the statement. `refs` has the numbers of the row's texts.
void bind_row(Statement& put, size_t place, const UsageRow& row, const UsageRefs& refs) {
  int position = static_cast<int>(place * std::size(kUsageMembers));
  auto ref = refs.begin();
  for (const UsageMember& member : kUsageMembers) {
    position++;
    if (is_kept_by_number(member)) {
      put.bind(position, *ref++);
    } else if (member.text != nullptr) {
      put.bind(position, row.*member.text);
    } else if (member.number != nullptr) {
      put.bind(position, row.*member.number);
    } else if (member.flag != nullptr) {
      put.bind(position, row.*member.flag ? 1 : 0);
    } else {
      put.bind(position, row.status);
    }
  }
}

// `read` gives row i of `count`, into a row that is used again and again.
class Inserter final {
 public:
  using Read = std::function<Status(size_t i, UsageRow& row)>;
  Inserter(Database& db, Read read) : db_(db), read_(std::move(read)), refs_(db) {}

  Status insert(size_t count) {
    size_t i = 0;
    for (; count - i >= kRowsPerInsert; i += kRowsPerInsert) KVCS_TRY(insert_many(i));
    KVCS_TRY(insert_each(i, count));
    return days_.write(db_);
  }

 private:
  Status insert_many(size_t first) {
    static const std::string kSql = insert_sql(kRowsPerInsert, "");
    std::array<Days::Part, kRowsPerInsert> parts;
    {
      auto put = KVCS_TRY(db_.prepare(kSql));
      for (size_t place = 0; place < kRowsPerInsert; place++) {
        KVCS_TRY(read_(first + place, row_));
        const UsageRefs refs = KVCS_TRY(refs_.find(row_));
        bind_row(put, place, row_, refs);
        parts[place] = Days::part_of(row_, refs);
      }
      const Status done = put.run();
      if (!done.ok() && done.reason() != "unique") return done;
      if (done.ok()) {
        for (const Days::Part& part : parts) days_.add(part);
        return ok();
      }
    }
    // One is there already, and none was inserted.
    return insert_each(first, first + kRowsPerInsert);
  }

  Status insert_each(size_t first, size_t end) {
    if (first == end) return ok();
    static const std::string kSql = insert_sql(1, " ON CONFLICT (request_id) DO NOTHING");
    auto put = KVCS_TRY(db_.prepare(kSql));
    for (size_t i = first; i < end; i++) {
      KVCS_TRY(read_(i, row_));
      const UsageRefs refs = KVCS_TRY(refs_.find(row_));
      bind_row(put, 0, row_, refs);
      KVCS_TRY(put.run());
      if (db_.changes() > 0) days_.add(Days::part_of(row_, refs));
      put.reset();
    }
    return ok();
  }

  Database& db_;
  const Read read_;
  RefFinder refs_;
  Days days_;
  UsageRow row_;
};

Status bad(std::string_view member) {
  return invalid("usage record: " + std::string(member) + " is missing or malformed");
}

// Looks from position `next` on, and around; leaves `next` behind what it found.
const UsageMember* find_member(std::string_view name, size_t& next) {
  for (size_t tries = 0; tries < std::size(kUsageMembers); tries++) {
    if (next >= std::size(kUsageMembers)) next = 0;
    const UsageMember& member = kUsageMembers[next++];
    if (member.name == name) return &member;
  }
  return nullptr;
}

// One member of the record; what this version does not know is passed over.
Status read_member(std::string_view name, const simdjson::dom::element& value, size_t& next,
                   UsageRow& row) {
  const UsageMember* member = find_member(name, next);
  if (member == nullptr) return ok();
  if (member->text != nullptr) {
    std::string_view found;
    if (value.get(found) != simdjson::SUCCESS) return bad(name);
    row.*member->text = found;
    return ok();
  }
  if (member->flag != nullptr) {
    return value.get(row.*member->flag) == simdjson::SUCCESS ? ok() : bad(name);
  }
  const auto number = [&](int64_t min, int64_t max, int64_t& out) {
    const bool fits = value.get(out) == simdjson::SUCCESS && out >= min && out <= max;
    return fits || value.is_null() ? ok() : bad(name);
  };
  if (member->number == &UsageRow::ts_ms) return number(0, INT64_MAX, row.ts_ms);
  // A reset of a user's use is a row with a negative cost.
  if (member->number != nullptr) return number(INT64_MIN, INT64_MAX, row.*member->number);
  int64_t status = 0;
  KVCS_TRY(number(0, 999, status));
  row.status = static_cast<int>(status);
  return ok();
}

// Into a row that may have been another's before: its texts keep their memory.
Status read_usage(const OutboxRecord& record, UsageRow& row) {
  thread_local QuickParser parser;
  simdjson::dom::object members;
  if (!parser.parse(record.payload_json, members)) {
    return invalid("usage record: not a JSON object");
  }
  for (const UsageMember& member : kUsageMembers) {
    if (member.text != nullptr) (row.*member.text).clear();
    if (member.number != nullptr) row.*member.number = 0;
    if (member.flag != nullptr) row.*member.flag = false;
  }
  // These two must be in the record.
  row.ts_ms = row.status = -1;
  size_t next = 0;
  for (const auto& [name, value] : members) KVCS_TRY(read_member(name, value, next, row));
  if (row.ts_ms < 0) return bad("ts_ms");
  if (row.status < 0) return bad("status");
  if (row.request_id.empty()) row.request_id = record.id;
  return ok();
}

}  // namespace

Result<UsageRow> parse_usage(const OutboxRecord& record) {
  UsageRow row;
  KVCS_TRY(read_usage(record, row));
  return row;
}

Status usage_sink(Database& db, const std::vector<OutboxRecord>& records) {
  const auto read = [&records](size_t i, UsageRow& row) { return read_usage(records[i], row); };
  return Inserter(db, read).insert(records.size());
}

}  // namespace kvcs
