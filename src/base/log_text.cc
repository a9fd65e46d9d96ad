// Reads the lines that log.cc writes, and writes their members in one line each.
#include "base/log_text.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"

namespace kvcs::log {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr size_t kTimeAt = 11;  // Behind the date and its T.

bool is_plain(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\\';
  });
}

std::string value_words(const OrderedJson& value) {
  if (value.is_string() && is_plain(value.get_ref<const std::string&>())) return value;
  return value.dump(-1, ' ', true, OrderedJson::error_handler_t::replace);
}

std::string take(OrderedJson& line, const char* name) {
  const auto found = line.find(name);
  if (found == line.end() || !found->is_string()) return {};
  std::string text = value_words(*found);
  line.erase(found);
  return text;
}

std::string line_in_words(std::string_view text) {
  OrderedJson line = OrderedJson::parse(text, nullptr, false);
  if (!line.is_object()) return std::string(text);
  const std::string time = take(line, "ts"), event = take(line, "event");
  std::string level = take(line, "level");
  level.resize(std::max<size_t>(level.size(), 5), ' ');
  std::string words =
      time.size() > kTimeAt + 1 ? time.substr(kTimeAt, time.size() - kTimeAt - 1) : time;
  words += " " + level + " " + event;
  for (const auto& [name, value] : line.items()) {
    words += "  " + (is_plain(name) ? name : OrderedJson(name).dump(-1, ' ', true)) + "=" +
             value_words(value);
  }
  return words;
}

}  // namespace

std::string in_words(std::string_view lines) {
  std::string out;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    out += line_in_words(lines.substr(0, end)) + "\n";
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return out;
}

}  // namespace kvcs::log
