// Goal: what only an engine on a disk can promise: data survives a close and a kill, one process
// holds the directory, expired entries give their space back. Method: directories of their own;
// the kill is a child process that ends itself by SIGKILL after its writes were acknowledged.
#include "kv/rocks_kv.h"

#include <catch2/catch.hpp>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/temp_dir.h"

using namespace kvcs;

namespace {

constexpr KvFamily kFamily = KvFamily::kSystem;

std::unique_ptr<KvStore> open_kv(const std::string& path, const Clock& clock) {
  auto opened = open_rocks_kv({.path = path}, clock);
  INFO(opened.status().to_string());
  REQUIRE(opened.ok());
  return std::move(opened).value();
}

Status put(KvStore& kv, const std::string& key, KvEntry entry, KvDurability durability) {
  KvBatch batch;
  batch.put(kFamily, key, std::move(entry));
  return kv.write(batch, durability);
}

// Entries that lie in the files, live or not.
int raw_entries(const std::string& path) {
  rocksdb::Options options;
  std::vector<std::string> names;
  REQUIRE(rocksdb::DB::ListColumnFamilies(options, path, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const auto& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* raw = nullptr;
  REQUIRE(rocksdb::DB::OpenForReadOnly(options, path, families, &handles, &raw).ok());
  const std::unique_ptr<rocksdb::DB> db(raw);
  int count = 0;
  for (auto* handle : handles) {
    const std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}, handle));
    for (it->SeekToFirst(); it->Valid(); it->Next()) count++;
  }
  for (auto* handle : handles) REQUIRE(db->DestroyColumnFamilyHandle(handle).ok());
  return count;
}

// The child's whole life: acknowledges each write on the pipe, then dies without any clean-up.
[[noreturn]] void write_and_die(const std::string& path, int pipe_fd, KvDurability durability) {
  const auto clock = make_system_clock();
  auto opened = open_rocks_kv({.path = path}, *clock);
  if (opened.ok()) {
    for (int i = 0; i < 200; ++i) {
      const std::string key = "k" + std::to_string(i);
      if (!put(**opened, key, {key, {}, 0}, durability).ok()) break;
      if (::write(pipe_fd, "a", 1) != 1) break;
    }
  }
  ::kill(::getpid(), SIGKILL);
  ::_exit(1);
}

