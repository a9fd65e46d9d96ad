// Handlers of /admin/errors, /admin/audit and their like. Any column of the table may be a filter;
// tables.h holds the list.
#include "ledger/ledger_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "db/db.h"
#include "kv/audited_kv.h"
#include "ledger/ledger_list.h"
#include "ledger/rows.h"

namespace kvcs {

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
action!: put|delete|create|update|restore|confirm|visibility|move|purge|run|link|)"
                 R"(refused|accepted|rejected|applied
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
evidence!: object # The figures that it was found by.
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
payload!: AlertPayload)"},
    {"AlertPayload", R"(
# What is sent to the channel.
id!: string
event!: string
subject!: string
message!: string
ts!: time)"},
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
  rows.add(kGet, "/errors", access.viewer, kNoBody, &LedgerApi::list_errors,
           "Failed requests, newest first.",
           {.id = "listErrors",
            .query = "request_id tenant provider account_id action code status:integer from to "
                     "limit:integer(1..1000000) cursor format",
            .answer = "ErrorPage text/csv"});
  rows.add(
      kGet, "/audit", access.viewer, kNoBody, &LedgerApi::list_audit,
      "Every administrative write, newest first. ?q= looks at family, key, action, source, actor "
      "and request_id.",
      {.id = "listAudit",
       .query =
           "q:inside family key action source actor request_id from to limit:integer(1..1000000) "
           "cursor format",
       .answer = "AuditPage text/csv"});
  rows.add(kGet, "/audit/verify", access.viewer, kNoBody, &LedgerApi::verify_audit,
           "Walk the audit's hash chain.",
           {.id = "verifyAudit", .answer = "AuditChain", .also = "409"});
  rows.add(kGet, "/decisions", access.viewer, kNoBody, &LedgerApi::list_decisions,
           "Proposals and what became of them.",
           {.id = "listDecisions",
            .query = "kind severity subject status from to limit:integer(1..1000000) cursor format",
            .answer = "DecisionPage text/csv"});
  rows.add(kGet, "/job-runs", access.viewer, kNoBody, &LedgerApi::list_job_runs,
           "Runs of scheduled jobs.",
           {.id = "listJobRuns",
            .query = "job result from to limit:integer(1..1000000) cursor format",
            .answer = "JobRunPage text/csv"});
  rows.add(kGet, "/alerts", access.viewer, kNoBody, &LedgerApi::list_alerts,
           "Alerts, newest first.",
           {.id = "listAlerts",
            .query = "event subject channel status from to limit:integer(1..1000000) cursor format",
            .answer = "AlertPage text/csv"});
  rows.add(kGet, "/outbox-dead", access.viewer, kNoBody, &LedgerApi::list_outbox_dead,
           "Records that could not be kept.",
           {.id = "listOutboxDead",
            .query = "kind from to limit:integer(1..1000000) cursor format",
            .answer = "DeadPage text/csv"});
  rows.add(kPatch, "/decisions/{id}", access.admin, kib(16), &LedgerApi::decide_decision,
           "Accept or reject a proposal.",
           {.id = "decideDecision", .body = "DecideAsk", .answer = "Decision", .also = "409"});
}

void LedgerApi::add_body_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin/ai/bodies");
  rows.add(kGet, "", access.admin, kNoBody, &LedgerApi::list_bodies,
           "Requests whose bodies are kept, newest first; without the bodies.",
           {.id = "listBodies",
            .query = "request_id org_id user_id key_id model status:integer from to "
                     "limit:integer(1..1000000) cursor format",
            .answer = "BodyPage text/csv"});
  rows.add(kGet, "/{request_id}", access.admin, kNoBody, &LedgerApi::show_bodies,
           "The bodies of one request, cut and redacted.", {.id = "getBodies", .answer = "Bodies"});
}

Result<http::Response> LedgerApi::list(http::Request& request, std::string_view table,
                                       std::string_view member) {
  return list_ledger(
      ledger_, request, table, member,
      [table](LedgerQuery& query, std::string_view name, const std::string& value) -> Status {
        if (table == "kv_audit" && name == "q") {
          query.search = KVCS_TRY(SearchText::read(value));
          return ok();
        }
        query.equals.emplace_back(name, value);
        return ok();
      });
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
                            {"actor", actor_name(request.principal)},
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
  const std::string decided_by = actor_name(request.principal);
  const int64_t now_ms = clock_.unix_ms();
  // Before the change: the two are in different stores, and none is made without a word.
  KVCS_TRY(audited_.note("decision:" + printable(id, kShownName), status,
                         admin_context(request.principal, request.request_id)));
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
