// What was found damaged in a database file while it is open. All connections of this process to a
// file share one book of it, as they share the file. Thread-safe.
#pragma once
#include <memory>
#include <string>

#include "base/store_damage.h"

namespace kvcs {

// The book of the file with this path. Owners: the connections that are open, and whoever asks; a
// file that nobody has open begins with an empty one.
std::shared_ptr<StoreDamage> damage_of_database(const std::string& path);

}  // namespace kvcs
