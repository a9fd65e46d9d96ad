// Descriptors that stay in the listener's epoll set from one wait to the next, edge-triggered, so
// that a wait for one costs no epoll_ctl: most of all the pooled sockets of other servers. A slot
// of the table holds what is known of one descriptor: whether something has happened at it since
// the last wait took notice, whether its peer has closed, and which wait wants to know.
//
// The worker that has an event notes it in the slot, then looks who waits; a task that begins to
// wait writes itself into the slot, then looks at what has been noted. Both are sequentially
// consistent, so that one of the two sees the other. Slots are never freed while the table lives
// and carry a generation, so that a late event of a closed descriptor changes nothing.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "base/wait.h"

namespace kvcs::http {

// Thread-safe; the lock is taken when a descriptor comes or goes.
class StandingDescriptors final {
 public:
  // One slot. `state`: generation << 32 | bits.
  struct Slot {
    std::atomic<uint64_t> state{0};
    std::atomic<uint64_t> waiting{0};  // The cookie of the wait; 0: none.
  };
  static constexpr uint64_t kHappened = 1, kPeerClosed = 2;
  // The bit that tells its cookies in the epoll set from those of connections.
  static constexpr uint64_t kCookieBit = uint64_t{1} << 29;
  static bool is_cookie(uint64_t cookie) { return (cookie & kCookieBit) != 0; }

  static constexpr uint32_t kMax = 16'384;  // Slots.
  static constexpr uint32_t kNone = ~uint32_t{0};
  uint32_t allocate();        // A slot; kNone when all are taken.
  void free(uint32_t index);  // Its cookie is stale from now on.
  Slot& at(uint32_t index) { return chunks_[index / kChunk][index % kChunk]; }
  uint64_t cookie(uint32_t index) {
    return at(index).state.load(std::memory_order_relaxed) >> 32 << 32 | kCookieBit | index;
  }
  // Notes an event: the cookie of the wait that wants to know; 0: none, or the event is stale.
  uint64_t note(uint64_t cookie, bool peer_closed);

 private:
  static constexpr uint32_t kChunk = 256, kChunks = kMax / kChunk;
  std::unique_ptr<Slot[]> chunks_[kChunks];  // Made one after the other, never unmade.
  std::atomic<uint32_t> used_{0};
  Mutex mutex_;
  std::vector<uint32_t> free_ KVCS_GUARDED_BY(mutex_);
};

// A descriptor's place in a table. The table is shared by its listener and by the registrations in
// it: a pooled socket may outlive the listener that it was registered with.
class StandingRegistration final : public Registration {
 public:
  // Null when the table is full.
  static std::unique_ptr<StandingRegistration> make(std::shared_ptr<StandingDescriptors> table);
  StandingRegistration(std::shared_ptr<StandingDescriptors> table, uint32_t index)
      : table_(std::move(table)), index_(index) {}
  ~StandingRegistration() override { table_->free(index_); }

  bool is_quiet() const override {
    const uint64_t state = slot().state.load(std::memory_order_acquire);
    return events_ != 0 &&
           (state & (StandingDescriptors::kHappened | StandingDescriptors::kPeerClosed)) == 0;
  }
  bool is_in(const StandingDescriptors& table) const { return table_.get() == &table; }
  // Puts the descriptor into the epoll set, when it is not there for these events already. False
  // when epoll refuses it.
  bool arm(int epoll, int descriptor, uint32_t events);
  // The descriptor was armed in another way, for one event.
  void disarm() { events_ = 0; }

  // --- one wait ---
  // True: something has happened since the last take(), and there is nothing to wait for.
  bool begin_wait(uint64_t wait_cookie);
  void end_wait() { slot().waiting.store(0, std::memory_order_relaxed); }
  // By the wait that will look at the descriptor now: what happens from here on is new.
  void take();

 private:
  StandingDescriptors::Slot& slot() const { return table_->at(index_); }

  const std::shared_ptr<StandingDescriptors> table_;
  const uint32_t index_;
  uint32_t events_ = 0;  // epoll's, as armed; 0: not armed here.
};

}  // namespace kvcs::http
