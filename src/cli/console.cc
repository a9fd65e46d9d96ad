// The output of commands: tables, fields, JSON, failures, colour. Also the lookups of
// Invocation. One thread.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "cli/command.h"
#include "cli/error_codes.h"

namespace kvcs::cli {

// Every option of the command has an entry, be it empty, so a missing entry means a wrong name.
const std::vector<std::string>& Invocation::find(std::string_view name) const {
  const auto it = values_.find(name);
  KVCS_ASSERT(it != values_.end());
  return it->second;
}
void Invocation::set(std::string name, std::vector<std::string> values) {
  values_[std::move(name)] = std::move(values);
}
// The last value counts when an option is given twice, as is common for command lines.
std::optional<std::string> Invocation::optional_text(std::string_view name) const {
  const auto& values = find(name);
  if (values.empty()) return std::nullopt;
  return values.back();
}
std::string Invocation::text(std::string_view name) const {
  return optional_text(name).value_or("");
}
bool Invocation::flag(std::string_view name) const {
  return !find(name).empty();
}
std::optional<int64_t> Invocation::optional_number(std::string_view name) const {
  const std::optional<std::string> text = optional_text(name);
  if (!text) return std::nullopt;
  // cli.cc has checked the text against the option's kind and bounds.
  return std::stoll(*text);
}
int64_t Invocation::number(std::string_view name) const {
  return optional_number(name).value_or(0);
}
std::vector<std::string> Invocation::list(std::string_view name) const {
  return find(name);
}

Console::Console(Mode mode, Writer out, Writer error)
    : mode_(mode), out_(std::move(out)), error_(std::move(error)) {}

void Console::print(std::string_view line) {
  out_(std::string(line) + "\n");
}
void Console::write(std::string_view bytes) {
  out_(bytes);
}
void Console::print_json(const Json& value) {
  out_(dump_json_pretty(value) + "\n");
}
void Console::note(std::string_view line) {
  if (mode_.quiet || mode_.json) return;
  error_(std::string(line) + "\n");
}

// The JSON form goes to stderr in one line: stdout belongs to results.
void Console::tell_failure(const Status& status, std::string_view code) {
  if (!mode_.json) {
    error_(red("error:") + " " + printable(status.message(), kShownWhole) + "\n");
    return;
  }
  Json failure{{"error", status.message()}, {"code", code}};
  if (!status.reason().empty()) failure["reason"] = status.reason();
  if (status.retry_after_s() > 0) failure["retry_after_s"] = status.retry_after_s();
  error_(dump_json(failure) + "\n");
}
int Console::fail(const Status& status) {
  tell_failure(status, error_code(status));
  return kExitFailed;
}
int Console::misused(const Status& status) {
  tell_failure(status, kUsageCode);
  return kExitUsage;
}

namespace {
// The width of a text on a terminal, in columns. It counts code points (bytes that do not continue
// a UTF-8 sequence); wide and combining characters are not told apart, which may only shift a
// column.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// Whether a cell is a number, alone or with one unit behind it: "-12.5", "1.00 MiB", "93 %".
bool is_quantity(std::string_view text) {
  const size_t space = text.find(' ');
  const std::string_view number = text.substr(0, space);
  if (number == "inf") return true;
  if (number.empty() || number.find_first_of("0123456789") == std::string_view::npos) return false;
  if (number.find_first_not_of("0123456789.+-e%x$") != std::string_view::npos) return false;
  // A date ("2026-11-25") has two inner dashes and a version two points; neither is a quantity.
  return std::count(number.begin() + 1, number.end(), '-') <= 1 &&
         std::count(number.begin(), number.end(), '.') <= 1 &&
         (space == std::string_view::npos || text.find(' ', space + 1) == std::string_view::npos);
}

// Whether a column holds numbers: every cell below the heading is a quantity or says that there is
// none, and at least one is a quantity.
bool is_numeric(const std::vector<std::vector<std::string>>& rows, size_t column) {
  bool any = false;
  for (size_t r = 1; r < rows.size(); r++) {
    const std::string_view cell = column < rows[r].size() ? rows[r][column] : std::string_view();
    if (cell.empty() || cell == "-" || cell == kNoLimit) continue;
    if (!is_quantity(cell)) return false;
    any = true;
  }
  return any;
}
}  // namespace

// Rows may be shorter than the heading. Spaces at the end of a line are cut, so that a last empty
// cell leaves no trace.
void Console::print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); i++) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::vector<bool> numeric(widths.size());
  for (size_t i = 0; i < widths.size(); i++) numeric[i] = is_numeric(rows, i);
  for (size_t r = 0; r < rows.size(); r++) {
    std::string line;
    for (size_t i = 0; i < rows[r].size(); i++) {
      const std::string gap(widths[i] - width_of(rows[r][i]), ' ');
      if (i > 0) line += "  ";
      line += numeric[i] ? gap + rows[r][i] : rows[r][i] + gap;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    print(r == 0 ? bold(line) : line);
  }
}

void Console::print_fields(const std::vector<std::pair<std::string, std::string>>& fields) {
  size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, width_of(name));
  for (const auto& [name, value] : fields) {
    print(bold(name) + std::string(width - width_of(name) + 2, ' ') + value);
  }
}

namespace {
// `code` is a parameter of the SGR control sequence (ECMA-48): 1 is bold, 31 red, 32 green.
std::string colored(bool on, const char* code, std::string_view text) {
  if (!on) return std::string(text);
  return std::string("\x1b[") + code + "m" + std::string(text) + "\x1b[0m";
}
}  // namespace

std::string Console::bold(std::string_view text) const {
  return colored(mode_.color, "1", text);
}
std::string Console::red(std::string_view text) const {
  return colored(mode_.color, "31", text);
}
std::string Console::green(std::string_view text) const {
  return colored(mode_.color, "32", text);
}

}  // namespace kvcs::cli
