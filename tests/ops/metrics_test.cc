// Goal: the page can be read by any Prometheus, whatever names and values come in, and counting
// stays exact under concurrency. Method: print() is parsed line by line by a small strict reader.
#include "ops/metrics.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "base/thread.h"
#include "ops/metrics_page.h"

using namespace kvcs;

namespace {

// Series text → value text. Fails the test on a line that the text format does not allow, on a
// sample without its TYPE before it, and on a series printed twice.
std::map<std::string, std::string> read_page(const std::string& page) {
  static const std::regex sample(
      R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_]\w*="([^"\\\n]|\\[\\"n])*",?)+\})? (\S+))re");
  static const std::regex value(R"re([-+]?[0-9.]+(e[-+]?[0-9]+)?|NaN|[-+]Inf)re");
  static const std::regex comment(R"re(# (HELP \S+ .*|TYPE (\S+) (counter|gauge|histogram)))re");
  std::map<std::string, std::string> series;
  std::set<std::string> types;
  REQUIRE((page.empty() || page.back() == '\n'));
  std::istringstream in(page);
  for (std::string line; std::getline(in, line);) {
    INFO(line);
    std::smatch m;
    if (line.starts_with("#")) {
      REQUIRE(std::regex_match(line, m, comment));
      if (m[2].matched) REQUIRE(types.insert(m[2]).second);
      continue;
    }
    REQUIRE(std::regex_match(line, m, sample));
    REQUIRE(std::regex_match(m[5].str(), value));
    static const std::regex suffix("_(bucket|sum|count)$");
    REQUIRE((types.count(m[1]) || types.count(std::regex_replace(m[1].str(), suffix, ""))));
    REQUIRE(series.emplace(m[1].str() + m[2].str(), m[5]).second);
  }
  return series;
}

}  // namespace

TEST_CASE("metrics: counters, gauges and histograms print as Prometheus text", "[unit][ops]") {
  Metrics metrics;
  metrics.counter("http_requests_total", "Requests.", "route=\"/health\",status=\"200\"").add(3);
  metrics.counter("http_requests_total", "Requests.", "route=\"/health\",status=\"404\"").add();
  metrics.gauge("queue_length", "Waiting.", [] { return 7.5; });
  metrics.counter_from("dropped_total", "Dropped.", [] { return 2.0; });
  auto& latency = metrics.histogram("latency_seconds", "Time.", "route=\"/\"");
  latency.record_us(40);
  latency.record_us(40'000'000);
  auto page = read_page(metrics.print());
  CHECK(page["http_requests_total{route=\"/health\",status=\"200\"}"] == "3");
  CHECK(page["http_requests_total{route=\"/health\",status=\"404\"}"] == "1");
  CHECK(page["queue_length"] == "7.5");
  CHECK(page["dropped_total"] == "2");
  CHECK(page["latency_seconds_bucket{route=\"/\",le=\"2e-05\"}"] == "0");
  CHECK(page["latency_seconds_bucket{route=\"/\",le=\"5e-05\"}"] == "1");
  CHECK(page["latency_seconds_bucket{route=\"/\",le=\"30\"}"] == "1");
  CHECK(page["latency_seconds_bucket{route=\"/\",le=\"+Inf\"}"] == "2");
  CHECK(page["latency_seconds_count{route=\"/\"}"] == "2");
  CHECK(page["latency_seconds_sum{route=\"/\"}"] == "40.00004");
}

TEST_CASE("metrics: the same name and labels give the same instrument", "[unit][ops]") {
  Metrics metrics;
  CHECK(&metrics.counter("a_total", "A.") == &metrics.counter("a_total", "A."));
  CHECK(&metrics.counter("a_total", "A.") != &metrics.counter("a_total", "A.", "x=\"1\""));
  metrics.gauge("g", "G.", [] { return 1.0; });
  metrics.gauge("g", "G.", [] { return 2.0; });
  CHECK(read_page(metrics.print())["g"] == "2");
}

TEST_CASE("metrics: hostile label values and help texts cannot break the page", "[unit][ops]") {
  Metrics metrics;
  const std::string hostile = "a\"} 1\nfake_total 2 \\";
  metrics
      .counter("x_total", "Line one\nline two \\.",
               "path=\"" + Metrics::escape_label(hostile) + "\"")
      .add();
  auto page = read_page(metrics.print());
  CHECK(page.size() == 1);
  CHECK(page.count("x_total{path=\"a\\\"} 1\\nfake_total 2 \\\\\"}") == 1);
}

TEST_CASE("metrics: labels that are not well formed go to the overflow series", "[unit][ops]") {
  Metrics metrics;
  for (const char* labels : {"x", "x=1", "x=\"1", "x=\"1\",", "1x=\"1\"", "x=\"a\nb\"", "x=\"\\q\"",
                             "x=\"1\" y=\"2\"", "le=\"1\"", "x=\"\\"}) {
    metrics.counter("x_total", "X.", labels).add();
  }
  auto page = read_page(metrics.print());
  CHECK(page.size() == 1);
  CHECK(page["x_total{overflow=\"true\"}"] == "10");
}

