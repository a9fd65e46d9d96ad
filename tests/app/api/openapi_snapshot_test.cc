// Goal: the types that the dashboard's pages are checked by are those of the daemon. They are made
// of a copy of /openapi.json, web/api/openapi.json, so that building the pages needs no daemon.
// Method: the copy is compared with what the daemon says, but for the version and its address.
//
// After a change of the API the copy is written anew by one command:
//   KVCS_WRITE_OPENAPI=1 build/release/kvcs_tests "openapi: the dashboard's copy is the daemon's"
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "app/api/api_house.h"
#include "support/source_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string copy_path() {
  return source_dir() + "/web/api/openapi.json";
}

// One member a line, so that a change of the API is a short diff; without what changes from build
// to build.
std::string as_copy(Json api) {
  api["info"]["version"] = "0";
  api["servers"][0]["url"] = "http://127.0.0.1:8080";
  return api.dump(1) + "\n";
}

std::string read_copy() {
  std::ifstream file(copy_path());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The first line in which two texts differ, and its number.
std::string first_difference(const std::string& copy, const std::string& daemon) {
  std::istringstream left(copy), right(daemon);
  std::string a, b;
  for (int line = 1; std::getline(left, a) && std::getline(right, b); line++) {
    if (a != b) {
      return "line " + std::to_string(line) + ": " + a + " in the copy, " + b + " of the daemon";
    }
  }
  return "one ends before the other";
}

}  // namespace

TEST_CASE("openapi: the dashboard's copy is the daemon's", "[contract][app]") {
  const ApiHouse house;
  const std::string daemon = as_copy(house.api);
  if (std::getenv("KVCS_WRITE_OPENAPI") != nullptr) std::ofstream(copy_path()) << daemon;
  const std::string copy = read_copy();
  INFO(first_difference(copy, daemon));
  CHECK(copy == daemon);
}
