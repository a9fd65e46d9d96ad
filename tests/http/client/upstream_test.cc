// Goal: both engines keep what upstream.h promises to callers: heads at once, pulled bodies, reuse
// of connections, headers and framing as written. Method: one set of tests run against either
// engine, over real sockets, with a server on loopback that does what the test says.
#include <catch2/catch.hpp>

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/thread.h"
#include "http/client/upstream_clients.h"
#include "support/loopback_server.h"
#include "support/temp_dir.h"

namespace kvcs::http {
namespace {

using test::LoopbackPeer;
using test::LoopbackServer;

std::string any_engine() {
  return GENERATE(values<std::string>({"curl", "plain"}));
}

std::string read_whole(UpstreamResponse& response) {
  auto body = response.read_all(64 << 20);
  REQUIRE(body.ok());
  return std::move(body).value();
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// The headers of a head, without its first line.
std::multimap<std::string, std::string> headers_of(std::string_view head) {
  std::multimap<std::string, std::string> headers;
  size_t at = head.find("\r\n");
  while (at < head.size()) {
    const size_t begin = at + 2, end = std::min(head.find("\r\n", begin), head.size());
    const std::string_view line = head.substr(begin, end - begin);
    const size_t colon = std::min(line.find(':'), line.size());
    headers.emplace(line.substr(0, colon), trim(line.substr(std::min(colon + 1, line.size()))));
    at = end;
  }
  return headers;
}

}  // namespace

TEST_CASE("upstream: a request arrives as it was given and its answer comes back",
          "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  std::string head, body;
  LoopbackServer server([&](LoopbackPeer& peer) {
    auto request = peer.read_request();
    if (!request) return;
    head = request->head;
    body = request->body;
    peer.send(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX-Mixed-Case: a: b \r\n"
        "Keep-Alive: timeout=5\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\n"
        "X-Empty:\r\n\r\nhello");
    peer.wait_closed();
  });
  TestClient client(engine);
  UpstreamRequest request = request_to(server.url("/a/../b%20c?q=1&q=2"));
  request.method = "POST";
  request.headers = {{"Authorization", "Bearer k"},
                     {"X-Blank", ""},
                     {"Host", "evil"},
                     {"Content-Length", "999"},
                     {"Transfer-Encoding", "chunked"},
                     {"Connection", "close"},
                     {"Expect", "100-continue"}};
  request.body = std::string("with\0zero", 9);
  auto response = client.open(request);
  REQUIRE(response.ok());
  CHECK((*response)->status() == 201);
  CHECK((*response)->header("x-mixed-case") == "a: b");
  CHECK((*response)->header("x-empty") == "");
  CHECK((*response)->header("content-length") == "5");
  for (const char* gone : {"keep-alive", "connection", "x-private", "link"}) {
    CHECK_FALSE((*response)->header(gone));
  }
  CHECK(read_whole(**response) == "hello");
  CHECK(head.starts_with("POST /a/../b%20c?q=1&q=2 HTTP/1.1\r\n"));
  INFO(head);
  std::multimap<std::string, std::string> headers = headers_of(head);
  const auto agent = headers.extract("User-Agent");
  REQUIRE(agent);
  CHECK(agent.mapped().starts_with("kvcs"));
  // Each once, and no others: neither what the caller may not choose nor what an engine would add.
  CHECK(headers == std::multimap<std::string, std::string>{
                       {"Host", "127.0.0.1:" + std::to_string(server.port())},
                       {"Authorization", "Bearer k"},
                       {"X-Blank", ""},
                       {"Content-Length", "9"}});
  CHECK(body == request.body);
}

TEST_CASE("upstream: bodies framed in each way arrive whole", "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  const std::string block(100'000, 'b');
  LoopbackServer server([&](LoopbackPeer& peer) {
    while (auto request = peer.read_request()) {
      const auto line = request->line();
      if (contains(line, "/length")) {
        peer.answer(block);
      } else if (contains(line, "/chunked")) {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 10; i++) peer.send_chunk(block.substr(0, 10'000));
        peer.send("0;last=1\r\nX-Trailer: t\r\n\r\n");
      } else if (contains(line, "/close")) {
        peer.send("HTTP/1.1 200 OK\r\n\r\n" + block);
        return;
      } else if (contains(line, "/none")) {
        peer.send("HTTP/1.1 204 No Content\r\n\r\n");
      } else {  // HEAD: a length without bytes.
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
      }
    }
  });
  TestClient client(engine);
  for (const char* path : {"/length", "/chunked", "/none", "/head", "/length", "/close"}) {
    INFO(path);
    UpstreamRequest request = request_to(server.url(path));
    if (std::string_view(path) == "/head") request.method = "HEAD";
    auto response = client.open(request);
    REQUIRE(response.ok());
    const bool bodyless = request.method == "HEAD" || (*response)->status() == 204;
    CHECK(read_whole(**response) == (bodyless ? "" : block));
    char more[1];
    CHECK((*response)->read(more).value() == 0);  // The end stays the end.
  }
  CHECK(server.accepted_count() == 1);  // All on one connection.
}

TEST_CASE("upstream: open returns with the head while the body is still to come",
          "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  std::atomic<bool> head_seen{false};
  Mutex mutex;
  CondVar changed;
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    {
      MutexLock lock(mutex);
      while (!head_seen) changed.wait_for_ms(mutex, 100);
    }
    peer.send_chunk("data: 1\n\n");
    peer.send("0\r\n\r\n");
    peer.wait_closed();
  });
  TestClient client(engine);
  auto response = client.open(request_to(server.url()));
  REQUIRE(response.ok());
  {
    MutexLock lock(mutex);
    head_seen = true;
    changed.notify_all();
  }
  CHECK(read_whole(**response) == "data: 1\n\n");
}

TEST_CASE("upstream: an early answer to a large upload is heard and the upload goes on",
          "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  size_t received = 0;
  LoopbackServer server([&](LoopbackPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    auto request = peer.read_request();
    if (!request) return;
    received = request->body.size();
    peer.send_chunk("done");
    peer.send("0\r\n\r\n");
    peer.wait_closed();
  });
  TestClient client(engine);
  std::unique_ptr<UpstreamResponse> response;
  {
    UpstreamRequest request = request_to(server.url());
    request.method = "PUT";
    request.body = std::string(32 << 20, 'u');
    auto opened = client.open(request);
    REQUIRE(opened.ok());
    response = std::move(opened).value();
  }  // The request is gone; what was not sent must have been kept.
  CHECK(read_whole(*response) == "done");
  CHECK(received == 32u << 20);
}

TEST_CASE("upstream: connections are reused by all threads", "[contract][http][upstream][slow]") {
  const std::string engine = any_engine();
  INFO(engine);
  constexpr int kThreads = 64, kRequests = 200;
  LoopbackServer server(test::answer_always(std::string(700, 'j')));
  TestClient client(engine);
  std::atomic<int> good{0};
  {
    std::vector<Thread> threads;
    for (int t = 0; t < kThreads; t++) {
      threads.emplace_back("test-client", [&] {
        for (int i = 0; i < kRequests; i++) {
          UpstreamRequest request = request_to(server.url());
          request.method = "POST";
          request.body = "{}";
          auto response = client.open(request);
          if (!response.ok()) continue;
          auto body = (*response)->read_all(10'000);
          if (body.ok() && body->size() == 700) good++;
        }
      });
    }
  }
  CHECK(good == kThreads * kRequests);
  CHECK(server.accepted_count() <= kThreads);
}

namespace {

// Reads and answers one request on its first connection, reads the next one there and closes
// without an answer; answers all on the others. Speaks TLS when it has a certificate.
struct ForgetfulServer {
  explicit ForgetfulServer(const std::string& certificate = {}, const std::string& key = {})
      : server(
            [this](LoopbackPeer& peer) {
              while (peer.read_request()) {
                requests++;
                if (peer.number() == 0 && requests == 2) return;
                if (!peer.answer(peer.number() == 0 ? "one" : "more")) return;
              }
            },
            certificate, key) {}
  std::atomic<int> requests{0};
  LoopbackServer server;
};

}  // namespace

TEST_CASE("upstream: a request that left whole on a pooled connection is repeated if idempotent",
          "[contract][http][upstream]") {
  struct Row {
    const char* method;
    std::string body;
    bool repeated;
  };
  const std::string transport = GENERATE(values<std::string>({"curl", "plain", "TLS"}));
  test::TempDir directory;
  const std::string certificate = directory.file("cert.pem"), key = directory.file("key.pem");
  const bool tls = transport == "TLS";
  if (tls) test::make_self_signed(certificate, key);
  UpstreamConfig config;
  if (tls) config.ca_file = certificate;
  for (const Row& row : std::vector<Row>{{"GET", "", true},
                                         {"DELETE", "", true},
                                         {"PUT", "{}", true},
                                         {"POST", "{}", false},
                                         {"POST", "", false},
                                         {"POST", std::string(100'000, 'p'), false},
                                         {"PATCH", "{}", false}}) {
    INFO(transport << " " << row.method << " of " << row.body.size() << " bytes");
    ForgetfulServer forgetful(tls ? certificate : "", tls ? key : "");
    TestClient client(tls ? "curl" : transport, config);
    UpstreamRequest request = request_to(forgetful.server.url());
    request.method = row.method;
    request.body = row.body;
    CHECK(read_whole(*client.open(request).value()) == "one");
    auto second = client.open(request);
    CHECK(second.ok() == row.repeated);
    if (second.ok()) {
      CHECK(read_whole(**second) == "more");
    } else {
      CHECK(second.status().reason() == "truncated");
      CHECK_FALSE(surely_not_sent(second.status()));
    }
    second = upstream_failed("closed");
    CHECK(forgetful.requests == (row.repeated ? 3 : 2));
    CHECK(read_whole(*client.open(request).value()) == "more");
    CHECK(forgetful.server.accepted_count() == 2);
  }
}

TEST_CASE("upstream: a POST that could not leave whole on a pooled connection is sent anew",
          "[contract][http][upstream]") {
  LoopbackServer server([](LoopbackPeer& peer) {
    if (peer.number() > 0) {
      if (peer.read_request()) peer.answer("more");
      return;
    }
    if (!peer.read_request() || !peer.answer("one")) return;
    peer.read_until("\r\n\r\n");  // And no byte of the body.
  });
  TestClient client("plain");
  UpstreamRequest request = request_to(server.url());
  request.method = "POST";
  CHECK(read_whole(*client.open(request).value()) == "one");
  request.body = std::string(32 << 20, 'p');
  auto second = client.open(request);
  REQUIRE(second.ok());
  CHECK(read_whole(**second) == "more");
}

TEST_CASE("upstream: a slow reader holds the upstream back and memory stays bounded",
          "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  std::atomic<uint64_t> sent{0};
  LoopbackServer server([&](LoopbackPeer& peer) {
    if (!peer.read_request()) return;
    const std::string block(64 << 10, 'e');
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (sent < (1ull << 30) && peer.send_chunk(block)) sent += block.size();
  });
  TestClient client(engine);
  auto response = client.open(request_to(server.url()));
  REQUIRE(response.ok());
  char small[1000];
  uint64_t received = 0;
  while (received < (32u << 20)) {
    auto n = (*response)->read(small);
    REQUIRE(n.ok());
    REQUIRE(*n > 0);
    received += *n;
  }
  CHECK(client.engine->counters().buffered_max_bytes <= 256 << 10);
  CHECK(sent < received + (64u << 20));  // Socket buffers, not a gigabyte.
}

TEST_CASE("upstream: too many exchanges with one host are refused, not queued",
          "[contract][http][upstream]") {
  const std::string engine = any_engine();
  INFO(engine);
  LoopbackServer server([](LoopbackPeer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    peer.wait_closed();
  });
  UpstreamConfig config;
  config.connections_per_host_max = 1;
  TestClient client(engine, config);
  auto first = client.open(request_to(server.url()));
  REQUIRE(first.ok());
  auto second = client.open(request_to(server.url()));
  CHECK(second.code() == Code::kUnavailable);
  CHECK(second.status().reason() == "upstream_busy");
  first.value().reset();
  CHECK(client.open(request_to(server.url())).ok());
}

TEST_CASE("upstream: read_all refuses more than it was allowed", "[contract][http][upstream]") {
  const std::string engine = any_engine();
  LoopbackServer server(test::answer_always(std::string(2000, 'x')));
  TestClient client(engine);
  auto response = client.open(request_to(server.url()));
  REQUIRE(response.ok());
  CHECK((*response)->read_all(1000).code() == Code::kTooLarge);
}

TEST_CASE("upstream: host names are resolved by libcurl first and then served by the plain engine",
          "[contract][http][upstream]") {
  LoopbackServer server(test::answer_always("ok"));
  auto clock = make_system_clock();
  auto client = make_http_upstream({}, *clock);
  for (int i = 0; i < 3; i++) {
    auto response =
        client->open(request_to("http://localhost:" + std::to_string(server.port()) + "/"));
    REQUIRE(response.ok());
    CHECK(read_whole(**response) == "ok");
  }
  CHECK(server.accepted_count() == 2);  // One of each engine.
}

}  // namespace kvcs::http
