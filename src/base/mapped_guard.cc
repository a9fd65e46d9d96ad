// The table of guarded ranges and the handler of SIGBUS. The handler may interrupt any code, so it
// reads atomics alone and makes one system call.
#include "base/mapped_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace kvcs {
namespace {

// A range is free while its guard is null. Its bounds are 0 until they are known.
struct Range {
  std::atomic<const MappedGuard*> guard = nullptr;
  std::atomic<std::atomic<bool>*> lost = nullptr;
  std::atomic<uintptr_t> begin = 0, end = 0;
};
Range ranges[MappedGuard::kRangesMax];

void on_bus_error(int, siginfo_t* info, void*) {
  const int error = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Range& range : ranges) {
    const uintptr_t begin = range.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin || address >= range.end.load(std::memory_order_acquire)) {
      continue;
    }
    const auto page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    void* const page = reinterpret_cast<void*>(address / page_bytes * page_bytes);
    if (::mmap(page, page_bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
               -1, 0) == MAP_FAILED) {
      break;
    }
    if (auto* const lost = range.lost.load(std::memory_order_acquire)) lost->store(true);
    errno = error;
    return;
  }
  // The access is tried again, and ends the process.
  (void)::signal(SIGBUS, SIG_DFL);
  errno = error;
}

void install_once() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, nullptr) == 0;
  }();
  (void)installed;
}

}  // namespace

void MappedGuard::watch(void* begin, size_t size_bytes) {
  install_once();
  for (Range& range : ranges) {
    const MappedGuard* free = nullptr;
    if (!range.guard.compare_exchange_strong(free, this)) continue;
    range.lost = &lost_;
    range.end = reinterpret_cast<uintptr_t>(begin) + size_bytes;
    range.begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
    return;
  }
}

void MappedGuard::forget() {
  for (Range& range : ranges) {
    if (range.guard.load() != this) continue;
    range.begin = 0;
    range.end = 0;
    range.lost = nullptr;
    range.guard = nullptr;
  }
}

}  // namespace kvcs
