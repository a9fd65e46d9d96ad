// Health, readiness, metrics and version as HTTP: what monitors and the status page read. Reads
// only. Thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/route_rows.h"
#include "ops/health.h"
#include "ops/heartbeats.h"
#include "ops/metrics.h"

namespace kvcs {

// Counts of the credentials that the tool gateway keeps; zeros until it has any.
struct TokenCounts {
  int64_t total = 0, expiring_soon = 0, expired = 0;
  int64_t providers = 0;
};

class StatusApi final {
 public:
  // `warnings`: what needs a person, a sentence each, while every service is up. `heartbeats` are
  // looked at by each handler that says how the daemon is.
  StatusApi(const HealthProbes& probes, Heartbeats& heartbeats, const Metrics& metrics,
            const Clock& clock, std::function<TokenCounts()> tokens,
            std::function<std::string()> mode, std::function<std::vector<std::string>()> warnings);

  // The rows of these handlers, which are not in the access log when everyone may ask, and the
  // types that they answer.
  void add_routes(std::vector<http::Row>& table);
  void add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // 200, or 503 when a service is down or a thread stuck. With warnings the status is "degraded".
  Result<http::Response> health(http::Request& request);        // GET /health
  Result<http::Response> admin_health(http::Request& request);  // GET /admin/health
  Result<http::Response> livez(http::Request& request);         // GET /livez
  Result<http::Response> readyz(http::Request& request);        // GET /readyz
  // GET /metrics of the main listener: what organizations do there is one sum.
  Result<http::Response> metrics(http::Request& request);
  Result<http::Response> all_metrics(http::Request& request);  // GET /admin/metrics; of ops.listen
  Result<http::Response> status(http::Request& request);       // GET /api/v1/status

  void set_ready(bool ready) { ready_ = ready; }

 private:
  struct State {
    std::vector<std::string> stuck;
    std::vector<ProbeResult> services;
    Health worst;  // Down when a thread is stuck.
  };
  State state() const;
  std::string_view overall(Health worst) const;

  const HealthProbes& probes_;
  Heartbeats& heartbeats_;
  const Metrics& metrics_;
  const Clock& clock_;
  const std::function<TokenCounts()> tokens_;
  const std::function<std::string()> mode_;
  const std::function<std::vector<std::string>()> warnings_;
  const int64_t started_us_;
  std::atomic<bool> ready_{false};
};

}  // namespace kvcs
