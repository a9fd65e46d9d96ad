// Goal: a log of the key-value store that is damaged refuses the start in a sentence that names it;
// one that lost its tail to a kill or a power cut does not, and nothing else is lost. Method: the
// real engine on copies of a directory as a killed process leaves it, with one byte changed, one
// length cut or one file gone at a time.
#include "kv/wal_check.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/boot_id.h"
#include "kv/kv.h"
#include "support/temp_dir.h"

using namespace kvcs;
using kvcs::test::TempDir;

namespace {

namespace fs = std::filesystem;

std::string name_of(int i) {
  return "key-" + std::to_string(i);
}
std::string value_of(int i) {
  return std::string(static_cast<size_t>(i * 37 % 3000), static_cast<char>('a' + i % 26));
}

// A store with kKeys written one by one, and its directory as the process would leave it that is
// killed now.
constexpr int kKeys = 120;
struct Killed {
  TempDir dir;
  const ManualClock clock;
  std::string copy = dir.file("killed"), log;

  explicit Killed(bool synced = true) {
    auto kv = open_rocks_kv({.path = dir.file("kv")}, clock);
    REQUIRE(kv.ok());
    for (int i = 0; i < kKeys; i++) {
      KvBatch batch;
      batch.put(KvFamily::kConfig, name_of(i), value_of(i));
      REQUIRE((*kv)->write(batch, KvDurability::kBuffered).ok());
    }
    if (synced) REQUIRE((*kv)->sync().ok());
    fs::copy(dir.file("kv"), copy);
    for (const auto& entry : fs::directory_iterator(copy)) {
      if (entry.path().extension() == ".log") log = entry.path().filename().string();
    }
    REQUIRE_FALSE(log.empty());
  }
  // Another copy of it.
  std::string again() {
    const std::string path = dir.file("again");
    fs::remove_all(path);
    fs::copy(copy, path);
    return path;
  }
};

// How many keys are there, all of them before the first that is not; -1 with gaps.
int count_keys(const KvStore& kv) {
  int found = 0;
  bool gap = false;
  for (int i = 0; i < kKeys; i++) {
    const Result<KvEntry> entry = kv.get(KvFamily::kConfig, name_of(i));
    if (!entry.ok()) {
      gap = true;
    } else if (gap || entry->value != value_of(i)) {
      return -1;
    } else {
      found++;
    }
  }
  return found;
}

void flip_byte(const std::string& path, uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// The keys that a start finds; a refusal, which must name `file` and the way out, is -2.
int start_on(const std::string& path, const Clock& clock, const std::string& file) {
  const auto kv = open_rocks_kv({.path = path}, clock);
  if (kv.ok()) return count_keys(**kv);
  INFO(kv.status().to_string());
  CHECK(kv.status().reason() == "kv_damaged");
  CHECK(has(kv.status().message(), file));
  CHECK(has(kv.status().message(), "Restore the data directory from a backup"));
  return -2;
}

}  // namespace

TEST_CASE("wal: a log that may not be read is no damage, and says why", "[unit][kv]") {
  const TempDir dir;
  const std::string path = dir.file("000001.log");
  REQUIRE(::close(::creat(path.c_str(), 0)) == 0);
  REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    const Status read = find_wal_break(path).status();
    ::_exit(read.cause().find("Permission denied") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("rocks: a changed byte anywhere in a log refuses the start and names log and offset",
          "[fault][kv]") {
  for (const bool synced : {true, false}) {
    Killed killed(synced);
    const uint64_t size = fs::file_size(killed.copy + "/" + killed.log);
    REQUIRE(size > 100'000);
    CHECK(start_on(killed.again(), killed.clock, "") == kKeys);
    // Heads of records, their insides, the ends of blocks, the last record.
    std::vector<uint64_t> offsets = {0, 4, 5, 6, 7, 32'760, 32'768, 32'772, size - 1, size - 2};
    for (uint64_t at = 11; at < size; at += 4'801) offsets.push_back(at);
    for (uint64_t at = size - 200; at < size; at += 7) offsets.push_back(at);
    for (const uint64_t at : offsets) {
      INFO("byte " << at << " of " << size << (synced ? ", synced" : ", not synced"));
      const std::string path = killed.again();
      flip_byte(path + "/" + killed.log, at);
      const int found = start_on(path, killed.clock, killed.log + " is damaged at byte ");
      // A last record whose length was changed looks as if the process had died writing it.
      CHECK((found == -2 || (!synced && found == kKeys - 1)));
    }
  }
}

TEST_CASE("rocks: a log that is cut at any byte of its tail starts with what is before",
          "[fault][kv]") {
  // Synced, it can have lost its tail to a power cut alone; not synced, to the death of a process.
  const bool synced = GENERATE(false, true);
  Killed killed(synced);
  const uint64_t size = fs::file_size(killed.copy + "/" + killed.log);
  const auto start_without = [&](uint64_t cut) {
    const std::string path = killed.again();
    fs::resize_file(path + "/" + killed.log, size - cut);
    return start_on(path, killed.clock, synced ? killed.log + " has " : "");
  };
  std::vector<uint64_t> cuts;
  for (uint64_t cut = 1; cut < 6'000; cut += cut < 12 ? 1 : 499) cuts.push_back(cut);
  for (const uint64_t cut : cuts) {
    INFO("without the last " << cut << " bytes");
    const int found = start_without(cut);
    if (synced) CHECK(found == -2);
    if (!synced) CHECK((found > kKeys - 12 && found < kKeys));
  }
  if (!synced) return;
  set_boot_id("another boot, of " + killed.copy);
  for (const uint64_t cut : cuts) {
    INFO("without the last " << cut << " bytes, after another boot");
    const int found = start_without(cut);
    CHECK((found > kKeys - 12 && found < kKeys));
  }
  CHECK(start_without(size * 2 / 3) == -2);
}

TEST_CASE("rocks: after another boot a tail that nobody synced may be anything", "[fault][kv]") {
  TempDir dir;
  const ManualClock clock;
  const std::string path = dir.file("kv");
  uint64_t synced_size = 0;
  std::string log;
  {
    auto kv = open_rocks_kv({.path = path}, clock);
    REQUIRE(kv.ok());
    for (int i = 0; i < kKeys; i++) {
      KvBatch batch;
      batch.put(KvFamily::kConfig, name_of(i), value_of(i));
      REQUIRE((*kv)->write(batch, KvDurability::kBuffered).ok());
      if (i != kKeys / 2) continue;
      REQUIRE((*kv)->sync().ok());
      for (const auto& entry : fs::directory_iterator(path)) {
        if (entry.path().extension() == ".log") log = entry.path().filename().string();
      }
      synced_size = fs::file_size(path + "/" + log);
    }
    fs::copy(path, dir.file("copy"));
  }
  const auto start_with_flip_at = [&](uint64_t at) {
    const std::string again = dir.file("again");
    fs::remove_all(again);
    fs::copy(dir.file("copy"), again);
    set_boot_id("another boot, of " + again);
    flip_byte(again + "/" + log, at);
    return start_on(again, clock, log + " is damaged at byte ");
  };
  CHECK(start_with_flip_at(synced_size + 5'000) > kKeys / 2);
  CHECK(start_with_flip_at(synced_size + 5'000) < kKeys);
  CHECK(start_with_flip_at(synced_size - 10) == -2);
}

TEST_CASE("rocks: a file of the store that is gone or damaged refuses the start by its name",
          "[fault][kv]") {
  Killed killed;
  // A second life has brought the keys into a table.
  {
    auto kv = open_rocks_kv({.path = killed.copy}, killed.clock);
    REQUIRE(kv.ok());
  }
  std::string table, manifest;
  for (const auto& entry : fs::directory_iterator(killed.copy)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".sst")) table = name;
    if (name.starts_with("MANIFEST-")) manifest = name;
    if (name.ends_with(".log")) killed.log = name;
  }
  REQUIRE_FALSE(table.empty());
  CHECK(start_on(killed.again(), killed.clock, "") == kKeys);
  const auto refused = [&](const std::string& what, const std::function<void(std::string)>& harm,
                           const std::string& named) {
    INFO(what);
    const std::string path = killed.again();
    harm(path);
    CHECK(start_on(path, killed.clock, named) == -2);
  };
  refused(
      "table gone", [&](const std::string& path) { fs::remove(path + "/" + table); }, table);
  refused(
      "table cut", [&](const std::string& path) { fs::resize_file(path + "/" + table, 1000); },
      table);
  refused(
      "table's end",
      [&](const std::string& path) {
        flip_byte(path + "/" + table, fs::file_size(path + "/" + table) - 2);
      },
      table);
  refused(
      "manifest", [&](const std::string& path) { flip_byte(path + "/" + manifest, 100); },
      "MANIFEST");
  refused(
      "manifest gone", [&](const std::string& path) { fs::remove(path + "/" + manifest); },
      "MANIFEST");
  refused(
      "CURRENT gone", [&](const std::string& path) { fs::remove(path + "/CURRENT"); }, "CURRENT");
  refused(
      "CURRENT empty", [&](const std::string& path) { fs::resize_file(path + "/CURRENT", 0); },
      "CURRENT");
  refused(
      "CURRENT wrong",
      [&](const std::string& path) { std::ofstream(path + "/CURRENT") << "MANIFEST-9\n"; },
      "MANIFEST-9");
}

TEST_CASE("rocks: a log that was copied into the store refuses the start", "[fault][kv]") {
  Killed killed;
  for (const char* name : {"000900.log", "000001.log"}) {
    INFO(name);
    const std::string path = killed.again();
    fs::copy(path + "/" + killed.log, path + "/" + name);
    const auto kv = open_rocks_kv({.path = path}, killed.clock);
    REQUIRE(kv.code() == Code::kConflict);
    CHECK(has(kv.status().message(), path + "/" + name));
    CHECK(has(kv.status().message(), path + "/" + killed.log));
    CHECK(has(kv.status().message(), "Move " + path + "/" + name));
    fs::remove(path + "/" + name);
    CHECK(start_on(path, killed.clock, "") == kKeys);
  }
}

TEST_CASE("rocks: a log that is gone refuses the start", "[fault][kv]") {
  Killed killed;
  const std::string path = killed.again();
  fs::remove(path + "/" + killed.log);
  CHECK(start_on(path, killed.clock, killed.log + " is missing") == -2);
}
