// Goal: the private folders of the data directory are made, closed to others, and a folder that
// cannot be looked at is one line and not the end of the process. Method: real folders; a child
// process that has given up its rights stands in a folder that it may not search.
#include "app/files.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>

#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

mode_t mode_of(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

}  // namespace

TEST_CASE("files: a private folder is made with all above it, and closed", "[unit][app]") {
  const TempDir dir;
  const std::string path = dir.file("a/b/c");
  REQUIRE(make_private_directory(path).ok());
  CHECK(mode_of(path) == 0700);
  REQUIRE(::chmod(path.c_str(), 0755) == 0);
  REQUIRE(make_private_directory(path).ok());
  CHECK(mode_of(path) == 0700);
}

namespace {

// From here on this process is on a file system that does not know the flags of renames.
bool refuse_rename_flags() {
  sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{sizeof steps / sizeof steps[0], steps};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_CASE("files: renames work where the file system does not know their flags", "[unit][app]") {
  const TempDir dir;
  const std::string one = dir.file("one"), other = dir.file("other"), third = dir.file("third");
  for (const std::string& folder : {one, other}) REQUIRE(make_private_directory(folder).ok());
  REQUIRE(make_private_directory(one + "/was-one").ok());
  const bool without_flags = GENERATE(false, true);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (without_flags && !refuse_rename_flags()) ::_exit(3);
    if (rename_to_free(one, other).code() != Code::kConflict) ::_exit(4);
    if (!exchange(one, other).ok()) ::_exit(5);
    if (!path_exists(other + "/was-one").value_or(false)) ::_exit(6);
    if (path_exists(one + "/was-one").value_or(true)) ::_exit(7);
    if (!rename_to_free(other, third).ok()) ::_exit(8);
    ::_exit(path_exists(third + "/was-one").value_or(false) ? 0 : 9);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("files: what stands above and is no folder is named", "[unit][app]") {
  const TempDir dir;
  REQUIRE(make_private_directory(dir.file("a")).ok());
  const std::string file = dir.file("a/file");
  REQUIRE(::close(::creat(file.c_str(), 0600)) == 0);
  const Status made = make_private_directory(file + "/b");
  CHECK(!made.ok());
  CHECK(made.to_string().find(file) != std::string::npos);
}

TEST_CASE("files: a current folder that may not be searched is an error", "[unit][app]") {
  const TempDir dir;
  const std::string closed = dir.file("closed");
  REQUIRE(::mkdir(closed.c_str(), 0700) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (::chdir(closed.c_str()) != 0 || ::chmod(".", 0) != 0) ::_exit(3);
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(3);
    ::_exit(make_private_directory("data").ok() ? 1 : 0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(::chmod(closed.c_str(), 0700) == 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("files: what is set aside is never written over what was before", "[unit][app]") {
  const TempDir dir;
  const std::string path = dir.file("ledger.db");
  const auto make = [&](const std::string& text) {
    for (const char* end : {"", "-wal"}) std::ofstream(path + end) << text << end;
  };
  const auto text_of = [&](const std::string& name) {
    return read_small_file(dir.file(name), 100).value_or("none");
  };
  for (const char* text : {"first", "second", "third"}) {
    make(text);
    REQUIRE(set_aside({path, path + "-wal"}, ".given-up").ok());
    CHECK_FALSE(*path_exists(path));
  }
  CHECK(text_of("ledger.db.given-up") == "first");
  CHECK(text_of("ledger.db.given-up-wal") == "first-wal");
  CHECK(text_of("ledger.db.given-up.2") == "second");
  CHECK(text_of("ledger.db.given-up.3-wal") == "third-wal");
  CHECK(*free_name(path, ".given-up") == path + ".given-up.4");
  make("fourth");
  CHECK(rename_to_free(path, dir.file("ledger.db.given-up")).code() == Code::kConflict);
  CHECK(text_of("ledger.db.given-up") == "first");
  CHECK_FALSE(path_exists(path + "/below").ok());  // Not "no".
}
