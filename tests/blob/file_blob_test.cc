// Goal: what only the file engine has to answer for: the disk's space and a process that died.
#include <catch2/catch.hpp>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/crypto.h"
#include "blob/blob.h"
#include "support/temp_dir.h"

namespace kvcs {
namespace {

size_t files_under(const std::string& path) {
  size_t n = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    n += entry.is_regular_file() ? 1 : 0;
  }
  return n;
}

}  // namespace

TEST_CASE("a writer that is dropped leaves nothing on disk", "[blob][unit]") {
  test::TempDir folder;
  auto store = open_file_blobs({folder.file("blobs"), 0});
  {
    auto writer = (*store)->begin_write(sha256_hex("abc"), 10 << 20);
    REQUIRE((*writer)->append(std::string(5 << 20, 'x')).ok());
    CHECK(files_under(folder.path()) == 1);
    CHECK((*writer)->written_bytes() == 5 << 20);
  }
  CHECK(files_under(folder.path()) == 0);
}

TEST_CASE("temp files of a process that died are removed, those of live writers are not",
          "[blob][fault]") {
  test::TempDir folder;
  auto store = open_file_blobs({folder.file("blobs"), 0});
  std::ofstream(folder.file("blobs/tmp/77.part")) << "half";
  auto writer = (*store)->begin_write(sha256_hex("abc"), 3);
  REQUIRE((*writer)->append("abc").ok());
  CHECK(*(*store)->remove_stale_temps() == 1);
  CHECK(*(*store)->remove_stale_temps() == 0);
  REQUIRE((*writer)->finish().ok());
  CHECK((*store)->stat(sha256_hex("abc")).ok());
}

TEST_CASE("an upload that would touch the free-space reserve is refused at once", "[blob][fault]") {
  test::TempDir folder;
  const uint64_t free = std::filesystem::space(folder.path()).available;
  auto store = open_file_blobs({folder.file("blobs"), free / 2, free});
  const Status refused = (*store)->begin_write(sha256_hex("x"), free).status();
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.reason() == "disk_full");
  CHECK(files_under(folder.path()) == 0);
  // What live writers hold counts as used, and is given back with them.
  {
    auto first = (*store)->begin_write(sha256_hex("x"), free / 3);
    REQUIRE(first.ok());
    CHECK((*store)->begin_write(sha256_hex("y"), free / 3).code() == Code::kUnavailable);
  }
  CHECK((*store)->begin_write(sha256_hex("y"), free / 3).ok());
}

TEST_CASE("an upload holds the next step of the disk, not all that it announced", "[blob][fault]") {
  test::TempDir folder;
  const uint64_t free = std::filesystem::space(folder.path()).available;
  const uint64_t large = free / 3;
  auto store = open_file_blobs({folder.file("blobs"), free / 2, 1000});
  auto slow = (*store)->begin_write("", large);
  REQUIRE(slow.ok());
  REQUIRE((*slow)->append("x").ok());
  // The first announced two thirds of what there is, and holds a thousand bytes of it.
  CHECK((*store)->begin_write("", large).ok());
  // A chunk that is longer than a step is written all the same.
  const std::string bytes(1 << 20, 'y');
  auto third = (*store)->begin_write(sha256_hex(bytes), bytes.size());
  REQUIRE(third.ok());
  REQUIRE((*third)->append(bytes).ok());
  REQUIRE((*third)->finish().ok());
  CHECK((*store)->stat(sha256_hex(bytes)).ok());
}

TEST_CASE("blobs are readable by their owner alone", "[blob][unit]") {
  test::TempDir folder;
  auto store = open_file_blobs({folder.file("blobs"), 0});
  auto writer = (*store)->begin_write(sha256_hex("abc"), 3);
  REQUIRE((*writer)->append("abc").ok());
  REQUIRE((*writer)->finish().ok());
  struct stat facts {};
  REQUIRE(::stat(folder.file("blobs/ba/78/" + sha256_hex("abc")).c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  REQUIRE(::stat(folder.file("blobs/ba").c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0700);
}

TEST_CASE("a folder that cannot be made is named in the failure", "[blob][fault]") {
  test::TempDir folder;
  std::ofstream(folder.file("taken")) << "a file";
  const Status failed = open_file_blobs({folder.file("taken/blobs"), 0}).status();
  CHECK_FALSE(failed.ok());
}

TEST_CASE("a planned fault stops the write where the plan says", "[blob][fault]") {
  auto base = make_memory_blobs();
  std::string broken;
  auto store = make_faulty_blobs(*base, [&](std::string_view op, std::string_view) {
    return op == broken ? unavailable("No space left.") : ok();
  });
  broken = "begin_write";
  CHECK(store->begin_write("", 1).code() == Code::kUnavailable);
  for (const char* op : {"append", "finish"}) {
    broken = op;
    auto writer = store->begin_write(sha256_hex("a"), 1);
    const Status appended = (*writer)->append("a");
    CHECK((appended.ok() ? (*writer)->finish() : appended).code() == Code::kUnavailable);
    CHECK(base->stat(sha256_hex("a")).code() == Code::kNotFound);
  }
}

}  // namespace kvcs
