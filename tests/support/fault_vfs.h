// Disk faults for SQLite: a VFS over the default one that fails writes, syncs, truncations or opens
// by plan. Open a database with SqliteOptions::vfs = name(). The databases opened with it must be
// closed before it goes. Thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace kvcs::test {

class FaultVfs final {
 public:
  enum class Op : uint8_t { kOpen, kWrite, kSync, kTruncate };
  enum class Fault : uint8_t { kDiskFull, kIoError };

  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  const std::string& name() const;

  // From now on, the `nth` operation (from 1) of that kind fails, and every later one too until
  // heal(). One plan at a time.
  void fail_from(Op op, int nth, Fault fault);
  // As fail_from, but only that one operation fails.
  void fail_once(Op op, int nth, Fault fault);
  void heal();
  int failures() const;  // How many operations have been failed so far.

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::test
