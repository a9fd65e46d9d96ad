// The registry behind Metrics and its text page. Instruments are updated by every thread without a
// lock; only the look-up of one and the printing of the page take the registry's lock. Series are
// never removed, so that a reference to an instrument stays good.
#include "ops/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>

#include "base/mutex.h"
#include "base/status.h"

namespace kvcs {

namespace {

// Values that would make too many series, or whose labels are malformed, are summed up here.
constexpr std::string_view kOverflowLabels = "overflow=\"true\"";

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name_char(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9');
}

bool is_metric_name(std::string_view name) {
  const auto start = [](char c) { return is_name_start(c) || c == ':'; };
  const auto rest = [](char c) { return is_name_char(c) || c == ':'; };
  return !name.empty() && start(name[0]) && std::all_of(name.begin(), name.end(), rest);
}

// name="value"[,name="value"]… with the escapes \\ \" \n, or nothing. The label `le` is the
// histogram's own, for the bounds of its buckets.
bool are_labels(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t start = i;
    if (!is_name_start(text[i])) return false;
    while (i < text.size() && is_name_char(text[i])) ++i;
    if (text.substr(start, i - start) == "le" || text.substr(i, 2) != "=\"") return false;
    for (i += 2; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\n') return false;
      if (text[i] != '\\') continue;
      if (++i >= text.size() || std::string_view("\\\"n").find(text[i]) == std::string_view::npos) {
        return false;
      }
    }
    if (i++ >= text.size()) return false;
    if (i == text.size()) return true;
    if (text[i++] != ',') return false;
  }
  return text.empty();
}

// Prometheus writes the values that are no numbers as NaN, +Inf and -Inf.
void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    out.append(text, end);
  }
}

void append_series(std::string& out, std::string_view name, std::string_view suffix,
                   std::string_view labels, std::string_view more_labels = {}) {
  out.append(name).append(suffix);
  if (!labels.empty() || !more_labels.empty()) {
    out += '{';
    out += labels;
    if (!labels.empty() && !more_labels.empty()) out += ',';
    out += more_labels;
    out += '}';
  }
  out += ' ';
}

void append_help(std::string& out, std::string_view name, std::string_view help) {
  out.append("# HELP ").append(name).append(" ");
  for (const char c : help) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  out += '\n';
}

void append_histogram(std::string& out, std::string_view name, std::string_view labels,
                      const LatencyHistogram& histogram) {
  const auto snapshot = histogram.snapshot();
  // On the page a bucket counts all values up to its bound, those of lower buckets included.
  int64_t below = 0;
  for (size_t i = 0; i < snapshot.buckets.size(); ++i) {
    below += snapshot.buckets[i];
    std::string bound = "le=\"";
    if (i < histogram.bounds_us().size()) {
      append_number(bound, static_cast<double>(histogram.bounds_us()[i]) / 1e6);
    } else {
      bound += "+Inf";
    }
    append_series(out, name, "_bucket", labels, bound + '"');
    out += std::to_string(below) + '\n';
  }
  append_series(out, name, "_sum", labels);
  append_number(out, static_cast<double>(snapshot.sum_us) / 1e6);
  out += '\n';
  append_series(out, name, "_count", labels);
  out += std::to_string(snapshot.count) + '\n';
}

enum class Kind : uint8_t { kCounter, kHistogram, kGauge, kCounterFrom };

// One line of a family, or one histogram. Its kind says which of the members is used.
struct Series {
  Counter counter;
  std::unique_ptr<LatencyHistogram> histogram;
  std::function<double()> read;
};

struct Family {
  Kind kind;
  std::string help;
  std::map<std::string, std::unique_ptr<Series>, std::less<>> series;  // By labels.
};

}  // namespace

LatencyHistogram::LatencyHistogram(std::span<const int64_t> bounds_us)
    : bounds_us_(bounds_us), buckets_(bounds_us.size() + 1) {}

void LatencyHistogram::record_us(int64_t us) {
  const auto bound = std::lower_bound(bounds_us_.begin(), bounds_us_.end(), us);
  const auto index = static_cast<size_t>(bound - bounds_us_.begin());
  buckets_[index].fetch_add(1, std::memory_order_relaxed);
  sum_us_.fetch_add(std::max<int64_t>(us, 0), std::memory_order_relaxed);
}

LatencyHistogram::Snapshot LatencyHistogram::snapshot() const {
  Snapshot snapshot;
  snapshot.buckets.reserve(buckets_.size());
  for (const auto& bucket : buckets_) {
    snapshot.buckets.push_back(bucket.load(std::memory_order_relaxed));
    snapshot.count += snapshot.buckets.back();
  }
  snapshot.sum_us = sum_us_.load(std::memory_order_relaxed);
  return snapshot;
}

