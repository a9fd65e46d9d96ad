// Goal: what is typed becomes what was meant or a sentence that says why not; and the table of
// commands keeps its promises: each option can be asked for, each example can be typed. Method:
// small commands made for the purpose, then every command of the binary with its work taken out.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <functional>
#include <new>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "app/commands.h"
#include "base/bytes.h"
#include "cli/cli.h"
#include "support/env.h"
#include "support/source_file.h"

using namespace kvcs;
using namespace kvcs::cli;
using kvcs::test::Env;

namespace {

struct Typed {
  int code = -1;
  std::string out, error;
  Invocation in;
};

Typed type(std::vector<Option> options, std::vector<std::string> words) {
  Typed typed;
  const std::vector<Command> all = {{.name = "do",
                                     .summary = "Do it.",
                                     .options = std::move(options),
                                     .examples = {{"kvcs do", ""}},
                                     .run = [&typed](const Invocation& in, Console&) {
                                       typed.in = in;
                                       return kExitOk;
                                     }}};
  words.insert(words.begin(), "do");
  typed.code = run_cli(
      words, all, [&](std::string_view text) { typed.out += text; },
      [&](std::string_view text) { typed.error += text; });
  return typed;
}

const Option kCount{
    .name = "-n,--count", .kind = ValueKind::kNumber, .help = "How many.", .min = 2, .max = 10};

std::vector<Command> every_command() {
  std::vector<Command> all = app_commands();
  for (Command& command : commands()) all.push_back(std::move(command));
  return all;
}

// The words of an example as a shell makes them: the command behind the last pipe, up to a
// redirection, without quotes.
std::vector<std::string> words_of(std::string line) {
  if (const size_t pipe = line.rfind("| kvcs "); pipe != line.npos) line = line.substr(pipe + 2);
  std::vector<std::string> words;
  std::string word;
  bool in_word = false;
  char quote = '\0';
  for (const char c : line + " ") {
    if (quote != '\0') {
      if (c == quote) quote = '\0';
      if (c != quote && quote != '\0') word += c;
    } else if (c == '\'' || c == '"') {
      quote = c;
      in_word = true;
    } else if (c != ' ') {
      word += c;
      in_word = true;
    } else if (in_word) {
      words.push_back(std::exchange(word, ""));
      in_word = false;
    }
  }
  for (size_t i = 0; i < words.size(); i++) {
    if (words[i] == "<" || words[i] == ">" || words[i] == "&&" || words[i] == "|") words.resize(i);
  }
  REQUIRE(quote == '\0');
  REQUIRE_FALSE(words.empty());
  CHECK(words.front() == "kvcs");
  words.erase(words.begin());
  return words;
}

}  // namespace

TEST_CASE("parse: both ends of a number's range belong to it", "[unit][cli]") {
  for (const char* good : {"2", "10"}) CHECK(type({kCount}, {"--count", good}).code == kExitOk);
  for (const char* bad : {"1", "11", "-3", "2.0", "+2", "0x2", "", " 2", "99999999999999999999"}) {
    INFO("'" << bad << "'");
    CHECK(type({kCount}, {"--count", bad}).code == kExitUsage);
  }
  CHECK(type({kCount}, {"--count", "11"}).error ==
        "error: -n,--count: '11' is not a whole number between 2 and 10.\n");
}

TEST_CASE("parse: a short name, a value behind = and one behind a blank are the same",
          "[unit][cli]") {
  const std::vector<std::vector<std::string>> forms = {
      {"-n", "3"}, {"--count=3"}, {"--count", "3"}, {"-n3"}};
  for (const auto& words : forms) CHECK(type({kCount}, words).in.number("count") == 3);
}

TEST_CASE("parse: an option that may be given once cannot be given twice", "[unit][cli]") {
  CHECK(type({kCount}, {"-n", "3", "-n", "4"}).code == kExitUsage);
}

TEST_CASE("parse: choices are named when the value is none of them", "[unit][cli]") {
  const Option mode{.name = "--mode", .help = "How.", .choices = {"fast", "safe"}};
  CHECK(type({mode}, {"--mode", "safe"}).in.text("mode") == "safe");
  CHECK(type({mode}, {"--mode", "Safe"}).error ==
        "error: --mode: 'Safe' is not one of: fast, safe.\n");
}

