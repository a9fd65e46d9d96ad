// Which route a path reaches.
#include "http/router.h"

#include <catch2/catch.hpp>

#include <mutex>

#include "base/log.h"
#include "support/raw_client.h"
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

TEST_CASE("router: what leads to a secret is shown as its pattern, route or not", "[unit][http]") {
  const http::Router router({get("/share/{token}"), get("/auth/device/{user_code}"),
                             get("/auth/{door}"), get("/{org}/{project}/{id}")});
  const auto shown = [&](std::string_view path, Method method = Method::kPut) {
    return router.match(method, path).secret_pattern;
  };
  CHECK(shown("/share/abc") == "/share/{token}");  // 405.
  CHECK(shown("//%73hare/abc/") == "/share/{token}");
  CHECK(shown("/share/abc/more", Method::kGet) == "/share/{token}");  // 404.
  CHECK(shown("/share/%61%zz", Method::kGet) == "/share/{token}");    // Cannot be read.
  CHECK(shown("/auth/device/ABCD", Method::kDelete) == "/auth/device/{user_code}");
  CHECK(shown("/auth/other").empty());
  CHECK(shown("/o/p/i").empty());
  CHECK(shown("/nobody/knows").empty());
  // With a route the pattern is that of the route.
  CHECK(router.match(Method::kGet, "/share/abc").secret_pattern.empty());
}

TEST_CASE("access log: a secret in a path is not written, whatever is answered", "[unit][http]") {
  std::mutex mutex;
  std::string said;
  log::set_sink([&](std::string_view line) {
    const std::lock_guard lock(mutex);
    said += line;
  });
  {
    http::ServerConfig config = TestServer::quiet_config();
    config.access_log = true;
    TestServer server({get("/share/{token}")}, config);
    CHECK(fetch(server.port(), "GET", "/share/secret").status == 204);
    CHECK(fetch(server.port(), "PUT", "/share/secret").status == 405);
    CHECK(fetch(server.port(), "GET", "/share/secret/x").status == 404);
    CHECK(fetch(server.port(), "GET", "/open/known").status == 404);
  }
  log::set_sink(nullptr);
  CHECK(said.find("secret") == said.npos);
  CHECK(said.find(R"("path":"/share/{token}")") != said.npos);
  CHECK(said.find(R"("path":"/open/known")") != said.npos);
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
