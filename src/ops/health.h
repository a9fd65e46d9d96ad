// Named probes and what they say together. Probes read, never write a shared key. Thread-safe.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs {

enum class Health { kUp, kDegraded, kDown };

struct ProbeResult {
  std::string name;
  Health health;
  std::string message;
};

class HealthProbes final {
 public:
  // `probe` must be quick (no network). Ok = up; Unavailable and Internal = down; else degraded.
  void add(std::string name, std::function<Status()> probe);  // Before threads start.
  std::vector<ProbeResult> run() const;

 private:
  std::vector<std::pair<std::string, std::function<Status()>>> probes_;
};

}  // namespace kvcs
