// Goal: what a fuzzer found once stays mended, and the targets stay alive between runs of it.
// Method: every file of tests/fuzz/corpus/<target>/ through the function that libFuzzer calls; a
// broken promise aborts, and so fails the run.
#include <catch2/catch.hpp>

#include <filesystem>
#include <set>

#include "fuzz/targets.h"
#include "kvfile/support.h"

using namespace kvcs;

TEST_CASE("fuzz: every file of the corpus passes through its parser", "[unit][fuzz]") {
  const std::string root = kvfile::data_path("../fuzz/corpus");
  std::set<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(root)) {
    folders.insert(entry.path().filename());
  }
  for (const fuzz::Target& target : fuzz::all_targets()) {
    INFO(target.name);
    CHECK(folders.erase(std::string(target.name)) == 1);
    size_t files = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(root + "/" + std::string(target.name))) {
      target.run(kvfile::read_bytes(entry.path()));
      files++;
    }
    target.run("");
    CHECK(files > 0);
  }
  CHECK(folders.empty());  // A corpus without a target is never run.
}
