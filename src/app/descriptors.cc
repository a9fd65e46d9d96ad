// The share of the process's descriptors that connections get. Called at the start only.
#include "app/descriptors.h"

#include <algorithm>

#include "base/descriptor_room.h"

namespace kvcs {
namespace {

constexpr uint64_t kLeastDescriptors = 128;
constexpr uint64_t kEngines = 2;  // Of the upstream; each keeps idle connections of its own.

}  // namespace

Result<bool> fit_connections(http::ServerConfig& server, http::UpstreamConfig& upstream,
                             int& open_files_max, uint64_t descriptors) {
  if (descriptors < kLeastDescriptors) {
    return invalid("This process may open " + std::to_string(descriptors) +
                   " descriptors (RLIMIT_NOFILE), and at least " +
                   std::to_string(kLeastDescriptors) +
                   " are needed; raise the limit with `ulimit -n` or LimitNOFILE= of systemd.");
  }
  const uint64_t stores = store_descriptors(descriptors);
  open_files_max = static_cast<int>(std::min(static_cast<uint64_t>(open_files_max), stores / 2));
  const uint64_t callers = descriptors - stores;
  const uint64_t idle =
      std::min(static_cast<uint64_t>(upstream.connections_idle_max), callers / 16);
  upstream.connections_idle_max = static_cast<int>(idle);
  const uint64_t left = callers - kEngines * idle;
  const auto at_work = static_cast<uint64_t>(server.streams_max + server.streams_reserved);
  const uint64_t most = left - std::min(at_work, left / 2);
  if (static_cast<uint64_t>(server.connections_max) <= most) return false;
  server.connections_max = static_cast<int>(most);
  return true;
}

}  // namespace kvcs
