// Goal: heads and bodies on which parsers have disagreed are answered as RFC 9112 says, or more
// strictly; one answer a request, and nothing hangs. Method: tests/data/http/requests.jsonl has
// such requests from the tests of llhttp, gunicorn and picohttpparser, each with what they expect
// and with the statuses that ours answers it with before it closes.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <fstream>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "support/raw_client.h"
#include "support/source_dir.h"
#include "support/test_server.h"

using namespace kvcs;
using namespace kvcs::test;
using http::Method;

namespace {

// Every path of few segments reads its body and answers 200.
std::vector<http::Route> all_paths() {
  std::vector<http::Route> routes;
  for (const Method method :
       {Method::kGet, Method::kPost, Method::kPut, Method::kPatch, Method::kDelete}) {
    std::string pattern = "/";
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      routes.push_back(route(
          method, pattern,
          [](http::Request& request) -> Result<http::Response> {
            return http::text_response(200,
                                       std::to_string(KVCS_TRY(request.body->read_all()).size()));
          },
          http::kib(64)));
      pattern += (pattern.size() > 1 ? "/{" : "{") + std::string(name) + "}";
    }
  }
  return routes;
}

// The statuses of all answers until the server closes; -1 at the end when it does not.
std::vector<int> answers(int port, std::string_view bytes) {
  RawClient client(port);
  (void)client.send(bytes);
  client.finish_sending();
  std::string text;
  for (std::string more; !(more = client.read_some()).empty();) text += more;
  std::vector<int> statuses;
  constexpr std::string_view kStart = "HTTP/1.1 ";
  for (size_t at = text.find(kStart); at != text.npos; at = text.find(kStart, at + 1)) {
    const std::string_view code = std::string_view(text).substr(at + kStart.size(), 3);
    const Result<uint64_t> status = parse_u64(code, "status");
    if (status.ok()) statuses.push_back(static_cast<int>(*status));
  }
  if (!client.closed_by_server()) statuses.push_back(-1);
  return statuses;
}

}  // namespace

TEST_CASE("requests: what parsers have disagreed on", "[unit][http]") {
  TestServer server(all_paths());
  std::ifstream file(std::string(source_dir()) + "/tests/data/http/requests.jsonl");
  int count = 0;
  for (std::string line; std::getline(file, line); count++) {
    const auto row = parse_json(line);
    REQUIRE(row.ok());
    INFO((*row)["source"].get<std::string>() << ": " << (*row)["name"].get<std::string>());
    const auto bytes = from_base64((*row)["data"].get<std::string>());
    REQUIRE(bytes.ok());
    CHECK(answers(server.port(), *bytes) == (*row)["answers"].get<std::vector<int>>());
  }
  CHECK(count > 250);
  CHECK(fetch(server.port(), "GET", "/").status == 200);
}

TEST_CASE("requests: a part of a body is not put as the whole", "[unit][http]") {
  TestServer server(all_paths());
  const RawResponse refused =
      fetch(server.port(), "PUT", "/file", {{"Content-Range", "bytes 4-6/7"}}, "abc");
  CHECK(refused.status == 400);
  CHECK(refused.body.find("Content-Range") != std::string::npos);
  CHECK(fetch(server.port(), "PUT", "/file", {}, "abc").status == 200);
}
