// Keeps the process alive when a file that it has mapped loses its pages, because somebody cuts the
// file or its disk cannot read them: the kernel then sends SIGBUS to whoever touches one. Of a
// guarded range the page is replaced by one of memory alone, zeroes, and the guard knows that what
// is written there no longer reaches the file; the owner asks at its next sync. Outside of guarded
// ranges the signal ends the process as ever.
//
// Only files that the daemon itself makes and writes are mapped (charges.journal, WAL-NOTES). What
// others bring or may change, blobs and .kv files, is read with pread().
#pragma once
#include <atomic>
#include <cstddef>

namespace kvcs {

class MappedGuard final {
 public:
  MappedGuard() = default;
  ~MappedGuard() { forget(); }
  MappedGuard(const MappedGuard&) = delete;
  MappedGuard& operator=(const MappedGuard&) = delete;
  // A mapping that may be read and written; stays guarded until forget(). The process guards
  // kRangesMax; one beyond is not guarded.
  static constexpr size_t kRangesMax = 256;
  void watch(void* begin, size_t size_bytes);
  // Before the ranges are unmapped.
  void forget();
  // Pages were lost since watch(). Any thread.
  bool has_lost() const { return lost_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> lost_ = false;
};

}  // namespace kvcs
