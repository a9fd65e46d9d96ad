// Goal: a key sees the models that it can call, and no others, under every name that reaches them.
// Method: organizations, providers and prices in a store of memory; each rule that leaves a model
// out is tried alone.
#include "ai/model_list.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "base/entropy.h"
#include "identity/records.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

const AuditContext kWho{"adminkey:1", "test", "r1"};
const std::string kOrg = "0f8fad5b-d9cb-469f-a165-70867728950e";
const std::string kUser = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

constexpr const char* kPrices = R"(
models:
  openai/gpt-4o-mini:
    date: "2026-11-29"
    input_cost_per_token: 1.5e-07
    output_cost_per_token: 6e-07
    cache_read_input_token_cost: 7.5e-08
    max_input_tokens: 128000
    max_output_tokens: 16384
  openai/o3: {input_cost_per_token: 2e-06, supports_reasoning: true, mode: responses}
  anthropic/claude: {input_cost_per_token: 3e-06}
  groq/openai/gpt-oss-20b: {input_cost_per_token: 7.5e-08}
aliases:
  small: openai/gpt-4o-mini
)";

struct House {
  House() {
    REQUIRE(pricing.load_yaml(kPrices, "prices.yaml").ok());
    add_provider("openai", ProviderKind::kOpenAi, "k");
    add_provider("anthropic", ProviderKind::kAnthropic, "k");
    write();
  }
  void add_provider(const std::string& name, ProviderKind kind, const std::string& key,
                    const std::string& base_url = "https://api.openai.com/v1",
                    std::vector<std::string> models = {}) {
    const Provider provider{
        .name = name, .kind = kind, .base_url = base_url, .models = std::move(models)};
    std::optional<Secret> secret;
    if (!key.empty()) secret = Secret(key);
    REQUIRE(providers.put(provider, secret, kWho).ok());
  }
  void write() {
    organization.id = kOrg;
    organization.name = "Acme";
    organization.slug = "acme";
    user.id = kUser;
    user.organization_id = kOrg;
    user.email = "ada@example.com";
    KvBatch batch;
    batch.put(KvFamily::kConfig, keyspace::org_config(kOrg), organization_to_json(organization));
    batch.put(KvFamily::kConfig, keyspace::user_config(kUser), user_to_json(user));
    REQUIRE(audited.write(batch, kWho).ok());
  }
  void price(const std::string& model, const char* members, const std::string& org = "") {
    const Json row = parse_json_exact(members).value();
    REQUIRE(
        overrides.put(org, model, *parse_price(model, row, UnknownMembers::kRefuse), kWho).ok());
  }
  std::vector<std::string> ids() {
    std::vector<std::string> all;
    const auto listed = models.list(who);
    INFO(listed.status().to_string());
    REQUIRE(listed.ok());
    for (const ServedModel& model : *listed) all.push_back(model.id);
    return all;
  }
  bool lists(const std::string& id) {
    const auto all = ids();
    return std::find(all.begin(), all.end(), id) != all.end();
  }
  bool finds(const std::string& id) { return models.find(who, id).ok(); }

  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*memory);
  AuditedKv audited{*kv, clock, *entropy};
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  Pricing pricing{clock};
  PriceOverrides overrides{*kv, audited, *kv, pricing};
  Providers providers{*kv, audited, *kv, sealer, pricing};
  Directory directory{*kv, *kv};
  ModelList models{directory, providers, pricing, overrides};
  Organization organization;
  User user;
  Principal who{.kind = PrincipalKind::kUserKey, .organization_id = kOrg, .user_id = kUser};
};

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("model list: each provider's priced models, and those with a price of the operator's",
          "[unit][ai]") {
  House house;
  CHECK(house.ids() == Ids{"anthropic/claude", "openai/gpt-4o-mini", "openai/o3"});
  house.price("ft:gpt-4o-mini-2024-07-18:my-org::abc", R"({"input_cost_per_token":3e-7})");
  house.price("openai/gpt-next", R"({"input_cost_per_token":1e-6})", kOrg);
  house.price("openai/not-ours", R"({"input_cost_per_token":1e-6})",
              "11111111-2222-4333-8444-555555555555");
  house.price("nobodys", R"({"input_cost_per_token":1e-6})");
  CHECK(house.ids() == Ids{"anthropic/claude", "openai/gpt-4o-mini", "openai/o3",
                           "openai/ft:gpt-4o-mini-2024-07-18:my-org::abc", "openai/gpt-next"});
  for (const char* id : {"openai/gpt-4o-mini", "gpt-4o-mini", "gpt-4o-mini-2024-07-18", "small",
                         "ft:gpt-4o-mini-2024-07-18:my-org::abc", "gpt-next", "openai/gpt-next"}) {
    INFO(id);
    CHECK(house.finds(id));
  }
  for (const char* id : {"not-ours", "openai/not-ours", "nobodys", "gpt-9", "", "openai/"}) {
    INFO(id);
    CHECK(house.models.find(house.who, id).status().reason() == "model_not_found");
  }
}

