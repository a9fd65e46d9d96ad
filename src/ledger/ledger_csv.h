// CSV lines (RFC 4180) for exports that people open in spreadsheets. Pure functions.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace kvcs {

// Appends one cell, quoted where it must be. A text that a spreadsheet would run as a formula
// (= + - @ tab CR first, and not a plain number) gets an apostrophe before it.
void append_csv_cell(std::string& out, std::string_view text);
// All cells and CR LF.
std::string csv_line(std::span<const std::string> cells);

}  // namespace kvcs
