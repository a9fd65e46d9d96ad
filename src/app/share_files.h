// Where the shipped data files (config/) are at run time.
#pragma once
#include <string>
#include <string_view>

namespace kvcs {

// The first that exists of $KVCS_SHARE_DIR/<name>, <binary's directory>/../share/kvcs/config/<name>
// (an installation) and <binary's directory>/../../config/<name> or one level up (a source tree);
// the installation's path when none does, for the error message.
std::string find_share_file(std::string_view name);

}  // namespace kvcs
