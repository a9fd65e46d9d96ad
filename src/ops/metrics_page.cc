// Reads a page in Prometheus text format line by line and adds up the series that lose a label.
#include "ops/metrics_page.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>
#include <vector>

namespace kvcs {
namespace {

// Where the label stands in a line of a series, from the '{' or ',' before it to behind its closing
// quote; npos, npos: nowhere. A quote or backslash within a value is escaped.
std::pair<size_t, size_t> find_label(std::string_view line, std::string_view label) {
  size_t at = line.find('{');
  while (at < line.size() && line[at] != '}') {
    const size_t equals = line.find('=', at);
    if (equals == line.npos || equals + 1 >= line.size()) break;
    size_t end = equals + 2;
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
    if (line.substr(at + 1, equals - at - 1) == label) return {at, end + 1};
    at = end + 1;
  }
  return {line.npos, line.npos};
}

double number_behind(std::string_view line, size_t at) {
  double number = 0;
  std::from_chars(line.data() + at, line.data() + line.size(), number);
  return number;
}

}  // namespace

std::string without_label(std::string_view page, std::string_view label) {
  std::vector<std::string> lines;
  struct Sum {
    size_t line;
    double value;
  };
  std::map<std::string, Sum, std::less<>> sums;  // By name and the labels that are left.
  while (!page.empty()) {
    const size_t end = std::min(page.find('\n'), page.size() - 1);
    const std::string_view line = page.substr(0, end);
    page.remove_prefix(end + 1);
    const auto [from, to] =
        line.starts_with('#') ? std::pair{line.npos, line.npos} : find_label(line, label);
    const size_t space = from == line.npos ? line.npos : line.find("} ", to);
    if (from == line.npos || space == line.npos) {
      lines.emplace_back(line);
      continue;
    }
    std::string_view before = line.substr(0, from), after = line.substr(to, space + 1 - to);
    if (line[from] == '{') {
      before = line.substr(0, from + 1);
      if (after.starts_with(',')) after.remove_prefix(1);
    }
    const auto [sum, is_new] =
        sums.try_emplace(std::string(before) + std::string(after), Sum{lines.size(), 0});
    if (is_new) lines.emplace_back();
    sum->second.value += number_behind(line, space + 2);
  }
  for (const auto& [name, sum] : sums) {
    char text[64];
    const auto end = std::to_chars(text, text + sizeof text, sum.value).ptr;
    lines[sum.line] = name + " " + std::string(text, end);
  }
  std::string out;
  for (const std::string& line : lines) out.append(line).push_back('\n');
  return out;
}

}  // namespace kvcs
