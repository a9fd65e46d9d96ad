// The settings of the tool gateway with their defaults; App's configuration holds these
// structs as they are. Values.
#pragma once
#include <cstdint>
#include <string>

#include "base/secret.h"

namespace kvcs::gateway {

struct PipelineLimits {
  // Requests per minute; negative: no limit. A tenant's record and a provider's have their own.
  int64_t token_requests_per_minute = 600;
  int64_t tenant_requests_per_minute = 3'000;
  // Of one address, for callers with a good token. Many agents behind one proxy are one address.
  int64_t ip_requests_per_minute = -1;
  uint64_t json_answer_max_bytes = 16u << 20;  // Held in memory for the envelope and for fields.
  uint64_t stream_answer_max_bytes = 1u << 30;
  bool mirror_upstream_401 = true;  // False: a provider's 401 becomes our 502.
  int64_t idempotency_kept_s = 86'400;
};

// The service that gets what agent schedules have for the day.
struct AgentWorker {
  std::string url;  // "" = none: schedules are kept, nothing is posted.
  Secret key;       // Bearer; "" = none.
};

struct GatewayConfig {
  PipelineLimits limits;
  int64_t signin_failures_per_minute = 30;  // Of one address block; negative: no limit.
  uint64_t cache_max_bytes = 64u << 20;     // Of answers of providers that allow caching.
  int refresh_parallel = 8;                 // Token endpoints asked at once.
  AgentWorker agent_worker;
  std::string catalogue_dir;  // "" = ./config/providers, or where it was installed.
};

}  // namespace kvcs::gateway
