// What RocksDB has to say, as lines of the daemon's log. Its own logger writes a file beside the
// data and aborts the process when that file's disk is full. Internal to kv/.
#pragma once
#include <memory>

namespace rocksdb {
class Logger;
}

namespace kvcs {

// Writes warnings and errors only, at most kRocksLinesPerMinute of them; what is left out is
// counted in the next line. Never touches the disk. Thread-safe.
inline constexpr int kRocksLinesPerMinute = 20;
std::shared_ptr<rocksdb::Logger> make_rocks_log();

}  // namespace kvcs