// Says on the pipe that it holds the directory, then waits for its end.
[[noreturn]] void hold_until_killed(const std::string& path, int pipe_fd) {
  const auto clock = make_system_clock();
  auto opened = open_rocks_kv({.path = path}, *clock);
  if (!opened.ok() || ::write(pipe_fd, "a", 1) != 1) ::_exit(1);
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("rocks: data is there after a close, and a checkpoint opens with the same",
          "[unit][kv]") {
  test::TempDir dir;
  const ManualClock clock;
  {
    auto kv = open_kv(dir.file("kv"), clock);
    REQUIRE(put(*kv, "a", {"1", R"({"m":1})", 4'000'000'000}, KvDurability::kBuffered).ok());
    REQUIRE(put(*kv, "b", {"2", {}, 0}, KvDurability::kSynced).ok());
    REQUIRE(kv->checkpoint(dir.file("copy")).ok());
    REQUIRE(put(*kv, "c", {"3", {}, 0}, KvDurability::kBuffered).ok());
  }
  auto kv = open_kv(dir.file("kv"), clock);
  auto copy = open_kv(dir.file("copy"), clock);
  CHECK(kv->get(kFamily, "c")->value == "3");
  CHECK(copy->get(kFamily, "c").code() == Code::kNotFound);
  for (auto* store : {kv.get(), copy.get()}) {
    CHECK(store->get(kFamily, "a")->metadata == R"({"m":1})");
    CHECK(store->get(kFamily, "a")->expires_at_s == 4'000'000'000);
    CHECK(store->get(kFamily, "b")->value == "2");
  }
  CHECK_FALSE(kv->checkpoint(dir.file("no/such/parent")).ok());
}

TEST_CASE("rocks: a directory that is held is a conflict that names it", "[unit][kv]") {
  test::TempDir dir;
  const ManualClock clock;
  const std::string path = dir.file("kv");
  auto kv = open_kv(path, clock);
  auto second = open_rocks_kv({.path = path}, clock);
  CHECK(second.code() == Code::kConflict);
  CHECK(second.status().message().find(path) != std::string::npos);

  // Another process meets the lock of the file instead of this process's list of locks.
  kv.reset();
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) hold_until_killed(path, fds[1]);
  ::close(fds[1]);
  char byte = 0;
  CHECK(::read(fds[0], &byte, 1) == 1);
  ::close(fds[0]);
  CHECK(open_rocks_kv({.path = path}, clock).code() == Code::kConflict);
  REQUIRE(::kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(open_rocks_kv({.path = path}, clock).ok());
}

TEST_CASE("rocks: a path that cannot be a directory is unavailable or internal", "[unit][kv]") {
  test::TempDir dir;
  const ManualClock clock;
  std::ofstream(dir.file("file")) << "x";
  CHECK_FALSE(open_rocks_kv({.path = dir.file("file")}, clock).ok());
  CHECK_FALSE(open_rocks_kv({.path = dir.file("file/below")}, clock).ok());
}

TEST_CASE("rocks: a damaged store is not opened as if it were empty", "[fault][kv]") {
  test::TempDir dir;
  const ManualClock clock;
  const std::string path = dir.file("kv");
  {
    auto kv = open_kv(path, clock);
    REQUIRE(put(*kv, "a", {"1", {}, 0}, KvDurability::kSynced).ok());
  }
  for (const auto& file : std::filesystem::directory_iterator(path)) {
    if (file.path().filename().string().starts_with("MANIFEST")) {
      std::ofstream(file.path(), std::ios::trunc) << std::string(200, 'x');
    }
  }
  const auto opened = open_rocks_kv({.path = path}, clock);
  CHECK(opened.code() == Code::kInternal);
  CHECK_FALSE(opened.status().cause().empty());
}

TEST_CASE("rocks: every acknowledged write survives a kill", "[fault][kv]") {
  const auto durability = GENERATE(KvDurability::kSynced, KvDurability::kBuffered);
  test::TempDir dir;
  const std::string path = dir.file("kv");
  int fds[2];
  REQUIRE(::pipe(fds) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) write_and_die(path, fds[1], durability);
  ::close(fds[1]);
  int acknowledged = 0;
  char buffer[256];
  for (ssize_t n; (n = ::read(fds[0], buffer, sizeof buffer)) > 0;) {
    acknowledged += static_cast<int>(n);
  }
  ::close(fds[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(acknowledged == 200);
  const ManualClock clock;
  auto kv = open_kv(path, clock);
  for (int i = 0; i < acknowledged; ++i) {
    const std::string key = "k" + std::to_string(i);
    INFO(key);
    CHECK(kv->get(kFamily, key).ok());
  }
}

TEST_CASE("rocks: compaction gives the space of expired entries back", "[unit][kv]") {
  test::TempDir dir;
  ManualClock clock;
  const std::string path = dir.file("kv");
  {
    auto kv = open_kv(path, clock);
    for (int i = 0; i < 10; ++i) {
      const int64_t expires_at_s = i % 2 ? clock.unix_s() + 60 : 0;
      REQUIRE(
          put(*kv, "k" + std::to_string(i), {"v", {}, expires_at_s}, KvDurability::kBuffered).ok());
    }
    REQUIRE(compact_rocks_kv(*kv).ok());
  }
  CHECK(raw_entries(path) == 10);
  clock.advance_ms(60'000);
  {
    auto kv = open_kv(path, clock);
    CHECK(kv->scan(kFamily, "", "", 100)->items.size() == 5);
    REQUIRE(compact_rocks_kv(*kv).ok());
  }
  CHECK(raw_entries(path) == 5);
  const auto memory = make_memory_kv(clock);
  CHECK(compact_rocks_kv(*memory).code() == Code::kInvalid);
}