TEST_CASE("parse: what the environment says is checked as what is typed", "[unit][cli]") {
  Option option = kCount;
  option.env = {"KVCS_TEST_PARSE_COUNT"};
  {
    const Env given("KVCS_TEST_PARSE_COUNT", "11");
    CHECK(type({option}, {}).code == kExitUsage);
    CHECK(type({option}, {"-n", "3"}).in.number("count") == 3);
  }
  const Env empty("KVCS_TEST_PARSE_COUNT", "");
  option.fallback = "4";
  CHECK(type({option}, {}).in.number("count") == 4);
}

TEST_CASE("parse: the environment goes before the fallback", "[unit][cli]") {
  Option option = kCount;
  option.env = {"KVCS_TEST_PARSE_COUNT"};
  option.fallback = "4";
  const Env given("KVCS_TEST_PARSE_COUNT", "5");
  CHECK(type({option}, {}).in.number("count") == 5);
}

TEST_CASE("parse: what is required and missing is named, also when a variable may hold it",
          "[unit][cli]") {
  Option option = kCount;
  option.required = true;
  CHECK(type({option}, {}).code == kExitUsage);
  CHECK(type({option}, {}).error.find("--count") != std::string::npos);
  option.env = {"KVCS_TEST_PARSE_COUNT"};
  const Env unset("KVCS_TEST_PARSE_COUNT", std::nullopt);
  CHECK(type({option}, {}).error == "error: -n,--count: required.\n");
}

TEST_CASE("parse: what is required is not empty, and another option only where it may be",
          "[unit][cli]") {
  const Option id{.name = "ORG_ID", .help = "The organization.", .required = true};
  const Option name{.name = "--name", .help = "Its name."};
  const Option of{.name = "--org", .help = "Of that one.", .never_empty = true};
  CHECK(type({id}, {""}).error == "error: ORG_ID: it is empty.\n");
  CHECK(type({id}, {""}).code == kExitUsage);
  CHECK(type({of}, {"--org", ""}).error == "error: --org: it is empty.\n");
  CHECK(type({of}, {"--org="}).code == kExitUsage);
  CHECK(type({of}, {}).code == kExitOk);
  CHECK(type({name}, {"--name", ""}).in.optional_text("name") == "");
}

TEST_CASE("parse: words behind -- are arguments, whatever they look like", "[unit][cli]") {
  const Option file{.name = "FILE", .help = "A file."};
  CHECK(type({file, kCount}, {"--", "-n"}).in.text("file") == "-n");
}

TEST_CASE("parse: an argument's word may begin with a dash alone", "[unit][cli]") {
  const Option file{.name = "FILE", .help = "A file.", .required = true};
  CHECK(type({file}, {"-"}).in.text("file") == "-");
}

