// The request cycle over real sockets: what a handler sees and what a client gets.
#include "http/server.h"

#include <catch2/catch.hpp>

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
