// Answers monitors and the status page. Handlers run on workers of the HTTP server and ask the
// probes at each request: nothing here is kept.
#include "app/status_api.h"

#include <nlohmann/json.hpp>

#include "base/build_info.h"
#include "base/json.h"
#include "ops/metrics_page.h"

namespace kvcs {
namespace {

// A cache between a monitor and the daemon must not answer for it.
http::Response uncached(int status, const Json& body) {
  http::Response response = http::json_response(status, dump_json(body));
  response.set("cache-control", "no-store");
  return response;
}

}  // namespace

StatusApi::StatusApi(const HealthProbes& probes, Heartbeats& heartbeats, const Metrics& metrics,
                     const Clock& clock, std::function<TokenCounts()> tokens,
                     std::function<std::string()> mode,
                     std::function<std::vector<std::string>()> warnings)
    : probes_(probes),
      heartbeats_(heartbeats),
      metrics_(metrics),
      clock_(clock),
      tokens_(std::move(tokens)),
      mode_(std::move(mode)),
      warnings_(std::move(warnings)),
      started_us_(clock.mono_us()) {}

namespace {

constexpr http::ApiType kTypes[] = {
    {"Health", R"(
status!: healthy|degraded|unhealthy
services!: {string} # Each service: up, degraded or down.
stuck!: [string] # Threads at one piece of work for longer than ops.stuck_after_s.
tokens!: TokenCounts
providers!: integer # That the tool gateway knows.
version!: string
uptime_s!: integer
mode!: active|frozen
checked_at!: time)"},
    {"TokenCounts", R"(
total!: integer
expiring_soon!: integer # Within 15 minutes, and nothing renews them in time.
expired!: integer)"},
    {"Status", R"(
version!: string
commit!: string
status!: healthy|degraded|unhealthy
uptime_s!: integer
mode!: active|frozen)"},
    {"AdminHealth", R"(
status!: healthy|unhealthy
timestamp!: time
checks!: [HealthCheck]
stuck!: [string] # Threads at one piece of work for longer than ops.stuck_after_s.
warnings!: [string] # Why /health says degraded while all services are up.
error: string)"},
    {"HealthCheck", R"(
name!: string
health!: string
message!: string
latency_us!: integer)"},
};

}  // namespace

std::span<const http::ApiType> StatusApi::types() {
  return kTypes;
}

void StatusApi::add_routes(std::vector<http::Row>& table) {
  using enum http::Method;
  using http::everyone;
  using http::kNoBody;
  http::Rows rows(table, *this);
  const size_t first = table.size();
  constexpr size_t kProbes = 3;
  rows.add(kGet, "/health", everyone(), kNoBody, &StatusApi::health,
           "Services, tokens, mode, version.", {.id = "getHealth", .answer = "Health"});
  rows.add(kGet, "/livez", everyone(), kNoBody, &StatusApi::livez, "200 while the process serves.",
           {.id = "getLiveness", .answer = "text/plain"});
  rows.add(kGet, "/readyz", everyone(), kNoBody, &StatusApi::readyz,
           "200 once started; 503 when stopping, or when a thread is stuck.",
           {.id = "getReadiness", .answer = "text/plain"});
  rows.add(kGet, "/metrics", everyone(), kNoBody, &StatusApi::metrics,
           "Prometheus text format 0.0.4; of organizations the sum.",
           {.id = "getMetrics", .answer = "text/plain"});
  rows.add(kGet, "/api/v1/status", everyone(), kNoBody, &StatusApi::status,
           "Version and health in short.", {.id = "getStatus", .answer = "Status"});
  for (size_t i = first; i < table.size(); i++) {
    table[i].access_log = false;
    table[i].is_probe = i < first + kProbes;
  }
}

void StatusApi::add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  using http::kNoBody;
  http::Rows rows(table, *this, "/admin");
  rows.add(kGet, "/health", access.billing, kNoBody, &StatusApi::admin_health,
           "Each check with its message.", {.id = "getAdminHealth", .answer = "AdminHealth"});
  rows.add(kGet, "/metrics", access.viewer, kNoBody, &StatusApi::all_metrics,
           "As /metrics, with the organizations' names.",
           {.id = "getAdminMetrics", .answer = "text/plain"});
}

