// A copy of the blobs by hard links. Method: a store in a directory of its own, and the files of
// the copy looked at beside it.
#include "blob/blob_links.h"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/crypto.h"
#include "blob/blob.h"
#include "support/temp_dir.h"

using namespace kvcs;

namespace {

namespace fs = std::filesystem;

std::string put(BlobStore& store, const std::string& bytes) {
  auto writer = store.begin_write("", bytes.size());
  REQUIRE(writer.ok());
  REQUIRE((*writer)->append(bytes).ok());
  REQUIRE((*writer)->finish().ok());
  return (*writer)->sha256_hex();
}

Status go_on() {
  return ok();
}

}  // namespace

TEST_CASE("blob links: a copy is a store, takes no space, and is added to", "[unit][blob]") {
  test::TempDir dir;
  BlobConfig config;
  config.path = dir.file("blobs");
  config.free_reserve_bytes = 0;
  auto store = open_file_blobs(config);
  REQUIRE(store.ok());
  CHECK(link_blobs(dir.file("nowhere"), dir.file("copy"), go_on)->blobs == 0);
  const std::string first = put(**store, "one"), second = put(**store, "second");
  std::ofstream(config.path + "/tmp/7.part") << "half an upload";
  std::ofstream(config.path + "/notes.txt") << "not ours";
  const BlobLinks links = link_blobs(config.path, dir.file("copy"), go_on).value();
  CHECK(links.linked);
  CHECK(links.blobs == 2);
  CHECK(links.bytes == 9);
  CHECK_FALSE(fs::exists(dir.file("copy") + "/notes.txt"));
  CHECK_FALSE(fs::exists(dir.file("copy") + "/tmp"));
  // Removed here, kept there; and what is new comes to it.
  REQUIRE((*store)->remove(first).ok());
  put(**store, "third");
  CHECK(link_blobs(config.path, dir.file("copy"), go_on)->blobs == 2);
  config.path = dir.file("copy");
  auto copy = open_file_blobs(config);
  REQUIRE(copy.ok());
  CHECK((*copy)->stat(first).value() == 3);
  CHECK((*copy)->stat(second).value() == 6);
  CHECK((*copy)->stat(sha256_hex("third")).value() == 5);
  const std::string name = "/" + second.substr(0, 2) + "/" + second.substr(2, 2) + "/" + second;
  CHECK(fs::hard_link_count(dir.file("copy") + name) == 2);
}

// Deleting the only blob of a folder leaves the folder.
TEST_CASE("blob links: folders without blobs and what is no blob are passed over", "[unit][blob]") {
  test::TempDir dir;
  BlobConfig config;
  config.path = dir.file("blobs");
  config.free_reserve_bytes = 0;
  auto store = open_file_blobs(config);
  REQUIRE(store.ok());
  const std::string gone = put(**store, "gone"), kept = put(**store, "kept");
  REQUIRE(gone.substr(0, 2) != kept.substr(0, 2));
  REQUIRE((*store)->remove(gone).ok());
  const std::string pipe = config.path + "/" + gone.substr(0, 2) + "/" + gone.substr(2, 2);
  REQUIRE(::mkfifo((pipe + "/" + gone).c_str(), 0600) == 0);
  std::ofstream(config.path + "/0f") << "a file among the folders";
  std::ofstream(config.path + "/" + kept.substr(0, 2) + "/0f") << "and one below";
  for (int pass = 0; pass < 2; pass++) {
    const auto links = link_blobs(config.path, dir.file("copy"), go_on);
    INFO(links.status().message());
    REQUIRE(links.ok());
    CHECK(links->blobs == 1);
    CHECK(links->bytes == 4);
  }
  REQUIRE(fs::remove(pipe + "/" + gone));
  CHECK(link_blobs(config.path, dir.file("second"), go_on)->blobs == 1);
  CHECK_FALSE(fs::exists(dir.file("second") + "/" + gone.substr(0, 2)));
}

TEST_CASE("blob links: a stop ends it, and another file system is told", "[unit][blob]") {
  test::TempDir dir;
  BlobConfig config;
  config.path = dir.file("blobs");
  config.free_reserve_bytes = 0;
  auto store = open_file_blobs(config);
  REQUIRE(store.ok());
  for (int i = 0; i < 5; i++) put(**store, std::string(10, static_cast<char>('a' + i)));
  int asked = 0;
  const auto stop = [&asked]() -> Status { return ++asked == 3 ? unavailable("Enough.") : ok(); };
  CHECK(link_blobs(config.path, dir.file("copy"), stop).status().message() == "Enough.");
  struct stat here {
  }, there{};
  REQUIRE(::stat(dir.path().c_str(), &here) == 0);
  if (::stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev) return;
  std::string elsewhere = "/dev/shm/kvcs-test-XXXXXX";
  REQUIRE(::mkdtemp(elsewhere.data()) != nullptr);
  const auto links = link_blobs(config.path, elsewhere + "/blobs", go_on);
  fs::remove_all(elsewhere);
  REQUIRE(links.ok());
  CHECK_FALSE(links->linked);
  CHECK(links->blobs == 5);
  CHECK(links->bytes == 50);
}
