// One probe of the health, on a thread of its own, so that a disk that hangs holds this thread and
// nobody who asks. Thread-safe. Internal to ops/.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"

namespace kvcs {

class ProbeThread final {
 public:
  // `every_us`: an answer is good for so long, and is given without asking again.
  ProbeThread(std::string name, std::function<Status()> probe, const Clock& clock,
              int64_t every_us);
  ~ProbeThread();  // Waits for a probe that runs.

  const std::string& name() const { return name_; }
  // Has the probe run, unless its last answer is good still or it runs already. Starts the thread.
  void ask();
  struct Answer {
    bool in_time = false;
    Status status;  // Timeout when it was not in time.
    int64_t latency_us = 0;
  };
  // What was asked for by ask(): waits until the probe has run for `answer_ms`.
  Answer await(int64_t answer_ms);

 private:
  void work();

  const std::string name_;
  const std::function<Status()> probe_;
  const Clock& clock_;
  const int64_t every_us_;
  Mutex mutex_;
  CondVar changed_;
  bool asked_ KVCS_GUARDED_BY(mutex_) = false;  // From ask() to the answer.
  bool has_answer_ KVCS_GUARDED_BY(mutex_) = false;
  bool ends_ KVCS_GUARDED_BY(mutex_) = false;
  // Of the steady clock of the machine, since a wait is one of its time.
  int64_t asked_ms_ KVCS_GUARDED_BY(mutex_) = 0;
  int64_t answered_us_ KVCS_GUARDED_BY(mutex_) = 0;  // Of `clock_`.
  Status last_ KVCS_GUARDED_BY(mutex_);
  int64_t latency_us_ KVCS_GUARDED_BY(mutex_) = 0;
  std::optional<Thread>
      thread_;  // Last: it uses the rest. Made by the first ask(), under `mutex_`.
};

}  // namespace kvcs
