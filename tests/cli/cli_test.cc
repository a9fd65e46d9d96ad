// The command line: arguments become an Invocation or a usage error, and help is complete.
#include "cli/cli.h"

#include <catch2/catch.hpp>

#include "app/commands.h"
#include "base/bytes.h"

using namespace kvcs;
using namespace kvcs::cli;

namespace {

struct Outcome {
  int code;
  std::string out, error;
};

std::vector<Command> every_command() {
  std::vector<Command> all = app_commands();
  for (Command& command : commands()) all.push_back(std::move(command));
  return all;
}

Outcome run(const std::vector<std::string>& arguments, const std::vector<Command>& all) {
  Outcome outcome{};
  outcome.code = run_cli(
      arguments, all, [&](std::string_view bytes) { outcome.out += bytes; },
      [&](std::string_view bytes) { outcome.error += bytes; });
  return outcome;
}

std::vector<Command> sample(Invocation& seen) {
  return {{.name = "store put",
           .summary = "Put something.",
           .options = {{.name = "KEY", .help = "The key.", .required = true},
                       {.name = "-n,--count",
                        .kind = ValueKind::kNumber,
                        .help = "How many.",
                        .fallback = "7",
                        .min = 1,
                        .max = 10},
                       {.name = "--mode", .help = "How.", .choices = {"fast", "safe"}},
                       {.name = "--tag", .kind = ValueKind::kList, .help = "Tags."},
                       {.name = "--token",
                        .help = "Token.",
                        .required = true,
                        .env = {"KVCS_TEST_CLI_TOKEN", "KVCDN_TEST_CLI_TOKEN"}},
                       {.name = "--force", .kind = ValueKind::kFlag, .help = "Do it."}},
           .examples = {{"kvcs store put a --token t", "Puts a."}},
           .run = [&seen](const Invocation& in, Console& console) {
             seen = in;
             console.note("a note");
             console.print("done");
             return 3;
           }}};
}

}  // namespace

TEST_CASE("cli: options, arguments, defaults and lists reach the command", "[unit][cli]") {
  Invocation seen;
  const Outcome outcome = run(
      {"store", "put", "k1", "--token", "t", "--tag", "a", "--tag", "b", "--mode=safe", "--force"},
      sample(seen));
  CHECK(outcome.code == 3);
  CHECK(outcome.out == "done\n");
  CHECK(outcome.error == "a note\n");
  CHECK(seen.text("key") == "k1");
  CHECK(seen.number("count") == 7);
  CHECK(seen.list("tag") == std::vector<std::string>{"a", "b"});
  CHECK(seen.text("mode") == "safe");
  CHECK(seen.flag("force"));
}

TEST_CASE("cli: quiet and --json silence the notes", "[unit][cli]") {
  Invocation seen;
  CHECK(run({"store", "put", "k", "--token", "t", "-q"}, sample(seen)).error.empty());
  CHECK(run({"store", "put", "k", "--token", "t", "--json"}, sample(seen)).error.empty());
  CHECK_FALSE(seen.flag("force"));
}

TEST_CASE("cli: the environment fills an option, the command line wins", "[unit][cli]") {
  Invocation seen;
  setenv("KVCDN_TEST_CLI_TOKEN", "second", 1);
  CHECK(run({"store", "put", "k"}, sample(seen)).code == 3);
  CHECK(seen.text("token") == "second");
  setenv("KVCS_TEST_CLI_TOKEN", "first", 1);
  CHECK(run({"store", "put", "k"}, sample(seen)).code == 3);
  CHECK(seen.text("token") == "first");
  CHECK(run({"store", "put", "k", "--token", "typed"}, sample(seen)).code == 3);
  CHECK(seen.text("token") == "typed");
  unsetenv("KVCS_TEST_CLI_TOKEN");
  unsetenv("KVCDN_TEST_CLI_TOKEN");
}

