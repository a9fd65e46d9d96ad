// One harmless request per provider, by the `canary` of its record and the credential of its first
// account whose tenant may call, to tell a provider that is down from a call that is wrong. The
// snapshot `system:provider_health` is {"checked_at", "providers": {name: {"status":
// "up|down|unknown", "http_status", "latency_ms", "usual_latency_ms", "failures", "checked_at",
// "error"}}}. A provider that fails kCanaryFailuresBeforeAlert times in a row raises provider.down
// once. Used by one job.
#pragma once
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/json.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/tokens/tokens.h"
#include "http/client/upstream.h"
#include "kv/kv.h"

namespace kvcs::gateway {

inline constexpr int kCanaryDeadlineMs = 10'000;
inline constexpr int kCanaryFailuresBeforeAlert = 2;

class Canaries final {
 public:
  // Whether a call by the account would be made: its tenant is active and may reach the provider,
  // and the gateway is not frozen.
  using MayCall = std::function<bool(const AccountId& id)>;
  // All outlive it.
  Canaries(KvStore& kv, const TokenStore& tokens, const ProviderDirectory& providers,
           http::HttpUpstream& upstream, const Clock& clock, Entropy& entropy, MayCall may_call);
  // Stops early when `cancelled` says so. How many providers were asked.
  Result<int64_t> run(const std::function<bool()>& cancelled);

 private:
  // The result of asking one provider.
  struct Outcome;
  Outcome ask(const Provider& provider, const AccountId& id) const;

  KvStore& kv_;
  const TokenStore& tokens_;
  const ProviderDirectory& providers_;
  http::HttpUpstream& upstream_;
  const Clock& clock_;
  Entropy& entropy_;
  const MayCall may_call_;
};

}  // namespace kvcs::gateway
