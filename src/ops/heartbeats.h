// Watches the loops that keep the daemon alive, and says which of them are stuck: at one piece of
// work for longer than a limit. The main thread looks every few seconds and feeds systemd's
// watchdog only while none is; /health, /readyz and /metrics look as well.
//
// Time between two looks counts for at most a quarter of the limit: a process that was stopped as a
// whole, or a machine too busy to run the watcher, says nothing about a single loop. Work that is
// long by its nature (a checkpoint, a token endpoint) has kLongFactor times the limit. Jobs of cron
// are not watched here, since each has a time limit of its own.
//
// Owned by App. Thread-safe once all loops are added.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/mutex.h"

namespace kvcs {

class Heartbeats final {
 public:
  static constexpr int64_t kLongFactor = 20;
  static constexpr int64_t kLineEveryMs = 60'000;

  // `clock` outlives it.
  Heartbeats(const Clock& clock, int64_t limit_ms);
  // `pulse` is quick and takes no lock that a stuck loop may hold. Before threads start.
  void add(std::string name, std::function<Pulse()> pulse);
  // The loops that are stuck, in the order they were added. The log gets their names, at most once
  // a minute, and a line when all move again.
  std::vector<std::string> look();
  // How long the one who looks may wait until the next time.
  int64_t interval_ms() const;

 private:
  struct Loop {
    std::string name;
    std::function<Pulse()> pulse;
    uint64_t beats = 0;
    int64_t still_us = 0;  // At work with that number of beats for so long.
  };
  void tell(const std::string& names, int64_t now_us) KVCS_REQUIRES(mutex_);

  const Clock& clock_;
  const int64_t limit_us_;
  Mutex mutex_;
  std::vector<Loop> loops_ KVCS_GUARDED_BY(mutex_);
  std::optional<int64_t> looked_us_ KVCS_GUARDED_BY(mutex_);
  std::string told_ KVCS_GUARDED_BY(mutex_);  // The names of the last line, until all move.
  std::optional<int64_t> told_us_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs
