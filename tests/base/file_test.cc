// Goal: a private file appears whole, closed to others and under its name alone, and a descriptor
// is closed once. Method: real files in a temp folder; faults by what stands in the way of a name.
#include "base/file.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "support/temp_dir.h"

using namespace kvcs;

namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

mode_t mode_of(const std::string& path) {
  struct stat facts {};
  REQUIRE(::lstat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777;
}

}  // namespace

TEST_CASE("file: a descriptor has one owner, who closes it", "[unit][base]") {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  {
    Descriptor first(fd);
    REQUIRE(first.valid());
    Descriptor second(std::move(first));
    CHECK_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): what is moved from is empty.
    Descriptor third;
    third = std::move(second);
    CHECK(third.get() == fd);
    CHECK(is_open(fd));
  }
  CHECK_FALSE(is_open(fd));
  const int kept = Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)).release();
  CHECK(is_open(kept));
  CHECK(::close(kept) == 0);
  CHECK_FALSE(Descriptor(-1).valid());
}

TEST_CASE("file: the folder of a path is where the system looks the name up", "[unit][base]") {
  CHECK(folder_of("a") == ".");
  CHECK(folder_of("a/b") == "a");
  CHECK(folder_of("/a") == "/");
  CHECK(folder_of("/a/b/c") == "/a/b");
  CHECK(folder_of("./a") == ".");
}

TEST_CASE("file: a private file replaces the old one and is nobody else's", "[unit][base]") {
  test::TempDir dir;
  const std::string path = dir.file("secret");
  std::ofstream(path) << "an older and longer text";
  std::ofstream(path + ".new") << "left by a crash";
  REQUIRE(::chmod((path + ".new").c_str(), 0666) == 0);
  REQUIRE(write_private_file(path, "new").ok());
  CHECK(read_small_file(path, 100).value() == "new");
  CHECK(mode_of(path) == 0600);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
  REQUIRE(write_private_file(path, "").ok());
  CHECK(read_small_file(path, 100).value().empty());
}

TEST_CASE("file: a private file does not follow a link, nor hide where it failed", "[unit][base]") {
  test::TempDir dir;
  const std::string path = dir.file("secret"), target = dir.file("target");
  std::ofstream(target) << "another's";
  REQUIRE(::symlink(target.c_str(), (path + ".new").c_str()) == 0);
  const Status linked = write_private_file(path, "new");
  CHECK_FALSE(linked.ok());
  CHECK(linked.message().find(path) != std::string::npos);
  CHECK(read_small_file(target, 100).value() == "another's");
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK(write_private_file(dir.file("no/folder"), "x").code() == Code::kNotFound);
}

TEST_CASE("file: a small file is read whole or refused", "[unit][base]") {
  test::TempDir dir;
  const std::string path = dir.file("f"), bytes("\0\xff text\n", 8);
  std::ofstream(path, std::ios::binary) << bytes;
  CHECK(read_small_file(path, 8).value() == bytes);
  CHECK(read_small_file(path, 7).code() == Code::kTooLarge);
  CHECK(read_small_file(dir.file("none"), 7).code() == Code::kNotFound);
  // A file of /proc has the size 0 and bytes all the same.
  CHECK_FALSE(read_small_file("/proc/self/stat", 1 << 16).value().empty());
  CHECK(sync_folder(dir.file("none")).code() == Code::kNotFound);
  CHECK_FALSE(sync_folder(path).ok());
}
