// Counters, gauges and histograms, printed in Prometheus text format 0.0.4. Instruments are created
// at start-up and then updated without a lock. Thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace kvcs {

class Counter final {
 public:
  void add(int64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Fixed buckets in microseconds, 10 us to 30 s.
class LatencyHistogram final {
 public:
  void record_us(int64_t us);
  static const std::vector<int64_t>& bounds_us();
  struct Snapshot {
    std::vector<int64_t> buckets;  // Not cumulative; one more than bounds (the rest).
    int64_t count = 0, sum_us = 0;
  };
  Snapshot snapshot() const;
  // Upper bound of the bucket that holds the quantile; 0 when empty.
  int64_t quantile_us(double q) const;

 private:
  std::atomic<int64_t> buckets_[24] = {};
  std::atomic<int64_t> sum_us_{0};
};

class Metrics final {
 public:
  Metrics();
  ~Metrics();
  // `labels` is the text between the braces: route="/health",status="200". The same name and labels
  // give the same instrument. At most 10,000 series; beyond, a shared overflow series.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = {});
  LatencyHistogram& histogram(std::string_view name, std::string_view help,
                              std::string_view labels = {});
  // Read when the page is printed.
  void gauge(std::string_view name, std::string_view help, std::function<double()> read,
             std::string_view labels = {});
  std::string print() const;
  static std::string escape_label(std::string_view value);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
// Resident set size of this process, bytes.
int64_t resident_bytes();

}  // namespace kvcs
