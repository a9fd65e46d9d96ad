// Asks the probes on their threads and waits for them on the caller's: that of a request for
// /health or of the job that keeps the snapshot.
#include "ops/health.h"

#include <algorithm>

#include "ops/probe_thread.h"

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

HealthProbes::HealthProbes(const Clock& clock, int64_t answer_ms)
    : clock_(clock), answer_ms_(answer_ms) {}
HealthProbes::~HealthProbes() = default;

void HealthProbes::add(std::string name, std::function<Status()> probe) {
  for (const auto& known : probes_) KVCS_ASSERT(known->name() != name);
  probes_.push_back(std::make_unique<ProbeThread>(std::move(name), std::move(probe), clock_, 0));
}

void HealthProbes::add_writing(std::string name, std::function<Status()> probe) {
  writing_.push_back(
      std::make_unique<ProbeThread>(std::move(name), std::move(probe), clock_, kWritingEveryUs));
}

// All are asked before any is waited for, so that the waits are one.
std::vector<ProbeResult> HealthProbes::run() const {
  for (const auto& probe : probes_) probe->ask();
  for (const auto& probe : writing_) probe->ask();
  std::vector<ProbeResult> results;
  results.reserve(probes_.size());
  for (const auto& probe : probes_) {
    const ProbeThread::Answer answer = probe->await(answer_ms_);
    const Status& status = answer.status;
    results.push_back(
        {probe->name(), health_of(status.code()), status.message(), answer.latency_us});
  }
  for (const auto& probe : writing_) {
    const ProbeThread::Answer answer = probe->await(answer_ms_);
    if (answer.status.ok()) continue;
    const ProbeResult failed{probe->name(), Health::kDegraded, answer.status.message(),
                             answer.latency_us};
    const auto same = std::find_if(results.begin(), results.end(), [&](const ProbeResult& other) {
      return other.name == probe->name();
    });
    if (same == results.end()) {
      results.push_back(failed);
    } else if (same->health == Health::kUp) {
      *same = failed;
    }
  }
  return results;
}

Health HealthProbes::worst(const std::vector<ProbeResult>& results) {
  Health worst = Health::kUp;
  for (const auto& result : results) worst = std::max(worst, result.health);
  return worst;
}

}  // namespace kvcs
