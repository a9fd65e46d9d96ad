// The series of AI requests, found by their labels without a lock. A series is made once, under a
// lock, and never removed, so that a pointer to it stays good.
#include "ai/ai_metrics.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"

namespace kvcs::ai {
namespace {

constexpr std::string_view kOther = "other";
// How the version of prices ends that an organization stated for models without a price. Such a
// model is named by the caller.
constexpr std::string_view kStatedPrices = "+stated";

struct Labels {
  std::string_view provider, model, organization;
  UsageOutcome outcome;

  bool are_other() const { return provider == kOther && model == kOther && organization == kOther; }
  size_t hash() const {
    constexpr std::hash<std::string_view> hash_of;
    auto hash = static_cast<size_t>(outcome);
    for (const std::string_view text : {provider, model, organization}) {
      hash = hash * 0x9e3779b97f4a7c15 + hash_of(text);
    }
    return hash;
  }
};

// One set of labels: a series of three of the metrics, and of the fourth one for each kind of
// token.
struct Series {
  Series(const Labels& labels, size_t hash_in, size_t kinds)
      : hash(hash_in),
        provider(labels.provider),
        model(labels.model),
        organization(labels.organization),
        outcome(labels.outcome),
        tokens(kinds) {}
  bool has(const Labels& labels) const {
    return outcome == labels.outcome && model == labels.model &&
           organization == labels.organization && provider == labels.provider;
  }

  const size_t hash;
  const std::string provider, model, organization;
  const UsageOutcome outcome;
  Counter* requests = nullptr;
  LatencyHistogram* first_token = nullptr;
  std::atomic<int64_t> cost_nano_usd{0};
  std::vector<std::atomic<Counter*>> tokens;  // By kind; null until such a token has come.
};

// "input_tokens" is the kind "input". What is not counted in tokens is none.
struct TokenKind {
  std::string_view name;
  int64_t TokenUsage::*count;
};

std::vector<TokenKind> token_kinds() {
  constexpr std::string_view kUnit = "_tokens";
  std::vector<TokenKind> kinds;
  for (const UsageMember& member : usage_members()) {
    if (member.count == nullptr || !member.name.ends_with(kUnit)) continue;
    kinds.push_back({member.name.substr(0, member.name.size() - kUnit.size()), member.count});
  }
  return kinds;
}

std::string_view or_other(std::string_view name) {
  return name.empty() ? kOther : name;
}

std::string labels_text(const Series& series) {
  std::string text = "provider=\"" + Metrics::escape_label(series.provider);
  text += "\",model=\"" + Metrics::escape_label(series.model);
  text += "\",outcome=\"" + std::string(usage_outcome_name(series.outcome));
  text += "\",organization=\"" + Metrics::escape_label(series.organization) + '"';
  return text;
}

}  // namespace

// An open hash table that only grows: those who look for a series read the slots, the one that adds
// a series holds the lock. The registry's own lock is taken under it, never the other way round.
struct AiMetrics::Impl {
  explicit Impl(Metrics& metrics_in) : metrics(metrics_in), kinds(token_kinds()) {}

  Series* find(const Labels& labels, size_t hash) const {
    for (size_t at = hash % kSlots;; at = (at + 1) % kSlots) {
      Series* series = slots[at].load(std::memory_order_acquire);
      if (series == nullptr || (series->hash == hash && series->has(labels))) return series;
    }
  }
  Series& find_or_make(const Labels& labels) {
    const size_t hash = labels.hash();
    if (Series* found = find(labels, hash)) return *found;
    const Labels other{kOther, kOther, kOther, labels.outcome};
    // Without this look each request beyond the limit would wait for the lock.
    if (is_full.load(std::memory_order_relaxed)) {
      if (Series* found = find(other, other.hash())) return *found;
    }
    const MutexLock lock(mutex);
    if (named_series >= kNamedMax && !labels.are_other()) {
      is_full.store(true, std::memory_order_relaxed);
      return add(other);
    }
    return add(labels);
  }

  // Room is left for the series called "other", one for each outcome.
  static constexpr size_t kNamedMax = kSeriesMax - kUsageOutcomeCount;
  static constexpr size_t kSlots = 2048;
  static_assert(kSlots >= 2 * kSeriesMax);  // A look soon meets an empty slot.

  Series& add(const Labels& labels) KVCS_REQUIRES(mutex);
  Counter& token_counter(Series& series, size_t kind);

