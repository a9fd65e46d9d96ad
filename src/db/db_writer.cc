// DbWriter: a queue of jobs and the one thread that runs them, in groups that share a commit.
// Callers wait for their own job on a ticket of their stack.
#include <deque>
#include <exception>
#include <utility>

#include "base/mutex.h"
#include "base/thread.h"
#include "db/db.h"

namespace kvcs {
namespace {

// One waiting caller; lives on its stack until `done`.
struct Ticket {
  const DbWriter::Job* job = nullptr;
  bool alone = false;
  Status status;
  bool done = false;
  CondVar finished;
};

// Set on a writer's own thread: a job that waited for its own writer would wait for ever.
thread_local const void* t_writer = nullptr;

}  // namespace

struct DbWriter::Impl {
  Impl(std::unique_ptr<Database> database, const char* thread_name, size_t limit, DbTimer how_long)
      : db(std::move(database)),
        queue_max(limit),
        timer(std::move(how_long)),
        thread(thread_name, [this] { loop(); }) {}

  const std::unique_ptr<Database> db;  // Writer thread only.
  const size_t queue_max;
  const DbTimer timer;
  mutable Mutex mutex;
  CondVar not_empty;
  std::deque<Ticket*> queue KVCS_GUARDED_BY(mutex);
  bool stopping KVCS_GUARDED_BY(mutex) = false;
  Stats counts KVCS_GUARDED_BY(mutex);
  size_t callers KVCS_GUARDED_BY(mutex) = 0;  // In submit(), past its refusals.
  CondVar all_left;
  Heartbeat heartbeat;
  Thread thread;  // Last: joined before the rest goes.

  Status submit(const Job& job, bool alone);
  void loop();
  std::vector<Ticket*> next_group();
  void run_group(const std::vector<Ticket*>& group);
  void commit_some(const std::vector<Ticket*>& group, size_t& position);
};

Status DbWriter::Impl::submit(const Job& job, bool alone) {
  KVCS_ASSERT(t_writer != this);
  Ticket ticket;
  ticket.job = &job;
  ticket.alone = alone;
  MutexLock lock(mutex);
  if (stopping) return unavailable("The database is shutting down.");
  if (queue.size() >= queue_max) {
    return unavailable("The database writer is overloaded: " + std::to_string(queue_max) +
                       " jobs are waiting; try again.")
        .with_retry_after_s(1);
  }
  queue.push_back(&ticket);
  callers++;
  not_empty.notify_one();
  while (!ticket.done) ticket.finished.wait(mutex);
  if (--callers == 0) all_left.notify_all();
  return std::move(ticket.status);
}

// The jobs at the front that may share a commit, or one that must be alone; empty at the end, once
// the queue is empty and the owner has asked to stop.
std::vector<Ticket*> DbWriter::Impl::next_group() {
  MutexLock lock(mutex);
  while (queue.empty() && !stopping) not_empty.wait(mutex);
  std::vector<Ticket*> group;
  while (!queue.empty() && group.size() < kDbGroupMax) {
    if (queue.front()->alone && !group.empty()) break;
    group.push_back(queue.front());
    queue.pop_front();
    if (group.front()->alone) break;
  }
  return group;
}

void DbWriter::Impl::loop() {
  t_writer = this;
  for (;;) {
    const std::vector<Ticket*> group = next_group();
    if (group.empty()) return;
    run_group(group);
    heartbeat.rest();
    MutexLock lock(mutex);
    for (Ticket* ticket : group) {
      (ticket->status.ok() ? counts.jobs : counts.failed)++;
      ticket->done = true;
      // Under the lock: the ticket dies with its caller as soon as it can see `done`.
      ticket->finished.notify_one();
    }
    counts.groups++;
  }
}

void DbWriter::Impl::run_group(const std::vector<Ticket*>& group) {
  if (group.front()->alone) {
    heartbeat.long_work();
    try {
      group.front()->status = (*group.front()->job)(*db);
    } catch (const std::exception& e) {
      group.front()->status = internal(std::string("a database job threw: ") + e.what());
    }
    return;
  }
  const int64_t begin_us = timer.now_us();
  size_t position = 0;
  while (position < group.size()) commit_some(group, position);
  timer.stop(begin_us);
}

// One transaction over the jobs from `position` on. Moves it past all of them, or past the one that
// made the engine throw the transaction away, so that the jobs after it get a new one.
void DbWriter::Impl::commit_some(const std::vector<Ticket*>& group, size_t& position) {
  const size_t first = position;
  auto fail_from_first = [&](const Status& why) {
    for (size_t i = first; i < position; i++) {
      if (group[i]->status.ok()) group[i]->status = why;
    }
  };
  heartbeat.work();
  auto transaction = Transaction::begin(*db);
  if (!transaction.ok()) {
    position = group.size();
    return fail_from_first(transaction.status());
  }
  while (position < group.size()) {
    heartbeat.work();
    Ticket& ticket = *group[position++];
    ticket.status = in_savepoint(*db, [&] { return (*ticket.job)(*db); });
    if (!db->in_transaction()) return fail_from_first(ticket.status);
  }
  heartbeat.work();
  const Status committed = transaction->commit();
  if (!committed.ok()) fail_from_first(committed);
}

DbWriter::DbWriter(std::unique_ptr<Database> db, const char* thread_name, size_t queue_max,
                   DbTimer timer)
    : impl_(std::make_unique<Impl>(std::move(db), thread_name, queue_max, std::move(timer))) {}

DbWriter::~DbWriter() {
  {
    MutexLock lock(impl_->mutex);
    impl_->stopping = true;
    impl_->not_empty.notify_all();
  }
  impl_->thread.join();
  // Callers whose jobs are done may still be on their way out of submit(), which uses this object.
  MutexLock lock(impl_->mutex);
  while (impl_->callers > 0) impl_->all_left.wait(impl_->mutex);
}

Status DbWriter::run(Job job) {
  return impl_->submit(job, false);
}

Status DbWriter::run_alone(Job job) {
  return impl_->submit(job, true);
}

Pulse DbWriter::pulse() const {
  return impl_->heartbeat.pulse();
}

DbWriter::Stats DbWriter::stats() const {
  MutexLock lock(impl_->mutex);
  Stats stats = impl_->counts;
  stats.queued = impl_->queue.size();
  return stats;
}

}  // namespace kvcs
