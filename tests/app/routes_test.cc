// The route table: every guarded row refuses a guest, probes stay public, names are kept free.
// Method: walk the table of a running daemon and send each row without, and with a wrong, key.
#include "app/routes.h"

#include <catch2/catch.hpp>

#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string concrete(const std::string& pattern) {
  std::string path;
  for (size_t i = 0; i < pattern.size(); i++) {
    if (pattern[i] != '{') {
      path += pattern[i];
      continue;
    }
    path += "x1";
    i = pattern.find('}', i);
  }
  return path;
}

}  // namespace

TEST_CASE("routes: every guarded row answers 401 to a guest and to an unknown key",
          "[unit][app][routes]") {
  TestApp app([](Config& config) { config.admin.failures_max = 1000; });
  size_t guarded = 0;
  for (const http::Route& route : app.parts().router->routes()) {
    if (route.who == "public") continue;
    // Carried by its signature; the artifacts door has its own rows for that.
    if (route.who == "presigned") continue;
    guarded++;
    const std::string method(http::method_name(route.method));
    const std::string path = concrete(route.pattern);
    INFO(method << " " << route.pattern);
    CHECK(app.call(method, path).status == 401);
    CHECK(app.as("ka_" + std::string(64, '0'), method, path).status == 401);
  }
  CHECK(guarded > 20);
}

TEST_CASE("routes: a key of one family does not open another's door", "[unit][app][routes]") {
  TestApp app;
  const std::string project = app.credential("api_key");
  for (const http::Route& route : app.parts().router->routes()) {
    if (!std::string(route.who).starts_with("admin")) continue;
    INFO(route.pattern);
    CHECK(app.as(project, std::string(http::method_name(route.method)), concrete(route.pattern))
              .status == 403);
  }
  CHECK(app.as_owner("GET", "/api/v1/me").status == 403);
  CHECK(app.as(project, "GET", "/api/v1/me").status == 200);
}

TEST_CASE("routes: public rows are those that are meant to be", "[unit][app][routes]") {
  TestApp app;
  for (const char* path :
       {"/health", "/livez", "/readyz", "/metrics", "/api/v1/status", "/openapi.json"}) {
    INFO(path);
    CHECK(app.call("GET", path).status == 200);
    CHECK(app.call("POST", path).status == 405);
  }
  CHECK(app.call("GET", "/no/such/path").status == 404);
}

TEST_CASE("routes: each row is documented, and openapi.json shows it", "[unit][app][routes]") {
  TestApp app;
  const std::string openapi = app.call("GET", "/openapi.json").body;
  for (const http::Route& route : app.parts().router->routes()) {
    INFO(route.pattern);
    if (route.summary.empty()) {
      // Static pages alone go without a line.
      CHECK(route.who == "public");
      CHECK(route.method == http::Method::kGet);
      continue;
    }
    CHECK(openapi.find("\"" + route.pattern + "\"") != std::string::npos);
  }
}

TEST_CASE("routes: words of the table are no slugs", "[unit][app][routes]") {
  TestApp app;
  const auto& reserved = app.parts().reserved_slugs;
  for (const char* word : {"admin", "api", "health", "me", "status", "v1", "openapi.json"}) {
    INFO(word);
    CHECK(reserved.contains(word));
    const RawResponse response = app.as_owner(
        "POST", "/admin/organizations", R"({"name":"x","slug":")" + std::string(word) + R"("})");
    CHECK(response.status == 400);
    CHECK(response.body.find("slug_reserved") != std::string::npos);
  }
}
