// The request cycle over real sockets: what a handler sees and what a client gets.
#include "http/serve/server.h"

#include <catch2/catch.hpp>

#include <set>

#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "support/raw_client.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Method;
using http::Request;
using http::Response;

namespace {

Result<Response> hello(Request&) {
  return http::json_response(200, R"({"message":"hello"})");
}
Result<Response> echo(Request& request) {
  return http::text_response(200, KVCS_TRY(request.body->read_all()));
}

}  // namespace

TEST_CASE("server: answers requests one after another on a connection", "[unit][http]") {
  TestServer server({route(Method::kGet, "/hello", hello)});
  RawClient client(server.port());
  for (int i = 0; i < 3; i++) {
    const RawResponse response = client.request("GET", "/hello");
    CHECK(response.status == 200);
    CHECK(response.body == R"({"message":"hello"})");
    CHECK(response.header("content-type") == "application/json");
    CHECK(response.header("x-request-id").size() == 16);
    CHECK(response.header("x-content-type-options") == "nosniff");
    CHECK(response.header("referrer-policy") == "no-referrer");
    CHECK(response.header("x-frame-options") == "DENY");
    CHECK_FALSE(response.header("date").empty());
  }
}

TEST_CASE("server: bodies arrive by length, chunked and after 100 Continue", "[unit][http]") {
  TestServer server({route(Method::kPost, "/echo", echo, http::mib(8))});
  RawClient client(server.port());
  CHECK(client.request("POST", "/echo", {}, "abc").body == "abc");
  CHECK(client.request("POST", "/echo").body.empty());
  const std::string large(3 << 20, 'x');
  CHECK(client.request("POST", "/echo", {}, large).body == large);
  client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n4;name=value\r\ndefg\r\n0\r\nTrailer: yes\r\n\r\n");
  CHECK(client.read_response().body == "abcdefg");
  client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_response(false, true).status == 100);
  client.send("body");
  CHECK(client.read_response().body == "body");
  // A POST without any length has no body (RFC 9112 §6.3).
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\n\r\n");
  const RawResponse empty = client.read_response();
  CHECK(empty.status == 200);
  CHECK(empty.body.empty());
}

TEST_CASE("server: unknown paths, wrong methods, OPTIONS and HEAD", "[unit][http]") {
  TestServer server({route(Method::kGet, "/a/{id}", hello), route(Method::kPost, "/a/{id}", echo),
                     route(Method::kDelete, "/a", hello)});
  RawClient client(server.port());
  CHECK(client.request("GET", "/nothing").status == 404);
  const RawResponse wrong = client.request("PUT", "/a/1");
  CHECK(wrong.status == 405);
  CHECK(wrong.header("allow") == "GET, HEAD, POST");
  const RawResponse options = client.request("OPTIONS", "/a/1");
  CHECK(options.status == 204);
  CHECK(options.header("allow") == "GET, HEAD, POST");
  const RawResponse head = client.request("HEAD", "/a/1");
  CHECK(head.status == 200);
  CHECK(head.header("content-length") == "19");
  // The next response starts where HEAD's head ended: nothing of a body was sent.
  CHECK(client.request("GET", "//a///1/").status == 200);
  CHECK(client.request("OPTIONS", "*").status == 204);
}

