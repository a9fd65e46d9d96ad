// Goal: options become the members and parameters that were meant, pages become one list, and
// nothing is destroyed before somebody said yes. Method: the shared functions of the
// administrator's commands, called as the commands call them; a server on loopback for lists.
#include "cli/admin_calls.h"

#include <nlohmann/json.hpp>

#include <map>

#include "cli/cli_desk.h"
#include "cli/confirm.h"

using namespace kvcs;
using namespace kvcs::cli;
using kvcs::test::CliDesk;
using kvcs::test::Stdin;
using kvcs::test::Words;

namespace {

Invocation given(const std::map<std::string, Words>& options) {
  Invocation in;
  for (const auto& [name, values] : options) in.set(name, values);
  return in;
}

struct Paper {
  explicit Paper(Console::Mode mode = {})
      : console(
            mode, [this](std::string_view text) { out += text; },
            [this](std::string_view text) { error += text; }) {}
  std::string out, error;
  Console console;
};

}  // namespace

TEST_CASE("admin calls: only options that were given become members", "[unit][cli]") {
  const Invocation in = given({{"name", {"Acme"}}, {"slug", {}}});
  CHECK(body_of(in, {{"name", "display_name"}, {"slug", "slug"}}).value() ==
        Json{{"display_name", "Acme"}});
  CHECK(dump_json(body_of(given({{"slug", {}}}), {{"slug", "slug"}}).value()) == "{}");
}

TEST_CASE("admin calls: a limit is a whole number or none", "[unit][cli]") {
  const auto limit = [](const std::string& word) {
    return body_of(given({{"rate", {word}}}), {{"rate", "requests", MemberKind::kLimit}});
  };
  CHECK(dump_json(limit("none").value()) == R"({"requests":null})");
  CHECK(dump_json(limit("60").value()) == R"({"requests":60})");
  CHECK(dump_json(limit("0").value()) == R"({"requests":0})");
  for (const char* bad : {"-1", "1.5", "many", ""}) {
    INFO("'" << bad << "'");
    CHECK(limit(bad).status().message() ==
          "--rate: '" + std::string(bad) + "' is neither a whole number nor none.");
  }
}

TEST_CASE("admin calls: a price keeps its digits, and none takes it back", "[unit][cli]") {
  const auto price = [](const std::string& word) {
    return dump_json(
        body_of(given({{"in", {word}}}), {{"in", "input", MemberKind::kPrice}}).value());
  };
  CHECK(price("0.000000150") == R"({"input":"0.000000150"})");
  CHECK(price("none") == R"({"input":null})");
}

TEST_CASE("admin calls: a list is its words, and all is the empty list", "[unit][cli]") {
  const auto list = [](const Words& words) {
    return dump_json(
        body_of(given({{"model", words}}), {{"model", "models", MemberKind::kList}}).value());
  };
  CHECK(list({"a", "b"}) == R"({"models":["a","b"]})");
  CHECK(list({"all"}) == R"({"models":[]})");
  CHECK(list({"all", "b"}) == R"({"models":["all","b"]})");
}

TEST_CASE("admin calls: true is true and everything else is not", "[unit][cli]") {
  for (const auto& [word, value] : std::map<std::string, bool>{{"true", true}, {"false", false}}) {
    const Json body =
        body_of(given({{"log", {word}}}), {{"log", "log", MemberKind::kBoolean}}).value();
    CHECK(body == Json{{"log", value}});
  }
}

TEST_CASE("admin calls: a query has what was given, encoded", "[unit][cli]") {
  const Invocation in = given({{"from", {"2026-01-01"}}, {"model", {"a/b&c d"}}, {"org", {}}});
  CHECK(query_of(in, {{"from", "since"}, {"org", "org_id"}, {"model", "model"}}) ==
        "?since=2026-01-01&model=a%2Fb%26c%20d");
  CHECK(query_of(in, {{"org", "org_id"}}).empty());
}

TEST_CASE("admin calls: pages are read to their end", "[unit][cli]") {
  CliDesk desk;
  ApiClient api(find_admin_settings(ServerFlags{}));
  desk.answer({{R"({"keys":[1,2],"cursor":"a/b"})"}, {R"({"keys":[3],"cursor":null})"}});
  CHECK(read_pages(api, "/list", "keys").value() == Json{1, 2, 3});
  CHECK(desk.requests() == Words{"GET /list?limit=100", "GET /list?limit=100&cursor=a%2Fb"});
}