TEST_CASE("parse: the flags of every command may stand before its words", "[unit][cli]") {
  const auto run = [](std::vector<std::string> words) {
    Typed typed;
    std::vector<Command> all;
    for (const char* name : {"list", "kv get"}) {
      all.push_back({.name = name,
                     .summary = "Do it.",
                     .options = {{.name = "KEY", .help = "Which."}},
                     .examples = {{"kvcs list", ""}},
                     .run = [&typed](const Invocation& in, Console& console) {
                       typed.in = in;
                       console.note("quiet or JSON");
                       return kExitOk;
                     }});
    }
    all.push_back(all.front());
    all.back().name = "tool";
    all.back().asks_server = false;
    typed.code = run_cli(
        words, all, [&](std::string_view text) { typed.out += text; },
        [&](std::string_view text) { typed.error += text; });
    return typed;
  };
  const auto flags = [&](std::vector<std::string> words) {
    const Typed typed = run(std::move(words));
    INFO(typed.error);
    CHECK(typed.code == kExitOk);
    CHECK(typed.error.empty());
    const ServerFlags& found = typed.in.server_flags();
    return found.server + " " + found.cacert + " " + typed.in.text("key");
  };
  CHECK(flags({"--json", "list", "k"}) == "  k");
  CHECK(flags({"-q", "--server", "http://a", "list", "k"}) == "http://a  k");
  CHECK(flags({"--server=http://a", "--cacert", "c.pem", "--quiet", "kv", "get", "k"}) ==
        "http://a c.pem k");
  CHECK(flags({"list", "--json", "k", "--server", "http://a", "--cacert=c.pem"}) ==
        "http://a c.pem k");
  CHECK(flags({"--json", "list", "--", "--server"}) == "  --server");
  CHECK(run({"--json", "--help"}).code == kExitOk);
  CHECK(run({"--json"}).code == kExitUsage);
  CHECK(run({"--server", "http://a", "lst"}).error.find("Did you mean 'list'?") !=
        std::string::npos);
  CHECK(run({"--json", "kv"}).error.find("`kvcs kv` needs a command") != std::string::npos);
  CHECK(run({"list", "--server", ""}).error.find("--server: it is empty.") != std::string::npos);
  CHECK(run({"list", "--server"}).code == kExitUsage);
  // What works on files of this machine has no server.
  CHECK(run({"tool", "k", "--server", "http://a"}).code == kExitUsage);
  CHECK(run({"--server", "http://a", "tool", "k"}).code == kExitUsage);
  CHECK(run({"--json", "tool", "k"}).code == kExitOk);
}

TEST_CASE("parse: what a command throws for want of memory or threads is a failure",
          "[unit][cli]") {
  std::string error;
  const auto run = [&](const std::function<void()>& fault) {
    const std::vector<Command> all = {{.name = "do",
                                       .summary = "Do it.",
                                       .examples = {{"kvcs do", ""}},
                                       .run = [&](const Invocation&, Console&) {
                                         fault();
                                         return kExitOk;
                                       }}};
    error.clear();
    return run_cli(
        {"do"}, all, [](std::string_view) {}, [&](std::string_view t) { error += t; });
  };
  CHECK(run([] { throw std::bad_alloc(); }) == kExitFailed);
  CHECK(error.starts_with("error: "));
  CHECK(run([] {
          throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
        }) == kExitFailed);
  CHECK(error.find("the system refuses more: ") != std::string::npos);
}

TEST_CASE("parse: a suggestion is made for a slip and not for another word", "[unit][cli]") {
  const std::vector<Command> all = every_command();
  const auto error_of = [&](const std::string& word) {
    std::string error;
    CHECK(run_cli(
              {word}, all, [](std::string_view) {},
              [&](std::string_view text) { error += text; }) == kExitUsage);
    return error;
  };
  CHECK(error_of("uplaod").find("Did you mean 'upload'?") != std::string::npos);
  CHECK(error_of("uploads").find("Did you mean 'upload'?") != std::string::npos);
  const std::string far = error_of("frobnicate");
  CHECK(far.find("Did you mean") == std::string::npos);
  CHECK(far.find("It has: ") != std::string::npos);
}

TEST_CASE("help: in front of a command's words it is the same as behind them", "[unit][cli]") {
  std::string out, error;
  const auto run = [&](const std::vector<std::string>& words) {
    out.clear();
    error.clear();
    return run_cli(
        words, every_command(), [&](std::string_view text) { out += text; },
        [&](std::string_view text) { error += text; });
  };
  const auto behind = [&](std::vector<std::string> words) {
    words.emplace_back("--help");
    CHECK(run(words) == kExitOk);
    return std::exchange(out, "");
  };
  const std::vector<std::vector<std::string>> lines = {
      {}, {"upload"}, {"kv"}, {"kv", "get"}, {"admin", "org"}, {"admin", "org", "list"}};
  for (const std::vector<std::string>& words : lines) {
    const std::string wanted = behind(words);
    std::vector<std::string> line = {"help"};
    line.insert(line.end(), words.begin(), words.end());
    CHECK(run(line) == kExitOk);
    CHECK(out == wanted);
    // What stands behind a command is no reason to run it.
    if (words.size() != 1 || words[0] != "upload") continue;
    line.emplace_back("file.kv");
    CHECK(run(line) == kExitOk);
    CHECK(out == wanted);
  }
  CHECK(run({"help", "exit-codes"}) == kExitOk);
  CHECK(out.find("unauthenticated") != std::string::npos);
  CHECK(run({"help", "uplaod"}) == kExitUsage);
  CHECK(error.find("Did you mean 'upload'?") != std::string::npos);
  CHECK(run({"help", "admin", "nothing"}) == kExitUsage);
  CHECK(error.find("'nothing' is no command of `kvcs admin`") != std::string::npos);
}

