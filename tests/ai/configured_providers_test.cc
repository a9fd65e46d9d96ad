// Goal: what ai.providers of kvcs.yaml holds becomes a provider, or one line that names the entry
// and the member; no form of YAML ends the process. Method: texts as an operator writes them.
#include "ai/configured_providers.h"

#include <catch2/catch.hpp>

#include "ai/ai_config.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "kv/audited_kv.h"
#include "support/env.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

struct ConfiguredProviders {
  Status add(const std::string& yaml) {
    ai::AiConfig config;
    config.providers = yaml;
    return ai::add_configured_providers(config, providers);
  }
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*memory);
  AuditedKv audited{*kv, clock, *entropy};
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  ai::Pricing pricing{clock};
  ai::Providers providers{*kv, audited, *kv, sealer, pricing};
};

}  // namespace

TEST_CASE("configured providers: an entry becomes a provider with its key", "[unit][ai]") {
  const Env key("KVCS_TEST_PROVIDER_KEY", "sk-of-the-test");
  ConfiguredProviders configured;
  const Status added = configured.add(
      "local: {kind: openai_compatible, base_url: 'http://127.0.0.1:9/v1', timeout_ms: 1234,\n"
      "        api_key_env: KVCS_TEST_PROVIDER_KEY}\n");
  INFO(added.to_string());
  REQUIRE(added.ok());
  CHECK(configured.providers.find("local").value()->timeout_ms == 1234);
}

TEST_CASE("configured providers: a member of another form is named", "[unit][ai]") {
  const char* const bad[] = {"api_key_env", "api_key_file", "timeout_ms"};
  for (const char* member : bad) {
    for (const char* value : {"[a, b]", "{a: b}", ""}) {
      ConfiguredProviders configured;
      const Status added =
          configured.add("local:\n  kind: openai\n  " + std::string(member) + ": " + value + "\n");
      INFO(member << ": " << value << " gives " << added.to_string());
      if (*value == '\0') continue;  // An empty value is a member that says nothing.
      CHECK(added.code() == Code::kInvalid);
      CHECK(added.message().find("ai.providers.local") != std::string::npos);
      CHECK(added.message().find(member) != std::string::npos);
    }
  }
}
