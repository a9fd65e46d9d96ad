// Goal: the doors of model clients meet their habits: bodies may come encoded, a WebSocket is
// refused in a word, a query that nobody reads is refused by name, a list may stand on several
// lines, and who sends a too large body still reads its answer. Method: a real server and raw
// requests.
#include <catch2/catch.hpp>

#include "http/header_list.h"
#include "support/deflate.h"
#include "support/raw_client.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Dialect;
using http::Method;
using http::Request;
using http::Response;

namespace {

constexpr uint64_t kBodyMaxBytes = 100'000;

Result<Response> echo(Request& request) {
  return http::text_response(200, KVCS_TRY(request.body->read_all()));
}

http::Route door(Method method, std::string pattern, Dialect dialect) {
  http::Route made = route(method, std::move(pattern), echo, kBodyMaxBytes);
  made.dialect = dialect;
  return made;
}

std::vector<http::Route> doors() {
  return {door(Method::kPost, "/v1/responses", Dialect::kOpenAi),
          door(Method::kPost, "/v1/messages", Dialect::kAnthropic),
          door(Method::kGet, "/v1/models", Dialect::kOpenAi),
          door(Method::kPost, "/api/v1/{tenant}/{provider}", Dialect::kGateway),
          door(Method::kPost, "/admin/users", Dialect::kAdmin),
          door(Method::kGet, "/page", Dialect::kPortal)};
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("model door: an encoded body is read as its text", "[unit][http]") {
  TestServer server(doors());
  RawClient client(server.port());
  const std::string text = R"({"model":"m","input":"hello"})";
  for (const char* path : {"/v1/responses", "/v1/messages"}) {
    for (const char* coding : {"deflate", "Deflate", "identity, deflate"}) {
      INFO(path << " " << coding);
      const RawResponse response =
          client.request("POST", path, {{"Content-Encoding", coding}}, deflated(text));
      CHECK(response.status == 200);
      CHECK(response.body == text);
    }
  }
  CHECK(client.request("POST", "/v1/responses", {{"Content-Encoding", "identity"}}, text).body ==
        text);
  // Two lines are one list; a chunked body is decoded too.
  const std::string twice = deflated(deflated(text));
  CHECK(client
            .request("POST", "/v1/responses",
                     {{"Content-Encoding", "deflate"}, {"Content-Encoding", "deflate"}}, twice)
            .body == text);
  const std::string once = deflated(text);
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", once.size());
  client.send(
      "POST /v1/responses HTTP/1.1\r\nHost: h\r\nContent-Encoding: deflate\r\n"
      "Transfer-Encoding: chunked\r\n\r\n" +
      (size + once) + "\r\n0\r\n\r\n");
  CHECK(client.read_response().body == text);
  // The connection was kept all along.
  CHECK(client.request("POST", "/v1/responses", {}, text).body == text);
}

TEST_CASE("model door: encoded bodies are bounded by their text, broken ones refused",
          "[fault][http]") {
  TestServer server(doors());
  const auto post = [&](const std::string& body) {
    return fetch(server.port(), "POST", "/v1/responses", {{"Content-Encoding", "deflate"}}, body);
  };
  CHECK(post(deflated(std::string(kBodyMaxBytes, 'x'))).status == 200);
  const RawResponse large = post(deflated(std::string(kBodyMaxBytes + 1, 'x')));
  CHECK(large.status == 413);
  CHECK(has(large.body, "The decoded request body is over the limit of 100000 bytes."));
  CHECK(post(deflated(std::string(64 << 20, '\0'))).status == 413);
  const RawResponse plain = post(R"({"model":"m"})");
  CHECK(plain.status == 400);
  CHECK(has(plain.body, "deflate coding of the body is broken"));
  CHECK(post(deflated("half").substr(0, 6)).status == 400);
}

TEST_CASE("model door: an encoding that is not accepted is refused in the door's words",
          "[unit][http]") {
  TestServer server(doors());
  const auto post = [&](const char* path, const char* coding) {
    return fetch(server.port(), "POST", path, {{"Content-Encoding", coding}}, "abc");
  };
  const RawResponse openai = post("/v1/responses", "compress");
  CHECK(openai.status == 415);
  CHECK(openai.header("accept-encoding") == "gzip, deflate, br, zstd");
  CHECK(has(openai.body, R"("type":"invalid_request_error")"));
  CHECK(has(openai.body, "'compress' is not accepted here"));
  const RawResponse anthropic = post("/v1/messages", "compress");
  CHECK(anthropic.status == 415);
  CHECK(has(anthropic.body, R"({"type":"error","error":{"type":"invalid_request_error")"));
  const RawResponse gateway = post("/api/v1/t/p", "gzip");
  CHECK(gateway.status == 415);
  CHECK(gateway.header("accept-encoding") == "identity");
  CHECK(has(gateway.body, R"("code":"VALIDATION_ERROR","status":415)"));
  CHECK(post("/admin/users", "gzip").status == 415);
  CHECK(post("/admin/users", "identity").status == 200);
  // Nothing is encoded where there is no body.
  CHECK(fetch(server.port(), "GET", "/v1/models", {{"Content-Encoding", "gzip"}}).status == 200);
}

TEST_CASE("model door: a WebSocket is refused with 426 at once", "[unit][http]") {
  TestServer server(doors());
  RawClient client(server.port());
  const std::vector<std::pair<std::string, std::string>> handshake = {
      {"Connection", "keep-alive, Upgrade"},
      {"Upgrade", "WebSocket"},
      {"Sec-WebSocket-Version", "13"},
      {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  for (const char* path : {"/v1/responses", "/v1/messages", "/v1/models", "/api/v1/t/p"}) {
    INFO(path);
    const RawResponse refused = client.request("GET", path, handshake);
    CHECK(refused.status == 426);
    CHECK(refused.head.starts_with("HTTP/1.1 426 Upgrade Required"));
    CHECK(has(refused.body, "WebSockets are not spoken here; send the request by POST"));
    CHECK(refused.header("upgrade").empty());
  }
  CHECK(has(client.request("GET", "/v1/messages", handshake).body, R"("type":"error")"));
  CHECK(client.request("GET", "/v1/realtime", handshake).status == 404);
  CHECK(client.request("GET", "/page", handshake).status == 200);
  CHECK(client.request("GET", "/v1/responses", {{"Upgrade", "h2c"}}).status == 405);
  CHECK(client.request("GET", "/v1/responses", {{"Upgrade", "h2c"}, {"Upgrade", "websocket"}})
            .status == 426);
  CHECK(client.request("GET", "/v1/models").status == 200);
}

TEST_CASE("server: a query parameter that nobody reads is refused by name", "[unit][http]") {
  http::Route list = door(Method::kGet, "/admin/requests", Dialect::kAdmin);
  list.guard = http::with_known_query(http::public_access(), "user_id limit");
  http::Route one = door(Method::kPost, "/admin/requests", Dialect::kGateway);
  one.guard = http::with_known_query(http::public_access(), "");
  http::Route any = door(Method::kGet, "/any", Dialect::kPortal);
  int guarded = 0;
  http::Route closed = door(Method::kGet, "/closed", Dialect::kAdmin);
  closed.guard = http::with_known_query(
      [&](const Request&) -> Result<Principal> {
        guarded++;
        return unauthenticated("Unknown key.");
      },
      "");
  TestServer server({list, one, any, closed});
  const auto get = [&](const char* target) { return fetch(server.port(), "GET", target); };
  for (const char* known :
       {"/admin/requests", "/admin/requests?", "/admin/requests?limit=1",
        "/admin/requests?&user_id=u&&limit=2", "/admin/requests?%6cimit=1", "/any?x=1", "/any?x"}) {
    INFO(known);
    CHECK(get(known).status == 200);
  }
  const RawResponse refused = get("/admin/requests?limit=1&status=429");
  CHECK(refused.status == 400);
  CHECK(refused.body ==
        R"({"error":"The query parameter 'status' is not known here; known are user_id, limit.",)"
        R"("code":"invalid_request"})");
  for (const char* unknown : {"/admin/requests?status", "/admin/requests?Limit=1",
                              "/admin/requests?user_id%20limit=1", "/admin/requests?=1"}) {
    INFO(unknown);
    CHECK(get(unknown).status == 400);
  }
  const RawResponse twice = get("/admin/requests?limit=1&%6cimit=2");
  CHECK(twice.status == 400);
  CHECK(has(twice.body, "The query parameter 'limit' is given twice; give it once."));
  const RawResponse none = fetch(server.port(), "POST", "/admin/requests?_=1");
  CHECK(none.status == 400);
  CHECK(has(none.body, R"("error":"The query parameter '_' is not known here; none is.",)"
                       R"("code":"VALIDATION_ERROR")"));
  CHECK(get("/closed?x=1").status == 401);  // Who may not come in learns nothing else.
  CHECK(guarded == 1);
}

TEST_CASE("server: a client that sends all of a body that is refused reads its answer",
          "[unit][http]") {
  http::Route closed = door(Method::kPost, "/closed", Dialect::kOpenAi);
  closed.body_max_bytes = http::mib(64);
  closed.guard = [](const Request&) -> Result<Principal> {
    return unauthenticated("Unknown key.");
  };
  std::vector<http::Route> table = doors();
  table.push_back(closed);
  TestServer server(table);
  // More than socket buffers hold, and nothing is read before all of it is out.
  const std::string body(40 << 20, 'x');
  const auto status_of = [&](const std::string& head, const std::string& sent) {
    RawClient client(server.port());
    client.send(head);
    CHECK(client.send(sent));
    const RawResponse response = client.read_response();
    CHECK(response.complete);
    return response.status;
  };
  const std::string length =
      "Host: h\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  CHECK(status_of("POST /v1/responses HTTP/1.1\r\n" + length, body) == 413);
  CHECK(status_of("POST /closed HTTP/1.1\r\n" + length, body) == 401);
  CHECK(status_of("POST /closed HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
                  "2800000\r\n" + body + "\r\n0\r\n\r\n") == 401);
}

TEST_CASE("request: lines of one list header are joined in order", "[unit][http]") {
  Request request;
  request.headers = {{"If-Match", "\"a\""}, {"x", "y"}, {"if-match", "\"b\", \"c\""}};
  CHECK(http::header_list(request, "IF-MATCH") == "\"a\", \"b\", \"c\"");
  CHECK(http::header_list(request, "x") == "y");
  CHECK_FALSE(http::header_list(request, "z"));
  Response response;
  CHECK(http::decide_range(request, 10, "c", response).status == 200);
  CHECK(http::decide_range(request, 10, "d", response).status == 412);
  request.headers = {{"If-None-Match", "\"a\""}, {"If-None-Match", "\"c\""}};
  CHECK(http::decide_range(request, 10, "c", response).status == 304);
}

TEST_CASE("request: one bearer on several lines is one", "[unit][http]") {
  Request request;
  request.headers = {{"Authorization", "Bearer a"}, {"authorization", "Bearer a"}};
  CHECK(request.bearer().value() == "a");
  request.headers[1].value = "Bearer b";
  CHECK(request.bearer().code() == Code::kUnauthenticated);
}
