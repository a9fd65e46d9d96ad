// What a terminal shows: its width, and how many of its cells a text takes. Functions without
// state.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace kvcs::cli {

// The columns of the terminal at `descriptor` at this moment: it may change while a command runs.
// Without an answer COLUMNS, else 80. 0: the descriptor is no terminal, and nothing has to fit.
size_t terminal_columns(int descriptor);

// The cells that a UTF-8 text takes (Unicode 15, UAX #11): two for wide characters such as 中 and
// for most emoji, none for combining marks and joiners. Invalid bytes take one each.
size_t cells_of(std::string_view text);
// `text`, or as much of it as leaves room for "…" in `cells`; cut between characters.
std::string fit_cells(std::string_view text, size_t cells);

// The help of a command with its lines broken between words: what stands behind a name goes on
// below itself. Lines to be copied ("  kvcs …") stay whole. 0 columns: as it is.
std::string fit_help(std::string_view help, size_t columns);

}  // namespace kvcs::cli
