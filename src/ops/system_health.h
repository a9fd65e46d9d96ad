// The daemon's own state as a record and as words: the snapshot `system:health`, which a job keeps
// for people who look later, and the sentences that make /health say "degraded" while every service
// is up. Owned by App; thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "kv/kv.h"
#include "ops/health.h"

namespace kvcs {

class SystemHealth final {
 public:
  // Told when the disk has less than twice the reserve left; `free_text` is what is free. Uploads
  // are refused below the reserve, and a person should know before that.
  using DiskIsLow = std::function<void(const std::string& free_text)>;
  // `directory` is on the disk that is watched. All references outlive it.
  SystemHealth(const HealthProbes& probes, KvStore& kv, const Clock& clock, std::string directory,
               uint64_t free_reserve_bytes, DiskIsLow disk_is_low);

  // Runs the probes and keeps what they say; returns the snapshot as JSON.
  Result<std::string> keep_snapshot();
  // A sentence each; empty when the disk is wide enough or its file system does not say.
  std::vector<std::string> warnings() const;

 private:
  std::optional<uint64_t> disk_free_bytes() const;

  const HealthProbes& probes_;
  KvStore& kv_;
  const Clock& clock_;
  const std::string directory_;
  const uint64_t free_reserve_bytes_;
  const DiskIsLow disk_is_low_;
};

}  // namespace kvcs
