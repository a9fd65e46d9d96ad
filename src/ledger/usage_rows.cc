// Rows of AI requests. They come by the thousand, so a group of them shares statements and the
// look-up of names, and is added to usage_daily in one sum.
#include <array>
#include <compare>
#include <functional>
#include <map>
#include <unordered_map>

#include "base/clock.h"
#include "db/db.h"
#include "kv/outbox.h"
#include "ledger/rows.h"

namespace kvcs {
namespace {

bool is_kept_by_number(const UsageMember& member) {
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

// The texts of a row that are kept by number, in the order of usage_members().
enum : size_t { kOrganization, kUser, kKey, kProvider, kModel, kPriceVersion, kPeriod, kRefs };
constexpr std::array<std::string UsageRecord::*, kRefs> kRefTexts = {
    &UsageRecord::organization_id, &UsageRecord::user_id, &UsageRecord::key_id,
    &UsageRecord::provider,        &UsageRecord::model,   &UsageRecord::price_version,
    &UsageRecord::period};
using UsageRefs = std::array<int64_t, kRefs>;

class RefFinder final {
 public:
  explicit RefFinder(Database& db) : names_(db) {}
  Result<UsageRefs> find(const UsageRecord& row) {
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
  int64_t rows = 0, requests = 0, failures = 0, input = 0, output = 0, cost_nano_usd = 0,
          total_ms = 0;
};

class Days final {
 public:
  struct Part {
    DayKey key;
    DaySums sums;
  };
  // A try before the last one of its request adds tokens and money alone.
  static Part part_of(const UsageRecord& row, const UsageRefs& refs) {
    const bool is_request = is_last_try(row);
    return {
        {row.ts_ms / kDayMs, refs[kPeriod], refs[kOrganization], refs[kUser], refs[kKey],
         refs[kProvider], refs[kModel]},
        {1, is_request ? 1 : 0, is_request && row.status >= 400 ? 1 : 0, row.tokens.input_total(),
         row.tokens.output_total(), row.cost_nano_usd, is_request ? row.total_ms : 0}};
  }
  void add(const Part& part) {
    if (last_ == nullptr || last_->first != part.key) last_ = &*sums_.try_emplace(part.key).first;
    DaySums& sums = last_->second;
    sums.rows += part.sums.rows;
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
    return write_months(db);
  }

 private:
  Status write_months(Database& db) const {
    std::map<std::pair<int64_t, int64_t>, DaySums> months;  // By period and organization.
    for (const auto& [key, sums] : sums_) {
      DaySums& month = months[{key.period, key.organization}];
      month.rows += sums.rows;
      month.cost_nano_usd += sums.cost_nano_usd;
    }
    auto add = KVCS_TRY(
        db.prepare("INSERT INTO usage_sum (period_ref, organization_ref, row_count, cost_nano_usd)"
                   " VALUES (?, ?, ?, ?) ON CONFLICT (period_ref, organization_ref) DO UPDATE SET"
                   " row_count = usage_sum.row_count + excluded.row_count,"
                   " cost_nano_usd = usage_sum.cost_nano_usd + excluded.cost_nano_usd"));
    for (const auto& [place, sums] : months) {
      add.bind(1, place.first).bind(2, place.second).bind(3, sums.rows);
      KVCS_TRY(add.bind(4, sums.cost_nano_usd).run());
      add.reset();
    }
    return ok();
  }

  static constexpr int64_t kDayMs = 86'400'000;
  std::map<DayKey, DaySums> sums_;
  std::map<DayKey, DaySums>::value_type* last_ = nullptr;
};

// A statement that inserts many rows opens the table and its four indexes once, and each row is put
// where the last one went.
constexpr size_t kRowsPerInsert = 32;

std::string insert_sql(size_t rows, std::string_view on_conflict) {
  std::string columns, parameters;
  for (const UsageMember& member : usage_members()) {
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
void bind_row(Statement& put, size_t place, const UsageRecord& row, const UsageRefs& refs) {
  int position = static_cast<int>(place * usage_members().size());
  auto ref = refs.begin();
  const TokenUsage& tokens = row.tokens;
  for (const UsageMember& member : usage_members()) {
    position++;
    if (is_kept_by_number(member)) {
      put.bind(position, *ref++);
    } else if (member.text != nullptr) {
      put.bind(position, row.*member.text);
    } else if (member.token_text != nullptr) {
      put.bind(position, tokens.*member.token_text);
    } else if (member.number != nullptr) {
      put.bind(position, row.*member.number);
    } else if (member.count != nullptr) {
      put.bind(position, tokens.*member.count);
    } else if (member.small != nullptr) {
      put.bind(position, row.*member.small);
    } else {
      const bool set = member.flag != nullptr ? row.*member.flag : tokens.*member.token_flag;
      put.bind(position, set ? 1 : 0);
    }
  }
}

// `read` gives row i of `count`, into a row that is used again and again.
class Inserter final {
 public:
  using Read = std::function<Status(size_t i, UsageRecord& row)>;
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
  UsageRecord row_;
};

}  // namespace

Status parse_usage(const OutboxRecord& record, UsageRecord& row) {
  KVCS_TRY(parse_usage(record.payload_json, row));
  if (row.request_id.empty()) row.request_id = record.id;
  return ok();
}

Status usage_sink(Database& db, const std::vector<OutboxRecord>& records) {
  const auto read = [&records](size_t i, UsageRecord& row) { return parse_usage(records[i], row); };
  return Inserter(db, read).insert(records.size());
}

}  // namespace kvcs
