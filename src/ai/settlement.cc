// Takes the provider's figures where it stated them, and bounds or estimates the rest.
#include "ai/settlement.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "ai/prices/dimensions.h"
#include "base/bytes.h"

namespace kvcs::ai {
namespace {

// Where a price row does not say what its model can do, these are the most that any model can, and
// the calls of one kind that one answer can have made, and how often a model can have read its
// input for tools of the provider whose calls are not counted.
constexpr int64_t kInputMax = 10'000'000, kOutputMax = 1'000'000, kCallsMax = 1'000;
constexpr int64_t kReadingsMax = 100;

// A kind that a token may be of, and what it costs then.
struct Kind {
  bool is_possible;
  int64_t TokenUsage::*count;
  int64_t pico;
};
// The first of `kinds` is possible. Of equal prices the first counts.
int64_t TokenUsage::*dearest(std::initializer_list<Kind> kinds) {
  return std::max_element(kinds.begin(), kinds.end(),
                          [](const Kind& a, const Kind& b) {
                            return (a.is_possible ? a.pico : -1) < (b.is_possible ? b.pico : -1);
                          })
      ->count;
}

// The work of one settlement.
class Settling final {
 public:
  Settling(const ChatRequest& chat, const Price& price, const WorstCase& worst,
           const UsageMeter* meter, ExchangeEnd end)
      : chat_(chat), price_(price), worst_(worst), meter_(meter), end_(end) {
    if (meter != nullptr) seen_ = meter->seen();
    disbelieve_zeros();
  }

  Settlement settle() {
    if (is_free()) return {};
    out_.tokens = seen_.stated;
    take_conditions();
    take_input();
    take_output();
    take_calls();
    take_dearer_tier();
    const std::string unpriced = unpriced_dimension(price_, out_.tokens);
    if (!unpriced.empty()) {
      find("ai.unpriced_dimension",
           "The answer of '" + price_.model + "' used " + printable(unpriced, kShownValue) +
               ", for which its price has no member; it was charged at the plain price, if any.");
    }
    return std::move(out_);
  }

 private:
  // No work is done on nothing, and text that was seen is some output: a server that states zeros
  // states nothing.
  void disbelieve_zeros() {
    const TokenUsage& stated = seen_.stated;
    const bool has_failed = meter_ != nullptr && meter_->has_error();
    const bool has_worked = chat_.has_output ? seen_.output_bytes > 0 || stated.output_total() > 0
                                             : end_ == ExchangeEnd::kAnswered && !has_failed;
    if (!has_worked) return;
    if (stated.input_total() == 0 && !seen_.input_is_absurd) seen_.has_input = false;
    if (stated.output_total() == 0 && !seen_.output_is_absurd) {
      seen_.has_output = seen_.output_is_final = false;
    }
  }

  bool has_figures() const { return seen_.has_input || (seen_.has_output && chat_.has_output); }

  bool is_free() const {
    if (end_ == ExchangeEnd::kNotSent) return true;
    if (has_figures()) return false;
    if (end_ == ExchangeEnd::kRefused) return true;
    return meter_ != nullptr && meter_->has_error() && seen_.output_bytes == 0;
  }

  void find(std::string event, std::string message) {
    out_.findings.push_back({std::move(event), std::move(message)});
  }

  void take_conditions() {
    TokenUsage& tokens = out_.tokens;
    if (!seen_.has_tier) tokens.service_tier = chat_.asked.service_tier;
    tier_is_open_ = !seen_.has_tier && !chat_.asked.service_tier.empty();
    if (!seen_.has_speed) tokens.speed = chat_.asked.speed;
    if (!seen_.has_region) tokens.region = chat_.asked.region;
    tokens.search_size = chat_.asked.search_size;
  }

  // A provider that does not say in which tier it served may have served in the standard one.
  void take_dearer_tier() {
    if (!tier_is_open_) return;
    TokenUsage standard = out_.tokens;
    standard.service_tier.clear();
    if (cost_nano_usd(price_, standard) > cost_nano_usd(price_, out_.tokens)) {
      out_.tokens.service_tier.clear();
    }
  }

