#include "base/log.h"

#include <unistd.h>

#include <atomic>

#include "base/clock.h"
#include "base/json.h"
#include "base/mutex.h"

namespace kvcs::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};

struct Sink {
  Mutex mutex;
  std::function<void(std::string_view)> write KVCS_GUARDED_BY(mutex);
};
Sink& sink() {
  static Sink s;
  return s;
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
  {
    MutexLock lock(sink().mutex);
    if (sink().write) {
      sink().write(line);
      return;
    }
  }
  // One write per line keeps lines whole; a failed log write has nowhere to be reported.
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
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
