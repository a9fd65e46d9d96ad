// The gateway's parts over the memory store and a scripted upstream, as App stacks them.
#pragma once
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

#include "gateway/pipeline.h"
#include "support/scripted_upstream.h"

namespace kvcs::test {

struct GatewaySetup {
  explicit GatewaySetup(gateway::PipelineLimits limits = unlimited(), KvFaultPlan faults = {})
      : pipeline({tenants, tokens, providers, cache, rates, upstream, metrics, clock,
                  [this](ErrorRecord record) { errors.push_back(std::move(record)); },
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
  static gateway::Catalogue catalogue() {
    auto loaded = gateway::load_catalogue("config/providers");
    REQUIRE(loaded.ok());
    return loaded.value();
  }

  void put_tenant(const std::string& name, const std::string& json) {
    REQUIRE(tenants.put(name, parse_json(json).value(), who).ok());
  }
  void put_provider(const std::string& name, const std::string& json) {
    const Status put = providers.put(name, parse_json(json).value(), who);
    INFO(put.to_string());
    REQUIRE(put.ok());
  }
  void put_token(const std::string& tenant, const std::string& provider, const std::string& account,
                 const std::string& token, int64_t expires_at_s = 0, gateway::Meta meta = {}) {
    gateway::AccessCredential credential;
    credential.access_token = Secret(token);
    credential.expires_at_s = expires_at_s;
    credential.meta = std::move(meta);
    REQUIRE(tokens.put({tenant, provider, account}, credential, {}, who).ok());
  }
  http::Response call(const std::string& provider, const std::string& body,
                      const std::string& tenant = "ascend") {
    gateway::Caller caller;
    caller.tenant = tenant;
    caller.key_id = "key-1";
    caller.remote_ip = "203.0.113.9";
    caller.request_id = "req-1";
    caller.started_us = clock.mono_us();
    return pipeline.call(caller, provider, body);
  }
  static Json json(const http::Response& response) {
    INFO(response.body);
    auto parsed = parse_json(response.body);
    REQUIRE(parsed.ok());
    return parsed.value();
  }
  static std::string code(const http::Response& response) {
    return json(response).value("code", std::string());
  }

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
  gateway::Tenants tenants{*kv, audited, *kv};
  gateway::TokenStore tokens{*kv, audited, *kv, sealer, clock};
  gateway::Providers providers{*kv, audited, *kv, sealer, catalogue()};
  gateway::ResponseCache cache{clock, 1 << 20};
  RateLimiter rates{clock};
  ScriptedUpstream upstream{&clock};
  Metrics metrics;
  std::vector<ErrorRecord> errors;
  gateway::Pipeline pipeline;
};

}  // namespace kvcs::test
