// Goal: whatever an operator writes as http.public_url, the origin that browsers send is ours.
// Method: spellings of one address, and what is none.
#include "app/public_url.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("public url: is written as browsers write it", "[unit][app]") {
  CHECK(normal_public_url("https://kv.example.com").value() == "https://kv.example.com");
  CHECK(normal_public_url("https://kv.example.com:443/").value() == "https://kv.example.com");
  CHECK(normal_public_url("HTTPS://KV.Example.com:8443").value() == "https://kv.example.com:8443");
  CHECK(normal_public_url("http://kv.example.com:80//").value() == "http://kv.example.com");
  CHECK(normal_public_url("http://[::1]:8080").value() == "http://[::1]:8080");
  CHECK(normal_public_url("https://kv.example.com/Base/").value() == "https://kv.example.com/Base");
}

TEST_CASE("public url: what is no address of pages is refused", "[unit][app]") {
  for (const char* url :
       {"", "kv.example.com", "ftp://kv.example.com", "https://", "https://:443",
        "https://user@kv.example.com", "https://münchen.example", "https://kv example.com",
        "https://kv.example.com?a=b", "https://kv.example.com/#x", "https://kv.example.com/a b"}) {
    INFO(url);
    CHECK(normal_public_url(url).code() == Code::kInvalid);
  }
}
