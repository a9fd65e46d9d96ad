// When a tenant's agents are to run, `agent_job_schedule:{tenant}`: an array of
//   {"name", "agent_type", "message", "enabled"?, "cadence", "callback_url"?}
// with cadence daily, weekly_monday or weekly_friday. Once a day what is enabled and falls on the
// day is posted to the agent worker, a service of its own (gateway.agent_worker_url), as
//   {"tenant", "name", "agent_type", "message", "callback_url"?}
// with an Idempotency-Key of day, tenant and name. What it does not take is a row of the error
// ledger with action hermes_scheduled_job. Stateless; thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/gateway_config.h"
#include "http/client/upstream.h"
#include "http/route_rows.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"
#include "ledger/ledger.h"

namespace kvcs::gateway {

inline constexpr size_t kScheduleEntriesMax = 100;

class AgentSchedules final {
 public:
  // All outlive it.
  AgentSchedules(KvStore& kv, AuditedKv& audited, const Tenants& tenants,
                 http::HttpUpstream& upstream, AgentWorker worker, const Clock& clock,
                 std::function<void(ErrorRecord)> record_error);

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // GET /admin/agent-schedules/{tenant}: the array; empty when none was put. NotFound: no tenant.
  Result<http::Response> get(http::Request& request);
  // PUT: the array replaces the whole schedule. Invalid names the entry and its member.
  Result<http::Response> put(http::Request& request);
  // Posts what falls on the clock's day. Upstream when the worker did not take all of it.
  Result<std::string> run(const std::function<bool()>& cancelled);

 private:
  struct Entry;
  Result<std::vector<Entry>> parse(const Json& list) const;
  Status post(const std::string& tenant, const Entry& entry) const;
  void note_failure(const std::string& tenant, const std::string& name, const Status& why) const;

  KvStore& kv_;
  AuditedKv& audited_;
  const Tenants& tenants_;
  http::HttpUpstream& upstream_;
  const AgentWorker worker_;
  const Clock& clock_;
  const std::function<void(ErrorRecord)> record_error_;
};

}  // namespace kvcs::gateway
