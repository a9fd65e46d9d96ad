// A disk that forgets what was not synced. While a PowerCutDisk is alive, the fsync and fdatasync
// of this process note what they make durable below its folder: of a file its bytes, of a folder
// its names. image() then makes a folder that holds what a disk would hold had the power gone at
// that moment. RocksDB, SQLite, the blobs, the journal of charges and the small files of the data
// directory all sync through these two calls, so that one disk stands under the stores of a whole
// App. The files themselves stay as they are, and whoever writes to them goes on undisturbed: a
// test takes an image and starts a second life on it.
//
// Three fates of what was written but not synced: lost with the names (the oldest state that a
// disk may have kept), lost under names that are kept (what a file system does that writes its
// journal before the data), or kept in part, by a seed: folders as they were or as they are, and
// of each file any mix of old, new and zeroed sectors.
//
// Not seen: syncs by other calls (msync, sync, O_SYNC), which nothing in this repository uses; a
// write that a running system kept back longer than a later one of the same file is covered by the
// third fate. One disk at a time; thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace kvcs::test {

class PowerCutDisk final {
 public:
  enum class Unsynced : uint8_t { kLost, kNamesKept, kKeptInPart };

  // `folder` exists; sync_all().
  explicit PowerCutDisk(const std::string& folder);
  ~PowerCutDisk();
  PowerCutDisk(const PowerCutDisk&) = delete;
  PowerCutDisk& operator=(const PowerCutDisk&) = delete;

  // Makes the folder `to` with what would be left now. `to` must not lie below the disk's folder.
  void image(const std::string& to, Unsynced fate, uint64_t seed = 0) const;
  // Takes all that is there now as durable.
  void sync_all();
  // How many syncs it has seen.
  uint64_t syncs() const;
  // `look` is called after each sync, on the thread that syncs, with the number of that sync, and
  // may take images. Null: nobody. A call that is under way ends before this returns.
  void on_sync(std::function<void(uint64_t)> look);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::test
