// From a query string to a page of the ledger, as JSON or as CSV that is read while it is sent.
#include "ledger/ledger_list.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"

namespace kvcs {
namespace {

struct ListRequest {
  LedgerQuery query;
  int64_t rows_max = 0;  // CSV: over all pages. 0: not stated.
};

Status read_parameter(ListRequest& list, std::string_view name, const std::string& value,
                      const LedgerParameter& other) {
  if (name == "from") {
    list.query.from_ms = KVCS_TRY(parse_iso8601_ms(value));
  } else if (name == "to") {
    list.query.to_ms = KVCS_TRY(parse_iso8601_ms(value));
  } else if (name == "limit") {
    const uint64_t limit = KVCS_TRY(parse_u64(value, "limit"));
    if (limit == 0) return invalid("limit: 0 is no number of rows");
    list.rows_max = static_cast<int64_t>(std::min<uint64_t>(limit, INT32_MAX));
  } else if (name == "cursor") {
    list.query.cursor = value;
  } else if (name == "format") {
    if (value != "csv" && value != "json") {
      return invalid("format: " + printable(value) + " is neither json nor csv");
    }
    list.query.format = value == "csv" ? RowFormat::kCsv : RowFormat::kJson;
  } else {
    return other(list.query, name, value);
  }
  return ok();
}

Result<ListRequest> read_list_request(const http::Request& request, std::string_view table,
                                      const LedgerParameter& other) {
  ListRequest list;
  list.query.table = table;
  for (const std::string_view part : split(request.query, '&')) {
    const size_t equal = std::min(part.find('='), part.size());
    const std::string name = KVCS_TRY(percent_decode(part.substr(0, equal), true));
    const std::string value = KVCS_TRY(
        percent_decode(equal < part.size() ? part.substr(equal + 1) : std::string_view(), true));
    // A form sends its empty fields too.
    if (name.empty() || value.empty()) continue;
    Status status = read_parameter(list, name, value, other);
    // Each message names its parameter once.
    if (!status.ok() && status.message().find(name) == std::string::npos) {
      return std::move(status).with_context(name);
    }
    KVCS_TRY(std::move(status));
  }
  if (list.query.format == RowFormat::kJson) {
    if (list.rows_max != 0) list.query.limit = static_cast<int>(list.rows_max);
    return list;
  }
  if (list.rows_max == 0) list.rows_max = kCsvRowsMax;
  if (list.rows_max > kCsvRowsMax) {
    return invalid("limit: " + std::to_string(list.rows_max) + " is over " +
                   std::to_string(kCsvRowsMax) + "; narrow the export with from and to");
  }
  list.query.limit = static_cast<int>(std::min<int64_t>(list.rows_max, kLedgerPageMax));
  return list;
}

// Pages are read as the client takes them, so that an export of any size needs one page of memory.
Status write_csv(Ledger& ledger, ListRequest list, LedgerPage page, http::BodyWriter& out) {
  const std::string header = KVCS_TRY(Ledger::csv_header(list.query.table));
  KVCS_TRY(out.write(header));
  int64_t left = list.rows_max;
  for (;;) {
    std::string text;
    for (const std::string& row : page.rows) text += row;
    if (!text.empty()) KVCS_TRY(out.write(text));
    left -= static_cast<int64_t>(page.rows.size());
    if (page.cursor.empty() || left <= 0) return ok();
    list.query.cursor = page.cursor;
    list.query.limit = static_cast<int>(std::min<int64_t>(left, kLedgerPageMax));
    page = KVCS_TRY(ledger.query(list.query));
  }
}

http::Response csv_response(Ledger& ledger, ListRequest list, LedgerPage first,
                            std::string_view member) {
  http::Response response;
  response.headers.emplace_back("Content-Type", "text/csv; charset=utf-8");
  response.headers.emplace_back("Content-Disposition",
                                "attachment; filename=\"" + std::string(member) + ".csv\"");
  if (list.rows_max <= kLedgerPageMax && !first.cursor.empty()) {
    response.headers.emplace_back("x-next-cursor", first.cursor);
    // The page of a search may have fewer rows than were asked for, and the header goes on from it.
    list.rows_max = static_cast<int64_t>(first.rows.size());
  }
  response.stream = [&ledger, list = std::move(list), first = std::move(first)](
                        http::BodyWriter& out) { return write_csv(ledger, list, first, out); };
  return response;
}

http::Response json_page(const LedgerPage& page, std::string_view member) {
  std::string body = "{\"" + std::string(member) + "\":[";
  for (const std::string& row : page.rows) {
    if (&row != page.rows.data()) body += ',';
    body += row;
  }
  body += "],\"cursor\":";
  if (page.cursor.empty()) {
    body += "null";
  } else {
    append_json_string(body, page.cursor);
  }
  return http::json_response(200, body + "}");
}

}  // namespace

Result<http::Response> list_ledger(Ledger& ledger, const http::Request& request,
                                   std::string_view table, std::string_view member,
                                   const LedgerParameter& other,
                                   const std::string& organization_id) {
  ListRequest list = KVCS_TRY(read_list_request(request, table, other));
  if (!organization_id.empty()) {
    list.query.equals.emplace_back("organization_id", organization_id);
  }
  // A caller that just made a change expects to see it.
  (void)ledger.drain();
  LedgerPage page = KVCS_TRY(ledger.query(list.query));
  if (list.query.format == RowFormat::kJson) return json_page(page, member);
  return csv_response(ledger, std::move(list), std::move(page), member);
}

}  // namespace kvcs
