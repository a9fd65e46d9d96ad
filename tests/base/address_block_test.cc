// Goal: one owner of addresses is one name, however many of them it uses. Method: a table.
#include "base/address_block.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("address blocks: an IPv4 address, or the /64 of an IPv6 one", "[unit][base]") {
  const std::pair<const char*, const char*> rows[] = {
      {"203.0.113.9", "203.0.113.9"},
      {"::ffff:203.0.113.9", "203.0.113.9"},
      {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
      {"2001:DB8:1:2:ffff::1", "2001:db8:1:2::/64"},
      {"2001:db8:1:3::1", "2001:db8:1:3::/64"},
      {"::1", "::/64"},
      {"fe80::1%eth0", "fe80::/64"},
      {"", ""},
      {"unix", "unix"},
      {"not:an:address", "not:an:address"},
  };
  for (const auto& [ip, block] : rows) {
    INFO(ip);
    CHECK(address_block(ip) == block);
  }
}
