// Pages of the manual, made from the tables that --help is made from: kvcs(1), and one for each
// first word of a command, as kvcs-upload(1) and kvcs-admin(1). Pure functions.
#pragma once
#include <string>
#include <vector>

#include "cli/command.h"

namespace kvcs::cli {

// The hidden word by which a package writes the pages: `kvcs __man DIRECTORY`.
inline constexpr std::string_view kManWord = "__man";

struct ManPage {
  std::string file_name;  // "kvcs-upload.1"
  std::string text;       // roff, of the man(7) macros.
};

std::vector<ManPage> man_pages(const std::vector<Command>& commands);

}  // namespace kvcs::cli
