// Goal: what only an engine on a disk can promise: data survives a close and a kill, one process
// holds the directory, expired entries give their space back. Method: directories of their own;
// other processes are this binary again, running one of the hidden cases at the end of the file.
#include "kv/rocks_kv.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <rocksdb/db.h>
#include <rocksdb/perf_context.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/no_threads.h"
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

constexpr char kPathVariable[] = "KVCS_TEST_KV_PATH";
constexpr char kSyncedVariable[] = "KVCS_TEST_KV_SYNCED";
constexpr int kAcknowledgeFd = 3;
constexpr int kWrites = 200;

// Another process: this binary, started afresh since threads do not survive a fork. It runs the
// hidden case and says on a pipe how far it got.
class Child final {
 public:
  Child(const char* test_case, const std::string& path, bool synced) {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) std::abort();
    read_fd_ = fds[0];
    const std::string path_setting = std::string(kPathVariable) + "=" + path;
    const std::string synced_setting = std::string(kSyncedVariable) + (synced ? "=1" : "=0");
    const char* arguments[] = {"kvcs_tests", test_case, nullptr};
    std::vector<const char*> environment;
    for (char** e = environ; *e != nullptr; ++e) environment.push_back(*e);
    for (const auto* text : {&path_setting, &synced_setting}) environment.push_back(text->c_str());
    environment.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, fds[1], kAcknowledgeFd);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    const int error =
        ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, const_cast<char**>(arguments),
                      const_cast<char**>(environment.data()));
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(fds[1]);
    if (error != 0) std::abort();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::close(read_fd_);
    kill_and_wait();
  }
  // At most `max` acknowledgements; fewer when the child ended.
  int wait_for(int max) const {
    int count = 0;
    char byte;
    while (count < max && ::read(read_fd_, &byte, 1) == 1) count++;
    return count;
  }
  void kill_and_wait() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  int read_fd_ = -1;
};

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
  Child child("rocks child: writes until killed", path, true);
  REQUIRE(child.wait_for(1) == 1);
  CHECK(open_rocks_kv({.path = path}, clock).code() == Code::kConflict);
  child.kill_and_wait();
  CHECK(open_rocks_kv({.path = path}, clock).ok());
}

TEST_CASE("rocks: where the system refuses threads the store is not opened, and says why",
          "[fault][kv][thread]") {
  test::TempDir dir;
  const auto clock = make_system_clock();
  {
    const test::NoThreads limit;  // RocksDB would abort the process.
    const auto refused = open_rocks_kv({.path = dir.file("kv")}, *clock);
    CHECK(refused.code() == Code::kUnavailable);
    CHECK(refused.status().message().find("TasksMax=") != std::string::npos);
  }
  CHECK(open_rocks_kv({.path = dir.file("kv")}, *clock).ok());
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
  CHECK(opened.status().reason() == "kv_damaged");
  CHECK(opened.status().message().find("MANIFEST-") != std::string::npos);
}

TEST_CASE("rocks: every acknowledged write survives a kill", "[fault][kv]") {
  const bool synced = GENERATE(true, false);
  test::TempDir dir;
  const std::string path = dir.file("kv");
  Child child("rocks child: writes until killed", path, synced);
  const int acknowledged = child.wait_for(kWrites);  // The child is still writing then.
  child.kill_and_wait();
  CHECK(acknowledged == kWrites);
  const ManualClock clock;
  auto kv = open_kv(path, clock);
  int lost = 0;
  for (int i = 0; i < acknowledged; ++i) lost += !kv->get(kFamily, "k" + std::to_string(i)).ok();
  CHECK(lost == 0);
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

TEST_CASE("rocks: a scan over many removed entries has them swept away", "[unit][kv]") {
  test::TempDir dir;
  ManualClock clock;
  auto kv = open_kv(dir.file("kv"), clock);
  constexpr int kEntries = 30'000;
  for (int round = 0; round < 2; ++round) {
    KvBatch batch;
    for (int i = 0; i < kEntries; ++i) {
      const std::string key = "k" + std::to_string(i);
      if (round == 0) {
        batch.put(kFamily, key, "v");
      } else {
        batch.remove(kFamily, key);
      }
    }
    REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
    // The first is in a file, so that its removal must be kept until the two meet.
    if (round == 0) REQUIRE(compact_rocks_kv(*kv).ok());
  }
  REQUIRE(put(*kv, "z", {"last", {}, 0}, KvDurability::kBuffered).ok());
  // Sweeping is done in the background.
  uint64_t stepped_over = kEntries;
  for (int scans = 0; stepped_over > 0 && scans < 10'000; ++scans) {
    const uint64_t before = rocksdb::get_perf_context()->internal_delete_skipped_count;
    const auto page = kv->scan(kFamily, "", "", 10);
    stepped_over = rocksdb::get_perf_context()->internal_delete_skipped_count - before;
    REQUIRE(page.ok());
    REQUIRE(page->items.size() == 1);
    REQUIRE(page->items[0].key == "z");
    if (scans == 0) CHECK(stepped_over == kEntries);
  }
  CHECK(stepped_over == 0);
}

TEST_CASE("rocks child: writes until killed", "[.][kv-child]") {
  const char* path = std::getenv(kPathVariable);
  const char* synced = std::getenv(kSyncedVariable);
  if (path == nullptr || synced == nullptr) return;  // Only Child starts this one in earnest.
  const auto durability = *synced == '1' ? KvDurability::kSynced : KvDurability::kBuffered;
  const auto clock = make_system_clock();
  auto kv = open_kv(path, *clock);
  ::signal(SIGPIPE, SIG_DFL);  // Dies by itself when the parent is gone.
  for (int i = 0;; ++i) {
    const std::string key = "k" + std::to_string(i);
    REQUIRE(put(*kv, key, {key, {}, 0}, durability).ok());
    REQUIRE(::write(kAcknowledgeFd, "a", 1) == 1);
  }
}