  // All input at its dearest, as it was reserved.
  void set_input(int64_t count) {
    TokenUsage& tokens = out_.tokens;
    tokens.input = tokens.cache_read = tokens.cache_write_5m = tokens.cache_write_1h = 0;
    tokens.input_audio = tokens.input_image = 0;
    const Rates rates = rates_of(price_, tokens, count);
    tokens.*dearest({{true, &TokenUsage::input, rates.input},
                     {chat_.cache_writes != CacheWrites::kNone, &TokenUsage::cache_write_5m,
                      rates.cache_write_5m},
                     {chat_.cache_writes == CacheWrites::kLong, &TokenUsage::cache_write_1h,
                      rates.cache_write_1h},
                     {chat_.asked.input_audio > 0, &TokenUsage::input_audio, rates.input_audio}}) =
        count;
  }

  // Whether no more figures can come.
  bool is_over() const { return meter_ != nullptr && (meter_->complete() || meter_->has_error()); }

  // A stream may state its input when it begins. What the provider's tools find, and what is read
  // once more for a compaction, come on top of that.
  bool input_may_grow() const {
    const std::string_view by = chat_.unbounded_by;
    return by.starts_with("tools[]") || by == "mcp_servers" || by == "container" ||
           chat_.samplings > seen_.samplings;
  }

  void take_input() {
    // A model reads its input again after each call of the provider's tools.
    int64_t readings = std::max(chat_.samplings, seen_.samplings);
    for (const Dimension& call : call_dimensions()) readings += worst_.calls.*call.count;
    if (input_may_grow()) readings += kReadingsMax;
    const int64_t reserved = worst_.input_tokens * chat_.samplings;
    if (!seen_.has_input && !seen_.input_is_absurd) {
      out_.tokens.estimated = true;
      return set_input(reserved);
    }
    const int64_t context = price_.max_input_tokens > 0 ? price_.max_input_tokens : kInputMax;
    const int64_t can = std::max(context, worst_.input_tokens) * readings;
    TokenUsage& tokens = out_.tokens;
    // An API that states one figure for all writes means those that were asked for.
    if (chat_.cache_writes == CacheWrites::kLong && !seen_.splits_cache_writes) {
      tokens.cache_write_1h += std::exchange(tokens.cache_write_5m, 0);
    }
    const int64_t stated = tokens.input_total();
    if (!seen_.input_is_absurd && stated <= can) {
      if (is_over() || !input_may_grow()) return;
      tokens.estimated = true;
      return set_input(std::max(stated, reserved));
    }
    find("ai.absurd_usage", absurd("input", stated, seen_.input_is_absurd, can));
    set_input(can);
  }

  int64_t output_bound() const {
    const int64_t most = price_.max_output_tokens > 0 ? price_.max_output_tokens : kOutputMax;
    const int64_t each = std::max(most, worst_.output_tokens);
    return each * chat_.choices * std::max(chat_.samplings, seen_.samplings) +
           chat_.prediction_bytes;
  }

  // The whole output as plain output, beside what is known of its kinds.
  void set_output(int64_t count) {
    TokenUsage& tokens = out_.tokens;
    const int64_t beside = tokens.reasoning + tokens.output_audio + tokens.output_image;
    if (beside > count) {
      tokens.reasoning = tokens.output_audio = tokens.output_image = 0;
      tokens.output = count;
    } else {
      tokens.output = count - beside;
    }
  }

