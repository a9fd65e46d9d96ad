// Goal: the digest of a file is that of its bytes, and work on several threads ends at its first
// failure, also the long job among it. Method: files around the size of what is read at once, one
// that is cut meanwhile, and jobs that wait for the failure of another.
#include "kvfile/format/hash_file.h"

#include <catch2/catch.hpp>

#include <array>
#include <atomic>
#include <filesystem>
#include <thread>

#include "base/crypto.h"
#include "kvfile/format/parallel.h"
#include "kvfile/support.h"
#include "support/temp_dir.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::kvfile;
using namespace kvcs::test;

TEST_CASE("hash_file: the digest of a file is that of its bytes", "[unit][kvfile]") {
  TempDir dir;
  for (const size_t size : {0, 1, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 1 << 20}) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<char>(i * 31 + i / 251);
    write_bytes(dir.file("a"), bytes);
    const auto file = SourceFile::open(dir.file("a"));
    REQUIRE(file.ok());
    CHECK(hash_file(**file).value() == sha256_hex(bytes));
    CHECK(hash_file(**file, [] { return false; }).value() == sha256_hex(bytes));
  }
}

TEST_CASE("hash_file: a file that is cut meanwhile has no digest, nor one that nobody wants",
          "[fault][kvfile]") {
  TempDir dir;
  write_bytes(dir.file("a"), std::string(1 << 20, 'x'));
  const auto file = SourceFile::open(dir.file("a"));
  REQUIRE(file.ok());
  int asked = 0;
  CHECK(hash_file(**file, [&asked] { return ++asked == 3; }).value().empty());
  CHECK(asked == 3);
  const auto cut = hash_file(**file, [&] {
    std::filesystem::resize_file(dir.file("a"), 300'000);
    return false;
  });
  CHECK(cut.code() == Code::kConflict);
}

TEST_CASE("run_parallel: each job runs once, in order on a thread", "[unit][kvfile]") {
  std::array<std::atomic<int>, 100> runs{};
  std::atomic<bool> ordered{true};
  const Status ran = run_parallel(runs.size(), [&](TakeJob& take) -> Status {
    size_t last = 0;
    for (size_t job = 0; take(job); last = job) {
      if (job < last) ordered = false;
      runs[job]++;
    }
    return ok();
  });
  CHECK(ran.ok());
  CHECK(ordered);
  for (const std::atomic<int>& count : runs) CHECK(count == 1);
}

TEST_CASE("run_parallel: the first failure is the answer and ends the long job too",
          "[unit][kvfile]") {
  std::atomic<size_t> begun{0};
  const Status ran = run_parallel(1000, [&](TakeJob& take) -> Status {
    for (size_t job = 0; take(job);) {
      begun++;
      // The first job is a long one, unless it has no other thread to wait for.
      if (job == 0 && std::thread::hardware_concurrency() > 1) {
        if (!test::comes_true([&] { return take.failed(); })) return ok();
        return internal("it was told to stop");
      }
      if (job <= 1) return invalid("the cause");
    }
    return ok();
  });
  CHECK(ran.code() == Code::kInvalid);
  CHECK(ran.message() == "the cause");
  CHECK(begun < 1000);
}
