// A small file beside RocksDB's logs that says which logs there are, how much of each has been
// brought to disk, and since which boot of the machine it is kept. With it the next start can tell
// a log that lost its tail to a power cut from one that is damaged or gone. Internal to kv/.
//
// The file is mapped. Two slots are written in turn, each with a number and a sum, so that a
// process that dies in between leaves the one before. It is synced before a log is removed and
// otherwise left to the kernel: after a power cut it may say less than was true, and never more.
// Thread-safe.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/mapped_guard.h"
#include "base/mutex.h"
#include "base/status.h"

namespace kvcs {

class WalNotes final {
 public:
  // Of each log, by its number, how many bytes are surely on disk.
  using SyncedBytes = std::map<uint64_t, uint64_t>;
  struct Left {
    bool is_there = false;   // False: an older kvcs, or a restored backup.
    bool same_boot = false;  // What was written is in the files, synced or not.
    SyncedBytes logs;
  };
  static Left read(const std::string& path);

  WalNotes() = default;
  ~WalNotes();
  WalNotes(const WalNotes&) = delete;
  WalNotes& operator=(const WalNotes&) = delete;
  // Goes on with what `left` says.
  Status open(const std::string& path, const Left& left);
  void note_synced(uint64_t log, uint64_t bytes);
  Status forget(uint64_t log);  // On disk before it returns.

 private:
  void store() KVCS_REQUIRES(mutex_);

  Mutex mutex_;
  std::string path_;
  int file_ = -1;
  char* mapped_ KVCS_GUARDED_BY(mutex_) = nullptr;
  MappedGuard guard_;
  uint64_t stores_ KVCS_GUARDED_BY(mutex_) = 0, boot_ KVCS_GUARDED_BY(mutex_) = 0;
  SyncedBytes logs_ KVCS_GUARDED_BY(mutex_);
  std::set<uint64_t> gone_ KVCS_GUARDED_BY(mutex_);  // A sync may be under way while a log goes.
};

inline constexpr char kWalNotesName[] = "WAL-NOTES";

}  // namespace kvcs
