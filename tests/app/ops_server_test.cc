// The server of probes and metrics: what it answers, and that it answers while the main one is
// full.
#include <catch2/catch.hpp>

#include "support/raw_client.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

void with_ops(Config& config) {
  config.ops.listen = "127.0.0.1:0";
}

}  // namespace

TEST_CASE("ops server: probes and metrics, and nothing else", "[integration][app]") {
  TestApp app(with_ops);
  const int ops = app.app().ops_port();
  REQUIRE(ops != 0);
  REQUIRE(ops != app.port());
  CHECK(fetch(ops, "GET", "/livez").body == "ok\n");
  CHECK(fetch(ops, "GET", "/readyz").status == 200);
  const RawResponse health = fetch(ops, "GET", "/health");
  CHECK(health.status == 200);
  CHECK(health.header("content-type") == "application/json");
  CHECK(json_text(health.body, "status") == "healthy");
  const RawResponse metrics = fetch(ops, "GET", "/metrics");
  CHECK(metrics.body.find("kvcs_http_connections") != std::string::npos);
  CHECK(metrics.header("content-type") == app.call("GET", "/metrics").header("content-type"));
  const RawResponse head = fetch(ops, "HEAD", "/livez");
  CHECK(head.status == 200);
  CHECK(head.body.empty());
  for (const char* path : {"/", "/admin/me", "/v1/models", "/openapi.json"}) {
    INFO(path);
    CHECK(fetch(ops, "GET", path).status == 404);
  }
  CHECK(fetch(ops, "POST", "/livez").status == 405);
  CHECK(fetch(ops, "POST", "/admin/organizations", {}, "{}").status == 404);
  // The probes stay on the main listener too.
  CHECK(app.call("GET", "/livez").status == 200);
}

TEST_CASE("ops server: answers while the main one has no place left", "[integration][app]") {
  TestApp app([](Config& config) {
    with_ops(config);
    config.http.server.connections_max = 2;
    config.http.server.connections_address_percent = 100;
  });
  // Both are in the middle of a body, as the 100 says, so that neither is given up.
  RawClient first(app.port()), second(app.port());
  for (RawClient* client : {&first, &second}) {
    client->send(
        "POST /admin/organizations HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        "Expect: 100-continue\r\nAuthorization: Bearer " +
        app.credential("admin_key") + "\r\n\r\n");
    CHECK(client->read_response(false, true).status == 100);
  }
  CHECK(app.call("GET", "/livez").status == 503);
  CHECK(fetch(app.app().ops_port(), "GET", "/livez").status == 200);
}

TEST_CASE("ops server: clients that say nothing, or say it slowly, do not hold it",
          "[integration][app]") {
  TestApp app(with_ops);
  const int port = app.app().ops_port();
  const std::string begun = GENERATE("", "GET /livez HTTP/1.1\r\nX: ");
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 100; i++) {
    silent.push_back(std::make_unique<RawClient>(port));
    silent.back()->send(begun);
  }
  CHECK(fetch(port, "GET", "/livez").status == 200);
  for (auto& client : silent) client->send("a");
  CHECK(fetch(port, "GET", "/livez").status == 200);
}

TEST_CASE("ops server: a line without an end is refused, and not kept", "[integration][app]") {
  TestApp app(with_ops);
  RawClient client(app.app().ops_port());
  client.send(std::string(64 << 10, 'A'));
  const RawResponse refused = client.read_response();
  CHECK(refused.status >= 400);
  CHECK(refused.status < 500);
}

TEST_CASE("ops server: an address in use ends the start in words", "[integration][app]") {
  TestApp taken;
  Config config = TestApp::quiet_config(taken.data_dir() + "-other");
  config.ops.listen = "127.0.0.1:" + std::to_string(taken.port());
  Result<std::unique_ptr<App>> app = App::create(config);
  REQUIRE(app.ok());
  const Status started = app.value()->start();
  CHECK(started.code() == Code::kConflict);
  CHECK(started.message().find("ops.listen: The address") != std::string::npos);
}
