// The shares of what all callers use together: one of them at its limit is told so, others go on.
#include "http/serve/shares.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/wait.h"
#include "http/serve/server.h"
#include "support/raw_client.h"
#include "support/test_server.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Method;
using http::Request;
using http::Response;

namespace {

// "Bearer KEY ORGANIZATION KIND": whoever says so is it.
Result<Principal> believe(const Request& request) {
  Principal who;
  const std::string said(KVCS_TRY(request.bearer()));
  who.kind = said.starts_with("admin") ? PrincipalKind::kAdminKey : PrincipalKind::kUserKey;
  who.key_id = said;
  who.organization_id = said.substr(0, said.find('-'));
  return who;
}

http::Route keyed(http::Route route) {
  route.guard = believe;
  route.who = "user key";
  return route;
}

// A server whose handlers wait until they are let go.
struct ShareRig {
  explicit ShareRig(http::ServerConfig config)
      : server({keyed(route(Method::kGet, "/held", [this](Request&) { return hold(); })),
                keyed(route(
                    Method::kPost, "/echo",
                    [](Request& request) -> Result<Response> {
                      return http::text_response(200, KVCS_TRY(request.body->read_all()));
                    },
                    http::kib(8))),
                keyed(route(Method::kGet, "/stream", [this](Request&) { return stream(); })),
                route(Method::kGet, "/open", [this](Request&) { return hold(); }),
                route(
                    Method::kPost, "/public",
                    [](Request& request) -> Result<Response> {
                      return http::text_response(200, KVCS_TRY(request.body->read_all()));
                    },
                    http::kib(8)),
                probe()},
               config) {}
  ~ShareRig() { let_go.signal(); }
  static http::Route probe() {
    http::Route made = route(Method::kGet, "/livez", [](Request&) -> Result<Response> {
      return http::text_response(200, "ok");
    });
    made.is_probe = true;
    return made;
  }
  Result<Response> hold() {
    waiting++;
    (void)wait_for_event(let_go, 0, 20'000);
    waiting--;
    return http::text_response(200, "held");
  }
  Result<Response> stream() {
    Response response;
    response.stream = [this](http::BodyWriter& writer) -> Status {
      KVCS_TRY(writer.write("begun"));
      (void)hold();
      return ok();
    };
    return response;
  }
  // Requests that are held, by that key.
  void hold_by(const std::string& key, int count, const std::string& path = "/held") {
    const int before = waiting;
    for (int i = 0; i < count; i++) {
      held.emplace_back(server.port());
      held.back().send("GET " + path + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + key +
                       "\r\n\r\n");
    }
    wait_until([&] { return waiting == before + count; }, "they are at work");
  }
  RawResponse ask(const std::string& key) {
    return fetch(server.port(), "POST", "/echo", {{"Authorization", "Bearer " + key}}, "x");
  }
  uint64_t refused(http::Share share) {
    return server.server().stats().refused[static_cast<size_t>(share)];
  }

  Event let_go;
  std::atomic<int> waiting{0};
  std::vector<RawClient> held;
  TestServer server;
};

http::ServerConfig config_of(int streams_max) {
  http::ServerConfig config = TestServer::quiet_config();
  config.streams_max = streams_max;
  config.streams_organization_percent = 100;
  config.streams_reserved = 2;
  return config;
}

std::string slow_post(const std::string& path) {
  return "POST " + path +
         " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer a-1\r\nContent-Length: 3\r\n\r\na";
}

}  // namespace

TEST_CASE("shares: one key at its share is told so, and others go on", "[unit][http]") {
  http::ServerConfig config = config_of(10);
  config.streams_key_percent = 50;
  ShareRig rig(config);
  rig.hold_by("a-1", 5);
  const RawResponse refused = rig.ask("a-1");
  CHECK(refused.status == 429);
  CHECK(refused.header("retry-after") == "1");
  CHECK(refused.body.find("has 5 requests at work") != std::string::npos);
  CHECK(refused.body.find("http.streams_key_percent") != std::string::npos);
  CHECK(rig.ask("a-2").status == 200);
  CHECK(rig.refused(http::Share::kKey) == 1);
  rig.let_go.signal();
  wait_until([&] { return rig.ask("a-1").status == 200; }, "its places are free again");
}

TEST_CASE("shares: all keys of an organization have one share together", "[unit][http]") {
  http::ServerConfig config = config_of(10);
  config.streams_organization_percent = 60;
  ShareRig rig(config);
  rig.hold_by("a-1", 3);
  rig.hold_by("a-2", 3);
  const RawResponse refused = rig.ask("a-3");
  CHECK(refused.status == 429);
  CHECK(refused.body.find("organization has 6") != std::string::npos);
  CHECK(rig.ask("b-1").status == 200);
  CHECK(rig.refused(http::Share::kOrganization) == 1);
}

TEST_CASE("shares: without a key the address counts", "[unit][http]") {
  http::ServerConfig config = config_of(10);
  config.streams_key_percent = 50;
  ShareRig rig(config);
  rig.hold_by("none", 5, "/open");
  CHECK(fetch(rig.server.port(), "GET", "/open").status == 429);
  CHECK(rig.ask("a-1").status == 200);
}

TEST_CASE("shares: when all is taken admin keys have a reserve, and probes are never refused",
          "[unit][http]") {
  ShareRig rig(config_of(4));
  rig.hold_by("a-1", 4);
  CHECK(rig.ask("b-1").status == 503);
  CHECK(rig.ask("admin").status == 200);
  CHECK(rig.refused(http::Share::kAll) == 1);
  rig.hold_by("admin", 2);
  CHECK(rig.ask("admin").status == 503);
  CHECK(fetch(rig.server.port(), "GET", "/livez").status == 200);
}

TEST_CASE("shares: a stream is at work to its end", "[unit][http]") {
  http::ServerConfig config = config_of(10);
  config.streams_key_percent = 50;
  ShareRig rig(config);
  rig.hold_by("a-1", 5, "/stream");
  CHECK(rig.ask("a-1").status == 429);
}

TEST_CASE("shares: a body that is on its way takes no place until it is here", "[unit][http]") {
  ShareRig rig(config_of(4));
  std::vector<RawClient> slow;
  for (int i = 0; i < 30; i++) {
    slow.emplace_back(rig.server.port());
    REQUIRE(slow.back().send(slow_post("/echo")));
  }
  wait_until([&] { return rig.server.server().stats().parked_requests == 30; }, "all are waiting");
  CHECK(rig.ask("b-1").status == 200);
  rig.hold_by("a-1", 4);
  // The end of a body finds all places taken.
  REQUIRE(slow[0].send("bc"));
  const RawResponse refused = slow[0].read_response();
  CHECK(refused.status == 503);
  CHECK(refused.header("retry-after") == "1");
  rig.let_go.signal();
  wait_until([&] { return rig.waiting == 0 && rig.ask("b-1").status == 200; }, "places are free");
  REQUIRE(slow[1].send("bc"));
  CHECK(slow[1].read_response().body == "abc");
}

TEST_CASE("shares: a request that needs no key brings its body within seconds", "[unit][http]") {
  http::ServerConfig config = config_of(4);
  config.public_body_timeout_ms = 100;
  ShareRig rig(config);
  RawClient anybody(rig.server.port()), known(rig.server.port());
  REQUIRE(known.send(slow_post("/echo")));
  REQUIRE(anybody.send(slow_post("/public")));
  CHECK(anybody.read_response().status == 408);
  REQUIRE(known.send("bc"));
  CHECK(known.read_response().body == "abc");
}

TEST_CASE("shares: connections of one address, unless it is a trusted proxy's", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.connections_max = 10;
  config.connections_address_percent = 50;
  const bool trusted = GENERATE(false, true);
  if (trusted) config.trusted_proxies = {"127.0.0.0/8"};
  TestServer server({ShareRig::probe()}, config);
  std::vector<RawClient> clients;
  for (int i = 0; i < 5; i++) {
    clients.emplace_back(server.port());
    REQUIRE(clients.back().request("GET", "/livez").status == 200);
  }
  if (trusted) {
    CHECK(fetch(server.port(), "GET", "/livez").status == 200);
    return;
  }
  const RawResponse refused = RawClient(server.port()).read_response();
  CHECK(refused.status == 503);
  CHECK(refused.body.find("from this address") != std::string::npos);
  CHECK(server.server().stats().refused[static_cast<size_t>(http::Share::kConnections)] == 1);
  CHECK(clients[0].request("GET", "/livez").status == 200);
  clients.pop_back();
  wait_until([&] { return server.server().stats().connections == 4; }, "one has gone");
  CHECK(fetch(server.port(), "GET", "/livez").status == 200);
}

TEST_CASE("shares: names are counted up to their limit, and addresses by what one client has",
          "[unit][http]") {
  http::NameCounts counts;
  const auto a = counts.places_of("a"), b = counts.places_of("b");
  CHECK(counts.add(a, 2));
  CHECK(counts.add(a, 2));
  CHECK_FALSE(counts.add(a, 2));
  CHECK(counts.add(b, 2));
  counts.remove(a);
  CHECK(counts.add(a, 2));
  for (const http::Share share : {http::Share::kAll, http::Share::kConnections}) {
    CHECK_FALSE(http::share_name(share).empty());
  }
}

TEST_CASE("shares: all callers without a key leave places to those who have one", "[unit][http]") {
  http::ServerConfig config = config_of(10);
  config.streams_keyless_percent = 40;
  ShareRig rig(config);
  rig.hold_by("none", 4, "/open");
  const RawResponse refused = fetch(rig.server.port(), "GET", "/open");
  CHECK(refused.status == 503);
  CHECK(refused.body.find("http.streams_keyless_percent") != std::string::npos);
  CHECK(rig.ask("a-1").status == 200);
  CHECK(rig.refused(http::Share::kKeyless) == 1);
  rig.let_go.signal();
  wait_until([&] { return rig.waiting == 0; }, "they have gone");
  CHECK(fetch(rig.server.port(), "GET", "/open").status == 200);
}

TEST_CASE("shares: half heads and answered clients make room for others", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.connections_max = 4;
  TestServer server({ShareRig::probe()}, config);
  std::vector<RawClient> clients;
  for (int i = 0; i < 2; i++) {
    clients.emplace_back(server.port());
    REQUIRE(clients.back().send("GET /livez HTTP/1.1\r\nHo"));
    // Answered, and goes on sending what nobody reads.
    clients.emplace_back(server.port());
    REQUIRE(clients.back().send("no request\r\n\r\n"));
    CHECK(clients.back().read_response().status == 400);
  }
  wait_until([&] { return server.server().stats().connections == 4; }, "all places are taken");
  for (int i = 0; i < 3; i++) CHECK(fetch(server.port(), "GET", "/livez").status == 200);
  CHECK(server.server().stats().given_up_connections > 0);
}

TEST_CASE("shares: a client that sends requests without an end lets others come between",
          "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.workers_min = config.workers_max = 1;
  TestServer server({ShareRig::probe()}, config);
  std::string many;
  for (int i = 0; i < 400; i++) many += "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n";
  RawClient greedy(server.port());
  REQUIRE(greedy.send(many));
  CHECK(fetch(server.port(), "GET", "/livez").status == 200);
  // It still waits for its next turn: 400 requests are 25 of them.
  const size_t done = server.records().size();
  CHECK(done < 400);
  for (int i = 0; i < 400; i++) REQUIRE(greedy.read_response().status == 200);
}