// What pages show: the sources of web/, without what is made from the API's description.
std::vector<test::SourceFile> page_sources() {
  std::vector<test::SourceFile> files;
  const std::filesystem::path root = test::source_root();
  for (const auto& one : std::filesystem::recursive_directory_iterator(root / "web/src")) {
    const std::string name = one.path().filename().string();
    if (name == "schema.d.ts" || !(name.ends_with(".ts") || name.ends_with(".tsx"))) continue;
    files.push_back(test::read_source(std::filesystem::relative(one.path(), root).string()));
  }
  return files;
}

// The text from `at` up to the quote that ends it, with "x1" for each ${…}. A line break of a
// template, written \n, and a comment of the shell end it too.
std::string shown_line(std::string_view text, size_t at, char quote) {
  std::string line;
  for (; at < text.size() && text[at] != quote; at++) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with("\\n") || rest.starts_with(" #")) break;
    if (!rest.starts_with("${")) {
      line += text[at];
      continue;
    }
    int depth = 0;
    for (at++; at < text.size(); at++) {
      depth += text[at] == '{' ? 1 : text[at] == '}' ? -1 : 0;
      if (depth == 0) break;
    }
    line += "x1";
  }
  return line;
}

// Each "kvcs …" of a text that a quote or a template's line break opens.
std::vector<std::string> shown_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = text.find("kvcs "); at != text.npos; at = text.find("kvcs ", at + 1)) {
    if (at == 0) continue;
    const char before = text[at - 1];
    if (before == '"' || before == '\'' || before == '`') {
      lines.push_back(shown_line(text, at, before));
    } else if (at > 1 && text.compare(at - 2, 2, "\\n") == 0) {
      lines.push_back(shown_line(text, at, '`'));
    }
  }
  return lines;
}

// Whether `line`, "kvcs " and more, names a command, a group of commands or what every one has.
bool names_command(std::string_view line, const std::vector<Command>& all) {
  std::string name;
  for (const std::string_view word : split(line.substr(5), ' ')) {
    const bool is_name = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || c == '-';
    });
    if (!is_name || word.starts_with("-")) break;
    if (word == "help") return true;  // Its words are those of another command.
    name += (name.empty() ? "" : " ") + std::string(word);
    const auto called = [&](const Command& one) { return one.name == name; };
    if (std::any_of(all.begin(), all.end(), called)) return true;
    const auto groups = command_groups();
    const auto is_group = [&](const CommandGroup& one) { return one.name == name; };
    if (std::none_of(groups.begin(), groups.end(), is_group)) return false;
  }
  return !name.empty();
}

// Takes the work out of every command, and keeps which one ran with what.
struct Dry {
  std::vector<Command> all = every_command();
  std::string ran, error;
  Invocation in;

  Dry() {
    for (Command& command : all) {
      command.run = [this, name = command.name](const Invocation& given, Console&) {
        ran = name;
        in = given;
        return kExitOk;
      };
    }
  }
  int run(const std::vector<std::string>& words) {
    ran.clear();
    error.clear();
    return run_cli(
        words, all, [](std::string_view) {}, [this](std::string_view text) { error += text; });
  }
};

TEST_CASE("commands: each line that a page shows can be typed as it is shown", "[unit][cli]") {
  Dry dry;
  size_t count = 0;
  for (const test::SourceFile& file : page_sources()) {
    for (const std::string& line : shown_lines(join(file.lines, "\n"))) {
      INFO(file.path << ": " << line);
      CHECK(dry.run(words_of(line)) == kExitOk);
      CHECK(dry.error == "");
      count++;
      if (dry.ran != "admin prices set") continue;
      // By the token: what a page shows for a million tokens would be a dollar a word here.
      for (const char* price : {"input", "output"}) CHECK(std::stod(dry.in.text(price)) < 0.001);
    }
  }
  CHECK(count > 30);  // Else they are not found where they stand.
}

