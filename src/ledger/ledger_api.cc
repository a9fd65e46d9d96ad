// Handlers of /admin/errors, /admin/audit and their like: a query string becomes a LedgerQuery, and
// its page JSON or CSV. Any column of the table may be a filter; tables.h holds the list.
#include "ledger/ledger_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "db/db.h"
#include "kv/audited_kv.h"
#include "ledger/rows.h"

namespace kvcs {
namespace {

struct ListRequest {
  LedgerQuery query;
  int64_t rows_max = 0;  // CSV: over all pages.
};

// A name that is none of the five below is taken for a column; the query refuses it if it is none.
Status read_parameter(ListRequest& list, std::string_view name, const std::string& value) {
  if (name == "from") {
    list.query.from_ms = KVCS_TRY(parse_iso8601_ms(value));
  } else if (name == "to") {
    list.query.to_ms = KVCS_TRY(parse_iso8601_ms(value));
  } else if (name == "limit") {
    const uint64_t limit = KVCS_TRY(parse_u64(value, "limit"));
    list.rows_max = static_cast<int64_t>(std::min<uint64_t>(limit, INT32_MAX));
  } else if (name == "cursor") {
    list.query.cursor = value;
  } else if (name == "format") {
    if (value != "csv" && value != "json") {
      return invalid("format: " + printable(value) + " is neither json nor csv");
    }
    list.query.format = value == "csv" ? RowFormat::kCsv : RowFormat::kJson;
  } else {
    list.query.equals.emplace_back(name, value);
  }
  return ok();
}

Result<ListRequest> read_list_request(const http::Request& request, std::string_view table) {
  ListRequest list;
  list.query.table = table;
  for (const std::string_view part : split(request.query, '&')) {
    const size_t equal = std::min(part.find('='), part.size());
    const std::string name = KVCS_TRY(percent_decode(part.substr(0, equal), true));
    const std::string value = KVCS_TRY(
        percent_decode(equal < part.size() ? part.substr(equal + 1) : std::string_view(), true));
    // A form sends its empty fields too.
    if (name.empty() || value.empty()) continue;
    Status status = read_parameter(list, name, value);
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

Result<http::Response> LedgerApi::list(http::Request& request, std::string_view table,
                                       std::string_view member) {
  ListRequest list = KVCS_TRY(read_list_request(request, table));
  // A caller that just made a change expects to see it. If the stores cannot bring it in now, the
  // list shows the rows that are there.
  (void)ledger_.drain();
  LedgerPage page = KVCS_TRY(ledger_.query(list.query));
  if (list.query.format == RowFormat::kJson) return json_page(page, member);
  return csv_response(ledger_, std::move(list), std::move(page), member);
}

Result<http::Response> LedgerApi::list_errors(http::Request& request) {
  return list(request, "error_ledger", "errors");
}
Result<http::Response> LedgerApi::list_audit(http::Request& request) {
  return list(request, "kv_audit", "audit");
}
Result<http::Response> LedgerApi::list_decisions(http::Request& request) {
  return list(request, "decision_log", "decisions");
}
Result<http::Response> LedgerApi::list_job_runs(http::Request& request) {
  return list(request, "job_runs", "job_runs");
}
Result<http::Response> LedgerApi::list_alerts(http::Request& request) {
  return list(request, "alert_log", "alerts");
}
Result<http::Response> LedgerApi::list_outbox_dead(http::Request& request) {
  return list(request, "outbox_dead", "outbox_dead");
}

Result<http::Response> LedgerApi::list_bodies(http::Request& request) {
  return list(request, "body_log", "bodies");
}

Result<http::Response> LedgerApi::show_bodies(http::Request& request) {
  const std::string id(request.param("request_id"));
  (void)ledger_.drain();  // As for lists.
  LedgerQuery query;
  query.table = "body_log";
  query.equals = {{"request_id", id}};
  query.limit = 1;
  const LedgerPage page = KVCS_TRY(ledger_.query(query));
  if (page.rows.empty()) {
    return not_found("No bodies are kept of the request '" + printable(id, kShownName) +
                     "'; only organizations with log_bodies have them, for a while.");
  }
  // The row is a JSON object; its closing brace comes off for two more members.
  std::string body = page.rows.front();
  body.pop_back();
  const auto read = [&](Database& db) -> Status {
    auto find = KVCS_TRY(db.prepare("SELECT request, response FROM body_log WHERE request_id=?"));
    if (!KVCS_TRY(find.bind(1, id).step())) return not_found("The bodies were just removed.");
    body += ",\"request\":";
    append_json_string(body, find.text(0));
    body += ",\"response\":";
    append_json_string(body, find.text(1));
    return ok();
  };
  KVCS_TRY(ledger_.read(read));
  log::info("bodies.read", {{"of_request", id},
                            {"actor", admin_actor(request.principal.key_id)},
                            {"request_id", request.request_id}});
  return http::json_response(200, body + "}");
}

Result<http::Response> LedgerApi::verify_audit(http::Request&) {
  // Unlike a list, a proof must not leave out what is still on its way.
  KVCS_TRY(ledger_.drain());
  const AuditChain chain = KVCS_TRY(ledger_.verify_audit_chain());
  const Json body = {
      {"ok", true}, {"rows", chain.rows}, {"pruned", chain.pruned}, {"head", chain.head}};
  return http::json_response(200, dump_json(body));
}

Result<http::Response> LedgerApi::decide_decision(http::Request& request) {
  const std::string id(request.param("id"));
  const std::string text = KVCS_TRY(request.body->read_all());
  const Json body = KVCS_TRY(parse_json(text));
  if (!body.is_object()) return invalid("The body must be a JSON object with a status.");
  JsonReader reader(body);
  const std::string status = reader.one_of("status", {"accepted", "rejected", "applied"});
  KVCS_TRY(reader.finish());
  const std::string decided_by = admin_actor(request.principal.key_id);
  const int64_t now_ms = clock_.unix_ms();
  KVCS_TRY(ledger_.write([&](Database& db) { return decide(db, id, status, decided_by, now_ms); }));
  LedgerQuery query;
  query.table = "decision_log";
  query.equals = {{"id", id}};
  query.limit = 1;
  const LedgerPage page = KVCS_TRY(ledger_.query(query));
  if (page.rows.empty()) return not_found("No decision has the id " + printable(id) + ".");
  return http::json_response(200, page.rows.front());
}

}  // namespace kvcs
