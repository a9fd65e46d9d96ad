// Clients that send or take their bytes slowly: they hold no thread, others do not notice them,
// they are served whole, and those that are too slow are let go.
#include <catch2/catch.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/thread.h"
#include "http/serve/pace.h"
#include "support/raw_client.h"
#include "support/test_server.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Method;
using http::Request;
using http::Response;

namespace {

constexpr size_t kBlockBytes = 64 << 10, kBlocks = 160;  // Beyond what sockets buffer.

Result<Response> echo(Request& request) {
  return http::text_response(200, KVCS_TRY(request.body->read_all()));
}

// A server whose /long answers more than the sockets take.
struct SlowRig {
  explicit SlowRig(http::ServerConfig config = small())
      : server(
            {route(Method::kGet, "/long", [this](Request&) { return answer(); }),
             route(Method::kPost, "/echo", echo, http::mib(1)),
             route(Method::kGet, "/hello",
                   [](Request&) -> Result<Response> { return http::text_response(200, "hello"); })},
            config) {}
  static http::ServerConfig small() {
    http::ServerConfig config = TestServer::quiet_config();
    config.workers_min = 2;
    config.workers_max = 4;
    return config;
  }
  Result<Response> answer() {
    Response response;
    response.stream_size_bytes = kBlockBytes * kBlocks;
    response.stream = [](http::BodyWriter& writer) -> Status {
      const std::string block(kBlockBytes, 'x');
      for (size_t i = 0; i < kBlocks; i++) KVCS_TRY(writer.write(block));
      return ok();
    };
    response.finished = [this](Status outcome, uint64_t) {
      if (!outcome.ok()) cut++;
    };
    return response;
  }
  std::vector<RawClient> clients(int count, const std::string& request) {
    std::vector<RawClient> made;
    for (int i = 0; i < count; i++) {
      made.emplace_back(server.port());
      REQUIRE(made.back().send(request));
    }
    return made;
  }
  void wait_parked(int count) {
    wait_until([&] { return server.server().stats().parked_requests == count; },
               "all slow requests are parked");
  }
  void check_others() {
    for (int i = 0; i < 20; i++) CHECK(fetch(server.port(), "GET", "/hello").body == "hello");
    CHECK(server.server().stats().workers <= 4);
    CHECK(server.server().stats().blocked_waits == 0);
  }

  std::atomic<int> cut{0};
  TestServer server;
};

const std::string kLong = "GET /long HTTP/1.1\r\nHost: h\r\n\r\n";

std::string post(size_t size_bytes) {
  return "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size_bytes) +
         "\r\n\r\n";
}

}  // namespace

TEST_CASE("slow clients: those that take nothing hold no thread, and get all once they read",
          "[unit][http]") {
  SlowRig rig;
  auto clients = rig.clients(40, kLong + kLong);
  rig.wait_parked(40);
  rig.check_others();
  for (int i = 0; i < 4; i++) {
    for (int answers = 0; answers < 2; answers++) {
      const RawResponse response = clients[static_cast<size_t>(i)].read_response();
      CHECK(response.complete);
      CHECK(response.body.size() == kBlockBytes * kBlocks);
    }
  }
  rig.wait_parked(36);
}

TEST_CASE("slow clients: bodies that trickle hold no thread, and arrive whole", "[unit][http]") {
  SlowRig rig;
  auto clients = rig.clients(200, post(4000) + "a");
  rig.wait_parked(200);
  rig.check_others();
  for (RawClient& client : clients) {
    REQUIRE(client.send(std::string(3999, 'b')));
    CHECK(client.read_response().body.size() == 4000);
    CHECK(client.request("GET", "/hello").status == 200);
  }
}

