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

// A price of the row itself. Of members with two names the first is written.
struct OptionalMember {
  const char* name;
  std::optional<int64_t> Price::*field;
  int64_t max_pico = kPicoUsdPerUsd;
};
constexpr int64_t kCallMaxPico = 100 * kPicoUsdPerUsd;
constexpr OptionalMember kOptionalMembers[] = {
    {"cache_read_input_token_cost", &Price::cache_read_pico},
    {"cache_creation_input_token_cost", &Price::cache_write_5m_pico},
    {"cache_creation_input_token_cost_above_1hr", &Price::cache_write_1h_pico},
    {"output_cost_per_reasoning_token", &Price::reasoning_pico},
    {"input_cost_per_audio_token", &Price::input_audio_pico},
    {"output_cost_per_audio_token", &Price::output_audio_pico},
    {"input_cost_per_image_token", &Price::input_image_pico},
    {"output_cost_per_image_token", &Price::output_image_pico},
    {"file_search_cost_per_call", &Price::file_search_pico, kCallMaxPico},
    {"code_interpreter_cost_per_session", &Price::code_session_pico, kCallMaxPico},
    {"image_generation_cost_per_call", &Price::image_made_pico, kCallMaxPico},
};

// The prices of a search by the size of its context, under the names of LiteLLM.
constexpr std::array<const char*, kSearchSizes> kSearchNames = {
    "search_context_size_low", "search_context_size_medium", "search_context_size_high"};

// Prices of text that a service tier or a length of input may change: the stem of the member's
// name, to which "_above_200k_tokens" or "_priority" or both are appended.
struct VariedMember {
  std::string_view stem;
  std::optional<int64_t> PriceTier::*by_length;
  std::optional<int64_t> ServiceTierPrices::*by_service;
};
constexpr VariedMember kVariedMembers[] = {
    {"input_cost_per_token", &PriceTier::input_pico, &ServiceTierPrices::input_pico},
    {"output_cost_per_token", &PriceTier::output_pico, &ServiceTierPrices::output_pico},
    {"cache_read_input_token_cost", &PriceTier::cache_read_pico,
     &ServiceTierPrices::cache_read_pico},
    {"cache_creation_input_token_cost", &PriceTier::cache_write_pico,
     &ServiceTierPrices::cache_write_pico},
};
// Service tiers that a request may ask for. (Batches are another API.)
constexpr std::string_view kServiceTiers[] = {"flex", "priority"};

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

