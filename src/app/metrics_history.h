// The last half hour and the last day at a glance: what the daemon did in each step of 10 s, and of
// 5 min. In memory alone, a few MiB where many providers are asked all the time and some 100 KiB
// where there is little to do; gone with the process.
//
// A thread reads the counters at the end of each step and keeps by how much they have grown. A step
// in which the daemon did not run, or that no look ended in time, is a gap. A clock that is set
// makes a gap, too. Thread-safe.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "app/request_metrics.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "http/route_rows.h"
#include "ops/provider_counts.h"

namespace kvcs {

// What has been counted since the start, and how things are at the moment.
struct MetricTotals {
  std::array<PlaneTotals, kPlanes> planes;
  int64_t input_tokens = 0, output_tokens = 0, cost_nano_usd = 0;
  std::vector<ProviderCount> ai_providers, gateway_providers;
  int64_t connections = 0;
  std::optional<int64_t> storage_bytes;  // Nothing: it could not be read.
};

class MetricsHistory final {
 public:
  // `read` is called on the thread of this object; what it reads lives until stop().
  MetricsHistory(std::function<MetricTotals()> read, const Clock& clock);
  ~MetricsHistory();  // stop()
  void start();
  void stop();
  // One look. The thread does this at the end of each step.
  void look();

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();
  // GET /admin/metrics/history?range=30m|24h: columns, each with a value for each of `times`, null
  // in a gap.
  Result<http::Response> show(http::Request& request);
  // GET /admin/metrics/summary?range=30m|24h: the same time in one: requests and times of each
  // part, and how each provider answered.
  Result<http::Response> summarize(http::Request& request);

 private:
  struct Step;
  struct Ring;
  const Ring* find_ring(std::string_view name) const KVCS_REQUIRES(mutex_);
  void run();

  const std::function<MetricTotals()> read_;
  const Clock& clock_;
  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ KVCS_GUARDED_BY(mutex_) = false;
  std::vector<Ring> rings_ KVCS_GUARDED_BY(mutex_);
  std::unique_ptr<Thread> thread_;
};

}  // namespace kvcs
