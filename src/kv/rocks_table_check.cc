// The check of one table of RocksDB, by its own reader, which keeps nothing in the store's cache.
#include "kv/rocks_table_check.h"

#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>

#include <filesystem>

#include "kv/rocks_engine.h"

namespace kvcs {

Result<std::string> damage_of_table(const std::string& path) {
  const auto look = [&path]() -> rocksdb::Status {
    rocksdb::SstFileReader reader((rocksdb::Options()));
    auto s = reader.Open(path);
    if (s.ok()) s = reader.VerifyChecksum();
    return s;
  };
  const rocksdb::Status s = look();
  if (s.ok()) return std::string();
  // Rewritten meanwhile, and removed.
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::string();
  if (s.IsCorruption()) {
    const std::string said = s.ToString();
    return said.find(path) == std::string::npos ? path + ": " + said : said;
  }
  return rocks_status(s, "check its files");
}

}  // namespace kvcs