TEST_CASE(
    "slow clients: each piece of a body wakes its request, short and long, by length and in "
    "chunks",
    "[unit][http]") {
  SlowRig rig;
  const bool chunked = GENERATE(false, true);
  const size_t piece = GENERATE(size_t{1}, size_t{5000}, size_t{90'000});
  RawClient client(rig.server.port());
  REQUIRE(client.send(chunked
                          ? "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                          : post(4 * piece)));
  std::string size(16, '\0');
  size.resize(static_cast<size_t>(std::snprintf(size.data(), size.size(), "%zx", piece)));
  for (int i = 0; i < 4; i++) {
    rig.wait_parked(1);
    const std::string bytes(piece, static_cast<char>('a' + i));
    REQUIRE(client.send(chunked ? size + "\r\n" + bytes + "\r\n" : bytes));
  }
  // The next request comes in the same segment as the end of the body.
  if (chunked) REQUIRE(client.send("0\r\n\r\nGET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
  CHECK(client.read_response().body.size() == 4 * piece);
  if (chunked) CHECK(client.read_response().body == "hello");
  CHECK(client.request("GET", "/hello").body == "hello");
}

TEST_CASE("slow clients: one that sends on, or closes its side, while it does not read gets all",
          "[unit][http]") {
  SlowRig rig;
  auto clients = rig.clients(2, kLong);
  rig.wait_parked(2);
  REQUIRE(clients[0].send("GET /hello HTTP/1.1\r\n"));
  REQUIRE(clients[0].send("Host: h\r\n\r\n"));
  clients[1].finish_sending();
  rig.check_others();
  for (RawClient& client : clients) {
    CHECK(client.read_response().body.size() == kBlockBytes * kBlocks);
  }
  CHECK(clients[0].read_response().body == "hello");
  CHECK(clients[1].closed_by_server());
}

TEST_CASE("slow clients: one that takes or sends nothing is let go at its time", "[fault][http]") {
  http::ServerConfig config = SlowRig::small();
  config.write_timeout_ms = config.body_idle_timeout_ms = 60;
  SlowRig rig(config);
  auto readers = rig.clients(5, kLong);
  auto senders = rig.clients(5, post(4000) + "a");
  // What it still sends wakes the request, and earns it no time.
  wait_until(
      [&] {
        (void)readers[0].send("x");
        return rig.cut == 5;
      },
      "all readers are cut off");
  for (RawClient& sender : senders) CHECK(sender.read_response().status == 408);
  rig.wait_parked(0);
}

TEST_CASE("slow clients: a reset and a stop end the waits for them", "[fault][http]") {
  SlowRig rig;
  auto readers = rig.clients(4, kLong);
  auto senders = rig.clients(4, post(4000) + "a");
  rig.wait_parked(8);
  readers[0].reset();
  senders[0].reset();
  rig.wait_parked(6);
  CHECK(rig.cut == 1);
  rig.server.server().stop(0);
  CHECK(rig.cut == 4);
  CHECK(rig.server.server().stats().parked_requests == 0);
}

TEST_CASE("slow clients: the pace of a transfer is bound by silence and by its average",
          "[unit][http]") {
  // 512 bytes a second, after a start of ten seconds.
  http::Pace unknown(10'000, std::nullopt);
  CHECK(unknown.left_ms(0, 0) == 10'000);
  unknown.add_wait_ms(9000);
  CHECK(unknown.left_ms(0, 9000) == 1000);
  CHECK(unknown.left_ms(512, 9000) == 2000);
  unknown.add_wait_ms(2000);
  CHECK(unknown.left_ms(512, 11'000) == 0);
  CHECK_FALSE(unknown.is_silent(11'000));
  CHECK(unknown.is_silent(19'000));
  // 10 MiB may take a thousand seconds; more may be slower than that, and not than 16 KiB a second.
  http::Pace known(10'000, 10 << 20);
  known.add_wait_ms(10'000);
  CHECK(known.left_ms(10 << 10, 0) == 1000);
  http::Pace large(10'000, uint64_t{1} << 40);
  large.add_wait_ms(10'000);
  CHECK(large.left_ms(16 << 10, 0) == 1000);
  // Time that is not spent waiting for the client is not counted; the time in all may be bound.
  http::Pace bound(10'000, std::nullopt);
  bound.set_total_max_ms(3000);
  CHECK(bound.left_ms(100'000, 50'000) == 3000);
  bound.add_wait_ms(3000);
  CHECK(bound.left_ms(200'000, 99'000) == 0);
}

TEST_CASE("slow clients: a connection that ends before its body is the client's fault",
          "[unit][http]") {
  SlowRig rig;
  RawClient cut(rig.server.port());
  REQUIRE(cut.send(post(10) + "abc"));
  rig.wait_parked(1);
  cut.finish_sending();
  const RawResponse refused = cut.read_response();
  CHECK(refused.status == 400);
  CHECK(refused.body.find("ended before the request body") != std::string::npos);
}
