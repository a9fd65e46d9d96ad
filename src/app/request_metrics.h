// Requests by route and status, and how long they took; and the sums of each plane. One block of
// instruments per route, made at start-up; updating takes no lock. Thread-safe.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/serve/server_config.h"
#include "ops/metrics.h"

namespace kvcs {

// The parts of the API, by who calls: people and their artifacts, operators, agents, AI clients.
inline constexpr size_t kPlanes = 4;
std::string_view plane_name(size_t plane);  // "portal", "admin", "gateway", "ai"

// Since the start, without the requests of monitors; of the planes "gateway" and "ai" the calls.
struct PlaneTotals {
  int64_t requests = 0, refused = 0, errors = 0;  // Refused: 400 to 499, 501; errors: the rest.
  LatencyHistogram::Snapshot latency;
  std::span<const int64_t> bounds_us;  // Of the latency's buckets; constants.
};

class RequestMetrics final {
 public:
  // `routes` (of the router) and `metrics` outlive it.
  RequestMetrics(const std::vector<http::Route>& routes, Metrics& metrics);
  void record(const http::RequestRecord& record);
  PlaneTotals plane(size_t plane) const;

 private:
  struct PlaneCounts {
    Counter requests, refused, errors;
    LatencyHistogram latency{LatencyHistogram::kBoundsUs};
  };
  static constexpr int kStatusMin = 100, kStatusMax = 599;
  // The instruments of one row. A counter is made when its status first occurs, since most never
  // do; the array then leads to it without a look-up.
  struct PerRoute {
    std::string labels;
    LatencyHistogram* latency = nullptr;
    std::array<std::atomic<Counter*>, kStatusMax - kStatusMin + 1> by_status{};
  };
  std::unique_ptr<PerRoute> make(const std::string& labels);
  void count_plane(const http::RequestRecord& record);

  Metrics& metrics_;
  std::array<PlaneCounts, kPlanes> planes_;
  std::unordered_map<const http::Route*, std::unique_ptr<PerRoute>> routes_;
  std::unique_ptr<PerRoute> unmatched_;
  Counter& received_bytes_;
  Counter& sent_bytes_;
};

}  // namespace kvcs
