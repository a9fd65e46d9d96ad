// Cells and lines of CSV. A cell may come from a request (a model's name, a path), so a spreadsheet
// must not take it for a formula.
#include "ledger/ledger_csv.h"

namespace kvcs {
namespace {

bool is_plain_number(std::string_view text) {
  return text.find_first_not_of("0123456789.", text.starts_with('-') ? 1 : 0) == text.npos &&
         text.size() > 1;
}

}  // namespace

void append_csv_cell(std::string& out, std::string_view text) {
  constexpr std::string_view kFormulaStarts = "=+-@\t\r";
  const bool formula =
      !text.empty() && kFormulaStarts.find(text.front()) != text.npos && !is_plain_number(text);
  const bool quote = text.find_first_of("\",\r\n") != text.npos;
  if (quote) out += '"';
  if (formula) out += '\'';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  if (quote) out += '"';
}

std::string csv_line(std::span<const std::string> cells) {
  std::string out;
  for (const std::string& cell : cells) {
    if (&cell != cells.data()) out += ',';
    append_csv_cell(out, cell);
  }
  return out + "\r\n";
}

}  // namespace kvcs