StatusApi::State StatusApi::state() const {
  State state{heartbeats_.look(), {}, Health::kUp};
  state.services = probes_.run();
  state.worst = state.stuck.empty() ? HealthProbes::worst(state.services) : Health::kDown;
  return state;
}

// A warning makes "degraded" and never "unhealthy": the daemon serves, and restarting it mends
// nothing.
std::string_view StatusApi::overall(Health worst) const {
  if (worst == Health::kDown) return "unhealthy";
  return worst == Health::kUp && warnings_().empty() ? "healthy" : "degraded";
}

Result<http::Response> StatusApi::health(http::Request&) {
  const State now = state();
  const TokenCounts tokens = tokens_();
  Json services = Json::object();
  for (const ProbeResult& one : now.services) services[one.name] = health_name(one.health);
  return uncached(now.worst == Health::kDown ? 503 : 200,
                  Json{{"status", overall(now.worst)},
                       {"services", services},
                       {"tokens",
                        {{"total", tokens.total},
                         {"expiring_soon", tokens.expiring_soon},
                         {"expired", tokens.expired}}},
                       {"providers", tokens.providers},
                       {"version", version()},
                       {"uptime_s", (clock_.mono_us() - started_us_) / 1'000'000},
                       {"mode", mode_()},
                       {"checked_at", format_iso8601_ms(clock_.unix_ms())},
                       {"stuck", now.stuck}});
}

Result<http::Response> StatusApi::admin_health(http::Request&) {
  const State now = state();
  Json body{{"status", now.worst == Health::kDown ? "unhealthy" : "healthy"}};
  if (!now.stuck.empty()) body["error"] = "stuck: " + now.stuck.front();
  Json checks = Json::array();
  for (const ProbeResult& result : now.services) {
    // The first service that is down is named for those who read one line.
    if (result.health == Health::kDown && !body.contains("error")) {
      body["error"] = result.name + ": " + result.message;
    }
    checks.push_back(Json{{"name", result.name},
                          {"health", health_name(result.health)},
                          {"message", result.message},
                          {"latency_us", result.latency_us}});
  }
  body["timestamp"] = format_iso8601_ms(clock_.unix_ms());
  body["checks"] = checks;
  body["stuck"] = now.stuck;
  body["warnings"] = warnings_();
  return uncached(now.worst == Health::kDown ? 503 : 200, body);
}

// Says only that requests are served; a supervisor may restart a daemon that does not answer.
Result<http::Response> StatusApi::livez(http::Request&) {
  return http::text_response(200, "ok\n");
}

// A load balancer asks this one: 503 before everything is started, from the moment of stopping, and
// while a thread is stuck, as the watchdog then restarts the daemon soon.
Result<http::Response> StatusApi::readyz(http::Request&) {
  if (!ready_) return http::text_response(503, "not ready\n");
  if (const auto stuck = heartbeats_.look(); !stuck.empty()) {
    return http::text_response(503, "stuck: " + stuck.front() + "\n");
  }
  return http::text_response(200, "ok\n");
}

// Whoever reaches the port may ask, and customers' names and spending are not for everybody.
Result<http::Response> StatusApi::metrics(http::Request&) {
  return http::text_response(200, without_label(metrics_.print(), "organization"),
                             Metrics::kContentType);
}

Result<http::Response> StatusApi::all_metrics(http::Request&) {
  return http::text_response(200, metrics_.print(), Metrics::kContentType);
}

Result<http::Response> StatusApi::status(http::Request&) {
  const Health worst = state().worst;
  return uncached(200, Json{{"version", version()},
                            {"commit", commit()},
                            {"status", overall(worst)},
                            {"uptime_s", (clock_.mono_us() - started_us_) / 1'000'000},
                            {"mode", mode_()}});
}

}  // namespace kvcs
