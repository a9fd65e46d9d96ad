// Goal: names are compared as HTTP compares them, and sizes are told in binary units under their
// own names. Method: values at the edges of each rule.
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

TEST_CASE("bytes: sizes have the units of 1024", "[unit][base]") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1.00 KiB");
  CHECK(format_bytes(1048575) == "1.00 MiB");
  CHECK(format_bytes(1048570) == "1023.99 KiB");
  CHECK(format_bytes(1536) == "1.50 KiB");
  CHECK(format_bytes(uint64_t{1} << 20) == "1.00 MiB");
  CHECK(format_bytes(uint64_t{5} << 30) == "5.00 GiB");
  CHECK(format_bytes(uint64_t{1} << 40) == "1.00 TiB");
  CHECK(format_bytes(uint64_t{1} << 50) == "1.00 PiB");
  CHECK(format_bytes(UINT64_MAX) == "16.00 EiB");
}
