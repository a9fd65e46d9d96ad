// What is inside the bytes of an artifact, in figures: geometry, scheme, and of each layer's keys
// and values range, mean and the like, as `kvcs inspect --stats` shows them. Large files are
// sampled, and the report says how much was read. One thread reads, one report at a time for an
// organization; requests wait for it parked, several for one report where they ask for the same
// bytes. Reports are kept by digest, as bytes under a digest never change, the last used ones
// within a bound. Thread-safe.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "artifacts/artifacts.h"
#include "base/json.h"

namespace kvcs {

struct InspectLimits {
  uint64_t values_max = 16 << 20;  // Read for one report; some 32 MiB of F16.
  int64_t time_max_ms = 10'000;    // What was read until then is what is told.
  size_t waiting_max = 16;         // Reports that wait for the thread.
  size_t requests_max = 64;        // Requests that wait for one report.
};

class ArtifactInspector final {
 public:
  using Report = std::shared_ptr<const Json>;
  explicit ArtifactInspector(InspectLimits limits = {});
  ~ArtifactInspector();
  ArtifactInspector(const ArtifactInspector&) = delete;
  ArtifactInspector& operator=(const ArtifactInspector&) = delete;

  // Invalid with reason not_inspectable: the bytes are no .kv file, or a damaged one; the message
  // says why. RateLimited with reason inspect_running: the organization has another one
  // under way, or too many wait for this one. Unavailable with reason inspect_busy: too many
  // reports wait.
  Result<Report> inspect(const Artifact& artifact, std::shared_ptr<const BlobReader> reader);

 private:
  struct Job;
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
