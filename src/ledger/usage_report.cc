// Sums over usage_daily, for the usage pages and for the repair of budget counters. usage_daily has
// a row for each day, month of the budget, organization, user, key, provider and model.
#include "ledger/usage_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"
#include "db/db.h"
#include "ledger/tables.h"

namespace kvcs {
namespace {

constexpr int kGroupsMax = 10'000;

struct Grouping {
  std::string_view name;
  const char* column;  // Of usage_daily; a reference to ledger_name but for the day.
};
constexpr std::array<Grouping, 6> kGroupings = {{{"day", "day"},
                                                 {"model", "model_ref"},
                                                 {"user", "user_ref"},
                                                 {"key", "key_ref"},
                                                 {"provider", "provider_ref"},
                                                 {"organization", "organization_ref"}}};

struct Filter {
  const char* column;
  const std::string* value;
};

constexpr const char* kGroupingNames = "day, model, user, key, provider, organization";

const Grouping* find_grouping(std::string_view name) {
  for (const Grouping& one : kGroupings) {
    if (one.name == name) return &one;
  }
  return nullptr;
}

// `part` may be null.
std::string report_sql(const Grouping& grouping, const Grouping* part,
                       const std::vector<Filter>& filters, const UsageAsk& ask) {
  const bool by_day = grouping.name == "day";
  const Grouping* named = by_day ? part : &grouping;
  std::string sql = by_day ? "SELECT day" : "SELECT n.text";
  sql +=
      ", SUM(requests), SUM(failures), SUM(input_tokens), SUM(output_tokens),"
      " SUM(cost_nano_usd) AS cost, SUM(total_ms)";
  sql += part != nullptr ? ", n.text FROM usage_daily" : ", '' FROM usage_daily";
  if (named != nullptr) sql += " JOIN ledger_name n ON n.id = " + std::string(named->column);
  sql += " WHERE 1 = 1";
  if (!ask.from_day.empty()) sql += " AND day >= ?";
  if (!ask.to_day.empty()) sql += " AND day <= ?";
  for (const Filter& filter : filters) {
    sql += " AND " + std::string(filter.column) + " = (SELECT id FROM ledger_name WHERE text = ?)";
  }
  sql += " GROUP BY " + std::string(grouping.column);
  if (part != nullptr) sql += ", " + std::string(part->column);
  sql += by_day ? part != nullptr ? " ORDER BY day, cost DESC" : " ORDER BY day"
                : " ORDER BY cost DESC";
  return sql + " LIMIT " + std::to_string(part != nullptr ? kGroupsMax + 1 : kGroupsMax);
}

// Of a whole report: the grouping, and what its days are split by, which may be null.
struct Shape {
  const Grouping* grouping = nullptr;
  const Grouping* part = nullptr;
};
Result<Shape> shape_of(const UsageAsk& ask) {
  const auto unknown = [](std::string_view member, const std::string& value) {
    return invalid(std::string(member) + ": '" + printable(value, kShownWord) +
                   "' is not one of: " + kGroupingNames + ".");
  };
  Shape shape{find_grouping(ask.group_by), find_grouping(ask.split_by)};
  if (shape.grouping == nullptr) return unknown("group_by", ask.group_by);
  if (ask.split_by.empty()) return shape;
  if (shape.part == nullptr) return unknown("split_by", ask.split_by);
  if (ask.group_by != "day" || ask.split_by == "day") {
    return invalid(
        "split_by: only days are split, and not by day; ask with group_by=day and one "
        "of: model, user, key, provider, organization.");
  }
  return shape;
}

}  // namespace

Result<std::vector<UsageGroup>> usage_report(const Ledger& ledger, const UsageAsk& ask) {
  const Shape shape = KVCS_TRY(shape_of(ask));
  std::vector<Filter> filters;
  for (const Filter& filter : std::array<Filter, 5>{{{"organization_ref", &ask.organization_id},
                                                     {"user_ref", &ask.user_id},
                                                     {"key_ref", &ask.key_id},
                                                     {"model_ref", &ask.model},
                                                     {"provider_ref", &ask.provider}}}) {
    if (!filter.value->empty()) filters.push_back(filter);
  }
  const std::string sql = report_sql(*shape.grouping, shape.part, filters, ask);
  std::vector<UsageGroup> groups;
  const auto collect = [&](Database& db) -> Status {
    Statement select = KVCS_TRY(db.prepare(sql));
    int position = 1;
    if (!ask.from_day.empty()) select.bind(position++, ask.from_day);
    if (!ask.to_day.empty()) select.bind(position++, ask.to_day);
    for (const Filter& filter : filters) select.bind(position++, *filter.value);
    for (;;) {
      Result<bool> row = select.step();
      if (!row.ok()) return std::move(row).status();
      if (!*row) return ok();
      groups.push_back({select.text(0), select.integer(1), select.integer(2), select.integer(3),
                        select.integer(4), select.integer(5), select.integer(6), select.text(7)});
    }
  };
  KVCS_TRY(ledger.read(collect));
  if (shape.part != nullptr && groups.size() > kGroupsMax) {
    return invalid("split_by: these days have more than " + std::to_string(kGroupsMax) +
                   " sums by " + ask.split_by + "; ask for fewer days.");
  }
  return groups;
}

bool counts_as_request(const UsageRecord& row) {
  return row.model != kAdjustmentModel && is_last_try(row);
}

Status for_each_usage_sum(Database& db, std::string_view kind, const UsageSumVisitor& visit) {
  const std::string column = kind == "key"    ? "key_ref"
                             : kind == "user" ? "user_ref"
                                              : "organization_ref";
  auto rows = KVCS_TRY(
      db.prepare("SELECT o.text, p.text, SUM(CASE WHEN m.text = ? THEN 0 ELSE requests END),"
                 " SUM(failures), SUM(cost_nano_usd) FROM usage_daily"
                 " JOIN ledger_name m ON m.id = model_ref JOIN ledger_name p ON p.id = period_ref"
                 " JOIN ledger_name o ON o.id = " +
                 column + " GROUP BY " + column + ", period_ref"));
  rows.bind(1, kAdjustmentModel);
  while (KVCS_TRY(rows.step())) {
    const std::string id = rows.text(0);
    if (id.empty()) continue;
    UsageGroup sum;
    sum.requests = rows.integer(2);
    sum.failures = rows.integer(3);
    sum.cost_nano_usd = rows.integer(4);
    KVCS_TRY(visit(id, rows.text(1), sum));
  }
  return ok();
}

Status for_each_month_rows(Database& db, std::string_view period, const UsageRowsVisitor& visit) {
  auto rows =
      KVCS_TRY(db.prepare("SELECT n.text, row_count, cost_nano_usd FROM usage_sum"
                          " JOIN ledger_name n ON n.id = organization_ref"
                          " WHERE period_ref = (SELECT id FROM ledger_name WHERE text = ?)"));
  rows.bind(1, period);
  while (KVCS_TRY(rows.step())) visit(rows.text(0), rows.integer(1), rows.integer(2));
  return ok();
}

Result<bool> has_unread_usage(Database& db) {
  auto find = KVCS_TRY(db.prepare("SELECT 1 FROM outbox_dead WHERE kind IN ('usage', '') LIMIT 1"));
  return find.step();
}

// The rows of `waiting` were read from the outbox before this. A row that moved to SQL meanwhile is
// in both places, hence the look-up of each one; all of it happens in one read transaction.
Result<UsageGroup> recount_usage(const Ledger& ledger, std::string_view kind, std::string_view id,
                                 std::string_view period, const std::vector<UsageRecord>& waiting) {
  const char* column = kind == "key" ? "key_ref" : kind == "user" ? "user_ref" : "organization_ref";
  const std::string sql =
      "SELECT COALESCE(SUM(CASE WHEN n.text = ? THEN 0 ELSE requests END), 0),"
      " COALESCE(SUM(failures), 0), COALESCE(SUM(cost_nano_usd), 0)"
      " FROM usage_daily JOIN ledger_name n ON n.id = model_ref"
      " WHERE day >= ? AND period_ref = (SELECT id FROM ledger_name WHERE text = ?) AND " +
      std::string(column) + " = (SELECT id FROM ledger_name WHERE text = ?)";
  UsageGroup sum;
  const auto in_snapshot = [&](Database& db) -> Status {
    auto select = KVCS_TRY(db.prepare(sql));
    // A month's money is spent in it or after: the days before need not be looked at.
    select.bind(1, kAdjustmentModel).bind(2, std::string(period) + "-01");
    select.bind(3, period).bind(4, id);
    KVCS_TRY(select.step());
    sum.requests = select.integer(0);
    sum.failures = select.integer(1);
    sum.cost_nano_usd = select.integer(2);
    auto find = KVCS_TRY(db.prepare("SELECT 1 FROM usage WHERE request_id = ?"));
    for (const UsageRecord& row : waiting) {
      find.reset();
      if (KVCS_TRY(find.bind(1, row.request_id).step())) continue;
      sum.requests += counts_as_request(row) ? 1 : 0;
      sum.failures += counts_as_request(row) && row.status >= 400 ? 1 : 0;
      sum.cost_nano_usd += row.cost_nano_usd;
    }
    return ok();
  };
  KVCS_TRY(
      ledger.read([&](Database& db) { return in_savepoint(db, [&] { return in_snapshot(db); }); }));
  return sum;
}

Result<bool> has_usage_row(const Ledger& ledger, std::string_view row_id) {
  bool found = false;
  const auto look = [&](Database& db) -> Status {
    found = KVCS_TRY(has_usage_row(db, row_id));
    return ok();
  };
  KVCS_TRY(ledger.read(look));
  return found;
}

Result<bool> has_usage_row(Database& db, std::string_view row_id) {
  auto find = KVCS_TRY(db.prepare("SELECT 1 FROM usage WHERE request_id = ?"));
  return find.bind(1, row_id).step();
}

namespace {

const LedgerTable& usage_table() {
  return **find_ledger_table("usage");
}

// Adds a try to the sum, which is the last one's row.
Status add_try(const Json& row, Json& sum) {
  JsonReader row_reader(row), sum_reader(sum);
  const auto members = usage_members();
  for (size_t i = 0; i < members.size(); i++) {
    const LedgerColumn& column = usage_table().columns[i];
    Json& total = sum[column.name];
    if (column.kind == ColumnKind::kUsd) {
      const int64_t before = KVCS_TRY(parse_nano_usd(sum_reader.decimal(column.name), column.name));
      const int64_t more = KVCS_TRY(parse_nano_usd(row_reader.decimal(column.name), column.name));
      total = json_decimal(format_usd(before + more));
    } else if (members[i].count != nullptr) {
      total = total.get<int64_t>() + integer_member(row, column.name);
    } else if (column.kind == ColumnKind::kBoolean) {
      total = total.get<bool>() || row.at(column.name).get<bool>();
    }
  }
  return ok();
}

// The rows of one request, in the order of its tries; the last one last.
Result<std::vector<Json>> read_tries(const std::vector<std::string>& rows) {
  std::vector<Json> tries;
  for (const std::string& row : rows) tries.push_back(KVCS_TRY(parse_json_exact(row)));
  const auto number = [](const Json& one) { return integer_member(one, "attempt"); };
  std::stable_sort(tries.begin(), tries.end(),
                   [&](const Json& a, const Json& b) { return number(a) < number(b); });
  return tries;
}

}  // namespace

Result<std::string> find_request_usage(const Ledger& ledger, std::string_view request_id,
                                       std::string_view user_id) {
  LedgerQuery query;
  query.table = "usage";
  query.tries_of = request_id;
  if (!user_id.empty()) query.equals.emplace_back("user_id", std::string(user_id));
  const LedgerPage page = KVCS_TRY(ledger.query(query));
  if (request_id.empty() || page.rows.empty()) {
    return not_found("There is no request '" + printable(request_id, kShownName) +
                     "' of this caller.");
  }
  // The row of a single try goes out as it is: the cost of an adjustment is below zero, which the
  // sums do not read.
  std::string sum = page.rows.front(), attempts = page.rows.front();
  if (page.rows.size() > 1) {
    const std::vector<Json> tries = KVCS_TRY(read_tries(page.rows));
    Json total = tries.back();
    for (size_t i = 0; i + 1 < tries.size(); i++) KVCS_TRY(add_try(tries[i], total));
    sum = dump_json(total);
    attempts.clear();
    for (const Json& one : tries) attempts += (attempts.empty() ? "" : ",") + dump_json(one);
  }
  sum.pop_back();  // The brace.
  return sum + ",\"attempts\":[" + attempts + "]}";
}

std::string usage_row_members() {
  std::string list;
  const auto members = usage_members();
  for (size_t i = 0; i < members.size(); i++) {
    const LedgerColumn& column = usage_table().columns[i];
    const char* kind = column.kind == ColumnKind::kInteger   ? "integer"
                       : column.kind == ColumnKind::kBoolean ? "boolean"
                       : column.kind == ColumnKind::kTime    ? "time"
                       : column.kind == ColumnKind::kUsd     ? "number"
                                                             : "string";
    list += "\n" + column.name + "!: " + kind;
    if (!members[i].about.empty()) list.append(" # ").append(members[i].about);
  }
  return list;
}

}  // namespace kvcs
