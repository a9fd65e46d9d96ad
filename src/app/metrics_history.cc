// Two rings of steps over the same counters. Times of answers are kept as how a histogram's buckets
// have grown, so that percentiles can be told of one step and of all of them; a step without a
// request keeps none.
#include "app/metrics_history.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>

#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"

namespace kvcs {
namespace {

constexpr int64_t kLookS = 10;
constexpr std::array<double, 3> kPercentiles = {0.50, 0.95, 0.99};
constexpr const char* kPercentileNames[] = {"p50_ms", "p95_ms", "p99_ms"};
// Of a door in one step; those beyond are one.
constexpr size_t kProvidersMax = 32;
// A provider that fails so large a part of the requests is called degraded, or down.
constexpr double kDegradedPart = 0.05, kDownPart = 0.5;

struct Range {
  const char* name;
  int64_t step_s;
  size_t steps;
};
constexpr Range kRanges[] = {{"30m", kLookS, 180}, {"24h", 300, 288}};

constexpr http::ApiType kTypes[] = {
    {"MetricsHistory", R"(
# Columns: each list has a value for each of `times`; null is a gap, when the daemon did not run.
range!: 30m|24h
step_s!: integer
times!: [integer] # When each step began, in Unix seconds; the last one ended at the last look.
planes!: MetricPlanes
input_tokens_per_s!: [number?] # Of models.
output_tokens_per_s!: [number?]
spend_usd!: [number?] # Charged in the step.
storage_bytes!: [integer?] # Of artifacts, at the end of the step.
connections!: [integer?] # Open ones, at the end of the step.)"},
    {"MetricPlanes", R"(
portal!: PlaneHistory # Artifacts, people and pages.
admin!: PlaneHistory
gateway!: PlaneHistory # Calls of tools.
ai!: PlaneHistory # Calls of models, without looks at lists and usage.)"},
    {"PlaneHistory", R"(
requests!: [integer?] # That ended in the step; without those of monitors.
refused!: [integer?] # Answered 400 to 499, or 501: not configured here.
errors!: [integer?] # Answered 500 and above, but for 501.
p50_ms!: [number?] # From the whole head to the last byte; null where there was no request.
p95_ms!: [number?]
p99_ms!: [number?])"},
    {"MetricsSummary", R"(
# The steps of a time in one; a gap adds nothing.
range!: 30m|24h
planes!: MetricPlanesSummary
providers!: [ProviderSummary] # Those that were asked in this time; of each door by name.)"},
    {"MetricPlanesSummary", R"(
portal!: PlaneSummary # Artifacts, people and pages.
admin!: PlaneSummary
gateway!: PlaneSummary # Calls of tools.
ai!: PlaneSummary # Calls of models, without looks at lists and usage.)"},
    {"PlaneSummary", R"(
requests!: integer
refused!: integer # Answered 400 to 499, or 501: not configured here.
errors!: integer # Answered 500 and above, but for 501.
p50_ms!: number? # Of all requests of this time; null where there was none.
p95_ms!: number?
p99_ms!: number?)"},
    {"ProviderSummary", R"(
door!: ai|gateway
provider!: string
requests!: integer # Each try of an alias by itself.
failures!: integer # Errors of the provider's own, and silence; not what it refused.
state!: up|degraded|down # Down: half of them failed; degraded: one in twenty.)"},
};

using Buckets = std::vector<int64_t>;

// Where so large a part of the recorded times lies, by a straight line within the bucket.
int64_t percentile_us(std::span<const int64_t> bounds_us, const Buckets& grown, int64_t count,
                      double part) {
  const double wanted = part * static_cast<double>(count);
  double below = 0;
  for (size_t i = 0; i < grown.size(); i++) {
    const auto here = static_cast<double>(grown[i]);
    if (here == 0 || below + here < wanted) {
      below += here;
      continue;
    }
    if (i == bounds_us.size()) break;
    const int64_t from = i == 0 ? 0 : bounds_us[i - 1];
    return from +
           static_cast<int64_t>(static_cast<double>(bounds_us[i] - from) * (wanted - below) / here);
  }
  return bounds_us.back();
}

struct PlaneStep {
  int64_t requests = 0, refused = 0, errors = 0;
  Buckets times;  // As in LatencyHistogram::Snapshot; empty where nothing was recorded.

  void add(const PlaneStep& more) {
    requests += more.requests;
    refused += more.refused;
    errors += more.errors;
    times.resize(std::max(times.size(), more.times.size()));
    for (size_t i = 0; i < more.times.size(); i++) times[i] += more.times[i];
  }
  Json percentile_ms(std::span<const int64_t> bounds_us, size_t nth) const {
    const int64_t count = std::accumulate(times.begin(), times.end(), int64_t{0});
    if (count == 0) return Json();
    return static_cast<double>(percentile_us(bounds_us, times, count, kPercentiles[nth])) / 1e3;
  }
};

PlaneStep growth_of(const PlaneTotals& before, const PlaneTotals& now) {
  PlaneStep step{
      now.requests - before.requests, now.refused - before.refused, now.errors - before.errors, {}};
  if (now.latency.count == before.latency.count) return step;
  step.times.resize(now.latency.buckets.size());
  for (size_t i = 0; i < step.times.size(); i++) {
    step.times[i] = now.latency.buckets[i] - before.latency.buckets[i];
  }
  return step;
}

// Adds to the provider of that name, or to that of all others where there are many.
void add_provider(std::vector<ProviderCount>& list, const ProviderCount& more) {
  const auto named = [&list](std::string_view name) {
    return std::find_if(list.begin(), list.end(),
                        [name](const ProviderCount& one) { return one.name == name; });
  };
  auto it = named(more.name);
  const bool has_room = list.size() < kProvidersMax;
  if (it == list.end() && !has_room) it = named(kOtherProviders);
  if (it == list.end()) {
    it = list.insert(list.end(), {has_room ? more.name : std::string(kOtherProviders)});
  }
  it->requests += more.requests;
  it->failures += more.failures;
}

// Those that were asked meanwhile.
std::vector<ProviderCount> growth_of(const std::vector<ProviderCount>& before,
                                     const std::vector<ProviderCount>& now) {
  std::vector<ProviderCount> grown;
  for (ProviderCount one : now) {
    const auto old = std::find_if(before.begin(), before.end(), [&one](const ProviderCount& other) {
      return other.name == one.name;
    });
    if (old != before.end()) {
      one.requests -= old->requests;
      one.failures -= old->failures;
    }
    if (one.requests > 0) add_provider(grown, one);
  }
  return grown;
}

void add_summary(Json& list, const char* door, std::vector<ProviderCount> providers) {
  std::sort(providers.begin(), providers.end(),
            [](const ProviderCount& a, const ProviderCount& b) { return a.name < b.name; });
  for (const ProviderCount& one : providers) {
    const double part = static_cast<double>(one.failures) / static_cast<double>(one.requests);
    list.push_back({{"door", door},
                    {"provider", one.name},
                    {"requests", one.requests},
                    {"failures", one.failures},
                    {"state", part >= kDownPart       ? "down"
                              : part >= kDegradedPart ? "degraded"
                                                      : "up"}});
  }
}

}  // namespace

struct MetricsHistory::Step {
  int64_t number = -1;  // Unix seconds by the ring's step; -1: none is here yet.
  std::array<PlaneStep, kPlanes> planes;
  int64_t input_tokens = 0, output_tokens = 0, cost_nano_usd = 0, connections = 0;
  std::vector<ProviderCount> ai_providers, gateway_providers;
  std::optional<int64_t> storage_bytes;
};

struct MetricsHistory::Ring {
  explicit Ring(const Range& wanted) : range(wanted), steps(wanted.steps) {}

  const Step* find(int64_t number) const {
    const Step& step = steps[static_cast<size_t>(number) % steps.size()];
    return step.number == number ? &step : nullptr;
  }
  // Only a look in the very next step ends one: later it would tell of several at once.
  void look(int64_t now_s, const MetricTotals& now) {
    const int64_t number = now_s / range.step_s;
    if (number == current) return;
    if (number == current + 1) {
      Step& step = steps[static_cast<size_t>(current) % steps.size()];
      step = Step();
      step.number = current;
      for (size_t i = 0; i < kPlanes; i++) {
        step.planes[i] = growth_of(before.planes[i], now.planes[i]);
      }
      step.input_tokens = now.input_tokens - before.input_tokens;
      step.output_tokens = now.output_tokens - before.output_tokens;
      step.cost_nano_usd = now.cost_nano_usd - before.cost_nano_usd;
      step.ai_providers = growth_of(before.ai_providers, now.ai_providers);
      step.gateway_providers = growth_of(before.gateway_providers, now.gateway_providers);
      step.connections = now.connections;
      step.storage_bytes = now.storage_bytes;
    }
    current = number;
    before = now;
  }

  const Range range;
  std::vector<Step> steps;  // By number, as long as the ring.
  int64_t current = -1;     // The step that is under way; -1 before the first look.
  MetricTotals before;      // As it began.
};

MetricsHistory::MetricsHistory(std::function<MetricTotals()> read, const Clock& clock)
    : read_(std::move(read)), clock_(clock) {
  for (const Range& range : kRanges) rings_.emplace_back(range);
}
MetricsHistory::~MetricsHistory() {
  stop();
}

void MetricsHistory::start() {
  look();
  thread_ = std::make_unique<Thread>("metrics-history", [this] { run(); });
}

void MetricsHistory::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.reset();
}

void MetricsHistory::run() {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      const int64_t step_ms = kLookS * 1000;
      if (!stopping_) wake_.wait_for_ms(mutex_, step_ms - clock_.unix_ms() % step_ms);
      if (stopping_) return;
    }
    look();
  }
}

void MetricsHistory::look() {
  const MetricTotals now = read_();
  const int64_t now_s = clock_.unix_ms() / 1000;
  const MutexLock lock(mutex_);
  for (Ring& ring : rings_) ring.look(now_s, now);
}

std::span<const http::ApiType> MetricsHistory::types() {
  return kTypes;
}

void MetricsHistory::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  http::Rows rows(table, *this, "/admin/metrics");
  rows.add(http::Method::kGet, "/history", access.viewer, http::kNoBody, &MetricsHistory::show,
           "Requests, errors, times, tokens and spending of the last ?range=30m (by 10 s) or 24h "
           "(by 5 min), since the daemon's start.",
           {.id = "getMetricsHistory", .query = "range:30m|24h", .answer = "MetricsHistory"});
  rows.add(http::Method::kGet, "/summary", access.viewer, http::kNoBody, &MetricsHistory::summarize,
           "Requests, errors and percentiles of times over the last ?range=30m or 24h in one, and "
           "how each provider answered.",
           {.id = "getMetricsSummary", .query = "range:30m|24h", .answer = "MetricsSummary"});
}

namespace {

std::string range_param(const http::Request& request) {
  return request.query_value("range").value_or(kRanges[0].name);
}

Status unknown_range(const std::string& name) {
  return invalid("range: '" + printable(name, kShownWord) + "' is not one of: 30m, 24h.");
}

http::Response reply_now(const Json& body) {
  http::Response response = http::json_response(200, dump_json(body));
  response.set("cache-control", "no-store");
  return response;
}

}  // namespace

const MetricsHistory::Ring* MetricsHistory::find_ring(std::string_view name) const {
  const auto ring = std::find_if(rings_.begin(), rings_.end(),
                                 [&](const Ring& one) { return name == one.range.name; });
  return ring == rings_.end() ? nullptr : &*ring;
}

Result<http::Response> MetricsHistory::summarize(http::Request& request) {
  const std::string name = range_param(request);
  const MutexLock lock(mutex_);
  const Ring* ring = find_ring(name);
  if (ring == nullptr) return unknown_range(name);
  std::array<PlaneStep, kPlanes> planes;
  std::vector<ProviderCount> ai, gateway;
  for (size_t back = 1; back <= ring->steps.size(); back++) {
    const Step* step = ring->find(ring->current - static_cast<int64_t>(back));
    if (step == nullptr) continue;
    for (size_t i = 0; i < kPlanes; i++) planes[i].add(step->planes[i]);
    for (const ProviderCount& one : step->ai_providers) add_provider(ai, one);
    for (const ProviderCount& one : step->gateway_providers) add_provider(gateway, one);
  }
  Json body{{"range", name}, {"providers", Json::array()}};
  for (size_t i = 0; i < kPlanes; i++) {
    Json& plane = body["planes"][std::string(plane_name(i))];
    plane = {{"requests", planes[i].requests},
             {"refused", planes[i].refused},
             {"errors", planes[i].errors}};
    for (size_t k = 0; k < kPercentiles.size(); k++) {
      plane[kPercentileNames[k]] = planes[i].percentile_ms(ring->before.planes[i].bounds_us, k);
    }
  }
  add_summary(body["providers"], "ai", std::move(ai));
  add_summary(body["providers"], "gateway", std::move(gateway));
  return reply_now(body);
}

Result<http::Response> MetricsHistory::show(http::Request& request) {
  const std::string name = range_param(request);
  const MutexLock lock(mutex_);
  const Ring* ring = find_ring(name);
  if (ring == nullptr) return unknown_range(name);
  const auto step_s = static_cast<double>(ring->range.step_s);
  Json times = Json::array();
  std::vector<const Step*> steps;
  const int64_t end = ring->current;
  for (int64_t number = end - static_cast<int64_t>(ring->steps.size()); number < end; number++) {
    times.push_back(number * ring->range.step_s);
    steps.push_back(ring->find(number));
  }
  const auto column = [&steps](const auto& value_of) {
    Json values = Json::array();
    for (const Step* step : steps) {
      values.push_back(step == nullptr ? Json() : Json(value_of(*step)));
    }
    return values;
  };
  Json body{{"range", name}, {"step_s", ring->range.step_s}, {"times", std::move(times)}};
  for (size_t i = 0; i < kPlanes; i++) {
    Json& plane = body["planes"][std::string(plane_name(i))];
    plane["requests"] = column([i](const Step& step) { return step.planes[i].requests; });
    plane["refused"] = column([i](const Step& step) { return step.planes[i].refused; });
    plane["errors"] = column([i](const Step& step) { return step.planes[i].errors; });
    for (size_t k = 0; k < kPercentiles.size(); k++) {
      plane[kPercentileNames[k]] = column([&, i, k](const Step& step) {
        return step.planes[i].percentile_ms(ring->before.planes[i].bounds_us, k);
      });
    }
  }
  const auto per_s = [&](int64_t Step::*count) {
    return column([&](const Step& step) { return static_cast<double>(step.*count) / step_s; });
  };
  body["input_tokens_per_s"] = per_s(&Step::input_tokens);
  body["output_tokens_per_s"] = per_s(&Step::output_tokens);
  body["spend_usd"] =
      column([](const Step& step) { return json_decimal(format_usd(step.cost_nano_usd)); });
  body["storage_bytes"] = column(
      [](const Step& step) { return step.storage_bytes ? Json(*step.storage_bytes) : Json(); });
  body["connections"] = column([](const Step& step) { return step.connections; });
  return reply_now(body);
}

}  // namespace kvcs