TEST_CASE("server: absolute targets and HTTP/1.0 are understood", "[unit][http]") {
  TestServer server({route(Method::kGet, "/hello", hello),
                     route(Method::kGet, "/stream", [](Request&) -> Result<Response> {
                       Response response;
                       response.stream = [](http::BodyWriter& writer) {
                         return writer.write("streamed");
                       };
                       return response;
                     })});
  RawClient client(server.port());
  client.send("GET http://other:80/hello?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.read_response().status == 200);
  client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(client.read_response().header("connection") == "keep-alive");
  client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const RawResponse response = client.read_response();
  CHECK(response.body == "streamed");  // Delimited by the close.
  CHECK(response.header("transfer-encoding").empty());
  // A later minor version is taken as 1.1.
  RawClient later(server.port());
  later.send("GET /hello HTTP/1.2\r\nHost: h\r\n\r\n");
  CHECK(later.read_response().status == 200);
  // "close" wins over "keep-alive", in one header and in two.
  for (const char* connection :
       {"close, keep-alive", "keep-alive, close", "keep-alive\r\nConnection: close"}) {
    RawClient both(server.port());
    both.send("GET /hello HTTP/1.0\r\nConnection: " + std::string(connection) + "\r\n\r\n");
    CHECK(both.read_response().header("connection") == "close");
    CHECK(both.closed_by_server());
  }
  RawClient close(server.port());
  CHECK(close.request("GET", "/hello", {{"Connection", "close"}}).header("connection") == "close");
  CHECK(close.closed_by_server());
}

TEST_CASE("server: the guard runs before the body and decides the principal", "[unit][http]") {
  std::atomic<int> handled{0};
  http::Route guarded = route(
      Method::kPost, "/secret",
      [&](Request& request) -> Result<Response> {
        handled++;
        return http::text_response(200, request.principal.key_id);
      },
      http::mib(1));
  guarded.guard = [](const Request& request) -> Result<Principal> {
    if (KVCS_TRY(request.bearer()) != "open") return unauthenticated("Unknown key.");
    Principal principal;
    principal.kind = PrincipalKind::kProjectKey;
    principal.key_id = "key-1";
    return principal;
  };
  guarded.dialect = http::Dialect::kAdmin;
  TestServer server({guarded});
  CHECK(fetch(server.port(), "POST", "/secret").status == 401);
  const RawResponse wrong =
      fetch(server.port(), "POST", "/secret", {{"Authorization", "Bearer shut"}});
  CHECK(wrong.body == R"({"error":"Unknown key.","code":"unauthorized"})");
  CHECK(wrong.header("www-authenticate") == "Bearer");
  RawClient waiting(server.port());
  waiting.send(
      "POST /secret HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
      "Expect: 100-continue\r\n\r\n");
  CHECK(waiting.read_response(false, true).status == 401);  // No 100 for a refused request.
  CHECK(waiting.closed_by_server());
  CHECK(handled == 0);
  CHECK(fetch(server.port(), "POST", "/secret", {{"Authorization", "bearer open"}}).body ==
        "key-1");
}

TEST_CASE("server: failures of handlers become answers and never end the server", "[unit][http]") {
  TestServer server(
      {route(Method::kGet, "/throws",
             [](Request&) -> Result<Response> { throw std::runtime_error("secret text"); }),
       route(Method::kGet, "/throws-int", [](Request&) -> Result<Response> { throw 7; }),
       route(Method::kGet, "/fails",
             [](Request&) -> Result<Response> { return rate_limited("Slow down.", 9); })});
  RawClient client(server.port());
  for (const char* target : {"/throws", "/throws-int"}) {
    const RawResponse response = client.request("GET", target);
    CHECK(response.status == 500);
    CHECK(response.body == R"({"error":"Internal error."})");
  }
  const RawResponse limited = client.request("GET", "/fails");
  CHECK(limited.status == 429);
  CHECK(limited.header("retry-after") == "9");
}

TEST_CASE("server: a request's id is ours, whatever the client sends", "[unit][http]") {
  TestServer server({route(Method::kGet, "/id", [](Request& request) -> Result<Response> {
    return http::text_response(200, request.request_id);
  })});
  std::set<std::string> ids;
  for (const std::string& theirs :
       {std::string("a.B-3_x"), std::string("a.B-3_x"), std::string("<x>"), std::string(65, 'a')}) {
    const RawResponse response = fetch(server.port(), "GET", "/id", {{"X-Request-Id", theirs}});
    CHECK(response.body.size() == 16);
    CHECK(response.header("x-request-id") == response.body);
    ids.insert(response.body);
  }
  CHECK(ids.size() == 4);
}

TEST_CASE("server: streams are chunked, and a failed one is never a clean end", "[unit][http]") {
  std::atomic<int> finished{0}, failed{0};
  const auto stream = [&](Status end, std::optional<uint64_t> size) {
    return [&, end, size](Request&) -> Result<Response> {
      Response response;
      response.stream_size_bytes = size;
      response.stream = [end](http::BodyWriter& writer) -> Status {
        for (int i = 0; i < 3; i++) KVCS_TRY(writer.write("part"));
        KVCS_TRY(writer.write(""));
        return end;
      };
      response.finished = [&](Status outcome, uint64_t sent) {
        finished += sent > 0;

        failed += !outcome.ok();
      };
      return response;
    };
  };
  TestServer server({route(Method::kGet, "/whole", stream(ok(), {})),
                     route(Method::kGet, "/sized", stream(ok(), 12)),
                     route(Method::kGet, "/broken", stream(upstream_failed("x"), {})),
                     route(Method::kGet, "/short", stream(ok(), 13)),
                     route(Method::kGet, "/long", stream(ok(), 11))});
  RawClient client(server.port());
  const RawResponse whole = client.request("GET", "/whole");
  CHECK(whole.header("transfer-encoding") == "chunked");
  CHECK(whole.body == "partpartpart");
  CHECK(client.request("GET", "/sized").header("content-length") == "12");
  CHECK(client.request("HEAD", "/whole").complete);
  for (const char* target : {"/broken", "/short", "/long"}) {
    INFO(target);
    RawClient victim(server.port());
    const RawResponse response = victim.request("GET", target);
    CHECK(response.status == 200);
    CHECK_FALSE(response.complete);
    CHECK(victim.closed_by_server());
  }
  CHECK(fetch(server.port(), "GET", "/whole").complete);
  server.server().stop(1000);
  CHECK(finished == 7);
  CHECK(failed == 3);
}

TEST_CASE("server: finished runs when the client has gone", "[unit][http]") {
  std::atomic<bool> gone{false};
  Mutex mutex;
  CondVar changed;
  bool finished = false, started = false;
  TestServer server({route(Method::kGet, "/endless", [&](Request&) -> Result<Response> {
    Response response;
    response.stream = [&](http::BodyWriter& writer) -> Status {
      const std::string block(64 << 10, 'x');
      for (;;) {
        const Status written = writer.write(block);
        {
          MutexLock lock(mutex);
          started = true;
          changed.notify_all();
        }
        if (!written.ok()) {
          gone = writer.client_gone();
          return written;
        }
      }
    };
    response.finished = [&](Status outcome, uint64_t) {
      MutexLock lock(mutex);
      finished = !outcome.ok();
      changed.notify_all();
    };
    return response;
  })});
  RawClient client(server.port());
  client.send("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
  MutexLock lock(mutex);
  while (!started) REQUIRE(changed.wait_for_ms(mutex, 10'000));
  client.reset();
  while (!finished) REQUIRE(changed.wait_for_ms(mutex, 10'000));
  CHECK(gone);
}

TEST_CASE("server: a client that vanishes in its body ends the read", "[unit][http]") {
  Mutex mutex;
  CondVar changed;
  std::optional<Code> seen;
  TestServer server({route(
      Method::kPost, "/upload",
      [&](Request& request) -> Result<Response> {
        const auto body = request.body->read_all();
        MutexLock lock(mutex);
        seen = body.code();
        changed.notify_all();
        return std::move(body).status();
      },
      http::mib(1))});
  {
    RawClient client(server.port());
    client.send("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
  }
  MutexLock lock(mutex);
  while (!seen) REQUIRE(changed.wait_for_ms(mutex, 10'000));
  CHECK(*seen == Code::kInvalid);
}

namespace {

// Handlers wait here until the test opens the gate.
struct Gate {
  Mutex mutex;
  CondVar changed;
  int waiting KVCS_GUARDED_BY(mutex) = 0;
  bool open KVCS_GUARDED_BY(mutex) = false;

  Result<Response> pass() {
    MutexLock lock(mutex);
    waiting++;
    changed.notify_all();
    while (!open) {
      if (!changed.wait_for_ms(mutex, 20'000)) break;
    }
    return http::text_response(200, "passed");
  }
  bool await(int count) {
    MutexLock lock(mutex);
    while (waiting < count) {
      if (!changed.wait_for_ms(mutex, 20'000)) return false;
    }
    return true;
  }
  void release() {
    MutexLock lock(mutex);
    open = true;
    changed.notify_all();
  }
};

}  // namespace

TEST_CASE("server: held requests get more workers, up to the limit of streams", "[unit][http]") {
  Gate gate;
  http::ServerConfig config = TestServer::quiet_config();
  config.workers_min = GENERATE(1, 2, 8);
  config.streams_max = 40;
  http::Route probe = route(Method::kGet, "/livez", hello);
  probe.is_probe = true;
  TestServer server({route(Method::kGet, "/held", [&](Request&) { return gate.pass(); }),
                     route(Method::kGet, "/hello", hello), probe},
                    config);
  std::vector<RawClient> held;
  for (int i = 0; i < 40; i++) {
    held.emplace_back(server.port());
    held.back().send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  REQUIRE(gate.await(40));
  const RawResponse full = fetch(server.port(), "GET", "/hello");
  CHECK(full.status == 503);
  CHECK(full.header("retry-after") == "1");
  CHECK(fetch(server.port(), "GET", "/livez").status == 200);
  gate.release();
  for (RawClient& client : held) CHECK(client.read_response().body == "passed");
  CHECK(fetch(server.port(), "GET", "/hello").status == 200);
}

TEST_CASE("server: a long request does not hold up the short ones taken with it", "[unit][http]") {
  Gate gate;
  http::ServerConfig config = TestServer::quiet_config();
  config.workers_min = GENERATE(1, 2, 8);
  TestServer server({route(Method::kGet, "/held", [&](Request&) { return gate.pass(); }),
                     route(Method::kGet, "/hello", hello)},
                    config);
  std::vector<RawClient> held, quick;
  for (int i = 0; i < 6; i++) held.emplace_back(server.port());
  for (int i = 0; i < 60; i++) quick.emplace_back(server.port());
  for (RawClient& client : quick) REQUIRE(client.request("GET", "/hello").status == 200);
  for (size_t i = 0; i < quick.size(); i++) {
    if (i % 10 == 0) held[i / 10].send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
    quick[i].send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  for (RawClient& client : quick) CHECK(client.read_response().status == 200);
  REQUIRE(gate.await(6));
  gate.release();
  for (RawClient& client : held) CHECK(client.read_response().body == "passed");
}

TEST_CASE("server: stop lets requests in flight finish and refuses new ones", "[unit][http]") {
  Gate gate;
  TestServer server({route(Method::kGet, "/held", [&](Request&) { return gate.pass(); }),
                     route(Method::kGet, "/hello", hello)});
  RawClient idle(server.port()), busy(server.port());
  REQUIRE(idle.request("GET", "/hello").status == 200);
  busy.send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
  REQUIRE(gate.await(1));
  {
    Thread stopper("stopper", [&] { server.server().stop(10'000); });
    CHECK(idle.closed_by_server());
    gate.release();
    const RawResponse response = busy.read_response();
    CHECK(response.body == "passed");
    CHECK(response.header("connection") == "close");
  }
  CHECK_FALSE(RawClient(server.port()).connected());
}

TEST_CASE("server: stop without grace ends what blocks on its client", "[unit][http]") {
  Gate started;
  TestServer server({route(
      Method::kPost, "/upload",
      [&](Request& request) -> Result<Response> {
        started.release();
        (void)started.pass();
        return http::text_response(200, KVCS_TRY(request.body->read_all()));
      },
      http::mib(1))});
  RawClient client(server.port());
  client.send("POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nabc");
  REQUIRE(started.await(1));
  server.server().stop(0);  // Returns long before the body's own timeout.
  CHECK(client.closed_by_server());
}

TEST_CASE("server: a full table of connections says so", "[unit][http]") {
  Gate gate;
  http::ServerConfig config = TestServer::quiet_config();
  config.connections_max = 10;
  TestServer server({route(Method::kGet, "/held", [&](Request&) { return gate.pass(); })}, config);
  std::vector<RawClient> clients;
  for (int i = 0; i < 10; i++) {
    clients.emplace_back(server.port());
    clients.back().send("GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  REQUIRE(gate.await(10));
  RawClient extra(server.port());
  const RawResponse refused = extra.read_response();
  CHECK(refused.status == 503);
  CHECK(refused.header("retry-after") == "1");
  CHECK(server.server().stats().connections == 10);
  CHECK(server.server().stats().refused_connections == 1);
  gate.release();
  for (RawClient& client : clients) CHECK(client.read_response().status == 200);
}

TEST_CASE("server: idle connections cost no worker and all still answer", "[unit][http]") {
  TestServer server({route(Method::kGet, "/hello", hello)});
  std::vector<RawClient> idle;
  for (int i = 0; i < 400; i++) {
    idle.emplace_back(server.port());
    REQUIRE(idle.back().request("GET", "/hello").status == 200);
  }
  for (int i = 0; i < 200; i++) CHECK(fetch(server.port(), "GET", "/hello").status == 200);
  for (RawClient& client : idle) CHECK(client.request("GET", "/hello").status == 200);
  CHECK(server.server().stats().workers <= 8);
}

TEST_CASE("server: many clients at once get their own answers", "[unit][http]") {
  TestServer server({route(Method::kPost, "/echo", echo, http::mib(1))});
  std::atomic<int> right{0};
  {
    std::vector<std::unique_ptr<Thread>> threads;
    for (int t = 0; t < 8; t++) {
      threads.push_back(std::make_unique<Thread>("client", [&, t] {
        RawClient client(server.port());
        for (int i = 0; i < 100; i++) {
          const std::string text(static_cast<size_t>(1 + t * 700 + i * 37),
                                 static_cast<char>('a' + t));
          right += client.request("POST", "/echo", {}, text).body == text;
        }
      }));
    }
  }
  CHECK(right == 800);
  server.server().stop(1000);
  CHECK(server.records().size() == 800);
}

TEST_CASE("server: CORS answers preflights of allowed origins only", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.cors.allowed_origins = {"https://app.example"};
  TestServer server({route(Method::kPost, "/mcp", echo, http::kib(1))}, config);
  const auto preflight = [&](const char* origin) {
    return fetch(server.port(), "OPTIONS", "/mcp",
                 {{"Origin", origin},
                  {"Access-Control-Request-Method", "POST"},
                  {"Access-Control-Request-Headers",
                   "authorization, Mcp-Session-Id, Mcp-Param-X, x-other"}});
  };
  const RawResponse allowed = preflight("https://app.example");
  CHECK(allowed.status == 204);
  CHECK(allowed.header("access-control-allow-origin") == "https://app.example");
  CHECK(allowed.header("access-control-allow-headers") ==
        "authorization, Mcp-Session-Id, Mcp-Param-X");
  CHECK(allowed.header("access-control-allow-methods") == "POST");
  CHECK(preflight("https://evil.example").header("access-control-allow-origin").empty());
  const RawResponse actual =
      fetch(server.port(), "POST", "/mcp", {{"Origin", "https://app.example"}}, "x");
  CHECK(actual.header("access-control-expose-headers").find("Mcp-Session-Id") != std::string::npos);
  CHECK(actual.header("vary") == "Origin");
  CHECK(allowed.header("vary") == "Origin");
}

TEST_CASE("server: CORS lets pages upload and download in parts", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.cors.allowed_origins = {"https://app.example"};
  // A route of its own for OPTIONS, as tus has it, shadows no preflight.
  const auto options = [](Request&) -> Result<Response> { return http::empty_response(204); };
  TestServer server({route(Method::kPost, "/uploads", echo, http::kib(1)),
                     route(Method::kOptions, "/uploads", options, http::kNoBody)},
                    config);
  const std::string asked =
      "authorization, tus-resumable, upload-length, x-http-method-override, x-csrf-token";
  const RawResponse allowed = fetch(server.port(), "OPTIONS", "/uploads",
                                    {{"Origin", "https://app.example"},
                                     {"Access-Control-Request-Method", "POST"},
                                     {"Access-Control-Request-Headers", asked}});
  CHECK(allowed.header("access-control-allow-headers") == asked);
  CHECK(allowed.header("access-control-allow-methods").find("POST") != std::string::npos);
  CHECK(allowed.header("access-control-allow-origin") == "https://app.example");
  const RawResponse actual =
      fetch(server.port(), "POST", "/uploads", {{"Origin", "https://app.example"}}, "x");
  const std::string exposed(actual.header("access-control-expose-headers"));
  for (const char* name : {"Location", "Upload-Offset", "Content-Range", "Content-Disposition"}) {
    INFO(name);
    CHECK(exposed.find(name) != std::string::npos);
  }
}

TEST_CASE("server: forwarded addresses are believed from trusted proxies only", "[unit][http]") {
  const auto who = [](Request& request) -> Result<Response> {
    return http::text_response(200, request.remote_ip + (request.https ? " https" : ""));
  };
  const auto ask = [&](std::vector<std::string> trusted, const char* chain) {
    http::ServerConfig config = TestServer::quiet_config();
    config.trusted_proxies = std::move(trusted);
    TestServer server({route(Method::kGet, "/who", who)}, config);
    return fetch(server.port(), "GET", "/who",
                 {{"X-Forwarded-For", chain}, {"X-Forwarded-Proto", "https"}})
        .body;
  };
  CHECK(ask({}, "6.6.6.6") == "127.0.0.1");
  CHECK(ask({"10.0.0.0/8"}, "6.6.6.6") == "127.0.0.1");
  CHECK(ask({"127.0.0.0/8"}, "6.6.6.6") == "6.6.6.6 https");
  // The client wrote the left entry itself; the trusted hops are skipped from the right.
  CHECK(ask({"127.0.0.1", "10.0.0.0/8"}, "1.1.1.1, 6.6.6.6, 10.1.2.3") == "6.6.6.6 https");
  CHECK(ask({"127.0.0.1", "2001:db8::/32"}, "6.6.6.6, 2001:db8::7") == "6.6.6.6 https");
  CHECK(ask({"127.0.0.1"}, "1.1.1.1, junk").starts_with("127.0.0.1"));

  http::ServerConfig config = TestServer::quiet_config();
  config.trusted_proxies = {"10.0.0.0/33"};
  const auto clock = make_system_clock();
  const http::Router router({});
  http::Server server(config, router, *clock, nullptr);
  CHECK(server.start().code() == Code::kInvalid);
}

TEST_CASE("server: a proxy that is not trusted is told of once, with the setting", "[unit][http]") {
  const auto warnings = [](std::vector<std::string> trusted, const char* name) {
    http::ServerConfig config = TestServer::quiet_config();
    config.trusted_proxies = std::move(trusted);
    TestServer server({route(Method::kGet, "/hello", hello)}, config);
    Mutex mutex;
    std::vector<std::string> lines;
    log::set_sink([&](std::string_view line) {
      MutexLock lock(mutex);
      if (line.find("http.proxy_not_trusted") != line.npos) lines.emplace_back(line);
    });
    log::set_level(log::Level::kWarn);
    for (int i = 0; i < 3; i++) fetch(server.port(), "GET", "/hello", {{name, "6.6.6.6"}});
    log::set_level(log::Level::kInfo);
    log::set_sink(nullptr);
    return lines;
  };
  const auto lines = warnings({"10.0.0.0/8"}, "X-Forwarded-For");
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("http.trusted_proxies") != std::string::npos);
  CHECK(lines[0].find("\"peer\":\"127.0.0.1\"") != std::string::npos);
  CHECK(warnings({}, "X-Forwarded-Proto").size() == 1);
  CHECK(warnings({"127.0.0.1"}, "X-Forwarded-For").empty());
  CHECK(warnings({}, "X-Forwarded").empty());
}

TEST_CASE("server: an address in use is a conflict", "[unit][http]") {
  TestServer first({route(Method::kGet, "/hello", hello)});
  http::ServerConfig config = TestServer::quiet_config();
  config.listen_port = first.port();
  const auto clock = make_system_clock();
  const http::Router router({});
  http::Server second(config, router, *clock, nullptr);
  CHECK(second.start().code() == Code::kConflict);
}
