// Asks a disk whether it takes writes, by writing, and how much room it has.
#pragma once
#include <cstdint>
#include <string>

#include "base/status.h"

namespace kvcs {

// Makes a file named "probe" in `folder`, writes and syncs it, reads it back and removes it. What
// fails first is said. One caller at a time for a folder.
Status probe_disk(const std::string& folder);

// What a process without privileges may still write to the disk of `folder`.
Result<uint64_t> free_disk_bytes(const std::string& folder);

}  // namespace kvcs
