// Named probes and what they say together. Thread-safe once every probe is added.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
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
  // A probe that writes and reads back what it wrote. It runs at most once in kWritingEveryUs, and
  // others meanwhile get what it said last. A failure is "degraded": reads go on, and a restart
  // mends nothing. It is told under `name`, beside what a probe of that name in add() says, and
  // only then: while all is well, nobody hears of it.
  static constexpr int64_t kWritingEveryUs = 5'000'000;
  void add_writing(std::string name, std::function<Status()> probe);
  // In the order they were added. kNo: of the probes that write, what they said last; for when a
  // writer is known to be stuck, so that nobody else waits for it.
  enum class MayWrite : uint8_t { kNo, kYes };
  std::vector<ProbeResult> run(MayWrite may_write = MayWrite::kYes) const;
  static Health worst(const std::vector<ProbeResult>& results);

 private:
  struct Writing {
    std::string name;
    std::function<Status()> probe;
    Mutex running;  // Held over the probe.
    Mutex mutex;
    Status last KVCS_GUARDED_BY(mutex);
    std::optional<int64_t> ran_us KVCS_GUARDED_BY(mutex);
  };
  Status run_writing(Writing& one, MayWrite may_write) const;

  const Clock& clock_;
  std::vector<std::pair<std::string, std::function<Status()>>> probes_;
  std::vector<std::unique_ptr<Writing>> writing_;
};

}  // namespace kvcs
