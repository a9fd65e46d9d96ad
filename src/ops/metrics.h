// Counters, gauges and histograms, printed in Prometheus text format 0.0.4. Thread-safe.
//
// An instrument lives as long as its Metrics: look it up once, keep the reference, update it
// without a lock. Looking up an instrument that exists takes a shared lock.
// Names are Prometheus names ([a-zA-Z_:][a-zA-Z0-9_:]*), one kind each: anything else is a
// programmer's error. Counters end in _total, histograms in _seconds by convention.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kvcs {

inline constexpr size_t kMetricSeriesMax = 10'000;

class Counter final {
 public:
  void add(int64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Buckets whose bounds do not change. Recorded in microseconds, printed in seconds.
class LatencyHistogram final {
 public:
  // In steps of 1, 2, 5 from 1 us to 10 s, and 30 s, the longest time that a call may take.
  static constexpr std::array<int64_t, 23> kBoundsUs = {
      1,       2,       5,         10,        20,        50,         100,       200,
      500,     1'000,   2'000,     5'000,     10'000,    20'000,     50'000,    100'000,
      200'000, 500'000, 1'000'000, 2'000'000, 5'000'000, 10'000'000, 30'000'000};
  // For the answers of models: from 10 ms to 200 s, and 600 s, after which a provider is given up.
  static constexpr std::array<int64_t, 15> kModelBoundsUs = {
      10'000,     20'000,     50'000,      100'000,     200'000,
      500'000,    1'000'000,  2'000'000,   5'000'000,   10'000'000,
      20'000'000, 50'000'000, 100'000'000, 200'000'000, 600'000'000};
  // `bounds_us` ascend and outlive the histogram.
  explicit LatencyHistogram(std::span<const int64_t> bounds_us = kBoundsUs);
  std::span<const int64_t> bounds_us() const { return bounds_us_; }
  void record_us(int64_t us);
  struct Snapshot {
    std::vector<int64_t> buckets;  // One for each bound, not cumulative; the last is the rest.
    int64_t count = 0, sum_us = 0;
  };
  Snapshot snapshot() const;

 private:
  const std::span<const int64_t> bounds_us_;
  std::vector<std::atomic<int64_t>> buckets_;
  std::atomic<int64_t> sum_us_{0};
};

class Metrics final {
 public:
  Metrics();
  ~Metrics();
  // `labels` is the text between the braces: route="/health",status="200"; values that are not
  // constants go through escape_label. The same name and labels give the same instrument. Beyond
  // kMetricSeriesMax series, and for labels that are not well formed, it is the series
  // {overflow="true"} of that name.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = {});
  // The bounds are those of the first call for a series.
  LatencyHistogram& histogram(std::string_view name, std::string_view help,
                              std::string_view labels = {},
                              std::span<const int64_t> bounds_us = LatencyHistogram::kBoundsUs);
  // `read` is called when the page is printed, without a lock; it must be quick and thread-safe,
  // and what it reads must outlive the last print(). The same name and labels replace it.
  void gauge(std::string_view name, std::string_view help, std::function<double()> read,
             std::string_view labels = {});
  // As gauge(), for a number that only grows and that someone else counts.
  void counter_from(std::string_view name, std::string_view help, std::function<double()> read,
                    std::string_view labels = {});
  std::string print() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  static std::string escape_label(std::string_view value);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Resident set size of this process; 0 when the system does not tell.
int64_t resident_bytes();

}  // namespace kvcs
