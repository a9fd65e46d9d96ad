// Files that hold secrets and are somebody else's to make: keys that the configuration names.
// Functions without state; thread-safe.
#pragma once
#include <string>

#include "base/secret.h"
#include "base/status.h"

namespace kvcs {

// As read_small_file(). A file that others than its owner and its group may read, or whose group is
// not this process's own, is read all the same, with the warning file.readable_by_others: a daemon
// that did not start for it would be worse off than one whose operator is told.
Result<Secret> read_private_file(const std::string& path, size_t max_bytes);
// Whether the mode of an open or closed file lets others read it.
bool others_can_read(const std::string& path);
// The warning alone, for a file that somebody else reads for this process.
void warn_if_others_can_read(const std::string& path);

}  // namespace kvcs
