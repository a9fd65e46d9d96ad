// One line per event to stderr, from any thread. A process has one Sink: tests put a function in
// it, and a Gatherer makes lines of requests wait there for each other.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/json.h"
#include "base/log_gatherer.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};

struct Sink {
  Mutex mutex;
  std::function<void(std::string_view)> write KVCS_GUARDED_BY(mutex);
  std::string gathered KVCS_GUARDED_BY(mutex);  // Whole lines.
  int gatherers KVCS_GUARDED_BY(mutex) = 0;
  int asleep KVCS_GUARDED_BY(mutex) = 0;  // Of those, until something is gathered.
  CondVar wake;
};
Sink& sink() {
  static Sink s;
  return s;
}

// A log write that fails has nowhere to be reported; the lines are dropped.
void write_out(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, lines.data(), lines.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    lines.remove_prefix(static_cast<size_t>(n));
  }
}

std::string take_gathered(Sink& from) KVCS_REQUIRES(from.mutex) {
  return std::exchange(from.gathered, {});
}

void emit(Level level, std::string_view event, Fields fields) {
  if (!enabled(level)) return;
  static constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  static const std::unique_ptr<Clock> clock = make_system_clock();
  std::string line = "{\"ts\":\"" + format_iso8601_ms(clock->unix_ms()) + "\",\"level\":\"";
  line += kNames[static_cast<int>(level)];
  line += "\",\"event\":";
  append_json_string(line, event);
  for (const Field& field : fields) {
    line += ',';
    append_json_string(line, field.name);
    line += ':';
    if (field.value.is_string()) {
      append_json_string(line, field.value.text());
    } else {
      line += field.value.text();
    }
  }
  line += "}\n";
  raw_line(std::move(line));
}

}  // namespace

void set_level(Level level) {
  g_level = level;
}
bool enabled(Level level) {
  return level >= g_level.load(std::memory_order_relaxed);
}
bool parse_level(std::string_view name, Level& level) {
  if (name == "debug")
    level = Level::kDebug;
  else if (name == "info")
    level = Level::kInfo;
  else if (name == "warn")
    level = Level::kWarn;
  else if (name == "error")
    level = Level::kError;
  else
    return false;
  return true;
}
void set_sink(std::function<void(std::string_view)> write) {
  MutexLock lock(sink().mutex);
  sink().write = std::move(write);
}

void raw_line(std::string&& line) {
  Sink& to = sink();
  std::string before;
  {
    MutexLock lock(to.mutex);
    if (to.write) {
      to.write(line);
      return;
    }
    // Lines that wait were logged earlier and go first.
    before = take_gathered(to);
  }
  write_out(before);
  // One write per line keeps lines whole.
  write_out(line);
}

void gathered_line(std::string_view line) {
  Sink& to = sink();
  std::string full;
  {
    MutexLock lock(to.mutex);
    if (to.write) {
      to.write(line);
      return;
    }
    if (to.gathered.size() + line.size() > kGatheredMaxBytes) full = take_gathered(to);
    if (to.gatherers > 0 && line.size() <= kGatheredMaxBytes) {
      if (to.gathered.empty()) to.gathered.reserve(kGatheredMaxBytes);
      to.gathered.append(line);
      line = {};
      if (to.asleep > 0) to.wake.notify_one();
    }
  }
  write_out(full);
  write_out(line);
}

struct Gatherer::Impl {
  Sink& to = sink();
  bool stopping KVCS_GUARDED_BY(to.mutex) = false;
  Thread thread{"log", [this] { run(); }};

  // Sleeps until a line is gathered, gives others kGatherMs to join it, and writes them at once.
  // Outside the lock: a slow terminal or pipe must not hold up requests.
  void run() {
    for (bool last = false; !last;) {
      std::string lines;
      {
        MutexLock lock(to.mutex);
        to.asleep++;
        while (to.gathered.empty() && !stopping) to.wake.wait(to.mutex);
        to.asleep--;
        if (!stopping) to.wake.wait_for_ms(to.mutex, kGatherMs);
        last = stopping;
        lines = take_gathered(to);
      }
      write_out(lines);
    }
  }
};

Gatherer::Gatherer() : impl_(std::make_unique<Impl>()) {
  MutexLock lock(impl_->to.mutex);
  impl_->to.gatherers++;
}

Gatherer::~Gatherer() {
  {
    MutexLock lock(impl_->to.mutex);
    impl_->to.gatherers--;
    impl_->stopping = true;
    impl_->to.wake.notify_all();
  }
  impl_->thread.join();
}

void debug(std::string_view event, Fields fields) {
  emit(Level::kDebug, event, fields);
}
void info(std::string_view event, Fields fields) {
  emit(Level::kInfo, event, fields);
}
void warn(std::string_view event, Fields fields) {
  emit(Level::kWarn, event, fields);
}
void error(std::string_view event, Fields fields) {
  emit(Level::kError, event, fields);
}

}  // namespace kvcs::log
