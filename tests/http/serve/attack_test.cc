// What hostile clients send, over raw sockets against a real server. Each case states the answer
// and, where the connection could carry a smuggled request, that it is closed.
#include <catch2/catch.hpp>

#include "http/serve/server.h"
#include "support/raw_client.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace std::literals;
using namespace kvcs::test;
using http::Method;
using http::Request;
using http::Response;

namespace {

constexpr uint64_t kEchoMaxBytes = 64 << 10;

Result<Response> echo(Request& request) {
  return http::text_response(200, KVCS_TRY(request.body->read_all()));
}
Result<Response> ignore_body(Request&) {
  return http::text_response(200, "ignored");
}
Result<Response> hidden(Request&) {
  return http::text_response(200, "hidden");
}
// Every header as it arrived, one per line.
Result<Response> show_headers(Request& request) {
  std::string text;
  for (const http::Header& header : request.headers) {
    text += std::string(header.name) + "=" + std::string(header.value) + "\n";
  }
  return http::text_response(200, text);
}
Result<Response> splitting(Request&) {
  return std::move(
      http::text_response(200, "ok").set("x-bad", "a\r\nx-evil: 1").set("x-evil\r\nx-worse", "1"));
}
Result<Response> ranged(Request& request) {
  Response response = http::text_response(200, "");
  const auto decision = http::decide_range(request, 10, "tag", response);
  response.body = std::string("0123456789").substr(decision.offset, decision.size_bytes);
  return response;
}

std::vector<http::Route> routes() {
  return {route(Method::kGet, "/echo", ignore_body),
          route(Method::kPost, "/echo", echo, kEchoMaxBytes),
          route(Method::kPost, "/ignore", ignore_body, kEchoMaxBytes),
          route(Method::kGet, "/hidden", hidden),
          route(Method::kGet, "/headers", show_headers),
          route(Method::kGet, "/splitting", splitting),
          route(Method::kGet, "/ranged", ranged),
          route(Method::kGet, "/static/{name}", hidden)};
}

// One message on a fresh connection: the status, and that nothing after it is answered.
int refused_with(int port, std::string_view message) {
  RawClient client(port);
  client.send(message);
  const RawResponse response = client.read_response();
  CHECK(response.header("connection") == "close");
  CHECK(client.closed_by_server());
  return response.status;
}

// Sends `piece` until the server answers or hangs up; the answer, and how much was taken.
std::pair<RawResponse, size_t> flood(int port, std::string_view start, std::string_view piece) {
  constexpr size_t kGiveUpBytes = 64 << 20;
  RawClient client(port);
  std::string block;
  while (block.size() < 16 << 10) block += piece;
  size_t sent = start.size();
  client.send(start);
  while (sent < kGiveUpBytes && client.send(block)) sent += block.size();
  return {client.read_response(), sent};
}

}  // namespace

TEST_CASE("attack: a TLS handshake at a plain port is told so at once", "[unit][http]") {
  TestServer server({});
  for (const std::string& hello : {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
                                   "\x16\x03\x03" + std::string(400, '\n')}) {
    RawClient client(server.port());
    client.send(hello);
    const RawResponse refused = client.read_response();
    CHECK(refused.status == 400);
    CHECK(refused.body.find("use http:// instead of https://") != std::string::npos);
  }
}

TEST_CASE("attack: an endless head is cut at its limit", "[unit][http]") {
  TestServer server(routes());
  const std::string get = "GET /hidden HTTP/1.1\r\nHost: h\r\n";
  RawClient line(server.port());
  line.send("GET /" + std::string(9000, 'a'));
  CHECK(line.read_response().status == 414);
  RawClient header(server.port());
  header.send(get + "X-Long: " + std::string(40 << 10, 'a'));
  CHECK(header.read_response().status == 431);
  RawClient many(server.port());
  std::string headers;
  for (int i = 0; i < 101; i++) headers += "a: b\r\n";
  many.send(get + headers);
  CHECK(many.read_response().status == 431);
  for (const auto& [start, piece] : std::initializer_list<std::pair<std::string, std::string>>{
           {"GET /", "a"}, {get + "X: ", "a"}, {get, "a: b\r\n"}, {"", "a"}}) {
    CHECK(flood(server.port(), start, piece).second < size_t{24} << 20);
  }
}

TEST_CASE("attack: a chunked body is cut at the route's limit", "[unit][http]") {
  TestServer server(routes());
  const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  RawClient client(server.port());
  std::string body;
  for (int i = 0; i < 65; i++) body += "400\r\n" + std::string(1024, 'x') + "\r\n";
  client.send(head + body);
  CHECK(client.read_response().status == 413);
  CHECK(flood(server.port(), head, "400\r\n" + std::string(1024, 'x') + "\r\n").second < size_t{24}
                                                                                             << 20);
}

