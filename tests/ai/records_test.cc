// Goal: no member of a model provider or of a price is lost between its writer and its reader.
// Method: every member has a value of its own and goes through KV to objects that begin anew.
#include <nlohmann/json.hpp>

#include "ai/prices/price_overrides.h"
#include "ai/prices/pricing.h"
#include "ai/providers.h"
#include "base/entropy.h"
#include "support/members.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

const AuditContext kWho{"adminkey:1", "test", "r1"};

struct AiStore {
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*memory);
  AuditedKv audited{*kv, clock, *entropy};
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  Pricing pricing{clock};
};

Members members_of(const Provider& provider) {
  const auto& [name, kind, base_url, origin, headers, auth_header, timeout_ms, stream_options,
               cancel_stops_billing, models, sealed_api_key, api_key_origins] = provider;
  (void)sealed_api_key;  // Opened below.
  return name_members(
      "name kind base_url origin api_key_origins headers auth_header timeout_ms stream_options "
      "cancel_stops_billing "
      "models",
      name, kind, base_url, origin, api_key_origins, headers, auth_header, timeout_ms,
      stream_options, cancel_stops_billing, models);
}

Members members_of(const ServiceTierPrices& prices) {
  const auto& [name, above_input_tokens, input_pico, output_pico, cache_read_pico, cache_write_pico,
               cache_write_1h_pico, reasoning_pico, input_audio_pico, output_audio_pico,
               input_image_pico, output_image_pico] = prices;
  return name_members(
      "name above_input_tokens input_pico output_pico cache_read_pico cache_write_pico "
      "cache_write_1h_pico reasoning_pico input_audio_pico output_audio_pico input_image_pico "
      "output_image_pico",
      name, above_input_tokens, input_pico, output_pico, cache_read_pico, cache_write_pico,
      cache_write_1h_pico, reasoning_pico, input_audio_pico, output_audio_pico, input_image_pico,
      output_image_pico);
}

Members members_of(const PriceFactor& factor) {
  const auto& [name, millionths] = factor;
  return name_members("name millionths", name, millionths);
}

Members members_of(const PriceTier& tier) {
  const auto& [above_input_tokens, input_pico, output_pico, cache_read_pico, cache_write_pico,
               cache_write_1h_pico, reasoning_pico, input_audio_pico, output_audio_pico,
               input_image_pico, output_image_pico] = tier;
  return name_members(
      "above_input_tokens input_pico output_pico cache_read_pico cache_write_pico "
      "cache_write_1h_pico reasoning_pico input_audio_pico output_audio_pico input_image_pico "
      "output_image_pico",
      above_input_tokens, input_pico, output_pico, cache_read_pico, cache_write_pico,
      cache_write_1h_pico, reasoning_pico, input_audio_pico, output_audio_pico, input_image_pico,
      output_image_pico);
}

template <typename T>
Members with_all(Members members, const std::string& name, const std::vector<T>& list) {
  CHECK(list.size() <= 2);
  for (size_t i = 0; i < 2; i++) {
    const std::string one = name + std::to_string(i);
    members = with(members, one, members_of(i < list.size() ? list[i] : T{}));
  }
  return members;
}

Members members_of(const Price& price) {
  const auto& [provider, model, mode, input_pico, output_pico, cache_read_pico, cache_write_5m_pico,
               cache_write_1h_pico, input_audio_pico, input_image_pico, reasoning_pico,
               output_audio_pico, output_image_pico, web_search_pico, file_search_pico,
               code_session_pico, image_made_pico, request_pico, service_tiers, tiers, factors,
               max_input_tokens, max_output_tokens, image_tokens_max, searches_per_request,
               supports_reasoning, source, date, deprecation_date, later, from] = price;
  // Of the price file alone, where pricing_test.cc has them.
  (void)later, (void)from;
  Members members = name_members(
      "provider model mode input_pico output_pico cache_read_pico cache_write_5m_pico "
      "cache_write_1h_pico input_audio_pico input_image_pico reasoning_pico output_audio_pico "
      "output_image_pico search_low search_medium search_high search_preview file_search_pico "
      "code_session_pico "
      "image_made_pico request_pico max_input_tokens max_output_tokens image_tokens_max "
      "searches_per_request supports_reasoning source date deprecation_date",
      provider, model, mode, input_pico, output_pico, cache_read_pico, cache_write_5m_pico,
      cache_write_1h_pico, input_audio_pico, input_image_pico, reasoning_pico, output_audio_pico,
      output_image_pico, web_search_pico[kSearchLow], web_search_pico[kSearchMedium],
      web_search_pico[kSearchHigh], web_search_pico[kSearchPreview], file_search_pico,
      code_session_pico, image_made_pico, request_pico, max_input_tokens, max_output_tokens,
      image_tokens_max, searches_per_request, supports_reasoning, source, date, deprecation_date);
  members = with_all(members, "service_tier", service_tiers);
  members = with_all(members, "tier", tiers);
  return with_all(members, "factor", factors);
}

