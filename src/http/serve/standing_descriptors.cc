// The slots of descriptors that stay registered, and the system call that registers one.
#include "http/serve/standing_descriptors.h"

#include <sys/epoll.h>

#include <utility>

namespace kvcs::http {

uint32_t StandingDescriptors::allocate() {
  const MutexLock lock(mutex_);
  if (!free_.empty()) {
    const uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  const uint32_t index = used_.load(std::memory_order_relaxed);
  if (index == kMax) return kNone;
  // A slot is given back by destructors, which cannot do without room for it.
  if (free_.capacity() <= index) free_.reserve(size_t{2} * index + 16);
  if (index % kChunk == 0) chunks_[index / kChunk] = std::make_unique<Slot[]>(kChunk);
  used_.store(index + 1, std::memory_order_release);
  return index;
}

void StandingDescriptors::free(uint32_t index) {
  std::atomic<uint64_t>& state = at(index).state;
  const uint64_t generation = state.load(std::memory_order_relaxed) >> 32;
  state.store(((generation + 1) & 0xffffffff) << 32, std::memory_order_release);
  const MutexLock lock(mutex_);
  free_.push_back(index);
}

uint64_t StandingDescriptors::note(uint64_t cookie, bool peer_closed) {
  const auto index = static_cast<uint32_t>(cookie & (kCookieBit - 1));
  // Acquire: another thread may have made the slot.
  KVCS_ASSERT(index < used_.load(std::memory_order_acquire));
  Slot& slot = at(index);
  const uint64_t bits = kHappened | (peer_closed ? kPeerClosed : 0);
  uint64_t state = slot.state.load(std::memory_order_relaxed);
  do {
    if (state >> 32 != cookie >> 32) return 0;
  } while (!slot.state.compare_exchange_weak(state, state | bits, std::memory_order_seq_cst,
                                             std::memory_order_relaxed));
  return slot.waiting.load(std::memory_order_seq_cst);
}

std::unique_ptr<StandingRegistration> StandingRegistration::make(
    std::shared_ptr<StandingDescriptors> table) {
  const uint32_t index = table->allocate();
  if (index == StandingDescriptors::kNone) return nullptr;
  return std::make_unique<StandingRegistration>(std::move(table), index);
}

bool StandingRegistration::arm(int epoll, int descriptor, uint32_t events) {
  if ((events_ & events) == events) return true;
  epoll_event event{};
  event.events = events_ | events | EPOLLRDHUP | EPOLLET;
  event.data.u64 = table_->cookie(index_);
  // It is in the set already when it was armed for other events, or for one event.
  if (::epoll_ctl(epoll, events_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event) != 0 &&
      ::epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event) != 0) {
    return false;
  }
  events_ |= events;
  return true;
}

bool StandingRegistration::begin_wait(uint64_t wait_cookie) {
  slot().waiting.store(wait_cookie, std::memory_order_seq_cst);
  const uint64_t state = slot().state.load(std::memory_order_seq_cst);
  return (state & (StandingDescriptors::kHappened | StandingDescriptors::kPeerClosed)) != 0;
}

void StandingRegistration::take() {
  slot().state.fetch_and(~StandingDescriptors::kHappened, std::memory_order_acq_rel);
}

}  // namespace kvcs::http
