// What a token costs. Prices are pico-USD per token, exact, from config/prices.yaml, overridden by
// `ai_price:{model}` and `ai_price:{org_id}:{model}` in KV (LiteLLM's member names:
// input_cost_per_token, output_cost_per_token, cache_read_input_token_cost, …).
//
// A table of prices never changes once it is read, and its version is a hash of its content.
// Pricing swaps whole tables under requests that go on with the one they began with, and a bad
// reload keeps the last good one. Thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ai/ai.h"
#include "base/json.h"
#include "base/status.h"

namespace kvcs::ai {

struct PriceTier {  // Applies to the whole request when its input passes `above_input_tokens`.
  int64_t above_input_tokens = 0;
  // Not stated: the price below the bound.
  std::optional<int64_t> input_pico, output_pico, cache_read_pico, cache_write_pico;
};

// The prices of a service tier; one that is not stated is the plain price.
struct TierPrices {
  std::optional<int64_t> input_pico, output_pico, cache_read_pico;
};

// The prices of one model. An optional price that is not stated is that of plain input or output.
struct Price {
  std::string provider, model, mode;  // mode: chat, embedding, …
  int64_t input_pico = 0, output_pico = 0;
  std::optional<int64_t> cache_read_pico, cache_write_5m_pico, cache_write_1h_pico;
  std::optional<int64_t> reasoning_pico, input_audio_pico, output_audio_pico;
  TierPrices flex, priority;
  int64_t web_search_pico = 0;                          // Per call.
  int64_t max_input_tokens = 0, max_output_tokens = 0;  // 0 = not stated.
  std::vector<PriceTier> tiers;                         // Ascending.
  std::string source;                                   // Where it was read.
};

// The treatment of members that have no meaning here: LiteLLM's file has many, an admin's typing
// error has one.
enum class UnknownMembers : uint8_t { kIgnore, kRefuse };

// Reads one object in LiteLLM's shape. `model` may carry a "provider/" prefix. Invalid names the
// member: negative, over 1 USD per token, finer than a pico-dollar, not a number. A decimal string
// is taken as it is; a JSON number by its shortest decimal form, which is what was written for up
// to 15 significant digits.
Result<Price> parse_price(std::string_view model, const Json& object, UnknownMembers unknown);
Json price_to_json(const Price& price);

// Rounded up once, to the nano-dollar.
int64_t cost_nano_usd(const Price& price, const TokenUsage& usage);

struct PricedModel {
  std::shared_ptr<const Price> price;  // Owners: the table in force, and requests that use it.
  std::string version;
  bool overridden = false;  // Set by an admin, not shipped.
};

class Pricing final {
 public:
  Pricing();
  ~Pricing();
  // Replaces the shipped table. Invalid (file, line, model) leaves the one in force.
  Status load_yaml(std::string_view text, std::string_view file_name);
  struct Override {
    std::string organization_id;  // "" = everybody's.
    std::string model;            // As written by the admin, with or without "provider/".
    Price price;
  };
  // Replaces all overrides (read from KV by the owner after each write).
  void set_overrides(std::vector<Override> overrides);
  // Organization override → exact → without "provider/" → without a date suffix → alias.
  // `provider` may be "" (then a bare name must belong to one provider's model only, or the first
  // in the file's order wins). Invalid with reason model_not_priced.
  Result<PricedModel> find(std::string_view organization_id, std::string_view provider,
                           std::string_view model) const;
  // The row of exactly this model of this provider; nothing when there is none.
  std::optional<PricedModel> find_exact(std::string_view organization_id, std::string_view provider,
                                        std::string_view model) const;
  std::vector<std::shared_ptr<const Price>> list() const;
  std::string version() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::ai