Price full_price() {
  return {.provider = "openai",
          .model = "model",
          .mode = "mode",
          .input_pico = 101,
          .output_pico = 102,
          .cache_read_pico = 103,
          .cache_write_5m_pico = 104,
          .cache_write_1h_pico = 105,
          .input_audio_pico = 107,
          .input_image_pico = 131,
          .reasoning_pico = 106,
          .output_audio_pico = 108,
          .output_image_pico = 132,
          .web_search_pico = {115, 133, 134, 167},
          .file_search_pico = 135,
          .code_session_pico = 136,
          .image_made_pico = 137,
          .request_pico = 138,
          .service_tiers = {{"flex", 256'000, 109, 110, 111, 139, 143, 144, 145, 146, 147, 148},
                            {"priority", 64'000, 112, 113, 114, 140, 149, 150, 151, 152, 153, 154}},
          .tiers = {{128'000, 118, 119, 120, 121, 155, 156, 157, 158, 159, 160},
                    {199'999, 122, 123, 124, 125, 161, 162, 163, 164, 165, 166}},
          .factors = {{"fast", 6'000'000}, {"us", 1'100'000}},
          .max_input_tokens = 116,
          .max_output_tokens = 117,
          .image_tokens_max = 141,
          .searches_per_request = 142,
          .supports_reasoning = true,
          .source = "source",
          .date = "2026-11-29",
          .deprecation_date = "2027-01-14"};
}

}  // namespace

TEST_CASE("records: a price is read as it was written, member by member", "[unit][ai][records]") {
  const Price written = full_price();
  const Result<Price> read =
      parse_price("openai/model", price_to_json(written), UnknownMembers::kRefuse);
  INFO(read.status().to_string());
  REQUIRE(read.ok());
  check_same(members_of(written), members_of(*read), members_of(Price{}));
}

TEST_CASE("records: an override of a price reaches the requests of whom it is for",
          "[unit][ai][records]") {
  AiStore store;
  const std::string mine = "0f8fad5b-d9cb-469f-a165-70867728950e";
  const std::string other = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
  {
    PriceOverrides overrides(*store.kv, store.audited, *store.kv, store.pricing);
    REQUIRE(overrides.put(mine, "openai/model", full_price(), kWho).ok());
  }
  Pricing pricing(store.clock);
  const PriceOverrides fresh(*store.kv, store.audited, *store.kv, pricing);
  const Result<PricedModel> found = pricing.find(mine, "openai", "model");
  INFO(found.status().to_string());
  REQUIRE(found.ok());
  CHECK(found->overridden);
  check_same(members_of(full_price()), members_of(*found->price), members_of(Price{}));
  CHECK_FALSE(pricing.find(other, "openai", "model").ok());
}

TEST_CASE("records: a model provider is read from the store with every member and its key",
          "[unit][ai][records]") {
  for (const ProviderKind kind :
       {ProviderKind::kOpenAi, ProviderKind::kAnthropic, ProviderKind::kOpenAiCompatible}) {
    AiStore store;
    const Provider written{.name = "house",
                           .kind = kind,
                           .base_url = "https://models.example.com/v2",
                           .origin = "https://models.example.com",
                           .headers = {{"x-region", "eu"}},
                           .auth_header = "x-token",
                           .timeout_ms = 7'777,
                           .stream_options = false,
                           .cancel_stops_billing = true,
                           .models = {"small", "large"},
                           .sealed_api_key = {},
                           .api_key_origins = {"https://models.example.com"}};
    Providers providers(*store.kv, store.audited, *store.kv, store.sealer, store.pricing);
    REQUIRE(providers.put(written, Secret("the provider's key"), kWho).ok());
    REQUIRE(
        providers.put_credential("org-1", "house", Secret("the organization's key"), kWho).ok());
    const Providers fresh(*store.kv, store.audited, *store.kv, store.sealer, store.pricing);
    const auto read = fresh.find("house");
    INFO(read.status().to_string());
    REQUIRE(read.ok());
    check_same(members_of(written), members_of(**read), members_of(Provider{}), {"kind"});
    CHECK(fresh.credential("org-1", **read).value().reveal() == "the organization's key");
    CHECK(fresh.credential("org-2", **read).value().reveal() == "the provider's key");
  }
}
