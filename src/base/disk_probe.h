// Asks a disk whether it takes writes, by writing.
#pragma once
#include <string>

#include "base/status.h"

namespace kvcs {

// Makes a file named "probe" in `folder`, writes and syncs it, reads it back and removes it. What
// fails first is said. One caller at a time for a folder.
Status probe_disk(const std::string& folder);

}  // namespace kvcs
