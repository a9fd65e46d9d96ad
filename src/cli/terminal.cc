// Asks the kernel for the width of a terminal, and utf8proc for that of characters.
#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"

namespace kvcs::cli {
namespace {

constexpr size_t kStandardColumns = 80;
// A window narrower than this shows nothing worth fitting.
constexpr size_t kColumnsMin = 10, kColumnsMax = 1000;

struct Character {
  size_t bytes = 1, cells = 1;
};

Character first_character(std::string_view text) {
  utf8proc_int32_t code_point = 0;
  const auto* const bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  const auto size = static_cast<utf8proc_ssize_t>(text.size());
  const utf8proc_ssize_t used = utf8proc_iterate(bytes, size, &code_point);
  if (used <= 0) return {};
  const int cells = utf8proc_charwidth(code_point);
  return {static_cast<size_t>(used), static_cast<size_t>(std::max(cells, 0))};
}

}  // namespace

size_t terminal_columns(int descriptor) {
  if (::isatty(descriptor) != 1) return 0;
  winsize size{};
  size_t columns = 0;
  if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
  if (columns == 0) {
    const char* const told = std::getenv("COLUMNS");
    columns = parse_u64(told == nullptr ? "" : told, "COLUMNS").value_or(kStandardColumns);
  }
  return std::clamp(columns, kColumnsMin, kColumnsMax);
}

size_t cells_of(std::string_view text) {
  size_t cells = 0;
  while (!text.empty()) {
    const Character next = first_character(text);
    cells += next.cells;
    text.remove_prefix(next.bytes);
  }
  return cells;
}

std::string fit_cells(std::string_view text, size_t cells) {
  if (cells_of(text) <= cells) return std::string(text);
  if (cells == 0) return {};
  size_t kept = 0, used = 0;
  while (kept < text.size()) {
    const Character next = first_character(text.substr(kept));
    if (used + next.cells + 1 > cells) break;
    used += next.cells;
    kept += next.bytes;
  }
  return std::string(text.substr(0, kept)) + "…";
}

namespace {

// Where the text of a line begins again when it is broken: behind a name and its gap, else where
// the line began.
size_t indent_of(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  const size_t gap = line.find("  ", begin);
  if (begin == 0 || gap == line.npos) return begin;
  return std::min(line.find_first_not_of(' ', gap), line.size());
}

void append_fitted(std::string& out, std::string_view line, size_t columns) {
  const size_t indent = std::min(indent_of(line), columns / 2);
  size_t before = 0;  // Cells of the line that stand there already.
  size_t least = indent;
  while (before + cells_of(line) > columns) {
    // The last blank that fits; a word that is longer than a line stays whole.
    size_t cut = line.rfind(' ', columns - before);
    if (cut == line.npos || cut < least) cut = line.find(' ', std::max(columns - before, least));
    if (cut == line.npos) break;
    out += std::string(line.substr(0, cut)) + "\n" + std::string(indent, ' ');
    line.remove_prefix(cut + 1);
    before = indent;
    least = 0;
  }
  out += line;
}

}  // namespace

std::string fit_help(std::string_view help, size_t columns) {
  if (columns == 0) return std::string(help);
  std::string out;
  while (!help.empty()) {
    const size_t end = std::min(help.find('\n'), help.size());
    const std::string_view line = help.substr(0, end);
    if (line.starts_with("  kvcs ")) {
      out += line;
    } else {
      append_fitted(out, line, columns);
    }
    if (end < help.size()) out += '\n';
    help.remove_prefix(std::min(end + 1, help.size()));
  }
  return out;
}

}  // namespace kvcs::cli
