// Where the command line keeps what is its user's: the folders of the XDG Base Directory
// Specification. A relative path in an XDG variable is ignored, as the specification says; without
// HOME the folder of the user's account counts.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs::cli {

// $XDG_CONFIG_HOME/kvcs, else ~/.config/kvcs: the configuration and the logins. "" when this user
// has no home.
std::string config_folder();
// Invalid, and the way out: what is said where config_folder() is "".
Status no_home();

// The rule behind it: the first of `xdg`, and `below` in `home`, that is an absolute path, with
// "/kvcs" behind it; else "".
std::string base_folder(std::string_view xdg, std::string_view home, std::string_view below);

}  // namespace kvcs::cli
