// The output of commands: tables, fields, JSON, failures, colour. Also the lookups of
// Invocation. One thread.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "cli/command.h"
#include "cli/error_codes.h"
#include "cli/terminal.h"

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
  wipe();
  error_(std::string(line) + "\n");
}

// "\x1b[K" erases to the end of the line (ECMA-48 EL).
void Console::draw(std::string_view line) {
  is_drawn_ = true;
  error_("\r" + std::string(line) + "\x1b[K");
}
void Console::wipe() {
  if (std::exchange(is_drawn_, false)) error_("\r\x1b[K");
}

// The JSON form goes to stderr in one line: stdout belongs to results.
void Console::tell_failure(const Status& status, std::string_view code) {
  wipe();
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

constexpr size_t kColumnGap = 2;
constexpr size_t kCellMin = 8;  // Less of a text tells nothing.

using Rows = std::vector<std::vector<std::string>>;
using Fields = std::vector<std::pair<std::string, std::string>>;

size_t width_of_names(const Fields& fields) {
  size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, cells_of(name));
  return width;
}

struct Layout {
  std::vector<size_t> widths;
  std::vector<bool> numeric;
  size_t total() const {
    size_t sum = widths.empty() ? 0 : kColumnGap * (widths.size() - 1);
    for (const size_t width : widths) sum += width;
    return sum;
  }
};

Layout lay_out(const Rows& rows) {
  Layout layout;
  for (const auto& row : rows) {
    layout.widths.resize(std::max(layout.widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); i++) {
      layout.widths[i] = std::max(layout.widths[i], cells_of(row[i]));
    }
  }
  for (size_t i = 0; i < layout.widths.size(); i++) layout.numeric.push_back(is_numeric(rows, i));
  return layout;
}

// What is copied into the next command loses its worth with its last letters.
bool is_copied(std::string_view heading) {
  return heading == "ID" || heading.ends_with(" ID") || heading == "URL";
}

// The widest column gives first; false when all have given what they can.
bool shrink(const Rows& rows, Layout& layout, size_t columns) {
  while (layout.total() > columns) {
    size_t widest = layout.widths.size();
    for (size_t i = 0; i < layout.widths.size(); i++) {
      const std::string_view heading = i < rows[0].size() ? rows[0][i] : std::string_view();
      if (layout.numeric[i] || is_copied(heading) || layout.widths[i] <= kCellMin) continue;
      if (widest == layout.widths.size() || layout.widths[i] > layout.widths[widest]) widest = i;
    }
    if (widest == layout.widths.size()) return false;
    layout.widths[widest]--;
  }
  return true;
}

// Each in a line of the terminal, but for what is copied: here digests are whole, too.
Fields fit_fields(Fields fields, size_t columns) {
  const size_t before = width_of_names(fields) + kColumnGap;
  for (auto& [name, value] : fields) {
    if (is_copied(name) || name == "SHA256") continue;
    value = fit_cells(value, std::max(columns, before + kCellMin) - before);
  }
  return fields;
}

// Spaces at the end are cut, so that a last empty cell leaves no trace.
std::string table_line(const std::vector<std::string>& row, const Layout& layout) {
  std::string line;
  for (size_t i = 0; i < row.size(); i++) {
    const std::string cell = fit_cells(row[i], layout.widths[i]);
    const std::string gap(layout.widths[i] - cells_of(cell), ' ');
    if (i > 0) line += std::string(kColumnGap, ' ');
    line += layout.numeric[i] ? gap + cell : cell + gap;
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

// Rows may be shorter than the heading.
void Console::print_table(const Rows& rows) {
  Layout layout = lay_out(rows);
  const size_t columns = out_columns();
  if (columns > 0 && !rows.empty() && !shrink(rows, layout, columns)) {
    for (size_t r = 1; r < rows.size(); r++) {
      Fields fields;
      for (size_t i = 0; i < rows[r].size() && i < rows[0].size(); i++) {
        if (!rows[r][i].empty()) fields.emplace_back(rows[0][i], rows[r][i]);
      }
      if (r > 1) print("");
      print_fields(fit_fields(std::move(fields), columns));
    }
    return;
  }
  for (size_t r = 0; r < rows.size(); r++) {
    const std::string line = table_line(rows[r], layout);
    print(r == 0 ? bold(line) : line);
  }
}

void Console::print_fields(const Fields& fields) {
  const size_t width = width_of_names(fields) + kColumnGap;
  for (const auto& [name, value] : fields) {
    print(bold(name) + std::string(width - cells_of(name), ' ') + value);
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
