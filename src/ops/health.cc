// Runs the probes one after the other on the caller's thread: that of a request for /health or
// /readyz, or of the job that keeps the snapshot.
#include "ops/health.h"

#include <algorithm>

namespace kvcs {

namespace {

// A store that does not answer is down. Any other failure (a limit that was reached, a setting that
// is wrong) leaves the daemon working in part.
Health health_of(Code code) {
  switch (code) {
    case Code::kOk:
      return Health::kUp;
    case Code::kUnavailable:
    case Code::kTimeout:
    case Code::kInternal:
      return Health::kDown;
    default:
      return Health::kDegraded;
  }
}

}  // namespace

std::string_view health_name(Health health) {
  switch (health) {
    case Health::kUp:
      return "up";
    case Health::kDegraded:
      return "degraded";
    case Health::kDown:
      break;
  }
  return "down";
}

void HealthProbes::add(std::string name, std::function<Status()> probe) {
  for (const auto& [known, unused] : probes_) KVCS_ASSERT(known != name);
  probes_.emplace_back(std::move(name), std::move(probe));
}

std::vector<ProbeResult> HealthProbes::run(MayWrite may_write) const {
  std::vector<ProbeResult> results;
  results.reserve(probes_.size());
  for (const auto& [name, probe] : probes_) {
    const int64_t begin_us = clock_.mono_us();
    const Status status = probe();
    const int64_t latency_us = clock_.mono_us() - begin_us;
    results.push_back({name, health_of(status.code()), status.message(), latency_us});
  }
  for (const auto& one : writing_) {
    const int64_t begin_us = clock_.mono_us();
    const Status status = run_writing(*one, may_write);
    if (status.ok()) continue;
    const ProbeResult failed{one->name, Health::kDegraded, status.message(),
                             clock_.mono_us() - begin_us};
    const auto same = std::find_if(results.begin(), results.end(), [&](const ProbeResult& other) {
      return other.name == one->name;
    });
    if (same == results.end()) {
      results.push_back(failed);
    } else if (same->health == Health::kUp) {
      *same = failed;
    }
  }
  return results;
}

void HealthProbes::add_writing(std::string name, std::function<Status()> probe) {
  auto one = std::make_unique<Writing>();
  one->name = std::move(name);
  one->probe = std::move(probe);
  writing_.push_back(std::move(one));
}

// A disk that hangs holds the one who probes it, and nobody else.
Status HealthProbes::run_writing(Writing& one, MayWrite may_write) const {
  const auto last = [&] {
    MutexLock lock(one.mutex);
    return one.last;
  };
  {
    MutexLock lock(one.mutex);
    if (one.ran_us && clock_.mono_us() - *one.ran_us < kWritingEveryUs) return one.last;
  }
  if (may_write == MayWrite::kNo || !one.running.try_lock()) return last();
  Status said = one.probe();
  {
    MutexLock lock(one.mutex);
    one.last = said;
    one.ran_us = clock_.mono_us();
  }
  one.running.unlock();
  return said;
}

Health HealthProbes::worst(const std::vector<ProbeResult>& results) {
  Health worst = Health::kUp;
  for (const auto& result : results) worst = std::max(worst, result.health);
  return worst;
}

}  // namespace kvcs
