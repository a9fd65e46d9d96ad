// A data directory on a disk that forgets what was not synced, and copies of it as they are after
// the power went: a second TestApp, or a store of its own, begins on such a copy.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "app/config.h"
#include "base/boot_id.h"
#include "support/power_cut.h"
#include "support/temp_dir.h"

namespace kvcs::test {

// What the disk did with what nobody had synced.
struct CutFate {
  PowerCutDisk::Unsynced unsynced;
  uint64_t seed = 0;
  std::string name() const {
    if (unsynced == PowerCutDisk::Unsynced::kLost) return "all unsynced is lost";
    if (unsynced == PowerCutDisk::Unsynced::kNamesKept) return "names without data";
    return "part is kept, seed " + std::to_string(seed);
  }
};
inline const std::vector<CutFate>& cut_fates() {
  static const std::vector<CutFate> fates = {{PowerCutDisk::Unsynced::kLost},
                                             {PowerCutDisk::Unsynced::kNamesKept},
                                             {PowerCutDisk::Unsynced::kKeptInPart, 1},
                                             {PowerCutDisk::Unsynced::kKeptInPart, 2}};
  return fates;
}

class CutFolder final {
 public:
  std::string path() const { return disk_path_; }
  std::string data_dir() const { return disk_path_ + "/data"; }
  PowerCutDisk& disk() { return disk_; }
  // The folder as it would be found after a cut at this moment; another one each time.
  std::string cut(const CutFate& fate) {
    const std::string copy = dir_.file("cut-" + std::to_string(++cuts_));
    disk_.image(copy, fate.unsynced, fate.seed);
    // Whoever starts there starts after another boot.
    set_boot_id(copy);
    return copy;
  }
  // One for each of cut_fates(), all of this moment or moments after it.
  std::vector<std::string> cut_each_way() {
    std::vector<std::string> copies;
    for (const CutFate& fate : cut_fates()) copies.push_back(cut(fate));
    return copies;
  }

  // The next life begins on the disk itself, with what a cut had left in `copy`.
  void restore(const std::string& copy) {
    std::filesystem::remove_all(data_dir());
    std::filesystem::copy(copy + "/data", data_dir(), std::filesystem::copy_options::recursive);
    disk_.sync_all();
  }

  // For the first life: nobody syncs by the way. Nothing but the write that is meant may make the
  // store's log durable, or a test would not notice a write that should have been synced.
  static void never_sync_by_timer(Config& config) { config.kv_sync_interval_ms = 3'600'000; }

 private:
  static std::string made(const std::string& path) {
    std::filesystem::create_directory(path);
    return path;
  }
  TempDir dir_;
  const std::string disk_path_ = made(dir_.file("disk"));
  PowerCutDisk disk_{disk_path_};
  int cuts_ = 0;
};

}  // namespace kvcs::test