TEST_CASE("admin calls: no more is asked for than is wanted", "[unit][cli]") {
  CliDesk desk;
  ApiClient api(find_admin_settings(ServerFlags{}));
  desk.answer({{R"({"keys":[1,2],"cursor":"c"})"}, {R"({"keys":[3],"cursor":"d"})"}});
  CHECK(read_pages(api, "/list?prefix=p", "keys", 3).value() == Json{1, 2, 3});
  CHECK(desk.requests() ==
        Words{"GET /list?prefix=p&limit=3", "GET /list?prefix=p&limit=1&cursor=c"});
}

TEST_CASE("admin calls: a list that is none is the server's failure", "[unit][cli]") {
  CliDesk desk;
  ApiClient api(find_admin_settings(ServerFlags{}));
  for (const char* odd : {"[]", "{}", R"({"keys":{}})", "7"}) {
    desk.answer({{odd}});
    CHECK(read_pages(api, "/list", "keys").code() == Code::kUpstream);
  }
}

TEST_CASE("admin calls: a member is shown as a person reads it", "[unit][cli]") {
  const Json object = {{"null", nullptr},       {"text", "a\x1b[1m"}, {"words", {"a", "b"}},
                       {"none", Json::array()}, {"number", 7},        {"mixed", {"a", 1}},
                       {"object", {{"a", 1}}},  {"flag", true}};
  const std::map<std::string, std::string> rows = {
      {"absent", "-"}, {"null", "-"},   {"text", "a\\x1b[1m"},   {"words", "a, b"},
      {"none", "-"},   {"number", "7"}, {"mixed", R"(["a",1])"}, {"object", R"({"a":1})"},
      {"flag", "true"}};
  for (const auto& [member, text] : rows) {
    INFO(member);
    CHECK(shown(object, member) == text);
  }
}

TEST_CASE("admin calls: a list is a table, JSON, or the words that there is nothing",
          "[unit][cli]") {
  const std::vector<Column> columns = {{"ID", "id"}, {"NAME", "name"}};
  const Json list = {{{"id", 1}, {"name", "a"}, {"more", "x"}}, {{"id", 20}}};
  Paper table, json({.json = true}), empty, empty_json({.json = true});
  CHECK(show_list(table.console, list, columns, "None.") == kExitOk);
  CHECK(table.out == "ID  NAME\n 1  a\n20  -\n");
  CHECK(show_list(json.console, list, columns, "None.") == kExitOk);
  CHECK(parse_json(json.out).value() == list);
  CHECK(show_list(empty.console, Json::array(), columns, "None.") == kExitOk);
  CHECK(empty.out.empty());
  CHECK(empty.error == "None.\n");
  CHECK(show_list(empty_json.console, Json::array(), columns, "None.") == kExitOk);
  CHECK(empty_json.out == "[]\n");
  CHECK(show_list(table.console, not_found("Gone."), columns, "None.") == kExitFailed);
}

TEST_CASE("admin calls: one object is its members, and done is said once", "[unit][cli]") {
  Paper fields, done, json({.json = true});
  CHECK(show_object(fields.console, Json{{"a", 1}, {"long", "x"}}) == kExitOk);
  CHECK(fields.out == "a     1\nlong  x\n");
  Paper lists;
  const Json nested{{"id", 7},
                    {"of", {{"items", {{{"k", 1}, {"n", "x"}}, {{"k", 20}, {"m", {"a", "b"}}}}}}}};
  CHECK(show_object(lists.console, nested) == kExitOk);
  CHECK(lists.out == "id  7\n\nof.items:\n k  n  m\n 1  x  -\n20  -  a, b\n");
  CHECK(show_done(done.console, ok(), "Removed.") == kExitOk);
  CHECK(done.out.empty());
  CHECK(done.error == "Removed.\n");
  CHECK(show_done(json.console, ok(), "Removed.") == kExitOk);
  CHECK(parse_json(json.out).value() == Json{{"done", true}});
  CHECK(show_done(done.console, conflict("Busy."), "Removed.") == kExitFailed);
}

