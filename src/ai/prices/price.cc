// One price: reads it from LiteLLM's member names, writes it back to them, and computes what a
// request costs by it.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "ai/prices/pricing.h"
#include "base/bytes.h"
#include "base/money.h"

namespace kvcs::ai {
namespace {

struct OptionalMember {
  const char* name;
  std::optional<int64_t> Price::*field;
};
constexpr std::array<OptionalMember, 6> kOptionalMembers = {{
    {"cache_read_input_token_cost", &Price::cache_read_pico},
    {"cache_creation_input_token_cost", &Price::cache_write_5m_pico},
    {"cache_creation_input_token_cost_above_1hr", &Price::cache_write_1h_pico},
    {"output_cost_per_reasoning_token", &Price::reasoning_pico},
    {"input_cost_per_audio_token", &Price::input_audio_pico},
    {"output_cost_per_audio_token", &Price::output_audio_pico},
}};

struct ServiceMember {
  const char* name;
  TierPrices Price::*tier;
  std::optional<int64_t> TierPrices::*field;
};
constexpr std::array<ServiceMember, 6> kServiceMembers = {{
    {"input_cost_per_token_flex", &Price::flex, &TierPrices::input_pico},
    {"output_cost_per_token_flex", &Price::flex, &TierPrices::output_pico},
    {"cache_read_input_token_cost_flex", &Price::flex, &TierPrices::cache_read_pico},
    {"input_cost_per_token_priority", &Price::priority, &TierPrices::input_pico},
    {"output_cost_per_token_priority", &Price::priority, &TierPrices::output_pico},
    {"cache_read_input_token_cost_priority", &Price::priority, &TierPrices::cache_read_pico},
}};

struct TierMember {
  const char* prefix;
  std::optional<int64_t> PriceTier::*field;
};
constexpr std::array<TierMember, 4> kTierMembers = {{
    {"input_cost_per_token_above_", &PriceTier::input_pico},
    {"output_cost_per_token_above_", &PriceTier::output_pico},
    {"cache_read_input_token_cost_above_", &PriceTier::cache_read_pico},
    {"cache_creation_input_token_cost_above_", &PriceTier::cache_write_pico},
}};

// Facts about a model that carry no price; accepted and left out.
bool is_informational(std::string_view name) {
  static constexpr std::array<std::string_view, 6> kNames = {
      "max_tokens", "deprecation_date",    "comment",
      "metadata",   "supported_endpoints", "supported_modalities"};
  return name.starts_with("supports_") ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

Result<int64_t> read_pico(std::string_view model, const std::string& member, const Json& object,
                          int64_t max_pico) {
  JsonReader reader(object, std::string(model));
  reader.ignore_unknown();
  const std::string text = reader.decimal(member);
  KVCS_TRY(reader.finish());
  const std::string what = std::string(model) + "." + member;
  const int64_t pico = KVCS_TRY(parse_pico_usd(text, what));
  if (pico > max_pico) {
    return invalid(what + ": " + printable(text, kShownWord) + " is over the limit of " +
                   format_pico_usd(max_pico) + " USD.");
  }
  return pico;
}

Result<int64_t> read_tokens(std::string_view model, std::string_view member, const Json& value) {
  Result<uint64_t> count = value.is_string()
                               ? parse_u64(value.get_ref<const std::string&>(), member)
                               : parse_u64(dump_json(value), member);
  if (!count.ok() || *count > 1'000'000'000) {
    return invalid(std::string(model) + "." + std::string(member) +
                   ": must be a whole number up to 1000000000.");
  }
  return static_cast<int64_t>(*count);
}

// "input_cost_per_token_above_200k_tokens" → 200000; nothing when `name` is not of that form.
std::optional<int64_t> tier_bound(std::string_view name, std::string_view prefix) {
  constexpr std::string_view kSuffix = "k_tokens";
  if (!name.starts_with(prefix) || !name.ends_with(kSuffix)) return std::nullopt;
  const std::string_view digits =
      name.substr(prefix.size(), name.size() - prefix.size() - kSuffix.size());
  Result<uint64_t> thousands = parse_u64(digits, "tier");
  if (!thousands.ok() || *thousands == 0 || *thousands > 100'000) return std::nullopt;
  return static_cast<int64_t>(*thousands) * 1000;
}

PriceTier& tier_of(Price& price, int64_t above) {
  for (PriceTier& tier : price.tiers) {
    if (tier.above_input_tokens == above) return tier;
  }
  price.tiers.push_back({.above_input_tokens = above});
  return price.tiers.back();
}

// True when the member was a tier's price.
Result<bool> read_tier_member(Price& price, const std::string& name, const Json& object) {
  for (const TierMember& member : kTierMembers) {
    if (const auto above = tier_bound(name, member.prefix)) {
      tier_of(price, *above).*member.field =
          KVCS_TRY(read_pico(price.model, name, object, kPicoUsdPerUsd));
      return true;
    }
  }
  return false;
}

Status read_member(Price& price, const std::string& name, const Json& object,
                   UnknownMembers unknown) {
  const Json& value = object.at(name);
  for (const OptionalMember& member : kOptionalMembers) {
    if (name == member.name) {
      price.*member.field = KVCS_TRY(read_pico(price.model, name, object, kPicoUsdPerUsd));
      return ok();
    }
  }
  for (const ServiceMember& member : kServiceMembers) {
    if (name == member.name) {
      (price.*member.tier).*member.field =
          KVCS_TRY(read_pico(price.model, name, object, kPicoUsdPerUsd));
      return ok();
    }
  }
  if (name == "input_cost_per_token") {
    price.input_pico = KVCS_TRY(read_pico(price.model, name, object, kPicoUsdPerUsd));
  } else if (name == "output_cost_per_token") {
    price.output_pico = KVCS_TRY(read_pico(price.model, name, object, kPicoUsdPerUsd));
  } else if (name == "web_search_cost_per_call") {
    price.web_search_pico = KVCS_TRY(read_pico(price.model, name, object, 100 * kPicoUsdPerUsd));
  } else if (name == "search_context_cost_per_query" && value.is_object()) {
    // The dearest context size: a budget must not be passed because a size was not known.
    for (const auto& [size, unused] : value.items()) {
      const int64_t pico = KVCS_TRY(read_pico(price.model, size, value, 100 * kPicoUsdPerUsd));
      price.web_search_pico = std::max(price.web_search_pico, pico);
    }
  } else if (name == "max_input_tokens") {
    price.max_input_tokens = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "max_output_tokens") {
    price.max_output_tokens = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "litellm_provider" && value.is_string()) {
    if (price.provider.empty()) price.provider = value.get<std::string>();
  } else if (name == "mode" && value.is_string()) {
    price.mode = value.get<std::string>();
  } else if (name == "source" && value.is_string()) {
    price.source = value.get<std::string>();
  } else if (!KVCS_TRY(read_tier_member(price, name, object)) &&
             unknown == UnknownMembers::kRefuse && !is_informational(name)) {
    return invalid(price.model + ": unknown member '" + printable(name, kShownName) + "'.");
  }
  return ok();
}

}  // namespace

Result<Price> parse_price(std::string_view model, const Json& object, UnknownMembers unknown) {
  if (model.empty() || model.size() > 200) {
    return invalid("A model's name must have 1 to 200 bytes.");
  }
  if (!object.is_object()) return invalid(printable(model) + ": the price must be an object.");
  Price price;
  const size_t slash = model.find('/');
  if (slash != model.npos) price.provider = model.substr(0, slash);
  price.model = slash == model.npos ? model : model.substr(slash + 1);
  price.mode = "chat";
  for (const auto& [name, value] : object.items()) {
    if (value.is_null()) continue;
    KVCS_TRY(read_member(price, name, object, unknown));
  }
  if (!object.contains("input_cost_per_token") && !object.contains("output_cost_per_token")) {
    return invalid(printable(model) +
                   ": needs input_cost_per_token or output_cost_per_token (0 for free).");
  }
  std::sort(price.tiers.begin(), price.tiers.end(), [](const PriceTier& a, const PriceTier& b) {
    return a.above_input_tokens < b.above_input_tokens;
  });
  return price;
}

namespace {

// An exact decimal. A client that reads it into a double loses digits that kvcs has kept.
Json usd_per_token(int64_t pico_usd) {
  return json_decimal(format_pico_usd(pico_usd));
}

}  // namespace

Json price_to_json(const Price& price) {
  Json out = {{"litellm_provider", price.provider},
              {"mode", price.mode},
              {"input_cost_per_token", usd_per_token(price.input_pico)},
              {"output_cost_per_token", usd_per_token(price.output_pico)}};
  for (const OptionalMember& member : kOptionalMembers) {
    if (price.*member.field) out[member.name] = usd_per_token(*(price.*member.field));
  }
  for (const ServiceMember& member : kServiceMembers) {
    const std::optional<int64_t>& pico = (price.*member.tier).*member.field;
    if (pico) out[member.name] = usd_per_token(*pico);
  }
  for (const PriceTier& tier : price.tiers) {
    for (const TierMember& member : kTierMembers) {
      if (!(tier.*member.field)) continue;
      out[member.prefix + std::to_string(tier.above_input_tokens / 1000) + "k_tokens"] =
          usd_per_token(*(tier.*member.field));
    }
  }
  if (price.web_search_pico > 0) {
    out["web_search_cost_per_call"] = usd_per_token(price.web_search_pico);
  }
  if (price.max_input_tokens > 0) out["max_input_tokens"] = price.max_input_tokens;
  if (price.max_output_tokens > 0) out["max_output_tokens"] = price.max_output_tokens;
  if (!price.source.empty()) out["source"] = price.source;
  return out;
}

int64_t cost_nano_usd(const Price& price, const TokenUsage& usage) {
  // Three steps: the prices for the length of the input, over them those of the service tier, and
  // what is still not stated costs as plain input or output. A tier for long inputs holds for the
  // whole request and not only for the tokens above its bound.
  int64_t input = price.input_pico, output = price.output_pico;
  std::optional<int64_t> stated_read = price.cache_read_pico;
  std::optional<int64_t> stated_write = price.cache_write_5m_pico;
  std::optional<int64_t> stated_write_1h = price.cache_write_1h_pico;
  for (const PriceTier& tier : price.tiers) {
    if (usage.input_total() <= tier.above_input_tokens) break;
    input = tier.input_pico.value_or(input);
    output = tier.output_pico.value_or(output);
    if (tier.cache_read_pico) stated_read = tier.cache_read_pico;
    // The one-hour bucket keeps its ratio to the default one: tiers state only the latter.
    if (tier.cache_write_pico && stated_write_1h && stated_write.value_or(0) > 0) {
      stated_write_1h = static_cast<int64_t>(static_cast<__int128>(*stated_write_1h) *
                                             *tier.cache_write_pico / *stated_write);
    }
    if (tier.cache_write_pico) stated_write = tier.cache_write_pico;
  }
  if (usage.tier != ServiceTier::kStandard) {
    const TierPrices& tier = usage.tier == ServiceTier::kFlex ? price.flex : price.priority;
    input = tier.input_pico.value_or(input);
    output = tier.output_pico.value_or(output);
    if (tier.cache_read_pico) stated_read = tier.cache_read_pico;
  }
  const int64_t cache_read = stated_read.value_or(input);
  const int64_t cache_write = stated_write.value_or(input);
  const int64_t cache_write_1h = stated_write_1h.value_or(cache_write);
  const auto times = [](int64_t tokens, int64_t pico) {
    return static_cast<__int128>(std::max<int64_t>(tokens, 0)) * pico;
  };
  const __int128 pico =
      times(usage.input, input) + times(usage.cache_read, cache_read) +
      times(usage.cache_write_5m, cache_write) + times(usage.cache_write_1h, cache_write_1h) +
      times(usage.input_audio, price.input_audio_pico.value_or(input)) +
      times(usage.output, output) + times(usage.reasoning, price.reasoning_pico.value_or(output)) +
      times(usage.output_audio, price.output_audio_pico.value_or(output)) +
      times(usage.web_searches, price.web_search_pico);
  // A figure that no budget can hold stays representable.
  constexpr __int128 kMaxPico = static_cast<__int128>(INT64_MAX) / 2 * 1000;
  return pico_to_nano_ceil(std::min(pico, kMaxPico));
}

}  // namespace kvcs::ai