TEST_CASE("metrics: beyond the limit of series there is one overflow series", "[unit][ops]") {
  Metrics metrics;
  for (size_t i = 0; i < kMetricSeriesMax + 50; ++i) {
    metrics.counter("x_total", "X.", "id=\"" + std::to_string(i) + "\"").add();
  }
  auto page = read_page(metrics.print());
  CHECK(page.size() == kMetricSeriesMax + 1);
  CHECK(page["x_total{overflow=\"true\"}"] == "50");
}

TEST_CASE("metrics: infinite and missing numbers have their words", "[unit][ops]") {
  Metrics metrics;
  metrics.gauge("a", "A.", [] { return std::numeric_limits<double>::infinity(); });
  metrics.gauge("b", "B.", [] { return -std::numeric_limits<double>::infinity(); });
  metrics.gauge("c", "C.", [] { return std::numeric_limits<double>::quiet_NaN(); });
  metrics.gauge("d", "D.", nullptr);
  metrics.gauge("e", "E.", [] { return 1e300; });
  auto page = read_page(metrics.print());
  CHECK(page["a"] == "+Inf");
  CHECK(page["b"] == "-Inf");
  CHECK(page["c"] == "NaN");
  CHECK(page["d"] == "0");
  CHECK(page["e"] == "1e+300");
}

TEST_CASE("metrics: a latency is counted in the bucket of the next bound", "[unit][ops]") {
  LatencyHistogram histogram;
  CHECK(histogram.snapshot().count == 0);
  const auto bucket_of = [](int64_t bound_us) {
    const auto& bounds = LatencyHistogram::kBoundsUs;
    return static_cast<size_t>(std::find(bounds.begin(), bounds.end(), bound_us) - bounds.begin());
  };
  for (int i = 0; i < 99; ++i) histogram.record_us(90);
  histogram.record_us(100);
  histogram.record_us(700'000);
  histogram.record_us(std::numeric_limits<int64_t>::max() / 2);
  histogram.record_us(-5);
  const auto counted = histogram.snapshot();
  CHECK(counted.count == 103);
  CHECK(counted.buckets[bucket_of(100)] == 100);
  CHECK(counted.buckets[bucket_of(1'000'000)] == 1);
  CHECK(counted.buckets.back() == 1);
  CHECK(counted.buckets[0] == 1);
}

TEST_CASE("metrics: threads that count and print at once lose nothing", "[unit][ops]") {
  Metrics metrics;
  constexpr int kThreads = 4, kRounds = 500;
  {
    std::vector<Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("count", [&metrics, t] {
        for (int i = 0; i < kRounds; ++i) {
          metrics.counter("x_total", "X.").add();
          metrics.counter("y_total", "Y.", "i=\"" + std::to_string(i % 50) + "\"").add();
          metrics.histogram("z_seconds", "Z.").record_us(i);
          metrics.gauge("g", "G.", [t] { return t; });
        }
      });
    }
    for (int i = 0; i < 20; ++i) CHECK_NOTHROW(read_page(metrics.print()));
  }
  auto page = read_page(metrics.print());
  CHECK(page["x_total"] == std::to_string(kThreads * kRounds));
  CHECK(page["y_total{i=\"0\"}"] == std::to_string(kThreads * kRounds / 50));
  CHECK(page["z_seconds_count"] == std::to_string(kThreads * kRounds));
}

TEST_CASE("metrics: an instrument for which memory does not last leaves the page whole",
          "[fault][ops]") {
  Metrics metrics;
  metrics.counter("x_total", "X.").add();
  // More buckets than any memory has.
  const std::span<const int64_t> endless(LatencyHistogram::kBoundsUs.data(), size_t{1} << 61);
  CHECK_THROWS(metrics.histogram("y_seconds", "Y.", "i=\"1\"", endless));
  CHECK(read_page(metrics.print())["x_total"] == "1");
  metrics.histogram("y_seconds", "Y.", "i=\"1\"").record_us(1);
  CHECK(read_page(metrics.print())["y_seconds_count{i=\"1\"}"] == "1");
}

TEST_CASE("metrics: the resident set of a running process is not nothing", "[unit][ops]") {
  CHECK(resident_bytes() > 1 << 20);
}

TEST_CASE("metrics: a page without a label has the sums of what differed by it", "[unit][ops]") {
  const std::string page =
      "# HELP a_total Help with {organization=\"x\"} in it.\n# TYPE a_total counter\n"
      "a_total{kind=\"in\",organization=\"acme\"} 1.5\n"
      "a_total{kind=\"in\",organization=\"o\\\"}, ther\"} 2\n"
      "a_total{kind=\"out\",organization=\"acme\"} 4\n"
      "b_bucket{organization=\"acme\",le=\"+Inf\"} 1\nb_bucket{organization=\"two\",le=\"+Inf\"} "
      "2\n"
      "c{organization=\"acme\"} 7\nplain 3\nd{my_organization=\"acme\"} 1\n";
  CHECK(without_label(page, "organization") ==
        "# HELP a_total Help with {organization=\"x\"} in it.\n# TYPE a_total counter\n"
        "a_total{kind=\"in\"} 3.5\na_total{kind=\"out\"} 4\n"
        "b_bucket{le=\"+Inf\"} 3\nc{} 7\nplain 3\nd{my_organization=\"acme\"} 1\n");
  CHECK(without_label("", "organization").empty());
}
