// Goal: a mapped file that is cut under the process does not end it, its guard says so, and a fault
// outside of guarded ranges is no less deadly than before. Method: real files, cut; a child process
// for what must die.
#include "base/mapped_guard.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "ai/budget/charge_journal.h"
#include "kv/wal_notes.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr size_t kBytes = 4 * 4096;

char* map_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(file >= 0);
  REQUIRE(::ftruncate(file, kBytes) == 0);
  void* const mapped = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  REQUIRE(mapped != MAP_FAILED);
  return static_cast<char*>(mapped);
}

}  // namespace

TEST_CASE("mapped guard: pages that a file has lost become memory, and are told", "[unit][base]") {
  const TempDir dir;
  const std::string path = dir.file("mapped");
  char* const bytes = map_file(path);
  MappedGuard guard, other;
  guard.watch(bytes, kBytes);
  std::strcpy(bytes, "first page");
  std::strcpy(bytes + 3 * 4096, "last page");
  REQUIRE(::truncate(path.c_str(), 4096) == 0);
  CHECK_FALSE(guard.has_lost());
  CHECK(std::string(bytes) == "first page");
  CHECK_FALSE(guard.has_lost());
  std::strcpy(bytes + 2 * 4096, "written");
  CHECK(guard.has_lost());
  CHECK_FALSE(other.has_lost());
  CHECK(std::string(bytes + 2 * 4096) == "written");
  CHECK(std::string(bytes + 3 * 4096).empty());
  guard.forget();
  ::munmap(bytes, kBytes);
}

TEST_CASE("mapped guard: elsewhere the signal ends the process", "[unit][base]") {
  const TempDir dir;
  const std::string path = dir.file("mapped");
  char* const bytes = map_file(path);
  char* const guarded = map_file(dir.file("guarded"));
  MappedGuard guard;
  guard.watch(guarded, kBytes);
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    // The test runner's own handlers are for the test runner.
    *static_cast<volatile char*>(bytes) = 1;
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGBUS);
  guard.forget();
  ::munmap(bytes, kBytes);
  ::munmap(guarded, kBytes);
}

TEST_CASE("mapped guard: a journal of charges that is cut goes on in memory, and says so",
          "[unit][ai]") {
  const TempDir dir;
  const std::string path = dir.file("charges.journal");
  ai::ChargeJournal journal;
  REQUIRE(journal.open(path, 1).ok());
  REQUIRE(journal.begin("{\"a\":1}").ok());
  REQUIRE(journal.sync().ok());
  REQUIRE(::truncate(path.c_str(), 0) == 0);
  const auto slot = journal.begin("{\"b\":2}");
  REQUIRE(slot.ok());
  CHECK(journal.note_charge(*slot, "{\"c\":3}").ok());
  const Status synced = journal.sync();
  CHECK(synced.code() == Code::kUnavailable);
  CHECK(synced.message().find("was cut") != std::string::npos);
  CHECK(synced.cause().find(path) != std::string::npos);
  CHECK_FALSE(journal.sync().ok());  // And goes on to say so.
  journal.end(std::span(&*slot, 1));
}

TEST_CASE("mapped guard: notes of logs that are cut are written anew", "[unit][kv]") {
  const TempDir dir;
  const std::string path = dir.file("WAL-NOTES");
  {
    WalNotes notes;
    REQUIRE(notes.open(path, {}).ok());
    notes.note_synced(7, 100);
    REQUIRE(::truncate(path.c_str(), 0) == 0);
    notes.note_synced(7, 200);
    notes.note_synced(8, 50);
    CHECK(notes.forget(8).ok());
  }
  const WalNotes::Left left = WalNotes::read(path);
  CHECK(left.is_there);
  CHECK(left.same_boot);
  CHECK(left.logs == WalNotes::SyncedBytes{{7, 200}});
}
