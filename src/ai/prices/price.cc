// One price: reads it from LiteLLM's member names and writes it back to them. dimensions.cc says
// which member is which price, members.cc what the members mean that are not read.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "ai/prices/dimensions.h"
#include "ai/prices/members.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/money.h"

namespace kvcs::ai {
namespace {

constexpr int64_t kCallMaxPico = 100 * kPicoUsdPerUsd;
constexpr int64_t kFactorMax = 1'000;
constexpr std::string_view kRegionPrefix = "regional_processing_uplift_multiplier_";

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

// YAML has no types here: true is the text "true".
Result<bool> read_flag(std::string_view model, std::string_view member, const Json& value) {
  if (value == true || value == "true") return true;
  if (value == false || value == "false") return false;
  return invalid(std::string(model) + "." + std::string(member) + ": must be true or false.");
}

Result<std::string> read_day(std::string_view model, const std::string& member,
                             const Json& object) {
  const Json& value = object.at(member);
  const std::string text = value.is_string() ? value.get<std::string>() : "";
  if (text.size() != 10 || !parse_iso8601_ms(text).ok()) {
    return invalid(std::string(model) + "." + member + ": must be a day, as 2026-11-29.");
  }
  return text;
}

// "_above_200k_tokens_priority" → 200000, and leaves "_priority"; 0 when there is no bound. Where a
// provider's own bound is not above but at a number, the row says "_above_199999_tokens".
int64_t take_length(std::string_view& rest) {
  constexpr std::string_view kPrefix = "_above_", kUnit = "_tokens";
  const size_t unit = rest.find(kUnit);
  if (!rest.starts_with(kPrefix) || unit == rest.npos || unit <= kPrefix.size()) return 0;
  std::string_view digits = rest.substr(kPrefix.size(), unit - kPrefix.size());
  const bool in_thousands = digits.ends_with('k');
  if (in_thousands) digits.remove_suffix(1);
  const Result<uint64_t> count = parse_u64(digits, "tier");
  if (!count.ok() || *count == 0 || *count > 100'000'000) return 0;
  rest.remove_prefix(unit + kUnit.size());
  return static_cast<int64_t>(*count) * (in_thousands ? 1000 : 1);
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

// The price of `dimension` for a length of input, a service tier or both, which `rest` names; null
// when it names neither.
std::optional<int64_t>* varied_field(Price& price, const Dimension& dimension,
                                     std::string_view rest) {
  const int64_t above = take_length(rest);
  if (rest.empty()) return above > 0 ? &(tier_of(price, above).*dimension.by_length) : nullptr;
  for (const std::string_view service : priced_service_tiers()) {
    if (rest[0] == '_' && rest.substr(1) == service) {
      return &(service_of(price, service, above).*dimension.by_service);
    }
  }
  return nullptr;
}

// Reads a price of the table of dimensions. False: `name` is none of them.
Result<bool> read_dimension(Price& price, const std::string& name, const Json& object) {
  for (const Dimension& dimension : dimensions()) {
    if (!name.starts_with(dimension.member)) continue;
    const bool is_call = dimension.unit == PricedUnit::kCall;
    const std::string_view rest = std::string_view(name).substr(dimension.member.size());
    std::optional<int64_t>* varied = nullptr;
    if (!rest.empty()) {
      if (!is_call) varied = varied_field(price, dimension, rest);
      if (varied == nullptr) continue;
    }
    const int64_t pico =
        KVCS_TRY(read_pico(price.model, name, object, is_call ? kCallMaxPico : kPicoUsdPerUsd));
    if (varied != nullptr) {
      *varied = pico;
    } else if (dimension.by_size != nullptr) {
      std::fill_n((price.*dimension.by_size).begin(), kSearchPreview, pico);
    } else {
      price.*dimension.stated = pico;
    }
    return true;
  }
  return false;
}

// Of a factor that is stated twice the dearer one holds.
Status add_factor(Price& price, const std::string& factor, const std::string& name,
                  const Json& object) {
  // A price of "1.1" has the digits of a factor of 1.1; a millionth of a dollar is 10^6 pico.
  const int64_t pico = KVCS_TRY(read_pico(price.model, name, object, kFactorMax * kPicoUsdPerUsd));
  if (pico % 1'000'000 != 0) {
    return invalid(price.model + "." + printable(name, kShownName) +
                   ": a factor has at most six decimals.");
  }
  const int64_t millionths = pico / 1'000'000;
  for (PriceFactor& known : price.factors) {
    if (known.name != factor) continue;
    known.millionths = std::max(known.millionths, millionths);
    return ok();
  }
  price.factors.push_back({factor, millionths});
  return ok();
}

// {"fast": 6.0, "us": 1.1}
Status read_factors(Price& price, const Json& object) {
  for (const auto& [name, unused] : object.items()) {
    if (name.empty() || name.size() > 40) {
      return invalid(price.model + ".provider_specific_entry: a name must have 1 to 40 bytes.");
    }
    KVCS_TRY(add_factor(price, name, name, object));
  }
  return ok();
}

// A price of web searches for each size.
Status read_search_prices(Price& price, const Json& object) {
  const auto sizes = search_size_members();
  for (const auto& [size, unused] : object.items()) {
    const auto known = std::find(sizes.begin(), sizes.end(), size);
    if (known == sizes.end()) {
      return invalid(price.model + ".search_context_cost_per_query: unknown size '" +
                     printable(size, kShownName) + "'.");
    }
    price.web_search_pico[static_cast<size_t>(known - sizes.begin())] =
        KVCS_TRY(read_pico(price.model, size, object, kCallMaxPico));
  }
  return ok();
}

// Whether the model searches in every request, asked to or not: the search models of OpenAI's
// chat API and Perplexity's. (A deep-research model searches as often as it wants, by a tool.)
bool always_searches(const Price& price) {
  if (price.mode != "chat") return false;
  if (price.provider == "perplexity" || price.model.starts_with("sonar")) return true;
  const std::string name = "-" + price.model + "-";
  return name.find("-search-") != std::string::npos;
}

// Facts and prices that have no table of their own. False: `name` is none of them.
Result<bool> read_single_member(Price& price, const std::string& name, const Json& object) {
  const Json& value = object.at(name);
  const auto pico = [&](int64_t max_pico) {
    return read_pico(price.model, name, object, max_pico);
  };
  if (name == "input_cost_per_request") {
    price.request_pico = KVCS_TRY(pico(kCallMaxPico));
  } else if (name == "file_search_cost_per_1k_calls") {
    const int64_t thousand = KVCS_TRY(pico(1'000 * kCallMaxPico));
    price.file_search_pico = (thousand + 999) / 1'000;
  } else if (name == "web_search_preview_cost_per_call") {
    price.web_search_pico[kSearchPreview] = KVCS_TRY(pico(kCallMaxPico));
  } else if (name == "search_context_cost_per_query" && value.is_object()) {
    KVCS_TRY(read_search_prices(price, value));
  } else if (name == "provider_specific_entry" && value.is_object()) {
    KVCS_TRY(read_factors(price, value));
  } else if (name.starts_with(kRegionPrefix)) {
    KVCS_TRY(add_factor(price, name.substr(kRegionPrefix.size()), name, object));
  } else if (name == "max_input_tokens") {
    price.max_input_tokens = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "max_output_tokens") {
    price.max_output_tokens = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "max_tokens_per_image") {
    price.image_tokens_max = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "searches_per_request") {
    price.searches_per_request = KVCS_TRY(read_tokens(price.model, name, value));
  } else if (name == "supports_reasoning") {
    price.supports_reasoning = KVCS_TRY(read_flag(price.model, name, value));
  } else if (name == "litellm_provider" && value.is_string()) {
    if (price.provider.empty()) price.provider = value.get<std::string>();
  } else if (name == "mode" && value.is_string()) {
    price.mode = value.get<std::string>();
  } else if (name == "source" && value.is_string()) {
    price.source = value.get<std::string>();
  } else if (name == "date") {
    price.date = KVCS_TRY(read_day(price.model, name, object));
  } else if (name == "deprecation_date") {
    price.deprecation_date = KVCS_TRY(read_day(price.model, name, object));
  } else {
    return false;
  }
  return true;
}

}  // namespace

bool lacks_search_price(std::string_view model, const Json& row) {
  const Result<Price> price = parse_price(model, row, UnknownMembers::kIgnore);
  return price.ok() && price->searches_per_request > 0 &&
         !price->web_search_pico[kSearchMedium].has_value();
}

Status check_row(std::string_view model, const Json& row) {
  return parse_price(model, row, UnknownMembers::kRefuse).status();
}

Result<bool> read_price_member(Price& price, const std::string& member, const Json& row) {
  if (KVCS_TRY(read_dimension(price, member, row))) return true;
  return read_single_member(price, member, row);
}

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
    if (KVCS_TRY(read_price_member(price, name, object)) || unknown == UnknownMembers::kIgnore ||
        meaning_of(name, object) == MemberMeaning::kFact) {
      continue;
    }
    return invalid(price.model + ": unknown member '" + printable(name, kShownName) + "'.");
  }
  if (!object.contains("input_cost_per_token") && !object.contains("output_cost_per_token")) {
    return invalid(printable(model) +
                   ": needs input_cost_per_token or output_cost_per_token (0 for free).");
  }
  std::sort(price.tiers.begin(), price.tiers.end(), [](const PriceTier& a, const PriceTier& b) {
    return a.above_input_tokens < b.above_input_tokens;
  });
  if (!object.contains("searches_per_request") && always_searches(price)) {
    price.searches_per_request = 1;
  }
  return price;
}

Result<std::shared_ptr<const Price>> parse_dated_price(std::string_view model, const Json& object) {
  const auto later = object.find("later");
  if (later == object.end()) {
    const Price price = KVCS_TRY(parse_price(model, object, UnknownMembers::kRefuse));
    return std::make_shared<const Price>(price);
  }
  const std::string name = std::string(model) + ".later";
  if (!later->is_object() || !later->contains("from")) {
    return invalid(name + ": must be an object with the day `from`, and the members that change.");
  }
  Json first = object, then = object;
  first.erase("later");
  then.erase("later");
  for (const auto& [member, value] : later->items()) {
    if (member != "from") then[member] = value;
  }
  Price price = KVCS_TRY(parse_price(model, first, UnknownMembers::kRefuse));
  const std::shared_ptr<const Price> changed = KVCS_TRY(parse_dated_price(model, then));
  auto next = std::make_shared<Price>(*changed);
  next->from = KVCS_TRY(read_day(name, "from", *later));
  if (next->later != nullptr && next->later->from <= next->from) {
    return invalid(name + ".later.from: must come after " + next->from + ".");
  }
  price.later = std::move(next);
  return std::make_shared<const Price>(std::move(price));
}

namespace {

// An exact decimal. A client that reads it into a double loses digits that kvcs has kept.
Json usd_per_token(int64_t pico_usd) {
  return json_decimal(format_pico_usd(pico_usd));
}

// One member when all sizes cost the same.
void write_search_prices(const Price& price, Json& out) {
  const auto& all = price.web_search_pico;
  if (all[kSearchPreview]) {
    out["web_search_preview_cost_per_call"] = usd_per_token(*all[kSearchPreview]);
  }
  if (all[kSearchLow] && all[kSearchLow] == all[kSearchMedium] &&
      all[kSearchLow] == all[kSearchHigh]) {
    out["web_search_cost_per_call"] = usd_per_token(*all[kSearchLow]);
    return;
  }
  for (size_t size = 0; size < search_size_members().size(); size++) {
    if (!all[size]) continue;
    const std::string name(search_size_members()[size]);
    out["search_context_cost_per_query"][name] = usd_per_token(*all[size]);
  }
}

// The prices of one dimension for long inputs and service tiers.
void write_varied_prices(const Price& price, const Dimension& dimension, Json& out) {
  const auto name_of = [&](int64_t above, const std::string& service) {
    std::string name(dimension.member);
    if (above % 1000 != 0) {
      name += "_above_" + std::to_string(above) + "_tokens";
    } else if (above > 0) {
      name += "_above_" + std::to_string(above / 1000) + "k_tokens";
    }
    return service.empty() ? name : name + "_" + service;
  };
  for (const PriceTier& tier : price.tiers) {
    const std::optional<int64_t>& pico = tier.*dimension.by_length;
    if (pico) out[name_of(tier.above_input_tokens, "")] = usd_per_token(*pico);
  }
  for (const ServiceTierPrices& tier : price.service_tiers) {
    const std::optional<int64_t>& pico = tier.*dimension.by_service;
    if (pico) out[name_of(tier.above_input_tokens, tier.name)] = usd_per_token(*pico);
  }
}

void write_dimension(const Price& price, const Dimension& dimension, Json& out) {
  const std::string name(dimension.member);
  if (dimension.by_size != nullptr) {
    write_search_prices(price, out);
  } else if (price.*dimension.stated) {
    out[name] = usd_per_token(*(price.*dimension.stated));
  }
  if (dimension.unit != PricedUnit::kCall) write_varied_prices(price, dimension, out);
}

}  // namespace

Json price_to_json(const Price& price) {
  Json out = {{"litellm_provider", price.provider}, {"mode", price.mode}};
  for (const Dimension& dimension : dimensions()) write_dimension(price, dimension, out);
  if (price.request_pico > 0) out["input_cost_per_request"] = usd_per_token(price.request_pico);
  for (const PriceFactor& factor : price.factors) {
    out["provider_specific_entry"][factor.name] =
        json_decimal(format_pico_usd(factor.millionths * 1'000'000));
  }
  if (price.max_input_tokens > 0) out["max_input_tokens"] = price.max_input_tokens;
  if (price.max_output_tokens > 0) out["max_output_tokens"] = price.max_output_tokens;
  if (price.image_tokens_max > 0) out["max_tokens_per_image"] = price.image_tokens_max;
  if (price.searches_per_request > 0 || always_searches(price)) {
    out["searches_per_request"] = price.searches_per_request;
  }
  if (price.supports_reasoning) out["supports_reasoning"] = true;
  if (!price.source.empty()) out["source"] = price.source;
  if (!price.date.empty()) out["date"] = price.date;
  if (!price.deprecation_date.empty()) out["deprecation_date"] = price.deprecation_date;
  return out;
}

}  // namespace kvcs::ai