TEST_CASE("admin calls: input is read to its limit and no further", "[unit][cli]") {
  const CliDesk desk;
  const std::string path = desk.write("five", "12345");
  CHECK(read_input(path, 5).value() == "12345");
  CHECK(read_input(path, 4).code() == Code::kTooLarge);
  CHECK_FALSE(read_input(desk.folder.file("none"), 5).ok());
  {
    const Stdin typed("12345");
    CHECK(read_input("-", 5).value() == "12345");
  }
  const Stdin typed("12345");
  CHECK(read_input("-", 4).status().message() == "stdin has 5 bytes; the limit is 4.");
}

TEST_CASE("confirm: only yes goes on", "[unit][cli]") {
  const Invocation in = given({{"yes", {}}});
  for (const char* yes : {"y\n", "yes\n", " YES \n", "Y"}) {
    INFO(yes);
    const Stdin typed(yes);
    Paper paper;
    CHECK_FALSE(declined(in, paper.console, "Delete it?").has_value());
    CHECK(paper.error == "Delete it? [y/N] ");
  }
  for (const char* no : {"n\n", "\n", "yess\n", "no\n", "ye\n"}) {
    INFO(no);
    const Stdin typed(no);
    Paper paper;
    CHECK(declined(in, paper.console, "Delete it?") == kExitOk);
    CHECK(paper.error == "Delete it? [y/N] Cancelled.\n");
  }
}

TEST_CASE("confirm: nobody there is a failure, and --yes asks nobody", "[unit][cli]") {
  const Stdin closed("");
  Paper asked, told;
  CHECK(declined(given({{"yes", {}}}), asked.console, "Delete it?") == kExitFailed);
  CHECK(asked.error.find("Scripts say --yes.") != std::string::npos);
  CHECK_FALSE(declined(given({{"yes", {"1"}}}), told.console, "Delete it?").has_value());
  CHECK(told.error.empty());
}

TEST_CASE("admin usage: days are told in parts", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"group_by":"day","split_by":"model","usage":[)"
                R"({"day":"2026-11-05","model":"gpt-5","requests":3}]})"}});
  CHECK(desk.run({"admin", "usage", "--split-by", "model"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/usage?group_by=day&split_by=model"});
  const size_t day = desk.out.find("2026-11-05");
  REQUIRE(day != std::string::npos);
  CHECK(desk.out.find("PART") < day);
  CHECK(desk.out.find("gpt-5") > day);
  desk.answer({{R"({"group_by":"day","usage":[]})"}});
  CHECK(desk.run({"admin", "usage"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/usage?group_by=day"});
  CHECK(desk.run({"admin", "usage", "--split-by", "day"}) == 2);
}

TEST_CASE("admin requests: each filter is the parameter of the same meaning", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"requests":[],"cursor":null})"}});
  CHECK(desk.run({"admin",      "requests",   "--org",      "o",       "--user",
                  "u",          "--key",      "k",          "--model", "m",
                  "--provider", "p",          "--request",  "r",       "--status",
                  "429",        "--outcome",  "timeout",    "--from",  "2026-11-01T00:00:00Z",
                  "--to",       "2026-12-01", "--min-cost", "0.01",    "--max-cost",
                  "1",          "--max",      "7"}) == 0);
  CHECK(desk.requests() ==
        Words{"GET /admin/usage/requests?org_id=o&user_id=u&key_id=k&model=m&provider=p"
              "&request_id=r&status=429&outcome=timeout&from=2026-11-01T00%3A00%3A00Z"
              "&to=2026-12-01&min_cost_usd=0.01&max_cost_usd=1&limit=7"});
  desk.answer({{R"({"bodies":[],"cursor":null})"}});
  CHECK(desk.run({"admin", "bodies", "list", "--model", "m"}) == 0);
  CHECK(desk.requests() == Words{"GET /admin/ai/bodies?model=m&limit=100"});
  CHECK(desk.run({"admin", "requests", "--outcome", "fine"}) == 2);
}

TEST_CASE("admin provider set: what a provider does not take can be said", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"admin", "provider", "set", "local", "--kind", "openai_compatible",
                  "--stream-options", "false", "--cancel-stops-billing", "true"}) == 0);
  CHECK(desk.requests().front() ==
        R"(PUT /admin/ai/providers/local {"kind":"openai_compatible","stream_options":false,)"
        R"("cancel_stops_billing":true})");
}

