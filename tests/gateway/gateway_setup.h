// The gateway's pipeline over the memory store and a scripted upstream, as App stacks its parts,
// with the tenant "ascend" and the catalogue; and the words that its tests share.
#pragma once
#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "gateway/call/pipeline.h"
#include "support/scripted_upstream.h"

namespace kvcs::test {

struct GatewaySetup {
  explicit GatewaySetup(gateway::PipelineLimits limits = unlimited(), KvFaultPlan faults = {})
      : pipeline({tenants, tokens, providers, cache, rates, upstream, metrics, idempotency, clock,
                  [this](ErrorRecord record) {
                    const MutexLock lock(errors_mutex);
                    errors.push_back(std::move(record));
                  },
                  Secret("hash-key")},
                 limits) {
    plan = std::move(faults);
    put_tenant("ascend", "{}");
    put_provider("hubspot", R"({"rate_limit":{"requests_per_minute":10000}})");
  }

  static gateway::PipelineLimits unlimited() {
    gateway::PipelineLimits limits;
    limits.ip_requests_per_minute = limits.token_requests_per_minute = -1;
    limits.tenant_requests_per_minute = -1;
    return limits;
  }
  static gateway::Catalogue catalogue();
  void put_tenant(const std::string& name, const std::string& json);
  void put_provider(const std::string& name, const std::string& json);
  void put_token(const std::string& tenant, const std::string& provider, const std::string& account,
                 const std::string& token, int64_t expires_at_s = 0, gateway::Meta meta = {});
  http::Response call(const std::string& provider, const std::string& body,
                      const std::string& tenant = "ascend");
  static Json json(const http::Response& response);
  static std::string code(const http::Response& response);

  AuditContext who{"adminkey:1", "admin-api", "r1"};
  KvFaultPlan plan;
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::unique_ptr<KvStore> faulty = make_faulty_kv(
      *memory,
      [this](std::string_view op, std::string_view key) { return plan ? plan(op, key) : ok(); });
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*faulty);
  AuditedKv audited{*kv, clock, *entropy};
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  gateway::Tenants tenants{*kv, audited, *kv, *entropy, sealer};
  gateway::TokenStore tokens{*kv, audited, *kv, sealer, clock};
  gateway::ProviderDirectory providers{*kv, audited, *kv, sealer, catalogue()};
  gateway::ResponseCache cache{clock, 1 << 20};
  RateLimiter rates{clock};
  ScriptedUpstream upstream{&clock};
  Metrics metrics;
  Idempotency idempotency{*kv, sealer, clock};
  Mutex errors_mutex;  // While several threads call; tests read after they have ended.
  std::vector<ErrorRecord> errors;
  gateway::Pipeline pipeline;
};

inline constexpr const char* kList = R"({"path":"/crm/v3/objects/contacts"})";

ScriptedAnswer json_answer(int status, std::string body,
                           std::vector<std::pair<std::string, std::string>> headers = {});

}  // namespace kvcs::test
