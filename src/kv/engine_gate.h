// Lets many threads use an engine that is seldom exchanged for another. Whoever uses it enters by
// one of several locks, chosen by the key, so that threads on different keys do not meet in one
// line of the cache; the exchange takes all of them. While it waits for its turn, newcomers wait
// behind it. Thread-safe. Internal to kv/.
//
// The locks are held over I/O: an engine must not go while somebody reads from it.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <string_view>

#include "base/mutex.h"

namespace kvcs {

class EngineGate final {
 public:
  // In use for as long as it lives. One thread may be inside twice only if it never waits for an
  // exchange meanwhile; nobody in kv/ is.
  class Inside final {
   public:
    Inside(EngineGate& gate, std::string_view key) KVCS_TSA(no_thread_safety_analysis)
        : mutex_(gate.stripe_of(key)) {
      if (gate.closing_.load(std::memory_order_acquire)) [[unlikely]] {
        const MutexLock behind(gate.exchange_);
      }
      mutex_.lock_shared();
    }
    ~Inside() KVCS_TSA(no_thread_safety_analysis) { mutex_.unlock_shared(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    SharedMutex& mutex_;
  };

  // Nobody is inside for as long as it lives.
  class Alone final {
   public:
    explicit Alone(EngineGate& gate) KVCS_TSA(no_thread_safety_analysis) : gate_(gate) {
      gate_.exchange_.lock();
      gate_.closing_.store(true, std::memory_order_release);
      for (Stripe& stripe : gate_.stripes_) stripe.mutex.lock();
    }
    ~Alone() KVCS_TSA(no_thread_safety_analysis) {
      for (Stripe& stripe : gate_.stripes_) stripe.mutex.unlock();
      gate_.closing_.store(false, std::memory_order_release);
      gate_.exchange_.unlock();
    }
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

   private:
    EngineGate& gate_;
  };

 private:
  static constexpr size_t kStripes = 16;
  struct alignas(64) Stripe {
    SharedMutex mutex;
  };
  SharedMutex& stripe_of(std::string_view key) {
    return stripes_[std::hash<std::string_view>{}(key) % kStripes].mutex;
  }

  std::array<Stripe, kStripes> stripes_;
  std::atomic<bool> closing_ = false;
  Mutex exchange_;
};

}  // namespace kvcs
