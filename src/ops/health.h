// Named probes and what they say together. Probes read, never write a shared key. Thread-safe once
// every probe is added.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs {

enum class Health : uint8_t { kUp, kDegraded, kDown };
std::string_view health_name(Health health);  // "up", "degraded", "down"

struct ProbeResult {
  std::string name;
  Health health = Health::kUp;
  std::string message;  // Why it is not up; fit for the caller.
  int64_t latency_us = 0;
};

class HealthProbes final {
 public:
  explicit HealthProbes(const Clock& clock) : clock_(clock) {}
  // `probe` must be quick (no network). Ok = up; Unavailable, Timeout and Internal = down; else
  // degraded. A name is used once. Before threads start.
  void add(std::string name, std::function<Status()> probe);
  std::vector<ProbeResult> run() const;  // In the order they were added.
  static Health worst(const std::vector<ProbeResult>& results);

 private:
  const Clock& clock_;
  std::vector<std::pair<std::string, std::function<Status()>>> probes_;
};

}  // namespace kvcs
