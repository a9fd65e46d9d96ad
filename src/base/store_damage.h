// Remembers what was found damaged in a store while it is open, by a caller that met it or by the
// check of its files, for /health, metrics and alerts. Thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "base/status.h"

namespace kvcs {

class StoreDamage final {
 public:
  struct Store {
    std::string what;      // "The key-value store in "/srv/kvcs/kv"".
    std::string event;     // Of the line in the log, "kv.damaged".
    std::string reason;    // Of status().
    std::string ways_out;  // For the operator; see base/damage.h.
  };
  explicit StoreDamage(Store store) : store_(std::move(store)) {}

  // `found` names the file where that is known. Logs what is new.
  void note(const std::string& found);
  // Ok, or what is damaged and the ways out, for the operator.
  Status status() const;
  // The same once after each new damage, for an alert.
  std::optional<std::string> take_news();
  uint64_t met() const;  // How often damage was met.

 private:
  std::string words() const KVCS_REQUIRES(mutex_);

  const Store store_;
  mutable Mutex mutex_;
  std::set<std::string> found_ KVCS_GUARDED_BY(mutex_);  // At most kFoundMax.
  std::string last_ KVCS_GUARDED_BY(mutex_);
  bool is_news_ KVCS_GUARDED_BY(mutex_) = false;
  uint64_t met_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs
