// Goal: a command sends what it means to send, with its key, and says what the server said. Method:
// a server on loopback that answers what the test says.
#include "cli/api_client.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/cli_desk.h"

using namespace kvcs;
using namespace kvcs::cli;
using kvcs::test::CliDesk;
using kvcs::test::Words;

namespace {

ApiSettings settings_of(CliDesk& desk) {
  ApiSettings settings;
  settings.url = "http://127.0.0.1:" + std::to_string(desk.server.port());
  settings.key = Secret("kv_key-1");
  settings.key_advice = "Set a key.";
  return settings;
}

}  // namespace

TEST_CASE("api client: each status has its code", "[unit][cli]") {
  const std::vector<std::pair<int, Code>> rows = {
      {400, Code::kInvalid},  {401, Code::kUnauthenticated}, {403, Code::kForbidden},
      {404, Code::kNotFound}, {409, Code::kConflict},        {413, Code::kTooLarge},
      {418, Code::kInvalid},  {429, Code::kRateLimited},     {500, Code::kUpstream},
      {502, Code::kUpstream}, {503, Code::kUnavailable},     {504, Code::kTimeout},
      {412, Code::kConflict}, {408, Code::kTimeout},         {425, Code::kUnavailable},
      {507, Code::kTooLarge},
  };
  for (const auto& [status, code] : rows) {
    INFO(status);
    CHECK(status_of_answer(status, "").code() == code);
  }
}

TEST_CASE("api client: a refusal is told in the server's words", "[unit][cli]") {
  const auto words = [](std::string_view body) { return status_of_answer(400, body).message(); };
  CHECK(words(R"({"error":"No."})") == "No.");
  CHECK(words(R"({"error":"size mismatch","expected":5,"actual":"6"})") ==
        "size mismatch; expected: 5; actual: 6");
  CHECK(words(R"({"error":"No.","details":{"limit":3}})") == R"(No.; details: {"limit":3})");
  CHECK(words(R"({"error":"Bad Request","details":["name: no.","tags: no."]})") ==
        "name: no. tags: no.");
  CHECK(words(R"({"error":"Bad Request","message":"A name is required."})") ==
        "A name is required.");
  CHECK(words(R"({"error":"Bad Request"})") == "Bad Request");
  CHECK(words(R"({"message":"Away."})") == "message: Away.");
  for (const char* none : {"", "<html>", "[]", "{}", R"({"error":{"x":1}})", R"({"error":7})"}) {
    CHECK(words(none) == "The server answered 400.");
  }
  CHECK(status_of_answer(400, R"({"error":"No.","code":"slug_taken"})").reason() == "slug_taken");
  const Status full =
      status_of_answer(503, R"({"error":"The disk is too full.","code":"disk_full"})");
  CHECK(full.message() == "The server's disk is too full.");
  CHECK_FALSE(is_worth_repeating(full));
}

TEST_CASE("api client: without a key nothing is asked", "[unit][cli]") {
  CliDesk desk;
  ApiSettings settings = settings_of(desk);
  settings.key = Secret("");
  const Status refused = ApiClient(settings).call("GET", "/x").status();
  CHECK(refused.code() == Code::kUnauthenticated);
  CHECK(refused.message() == "There is no key for " + settings.url + ". Set a key.");
  CHECK(desk.requests().empty());
}

TEST_CASE("api client: a key that is refused comes with advice", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"error":"Unknown key.","code":"invalid_api_key"})", "401 No"}});
  const Status refused = ApiClient(settings_of(desk)).call("GET", "/x").status();
  CHECK(refused.message() == "Unknown key. Set a key.");
  CHECK(refused.reason() == "invalid_api_key");
}

TEST_CASE("api client: how long to wait is taken when it is a sensible number", "[unit][cli]") {
  CliDesk desk;
  const std::vector<std::pair<std::string, int>> rows = {
      {"7", 7},   {"3600", 3600}, {"3601", 0}, {"-1", 0}, {"Wed, 21 Oct 2026 07:28:09 GMT", 9},
      {"soon", 0}};
  ApiClient api(settings_of(desk));
  for (const auto& [header, seconds] : rows) {
    INFO(header);
    desk.answer({{"{}", "429 Slow",
                  "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: " + header + "\r\n"}});
    const Status limited = api.call("GET", "/x").status();
    CHECK(limited.code() == Code::kRateLimited);
    CHECK(limited.retry_after_s() == seconds);
  }
}

TEST_CASE("api client: an empty answer is null, and what is no JSON is a failure", "[unit][cli]") {
  CliDesk desk;
  const ApiSettings settings = settings_of(desk);
  ApiClient api(settings);
  desk.answer({{"", "204 Done"}, {"<html>"}});
  CHECK(api.call("DELETE", "/x").value().is_null());
  CHECK(api.call("GET", "/y").status().message() == settings.url + "/y did not answer with JSON.");
}

TEST_CASE("api client: numbers keep their digits", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"price":0.00000015})"}});
  CHECK(dump_json(ApiClient(settings_of(desk)).call("GET", "/x").value()) ==
        R"({"price":0.00000015})");
}

TEST_CASE("api client: what is written back carries the tag that it came with", "[unit][cli]") {
  CliDesk desk;
  ApiClient api(settings_of(desk));
  desk.answer({{"{}", "200 OK", "ETag: \"v7\"\r\n"}});
  std::string etag;
  REQUIRE(api.get_tagged("/x", etag).ok());
  CHECK(etag == "\"v7\"");
  CHECK(lower_ascii(desk.head()).find("\r\nauthorization: bearer kv_key-1\r\n") !=
        std::string::npos);
  REQUIRE(api.put_tagged("/x", Json{{"a", 1}}, etag).ok());
  CHECK(desk.requests().back() == R"(PUT /x {"a":1})");
  CHECK(lower_ascii(desk.head()).find("if-match: \"v7\"\r\n") != std::string::npos);
  REQUIRE(api.put_tagged("/x", Json{{"a", 1}}, "").ok());
  CHECK(lower_ascii(desk.head()).find("if-match") == std::string::npos);
}

TEST_CASE("api client: bytes are fetched without the key, and only those that are missing",
          "[unit][cli]") {
  CliDesk desk;
  const ApiSettings settings = settings_of(desk);
  ApiClient api(settings);
  std::string bytes;
  const auto take = [&bytes](const http::FetchAnswer& head, std::string_view piece) {
    bytes += std::to_string(head.status) + " " + std::string(piece);
    return ok();
  };
  REQUIRE(api.get_bytes(settings.url + "/blob", {0}, "abc", "", take).ok());
  CHECK(bytes == "200 {}");
  CHECK(lower_ascii(desk.head()).find("authorization") == std::string::npos);
  CHECK(lower_ascii(desk.head()).find("range") == std::string::npos);
  REQUIRE(api.get_bytes(settings.url + "/blob", {100}, "abc", "", take).ok());
  CHECK(lower_ascii(desk.head()).find("\r\nrange: bytes=100-\r\n") != std::string::npos);
  CHECK(lower_ascii(desk.head()).find("\r\nif-range: \"abc\"\r\n") != std::string::npos);
  desk.answer({{R"({"error":"Gone."})", "404 Not Found"}, {"{}", "416 No"}});
  CHECK(api.get_bytes(settings.url + "/blob", {0}, "", "", take).message() == "Gone.");
  CHECK(api.get_bytes(settings.url + "/blob", {9}, "", "", take).reason() == "range_refused");
}

TEST_CASE("api client: a server that has moved is told, and the key stays", "[unit][cli]") {
  CliDesk desk, there;
  const ApiSettings settings = settings_of(desk);
  const std::string new_url = settings_of(there).url;
  ApiClient api(settings);
  desk.answer({{"", "301 Moved", "Location: " + new_url + "/x?a=1\r\n"},
               {"", "307 Elsewhere", "Location: /y\r\n"},
               {R"({"here":1})"}});
  const Status moved = api.call("GET", "/x?a=1").status();
  CHECK(moved.reason() == "moved");
  CHECK(moved.message().starts_with(settings.url + " has moved to " + new_url + ". "));
  CHECK(moved.message().find("set KVCS_API_URL=" + new_url + ",") != std::string::npos);
  CHECK(there.requests().empty());
  // Within the server it is followed, by the same method.
  CHECK(api.call("POST", "/x", Json{{"a", 1}}).value() == Json{{"here", 1}});
  CHECK(desk.requests().back() == R"(POST /y {"a":1})");
}

TEST_CASE("api client: a look at a URL tells size and tag, or why it was refused", "[unit][cli]") {
  CliDesk desk;
  const ApiSettings settings = settings_of(desk);
  ApiClient api(settings);
  // The length of the answer to a HEAD is that of the bytes which are not sent.
  desk.answer({{"", "200 OK", "ETag: \"abc\"\r\n"},
               {"", "403 Forbidden"},
               {R"({"error":"The signed URL expired."})", "403 Forbidden"}});
  const Result<ApiClient::Remote> found = api.look_at(settings.url + "/blob");
  REQUIRE(found.ok());
  CHECK(found->size_bytes == 0);
  CHECK(found->etag == "abc");
  const Status refused = api.look_at(settings.url + "/blob").status();
  CHECK(refused.message() == "The signed URL expired.");
  CHECK(desk.requests() == Words{"HEAD /blob", "HEAD /blob", "GET /blob"});
}

TEST_CASE("api client: a server that is not there is named", "[unit][cli]") {
  ApiSettings settings;
  settings.url = "http://127.0.0.1:1";
  settings.key = Secret("kv_1");
  const Status failed = ApiClient(settings).call("GET", "/x").status();
  CHECK(failed.message() == "http://127.0.0.1:1 cannot be reached: it refused the connection.");
}