TEST_CASE("commands: what words of pages, answers and documents call a command is one",
          "[unit][cli]") {
  const std::vector<Command> all = every_command();
  std::vector<test::SourceFile> files = page_sources();
  for (const auto& [path, file] : test::read_tree("src")) files.push_back(file);
  for (const char* path : {"README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md",
                           "kvcs.yaml.example", "web/docs/formats.md"}) {
    files.push_back(test::read_source(path));
  }
  size_t count = 0;
  for (const test::SourceFile& file : files) {
    for (const std::string& text : file.lines) {
      for (size_t at = text.find("`kvcs "); at != text.npos; at = text.find("`kvcs ", at + 1)) {
        const std::string line = shown_line(text, at + 1, '`');
        if (line.size() < 6 || line[5] < 'a' || line[5] > 'z') continue;  // COMMAND, --help.
        INFO(file.path << ": " << line);
        CHECK(names_command(line, all));
        count++;
      }
    }
  }
  CHECK(count > 100);
}

TEST_CASE("commands: each example can be typed as it is printed", "[unit][cli]") {
  Dry dry;
  for (const Command& command : every_command()) {
    for (const Example& example : command.examples) {
      INFO(example.line);
      CHECK(dry.run(words_of(example.line)) == kExitOk);
      CHECK(dry.error == "");
      CHECK(dry.ran == command.name);
    }
  }
}

TEST_CASE("commands: names are unique, and no command is a group", "[unit][cli]") {
  std::set<std::string> names;
  const std::vector<Command> all = every_command();
  for (const Command& command : all) {
    INFO(command.name);
    CHECK(names.insert(command.name).second);
  }
  for (const Command& command : all) {
    for (size_t space = command.name.find(' '); space != command.name.npos;
         space = command.name.find(' ', space + 1)) {
      CHECK_FALSE(names.contains(command.name.substr(0, space)));
    }
  }
}

TEST_CASE("commands: each group has a summary, and each summary a group", "[unit][cli]") {
  std::set<std::string> used, known;
  for (const Command& command : every_command()) {
    for (size_t space = command.name.find(' '); space != command.name.npos;
         space = command.name.find(' ', space + 1)) {
      used.insert(command.name.substr(0, space));
    }
  }
  for (const CommandGroup& group : command_groups()) {
    INFO(group.name);
    CHECK(known.insert(group.name).second);
    CHECK(group.summary.ends_with('.'));
  }
  CHECK(known == used);
}

TEST_CASE("commands: options agree with themselves", "[unit][cli]") {
  for (const Command& command : every_command()) {
    INFO(command.name);
    CHECK(command.summary.ends_with('.'));
    std::set<std::string> names = {"--json", "-q", "--quiet", "--no-color", "-h", "--help"};
    bool optional_seen = false;
    for (const Option& option : command.options) {
      INFO(option.name);
      CHECK_FALSE(option.help.empty());
      for (const std::string_view name : split(option.name, ',')) {
        CHECK(names.emplace(name).second);
      }
      if (!option.choices.empty() && !option.fallback.empty()) {
        CHECK(std::count(option.choices.begin(), option.choices.end(), option.fallback) == 1);
      }
      if (option.kind == ValueKind::kNumber) CHECK(option.min <= option.max);
      // Something that is required always has a value: a fallback would never be taken.
      CHECK_FALSE((option.required && !option.fallback.empty()));
      if (option.name.starts_with('-')) continue;
      // An argument that may be left out cannot stand before one that may not.
      CHECK_FALSE((option.required && optional_seen));
      optional_seen = optional_seen || !option.required;
      CHECK(std::none_of(option.name.begin(), option.name.end(),
                         [](unsigned char c) { return std::islower(c) != 0; }));
    }
  }
}
