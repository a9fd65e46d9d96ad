#include "base/wait.h"

#include <poll.h>

namespace kvcs {

// A client that is watched for POLLRDHUP alone does not wake us for what it pipelines.
Waiter::Woken ThreadWaiter::wait(const WaitFor& what) {
  const bool watched = what.client_too && client_fd_ >= 0;
  pollfd entries[2] = {{what.descriptor, what.events, 0}, {client_fd_, POLLRDHUP, 0}};
  if (::poll(entries, watched ? 2 : 1, what.timeout_ms) <= 0) return Woken::kTimeout;
  return watched && entries[1].revents != 0 ? Woken::kClientGone : Woken::kReady;
}

}  // namespace kvcs
