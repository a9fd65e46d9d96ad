// The memory that bodies and answers take while their clients are waited for: it is counted,
// shared, and given back.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "http/serve/server.h"
#include "http/serve/shares.h"
#include "support/raw_client.h"
#include "support/test_server.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Method;
using http::Request;
using http::Response;

namespace {

constexpr uint64_t kMaxBytes = 1 << 20;
constexpr size_t kAnswerBytes = 8 << 20;

Result<Principal> believe(const Request& request) {
  Principal who;
  who.key_id = std::string(KVCS_TRY(request.bearer()));
  who.kind = who.key_id == "admin" ? PrincipalKind::kAdminKey : PrincipalKind::kUserKey;
  return who;
}

http::Route keyed(http::Route made) {
  made.guard = believe;
  made.who = "user key";
  return made;
}

struct MemoryRig {
  MemoryRig()
      : server({keyed(route(
                    Method::kPost, "/echo",
                    [](Request& request) -> Result<Response> {
                      return http::text_response(
                          200, std::to_string(KVCS_TRY(request.body->read_all()).size()));
                    },
                    http::mib(4))),
                keyed(route(Method::kGet, "/large",
                            [](Request&) -> Result<Response> {
                              return http::text_response(200, std::string(kAnswerBytes, 'a'));
                            })),
                keyed(route(Method::kGet, "/static",
                            [this](Request&) -> Result<Response> {
                              Response response;
                              response.static_body = text;
                              return response;
                            }))},
               [] {
                 http::ServerConfig config = TestServer::quiet_config();
                 config.memory_max_bytes = kMaxBytes;
                 return config;
               }()) {}
  // A body that stops in its middle.
  RawClient& begin(const std::string& key, size_t declared, size_t sent) {
    RawClient& client = clients.emplace_back(server.port());
    REQUIRE(client.send("POST /echo HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + key +
                        "\r\nContent-Length: " + std::to_string(declared) + "\r\n\r\n" +
                        std::string(sent, 'b')));
    return client;
  }
  RawClient& get(const std::string& path) {
    RawClient& client = clients.emplace_back(server.port());
    REQUIRE(client.send("GET " + path + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer a\r\n\r\n"));
    return client;
  }
  uint64_t held() { return server.server().stats().held_bytes; }
  uint64_t refused(http::Share share) {
    return server.server().stats().refused[static_cast<size_t>(share)];
  }

  const std::string text = std::string(kAnswerBytes, 's');
  std::vector<RawClient> clients;
  TestServer server;
};

}  // namespace

TEST_CASE("held memory: a key at its share sends no more, and others do", "[unit][http]") {
  MemoryRig rig;
  rig.clients.reserve(8);
  // Less than a share is held by what is here, whatever was announced.
  rig.begin("a", 4 << 20, 300 << 10);
  wait_until([&] { return rig.held() > (200 << 10); }, "the body is on its way");
  CHECK(rig.held() < (512 << 10));
  const std::string body(400 << 10, 'b');
  const auto post = [&](const std::string& key) {
    return fetch(rig.server.port(), "POST", "/echo", {{"Authorization", "Bearer " + key}}, body);
  };
  const RawResponse refused = post("a");
  CHECK(refused.status == 429);
  CHECK(refused.header("retry-after") == "1");
  CHECK(refused.body.find("512 KiB") != std::string::npos);
  CHECK(refused.body.find("http.memory_key_percent") != std::string::npos);
  CHECK(rig.refused(http::Share::kMemoryKey) == 1);
  CHECK(post("b").status == 200);
  // What needs little goes on.
  CHECK(fetch(rig.server.port(), "POST", "/echo", {{"Authorization", "Bearer a"}}, "x").status ==
        200);
  rig.clients.clear();
  wait_until([&] { return rig.held() == 0; }, "all is given back");
  CHECK(post("a").status == 200);
  wait_until([&] { return rig.held() == 0; }, "the body is given back");
}

TEST_CASE("held memory: when all is taken admin keys have some more", "[unit][http]") {
  MemoryRig rig;
  rig.clients.reserve(8);
  for (const char* key : {"a", "b", "c"}) rig.begin(key, 4 << 20, 260 << 10);
  wait_until([&] { return rig.held() > (900 << 10); }, "three bodies are on their way");
  const std::string body(150 << 10, 'b');
  const auto post = [&](const std::string& key) {
    return fetch(rig.server.port(), "POST", "/echo", {{"Authorization", "Bearer " + key}}, body);
  };
  const RawResponse refused = post("d");
  CHECK(refused.status == 503);
  CHECK(refused.body.find("http.memory_max_bytes") != std::string::npos);
  CHECK(post("admin").status == 200);
  CHECK(rig.refused(http::Share::kMemory) == 1);
}

TEST_CASE("held memory: an answer that is not taken counts with what is left of it",
          "[unit][http]") {
  MemoryRig rig;
  rig.clients.reserve(8);
  // It is larger than the share: there is no memory to wait for this client.
  RawClient& slow = rig.get("/large");
  wait_until([&] { return rig.refused(http::Share::kMemoryKey) == 1; }, "the share is full");
  CHECK_FALSE(slow.read_response().complete);
  wait_until([&] { return rig.held() == 0; }, "its memory is free");
  // A client that takes its answer as it comes needs none of it for long, and an answer that is
  // everybody's needs none at all.
  RawClient& other = rig.get("/static");
  wait_until([&] { return rig.server.server().stats().parked_requests == 1; }, "it waits");
  CHECK(rig.held() == 0);
  CHECK(other.read_response().body.size() == kAnswerBytes);
}