TEST_CASE("admin prices set: bounds and any other member stand in the row", "[unit][cli]") {
  CliDesk desk;
  CHECK(desk.run({"admin", "prices", "set", "local/m", "--input", "0", "--output", "0",
                  "--max-input-tokens", "131072", "--member", "web_search_cost_per_call=0.01",
                  "--member", "supports_reasoning=true"}) == 0);
  const std::string asked = desk.requests().front();
  INFO(asked);
  CHECK(asked.find(R"("max_input_tokens":"131072")") != std::string::npos);
  CHECK(asked.find(R"("web_search_cost_per_call":"0.01")") != std::string::npos);
  CHECK(asked.find(R"("supports_reasoning":"true")") != std::string::npos);
  CHECK(desk.run({"admin", "prices", "set", "local/m", "--input", "0", "--output", "0", "--member",
                  "supports_reasoning"}) == 1);
  CHECK(desk.error.find("is not NAME=VALUE") != std::string::npos);
  CHECK(desk.requests().empty());
}

TEST_CASE("admin delete: a dry run asks nobody and deletes nothing, for every kind of owner",
          "[unit][cli]") {
  CliDesk desk;
  const std::vector<std::pair<Words, std::string>> owners = {
      {{"admin", "org", "delete", "o"}, "/admin/organizations/o"},
      {{"admin", "user", "delete", "u"}, "/admin/users/u"},
      {{"gateway", "tenant", "remove", "t"}, "/admin/tenants/t"}};
  for (auto [words, path] : owners) {
    INFO(path);
    words.push_back("--dry-run");
    desk.answer({{R"({"owner":"user:u","users":1,"records":7})"}});
    CHECK(desk.run(words) == 0);
    CHECK(desk.requests() == Words{"DELETE " + path + "?dry_run=true"});
    CHECK(desk.out.find("records  7") != std::string::npos);
    words.back() = "-y";
    CHECK(desk.run(words) == 0);
    CHECK(desk.requests() == Words{"DELETE " + path});
  }
  CHECK(desk.run({"admin", "org", "delete", "o", "--force", "--dry-run"}) == 0);
  CHECK(desk.requests() == Words{"DELETE /admin/organizations/o?dry_run=true"});
}

TEST_CASE("admin delete: what goes on in the background is said, and only that", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"owner":"user:u","job":"owner-deletion"})", "202 Accepted"}});
  CHECK(desk.run({"admin", "user", "delete", "u", "-y"}) == 0);
  CHECK(desk.error.find("goes in the background, by the job owner-deletion") != std::string::npos);
  desk.answer({{"", "204 No Content"}});
  CHECK(desk.run({"admin", "user", "delete", "u", "-y"}) == 0);
  CHECK(desk.error == "Deleted user u.\n");
}

TEST_CASE("admin delete: an empty name asks nothing of the server", "[unit][cli]") {
  CliDesk desk;
  const std::vector<Words> all = {{"admin", "org", "delete", "", "-y"},
                                  {"admin", "user", "delete", "", "-y"},
                                  {"admin", "key", "revoke", "u", ""},
                                  {"admin", "prices", "delete", "m", "--org", "", "-y"},
                                  {"admin", "provider", "delete", "", "-y"},
                                  {"admin", "provider", "delete-key", "o", "", "-y"},
                                  {"gateway", "tenant", "remove", "", "-y"},
                                  {"gateway", "token", "revoke", "t", "", "-y"},
                                  {"gateway", "account", "remove", "t", "p", "", "-y"},
                                  {"kv", "delete", "", "-y"}};
  for (const Words& words : all) {
    INFO(words[0] << " " << words[1] << " " << words[2]);
    CHECK(desk.run(words) == 2);
    CHECK(desk.error.find("it is empty") != std::string::npos);
    CHECK(desk.requests().empty());
  }
}

TEST_CASE("admin alerts: the newest are listed", "[unit][cli]") {
  CliDesk desk;
  desk.answer({{R"({"alerts":[{"ts":"2026-11-29T10:00:00Z","event":"budget.80","subject":"acme",)"
                R"("status":"delivered"}],"cursor":null})"}});
  CHECK(desk.run({"admin", "alerts", "--max", "5"}) == 0);
  CHECK(desk.requests().front().starts_with("GET /admin/alerts"));
  CHECK(desk.out.find("budget.80") != std::string::npos);
}
