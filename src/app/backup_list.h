// The backups in a directory, which of them are ours, and their removal. Several daemons may share
// a directory, and people keep things beside. Functions without state.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "app/backup_maker.h"
#include "base/status.h"

namespace kvcs {

// The end of the name of a directory that is no whole backup: one being made, or being removed.
inline constexpr const char* kPartialBackup = ".partial";

// "kvcs-20260115T030000Z", and with the id of its maker what tells the backups of two daemons in
// one second apart.
std::string backup_name(int64_t unix_ms);
std::string backup_name(int64_t unix_ms, const std::string& maker_id);

struct BackupsFound {
  // Whole ones that this directory has made, the oldest first.
  std::vector<std::string> whole;
  // What a daemon of this directory left that died while it made or removed one.
  std::vector<std::string> partial;
};
// A backup is of the maker that its manifest names, or, made by an older kvcs, of the store. One
// that a daemon has been started on is a data directory by now, and is not listed. `now_ms`: a
// backup that says to be later than this was made under a clock that went wrong, and is older than
// all that do not.
Result<BackupsFound> list_backups(const std::string& directory, const BackupMaker& maker,
                                  int64_t now_ms);

// A whole backup for people, of whoever made it.
struct BackupShown {
  std::string name, store_id, version;
  int64_t made_ms = 0;
  uint64_t files_bytes = 0;  // What is in it beside the blobs.
  uint64_t blobs = 0, blobs_bytes = 0;
  bool blobs_linked = false;  // False: `blobs.list` names them, and they are not in it.
};
// The newest first. What has no manifest that can be read, and what a daemon was started on, is
// none. Unavailable when the directory cannot be listed.
Result<std::vector<BackupShown>> show_backups(const std::string& directory);

// Removes a whole backup, which first takes a name that says that it is none any more.
Status remove_backup(const std::string& directory, const std::string& name,
                     const std::string& maker_id);

}  // namespace kvcs