TEST_CASE("attack: a length beyond the limit is refused before a byte is read", "[unit][http]") {
  TestServer server(routes());
  for (const char* length : {"65537", "99999999999", "18446744073709551616"}) {
    INFO(length);
    CHECK(refused_with(server.port(), std::string("POST /echo HTTP/1.1\r\nHost: h\r\n") +
                                          "Content-Length: " + length + "\r\n\r\n") == 413);
  }
}

TEST_CASE("attack: a body that is compressed is not inflated where bytes count", "[unit][http]") {
  TestServer server(routes());
  CHECK(fetch(server.port(), "POST", "/echo", {{"Content-Encoding", "gzip"}}, "abc").status == 415);
}

TEST_CASE("attack: headers cannot shadow server variables or be decoded", "[unit][http]") {
  TestServer server(routes());
  const RawResponse response = fetch(server.port(), "GET", "/headers",
                                     {{"REMOTE_ADDR", "6.6.6.6"}, {"X-In", "a%0d%0aX-Evil: 1"}});
  CHECK(response.body == "Host=localhost\nX-In=a%0d%0aX-Evil: 1\n");
}

TEST_CASE("attack: a response header cannot be split", "[unit][http]") {
  TestServer server(routes());
  const RawResponse response = fetch(server.port(), "GET", "/splitting");
  CHECK(response.status == 200);
  CHECK(response.header("x-evil").empty());
  CHECK(response.header("x-worse").empty());
}

