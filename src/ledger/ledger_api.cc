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

namespace {

constexpr http::ApiType kTypes[] = {
    {"ErrorPage", R"(
errors!: [ErrorRow]
cursor!: string?)"},
    {"ErrorRow", R"(
id!: string
ts!: time
request_id!: string
tenant!: string
provider!: string
account_id!: string
action!: string
method!: string
path!: string
status!: integer
code!: string
message!: string
upstream_status!: integer?
latency_ms!: integer
ip_hash!: string)"},
    {"AuditPage", R"(
audit!: [AuditRow]
cursor!: string?)"},
    {"AuditRow", R"(
id!: string
ts!: time
family!: string
key!: string
action!: string
old_hash!: string
new_hash!: string
source!: string
actor!: string
request_id!: string
prev_chain_hash!: string
chain_hash!: string)"},
    {"AuditChain", R"(
ok!: boolean
rows!: integer
pruned!: integer
head!: string)"},
    {"DecisionPage", R"(
decisions!: [Decision]
cursor!: string?)"},
    {"Decision", R"(
id!: string
ts!: time
kind!: string
severity!: string
subject!: string
suggestion!: string
evidence!: any
status!: proposed|accepted|rejected|applied
decided_by!: string?
decided_at!: time?)"},
    {"DecideAsk", R"(
status!: accepted|rejected|applied = "accepted")"},
    {"JobRunPage", R"(
job_runs!: [JobRun]
cursor!: string?)"},
    {"JobRun", R"(
ts!: time
job!: string
duration_ms!: integer
result!: string
detail!: string)"},
    {"AlertPage", R"(
alerts!: [Alert]
cursor!: string?)"},
    {"Alert", R"(
id!: string
ts!: time
event!: string
subject!: string
channel!: string
status!: pending|delivered|failed|suppressed
attempts!: integer
next_attempt_at!: time?
error!: string
payload!: any)"},
    {"DeadPage", R"(
outbox_dead!: [DeadRecord]
cursor!: string?)"},
    {"DeadRecord", R"(
outbox_key!: string
ts!: time
kind!: string
reason!: string
payload!: string)"},
};

constexpr http::ApiType kBodyTypes[] = {
    {"BodyPage", R"(
bodies!: [BodyRow]
cursor!: string?)"},
    {"BodyRow", R"(
request_id!: string
ts!: time
org_id!: string
user_id!: string
key_id!: string
model!: string
status!: integer
request_bytes!: integer
response_bytes!: integer)"},
    {"Bodies", R"(
request_id!: string
ts!: time
org_id!: string
user_id!: string
key_id!: string
model!: string
status!: integer
request_bytes!: integer
response_bytes!: integer
request!: string # Cut and redacted.
response!: string)"},
};

}  // namespace

std::span<const http::ApiType> LedgerApi::types() {
  return kTypes;
}

std::span<const http::ApiType> LedgerApi::body_types() {
  return kBodyTypes;
}

void LedgerApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin");
  rows.add(
      kGet, "/errors", access.viewer, kNoBody, &LedgerApi::list_errors,
      "Failed requests, newest first.",
      {.query =
           "request_id tenant provider account_id action code status from to limit cursor format",
       .answer = "ErrorPage"});
  rows.add(kGet, "/audit", access.viewer, kNoBody, &LedgerApi::list_audit,
           "Every administrative write, newest first.",
           {.query = "family key action source actor request_id from to limit cursor format",
            .answer = "AuditPage"});
  rows.add(kGet, "/audit/verify", access.viewer, kNoBody, &LedgerApi::verify_audit,
           "Walk the audit's hash chain.", {.answer = "AuditChain"});
  rows.add(kGet, "/decisions", access.viewer, kNoBody, &LedgerApi::list_decisions,
           "Proposals and what became of them.",
           {.query = "kind severity subject status from to limit cursor format",
            .answer = "DecisionPage"});
  rows.add(kGet, "/job-runs", access.viewer, kNoBody, &LedgerApi::list_job_runs,
           "Runs of scheduled jobs.",
           {.query = "job result from to limit cursor format", .answer = "JobRunPage"});
  rows.add(
      kGet, "/alerts", access.viewer, kNoBody, &LedgerApi::list_alerts, "Alerts, newest first.",
      {.query = "event subject channel status from to limit cursor format", .answer = "AlertPage"});
  rows.add(kGet, "/outbox-dead", access.viewer, kNoBody, &LedgerApi::list_outbox_dead,
           "Records that could not be kept.",
           {.query = "kind from to limit cursor format", .answer = "DeadPage"});
  rows.add(kPatch, "/decisions/{id}", access.admin, kib(16), &LedgerApi::decide_decision,
           "Accept or reject a proposal.", {.body = "DecideAsk", .answer = "Decision"});
}

void LedgerApi::add_body_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin/ai/bodies");
  rows.add(kGet, "", access.admin, kNoBody, &LedgerApi::list_bodies,
           "Requests whose bodies are kept, newest first; without the bodies.",
           {.query = "request_id org_id user_id key_id model status from to limit cursor format",
            .answer = "BodyPage"});
  rows.add(kGet, "/{request_id}", access.admin, kNoBody, &LedgerApi::show_bodies,
           "The bodies of one request, cut and redacted.", {.answer = "Bodies"});
}

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
