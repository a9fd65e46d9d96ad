// Named probes and what they say together. Thread-safe once every probe is added.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace kvcs {

class ProbeThread;

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
  // How long run() waits for a probe.
  static constexpr int64_t kAnswerMs = 2000;
  explicit HealthProbes(const Clock& clock, int64_t answer_ms = kAnswerMs);
  ~HealthProbes();  // Waits for probes that run.
  // `probe` must be quick (no network). Ok = up; Unavailable, Timeout and Internal = down; else
  // degraded. One that does not answer in time is down. A name is used once. Before threads start.
  void add(std::string name, std::function<Status()> probe);
  // A probe that writes and reads back what it wrote. It runs at most once in kWritingEveryUs, and
  // others meanwhile get what it said last. A failure is "degraded", no answer too: reads go on,
  // and a restart mends nothing. It is told under `name`, beside what a probe of that name in add()
  // says, and only then: while all is well, nobody hears of it.
  static constexpr int64_t kWritingEveryUs = 5'000'000;
  void add_writing(std::string name, std::function<Status()> probe);
  // In the order they were added. Takes kAnswerMs at most, whatever hangs.
  std::vector<ProbeResult> run() const;
  static Health worst(const std::vector<ProbeResult>& results);

 private:
  const Clock& clock_;
  const int64_t answer_ms_;
  std::vector<std::unique_ptr<ProbeThread>> probes_, writing_;
};

}  // namespace kvcs
