// Goal: the digest of a download is that of the bytes in its file, however they came there. Method:
// a file that grows under the hash, of which some bytes are others than were written.
#include "cli/hash_behind.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "support/no_threads.h"
#include "support/temp_dir.h"

using namespace kvcs;

namespace {

struct GrowingFile {
  void grow(std::string_view more) {
    REQUIRE(write_all(file.get(), more, path).ok());
    bytes += more;
    hash.note_written(bytes.size());
  }
  std::string digest() {
    const Result<std::string> made = hash.finish([this](uint64_t n) { told = n; });
    REQUIRE(made.ok());
    return *made;
  }

  test::TempDir folder;
  const std::string path = folder.file("part");
  Descriptor file{::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  std::string bytes;
  uint64_t told = 0;
  cli::HashBehind hash{file.get(), path};
};

}  // namespace

TEST_CASE("hash behind: all that was written, to the last byte", "[unit][cli]") {
  GrowingFile part;
  for (int i = 0; i < 50; i++) part.grow(std::string(static_cast<size_t>(i) * 4099, 'a' + i % 26));
  CHECK(part.digest() == sha256_hex(part.bytes));
  CHECK(part.told == part.bytes.size());
}

TEST_CASE("hash behind: nothing was written", "[unit][cli]") {
  GrowingFile part;
  CHECK(part.digest() == sha256_hex(""));
}

TEST_CASE("hash behind: what stands in the file counts, not what was written", "[unit][cli]") {
  GrowingFile part;
  part.grow("ab");  // Less than a step, so that it is read at the end.
  const Descriptor other(::open(part.path.c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(::pwrite(other.get(), "x", 1, 1) == 1);
  CHECK(part.digest() == sha256_hex("ax"));
}

TEST_CASE("hash behind: a file that became shorter has no digest", "[fault][cli]") {
  GrowingFile part;
  part.grow("ab");
  REQUIRE(::ftruncate(part.file.get(), 1) == 0);
  CHECK_FALSE(part.hash.finish([](uint64_t) {}).ok());
}

TEST_CASE("hash behind: where the system has no thread left it reads at the end", "[fault][cli]") {
  const test::NoThreads none;
  GrowingFile part;
  part.grow(std::string(700'001, 'z'));
  CHECK(part.digest() == sha256_hex(part.bytes));
}
