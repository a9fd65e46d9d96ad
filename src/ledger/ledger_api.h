// The admin API over the ledger: lists with filters, cursors and CSV export (ledger_list.h); the
// audit chain; the state of decisions. Every list takes its columns as filters
// (tenant=acme&code=TOKEN_EXPIRED). Stateless; thread-safe.
#pragma once
#include <string_view>

#include "base/clock.h"
#include "http/route_rows.h"
#include "ledger/ledger.h"

namespace kvcs {

class AuditedKv;

class LedgerApi final {
 public:
  // Both outlive the API and the responses that it makes.
  LedgerApi(Ledger& ledger, AuditedKv& audited, const Clock& clock)
      : ledger_(ledger), audited_(audited), clock_(clock) {}

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // The same for the bodies of AI requests, whose rows stand among those of the AI gateway.
  void add_body_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> body_types();

  Result<http::Response> list_errors(http::Request& request);     // GET /admin/errors
  Result<http::Response> list_audit(http::Request& request);      // GET /admin/audit
  Result<http::Response> list_decisions(http::Request& request);  // GET /admin/decisions
  Result<http::Response> list_job_runs(http::Request& request);   // GET /admin/job-runs
  Result<http::Response> list_alerts(http::Request& request);     // GET /admin/alerts
  // Outbox records that could not be moved, with the reason. GET /admin/outbox-dead
  Result<http::Response> list_outbox_dead(http::Request& request);

  Result<http::Response> list_bodies(http::Request& request);  // GET /admin/ai/bodies
  // GET /admin/ai/bodies/{request_id}: the row with `request` and `response`. NotFound. The
  // log names the reader.
  Result<http::Response> show_bodies(http::Request& request);

  // GET /admin/audit/verify: {"ok":true,"rows","pruned","head"}. Conflict with reason
  // "audit_chain_broken" that names the first row which does not fit.
  Result<http::Response> verify_audit(http::Request& request);
  // PATCH /admin/decisions/{id} {"status":"accepted"|"rejected"|"applied"} → the decision.
  // NotFound; Conflict when its state does not allow it.
  Result<http::Response> decide_decision(http::Request& request);

 private:
  Result<http::Response> list(http::Request& request, std::string_view table,
                              std::string_view member);

  Ledger& ledger_;
  AuditedKv& audited_;
  const Clock& clock_;
};

}  // namespace kvcs
