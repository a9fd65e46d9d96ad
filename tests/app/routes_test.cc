// The route table: probes answer, each row is documented, names are kept free. Who may call a row
// is in access_test.cc. Method: walk the table of a running daemon.
#include "app/routes.h"

#include <catch2/catch.hpp>

#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("routes: probes answer to GET alone, and an unknown path to nothing",
          "[unit][app][routes]") {
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
