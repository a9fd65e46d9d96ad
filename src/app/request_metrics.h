// Requests by route and status, and how long they took. One block of instruments per route, made at
// start-up; updating takes no lock. Thread-safe.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include "http/serve/server_config.h"
#include "ops/metrics.h"

namespace kvcs {

class RequestMetrics final {
 public:
  // `routes` (of the router) and `metrics` outlive it.
  RequestMetrics(const std::vector<http::Route>& routes, Metrics& metrics);
  void record(const http::RequestRecord& record);

 private:
  static constexpr int kStatusMin = 100, kStatusMax = 599;
  // The instruments of one row. A counter is made when its status first occurs, since most never
  // do; the array then leads to it without a look-up.
  struct PerRoute {
    std::string labels;
    LatencyHistogram* latency = nullptr;
    std::array<std::atomic<Counter*>, kStatusMax - kStatusMin + 1> by_status{};
  };
  std::unique_ptr<PerRoute> make(const std::string& labels);

  Metrics& metrics_;
  std::unordered_map<const http::Route*, std::unique_ptr<PerRoute>> routes_;
  std::unique_ptr<PerRoute> unmatched_;
  Counter& received_bytes_;
  Counter& sent_bytes_;
};

}  // namespace kvcs
