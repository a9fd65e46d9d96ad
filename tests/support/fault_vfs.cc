#include "support/fault_vfs.h"

#include <sqlite3.h>

#include <atomic>
#include <cstring>

#include "base/mutex.h"
#include "base/status.h"

namespace kvcs::test {

struct FaultVfs::Impl {
  sqlite3_vfs vfs{};
  sqlite3_vfs* real = nullptr;
  std::string name;
  Mutex mutex;
  bool armed KVCS_GUARDED_BY(mutex) = false;
  bool once KVCS_GUARDED_BY(mutex) = false;
  Op op KVCS_GUARDED_BY(mutex) = Op::kWrite;
  int countdown KVCS_GUARDED_BY(mutex) = 0;
  Fault fault KVCS_GUARDED_BY(mutex) = Fault::kIoError;
  std::atomic<int> failures{0};

  void arm(Op which, int nth, Fault how, bool only_once) {
    MutexLock lock(mutex);
    armed = true;
    once = only_once;
    op = which;
    countdown = nth;
    fault = how;
  }
  // SQLITE_OK, or the code with which this operation must fail.
  int decide(Op which, int io_error) {
    MutexLock lock(mutex);
    if (!armed || which != op) return SQLITE_OK;
    if (countdown > 1) {
      countdown--;
      return SQLITE_OK;
    }
    if (once) armed = false;
    failures++;
    return fault == Fault::kDiskFull ? SQLITE_FULL : io_error;
  }
};

namespace {

// The real file's object follows this one in the memory that SQLite gives us.
struct File {
  sqlite3_file base;
  FaultVfs::Impl* impl;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* self(sqlite3_file* file) {
  return reinterpret_cast<File*>(file);
}
sqlite3_file* real(sqlite3_file* file) {
  return self(file)->real();
}

int close_file(sqlite3_file* f) {
  return real(f)->pMethods->xClose(real(f));
}
int read_file(sqlite3_file* f, void* out, int size, sqlite3_int64 offset) {
  return real(f)->pMethods->xRead(real(f), out, size, offset);
}
int write_file(sqlite3_file* f, const void* data, int size, sqlite3_int64 offset) {
  const int failed = self(f)->impl->decide(FaultVfs::Op::kWrite, SQLITE_IOERR_WRITE);
  return failed != SQLITE_OK ? failed : real(f)->pMethods->xWrite(real(f), data, size, offset);
}
int truncate_file(sqlite3_file* f, sqlite3_int64 size) {
  const int failed = self(f)->impl->decide(FaultVfs::Op::kTruncate, SQLITE_IOERR_TRUNCATE);
  return failed != SQLITE_OK ? failed : real(f)->pMethods->xTruncate(real(f), size);
}
int sync_file(sqlite3_file* f, int flags) {
  const int failed = self(f)->impl->decide(FaultVfs::Op::kSync, SQLITE_IOERR_FSYNC);
  return failed != SQLITE_OK ? failed : real(f)->pMethods->xSync(real(f), flags);
}
int file_size(sqlite3_file* f, sqlite3_int64* size) {
  return real(f)->pMethods->xFileSize(real(f), size);
}
int lock_file(sqlite3_file* f, int level) {
  return real(f)->pMethods->xLock(real(f), level);
}
int unlock_file(sqlite3_file* f, int level) {
  return real(f)->pMethods->xUnlock(real(f), level);
}
int check_reserved(sqlite3_file* f, int* out) {
  return real(f)->pMethods->xCheckReservedLock(real(f), out);
}
int file_control(sqlite3_file* f, int op, void* arg) {
  return real(f)->pMethods->xFileControl(real(f), op, arg);
}
int sector_size(sqlite3_file* f) {
  return real(f)->pMethods->xSectorSize(real(f));
}
int characteristics(sqlite3_file* f) {
  return real(f)->pMethods->xDeviceCharacteristics(real(f));
}
int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** out) {
  return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
}
int shm_lock(sqlite3_file* f, int offset, int n, int flags) {
  return real(f)->pMethods->xShmLock(real(f), offset, n, flags);
}
void shm_barrier(sqlite3_file* f) {
  real(f)->pMethods->xShmBarrier(real(f));
}
int shm_unmap(sqlite3_file* f, int remove) {
  return real(f)->pMethods->xShmUnmap(real(f), remove);
}

// Version 2: with shared memory (WAL), without memory-mapped reads, which would bypass the shim.
const sqlite3_io_methods kMethods = {
    2,         close_file,  read_file,      write_file,   truncate_file, sync_file,       file_size,
    lock_file, unlock_file, check_reserved, file_control, sector_size,   characteristics, shm_map,
    shm_lock,  shm_barrier, shm_unmap,      nullptr,      nullptr};

int open_file(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
  auto* impl = static_cast<FaultVfs::Impl*>(vfs->pAppData);
  File* shim = self(file);
  shim->base.pMethods = nullptr;
  shim->impl = impl;
  const int failed = impl->decide(FaultVfs::Op::kOpen, SQLITE_CANTOPEN);
  if (failed != SQLITE_OK) return failed;
  std::memset(shim->real(), 0, static_cast<size_t>(impl->real->szOsFile));
  const int result = impl->real->xOpen(impl->real, path, shim->real(), flags, out_flags);
  if (shim->real()->pMethods != nullptr) shim->base.pMethods = &kMethods;
  return result;
}

}  // namespace

FaultVfs::FaultVfs() : impl_(std::make_unique<Impl>()) {
  static std::atomic<int> count{0};
  impl_->real = sqlite3_vfs_find(nullptr);
  impl_->name = "fault-" + std::to_string(++count);
  // The other functions are those of the default VFS, which does not look at its own address.
  impl_->vfs = *impl_->real;
  impl_->vfs.zName = impl_->name.c_str();
  impl_->vfs.pNext = nullptr;
  impl_->vfs.szOsFile = static_cast<int>(sizeof(File)) + impl_->real->szOsFile;
  impl_->vfs.xOpen = open_file;
  // xOpen of the default VFS finds its own data through `real`, which open_file passes.
  impl_->vfs.pAppData = impl_.get();
  KVCS_ASSERT(sqlite3_vfs_register(&impl_->vfs, 0) == SQLITE_OK);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&impl_->vfs);
}

const std::string& FaultVfs::name() const {
  return impl_->name;
}
void FaultVfs::fail_from(Op op, int nth, Fault fault) {
  impl_->arm(op, nth, fault, false);
}
void FaultVfs::fail_once(Op op, int nth, Fault fault) {
  impl_->arm(op, nth, fault, true);
}
void FaultVfs::heal() {
  MutexLock lock(impl_->mutex);
  impl_->armed = false;
}
int FaultVfs::failures() const {
  return impl_->failures;
}

}  // namespace kvcs::test
