// Goal: of what RocksDB says the operator reads warnings and errors, not each step of a checkpoint
// and no flood. Method: RocksDB's own calls of its logger, and the lines of the daemon's log.
#include "kv/rocks_log.h"

#include <catch2/catch.hpp>
#include <rocksdb/env.h>

#include <string>
#include <vector>

#include "base/log.h"

using namespace kvcs;

TEST_CASE("rocks log: steps and a flood are left out, warnings and errors are not", "[unit][kv]") {
  std::vector<std::string> lines;
  log::set_sink([&](std::string_view line) { lines.emplace_back(line); });
  const auto logger = make_rocks_log();
  rocksdb::Log(rocksdb::InfoLogLevel::INFO_LEVEL, logger, "a table of %d bytes", 7);
  rocksdb::Log(rocksdb::InfoLogLevel::HEADER_LEVEL, logger, "options");
  rocksdb::Log(rocksdb::InfoLogLevel::WARN_LEVEL, logger, "[db.cc:1] File Deletions Disabled");
  rocksdb::Log(rocksdb::InfoLogLevel::WARN_LEVEL, logger, "[db.cc:2] File Deletions Enabled");
  CHECK(lines.empty());
  rocksdb::Log(rocksdb::InfoLogLevel::WARN_LEVEL, logger, "stalled by %s", "too many\x1b files");
  rocksdb::Log(rocksdb::InfoLogLevel::ERROR_LEVEL, logger, "Corruption: %s", "000012.sst");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("rocksdb.warned") != std::string::npos);
  CHECK(lines[0].find('\x1b') == std::string::npos);
  CHECK(lines[1].find("rocksdb.failed") != std::string::npos);
  CHECK(lines[1].find("000012.sst") != std::string::npos);
  for (int i = 0; i < 1000; i++) {
    rocksdb::Log(rocksdb::InfoLogLevel::WARN_LEVEL, logger, "warning %d", i);
  }
  log::set_sink(nullptr);
  CHECK(lines.size() == kRocksLinesPerMinute);
}
