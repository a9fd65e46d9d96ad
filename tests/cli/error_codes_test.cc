// Goal: a failed command tells programs by the same few words what went wrong, whichever door
// refused it and in whatever dialect, and the table that people read has each of them. Method: a
// server that answers as each door does, a server that is not there, and files that are not.
#include "cli/error_codes.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "cli/cli_desk.h"
#include "support/source_file.h"

using namespace kvcs;
using namespace kvcs::cli;
using kvcs::test::CliAnswer;
using kvcs::test::CliDesk;
using kvcs::test::Env;
using kvcs::test::Words;

namespace {

// The code that a command ends with; "" for one that does not fail as it should.
std::string code_of(CliDesk& desk, Words arguments) {
  arguments.push_back("--json");
  const int exit_code = desk.run(arguments);
  const auto told = parse_json(desk.error);
  INFO(desk.error);
  REQUIRE(told.ok());
  const std::string code = text_member(*told, "code");
  const auto all = error_codes();
  const auto row =
      std::find_if(all.begin(), all.end(), [&](const ErrorCode& one) { return one.word == code; });
  REQUIRE(row != all.end());
  CHECK(exit_code == row->exit_code);
  return code;
}

}  // namespace

TEST_CASE("error codes: one word for one thing at every door", "[unit][cli]") {
  struct Row {
    CliAnswer answer;
    const char* code;
  };
  const Row rows[] = {
      {{R"({"error":"name: required."})", "400 Bad Request"}, "invalid"},
      {{R"({"error":"No.","code":"VALIDATION_ERROR"})", "400 Bad Request"}, "invalid"},
      {{R"({"error":"Too much."})", "413 Payload Too Large"}, "invalid"},
      {{R"({"error":"Unknown."})", "401 Unauthorized"}, "unauthenticated"},
      {{R"({"error":"No.","code":"AUTH_FAILED"})", "401 Unauthorized"}, "unauthenticated"},
      {{R"({"error":"No."})", "403 Forbidden"}, "forbidden"},
      {{R"({"error":"No.","code":"user_suspended"})", "403 Forbidden"}, "forbidden"},
      {{R"({"error":"No.","code":"TENANT_NOT_FOUND"})", "404 Not Found"}, "not_found"},
      {{"", "410 Gone"}, "not_found"},
      {{R"({"error":"Taken.","code":"slug_exists"})", "409 Conflict"}, "conflict"},
      {{"", "412 Precondition Failed"}, "conflict"},
      {{R"({"error":"No.","code":"rate_limited"})", "429 Too Many Requests"}, "rate_limited"},
      {{R"({"error":"No.","code":"RATE_LIMITED"})", "429 Too Many Requests"}, "rate_limited"},
      {{R"({"error":"Full.","resource":"artifacts","used":2,"requested":1,"limit":2})",
        "403 Forbidden"},
       "quota_exceeded"},
      {{R"({"error":"Full.","code":"quota_exceeded","details":{"limit":2}})", "403 Forbidden"},
       "quota_exceeded"},
      {{R"({"error":"No.","code":"CALLS_QUOTA_EXCEEDED"})", "429 Too Many Requests"},
       "quota_exceeded"},
      {{R"({"error":"No.","code":"organization_quota_exceeded"})", "429 Too Many Requests"},
       "quota_exceeded"},
      {{R"({"error":"Full.","code":"disk_full"})", "507 Insufficient Storage"}, "unavailable"},
      {{R"({"error":"Internal error."})", "500 Internal Server Error"}, "unavailable"},
      {{"", "502 Bad Gateway"}, "unavailable"},
      {{"", "503 Service Unavailable"}, "unavailable"},
      {{"", "504 Gateway Timeout"}, "timeout"},
      {{"", "408 Request Timeout"}, "timeout"},
  };
  CliDesk desk;
  for (const Row& row : rows) {
    INFO(row.answer.status << " " << row.answer.body);
    desk.answer({row.answer});
    CHECK(code_of(desk, {"quota"}) == row.code);
  }
}

TEST_CASE("error codes: without an answer, without a key, without a file", "[unit][cli]") {
  CliDesk desk;
  {
    const Env nowhere("KVCS_API_URL", "http://127.0.0.1:1");
    CHECK(code_of(desk, {"quota"}) == "unavailable");
  }
  {
    const Env no_key("KVCS_API_KEY", "");
    CHECK(code_of(desk, {"quota"}) == "unauthenticated");
  }
  CHECK(code_of(desk, {"inspect", desk.folder.file("none.kv")}) == "not_found");
  CHECK(code_of(desk, {"inspect", desk.write("no.kv", "not a cache")}) == "invalid");
  // A file is no folder, which the system says.
  CHECK(code_of(desk, {"inspect", desk.write("plain", "x") + "/inside.kv"}) == "io");
  CHECK(code_of(desk, {"list", "--limit", "many"}) == "usage");
  CHECK(code_of(desk, {"search", "caches"}) == "usage");
}

TEST_CASE("error codes: when to come back is told with the code", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"error":"No.","code":"RATE_LIMITED"})", "429 Too Many Requests",
                "Retry-After: 12\r\n"}});
  CHECK(code_of(desk, {"quota"}) == "rate_limited");
  CHECK(desk.error.find(R"("reason":"RATE_LIMITED","retry_after_s":12)") != std::string::npos);
}

TEST_CASE("error codes: the table has each code once, and people can read it", "[unit][cli]") {
  CliDesk desk;
  REQUIRE(desk.run({"help", "exit-codes"}) == 0);
  std::ifstream file(test::source_root() / "README.md");
  const std::string readme{std::istreambuf_iterator<char>(file), {}};
  std::set<std::string_view> words;
  for (const ErrorCode& one : error_codes()) {
    INFO(one.word);
    CHECK(words.insert(one.word).second);
    CHECK(desk.out.find("\n" + std::string(one.word) + " ") != std::string::npos);
    CHECK(readme.find("`" + std::string(one.word) + "`") != std::string::npos);
  }
  CHECK(words.size() == 12);
  REQUIRE(desk.run({"help", "exit-codes", "--json"}) == 0);
  const auto table = parse_json(desk.out);
  REQUIRE(table.ok());
  CHECK(table->size() == words.size());
  // Every status has a word of the table.
  for (int code = 1; code <= static_cast<int>(Code::kInternal); code++) {
    CHECK(words.contains(error_code(Status(static_cast<Code>(code), "x"))));
  }
}
