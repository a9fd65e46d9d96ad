// Goal: the sum is that of RFC 3720 however it is computed. Method: its vectors, and every length
// around the words that the instruction takes, by both ways.
#include "base/crc32c.h"

#include <catch2/catch.hpp>

#include <string>

using namespace kvcs;

TEST_CASE("crc32c: the vectors of RFC 3720", "[unit]") {
  for (const auto sum : {crc32c, crc32c_by_table}) {
    CHECK(sum("") == 0);
    CHECK(sum(std::string(32, '\0')) == 0x8a9136aa);
    CHECK(sum(std::string(32, '\xff')) == 0x62a8ab43);
    CHECK(sum("123456789") == 0xe3069283);
  }
}

TEST_CASE("crc32c: instruction and table agree on every length and alignment", "[unit]") {
  std::string bytes;
  for (int i = 0; i < 4096; i++) bytes += static_cast<char>(i * 31 ^ i >> 3);
  const std::string_view all = bytes;
  for (size_t begin = 0; begin < 9; begin++) {
    for (size_t size = 0; size < 70; size++) {
      CHECK(crc32c(all.substr(begin, size)) == crc32c_by_table(all.substr(begin, size)));
    }
    CHECK(crc32c(all.substr(begin)) == crc32c_by_table(all.substr(begin)));
  }
}
