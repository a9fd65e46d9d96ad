// Goal: any request of the API can be made by hand, with the key that belongs to it, and its answer
// is printed whole. Method: a server that answers what the test says and keeps what it was asked.
#include <nlohmann/json.hpp>

#include "cli/cli_desk.h"

using namespace kvcs;
using kvcs::test::CliDesk;
using kvcs::test::Env;
using kvcs::test::Stdin;
using kvcs::test::Words;

namespace {

struct ApiDesk : CliDesk {
  // What the line asked for, "" when it asked nothing.
  std::string asks(Words line) {
    line.insert(line.begin(), "api");
    CHECK(run(line) == 0);
    const Words asked = requests();
    return asked.size() == 1 ? asked.front() : "";
  }
  bool has_header(const std::string& line) { return head().find(line + "\r\n") != head().npos; }
};

}  // namespace

TEST_CASE("api: method, path, fields and bodies", "[unit][cli]") {
  ApiDesk desk;
  CHECK(desk.asks({"/api/v1/quota"}) == "GET /api/v1/quota");
  CHECK(desk.out == "{}");
  CHECK(desk.has_header("authorization: Bearer kv_key-1"));
  CHECK(desk.asks({"/a?x=1", "--field", "q=a b"}) == R"(POST /a?x=1 {"q":"a b"})");
  CHECK(desk.has_header("content-type: application/json"));
  CHECK(desk.asks({"get", "/a?x=1", "--field", "q=a b", "--field", "n=2"}) ==
        "GET /a?x=1&q=a%20b&n=2");
  CHECK(desk.asks({"DELETE", "/a"}) == "DELETE /a");
  // What looks like a value of JSON is one, but for what has a form of its own.
  CHECK(desk.asks({"PATCH", "/a", "--field", "a=1", "--field", "b=true", "--field", "c=null",
                   "--field", "d=1.5", "--field", "e=[1]", "--field", "f="}) ==
        R"(PATCH /a {"a":1,"b":true,"c":null,"d":"1.5","e":"[1]","f":""})");
  CHECK(desk.asks({"/a", "--input", desk.write("body", "[1]")}) == "POST /a [1]");
  {
    const Stdin piped("text");
    CHECK(desk.asks({"PUT", "/a", "--input", "-", "--header", "Content-Type: text/plain",
                     "--header", "If-Match: \"1\""}) == "PUT /a text");
  }
  CHECK(desk.has_header("content-type: text/plain"));
  CHECK(desk.has_header("if-match: \"1\""));
}

TEST_CASE("api: each door has its key", "[unit][cli]") {
  ApiDesk desk;
  CHECK(desk.asks({"/admin/health"}) == "GET /admin/health");
  CHECK(desk.has_header("authorization: Bearer ka_admin-1"));
  const Env agent("AGENT_TOKEN", "kt_agent");
  CHECK(desk.asks({"/api/v1/kahuna/hubspot", "--key-env", "AGENT_TOKEN"}) ==
        "GET /api/v1/kahuna/hubspot");
  CHECK(desk.has_header("authorization: Bearer kt_agent"));
  CHECK(desk.run({"api", "/a", "--key-env", "NOT_SET"}) == 1);
  CHECK(desk.requests().empty());
}

TEST_CASE("api: an answer is printed as it came, also one that refuses", "[unit][cli]") {
  ApiDesk desk;
  const std::string bytes("\0\x1b{", 3);
  desk.answer({{bytes}});
  REQUIRE(desk.run({"api", "/a"}) == 0);
  CHECK(desk.out == bytes);
  desk.answer({{R"({"a":1})"}});
  REQUIRE(desk.run({"api", "/a", "--json"}) == 0);
  CHECK(desk.out == "{\n  \"a\": 1\n}\n");
  desk.answer({{"a\n\x1b[2J"}});
  REQUIRE(desk.run({"api", "/a", "--json"}) == 0);
  CHECK(desk.out == "a\n\\x1b[2J\n");
  desk.answer({{R"({"error":"No."})", "403 Forbidden"}});
  CHECK(desk.run({"api", "/a"}) == 1);
  CHECK(desk.out == R"({"error":"No."})");
  CHECK(desk.error == "error: No.\n");
  desk.answer({{"x", "200 OK", "ETag: \"7\"\r\n"}});
  REQUIRE(desk.run({"api", "/a", "-i"}) == 0);
  CHECK(desk.out.starts_with("HTTP 200\n"));
  CHECK(desk.out.find("etag: \"7\"\n") != std::string::npos);
  CHECK(desk.out.ends_with("\n\nx"));
}

TEST_CASE("api: what is no request is not sent", "[unit][cli]") {
  ApiDesk desk;
  const std::vector<std::pair<Words, std::string>> refused = {
      {{"api/v1/quota"}, "'api/v1/quota' is no path"},
      {{"https://evil.example/a"}, "is no path"},
      {{"FETCH", "/a"}, "'FETCH' is not one of: GET, HEAD,"},
      {{"GET", "/a", "/b"}, "not 3 words."},
      {{"/a", "--field", "q"}, "--field: 'q' is not NAME=VALUE."},
      {{"/a", "--field", "=q"}, "is not NAME=VALUE."},
      {{"/a", "--field", "a=1", "--input", "-"}, "--field and --input: give one of them."},
      {{"/a", "--header", "x"}, "--header: 'x' is not NAME: VALUE."},
      {{"/a", "--header", "Authorization: Bearer x"}, "--key-env names its variable."},
  };
  for (const auto& [more, words] : refused) {
    Words line = {"api"};
    line.insert(line.end(), more.begin(), more.end());
    INFO(words);
    CHECK(desk.run(line) == 2);
    CHECK(desk.error.find(words) != std::string::npos);
    CHECK(desk.requests().empty());
  }
}
