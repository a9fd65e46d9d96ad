// The backups in a directory, which of them are ours, and their removal. Several daemons may share
// a directory, and people keep things beside. Functions without state. Internal to backup.cc.
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

// Removes a whole backup, which first takes a name that says that it is none any more.
Status remove_backup(const std::string& directory, const std::string& name,
                     const std::string& maker_id);

}  // namespace kvcs
