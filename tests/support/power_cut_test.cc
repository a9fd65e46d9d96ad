// Goal: the disk that forgets forgets what it should and nothing else; every test of a power cut
// rests on it. Method: files written, synced, renamed and removed by hand, and images of them.
#include "support/power_cut.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "support/cut_folder.h"

using namespace kvcs::test;
namespace fs = std::filesystem;
using Unsynced = PowerCutDisk::Unsynced;

namespace {

// What a test does to the files of the disk.
struct Hand {
  CutFolder folder;
  std::string at(const std::string& name) const { return folder.path() + "/" + name; }
  void write(const std::string& name, const std::string& bytes, bool synced) const {
    const int fd = ::open(at(name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    if (synced) REQUIRE(::fsync(fd) == 0);
    ::close(fd);
  }
  void sync_names(const std::string& name = ".") const {
    const int fd = ::open(at(name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(::fdatasync(fd) == 0);
    ::close(fd);
  }
  // "-" when there is no such file.
  std::string after(const std::string& name, CutFate fate) {
    std::ifstream file(folder.cut(fate) + "/" + name, std::ios::binary);
    if (!file) return "-";
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string lost(const std::string& name) { return after(name, {Unsynced::kLost}); }
  std::string named(const std::string& name) { return after(name, {Unsynced::kNamesKept}); }
};

}  // namespace

TEST_CASE("power cut disk: a file needs its bytes and its name synced", "[unit][power]") {
  Hand hand;
  hand.write("bytes", "1", true);
  hand.write("name", "2", false);
  CHECK(hand.lost("bytes") == "-");
  CHECK(hand.named("bytes") == "1");
  hand.sync_names();
  CHECK(hand.lost("bytes") == "1");
  CHECK(hand.lost("name").empty());
  CHECK(hand.named("name").empty());
  hand.write("bytes", "new", false);
  CHECK(hand.lost("bytes") == "1");
  CHECK(hand.named("bytes") == "1");
  CHECK(hand.folder.disk().syncs() == 2);
}

TEST_CASE("power cut disk: a rename and a removal need their folder synced", "[unit][power]") {
  Hand hand;
  fs::create_directory(hand.at("sub"));
  hand.write("old", "1", true);
  hand.write("gone", "2", true);
  hand.sync_names();
  fs::rename(hand.at("old"), hand.at("sub/new"));
  fs::remove(hand.at("gone"));
  // As before: an inode that a name on the disk still has is given to no other file.
  for (int i = 0; i < 50; i++) hand.write("other" + std::to_string(i), "x", true);
  CHECK(hand.lost("old") == "1");
  CHECK(hand.lost("gone") == "2");
  CHECK(hand.lost("sub/new") == "-");
  CHECK(hand.named("old") == "-");
  CHECK(hand.named("sub/new") == "1");
  hand.sync_names("sub");
  hand.sync_names();
  CHECK(hand.lost("old") == "-");
  CHECK(hand.lost("gone") == "-");
  CHECK(hand.lost("sub/new") == "1");
}

TEST_CASE("power cut disk: pages that are mapped are durable by fdatasync alone", "[unit][power]") {
  Hand hand;
  hand.write("map", std::string(4096, 'a'), true);
  hand.sync_names();
  const int fd = ::open(hand.at("map").c_str(), O_RDWR | O_CLOEXEC);
  char* mapped =
      static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  mapped[7] = 'b';
  CHECK(hand.lost("map")[7] == 'a');
  REQUIRE(::fdatasync(fd) == 0);
  CHECK(hand.lost("map")[7] == 'b');
  ::munmap(mapped, 4096);
  ::close(fd);
}

TEST_CASE("power cut disk: what is kept in part is of sectors old, new or zero", "[unit][power]") {
  Hand hand;
  hand.write("file", std::string(2048, 'o'), true);
  hand.write("log", "synced,", true);
  hand.sync_names();
  hand.write("log", "synced, not synced", false);
  hand.write("file", std::string(4096, 'n'), false);
  hand.write("unsynced", "x", false);
  std::set<std::string> files;
  int named = 0;
  for (uint64_t seed = 0; seed < 64; seed++) {
    const std::string file = hand.after("file", {Unsynced::kKeptInPart, seed});
    REQUIRE(file.size() >= 2048);
    REQUIRE(file.size() <= 4096);
    for (size_t at = 0; at < file.size(); at++) {
      REQUIRE((at < 2048 ? file[at] == 'o' || file[at] == 'n' : file[at] == 'n' || file[at] == 0));
      if (at % 512 != 0) REQUIRE(file[at] == file[at - 1]);
    }
    files.insert(file);
    CHECK(hand.after("log", {Unsynced::kKeptInPart, seed}).starts_with("synced,"));
    named += hand.after("unsynced", {Unsynced::kKeptInPart, seed}) != "-" ? 1 : 0;
    CHECK(hand.after("file", {Unsynced::kKeptInPart, seed}) == file);
  }
  CHECK(files.size() > 20);
  CHECK(files.contains(std::string(2048, 'o')));
  CHECK(files.contains(std::string(4096, 'n')));
  CHECK(named > 16);
  CHECK(named < 48);
}

TEST_CASE("power cut disk: files elsewhere are not its own", "[unit][power]") {
  Hand hand;
  TempDir other;
  const int fd = ::open(other.file("x").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  CHECK(::fsync(fd) == 0);
  ::close(fd);
  CHECK(::fsync(-1) == -1);
  CHECK(errno == EBADF);
  CHECK(hand.folder.disk().syncs() == 0);
}