  Metrics& metrics;
  const std::vector<TokenKind> kinds;
  std::array<std::atomic<Series*>, kSlots> slots{};
  std::atomic<bool> is_full{false};
  Counter input_tokens, output_tokens, cost_nano_usd;
  Mutex mutex;
  std::vector<std::unique_ptr<Series>> series_made KVCS_GUARDED_BY(mutex);
  size_t named_series KVCS_GUARDED_BY(mutex) = 0, named_tokens KVCS_GUARDED_BY(mutex) = 0;
};

// Another thread may have added it since the caller looked.
Series& AiMetrics::Impl::add(const Labels& labels) {
  const size_t hash = labels.hash();
  if (Series* found = find(labels, hash)) return *found;
  auto made = std::make_unique<Series>(labels, hash, kinds.size());
  Series& series = *made;
  const std::string text = labels_text(series);
  series.requests = &metrics.counter("kvcs_ai_requests_total",
                                     "Requests to AI providers, each try by itself.", text);
  series.first_token =
      &metrics.histogram("kvcs_ai_first_token_seconds",
                         "Until the first text of a stream, or the head of a whole answer.", text,
                         LatencyHistogram::kModelBoundsUs);
  metrics.counter_from(
      "kvcs_ai_cost_usd_total", "What AI requests were charged, in USD.",
      [&series] {
        return static_cast<double>(series.cost_nano_usd.load(std::memory_order_relaxed)) / 1e9;
      },
      text);
  if (!labels.are_other()) named_series++;
  series_made.push_back(std::move(made));
  size_t at = hash % kSlots;
  while (slots[at].load(std::memory_order_relaxed) != nullptr) at = (at + 1) % kSlots;
  slots[at].store(&series, std::memory_order_release);
  return series;
}

Counter& AiMetrics::Impl::token_counter(Series& series, size_t kind) {
  std::atomic<Counter*>& slot = series.tokens[kind];
  if (Counter* counter = slot.load(std::memory_order_acquire)) return *counter;
  const MutexLock lock(mutex);
  const Labels labels{series.provider, series.model, series.organization, series.outcome};
  // Tokens have a series for each kind, so that they reach the limit before the rest does.
  const bool fits = named_tokens < kSeriesMax - kUsageOutcomeCount * kinds.size();
  Series& counted =
      fits || labels.are_other() ? series : add({kOther, kOther, kOther, series.outcome});
  Counter* counter = counted.tokens[kind].load(std::memory_order_relaxed);
  if (counter == nullptr) {
    counter =
        &metrics.counter("kvcs_ai_tokens_total", "Tokens of AI requests by kind.",
                         labels_text(counted) + ",kind=\"" + std::string(kinds[kind].name) + '"');
    if (&counted == &series && !labels.are_other()) named_tokens++;
    counted.tokens[kind].store(counter, std::memory_order_release);
  }
  slot.store(counter, std::memory_order_release);
  return *counter;
}

AiMetrics::AiMetrics(Metrics& metrics) : impl_(std::make_unique<Impl>(metrics)) {}
AiMetrics::~AiMetrics() = default;

void AiMetrics::record(const UsageRecord& record, std::string_view organization_slug,
                       UsageOutcome outcome) {
  const bool has_stated_price = std::string_view(record.price_version).ends_with(kStatedPrices);
  Series& series = impl_->find_or_make({or_other(record.provider),
                                        has_stated_price ? kOther : or_other(record.model),
                                        or_other(organization_slug), outcome});
  series.requests->add();
  impl_->input_tokens.add(record.tokens.input_total());
  impl_->output_tokens.add(record.tokens.output_total());
  impl_->cost_nano_usd.add(std::max<int64_t>(record.cost_nano_usd, 0));
  if (record.cost_nano_usd > 0) {
    series.cost_nano_usd.fetch_add(record.cost_nano_usd, std::memory_order_relaxed);
  }
  // An answer may begin within the first millisecond; without an answer there is no time.
  if (outcome == UsageOutcome::kOk || record.first_byte_ms > 0) {
    series.first_token->record_us(record.first_byte_ms * 1000);
  }
  for (size_t kind = 0; kind < impl_->kinds.size(); kind++) {
    const int64_t count = record.tokens.*impl_->kinds[kind].count;
    if (count > 0) impl_->token_counter(series, kind).add(count);
  }
}

AiMetrics::Totals AiMetrics::totals() const {
  return {impl_->input_tokens.value(), impl_->output_tokens.value(), impl_->cost_nano_usd.value()};
}

std::vector<ProviderCount> AiMetrics::by_provider() const {
  std::map<std::string_view, ProviderCount> sums;
  for (const std::atomic<Series*>& slot : impl_->slots) {
    const Series* series = slot.load(std::memory_order_acquire);
    if (series == nullptr) continue;
    ProviderCount& sum = sums[series->provider];
    sum.name = series->provider;
    const int64_t requests = series->requests->value();
    sum.requests += requests;
    const bool failed = series->outcome == UsageOutcome::kProviderError ||
                        series->outcome == UsageOutcome::kTimeout;
    sum.failures += failed ? requests : 0;
  }
  std::vector<ProviderCount> list;
  for (auto& [name, sum] : sums) list.push_back(std::move(sum));
  return list;
}

}  // namespace kvcs::ai
