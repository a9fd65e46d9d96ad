// The share of the process's descriptors that connections get. Called at the start only.
#include "app/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace kvcs {
namespace {

constexpr uint64_t kLeastDescriptors = 128;
constexpr uint64_t kLeastForOthers = 64;  // Stores, log, uploads, other servers.

}  // namespace

Result<bool> fit_connections(http::ServerConfig& server, uint64_t descriptors) {
  if (descriptors < kLeastDescriptors) {
    return invalid("This process may open " + std::to_string(descriptors) +
                   " descriptors (RLIMIT_NOFILE), and at least " +
                   std::to_string(kLeastDescriptors) +
                   " are needed; raise the limit with `ulimit -n` or LimitNOFILE= of systemd.");
  }
  // A quarter is kept from connections: each may need a file or another server beside its socket.
  const uint64_t most = descriptors - std::max(kLeastForOthers, descriptors / 4);
  if (static_cast<uint64_t>(server.connections_max) <= most) return false;
  server.connections_max = static_cast<int>(most);
  return true;
}

uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

}  // namespace kvcs
