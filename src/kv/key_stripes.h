// Striped locks over (family, key), taken several at a time in one order, so that two batches
// cannot wait for each other. They are made to be held over one read and one write of the store.
// Thread-safe. Used inside kv/ only.
#pragma once
#include <array>
#include <bitset>
#include <functional>
#include <string_view>

#include "base/mutex.h"
#include "kv/kv.h"

namespace kvcs {

class KeyStripes final {
 public:
#if defined(__SANITIZE_THREAD__)
  // ThreadSanitizer follows at most 64 locks held by one thread, and two layers may hold stripes.
  static constexpr size_t kStripes = 16;
#else
  static constexpr size_t kStripes = 256;
#endif

  static size_t stripe_of(KvFamily family, std::string_view key) {
    return (std::hash<std::string_view>{}(key) + static_cast<size_t>(family) * 97) % kStripes;
  }

  // Holds its stripes for as long as it lives. The analysis cannot follow a set of locks.
  class Guard final {
   public:
    explicit Guard(KeyStripes& stripes) : stripes_(stripes) {}
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    void add_exclusive(KvFamily family, std::string_view key) {
      exclusive_.set(stripe_of(family, key));
    }
    void add_shared(KvFamily family, std::string_view key) { shared_.set(stripe_of(family, key)); }
    // Once, after all were added.
    void lock() KVCS_TSA(no_thread_safety_analysis) {
      shared_ &= ~exclusive_;
      for (size_t i = 0; i < kStripes; ++i) {
        if (exclusive_[i]) stripes_.slots_[i].mutex.lock();
        if (shared_[i]) stripes_.slots_[i].mutex.lock_shared();
      }
      locked_ = true;
    }
    ~Guard() KVCS_TSA(no_thread_safety_analysis) {
      if (!locked_) return;
      for (size_t i = 0; i < kStripes; ++i) {
        if (exclusive_[i]) stripes_.slots_[i].mutex.unlock();
        if (shared_[i]) stripes_.slots_[i].mutex.unlock_shared();
      }
    }

   private:
    KeyStripes& stripes_;
    std::bitset<kStripes> exclusive_, shared_;
    bool locked_ = false;
  };

 private:
  struct alignas(64) Slot {
    SharedMutex mutex;
  };
  std::array<Slot, kStripes> slots_;
};

}  // namespace kvcs