// "_above_200k_tokens_priority" → 200000, and leaves "_priority"; 0 when there is no bound.
int64_t take_length(std::string_view& rest) {
  constexpr std::string_view kPrefix = "_above_", kUnit = "k_tokens";
  const size_t unit = rest.find(kUnit);
  if (!rest.starts_with(kPrefix) || unit == rest.npos) return 0;
  const Result<uint64_t> thousands =
      parse_u64(rest.substr(kPrefix.size(), unit - kPrefix.size()), "tier");
  if (!thousands.ok() || *thousands == 0 || *thousands > 100'000) return 0;
  rest.remove_prefix(unit + kUnit.size());
  return static_cast<int64_t>(*thousands) * 1000;
}

PriceTier& tier_of(Price& price, int64_t above) {
  for (PriceTier& tier : price.tiers) {
    if (tier.above_input_tokens == above) return tier;
  }
  return price.tiers.emplace_back(PriceTier{.above_input_tokens = above});
}

ServiceTierPrices& service_of(Price& price, std::string_view name, int64_t above) {
  for (ServiceTierPrices& service : price.service_tiers) {
    if (service.name == name && service.above_input_tokens == above) return service;
  }
  return price.service_tiers.emplace_back(
      ServiceTierPrices{.name = std::string(name), .above_input_tokens = above});
}

// The field of a price that a length of input or a service tier changes; null when `name` is none.
std::optional<int64_t>* varied_field(Price& price, std::string_view name) {
  for (const VariedMember& member : kVariedMembers) {
    if (!name.starts_with(member.stem)) continue;
    std::string_view rest = name.substr(member.stem.size());
    const int64_t above = take_length(rest);
    if (rest.empty() && above > 0) return &(tier_of(price, above).*member.by_length);
    for (const std::string_view service : kServiceTiers) {
      if (rest.size() == service.size() + 1 && rest[0] == '_' && rest.substr(1) == service) {
        return &(service_of(price, service, above).*member.by_service);
      }
    }
  }
  return nullptr;
}

// {"fast": 6.0, "us": 1.1}
Status read_factors(Price& price, const Json& object) {
  for (const auto& [name, unused] : object.items()) {
    // A price of "1.1" has the digits of a factor of 1.1; a millionth of a dollar is 10^6 pico.
    const int64_t pico = KVCS_TRY(read_pico(price.model, name, object, 1'000 * kPicoUsdPerUsd));
    if (pico % 1'000'000 != 0) {
      return invalid(price.model + ".provider_specific_entry." + printable(name, kShownName) +
                     ": a factor has at most six decimals.");
    }
    price.factors.push_back({name, pico / 1'000'000});
  }
  return ok();
}

// One price for all sizes ("web_search_cost_per_call"), or one for each.
Status read_search_prices(Price& price, const Json& object) {
  for (const auto& [size, unused] : object.items()) {
    const auto known = std::find(kSearchNames.begin(), kSearchNames.end(), size);
    if (known == kSearchNames.end()) {
      return invalid(price.model + ".search_context_cost_per_query: unknown size '" +
                     printable(size, kShownName) + "'.");
    }
    price.web_search_pico[static_cast<size_t>(known - kSearchNames.begin())] =
        KVCS_TRY(read_pico(price.model, size, object, kCallMaxPico));
  }
  return ok();
}

// Facts and prices that have no table of their own. False: `name` is none of them.
Result<bool> read_single_member(Price& price, const std::string& name, const Json& object) {
  const Json& value = object.at(name);
  const auto pico = [&](int64_t max_pico) {
    return read_pico(price.model, name, object, max_pico);
  };
  if (name == "input_cost_per_token") {
    price.input_pico = KVCS_TRY(pico(kPicoUsdPerUsd));
  } else if (name == "output_cost_per_token") {
    price.output_pico = KVCS_TRY(pico(kPicoUsdPerUsd));
  } else if (name == "input_cost_per_request") {
    price.request_pico = KVCS_TRY(pico(kCallMaxPico));
  } else if (name == "web_search_cost_per_call") {
    price.web_search_pico.fill(KVCS_TRY(pico(kCallMaxPico)));
  } else if (name == "search_context_cost_per_query" && value.is_object()) {
    KVCS_TRY(read_search_prices(price, value));
  } else if (name == "provider_specific_entry" && value.is_object()) {
    KVCS_TRY(read_factors(price, value));
  } else if (name == "max_input_tokens") {
    price.max_input_tokens = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "max_output_tokens") {
    price.max_output_tokens = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "max_tokens_per_image") {
    price.image_tokens_max = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "searches_per_request") {
    price.searches_per_request = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "supports_reasoning" && value.is_boolean()) {
    price.supports_reasoning = value.get<bool>();
  } else if (name == "litellm_provider" && value.is_string()) {
    if (price.provider.empty()) price.provider = value.get<std::string>();
  } else if (name == "mode" && value.is_string()) {
    price.mode = value.get<std::string>();
  } else if (name == "source" && value.is_string()) {
    price.source = value.get<std::string>();
  } else if (name == "date" && value.is_string()) {
    price.date = value.get<std::string>();
  } else {
    return false;
  }
  return true;
}

Status read_member(Price& price, const std::string& name, const Json& object,
                   UnknownMembers unknown) {
  for (const OptionalMember& member : kOptionalMembers) {
    if (name == member.name) {
      price.*member.field = KVCS_TRY(read_pico(price.model, name, object, member.max_pico));
      return ok();
    }
  }
  if (std::optional<int64_t>* field = varied_field(price, name); field != nullptr) {
    *field = KVCS_TRY(read_pico(price.model, name, object, kPicoUsdPerUsd));
    return ok();
  }
  if (KVCS_TRY(read_single_member(price, name, object)) || is_informational(name) ||
      unknown == UnknownMembers::kIgnore) {
    return ok();
  }
  return invalid(price.model + ": unknown member '" + printable(name, kShownName) + "'.");
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

// One member when all sizes cost the same.
void write_search_prices(const Price& price, Json& out) {
  const auto& all = price.web_search_pico;
  if (all[kSearchLow] && all[kSearchLow] == all[kSearchMedium] &&
      all[kSearchLow] == all[kSearchHigh]) {
    out["web_search_cost_per_call"] = usd_per_token(*all[kSearchLow]);
    return;
  }
  for (size_t size = 0; size < kSearchSizes; size++) {
    if (all[size])
      out["search_context_cost_per_query"][kSearchNames[size]] = usd_per_token(*all[size]);
  }
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
  const auto length = [](int64_t above) {
    return above == 0 ? std::string() : "_above_" + std::to_string(above / 1000) + "k_tokens";
  };
  for (const VariedMember& member : kVariedMembers) {
    const std::string stem(member.stem);
    for (const PriceTier& tier : price.tiers) {
      const std::optional<int64_t>& pico = tier.*member.by_length;
      if (pico) out[stem + length(tier.above_input_tokens)] = usd_per_token(*pico);
    }
    for (const ServiceTierPrices& tier : price.service_tiers) {
      const std::optional<int64_t>& pico = tier.*member.by_service;
      if (pico) {
        out[stem + length(tier.above_input_tokens) + "_" + tier.name] = usd_per_token(*pico);
      }
    }
  }
  write_search_prices(price, out);
  if (price.request_pico > 0) out["input_cost_per_request"] = usd_per_token(price.request_pico);
  for (const PriceFactor& factor : price.factors) {
    out["provider_specific_entry"][factor.name] =
        json_decimal(format_pico_usd(factor.millionths * 1'000'000));
  }
  if (price.max_input_tokens > 0) out["max_input_tokens"] = price.max_input_tokens;
  if (price.max_output_tokens > 0) out["max_output_tokens"] = price.max_output_tokens;
  if (price.image_tokens_max > 0) out["max_tokens_per_image"] = price.image_tokens_max;
  if (price.searches_per_request > 0) out["searches_per_request"] = price.searches_per_request;
  if (price.supports_reasoning) out["supports_reasoning"] = true;
  if (!price.source.empty()) out["source"] = price.source;
  if (!price.date.empty()) out["date"] = price.date;
  return out;
}

namespace {

const ServiceTierPrices* service_prices(const Price& price, std::string_view name, int64_t above) {
  for (const ServiceTierPrices& one : price.service_tiers) {
    if (one.name == name && one.above_input_tokens == above) return &one;
  }
  return nullptr;
}

// `long_price` × `part` / `whole`, up: what keeps its ratio when an input is long.
int64_t in_ratio(int64_t long_price, int64_t part, int64_t whole) {
  if (whole <= 0) return std::max(long_price, part);
  const __int128 product = static_cast<__int128>(long_price) * part + (whole - 1);
  return static_cast<int64_t>(std::min<__int128>(product / whole, INT64_MAX / 4));
}

// The prices of text for one length of input and the service tier, before anything falls back.
struct TextPrices {
  int64_t input, output;
  std::optional<int64_t> cache_read, cache_write, cache_write_1h;
};

void take_length_tier(const PriceTier& tier, TextPrices& prices) {
  prices.input = tier.input_pico.value_or(prices.input);
  prices.output = tier.output_pico.value_or(prices.output);
  if (tier.cache_read_pico) prices.cache_read = tier.cache_read_pico;
  // The one-hour bucket keeps its ratio to the default one: tiers state only the latter.
  if (tier.cache_write_pico && prices.cache_write_1h && prices.cache_write.value_or(0) > 0) {
    prices.cache_write_1h = static_cast<int64_t>(static_cast<__int128>(*prices.cache_write_1h) *
                                                 *tier.cache_write_pico / *prices.cache_write);
  }
  if (tier.cache_write_pico) prices.cache_write = tier.cache_write_pico;
}

// A service tier that states the price of this length has it; one that states the price of short
// inputs alone keeps its ratio to the plain one.
void take_service_tier(const Price& price, std::string_view name, int64_t above,
                       TextPrices& prices) {
  const ServiceTierPrices* exact = above > 0 ? service_prices(price, name, above) : nullptr;
  const ServiceTierPrices* base = service_prices(price, name, 0);
  const auto apply = [&](std::optional<int64_t> ServiceTierPrices::*field, int64_t plain,
                         int64_t& out) {
    if (exact != nullptr && exact->*field) {
      out = *(exact->*field);
    } else if (base != nullptr && base->*field) {
      out = above > 0 ? in_ratio(out, *(base->*field), plain) : *(base->*field);
    }
  };
  const auto apply_cache = [&](std::optional<int64_t> ServiceTierPrices::*field,
                               const std::optional<int64_t>& plain, std::optional<int64_t>& out) {
    int64_t value = out.value_or(prices.input);
    const int64_t before = value;
    apply(field, plain.value_or(price.input_pico), value);
    if (value != before || (base != nullptr && base->*field)) out = value;
  };
  apply_cache(&ServiceTierPrices::cache_read_pico, price.cache_read_pico, prices.cache_read);
  apply_cache(&ServiceTierPrices::cache_write_pico, price.cache_write_5m_pico, prices.cache_write);
  apply(&ServiceTierPrices::input_pico, price.input_pico, prices.input);
  apply(&ServiceTierPrices::output_pico, price.output_pico, prices.output);
}

// Nothing when the row has no such factor.
std::optional<int64_t> factor_of(const Price& price, std::string_view name) {
  for (const PriceFactor& factor : price.factors) {
    if (factor.name == name) return factor.millionths;
  }
  return std::nullopt;
}

SearchSize search_size(std::string_view name) {
  if (name == "low") return kSearchLow;
  return name == "high" ? kSearchHigh : kSearchMedium;
}

void multiply(Rates& rates, int64_t millionths) {
  for (int64_t Rates::*rate :
       {&Rates::input, &Rates::cache_read, &Rates::cache_write_5m, &Rates::cache_write_1h,
        &Rates::input_audio, &Rates::input_image, &Rates::output, &Rates::reasoning,
        &Rates::output_audio, &Rates::output_image}) {
    rates.*rate = in_ratio(rates.*rate, millionths, 1'000'000);
  }
}

}  // namespace

Rates rates_of(const Price& price, const TokenUsage& conditions, int64_t input_tokens) {
  // Three steps: the prices for the length of the input, over them those of the service tier, and
  // what is still not stated costs as plain input or output. A tier for long inputs holds for the
  // whole request and not only for the tokens above its bound.
  TextPrices text{price.input_pico, price.output_pico, price.cache_read_pico,
                  price.cache_write_5m_pico, price.cache_write_1h_pico};
  int64_t above = 0;
  for (const PriceTier& tier : price.tiers) {
    if (input_tokens <= tier.above_input_tokens) break;
    take_length_tier(tier, text);
    above = tier.above_input_tokens;
  }
  if (!conditions.service_tier.empty()) {
    take_service_tier(price, conditions.service_tier, above, text);
  }
  Rates rates{.input = text.input, .output = text.output};
  rates.cache_read = text.cache_read.value_or(text.input);
  rates.cache_write_5m = text.cache_write.value_or(text.input);
  rates.cache_write_1h = text.cache_write_1h.value_or(rates.cache_write_5m);
  rates.input_audio = price.input_audio_pico.value_or(text.input);
  rates.input_image = price.input_image_pico.value_or(text.input);
  rates.reasoning = price.reasoning_pico.value_or(text.output);
  rates.output_audio = price.output_audio_pico.value_or(text.output);
  rates.output_image = price.output_image_pico.value_or(text.output);
  for (const std::string& name : {conditions.speed, conditions.region}) {
    if (name.empty()) continue;
    if (const auto factor = factor_of(price, name)) multiply(rates, *factor);
  }
  rates.web_search = price.web_search_pico[search_size(conditions.search_size)].value_or(0);
  rates.file_search = price.file_search_pico.value_or(0);
  rates.code_session = price.code_session_pico.value_or(0);
  rates.image_made = price.image_made_pico.value_or(0);
  return rates;
}

int64_t cost_nano_usd(const Price& price, const TokenUsage& usage) {
  struct Term {
    int64_t TokenUsage::*count;
    int64_t Rates::*rate;
  };
  static constexpr Term kTerms[] = {
      {&TokenUsage::input, &Rates::input},
      {&TokenUsage::cache_read, &Rates::cache_read},
      {&TokenUsage::cache_write_5m, &Rates::cache_write_5m},
      {&TokenUsage::cache_write_1h, &Rates::cache_write_1h},
      {&TokenUsage::input_audio, &Rates::input_audio},
      {&TokenUsage::input_image, &Rates::input_image},
      {&TokenUsage::output, &Rates::output},
      {&TokenUsage::reasoning, &Rates::reasoning},
      {&TokenUsage::output_audio, &Rates::output_audio},
      {&TokenUsage::output_image, &Rates::output_image},
      {&TokenUsage::web_searches, &Rates::web_search},
      {&TokenUsage::file_searches, &Rates::file_search},
      {&TokenUsage::code_sessions, &Rates::code_session},
      {&TokenUsage::images_made, &Rates::image_made},
  };
  const Rates rates = rates_of(price, usage, usage.input_total());
  __int128 pico = price.request_pico;
  for (const Term& term : kTerms) {
    pico += static_cast<__int128>(std::max<int64_t>(usage.*term.count, 0)) * (rates.*term.rate);
  }
  // A figure that no budget can hold stays representable.
  constexpr __int128 kMaxPico = static_cast<__int128>(INT64_MAX) / 2 * 1000;
  return pico_to_nano_ceil(std::min(pico, kMaxPico));
}

std::string unpriced_dimension(const Price& price, const TokenUsage& usage) {
  if (usage.web_searches > 0 && !price.web_search_pico[search_size(usage.search_size)]) {
    return "web_search";
  }
  if (usage.file_searches > 0 && !price.file_search_pico) return "file_search";
  if (usage.code_sessions > 0 && !price.code_session_pico) return "code_session";
  if (usage.images_made > 0 && !price.image_made_pico) return "image_generation";
  if (usage.output_image > 0 && !price.output_image_pico) return "image_output";
  if (usage.output_audio > 0 && !price.output_audio_pico) return "audio_output";
  if (usage.input_audio > 0 && !price.input_audio_pico) return "audio_input";
  const bool has_tier =
      usage.service_tier.empty() || service_prices(price, usage.service_tier, 0) != nullptr;
  if (!has_tier) return "service_tier " + usage.service_tier;
  if (!usage.speed.empty() && !factor_of(price, usage.speed)) return "speed " + usage.speed;
  if (!usage.region.empty() && !factor_of(price, usage.region)) return "region " + usage.region;
  return "";
}

}  // namespace kvcs::ai
