// Goal: what stands for this machine is told from what only looks like it. Method: lists of both.
#include "base/loopback.h"

#include <catch2/catch.hpp>

#include <string>

using namespace kvcs;

TEST_CASE("loopback: names of this machine, and no other that begins or ends like one",
          "[unit][base]") {
  for (const char* host : {"localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "[::1]"}) {
    INFO(host);
    CHECK(is_loopback_host(host));
    CHECK(is_loopback_authority(host));
    CHECK(is_loopback_authority(std::string(host) + ":8080"));
    CHECK_FALSE(is_loopback_authority(std::string(host) + ":80:80"));
    CHECK_FALSE(is_loopback_authority(std::string(host) + ":1@evil.example"));
    CHECK(is_loopback_url("http://" + std::string(host) + ":1/x?y=//evil.example"));
    CHECK_FALSE(is_loopback_url("http://" + std::string(host) + "@evil.example/"));
    CHECK_FALSE(is_loopback_url("ftp://" + std::string(host)));
    CHECK_FALSE(is_loopback_host(std::string(host) + ".evil.example"));
    CHECK_FALSE(is_loopback_host("evil.example." + std::string(host)));
  }
  CHECK(is_loopback_host("::1"));
  for (const char* other : {"", "127", "128.0.0.1", "0.0.0.0", "::", "[::2]", "10.0.0.1",
                            "127.evil.example", "localhost.evil.example", "evil.example:127"}) {
    INFO(other);
    CHECK_FALSE(is_loopback_host(other));
    CHECK_FALSE(is_loopback_authority(other));
  }
}
