// The configuration as it holds, over the admin API: each setting with where its value comes from.
// Secrets are never in an answer. Thread-safe.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/mutex.h"
#include "http/route_rows.h"

namespace kvcs {

class ConfigApi final {
 public:
  // `config` is what the daemon was started with; it does not change, and outlives this.
  explicit ConfigApi(const Config& config) : config_(config) {}

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();

  // Of what a reload has changed; all else that it read holds after the next start.
  void note_log_level(const Config& fresh);

  // GET /admin/config: {"config": [{"name", "value", "source", "help"}]}, in the order of
  // kvcs.yaml.example.
  Result<http::Response> show(http::Request& request);

 private:
  const Config& config_;
  Mutex mutex_;
  std::string log_level_ KVCS_GUARDED_BY(mutex_);  // "" = none was read since the start.
  ConfigSource log_level_source_ KVCS_GUARDED_BY(mutex_) = ConfigSource::kDefault;
};

}  // namespace kvcs
