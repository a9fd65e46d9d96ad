// Goal: two spellings of one origin are the same text, and what is no origin is none. Method:
// tables.
#include "base/origins.h"

#include <catch2/catch.hpp>

using namespace kvcs;

TEST_CASE("origins: one origin has one text", "[unit][base]") {
  const std::pair<const char*, const char*> rows[] = {
      {"https://api.example.com", "https://api.example.com"},
      {"HTTPS://API.Example.COM:443/v1?x#y", "https://api.example.com"},
      {"https://api.example.com./v1", "https://api.example.com"},
      {"https://api.example.com:", "https://api.example.com"},
      {"http://api.example.com:80", "http://api.example.com"},
      {"http://api.example.com:443", "http://api.example.com:443"},
      {"https://[::1]:8443/x", "https://[::1]:8443"},
      {"https://{Shop}.myshopify.com/x/{id}", "https://{shop}.myshopify.com"},
      {"https://api.example.com@evil.example/", ""},
      {"https://api.example.com\\@evil.example", "https://api.example.com"},
      {"https://", ""},
      {"api.example.com", ""},
      {"", ""},
  };
  for (const auto& [url, origin] : rows) {
    INFO(url);
    CHECK(origin_of(url) == origin);
  }
  CHECK(origins_of({"https://b/x", "", "https://a", "https://b/y"}) ==
        Origins{"https://a", "https://b"});
}

TEST_CASE("origins: each of them is part of what a seal authenticates", "[unit][base]") {
  CHECK(bound_context("k", {}) == "k");
  CHECK(bound_context("k", {"https://a", "https://b"}) != bound_context("k", {"https://a"}));
  CHECK(bound_context("k", {"https://a", "https://b"}) !=
        bound_context("k", {"https://ahttps://b"}));
  CHECK(may_all_go_to({"https://a", "https://b"}, {"https://b"}));
  CHECK_FALSE(may_all_go_to({"https://a"}, {"https://a", "https://b"}));
  CHECK_FALSE(may_go_to({}, ""));
  const Status refused = secret_origin_changed("It", "https://b", {"https://a"}, "Send it again.");
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.reason() == kSecretOriginChanged);
  CHECK(refused.message() ==
        "It was not given for https://b but for https://a; nothing was sent. Send it again.");
}
