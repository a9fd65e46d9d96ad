// Looks at the probes and at the free disk of the data directory; writes one key and no other
// state. The job's thread keeps snapshots, workers of the HTTP server ask for warnings.
#include "ops/system_health.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/disk_probe.h"
#include "base/json.h"
#include "kv/keyspace.h"

namespace kvcs {

SystemHealth::SystemHealth(const HealthProbes& probes, KvStore& kv, const Clock& clock,
                           std::string directory, uint64_t free_reserve_bytes,
                           DiskIsLow disk_is_low)
    : probes_(probes),
      kv_(kv),
      clock_(clock),
      directory_(std::move(directory)),
      free_reserve_bytes_(free_reserve_bytes),
      disk_is_low_(std::move(disk_is_low)) {}

// Nothing when the file system does not say.
std::optional<uint64_t> SystemHealth::disk_free_bytes() const {
  const Result<uint64_t> free = free_disk_bytes(directory_);
  return free.ok() ? std::optional(*free) : std::nullopt;
}

Result<std::string> SystemHealth::keep_snapshot() {
  const std::vector<ProbeResult> results = probes_.run();
  Json services = Json::object();
  for (const ProbeResult& result : results) services[result.name] = health_name(result.health);
  const std::optional<uint64_t> free_bytes = disk_free_bytes();
  if (free_bytes && *free_bytes < 2 * free_reserve_bytes_) disk_is_low_(format_bytes(*free_bytes));
  const std::string json = dump_json(Json{{"checked_at", format_iso8601_s(clock_.unix_ms())},
                                          {"status", health_name(HealthProbes::worst(results))},
                                          {"services", std::move(services)},
                                          {"disk_free_bytes", free_bytes.value_or(0)}});
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kHealth), json);
  KVCS_TRY(kv_.write(batch, KvDurability::kBuffered));
  return json;
}

std::vector<std::string> SystemHealth::warnings() const {
  const std::optional<uint64_t> free_bytes = disk_free_bytes();
  if (!free_bytes || *free_bytes >= free_reserve_bytes_) return {};
  return {"Uploads are refused, as only " + format_bytes(*free_bytes) + " of disk are free."};
}

}  // namespace kvcs
