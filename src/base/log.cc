// One line per event to stderr, from any thread. A process has one Sink: tests put a function in
// it, and a Gatherer makes lines of requests wait there for each other. What stderr cannot take at
// once waits in a buffer of the Outlet.
#include "base/log.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <utility>

#include "base/clock.h"
#include "base/json.h"
#include "base/log_gatherer.h"
#include "base/log_text.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};
std::atomic<bool> g_in_words{false};

struct Sink {
  Mutex mutex;
  std::function<void(std::string_view)> write KVCS_GUARDED_BY(mutex);
  std::string gathered KVCS_GUARDED_BY(mutex);  // Whole lines.
  int gatherers KVCS_GUARDED_BY(mutex) = 0;
  int asleep KVCS_GUARDED_BY(mutex) = 0;       // Of those, until something is gathered.
  bool behind KVCS_GUARDED_BY(mutex) = false;  // Lines wait in the Outlet.
  CondVar wake;
};
Sink& sink() {
  static Sink s;
  return s;
}

std::string now_text() {
  static const std::unique_ptr<Clock> clock = make_system_clock();
  return format_iso8601_ms(clock->unix_ms());
}

// stderr, as something that nobody waits for. When it cannot take a line at once (a pipe that is
// full because its reader has stopped, a terminal that is held), the line waits in a buffer; when
// that is full too, or stderr is closed or its disk full, lines are dropped and counted.
class Outlet final {
 public:
  // False when something waits, for which flush() has to be called again.
  bool write(std::string_view lines) {
    if (lines.empty()) return true;
    MutexLock lock(mutex_);
    if (flush_waiting()) {
      tell_dropped();
      lines = waiting_.empty() ? push_out(lines) : lines;
    }
    if (waiting_.size() + lines.size() > kWaitingMaxBytes) {
      drop(lines);
    } else {
      waiting_.append(lines);
    }
    return waiting_.empty();
  }
  // Tries again what waits; false while something does.
  bool flush() {
    MutexLock lock(mutex_);
    if (!flush_waiting()) return false;
    tell_dropped();
    return waiting_.empty();
  }
  // Waits until stderr has taken all, or the time is over.
  bool drain(int64_t wait_ms) {
    const std::unique_ptr<Clock> clock = make_system_clock();
    const int64_t end_us = clock->mono_us() + wait_ms * 1000;
    while (!flush()) {
      const int64_t left_ms = (end_us - clock->mono_us() + 999) / 1000;
      if (left_ms <= 0) return false;
      pollfd stderr_now{STDERR_FILENO, POLLOUT, 0};
      (void)::poll(&stderr_now, 1, static_cast<int>(left_ms));
    }
    return true;
  }
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kWaitingMaxBytes = 256u << 10;
  // A pipe that poll() calls writable takes so many bytes without making the writer wait.
  static constexpr size_t kPieceBytes = 4096;

  void drop(std::string_view lines) {
    dropped_.fetch_add(static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n')),
                       std::memory_order_relaxed);
  }

  bool flush_waiting() KVCS_REQUIRES(mutex_) {
    if (!waiting_.empty()) waiting_ = std::string(push_out(waiting_));
    return waiting_.empty();
  }

  void tell_dropped() KVCS_REQUIRES(mutex_) {
    const uint64_t dropped = dropped_.load(std::memory_order_relaxed);
    if (dropped == told_) return;
    const std::string line = "{\"ts\":\"" + now_text() +
                             "\",\"level\":\"warn\",\"event\":\"log.lines_dropped\",\"lines\":" +
                             std::to_string(dropped - told_) + "}\n";
    if (!is_writable()) return;
    const ssize_t n = write_piece(line);
    if (n <= 0) return;  // Told later.
    told_ = dropped;
    waiting_.append(line, static_cast<size_t>(n));
  }

  static bool is_writable() {
    pollfd stderr_now{STDERR_FILENO, POLLOUT, 0};
    return ::poll(&stderr_now, 1, 0) != 0;  // Errors come from the write itself.
  }

  // A socket is asked not to wait; of files and pipes is_writable() has said that they do not.
  ssize_t write_piece(std::string_view piece) KVCS_REQUIRES(mutex_) {
    if (is_socket_ < 0) {
      struct stat facts {};
      is_socket_ = ::fstat(STDERR_FILENO, &facts) == 0 && S_ISSOCK(facts.st_mode) ? 1 : 0;
    }
    if (is_socket_ == 1) {
      return ::send(STDERR_FILENO, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    return ::write(STDERR_FILENO, piece.data(), piece.size());
  }

  // Returns what stderr could not take now. What it will never take is dropped.
  std::string_view push_out(std::string_view lines) KVCS_REQUIRES(mutex_) {
    while (!lines.empty()) {
      if (!is_writable()) return lines;
      const ssize_t n = write_piece(lines.substr(0, kPieceBytes));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return lines;
      if (n <= 0) {
        drop(lines);
        return {};
      }
      lines.remove_prefix(static_cast<size_t>(n));
    }
    return {};
  }

  Mutex mutex_;  // Held over writes that do not wait.
  std::string waiting_ KVCS_GUARDED_BY(mutex_);
  uint64_t told_ KVCS_GUARDED_BY(mutex_) = 0;
  int is_socket_ KVCS_GUARDED_BY(mutex_) = -1;  // Not known yet.
  std::atomic<uint64_t> dropped_ = 0;
};
Outlet& outlet() {
  static Outlet one;
  return one;
}

// Without the thread of a Gatherer the next line takes with it what waits.
void write_out(std::string_view lines) {
  const bool taken = g_in_words.load(std::memory_order_relaxed) ? outlet().write(in_words(lines))
                                                                : outlet().write(lines);
  if (taken) return;
  Sink& to = sink();
  MutexLock lock(to.mutex);
  to.behind = true;
  if (to.asleep > 0) to.wake.notify_one();
}

std::string take_gathered(Sink& from) KVCS_REQUIRES(from.mutex) {
  return std::exchange(from.gathered, {});
}

void emit(Level level, std::string_view event, Fields fields) {
  if (!enabled(level)) return;
  static constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
  std::string line = "{\"ts\":\"" + now_text() + "\",\"level\":\"";
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
bool is_format(std::string_view name) {
  return name == "auto" || name == "json" || name == "text";
}
bool set_format(std::string_view name) {
  if (!is_format(name)) return false;
  g_in_words = name == "text" || (name == "auto" && ::isatty(STDERR_FILENO) == 1);
  return true;
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

uint64_t dropped_lines() {
  return outlet().dropped();
}

struct Gatherer::Impl {
  Sink& to = sink();
  bool stopping KVCS_GUARDED_BY(to.mutex) = false;
  Thread thread{"log", [this] { run(); }};

  // Sleeps until a line is gathered, gives others kGatherMs to join it, and writes them at once.
  // Outside the lock, as every write. What stderr did not take
  // is tried again at the same pace.
  void run() {
    for (bool last = false; !last;) {
      std::string lines;
      {
        MutexLock lock(to.mutex);
        to.asleep++;
        while (to.gathered.empty() && !stopping && !to.behind) to.wake.wait(to.mutex);
        to.asleep--;
        if (!stopping) to.wake.wait_for_ms(to.mutex, kGatherMs);
        last = stopping;
        lines = take_gathered(to);
        to.behind = false;
      }
      write_out(lines);
      if (outlet().flush()) continue;
      MutexLock lock(to.mutex);
      to.behind = true;
    }
  }
};

bool drain(int64_t wait_ms) {
  return outlet().drain(wait_ms);
}

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
