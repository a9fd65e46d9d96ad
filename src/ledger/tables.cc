// The columns of each table that admins may list, and the one query that lists them. It pages by
// (ts_ms, seq): the cursor of a page is the place of its last row, written as "<ts_ms>.<seq>".
#include "ledger/tables.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <variant>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/money.h"
#include "db/db.h"
#include "ledger/ledger_csv.h"
#include "ledger/usage_record.h"

namespace kvcs {
namespace {

using enum ColumnKind;

const std::vector<LedgerColumn> kErrorColumns = {
    {"id", "id", kText},
    {"ts", "ts_ms", kTime},
    {"request_id", "request_id", kText},
    {"tenant", "tenant", kText},
    {"provider", "provider", kText},
    {"account_id", "account_id", kText},
    {"action", "action", kText},
    {"method", "method", kText},
    {"path", "path", kText},
    {"status", "status", kInteger},
    {"code", "code", kText},
    {"message", "message", kText},
    {"upstream_status", "upstream_status", kInteger},
    {"latency_ms", "latency_ms", kInteger},
    {"ip_hash", "ip_hash", kText},
};
const std::vector<LedgerColumn> kAuditColumns = {
    {"id", "id", kText},
    {"ts", "ts_ms", kTime},
    {"family", "family", kText},
    {"key", "key", kText},
    {"action", "action", kText},
    {"old_hash", "old_hash", kText},
    {"new_hash", "new_hash", kText},
    {"source", "source", kText},
    {"actor", "actor", kText},
    {"request_id", "request_id", kText},
    {"prev_chain_hash", "prev_chain_hash", kText},
    {"chain_hash", "chain_hash", kText},
};
const std::vector<LedgerColumn> kDecisionColumns = {
    {"id", "id", kText},
    {"ts", "ts_ms", kTime},
    {"kind", "kind", kText},
    {"severity", "severity", kText},
    {"subject", "subject", kText},
    {"suggestion", "suggestion", kText},
    {"evidence", "evidence_json", kJson},
    {"status", "status", kText},
    {"decided_by", "decided_by", kText},
    {"decided_at", "decided_ms", kTime},
};
const std::vector<LedgerColumn> kJobColumns = {
    {"ts", "ts_ms", kTime},
    {"job", "job", kText},
    {"duration_ms", "duration_ms", kInteger},
    {"result", "result", kText},
    {"detail", "detail", kText},
};
// Without the bodies themselves: those are shown one by one.
const std::vector<LedgerColumn> kBodyColumns = {
    {"request_id", "request_id", kText},
    {"ts", "ts_ms", kTime},
    {"org_id", "organization_ref", kName},
    {"user_id", "user_ref", kName},
    {"key_id", "key_ref", kName},
    {"model", "model_ref", kName},
    {"status", "status", kInteger},
    {"request_bytes", "request_bytes", kInteger},
    {"response_bytes", "response_bytes", kInteger},
};
const std::vector<LedgerColumn> kAlertColumns = {
    {"id", "id", kText},
    {"ts", "ts_ms", kTime},
    {"event", "event", kText},
    {"subject", "subject", kText},
    {"channel", "channel", kText},
    {"status", "status", kText},
    {"attempts", "attempts", kInteger},
    {"next_attempt_at", "next_attempt_ms", kTime},
    {"error", "error", kText},
    {"payload", "payload_json", kJson},
};
const std::vector<LedgerColumn> kDeadColumns = {
    {"outbox_key", "outbox_key", kText}, {"ts", "ts_ms", kTime},        {"kind", "kind", kText},
    {"reason", "reason", kText},         {"payload", "payload", kText},
};
// The columns of `usage` are the members of a usage record, its time and its money in the form of
// all tables.
LedgerColumn usage_column(const UsageMember& member) {
  LedgerColumn column{std::string(member.name), std::string(member.column), kInteger};
  if (member.number == &UsageRecord::ts_ms) {
    column.name = "ts";
    column.kind = kTime;
  } else if (member.column.ends_with("_nano_usd")) {
    column.name = column.name.substr(0, column.name.size() - std::size("nano_usd") + 1) + "usd";
    column.kind = kUsd;
  } else if (member.column.ends_with("_ref")) {
    column.kind = kName;
  } else if (member.text != nullptr || member.token_text != nullptr) {
    column.kind = kText;
  } else if (member.flag != nullptr || member.token_flag != nullptr) {
    column.kind = kBoolean;
  }
  return column;
}

std::vector<LedgerColumn> usage_columns() {
  std::vector<LedgerColumn> columns;
  for (const UsageMember& member : usage_members()) columns.push_back(usage_column(member));
  return columns;
}

const std::vector<LedgerTable>& tables() {
  static const std::vector<LedgerTable> list = {
      {"error_ledger", kErrorColumns},    {"kv_audit", kAuditColumns},
      {"decision_log", kDecisionColumns}, {"job_runs", kJobColumns},
      {"usage", usage_columns()},         {"body_log", kBodyColumns},
      {"alert_log", kAlertColumns},       {"outbox_dead", kDeadColumns},
  };
  return list;
}

struct PageCursor {
  int64_t ts_ms = 0, seq = 0;
};

Result<PageCursor> parse_cursor(std::string_view text) {
  const size_t dot = text.find('.');
  auto time = parse_u64(text.substr(0, dot), "cursor");
  auto seq = parse_u64(dot == text.npos ? std::string_view() : text.substr(dot + 1), "cursor");
  if (!time.ok() || !seq.ok() || *time > INT64_MAX || *seq > INT64_MAX) {
    return invalid("cursor: " + printable(text) + " was not given out by this list");
  }
  return PageCursor{static_cast<int64_t>(*time), static_cast<int64_t>(*seq)};
}

// The columns that may be filters, for the message about one that may not.
std::string list_names(const LedgerTable& table) {
  std::string names;
  for (const LedgerColumn& column : table.columns) {
    if (column.kind == kUsd || column.kind == kJson) continue;
    if (!names.empty()) names += ", ";
    names += column.name;
  }
  return names;
}

constexpr size_t kRangesMax = 8;  // Of one column.

// A checked filter: its SQL, and the values of its parameters.
struct Filter {
  std::string sql;
  std::vector<std::variant<int64_t, std::string>> values;
};

// The column's SQL comes from the table above and never from the request; the value is bound. An
// amount of money cannot be compared as text, and JSON neither.
Result<Filter> make_filter(const LedgerTable& table, std::string_view name,
                           const std::string& value) {
  const LedgerColumn* column = find_ledger_column(table, name);
  if (column == nullptr || column->kind == kUsd || column->kind == kJson) {
    return invalid(printable(name) + ": no such filter; " + table.name + " has " +
                   list_names(table));
  }
  Filter filter{std::string(column->sql) + " = ?", {value}};
  switch (column->kind) {
    case kName:
      filter.sql = std::string(column->sql) + " = (SELECT id FROM ledger_name WHERE text = ?)";
      break;
    case kInteger: {
      const uint64_t number = KVCS_TRY(parse_u64(value, name));
      filter.values = {static_cast<int64_t>(std::min<uint64_t>(number, INT64_MAX))};
      break;
    }
    case kBoolean:
      if (value != "true" && value != "false") {
        return invalid(std::string(name) + ": " + printable(value) + " is neither true nor false");
      }
      filter.values = {int64_t{value == "true" ? 1 : 0}};
      break;
    case kTime:
      filter.values = {KVCS_TRY(parse_iso8601_ms(value))};
      break;
    default:
      break;
  }
  return filter;
}

Result<Filter> make_range_filter(const LedgerTable& table, const LedgerRanges& ranges) {
  const LedgerColumn* column = find_ledger_column(table, ranges.column);
  if (column == nullptr || (column->kind != kInteger && column->kind != kUsd) ||
      ranges.any.empty() || ranges.any.size() > kRangesMax) {
    return invalid(printable(ranges.column) + ": no such range of " + table.name);
  }
  Filter filter;
  for (const auto& [min, max] : ranges.any) {
    filter.sql += (filter.sql.empty() ? "(" : " OR ") + column->sql + " BETWEEN ? AND ?";
    filter.values.insert(filter.values.end(), {min, max});
  }
  filter.sql += ')';
  return filter;
}

// The row of the request and those of its earlier tries, whose ids are its own, a dot and a number:
// all that lie between "ID." and "ID/", the character after the dot.
Filter tries_filter(const std::string& request_id) {
  return {"(request_id = ? OR (request_id > ? AND request_id < ?))",
          {request_id, request_id + ".", request_id + "/"}};
}

Result<std::vector<Filter>> make_filters(const LedgerTable& table, const LedgerQuery& query) {
  std::vector<Filter> filters;
  for (const auto& [name, value] : query.equals) {
    filters.push_back(KVCS_TRY(make_filter(table, name, value)));
  }
  for (const LedgerRanges& ranges : query.within) {
    filters.push_back(KVCS_TRY(make_range_filter(table, ranges)));
  }
  if (query.from_ms) filters.push_back({"ts_ms >= ?", {*query.from_ms}});
  if (query.to_ms) filters.push_back({"ts_ms < ?", {*query.to_ms}});
  if (!query.tries_of.empty()) {
    if (table.name != "usage") return invalid(table.name + " has no tries of a request");
    // The plus sign keeps SQLite from the index of the column: it would walk through all rows of a
    // user rather than look up the few ids of one request.
    for (Filter& filter : filters) filter.sql.insert(0, filter.sql.front() == '(' ? "" : "+");
    filters.push_back(tries_filter(query.tries_of));
  }
  if (!query.cursor.empty()) {
    const PageCursor after = KVCS_TRY(parse_cursor(query.cursor));
    filters.push_back({"(ts_ms, seq) < (?, ?)", {after.ts_ms, after.seq}});
  }
  return filters;
}

// seq and ts_ms come first, for the cursor, and then the columns in their order.
std::string select_list(const LedgerTable& table) {
  std::string list = "seq, ts_ms";
  for (const LedgerColumn& column : table.columns) {
    list += ", ";
    if (column.kind == kName) {
      list += "(SELECT text FROM ledger_name WHERE id = " + std::string(column.sql) + ")";
    } else {
      list += column.sql;
    }
  }
  return list;
}

// The text of a column in JSON and CSV, without quotes.
std::string value_text(const Statement& row, int position, ColumnKind kind) {
  switch (kind) {
    case kInteger:
      return std::to_string(row.integer(position));
    case kBoolean:
      return row.integer(position) != 0 ? "true" : "false";
    case kTime:
      return format_iso8601_ms(row.integer(position));
    case kUsd:
      return format_usd(row.integer(position));
    default:
      return row.text(position);
  }
}

std::string json_row(const LedgerTable& table, const Statement& row) {
  std::string out = "{";
  int position = 2;
  for (const LedgerColumn& column : table.columns) {
    if (position > 2) out += ',';
    out += '"' + std::string(column.name) + "\":";
    const bool bare = column.kind == kInteger || column.kind == kBoolean || column.kind == kUsd ||
                      column.kind == kJson;
    const std::string text = value_text(row, position, column.kind);
    if (row.is_null(position) || (column.kind == kJson && !parse_json(text).ok())) {
      out += "null";
    } else if (bare) {
      out += text;
    } else {
      append_json_string(out, text);
    }
    position++;
  }
  return out + "}";
}

// What a reader of the audit knows a row by; a short text of hex digits would stand in many hashes.
bool fits_audit(const SearchText& search, const LedgerTable& table, const Statement& row) {
  constexpr std::string_view kSearched[] = {"family", "key",   "action",
                                            "source", "actor", "request_id"};
  int position = 2;
  for (const LedgerColumn& column : table.columns) {
    const bool is_searched =
        std::find(std::begin(kSearched), std::end(kSearched), column.name) != std::end(kSearched);
    if (is_searched && search.fits({row.text(position)})) return true;
    position++;
  }
  return false;
}

// NULL is an empty cell.
std::string csv_row(const LedgerTable& table, const Statement& row) {
  std::vector<std::string> cells;
  int position = 2;
  for (const LedgerColumn& column : table.columns) {
    cells.push_back(row.is_null(position) ? "" : value_text(row, position, column.kind));
    position++;
  }
  return csv_line(cells);
}

}  // namespace

Result<const LedgerTable*> find_ledger_table(std::string_view name) {
  std::string known;
  for (const LedgerTable& table : tables()) {
    if (name == table.name) return &table;
    known += (known.empty() ? "" : ", ") + std::string(table.name);
  }
  return invalid("table: " + printable(name) + " is not one of " + known);
}

const LedgerColumn* find_ledger_column(const LedgerTable& table, std::string_view name) {
  const auto found = std::find_if(table.columns.begin(), table.columns.end(),
                                  [&](const LedgerColumn& column) { return name == column.name; });
  return found == table.columns.end() ? nullptr : &*found;
}

Result<LedgerPage> read_ledger_page(Database& db, const LedgerQuery& query) {
  const LedgerTable& table = *KVCS_TRY(find_ledger_table(query.table));
  if (query.limit < 1 || query.limit > kLedgerPageMax) {
    return invalid("limit: " + std::to_string(query.limit) + " is not between 1 and " +
                   std::to_string(kLedgerPageMax));
  }
  const std::vector<Filter> filters = KVCS_TRY(make_filters(table, query));
  std::string where;
  for (const Filter& filter : filters) where += (where.empty() ? "" : " AND ") + filter.sql;
  auto rows = KVCS_TRY(db.prepare("SELECT " + select_list(table) + " FROM " + table.name +
                                  (where.empty() ? "" : " WHERE " + where) +
                                  " ORDER BY ts_ms DESC, seq DESC LIMIT ?"));
  int position = 1;
  for (const Filter& filter : filters) {
    for (const auto& value : filter.values) {
      std::visit([&](const auto& one) { rows.bind(position++, one); }, value);
    }
  }
  // A search looks at so many rows, and else each one counts. One more tells whether there is a
  // next page.
  const bool searches = !query.search.empty();
  const auto looked_max = searches ? static_cast<int64_t>(kSearchedRowsMax) : query.limit;
  rows.bind(position, looked_max + 1);
  LedgerPage page;
  std::string last;
  for (int64_t looked = 0; KVCS_TRY(rows.step()); looked++) {
    if (looked == looked_max || page.rows.size() == static_cast<size_t>(query.limit)) {
      page.cursor = last;
      break;
    }
    last = std::to_string(rows.integer(1)) + "." + std::to_string(rows.integer(0));
    if (searches && !fits_audit(query.search, table, rows)) continue;
    page.rows.push_back(query.format == RowFormat::kCsv ? csv_row(table, rows)
                                                        : json_row(table, rows));
  }
  return page;
}

}  // namespace kvcs