struct Metrics::Impl {
  mutable SharedMutex mutex;
  std::map<std::string, Family, std::less<>> families KVCS_GUARDED_BY(mutex);
  size_t series_count KVCS_GUARDED_BY(mutex) = 0;

  Series* find(std::string_view name, std::string_view labels, Kind kind) const {
    ReadLock lock(mutex);
    const auto family = families.find(name);
    if (family == families.end()) return nullptr;
    KVCS_ASSERT(family->second.kind == kind);
    const auto series = family->second.series.find(labels);
    return series == family->second.series.end() ? nullptr : series->second.get();
  }

  Series& find_or_make(std::string_view name, std::string_view help, std::string_view labels,
                       Kind kind, std::span<const int64_t> bounds_us = {}) {
    KVCS_ASSERT(is_metric_name(name));
    if (!are_labels(labels)) labels = kOverflowLabels;
    // Nearly every look-up ends here, under the shared lock. Otherwise another thread may make the
    // same series before the exclusive lock is held, hence try_emplace.
    if (Series* found = find(name, labels, kind)) return *found;
    WriteLock lock(mutex);
    auto& family =
        families.try_emplace(std::string(name), Family{kind, std::string(help), {}}).first->second;
    KVCS_ASSERT(family.kind == kind);
    if (series_count >= kMetricSeriesMax) labels = kOverflowLabels;
    if (const auto there = family.series.find(labels); there != family.series.end()) {
      return *there->second;
    }
    // Whole before the map has it: where memory ends here, a page that is printed must not meet
    // half of one.
    auto series = std::make_unique<Series>();
    if (kind == Kind::kHistogram) series->histogram = std::make_unique<LatencyHistogram>(bounds_us);
    const auto made = family.series.try_emplace(std::string(labels), std::move(series)).first;
    ++series_count;
    return *made->second;
  }

  void set_read(std::string_view name, std::string_view help, std::string_view labels, Kind kind,
                std::function<double()> read) {
    Series& series = find_or_make(name, help, labels, kind);
    WriteLock lock(mutex);
    series.read = std::move(read);
  }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

Counter& Metrics::counter(std::string_view name, std::string_view help, std::string_view labels) {
  return impl_->find_or_make(name, help, labels, Kind::kCounter).counter;
}

LatencyHistogram& Metrics::histogram(std::string_view name, std::string_view help,
                                     std::string_view labels, std::span<const int64_t> bounds_us) {
  return *impl_->find_or_make(name, help, labels, Kind::kHistogram, bounds_us).histogram;
}

void Metrics::gauge(std::string_view name, std::string_view help, std::function<double()> read,
                    std::string_view labels) {
  impl_->set_read(name, help, labels, Kind::kGauge, std::move(read));
}

void Metrics::counter_from(std::string_view name, std::string_view help,
                           std::function<double()> read, std::string_view labels) {
  impl_->set_read(name, help, labels, Kind::kCounterFrom, std::move(read));
}

std::string Metrics::print() const {
  struct Line {
    std::string labels;
    const Series* series;          // Never removed, so it may be read without the lock;
    std::function<double()> read;  // but `read` may be replaced, so this is a copy.
  };
  struct Block {
    std::string name, help;
    Kind kind;
    std::vector<Line> lines;
  };
  std::vector<Block> blocks;
  {
    ReadLock lock(impl_->mutex);
    for (const auto& [name, family] : impl_->families) {
      Block block{name, family.help, family.kind, {}};
      for (const auto& [labels, series] : family.series) {
        block.lines.push_back({labels, series.get(), series->read});
      }
      blocks.push_back(std::move(block));
    }
  }
  // The lock is not held here: the functions of gauges may take locks of their own.
  std::string out;
  for (const auto& block : blocks) {
    append_help(out, block.name, block.help);
    out.append("# TYPE ").append(block.name);
    out += block.kind == Kind::kHistogram ? " histogram\n"
           : block.kind == Kind::kGauge   ? " gauge\n"
                                          : " counter\n";
    for (const auto& line : block.lines) {
      if (block.kind == Kind::kHistogram) {
        append_histogram(out, block.name, line.labels, *line.series->histogram);
        continue;
      }
      append_series(out, block.name, {}, line.labels);
      if (block.kind == Kind::kCounter) {
        out += std::to_string(line.series->counter.value());
      } else {
        append_number(out, line.read ? line.read() : 0);
      }
      out += '\n';
    }
  }
  return out;
}

std::string Metrics::escape_label(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

int64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  char text[128] = {};
  const size_t n = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  // The second field of statm is the resident set, in pages (proc(5)).
  const std::string_view fields(text, n);
  const size_t space = fields.find(' ');
  if (space == std::string_view::npos) return 0;
  int64_t pages = 0;
  std::from_chars(text + space + 1, text + n, pages);
  return pages * sysconf(_SC_PAGESIZE);
}

}  // namespace kvcs
