// What the process may open, and how many connections that is enough for. A function of its
// arguments.
#pragma once
#include <cstdint>

#include "base/status.h"
#include "http/serve/server_config.h"

namespace kvcs {

// Lowers `connections_max` to what `descriptors`, the process's limit (RLIMIT_NOFILE), leaves
// beside the files and the calls to other servers; true when it did. Invalid when that limit is too
// low for anything.
Result<bool> fit_connections(http::ServerConfig& server, uint64_t descriptors);
// The process's own limit.
uint64_t descriptor_limit();

}  // namespace kvcs
