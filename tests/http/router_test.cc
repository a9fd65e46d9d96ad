// Which route a path reaches.
#include "http/router.h"

#include <catch2/catch.hpp>

#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Method;

namespace {

Result<http::Response> nothing(http::Request&) {
  return http::empty_response(204);
}
http::Route get(const char* pattern, http::Dialect dialect = http::Dialect::kPortal) {
  http::Route made = route(Method::kGet, pattern, nothing);
  made.dialect = dialect;
  return made;
}
std::string found(const http::Router& router, std::string_view path, Method method = Method::kGet) {
  const auto match = router.match(method, path);
  return match.route ? match.route->pattern : "";
}

}  // namespace

TEST_CASE("router: a literal beats a parameter, which takes the rest", "[unit][http]") {
  const http::Router router({get("/"), get("/a/{x}"), get("/a/b"), get("/{org}/{project}/{id}"),
                             get("/a/b/c"), get("/a/b/{x}/d"), get("/a/{x}/e")});
  CHECK(found(router, "/") == "/");
  CHECK(found(router, "/a/b") == "/a/b");
  CHECK(found(router, "/a/other") == "/a/{x}");
  CHECK(found(router, "/a/b/c") == "/a/b/c");
  CHECK(found(router, "/a/b/e") == "/a/{x}/e");  // Back out of a dead end.
  CHECK(found(router, "/a/b/x").empty());        // But "a" is no organization.
  CHECK(found(router, "/o/b/x") == "/{org}/{project}/{id}");
  CHECK(found(router, "/a/b/x/d") == "/a/b/{x}/d");
  CHECK(found(router, "/1/2/3/4").empty());
  CHECK(found(router, "//a///b/") == "/a/b");
  const auto match = router.match(Method::kGet, "/o/p/i");
  REQUIRE(match.params.size() == 3);
  CHECK(match.params[0] == std::pair<std::string_view, std::string>("org", "o"));
  CHECK(match.params[2] == std::pair<std::string_view, std::string>("id", "i"));
}

TEST_CASE("router: an escaped slash stays inside its segment", "[unit][http]") {
  const http::Router router({get("/files/{name}"), get("/files/{name}/{part}")});
  const auto match = router.match(Method::kGet, "/files/a%2Fb%20c");
  REQUIRE(match.route != nullptr);
  CHECK(match.route->pattern == "/files/{name}");
  CHECK(match.params[0].second == "a/b c");
  CHECK(found(router, "/f%69les/x") == "/files/{name}");
}

TEST_CASE("router: a known path with another method names what is allowed", "[unit][http]") {
  const http::Router router({get("/a"), route(Method::kPost, "/a", nothing),
                             route(Method::kPut, "/b", nothing), get("/{any}")});
  const auto match = router.match(Method::kDelete, "/a");
  CHECK(match.route == nullptr);
  CHECK(match.path_known);
  CHECK(match.allow == "GET, HEAD, POST");
  // The literal path is the one meant, even if a wider pattern has the method.
  CHECK(router.match(Method::kGet, "/b").allow == "PUT");
  CHECK(found(router, "/a", Method::kHead) == "/a");
  CHECK_FALSE(router.match(Method::kGet, "/x/y").path_known);
}

TEST_CASE("router: an unknown path speaks the dialect of its neighbours", "[unit][http]") {
  const http::Router router({get("/api/v1/x"), get("/v1/models", http::Dialect::kOpenAi),
                             get("/api/v1/{tenant}/{provider}", http::Dialect::kGateway)});
  CHECK(router.match(Method::kGet, "/v1/unknown").dialect == http::Dialect::kOpenAi);
  CHECK(router.match(Method::kPost, "/v1/models").dialect == http::Dialect::kOpenAi);
  CHECK(router.match(Method::kGet, "/api/v1/y").dialect == http::Dialect::kPortal);
  CHECK(router.match(Method::kGet, "/api/v1/x/y/z").dialect == http::Dialect::kPortal);
  CHECK(router.match(Method::kGet, "/api/v1/y/z/more").dialect == http::Dialect::kGateway);
  CHECK(router.match(Method::kPost, "/api/v1/y/z").dialect == http::Dialect::kGateway);
}
