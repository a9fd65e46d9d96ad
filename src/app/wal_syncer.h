// Brings buffered writes of the key-value store to the disk at most `interval_ms` after they were
// made, on a thread of its own. Sleeps while nothing is written. Thread-safe.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/heartbeat.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"
#include "kv/kv.h"

namespace kvcs {

class WalSyncer final {
 public:
  // Registers with `changes`; syncs `kv`. Both outlive it.
  WalSyncer(KvStore& kv, WatchedKv& changes, int interval_ms);
  ~WalSyncer();  // stop()
  void start();
  // Syncs what is left and joins.
  void stop();
  // The last sync's outcome, for health.
  Status last_status() const;
  uint64_t syncs() const { return syncs_; }
  Pulse pulse() const { return heartbeat_.pulse(); }

 private:
  void run();
  void mark_dirty();

  KvStore& kv_;
  const int interval_ms_;
  std::atomic<bool> dirty_{false};
  std::atomic<uint64_t> syncs_{0};
  Heartbeat heartbeat_;
  mutable Mutex mutex_;
  CondVar wake_;
  bool stopping_ KVCS_GUARDED_BY(mutex_) = false;
  Status last_ KVCS_GUARDED_BY(mutex_);
  std::unique_ptr<Thread> thread_;
};

}  // namespace kvcs
