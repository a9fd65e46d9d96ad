// Two rings of steps over the same counters. Times of answers are kept as three percentiles, made
// of how a histogram's buckets have grown, since the buckets themselves would take ten times the
// room.
#include "app/metrics_history.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"
#include "base/money.h"

namespace kvcs {
namespace {

constexpr int64_t kLookS = 10;
constexpr std::array<double, 3> kPercentiles = {0.50, 0.95, 0.99};

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
ai!: PlaneHistory)"},
    {"PlaneHistory", R"(
requests!: [integer?] # That ended in the step; without those of monitors.
refused!: [integer?] # Answered 400 to 499, or 501: not configured here.
errors!: [integer?] # Answered 500 and above, but for 501.
p50_ms!: [number?] # From the whole head to the last byte; null where there was no request.
p95_ms!: [number?]
p99_ms!: [number?])"},
};

// Where so large a part of the recorded times lies, by a straight line within the bucket.
int64_t percentile_us(std::span<const int64_t> bounds_us, const std::vector<int64_t>& grown,
                      int64_t count, double part) {
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
  std::array<int64_t, kPercentiles.size()> percentiles_us{};
};

PlaneStep growth_of(const PlaneTotals& before, const PlaneTotals& now) {
  PlaneStep step{now.requests - before.requests, now.refused - before.refused,
                 now.errors - before.errors};
  std::vector<int64_t> grown(now.latency.buckets.size());
  for (size_t i = 0; i < grown.size(); i++) {
    grown[i] = now.latency.buckets[i] - before.latency.buckets[i];
  }
  const int64_t count = now.latency.count - before.latency.count;
  for (size_t i = 0; count > 0 && i < kPercentiles.size(); i++) {
    step.percentiles_us[i] = percentile_us(now.bounds_us, grown, count, kPercentiles[i]);
  }
  return step;
}

}  // namespace

struct MetricsHistory::Step {
  int64_t number = -1;  // Unix seconds by the ring's step; -1: none is here yet.
  std::array<PlaneStep, kPlanes> planes;
  int64_t input_tokens = 0, output_tokens = 0, cost_nano_usd = 0, connections = 0;
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
           {.id = "getMetricsHistory", .query = "range", .answer = "MetricsHistory"});
}

Result<http::Response> MetricsHistory::show(http::Request& request) {
  const std::string name = request.query_value("range").value_or(kRanges[0].name);
  const MutexLock lock(mutex_);
  const auto ring = std::find_if(rings_.begin(), rings_.end(),
                                 [&](const Ring& one) { return name == one.range.name; });
  if (ring == rings_.end()) {
    return invalid("range: '" + printable(name, kShownWord) + "' is not one of: 30m, 24h.");
  }
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
  static constexpr const char* kTimes[] = {"p50_ms", "p95_ms", "p99_ms"};
  for (size_t i = 0; i < kPlanes; i++) {
    Json& plane = body["planes"][std::string(plane_name(i))];
    plane["requests"] = column([i](const Step& step) { return step.planes[i].requests; });
    plane["refused"] = column([i](const Step& step) { return step.planes[i].refused; });
    plane["errors"] = column([i](const Step& step) { return step.planes[i].errors; });
    for (size_t k = 0; k < kPercentiles.size(); k++) {
      plane[kTimes[k]] = column([i, k](const Step& step) {
        const PlaneStep& own = step.planes[i];
        return own.requests == 0 ? Json() : Json(static_cast<double>(own.percentiles_us[k]) / 1e3);
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
  http::Response response = http::json_response(200, dump_json(body));
  response.set("cache-control", "no-store");
  return response;
}

}  // namespace kvcs
