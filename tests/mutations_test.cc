// Goal: the list of mutations that `make mutate` applies fits the sources, and a record that does
// not is an error and not a mutation less. Method: tests/mutate.sh --check over the tree, and over
// a small one with one fault at a time.
#include <catch2/catch.hpp>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/source_dir.h"
#include "support/temp_dir.h"

using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

struct Checked {
  int code = -1;
  std::string words;
};

Checked check(const std::string& root) {
  const TempDir folder;
  const std::string line =
      "bash '" + root + "/tests/mutate.sh' --check > '" + folder.file("out") + "' 2>&1";
  const int status = std::system(line.c_str());
  std::ostringstream words;
  words << std::ifstream(folder.file("out")).rdbuf();
  return {WEXITSTATUS(status), words.str()};
}

// A tree of one source file, whose list holds `record`.
Checked check_record(const std::string& record) {
  const TempDir root;
  fs::create_directories(root.file("src"));
  fs::create_directories(root.file("tests/mutations"));
  fs::copy(source_dir() + "/tests/mutate.sh", root.file("tests/mutate.sh"));
  std::ofstream(root.file("src/a.cc")) << "int f() {\n  once();\n  twice();\n  twice();\n}\n";
  std::ofstream(root.file("src/a.h")) << "int f();\n";
  std::ofstream(root.file("tests/mutations/money.txt")) << record;
  return check(root.path());
}

std::string record(const std::string& old, const std::string& now = "",
                   const std::string& file = "src/a.cc") {
  return "# Money.\n\nname:  n\nfile:  " + file + "\nold:   " + old + "\nnew:   " + now +
         "\ntests: a*\n";
}

}  // namespace

TEST_CASE("mutations: each record fits the sources", "[unit][mutations]") {
  const Checked checked = check(source_dir());
  INFO(checked.words);
  CHECK(checked.code == 0);
}

TEST_CASE("mutations: a record that cannot be used is an error that says so", "[unit][mutations]") {
  struct Row {
    std::string record, words;
  };
  const std::vector<Row> rows = {
      {record("never();"), "has this line not exactly once: never();"},
      {record("twice();"), "has this line not exactly once: twice();"},
      {record("once"), "has this line not exactly once: once"},
      {record("once();", "once();"), "changes nothing"},
      {record("once();", "", "src/b.cc"), "there is no file src/b.cc"},
      {record("int f();", "", "src/a.h"), "is not a .cc file"},
      {record(""), "has no old"},
      {"name: n\nfile: src/a.cc\nold: once();\nnew:\n", "does not end with its tests"},
      {"name: n\nlines: 7\n", "begins with 'lines:'"},
      {"# Nothing.\n", "there are no records"},
  };
  for (const Row& row : rows) {
    const Checked checked = check_record(row.record);
    INFO(row.record << checked.words);
    CHECK(checked.code == 2);
    CHECK(checked.words.find(row.words) != std::string::npos);
  }
  for (const std::string& good : {record("once();"), record("once();", "never();"),
                                  record("once();", "f(); // & \\ $x") + "\n" + record("}", "")}) {
    const Checked checked = check_record(good);
    INFO(good << checked.words);
    CHECK(checked.code == 0);
  }
}
