// Goal: what a shell offers is what the program knows, and the manual says what --help says.
#include "cli/completion.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/man.h"
#include "support/daemon.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::cli;
using namespace kvcs::test;

namespace {

using Words = std::vector<std::string>;

std::vector<Command> some_commands() {
  const auto run = [](const Invocation&, Console&) { return kExitOk; };
  return {{.name = "list",
           .summary = "List.",
           .options = {{.name = "-n,--limit", .kind = ValueKind::kNumber, .help = "At most."},
                       {.name = "--dtype,--type", .help = "Of numbers."},
                       {.name = "--sort", .help = "Order.", .choices = {"name", "-name", "size"}}},
           .examples = {},
           .run = run},
          {.name = "key create", .summary = "Make.", .examples = {}, .run = run},
          {.name = "key list", .summary = "List.", .examples = {}, .run = run},
          {.name = "login", .summary = "Sign in.", .examples = {}, .run = run},
          {.name = "shell",
           .summary = "Choose.",
           .options = {{.name = "SHELL", .help = "Which.", .choices = {"bash", "zsh"}}},
           .examples = {},
           .run = run}};
}

Words offered(const Words& words) {
  std::vector<Command> commands = some_commands();
  for (Command& one : commands) one.asks_server = one.name == "login";
  return complete(commands, words);
}

std::string first_word(const std::string& name) {
  return name.substr(0, name.find(' '));
}

// As roff is to print it.
std::string roffed(std::string text) {
  for (size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2) {
    text.insert(at, "\\");
  }
  return text;
}

}  // namespace

TEST_CASE("completion: commands, options and choices, and nothing where a file stands",
          "[unit][cli]") {
  CHECK(offered({""}) == Words{"key", "list", "login", "shell"});
  CHECK(offered({}) == Words{"key", "list", "login", "shell"});
  CHECK(offered({"l"}) == Words{"list", "login"});
  CHECK(offered({"key", ""}) == Words{"create", "list"});
  CHECK(offered({"key", "c"}) == Words{"create"});
  CHECK(offered({"list", "--"}) ==
        Words{"--dtype", "--help", "--json", "--limit", "--no-color", "--quiet", "--sort"});
  CHECK(offered({"list", "--s"}) == Words{"--sort"});
  CHECK(offered({"login", "--s"}) == Words{"--server"});
  CHECK(offered({"list", "--sort", ""}) == Words{"-name", "name", "size"});
  CHECK(offered({"list", "--sort", "s"}) == Words{"size"});
  CHECK(offered({"--json", "key", "l"}) == Words{"list"});
  CHECK(offered({"shell", ""}) == Words{"bash", "zsh"});
  CHECK(offered({"help", "l"}) == Words{"list", "login"});
  CHECK(offered({"help", "key", ""}) == Words{"create", "list"});
  CHECK(offered({"list", ""}).empty());
  CHECK(offered({"list", "-n", ""}).empty());
  CHECK(offered({"nothing", ""}) == Words{});
}

TEST_CASE("help: every command stands under a heading", "[unit][cli]") {
  for (const Command& command : commands()) {
    INFO(command.name);
    CHECK(door_of(command.name) != "Others");
  }
}

TEST_CASE("manual: a page for each first word, which lists what the command takes", "[unit][cli]") {
  const std::vector<Command> all = commands();
  const std::vector<ManPage> pages = man_pages(all);
  std::set<std::string> words;
  for (const Command& command : all) words.insert(first_word(command.name));
  CHECK(pages.size() == words.size() + 1);
  CHECK(pages.front().file_name == "kvcs.1");
  for (const Command& command : all) {
    const std::string file = "kvcs-" + first_word(command.name) + ".1";
    const auto page = std::find_if(pages.begin(), pages.end(),
                                   [&](const ManPage& one) { return one.file_name == file; });
    REQUIRE(page != pages.end());
    INFO(command.name);
    const size_t at = page->text.find(".SS " + roffed("kvcs " + command.name) + "\n");
    REQUIRE(at != std::string::npos);
    const std::string section = page->text.substr(at, page->text.find("\n.S", at + 1) - at);
    for (const Option& option : command.options) {
      CHECK(section.find(roffed(option.name)) != std::string::npos);
    }
    CHECK(page->text.find("\n'") == std::string::npos);
  }
}

TEST_CASE("manual: a page names the options of a server where a command asks one", "[unit][cli]") {
  const auto has = [pages = man_pages(commands())](const std::string& file, const char* text) {
    const auto page = std::find_if(pages.begin(), pages.end(),
                                   [&](const ManPage& one) { return one.file_name == file; });
    return page != pages.end() && page->text.find(text) != std::string::npos;
  };
  for (const char* const file : {"kvcs.1", "kvcs-upload.1", "kvcs-inspect.1"}) {
    CHECK(has(file, "OPTIONS OF EVERY COMMAND\n.TP\n.B \\-\\-json"));
  }
  CHECK(has("kvcs.1", ".B \\-\\-server"));
  CHECK(has("kvcs-upload.1", ".B \\-\\-server"));
  CHECK_FALSE(has("kvcs-inspect.1", ".B \\-\\-server"));
}

TEST_CASE("completion: bash offers what the program says", "[e2e][cli]") {
  TempDir dir;
  std::filesystem::create_symlink(kvcs_binary(), dir.file("kvcs"));
  std::ofstream(dir.file("ask")) << "PATH=" << dir.path() << ":$PATH\n"
                                 << "source <(kvcs completion bash)\n"
                                    "COMP_WORDS=(kvcs adm) COMP_CWORD=1\n_kvcs\n"
                                    "echo \"got ${COMPREPLY[*]}\"\n"
                                    "COMP_WORDS=(kvcs admin org cr) COMP_CWORD=3\n_kvcs\n"
                                    "echo \"then ${COMPREPLY[*]}\"\n"
                                    "COMP_WORDS=(kvcs inspect \"\") COMP_CWORD=2\n_kvcs\n"
                                    "echo \"files ${#COMPREPLY[@]}\"\n";
  const std::string line = "bash " + dir.file("ask") + " > " + dir.file("said") + " 2>&1";
  CHECK(std::system(line.c_str()) == 0);
  CHECK(read_small_file(dir.file("said"), 1 << 16).value() == "got admin\nthen create\nfiles 0\n");
}
