// A thread that is wanted after the start of the program. A system may refuse it (RLIMIT_NPROC, a
// container's limit of tasks), and whoever wanted it goes on without. Thread's constructor throws
// std::system_error instead, which ends a start with a word and is for nothing else.
#pragma once
#include <functional>
#include <system_error>
#include <utility>

#include "base/status.h"
#include "base/thread.h"

namespace kvcs {

// Unavailable when the system has no thread left for this process; it may have one later.
inline Result<Thread> start_thread(const char* name, std::function<void()> body) {
  try {
    return Thread(name, std::move(body));
  } catch (const std::system_error& refused) {
    return unavailable(
        "The system lets this process start no more threads (RLIMIT_NPROC, TasksMax= of systemd or "
        "pids.max of a container); raise that limit.",
        refused.what());
  }
}

}  // namespace kvcs