TEST_CASE("cli: wrong usage ends with 2 and says what is wrong", "[unit][cli]") {
  Invocation seen;
  const std::vector<Command> all = sample(seen);
  const std::vector<std::vector<std::string>> wrong = {
      {"store", "put", "--token", "t"},
      {"store", "put", "k"},
      {"store", "put", "k", "--token", "t", "--count", "11"},
      {"store", "put", "k", "--token", "t", "--count", "1x"},
      {"store", "put", "k", "--token", "t", "--mode", "slow"},
      {"store", "put", "k", "--token", "t", "--nope"},
      {"store", "put", "k", "--token", "t", "extra"},
      {"store"},
      {"nope"},
  };
  for (const auto& arguments : wrong) {
    INFO(arguments.back());
    const Outcome outcome = run(arguments, all);
    CHECK(outcome.code == kExitUsage);
    CHECK(outcome.error.find("error:") == 0);
    CHECK(outcome.out.empty());
  }
  CHECK(run({}, all).code == kExitUsage);
  CHECK(run({"stroe"}, all).error ==
        "error: 'stroe' is no command of `kvcs`. Did you mean 'store'?\n");
  CHECK(run({"store", "frobnicate"}, all)
            .error.starts_with("error: 'frobnicate' is no command of `kvcs store`. It has: put"));
  CHECK(run({"store"}, all).error.starts_with("error: `kvcs store` needs a command. It has: put"));
  CHECK(run({"store", "put", "k", "--token", "t", "extra"}, all)
            .error.ends_with("Run `kvcs store put --help` for its usage.\n"));
}

TEST_CASE("cli: a failure is text, or JSON with a code under --json", "[unit][cli]") {
  std::string error;
  Console text(
      {}, [](std::string_view) {}, [&](std::string_view b) { error += b; });
  CHECK(text.fail(not_found("No artifact \x1b[31m.")) == kExitFailed);
  CHECK(error.find("error: No artifact") == 0);
  CHECK(error.find('\x1b') == std::string::npos);
  error.clear();
  Console json(
      {.json = true}, [](std::string_view) {}, [&](std::string_view b) { error += b; });
  json.fail(not_found("gone").with_reason("org_not_found"));
  CHECK(error == R"({"error":"gone","code":"not_found","reason":"org_not_found"})"
                 "\n");
}

TEST_CASE("cli: wrong usage has a code too, wherever --json stands", "[unit][cli]") {
  Invocation seen;
  const std::vector<Command> all = sample(seen);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--json", "nope"},
        {"store", "put", "--nope", "--json"},
        {"store", "put", "k", "--token", "t", "--count", "x", "--json"}}) {
    const Outcome outcome = run(arguments, all);
    CHECK(outcome.code == kExitUsage);
    CHECK(outcome.error.starts_with("{\"error\":\""));
    CHECK(outcome.error.ends_with("\",\"code\":\"usage\"}\n"));
  }
}

TEST_CASE("cli: every command has a summary, examples and help that shows them", "[unit][cli]") {
  const std::vector<Command> all = every_command();
  CHECK(all.size() >= 1);
  for (const Command& command : all) {
    INFO(command.name);
    CHECK_FALSE(command.summary.empty());
    REQUIRE_FALSE(command.examples.empty());
    std::vector<std::string> arguments;
    for (const std::string_view word : split(command.name, ' ')) arguments.emplace_back(word);
    arguments.push_back("--help");
    const Outcome outcome = run(arguments, all);
    CHECK(outcome.code == kExitOk);
    for (const Example& example : command.examples) {
      CHECK(example.line.find("kvcs " + command.name) != std::string::npos);
      CHECK(outcome.out.find(example.line) != std::string::npos);
    }
    CHECK(outcome.out.find("--json") != std::string::npos);
  }
}

TEST_CASE("cli: the version is printed by command and by flag", "[unit][cli]") {
  CHECK(run({"version"}, every_command()).out.find("kvcs ") == 0);
  CHECK(run({"version", "--json"}, every_command()).out.find("\"version\"") != std::string::npos);
  CHECK(run({"--version"}, every_command()).code == kExitOk);
}
