// Goal: a file of secrets that others can read is told. Method: real files of each mode.
#include "base/private_file.h"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "base/file.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("private file: its mode says whether others can read it", "[unit][base]") {
  const TempDir dir;
  const std::string path = dir.file("key");
  CHECK(read_private_file(path, 100).code() == Code::kNotFound);
  REQUIRE(write_private_file(path, "sk-1\n").ok());
  CHECK(read_private_file(path, 100)->reveal() == "sk-1\n");
  CHECK(read_private_file(path, 2).code() == Code::kTooLarge);
  const std::pair<mode_t, bool> rows[] = {{0600, false}, {0400, false}, {0640, false},
                                          {0644, true},  {0602, true},  {0604, true}};
  for (const auto& [mode, told] : rows) {
    INFO(mode);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK(others_can_read(path) == told);
  }
  CHECK_FALSE(others_can_read(dir.file("absent")));
}
