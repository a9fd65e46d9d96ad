// The folder of the file engine as its writers share it: names, failures in the words of the store,
// and the room of the disk that uploads hold ahead of what they have written. Thread-safe; outlives
// every writer.
#pragma once
#include <atomic>
#include <bitset>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/hash_pipe.h"
#include "base/mutex.h"
#include "blob/blob.h"

namespace kvcs {

class StoreDamage;

bool is_short_of_descriptors(int error_number);
// Callers of the store pass its failures on to clients, who must not read where the operator keeps
// what: a path is in the cause, for the log. A full disk is Unavailable with reason disk_full.
Status without_path(Status failed);
Status blob_error(std::string_view what, const std::string& path, int error_number);
Status sync_blob_folder(const std::string& path);
// Creates `parent`/`name` if it is missing; durable on return.
Status make_folder(const std::string& parent, const std::string& name);

struct BlobFolder {
  std::string path;
  uint64_t free_reserve_bytes = 0, promise_step_bytes = 0;
  int owner_percent = 100;
  StoreDamage* staged_damage = nullptr;  // Outlives the folder; null: nobody is told.
  HashThreads hash_threads;
  std::atomic<uint64_t> temps_made{0};
  std::atomic<uint64_t> promised_bytes{0};  // What live writers hold and have yet to write.
  Mutex mutex;
  Mutex begin_mutex;  // Held from the look at the disk to the promise of it; before `mutex`.
  std::set<std::string> live_temps KVCS_GUARDED_BY(mutex);
  // A part of promised_bytes: that of owners with a name.
  std::map<std::string, uint64_t, std::less<>> held_by KVCS_GUARDED_BY(mutex);
  // The folders ab/cd whose names this process has synced, by the number 0xabcd.
  std::bitset<1 << 16> durable_folders KVCS_GUARDED_BY(mutex);

  std::string temp_folder() const { return path + "/tmp"; }
  std::string staged_folder() const { return path + "/staged"; }
  std::string folder_of(std::string_view digest) const;
  // Once per folder and process, for it costs two syncs.
  Status make_folder_of(std::string_view digest);
  std::string path_of(std::string_view digest) const;
  std::string shelf_folder(BlobShelf shelf) const;
  std::string aside_path(std::string_view digest, BlobShelf shelf) const;
  Result<uint64_t> free_bytes() const;
  Status check_space(uint64_t size_bytes) const;
  uint64_t held(std::string_view owner);
  void hold(const std::string& owner, uint64_t bytes);
  void release(const std::string& owner, uint64_t bytes);
  // What the uploads of one owner may hold together.
  Result<uint64_t> share_bytes() const;
  // Whether an owner's next upload may hold so much. One without another upload always may.
  Status check_share(std::string_view owner, uint64_t wanted_bytes);
};

}  // namespace kvcs
