// A copy of the running daemon's stores: <backup.directory>/kvcs-20260115T030000Z, in the shape of
// a data directory, so that a daemon starts on a copy of it. In it are kv/ and sql/; not in it are
// master.key, without which no credential in it can be opened, and the blobs, which never change
// and may be copied at any time.
#pragma once
#include <string>

#include "base/status.h"
#include "ops/cron.h"

namespace kvcs {

struct Parts;

inline constexpr const char* kBackupJob = "backup";

// Makes one, complete or not at all, and removes the oldest beyond backup.keep; reports its name
// and what was removed. Unavailable when the disk is full or a store fails.
Result<std::string> make_backup(Parts& parts, const JobContext& context);

}  // namespace kvcs
