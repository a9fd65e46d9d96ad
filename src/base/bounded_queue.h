// A queue with a limit between many producers and one consumer. Thread-safe.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "base/mutex.h"

namespace kvcs {

template <typename T>
class BoundedQueue final {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Full: the oldest entry is dropped and counted. For diagnostics, never for money.
  void push_dropping_oldest(T item) {
    MutexLock lock(mutex_);
    if (items_.size() >= capacity_) {
      items_.pop_front();
      dropped_++;
    }
    items_.push_back(std::move(item));
    not_empty_.notify_one();
  }
  // Full: false, and the item is left to the caller.
  bool try_push(T&& item) {
    MutexLock lock(mutex_);
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }
  // Up to `max` entries, waiting at most `wait_ms` for the first; empty on timeout or close.
  std::vector<T> pop_batch(size_t max, int64_t wait_ms) {
    MutexLock lock(mutex_);
    while (items_.empty() && !closed_) {
      if (!not_empty_.wait_for_ms(mutex_, wait_ms)) break;
    }
    std::vector<T> batch;
    while (!items_.empty() && batch.size() < max) {
      batch.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    return batch;
  }
  void close() {
    MutexLock lock(mutex_);
    closed_ = true;
    not_empty_.notify_all();
  }
  bool closed() const {
    MutexLock lock(mutex_);
    return closed_;
  }
  size_t size() const {
    MutexLock lock(mutex_);
    return items_.size();
  }
  uint64_t dropped() const {
    MutexLock lock(mutex_);
    return dropped_;
  }

 private:
  const size_t capacity_;
  mutable Mutex mutex_;
  CondVar not_empty_;
  std::deque<T> items_ KVCS_GUARDED_BY(mutex_);
  bool closed_ KVCS_GUARDED_BY(mutex_) = false;
  uint64_t dropped_ KVCS_GUARDED_BY(mutex_) = 0;
};

}  // namespace kvcs
