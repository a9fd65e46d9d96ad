// Goal: names are compared as HTTP compares them. Method: pairs at the edges of the rule.
#include "base/bytes.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("bytes: names are equal whatever the case of their letters, and of letters alone",
          "[unit][base]") {
  CHECK(equal_ignore_case("", ""));
  CHECK(equal_ignore_case("Content-Type", "content-TYPE"));
  CHECK(equal_ignore_case("x", "X"));
  CHECK_FALSE(equal_ignore_case("", "a"));
  CHECK_FALSE(equal_ignore_case("host", "hosts"));
  CHECK_FALSE(equal_ignore_case("host", "most"));
  CHECK_FALSE(equal_ignore_case("host", "hose"));
  // One bit apart as the cases of a letter are.
  CHECK_FALSE(equal_ignore_case("@a", "`a"));
  CHECK_FALSE(equal_ignore_case("[a", "{a"));
  CHECK_FALSE(equal_ignore_case("a[", "a{"));
}
