// Structured log: one line on stderr per event, of JSON or, for a terminal, of words. The event is
// a constant noun.verb.
//   log::info("artifact.confirmed", {{"id", id}, {"size_bytes", n}});
// Never bodies, keys or tokens; key ids instead. Values are escaped. Thread-safe. The process's
// stderr is the one global here; only the edges (http/serve/server, cron, cli, main) log.
#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace kvcs::log {

enum class Level : uint8_t { kDebug, kInfo, kWarn, kError };

class Value {
 public:
  Value(std::string_view text) : text_(text) {}                      // NOLINT: implicit
  Value(const std::string& text) : text_(text) {}                    // NOLINT: implicit
  Value(const char* text) : text_(text) {}                           // NOLINT: implicit
  Value(bool b) : text_(b ? "true" : "false"), is_string_(false) {}  // NOLINT: implicit
  template <typename T>
  requires(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) Value(T number)
      : text_(std::to_string(number)), is_string_(false) {}  // NOLINT: implicit
  const std::string& text() const { return text_; }
  bool is_string() const { return is_string_; }

 private:
  std::string text_;
  bool is_string_ = true;
};

struct Field {
  std::string_view name;
  Value value;
};
using Fields = std::initializer_list<Field>;

void set_level(Level level);
// "json", "text" (log_text.h), or "auto": text when stderr is a terminal. False: none of them, and
// nothing changes.
bool set_format(std::string_view name);
bool is_format(std::string_view name);
bool parse_level(std::string_view name, Level& level);  // debug, info, warn, error
bool enabled(Level level);
// Tests capture lines here; nullptr restores stderr.
void set_sink(std::function<void(std::string_view line)> sink);

void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warn(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});
// A line built elsewhere with already escaped JSON members, e.g. the access log's hot path.
void raw_line(std::string&& line);

}  // namespace kvcs::log
