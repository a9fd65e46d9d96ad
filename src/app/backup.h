// A copy of the running daemon's stores: <backup.directory>/kvcs-20260115T030000Z, which is itself
// a data directory, so that a daemon starts on it. In it are kv/, sql/, charges.journal and blobs/,
// all as they were at one moment (backup_copy.h), and manifest.json, by which it can be checked.
// Not in it is master.key, without which no credential in it can be opened.
#pragma once
#include <string>

#include "base/status.h"
#include "ops/cron.h"

namespace kvcs {

struct Parts;

inline constexpr const char* kBackupJob = "backup";

// Makes one, complete or not at all, and removes the oldest of this store beyond backup.keep, never
// the one just made; reports its name and what was removed. Ends soon after context.cancelled is
// set. Unavailable when it was cancelled, the disk is full or a store fails; then nothing of it is
// left.
Result<std::string> make_backup(Parts& parts, const JobContext& context);

}  // namespace kvcs
