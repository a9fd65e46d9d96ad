// What was made last for a key, bounded by number and bytes. Thread-safe.
#pragma once
#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"

namespace kvcs {

// Values by key, the last used first. One more than there is room for drops the last.
template <typename Value>
class RecentValues final {
 public:
  using Pointer = std::shared_ptr<const Value>;
  RecentValues(size_t entries_max, uint64_t bytes_max)
      : entries_max_(entries_max), bytes_max_(bytes_max) {}
  Pointer find(const std::string& key);
  // Two requests may have made the same value; one of them is kept.
  void keep(const std::string& key, Pointer value, uint64_t size_bytes);

 private:
  struct Entry {
    std::string key;
    Pointer value;
    uint64_t size_bytes;
  };
  const size_t entries_max_;
  const uint64_t bytes_max_;
  Mutex mutex_;
  std::list<Entry> entries_ KVCS_GUARDED_BY(mutex_);  // A few dozen.
  uint64_t kept_bytes_ KVCS_GUARDED_BY(mutex_) = 0;
};

template <typename Value>
typename RecentValues<Value>::Pointer RecentValues<Value>::find(const std::string& key) {
  MutexLock lock(mutex_);
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return entry.key == key; });
  if (it == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it);
  return entries_.front().value;
}

template <typename Value>
void RecentValues<Value>::keep(const std::string& key, Pointer value, uint64_t size_bytes) {
  // One that takes most of the room is not worth all others.
  if (size_bytes > bytes_max_ / 2) return;
  MutexLock lock(mutex_);
  for (const Entry& other : entries_) {
    if (other.key == key) return;
  }
  kept_bytes_ += size_bytes;
  entries_.push_front({key, std::move(value), size_bytes});
  while (entries_.size() > entries_max_ || kept_bytes_ > bytes_max_) {
    kept_bytes_ -= entries_.back().size_bytes;
    entries_.pop_back();
  }
}

}  // namespace kvcs
