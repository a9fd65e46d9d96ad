// Goal: what only the file engine has to answer for: the disk's space and a process that died.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/crypto.h"
#include "blob/blob.h"
#include "support/temp_dir.h"
#include "support/wait.h"

namespace kvcs {
namespace {

size_t files_under(const std::string& path) {
  size_t n = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    n += entry.is_regular_file() ? 1 : 0;
  }
  return n;
}

// Threads of this process that hash an upload.
size_t hash_threads() {
  size_t n = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    n += std::getline(file, name) && name == "hash" ? 1 : 0;
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

TEST_CASE("what is no folder or no file of the store is left alone, and keeps nobody waiting",
          "[blob][fault]") {
  namespace fs = std::filesystem;
  test::TempDir folder;
  const std::string path = folder.file("blobs"), pipe = sha256_hex("pipe");
  std::string kept;
  {
    auto store = open_file_blobs({path, 0});
    auto writer = (*store)->begin_write("", 3);
    REQUIRE((*writer)->append("abc").ok());
    REQUIRE((*writer)->finish().ok());
    kept = (*writer)->sha256_hex();
  }
  std::ofstream(path + "/0f") << "a file among the folders";
  fs::create_directories(path + "/tmp/0.part");
  fs::create_directories(path + "/tmp/notes/deep");
  const std::string inner = path + "/" + pipe.substr(0, 2) + "/" + pipe.substr(2, 2);
  fs::create_directories(inner);
  REQUIRE(::mkfifo((inner + "/" + pipe).c_str(), 0600) == 0);
  REQUIRE(::mkfifo((path + "/tmp/1.part").c_str(), 0600) == 0);
  const std::string link = sha256_hex("link");
  fs::create_directories(path + "/" + link.substr(0, 2) + "/" + link.substr(2, 2));
  fs::create_symlink(path + "/0f",
                     path + "/" + link.substr(0, 2) + "/" + link.substr(2, 2) + "/" + link);
  auto store = open_file_blobs({path, 0});
  REQUIRE(store.ok());
  CHECK(*(*store)->remove_stale_temps() == 1);
  size_t seen = 0;
  const Status visited = (*store)->for_each([&](std::string_view digest, uint64_t, int64_t) {
    CHECK(digest == kept);
    seen++;
    return ok();
  });
  INFO(visited.message());
  CHECK(visited.ok());
  CHECK(seen == 1);
  for (const std::string& name : {pipe, link}) {
    CHECK((*store)->stat(name).code() == Code::kNotFound);
    CHECK((*store)->open(name).status().code() == Code::kNotFound);
  }
  // The next upload of these bytes takes the place of what lies there.
  (void)(*store)->begin_write("", 4);
  auto writer = (*store)->begin_write(pipe, 4);
  REQUIRE(writer.ok());
  REQUIRE((*writer)->append("pipe").ok());
  REQUIRE((*writer)->finish().ok());
  CHECK(*(*store)->stat(pipe) == 4);
}

TEST_CASE("the uploads of one owner hold no more than their share of the free disk",
          "[blob][fault]") {
  test::TempDir folder;
  const uint64_t free = std::filesystem::space(folder.path()).available;
  auto store = open_file_blobs({folder.file("blobs"), 0, free, 50});
  const auto begin = [&](uint64_t size_bytes, const char* owner) {
    return (*store)->begin_write("", size_bytes, owner);
  };
  {
    const auto first = begin(free / 10 * 3, "acme");
    REQUIRE(first.ok());
    const Status refused = begin(free / 10 * 3, "acme").status();
    CHECK(refused.code() == Code::kRateLimited);
    CHECK(refused.reason() == "disk_share");
    CHECK(refused.retry_after_s() > 0);
    CHECK(refused.message().find("blobs.organization_percent") != std::string::npos);
    CHECK(begin(free / 10, "acme").ok());
    CHECK(begin(free / 10 * 3, "other").ok());
    CHECK(begin(free / 10 * 3, "").ok());
    // What an upload has sent is not held any more, but used.
    REQUIRE((*first)->append(std::string(1 << 20, 'x')).ok());
  }
  // A single upload may be larger than the share.
  const auto large = begin(free / 10 * 8, "acme");
  CHECK(large.ok());
  CHECK(begin(1, "acme").code() == Code::kRateLimited);
}

TEST_CASE("an upload goes on when the others of its owner hold their share", "[blob][fault]") {
  test::TempDir folder;
  const uint64_t free = std::filesystem::space(folder.path()).available;
  constexpr uint64_t kStep = 1 << 20, kSize = 4 << 20;
  auto store = open_file_blobs({folder.file("blobs"), 0, kStep, 1});
  auto first = (*store)->begin_write("", kSize, "acme");
  REQUIRE(first.ok());
  std::vector<std::unique_ptr<BlobWriter>> others;
  for (;;) {
    auto next = (*store)->begin_write("", kSize, "acme");
    if (!next.ok()) break;
    others.push_back(std::move(next).value());
    REQUIRE(others.size() <= free / kStep / 50);
  }
  REQUIRE((*first)->append(std::string(kSize, 'x')).ok());
  CHECK((*first)->finish().ok());
}

TEST_CASE("a folder that goes away is told without its path", "[blob][fault]") {
  test::TempDir folder;
  auto store = open_file_blobs({folder.file("blobs"), 0});
  REQUIRE(store.ok());
  std::filesystem::rename(folder.file("blobs"), folder.file("elsewhere"));
  const Status failed = (*store)->begin_write(sha256_hex("x"), 1).status();
  CHECK(failed.code() == Code::kUnavailable);
  CHECK(failed.reason() == "blobs_failed");
  CHECK(failed.message().find(folder.path()) == std::string::npos);
  CHECK(failed.cause().find(folder.path()) != std::string::npos);
}

TEST_CASE("an upload that would touch the free-space reserve is refused at once", "[blob][fault]") {
  test::TempDir folder;
  const uint64_t free = std::filesystem::space(folder.path()).available;
  auto store = open_file_blobs({folder.file("blobs"), free / 2, free});
  const Status refused = (*store)->begin_write(sha256_hex("x"), free).status();
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.reason() == "disk_full");
  CHECK((*store)->check_room(free).reason() == "disk_full");
  CHECK((*store)->check_room(free / 3).ok());
  CHECK(files_under(folder.path()) == 0);
  // What live writers hold counts as used, and is given back with them.
  {
    auto first = (*store)->begin_write(sha256_hex("x"), free / 3);
    REQUIRE(first.ok());
    CHECK((*store)->begin_write(sha256_hex("y"), free / 3).code() == Code::kUnavailable);
    CHECK((*store)->check_room(free / 3).reason() == "disk_full");
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

TEST_CASE("uploads share a few threads that hash, and one that pauses has none", "[blob][unit]") {
  test::TempDir folder;
  auto store = open_file_blobs({folder.file("blobs"), 0});
  const std::string part(256 << 10, 'x');
  constexpr size_t kParts = 40, kWriters = 12;
  std::vector<std::unique_ptr<BlobWriter>> writers;
  size_t most = 0;
  for (size_t i = 0; i < kWriters; i++) {
    writers.push_back(std::move((*store)->begin_write("", kParts * part.size())).value());
    for (size_t k = 0; k < kParts / 2; k++) REQUIRE(writers.back()->append(part).ok());
    most = std::max(most, hash_threads());
  }
  CHECK(most <= std::thread::hardware_concurrency());
  CHECK(test::comes_true([] { return hash_threads() == 0; }));
  Sha256 expected;
  for (size_t k = 0; k < kParts; k++) expected.update(part.data(), part.size());
  const std::string digest = expected.finish_hex();
  for (auto& writer : writers) {
    for (size_t k = kParts / 2; k < kParts; k++) REQUIRE(writer->append(part).ok());
    REQUIRE(writer->finish().ok());
    CHECK(writer->sha256_hex() == digest);
  }
  CHECK(hash_threads() == 0);
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

TEST_CASE("the age of a blob is that of its bytes, and aside that of its move", "[blob]") {
  test::TempDir folder;
  auto store = open_file_blobs({folder.file("blobs"), 0});
  auto writer = (*store)->begin_write("", 3);
  REQUIRE((*writer)->append("abc").ok());
  REQUIRE((*writer)->finish().ok());
  const std::string digest = (*writer)->sha256_hex();
  const std::string path =
      folder.file("blobs") + "/" + digest.substr(0, 2) + "/" + digest.substr(2, 2) + "/" + digest;
  const timespec old[2] = {{1'000'000'000, 0}, {1'000'000'000, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), old, 0) == 0);
  // As a backup does, and its removal.
  REQUIRE(::link(path.c_str(), folder.file("copy").c_str()) == 0);
  REQUIRE(::unlink(folder.file("copy").c_str()) == 0);
  constexpr int64_t kYearS = 365 * 86'400;
  int64_t age_s = 0;
  const auto note = [&age_s](std::string_view, uint64_t, int64_t age) {
    age_s = age;
    return ok();
  };
  REQUIRE((*store)->for_each(note).ok());
  CHECK(age_s > 10 * kYearS);
  REQUIRE((*store)->set_aside(digest, BlobShelf::kTrash).ok());
  REQUIRE((*store)->for_each_aside(BlobShelf::kTrash, note).ok());
  CHECK(age_s < kYearS);
}

}  // namespace kvcs