TEST_CASE("model list: what the key, its user or its organization may not use is left out",
          "[unit][ai]") {
  House house;
  house.who.key_limits.allowed_models = {"gpt-4o*"};
  CHECK(house.ids() == Ids{"openai/gpt-4o-mini"});
  CHECK_FALSE(house.finds("o3"));
  house.who.key_limits.allowed_models = {};
  house.user.allowed_models = {"openai/*"};
  house.write();
  CHECK(house.ids() == Ids{"openai/gpt-4o-mini", "openai/o3"});
  house.organization.allowed_models = {"o3"};
  house.write();
  CHECK(house.ids() == Ids{"openai/o3"});
}

TEST_CASE("model list: a provider without a key serves nothing where one is needed", "[unit][ai]") {
  House house;
  house.add_provider("groq", ProviderKind::kOpenAiCompatible, "", "http://127.0.0.1:9/v1");
  CHECK(house.lists("groq/openai/gpt-oss-20b"));  // A server of one's own needs none.
  CHECK(house.finds("groq/openai/gpt-oss-20b"));
  REQUIRE(house.providers.remove("openai", kWho).ok());
  house.add_provider("openai", ProviderKind::kOpenAi, "");
  CHECK_FALSE(house.lists("openai/gpt-4o-mini"));
  CHECK_FALSE(house.finds("gpt-4o-mini"));
  REQUIRE(house.providers.put_credential(kOrg, "openai", Secret("own"), kWho).ok());
  CHECK(house.lists("openai/gpt-4o-mini"));
}

TEST_CASE("model list: a model past its end is offered where the operator names it, and served",
          "[unit][ai]") {
  House house;
  REQUIRE(house.pricing
              .load_yaml("models:\n  openai/old: {input_cost_per_token: 1e-06, deprecation_date: "
                         "\"2026-11-30\"}\n",
                         "prices.yaml")
              .ok());
  house.clock.set_unix_ms(*parse_iso8601_ms("2026-11-29T23:00:00Z"));
  CHECK(house.lists("openai/old"));
  house.clock.set_unix_ms(*parse_iso8601_ms("2026-11-30"));
  CHECK_FALSE(house.lists("openai/old"));
  CHECK(house.finds("openai/old"));
  CHECK(openai_model(house.models.find(house.who, "old").value())["deprecation_date"] ==
        "2026-11-30");
  // An override with an end of its own says no more than the file.
  house.price("openai/old", R"({"input_cost_per_token":1e-6,"deprecation_date":"2026-06-01"})");
  CHECK_FALSE(house.lists("openai/old"));
  house.price("openai/old", R"({"input_cost_per_token":1e-6})");
  CHECK(house.lists("openai/old"));
  REQUIRE(house.overrides.remove("", "openai/old", kWho).ok());
  CHECK_FALSE(house.lists("openai/old"));
  house.add_provider("openai", ProviderKind::kOpenAi, "k", "https://api.openai.com/v1", {"old"});
  CHECK(house.lists("openai/old"));
}

TEST_CASE("model list: a model without a price is there for who has stated one", "[unit][ai]") {
  House house;
  house.add_provider("openai", ProviderKind::kOpenAi, "k", "https://api.openai.com/v1",
                     {"gpt-4o-mini", "gpt-odd"});
  CHECK(house.lists("openai/gpt-4o-mini"));
  CHECK_FALSE(house.lists("openai/gpt-odd"));
  house.organization.unknown_input_pico_usd = house.organization.unknown_output_pico_usd = 5;
  house.write();
  CHECK(house.lists("openai/gpt-odd"));
}

TEST_CASE("model list: both shapes tell context, prices and the row's day", "[unit][ai]") {
  House house;
  const Json openai = openai_model(house.models.find(house.who, "gpt-4o-mini").value());
  CHECK(openai["id"] == "gpt-4o-mini");
  CHECK(openai["object"] == "model");
  CHECK(openai["created"] == 1'795'910'400);
  CHECK(openai["owned_by"] == "openai");
  CHECK(openai["context_window"] == 128'000);
  CHECK(openai["max_output_tokens"] == 16'384);
  CHECK(dump_json(openai["pricing"]) ==
        R"({"input_cost_per_token":0.00000015,"output_cost_per_token":0.0000006,)"
        R"("cache_read_input_token_cost":0.000000075})");
  CHECK(openai["capabilities"] == Json{{"chat", true}, {"prompt_caching", true}});
  const Json o3 = openai_model(house.models.find(house.who, "o3").value());
  CHECK(o3["capabilities"] == Json{{"responses", true}, {"reasoning", true}});
  CHECK(o3["created"] == 0);
  const Json anthropic = anthropic_model(house.models.find(house.who, "gpt-4o-mini").value());
  CHECK(anthropic["type"] == "model");
  CHECK(anthropic["created_at"] == "2026-11-29T00:00:00Z");
  CHECK(anthropic["max_input_tokens"] == 128'000);
  CHECK(anthropic["max_tokens"] == 16'384);
}
