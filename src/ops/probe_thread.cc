// The thread sleeps until somebody asks. Who asks waits for a while only, and later ones not even
// that: a probe that has not answered in time is known to hang.
#include "ops/probe_thread.h"

#include <utility>

#include "base/start_thread.h"
#include "base/wait.h"

namespace kvcs {

ProbeThread::ProbeThread(std::string name, std::function<Status()> probe, const Clock& clock,
                         int64_t every_us)
    : name_(std::move(name)), probe_(std::move(probe)), clock_(clock), every_us_(every_us) {}

ProbeThread::~ProbeThread() {
  {
    const MutexLock lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
}

void ProbeThread::ask() {
  const MutexLock lock(mutex_);
  if (asked_) return;
  if (has_answer_ && clock_.mono_us() - answered_us_ < every_us_) return;
  asked_ = true;
  asked_ms_ = steady_ms();
  if (!thread_) {
    Result<Thread> started = start_thread(("probe-" + name_).c_str(), [this] { work(); });
    if (!started.ok()) {
      asked_ = false;
      last_ = started.status();
      return;
    }
    thread_.emplace(std::move(started).value());
  }
  changed_.notify_all();
}

ProbeThread::Answer ProbeThread::await(int64_t answer_ms) {
  const MutexLock lock(mutex_);
  while (asked_) {
    const int64_t waited_ms = steady_ms() - asked_ms_;
    if (waited_ms >= answer_ms) {
      return {false, timed_out("no answer for " + std::to_string(waited_ms / 1000) + " s"),
              waited_ms * 1000};
    }
    (void)changed_.wait_for_ms(mutex_, answer_ms - waited_ms);
  }
  return {true, last_, latency_us_};
}

void ProbeThread::work() {
  for (;;) {
    {
      const MutexLock lock(mutex_);
      while (!asked_ && !ends_) changed_.wait(mutex_);
      if (ends_) return;
    }
    const int64_t begin_us = clock_.mono_us();
    Status said = probe_();
    const MutexLock lock(mutex_);
    last_ = std::move(said);
    answered_us_ = clock_.mono_us();
    latency_us_ = answered_us_ - begin_us;
    has_answer_ = true;
    asked_ = false;
    changed_.notify_all();
  }
}

}  // namespace kvcs
