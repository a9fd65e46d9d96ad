// The write-ahead logs of a RocksDB database, as files that we sync ourselves. RocksDB's own sync
// of a log aborts the process when a write to that log has failed before; and to ask first whether
// one has failed would be too early by a moment. Internal to kv/; thread-safe.
#pragma once
#include <memory>
#include <string>

#include "base/status.h"
#include "kv/wal_notes.h"

namespace rocksdb {
class Env;
}

namespace kvcs {

class WalFiles {
 public:
  virtual ~WalFiles() = default;
  // What the database is opened with: the file system, watched for logs that come into being. Lives
  // as long as this, which must outlive the database.
  virtual rocksdb::Env* env() = 0;
  // Begins to note what is synced, going on with what `left` says. Before the database is opened.
  virtual Status keep_notes(const WalNotes::Left& left) = 0;
  // Brings all that was written to the logs to disk, new logs with their names. After a failure
  // nobody knows what the disk holds, and the logs must not be written to any more.
  virtual Status sync() = 0;
};

std::unique_ptr<WalFiles> make_wal_files(const std::string& directory);

}  // namespace kvcs
