// Striped locks over (family, key), taken several at a time in one order, so that two batches
// cannot wait for each other. They are made to be held over one read and one write of the store.
// Thread-safe. Used inside kv/ only.
#pragma once
#include <array>
#include <bit>
#include <cstdint>
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

  // A set of stripes' numbers. A visit costs by how many are in the set; a walk over a std::bitset
  // would cost by how many could be.
  class Set final {
   public:
    void add(size_t i) { words_[i / 64] |= uint64_t{1} << i % 64; }
    void add(const Set& other) {
      for (size_t w = 0; w < kWords; ++w) words_[w] |= other.words_[w];
    }
    void remove(const Set& other) {
      for (size_t w = 0; w < kWords; ++w) words_[w] &= ~other.words_[w];
    }
    bool has(size_t i) const { return (words_[i / 64] >> i % 64 & 1) != 0; }
    // Ascending.
    template <typename Visit>
    void for_each(Visit&& visit) const {
      for (size_t w = 0; w < kWords; ++w) {
        for (uint64_t left = words_[w]; left != 0; left &= left - 1) {
          visit(w * 64 + static_cast<size_t>(std::countr_zero(left)));
        }
      }
    }

   private:
    static constexpr size_t kWords = (kStripes + 63) / 64;
    std::array<uint64_t, kWords> words_{};
  };

  // Holds its stripes for as long as it lives. A stripe that is asked for both ways is held
  // exclusively. Clang's thread-safety analysis cannot follow a set of locks and is off here.
  class Guard final {
   public:
    explicit Guard(KeyStripes& stripes) : stripes_(stripes) {}
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    void add_exclusive(KvFamily family, std::string_view key) {
      exclusive_.add(stripe_of(family, key));
    }
    void add_shared(KvFamily family, std::string_view key) { shared_.add(stripe_of(family, key)); }
    // Once, after all were added.
    void lock() KVCS_TSA(no_thread_safety_analysis) {
      shared_.remove(exclusive_);
      Set all = exclusive_;
      all.add(shared_);
      all.for_each([&](size_t i) KVCS_TSA(no_thread_safety_analysis) {
        if (exclusive_.has(i)) {
          stripes_.slots_[i].mutex.lock();
        } else {
          stripes_.slots_[i].mutex.lock_shared();
        }
      });
      locked_ = true;
    }
    ~Guard() KVCS_TSA(no_thread_safety_analysis) {
      if (!locked_) return;
      exclusive_.for_each(
          [&](size_t i) KVCS_TSA(no_thread_safety_analysis) { stripes_.slots_[i].mutex.unlock(); });
      shared_.for_each([&](size_t i) KVCS_TSA(no_thread_safety_analysis) {
        stripes_.slots_[i].mutex.unlock_shared();
      });
    }

   private:
    KeyStripes& stripes_;
    Set exclusive_, shared_;
    bool locked_ = false;
  };

 private:
  struct alignas(64) Slot {
    SharedMutex mutex;
  };
  std::array<Slot, kStripes> slots_;
};

}  // namespace kvcs
