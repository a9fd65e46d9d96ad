// Threads that do nothing but wait until all of them are there.
#include "base/thread_room.h"

#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/start_thread.h"

namespace kvcs {

Status check_thread_room(int count, std::string_view who) {
  struct Gate {
    Mutex mutex;
    CondVar opened;
    bool is_open KVCS_GUARDED_BY(mutex) = false;

    void wait() {
      MutexLock lock(mutex);
      while (!is_open) opened.wait(mutex);
    }
    void open() {
      MutexLock lock(mutex);
      is_open = true;
      opened.notify_all();
    }
  } gate;
  std::vector<Thread> threads;
  Status refused;
  for (int i = 0; i < count && refused.ok(); i++) {
    Result<Thread> thread = start_thread("probe", [&gate] { gate.wait(); });
    if (thread.ok()) {
      threads.push_back(std::move(thread).value());
    } else {
      refused =
          unavailable("Of the " + std::to_string(count) + " threads that " + std::string(who) +
                          " may need to open, the system refuses all but " + std::to_string(i) +
                          " (RLIMIT_NPROC, TasksMax= of systemd or pids.max of a "
                          "container); raise that limit.",
                      thread.status().cause());
    }
  }
  gate.open();
  return refused;  // The threads are joined before the gate goes.
}

}  // namespace kvcs