  // An output that nobody stated, at the dearest of the kinds that the request can have, as it was
  // reserved.
  void estimate_output(int64_t count) {
    TokenUsage& tokens = out_.tokens;
    tokens.output = tokens.reasoning = tokens.output_audio = tokens.output_image = 0;
    const Rates rates = rates_of(price_, tokens, tokens.input_total());
    tokens.*dearest({{true, &TokenUsage::output, rates.output},
                     {price_.supports_reasoning || chat_.asks_reasoning, &TokenUsage::reasoning,
                      rates.reasoning},
                     {chat_.asked.output_audio > 0, &TokenUsage::output_audio, rates.output_audio},
                     {chat_.asked.output_image > 0 || price_.output_image_pico.has_value(),
                      &TokenUsage::output_image, rates.output_image}}) = count;
  }

  void take_output() {
    if (!chat_.has_output) {
      out_.tokens.output = out_.tokens.reasoning = 0;
      return;
    }
    const int64_t can = output_bound();
    const int64_t stated = out_.tokens.output_total();
    if (seen_.output_is_absurd || stated > can) {
      find("ai.absurd_usage", absurd("output", stated, seen_.output_is_absurd, can));
      return set_output(can);
    }
    if (seen_.has_output && seen_.output_is_final) return;
    // An answer that failed before its first text has made none.
    if (meter_ != nullptr && meter_->has_error() && seen_.output_bytes == 0) return;
    out_.tokens.estimated = true;
    const int64_t reserved =
        worst_.output_tokens * chat_.choices * chat_.samplings + chat_.prediction_bytes;
    // Reasoning is not shown as it is billed, nor is the summary of a compaction, and an answer
    // that is not streamed shows nothing before its end.
    const bool is_hidden = price_.supports_reasoning || chat_.asks_reasoning ||
                           chat_.samplings > 1 || end_ == ExchangeEnd::kUnread ||
                           (!chat_.stream && end_ == ExchangeEnd::kUnknown);
    const int64_t shown = std::max(stated, seen_.output_bytes);
    estimate_output(is_hidden ? std::max(stated, reserved)
                              : std::min(shown, std::max(reserved, stated)));
  }

  void take_calls() {
    // What an answer without figures did is not known, complete or not.
    const bool is_known = has_figures() && (end_ == ExchangeEnd::kAnswered ||
                                            (meter_ != nullptr && meter_->complete()));
    for (const Dimension& call : call_dimensions()) {
      int64_t& count = out_.tokens.*call.count;
      // Some APIs do not let the request bound its calls, and what is stored (a prompt) may bring
      // tools of its own.
      const int64_t asked = worst_.calls.*call.count;
      const int64_t can = asked > 0 && seen_.counts_calls ? asked : kCallsMax;
      if (count > can) {
        find("ai.absurd_usage", absurd("calls", count, false, can));
        count = can;
      }
      if (!is_known) {
        out_.tokens.estimated = out_.tokens.estimated || count < asked;
        count = std::max(count, asked);
      } else if (!seen_.counts_calls) {
        count = std::max(count, std::min<int64_t>(chat_.asked.*call.count, 1));
      }
    }
    int64_t& searches = out_.tokens.web_searches;
    searches = std::max(searches, price_.searches_per_request);
  }

  std::string absurd(std::string_view what, int64_t stated, bool is_no_count, int64_t can) const {
    const std::string figure =
        is_no_count ? "a figure that is no count" : std::to_string(stated) + " tokens or calls";
    return "The provider of '" + printable(price_.model, kShownValue) + "' stated " + figure +
           " of " + std::string(what) + ", and the most that is possible is " +
           std::to_string(can) + "; that was charged.";
  }

  const ChatRequest& chat_;
  const Price& price_;
  const WorstCase& worst_;
  const UsageMeter* const meter_;
  const ExchangeEnd end_;
  SeenUsage seen_;
  Settlement out_;
  bool tier_is_open_ = false;  // The request asked for a service tier, and the answer names none.
};

}  // namespace

Settlement settle_usage(const ChatRequest& chat, const Price& price, const WorstCase& worst,
                        const UsageMeter* meter, ExchangeEnd end) {
  return Settling(chat, price, worst, meter, end).settle();
}

}  // namespace kvcs::ai