TEST_CASE("attack: ambiguous framing is refused and the connection closed", "[unit][http]") {
  TestServer server(routes());
  const std::string smuggled = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
  const auto post = [&](const std::string& headers, const std::string& body) {
    return refused_with(server.port(),
                        "POST /echo HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n" + body + smuggled);
  };
  CHECK(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") == 400);
  CHECK(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n") == 400);
  CHECK(post("Content-Length: 5\r\nContent-Length: 5\r\n", "abcde") == 400);
  CHECK(post("Content-Length: 5\r\nContent-Length: 6\r\n", "abcde") == 400);
  CHECK(post("Content-Length: 5, 5\r\n", "abcde") == 400);
  CHECK(post("Content-Length: +5\r\n", "abcde") == 400);
  CHECK(post("Content-Length: -1\r\n", "abcde") == 400);
  CHECK(post("Content-Length: 0x5\r\n", "abcde") == 400);
  CHECK(post("Content-Length:\r\n", "abcde") == 400);
  CHECK(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n") == 400);
  CHECK(post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n") == 501);
  CHECK(post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n") == 501);
  CHECK(post("Transfer-Encoding: \x0b"
             "chunked\r\n",
             "0\r\n\r\n") == 400);
}

TEST_CASE("attack: malformed chunks end the connection", "[unit][http]") {
  TestServer server(routes());
  const std::string smuggled = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
  for (const char* body :
       {"\r\n\r\n", "-1\r\n", "0x3\r\nabc\r\n0\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n",
        " 3\r\nabc\r\n0\r\n\r\n", "ffffffffffffffff\r\nabc", "1000000000000\r\nabc",
        "3\nabc\n0\n\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "zz\r\n",
        "0\r\nbad trailer\r\n\r\n", "0\r\n folded: 1\r\n\r\n"}) {
    INFO(body);
    CHECK(refused_with(server.port(),
                       "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
                           std::string(body) + smuggled) == 400);
  }
  // Framing that dwarfs its data: one byte per chunk, each with a long extension.
  std::string padded;
  for (int i = 0; i < 200; i++) padded += "1;" + std::string(200, 'e') + "\r\nx\r\n";
  CHECK(refused_with(server.port(),
                     "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" +
                         padded) == 400);
}

TEST_CASE("attack: pipelined requests are all answered in order", "[unit][http]") {
  TestServer server(routes());
  RawClient client(server.port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na"
      "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n"
      "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.read_response().body == "a");
  CHECK(client.read_response().body == "hidden");
  CHECK(client.read_response().body == "b");
  CHECK(client.read_response().body == "hidden");
}

TEST_CASE("attack: a body nobody reads is never run as a request", "[unit][http]") {
  TestServer server(routes());
  const std::string inner = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string length = "Content-Length: " + std::to_string(inner.size()) + "\r\n\r\n";
  for (const char* line : {"GET /echo", "POST /ignore"}) {
    RawClient client(server.port());
    client.send(std::string(line) + " HTTP/1.1\r\nHost: h\r\n" + length + inner +
                "GET /headers HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(client.read_response().body == "ignored");
    CHECK(client.read_response().body == "Host=h\n");
  }
  // The body comes later than the answer: the connection has to go.
  RawClient late(server.port());
  late.send("POST /ignore HTTP/1.1\r\nHost: h\r\n" + length);
  CHECK(late.read_response().header("connection") == "close");
  late.send(inner);
  CHECK(late.closed_by_server());
  // 404 and 405 with a body.
  for (const char* line : {"POST /missing", "POST /hidden"}) {
    RawClient client(server.port());
    client.send(std::string(line) + " HTTP/1.1\r\nHost: h\r\n" + length + inner +
                "GET /headers HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(client.read_response().status >= 404);
    CHECK(client.read_response().body == "Host=h\n");
  }
}

TEST_CASE("attack: malformed heads are refused", "[unit][http]") {
  TestServer server(routes());
  const auto status = [&](std::string_view message) {
    INFO(message);
    return refused_with(server.port(), message);
  };
  CHECK(status("GET /hidden HTTP/1.1\r\nHost : h\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: a b\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: h\r\nNo colon\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: h\r\n: empty\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n"sv) == 400);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/1.1\nHost: h\n\n") == 400);
  CHECK(status("GET /hidden\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("GET  /hidden HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("GET /hid den HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("G@T /hidden HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("GET hidden HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("GET * HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("GET ftp://h/hidden HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/x.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("GET /hidden HTTP/2.0\r\nHost: h\r\n\r\n") == 505);
  CHECK(status("PRI * HTTP/2.0\r\n\r\n") == 505);
  CHECK(status("GET /hidden HTTP/1.9\r\n\r\n") == 400);
  CHECK(status("TRACE /hidden HTTP/1.1\r\nHost: h\r\n\r\n") == 501);
  CHECK(status("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n") == 501);
  CHECK(status("GET /hidden HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n") == 417);
  CHECK(status("GET /hidden HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
  CHECK(status("\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
  CHECK(status("\x16\x03\x01\x02\x01\r\n\r\n") == 400);
}

TEST_CASE("attack: paths cannot leave their tree or hide a byte", "[unit][http]") {
  TestServer server(routes());
  for (const char* target :
       {"/static/..%2f", "/static/../hidden", "/static/..%2fhidden", "/static/%2e%2e/hidden",
        "/static/%2e%2e%2fhidden", "/static/.", "/..", "/static/a.txt%00.html", "/static/%0a",
        "/static/%7f", "/static/%", "/static/%2", "/static/%zz", "/hidden?a=%", "/hidden?a=%0g",
        "/hidden?a=%00", "/hidden#fragment", "/static/caf\xc3\xa9"}) {
    INFO(target);
    const RawResponse response = fetch(server.port(), "GET", target);
    CHECK(response.status == 400);
  }
  // Decoded once only: %252e is the text "%2e".
  CHECK(fetch(server.port(), "GET", "/static/%252e%252e").status == 200);
}

TEST_CASE("attack: many ranges are answered with one whole body", "[unit][http]") {
  TestServer server(routes());
  std::string ranges = "bytes=0-";
  for (int i = 0; i < 1800; i++) ranges += ",0-";
  const RawResponse response = fetch(server.port(), "GET", "/ranged", {{"Range", ranges}});
  CHECK(response.status == 200);
  CHECK(response.body == "0123456789");
}

TEST_CASE("attack: slow heads hold no worker and end with 408", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.head_timeout_ms = 400;
  TestServer server(routes(), config);
  std::vector<RawClient> slow;
  for (int i = 0; i < 300; i++) {
    slow.emplace_back(server.port());
    REQUIRE(slow.back().send("GET /hidden HTTP/1.1\r\nHost: h\r\nX: "));
  }
  CHECK(fetch(server.port(), "GET", "/hidden").status == 200);
  CHECK(server.server().stats().workers <= 4);
  int answered = 0;
  for (RawClient& client : slow) {
    answered += client.read_response().status == 408;
  }
  CHECK(answered == 300);
  // Nothing at all is not answered, only closed.
  RawClient silent(server.port());
  CHECK(silent.closed_by_server());
}

TEST_CASE("attack: a head that trickles in is bound by the time of its first byte",
          "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.head_timeout_ms = 300;
  TestServer server(routes(), config);
  RawClient client(server.port());
  REQUIRE(client.request("GET", "/hidden").status == 200);
  // Each byte is sent as soon as the one before is acknowledged by nothing but the loop itself;
  // the send fails or the answer arrives, whichever is first.
  client.send("GET /hidden HTTP/1.1\r\n");
  CHECK(client.read_response().status == 408);
  CHECK(client.closed_by_server());
}

TEST_CASE("attack: a body that stops arriving ends with 408", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.body_idle_timeout_ms = 200;
  TestServer server(routes(), config);
  RawClient client(server.port());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
  CHECK(client.read_response().status == 408);
  CHECK(client.closed_by_server());
}

TEST_CASE("attack: idle connections are closed after their time", "[unit][http]") {
  http::ServerConfig config = TestServer::quiet_config();
  config.idle_timeout_ms = 200;
  TestServer server(routes(), config);
  RawClient client(server.port());
  REQUIRE(client.request("GET", "/hidden").status == 200);
  CHECK(client.closed_by_server());
}
