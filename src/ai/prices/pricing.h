// What a token costs. Prices are pico-USD per token, exact, from config/prices.yaml, overridden by
// `ai_price:{model}` and `ai_price:{org_id}:{model}` in KV (LiteLLM's member names:
// input_cost_per_token, output_cost_per_token, cache_read_input_token_cost, …).
//
// A table of prices never changes once it is read, and its version is a hash of its content.
// Pricing swaps whole tables under requests that go on with the one they began with, and a bad
// reload keeps the last good one. Thread-safe.
//
// A row may have an end (deprecation_date) and a successor (later, in the file alone). The row that
// holds today is the one that find(), find_exact() and list() answer with. A model past its end
// keeps its price: a request that names it goes to the provider, which knows best whether it still
// serves it, and is charged; it is only left out of what is offered (model_list.h).
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ai/ai.h"
#include "base/json.h"
#include "base/status.h"

namespace kvcs {
class Clock;
}  // namespace kvcs

namespace kvcs::ai {

// Other prices of tokens for long inputs: they hold for the whole request when its input passes
// `above_input_tokens`. One that is not stated is the price below the bound, or keeps its ratio
// (Dimension::keeps_ratio).
struct PriceTier {
  int64_t above_input_tokens = 0;
  std::optional<int64_t> input_pico, output_pico, cache_read_pico, cache_write_pico;
  std::optional<int64_t> cache_write_1h_pico = {}, reasoning_pico = {}, input_audio_pico = {},
                         output_audio_pico = {}, input_image_pico = {}, output_image_pico = {};
};

// The prices of a service tier ("flex", "priority"); one that is not stated is the plain price, or
// keeps its ratio. `above_input_tokens` > 0: those of the tier for requests of more input. Where a
// service tier has none for long inputs, those of PriceTier hold, times the tier's own ratio to the
// plain price.
struct ServiceTierPrices {
  std::string name;
  int64_t above_input_tokens = 0;
  std::optional<int64_t> input_pico, output_pico, cache_read_pico, cache_write_pico;
  std::optional<int64_t> cache_write_1h_pico = {}, reasoning_pico = {}, input_audio_pico = {},
                         output_audio_pico = {}, input_image_pico = {}, output_image_pico = {};
};

// A factor on all prices of tokens, for a speed ("fast") or a region ("us") in the provider's
// words. Millionths: 1'100'000 is 1.1.
struct PriceFactor {
  std::string name;
  int64_t millionths = 1'000'000;
};

// What a search by the provider costs depends on how much it reads, and with OpenAI on the tool:
// the older one ("web_search_preview") is a size of its own.
enum SearchSize : size_t {
  kSearchLow,
  kSearchMedium,
  kSearchHigh,
  kSearchPreview,  // Not stated: that of kSearchMedium.
  kSearchSizes,
};

using SearchPrices = std::array<std::optional<int64_t>, kSearchSizes>;

// The prices of one model. What a price that is not stated means says its line in dimensions.h:
// that of plain input or output holds, or a request that asks for it is refused before it is sent.
struct Price {
  std::string provider, model, mode;  // mode: chat, embedding, …
  std::optional<int64_t> input_pico, output_pico;
  std::optional<int64_t> cache_read_pico, cache_write_5m_pico, cache_write_1h_pico;
  std::optional<int64_t> input_audio_pico, input_image_pico;
  std::optional<int64_t> reasoning_pico, output_audio_pico, output_image_pico;
  // Per call.
  SearchPrices web_search_pico;
  std::optional<int64_t> file_search_pico, code_session_pico, image_made_pico;
  int64_t request_pico = 0;  // Of every request that is answered.
  std::vector<ServiceTierPrices> service_tiers;
  std::vector<PriceTier> tiers;  // Ascending.
  std::vector<PriceFactor> factors;
  int64_t max_input_tokens = 0, max_output_tokens = 0;  // 0 = not stated.
  int64_t image_tokens_max = 0;      // Of one picture of any size; 0 = not stated.
  int64_t searches_per_request = 0;  // Of a model that searches whether asked to or not.
  bool supports_reasoning = false;   // Output may be more than what is shown of it.
  std::string source, date;          // Where the row was read, and when ("2026-11-20").
  // The day (UTC) from which the provider no longer serves the model; "" = none is stated.
  std::string deprecation_date;
  // The row that takes this one's place on the day later->from (UTC); null: none.
  std::shared_ptr<const Price> later;  // Owners: this row, and those of PricedModel.
  std::string from;                    // "" for a row that no other one comes before.
};

// The treatment of members that have no meaning here: LiteLLM's file has many, an admin's typing
// error has one.
enum class UnknownMembers : uint8_t { kIgnore, kRefuse };

// Reads one object in LiteLLM's shape. `model` may carry a "provider/" prefix. Invalid names the
// member: negative, over 1 USD per token, finer than a pico-dollar, not a number. A decimal string
// is taken as it is; a JSON number by its shortest decimal form, which is what was written for up
// to 15 significant digits.
Result<Price> parse_price(std::string_view model, const Json& object, UnknownMembers unknown);
// The same of a row of the file, which may have a member "later": an object with the day `from`
// and the members that change then, among them another "later".
Result<std::shared_ptr<const Price>> parse_dated_price(std::string_view model, const Json& object);
Json price_to_json(const Price& price);  // Without `later`.

// The price of a length of input, a service tier and the factors of a request, all resolved; what
// is not stated has fallen back. Pico-USD per token or call.
struct Rates {
  int64_t input = 0, cache_read = 0, cache_write_5m = 0, cache_write_1h = 0;
  int64_t input_audio = 0, input_image = 0;
  int64_t output = 0, reasoning = 0, output_audio = 0, output_image = 0;
  int64_t web_search = 0, file_search = 0, code_session = 0, image_made = 0;
};
// `conditions`: its texts alone are looked at. `input_tokens` decides about prices for long inputs.
Rates rates_of(const Price& price, const TokenUsage& conditions, int64_t input_tokens);
// Rounded up once, to the nano-dollar.
int64_t cost_nano_usd(const Price& price, const TokenUsage& usage);
// The name of a dimension that `usage` has and the row states no price for ("web_search",
// "service_tier priority", "speed fast", …); "" when there is none. Such a use is charged at the
// plain price or at nothing: a request that asks for it is refused before it is sent.
std::string unpriced_dimension(const Price& price, const TokenUsage& usage);

struct PricedModel {
  std::shared_ptr<const Price> price;  // Owners: the table in force, and requests that use it.
  std::string version;
  bool overridden = false;  // Set by an admin, not shipped.
};

class Pricing final {
 public:
  // `clock` decides which row holds today; it must outlive this object.
  explicit Pricing(const Clock& clock);
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
  // in the file's order wins, and after it an override that names a provider). Invalid with reason
  // model_not_priced.
  Result<PricedModel> find(std::string_view organization_id, std::string_view provider,
                           std::string_view model) const;
  // The row of exactly this model of this provider; nothing when there is none.
  std::optional<PricedModel> find_exact(std::string_view organization_id, std::string_view provider,
                                        std::string_view model) const;
  std::vector<std::shared_ptr<const Price>> list() const;
  // Whether the model of the row is past its end.
  bool has_ended(const Price& price) const;
  // The names of the overrides of everybody and of the organization, as an admin wrote them.
  std::vector<std::string> overridden_names(std::string_view organization_id) const;
  std::string version() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::ai
