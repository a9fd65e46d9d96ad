// The thread that syncs buffered writes. Writers wake it by the first write of an interval, and the
// rest of that interval's writes share the sync.
#include "app/wal_syncer.h"

#include "base/log.h"

namespace kvcs {

WalSyncer::WalSyncer(KvStore& kv, WatchedKv& changes, int interval_ms)
    : kv_(kv), interval_ms_(interval_ms) {
  changes.add_listener([this](KvFamily, std::string_view) { mark_dirty(); });
}
WalSyncer::~WalSyncer() {
  stop();
}

void WalSyncer::mark_dirty() {
  // Only the first write of an interval pays for the lock.
  if (dirty_.exchange(true)) return;
  MutexLock lock(mutex_);
  wake_.notify_one();
}

void WalSyncer::start() {
  thread_ = std::make_unique<Thread>("wal-syncer", [this] { run(); });
}

void WalSyncer::stop() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.reset();
}

Status WalSyncer::last_status() const {
  MutexLock lock(mutex_);
  return last_;
}

void WalSyncer::run() {
  bool stopping = false;
  while (!stopping) {
    {
      MutexLock lock(mutex_);
      while (!stopping_ && !dirty_) wake_.wait(mutex_);
      // Writes of the rest of the interval share this sync.
      if (!stopping_) wake_.wait_for_ms(mutex_, interval_ms_);
      stopping = stopping_;
    }
    // Cleared before the sync: a write that comes during it is not covered by it and sets the flag
    // again.
    if (!dirty_.exchange(false)) continue;
    heartbeat_.work();
    Status synced = kv_.sync();
    heartbeat_.rest();
    syncs_++;
    // Writes that were not synced are tried again after the next interval.
    if (!synced.ok()) dirty_ = true;
    const bool is_new = last_status().ok() && !synced.ok();
    if (is_new) log::error("wal.sync_failed", {{"error", synced.to_string()}});
    MutexLock lock(mutex_);
    last_ = std::move(synced);
  }
}

}  // namespace kvcs
