// Goal: a test that cannot end is a failure with a name. Method: this very test binary as a child,
// on a hidden case that hangs; and the limits by tag and by environment.
#include "support/watchdog.h"

#include <catch2/catch.hpp>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/env.h"
#include "support/temp_dir.h"

using namespace kvcs::test;

namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

struct Child {
  int code = -1;
  std::string out, error;
};

// This binary on the hidden cases of the tag `tag`.
Child run_hidden(const std::string& tag, const std::string& limit_s) {
  const TempDir folder;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string line = "KVCS_TEST_LIMIT_S=" + limit_s + " '" + self + "' '[" + tag + "]' > '" +
                           folder.file("out") + "' 2> '" + folder.file("error") + "'";
  const int status = std::system(line.c_str());
  return {WEXITSTATUS(status), text_of(folder.file("out")), text_of(folder.file("error"))};
}

// Reads from a pipe that nobody writes to.
void hang() {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  char byte = 0;
  (void)!::read(ends[0], &byte, 1);
}

}  // namespace

TEST_CASE("hidden: passes", "[.watchdog_sample]") {
  CHECK(true);
}

TEST_CASE("hidden: hangs in an inner section", "[.watchdog_sample]") {
  SECTION("ends") {
    CHECK(true);
  }
  SECTION("outer") {
    SECTION("inner") {
      hang();
    }
  }
}

TEST_CASE("watchdog: a case that hangs is ended, named and counted", "[unit][watchdog]") {
  const Child child = run_hidden("watchdog_sample", "1");
  INFO(child.out << child.error);
  CHECK(child.code == 1);
  const std::string words =
      "watchdog: test case 'hidden: hangs in an inner section', section 'outer', section 'inner' "
      "has not ended after 1 s; KVCS_TEST_LIMIT_S gives it longer\n";
  CHECK(child.error.ends_with("\n" + words));
  CHECK(child.out.ends_with("\n" + words + "1 passed, 1 failed\n"));
}

TEST_CASE("watchdog: cases that end are left alone", "[unit][watchdog]") {
  std::string barked;
  {
    Watchdog watchdog([&](const std::string& words) { barked = words; });
    watchdog.begin_case("a", 1000);
    watchdog.begin_section("s");
    watchdog.end_section();
    watchdog.end_case();
    watchdog.begin_case("b", 1000);
  }
  CHECK(barked.empty());
}

TEST_CASE("watchdog: the limit is by tag, and the environment's before all", "[unit][watchdog]") {
  const Env unset("KVCS_TEST_LIMIT_S", std::nullopt);
  const int usual_s = case_limit_s({"unit"}), slow_s = case_limit_s({"unit", "slow"});
  CHECK(usual_s >= 120);
  CHECK(slow_s == 5 * usual_s);
  for (const char* nonsense : {"", "-1", "0", "soon"}) {
    const Env given("KVCS_TEST_LIMIT_S", nonsense);
    CHECK(case_limit_s({"unit"}) == usual_s);
  }
  const Env given("KVCS_TEST_LIMIT_S", "7");
  CHECK(case_limit_s({"slow"}) == 7);
}
