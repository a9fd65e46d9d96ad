// Goal: a backup leaves the stores the disk that they need to go on, and says what it lacks.
// Method: small file systems; the sums of a directory of files, and the real binary.
#include "app/backup_room.h"

#include <filesystem>
#include <fstream>

#include "app/config.h"
#include "support/fault_house.h"
#include "support/small_disk.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kReserve = 24 << 20;

// Fills the disk until so much is free, to some 64 KiB.
void leave_free(const std::string& disk, uint64_t bytes) {
  std::ofstream file(disk + "/filler", std::ios::binary);
  const std::string block(1 << 16, 'x');
  while (fs::space(disk).available > bytes + block.size()) file.write(block.data(), 1 << 16);
}

void write_file(const std::string& path, size_t size_bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << std::string(size_bytes, 'x');
}

}  // namespace

TEST_CASE("backup room: databases and journal count, and the reserve where the stores lie",
          "[unit][app]") {
  const bool ran = with_small_disk(64 << 20, [&](const std::string& disk) {
    Config config;
    config.data_dir = disk + "/data";
    config.backup.directory = disk + "/backups";
    config.kv.free_reserve_bytes = kReserve;
    fs::create_directories(config.backup.directory);
    write_file(config.data_dir + "/sql/ledger.db", 5 << 20);
    write_file(config.data_dir + "/sql/ledger.db-wal", 2 << 20);
    write_file(config.data_dir + "/charges.journal", 1 << 20);
    write_file(config.data_dir + "/kv/000001.sst", 9 << 20);  // Is linked.
    CHECK(check_room_for_backup(config).ok());
    leave_free(disk, kReserve + (9 << 20));
    CHECK(check_room_for_backup(config).ok());
    leave_free(disk, kReserve + (7 << 20));
    const Status refused = check_room_for_backup(config);
    CHECK(refused.code() == Code::kUnavailable);
    CHECK(refused.reason() == "disk_full");
    INFO(refused.message());
    CHECK(has(refused.message(), "it needs 8.00 MiB and 24.00 MiB for the stores to go on"));
    CHECK(check_reserve_is_left(config).ok());
    leave_free(disk, kReserve - (1 << 20));
    CHECK(check_reserve_is_left(config).reason() == "disk_full");
    // Elsewhere nothing is kept, and the key-value store is copied too.
    const TempDir elsewhere;
    config.data_dir = elsewhere.file("data");
    write_file(config.data_dir + "/kv/000001.sst", 9 << 20);
    CHECK(check_reserve_is_left(config).ok());
    leave_free(disk, 10 << 20);
    CHECK(check_room_for_backup(config).ok());
    leave_free(disk, 8 << 20);
    CHECK(has(check_room_for_backup(config).message(), "it needs 9.00 MiB."));
  });
  if (!ran) WARN("not run: mounting a file system is not permitted here");
}

// A sanitizer's runtime must be loaded before any other library.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

// What the last run of the backup said, once there are so many.
std::string last_run(FaultHouse& house, size_t runs) {
  REQUIRE(house.admin("POST", "/admin/backup").status == 202);
  std::string said;
  const auto is_there = [&] {
    said = house.admin("GET", "/admin/job-runs?job=backup").body;
    size_t found = 0;
    for (size_t at = 0; (at = said.find("\"job\":", at)) != std::string::npos; at++) found++;
    return found == runs;
  };
  REQUIRE(comes_true(is_there));
  return said;
}

}  // namespace

TEST_CASE("backup room: on a disk without room a backup fails in words and model calls go on",
          "[fault][app][disk]") {
  const bool ran = with_small_disk(160 << 20, [&](const std::string& disk) {
    const std::string yaml =
        "kv:\n  write_buffer_bytes: 1048576\n  free_reserve_bytes: " + std::to_string(kReserve) +
        "\nbackup:\n  directory: " + disk + "/backups\nhttp:\n  access_log: false\n";
    FaultHouse house(disk + "/data", "/nothing/", yaml);
    CHECK(comes_true([&] { return fs::exists(disk + "/data/reserve"); }));
    CHECK(has(last_run(house, 1), "\"result\":\"ok\""));
    leave_free(disk, kReserve + (1 << 20));
    const std::string failed = last_run(house, 2);
    INFO(failed);
    CHECK(has(failed, "has no room for the backup"));
    CHECK(has(house.admin("GET", "/admin/alerts").body, "for the stores to go on"));
    CHECK(house.chat().status == 200);
    CHECK(std::distance(fs::directory_iterator(disk + "/backups"), {}) == 1);
    CHECK(house.stop() == 0);
  });
  if (!ran) WARN("not run: mounting a file system is not permitted here");
}

#endif
