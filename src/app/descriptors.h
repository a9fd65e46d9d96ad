// What the process may open, and how many connections that is enough for. A function of its
// arguments.
#pragma once
#include <cstdint>

#include "base/status.h"
#include "http/client/upstream.h"
#include "http/serve/server_config.h"

namespace kvcs {

// Lowers `connections_max` and the upstream's idle connections to what `descriptors`, the process's
// limit (RLIMIT_NOFILE), leaves beside the stores (base/descriptor_room.h), when each request at
// work has a file or a connection to another server beside its own, and an idle connection nothing;
// true when it lowered `connections_max`. Invalid when that limit is too low for anything.
// `open_files_max`, of the key-value store, is lowered to half of what the stores have.
Result<bool> fit_connections(http::ServerConfig& server, http::UpstreamConfig& upstream,
                             int& open_files_max, uint64_t descriptors);

}  // namespace kvcs
