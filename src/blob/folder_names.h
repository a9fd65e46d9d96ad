// The names in a folder of the blob store, for the engine of files and for copies of it. A function
// without state, for any thread. Internal to blob/.
#pragma once
#include <functional>
#include <string>

#include "base/status.h"

namespace kvcs {

// Visits the names in the folder `path`, hidden ones left out; `visit` returning a failure stops.
// What is not there, or is no folder, has no names: operators keep notes between the blobs, and a
// stranger's file is no reason to serve none of them.
Status for_each_name(const std::string& path, const std::function<Status(const char*)>& visit);

}  // namespace kvcs
