// Counts finished requests. record() runs on the worker that has sent the last byte, so it takes no
// lock but for the first request of a route with a status that it never had.
#include "app/request_metrics.h"

#include <algorithm>
#include <string>

namespace kvcs {
namespace {

constexpr size_t kGatewayPlane = 2;  // And the one after it: the planes of calls.

size_t plane_of(const http::Route* route) {
  using enum http::Dialect;
  if (route == nullptr || route->dialect == kPortal) return 0;
  return route->dialect == kAdmin ? 1 : route->dialect == kGateway ? kGatewayPlane : 3;
}

// What an installation is not configured to do, it says by design (501): it has not failed.
bool is_failure(int status) {
  return status >= 500 && status != 501;
}

}  // namespace

std::string_view plane_name(size_t plane) {
  static constexpr std::string_view kNames[kPlanes] = {"portal", "admin", "gateway", "ai"};
  return kNames[plane];
}

// A model may take minutes for an answer.
RequestMetrics::RequestMetrics(const std::vector<http::Route>& routes, Metrics& metrics)
    : metrics_(metrics),
      planes_{PlaneCounts{}, PlaneCounts{}, PlaneCounts{},
              PlaneCounts{{}, {}, {}, LatencyHistogram(LatencyHistogram::kModelBoundsUs)}},
      received_bytes_(metrics.counter("kvcs_http_received_bytes_total", "Request body bytes.")),
      sent_bytes_(metrics.counter("kvcs_http_sent_bytes_total", "Response body bytes.")) {
  for (const http::Route& route : routes) {
    const std::string name = std::string(http::method_name(route.method)) + " " + route.pattern;
    routes_.emplace(&route, make("route=\"" + Metrics::escape_label(name) + "\""));
  }
  // Requests that no row matches share one block: their paths come from outside and have no end.
  unmatched_ = make("route=\"none\"");
}

std::unique_ptr<RequestMetrics::PerRoute> RequestMetrics::make(const std::string& labels) {
  auto block = std::make_unique<PerRoute>();
  block->labels = labels;
  block->latency = &metrics_.histogram("kvcs_http_request_duration_seconds",
                                       "From the whole head to the last byte sent.", labels);
  return block;
}

PlaneTotals RequestMetrics::plane(size_t plane) const {
  const PlaneCounts& counts = planes_[plane];
  return {counts.requests.value(), counts.refused.value(), counts.errors.value(),
          counts.latency.snapshot(), counts.latency.bounds_us()};
}

// What is not in the access log is asked by monitors and pages again and again. Models and tools
// are called by POST; the other requests of their planes are looks at lists and at usage.
void RequestMetrics::count_plane(const http::RequestRecord& record) {
  if (record.route != nullptr && !record.route->access_log) return;
  const size_t plane = plane_of(record.route);
  if (plane >= kGatewayPlane && record.route->method != http::Method::kPost) return;
  PlaneCounts& counts = planes_[plane];
  counts.requests.add();
  if (is_failure(record.status)) {
    counts.errors.add();
  } else if (record.status >= 400) {
    counts.refused.add();
  }
  counts.latency.record_us(record.duration_us);
}

void RequestMetrics::record(const http::RequestRecord& record) {
  const auto it = routes_.find(record.route);
  PerRoute& block = it == routes_.end() ? *unmatched_ : *it->second;
  // An index into the array below, whatever a handler has answered.
  const int status = std::clamp(record.status, kStatusMin, kStatusMax);
  std::atomic<Counter*>& slot = block.by_status[static_cast<size_t>(status - kStatusMin)];
  Counter* counter = slot.load(std::memory_order_acquire);
  if (counter == nullptr) {
    // Two threads may both get here; Metrics gives them the same counter.
    counter = &metrics_.counter("kvcs_http_requests_total", "Requests by route and status.",
                                block.labels + ",status=\"" + std::to_string(status) + "\"");
    slot.store(counter, std::memory_order_release);
  }
  counter->add();
  block.latency->record_us(record.duration_us);
  count_plane(record);
  received_bytes_.add(static_cast<int64_t>(record.received_bytes));
  sent_bytes_.add(static_cast<int64_t>(record.sent_bytes));
}

}  // namespace kvcs
