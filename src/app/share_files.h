// Where the shipped data files (config/) are at run time.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

// The first that exists of $KVCS_SHARE_DIR/<name>, <binary's directory>/../share/kvcs/config/<name>
// (an installation) and <binary's directory>/../../config/<name> or one level up (a source tree).
// NotFound: names the places, and `setting`, the field of kvcs.yaml that may name the file instead.
Result<std::string> find_share_file(std::string_view name, std::string_view setting);

}  // namespace kvcs
