// Goal: a person hears that the disk fills up before uploads are refused. Method: the real file
// system of a folder; the reserve is a part of what is free there, so far from the limits that
// other programs' writes do not matter.
#include "ops/system_health.h"

#include <catch2/catch.hpp>

#include <filesystem>

#include "support/temp_dir.h"

using namespace kvcs;
using kvcs::test::TempDir;

TEST_CASE("system health: below twice the reserve someone is told, below the reserve all are",
          "[unit][ops]") {
  TempDir dir;
  ManualClock clock;
  const HealthProbes probes(clock);
  const std::unique_ptr<KvStore> kv = make_memory_kv(clock);
  const uint64_t free_bytes = std::filesystem::space(dir.path()).available;
  REQUIRE(free_bytes > 0);
  struct Row {
    uint64_t reserve_bytes;
    int told;
    size_t warnings;
  };
  const Row rows[] = {
      {0, 0, 0}, {free_bytes / 3, 0, 0}, {free_bytes / 3 * 2, 1, 0}, {free_bytes * 2, 1, 1}};
  for (const Row& row : rows) {
    INFO(row.reserve_bytes << " of " << free_bytes);
    int told = 0;
    SystemHealth health(probes, *kv, clock, dir.path(), row.reserve_bytes,
                        [&](const std::string& free_text) {
                          CHECK_FALSE(free_text.empty());
                          ++told;
                        });
    CHECK(health.keep_snapshot().ok());
    CHECK(told == row.told);
    CHECK(health.warnings().size() == row.warnings);
  }
}
