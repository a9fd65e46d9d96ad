// Goal: no test waits for ever. A loop that does nothing but yield hangs, without a word and on a
// whole processor, when what it waits for does not come; comes_true() and wait_until() of
// support/wait.h end. Method: read tests/ as text; the rule is tested on bad samples.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/source_dir.h"

namespace {

// In two parts, so that the rule does not find itself.
constexpr std::string_view kYield =
    "this_thread::"
    "yield();";

size_t before_blanks(std::string_view text, size_t at) {
  while (at > 0 && std::isspace(static_cast<unsigned char>(text[at - 1])) != 0) at--;
  return at;
}

bool ends_with_word(std::string_view text, std::string_view word) {
  if (!text.ends_with(word)) return false;
  const size_t at = text.size() - word.size();
  return at == 0 || std::isalnum(static_cast<unsigned char>(text[at - 1])) == 0;
}

// The index of the bracket that `text`, which ends with ')', closes.
size_t opening_of(std::string_view text) {
  int depth = 0;
  for (size_t i = text.size(); i > 0; i--) {
    depth += text[i - 1] == ')' ? 1 : text[i - 1] == '(' ? -1 : 0;
    if (depth == 0) return i - 1;
  }
  return 0;
}

// Whether the statement at `at` is the first of a loop's body.
bool begins_loop(std::string_view text, size_t at) {
  std::string_view head = text.substr(0, before_blanks(text, at));
  if (head.ends_with('{')) head = head.substr(0, before_blanks(head, head.size() - 1));
  if (ends_with_word(head, "do")) return true;
  if (!head.ends_with(')')) return false;
  head = head.substr(0, before_blanks(head, opening_of(head)));
  return ends_with_word(head, "while") || ends_with_word(head, "for");
}

// The lines whose loops only yield.
std::vector<size_t> endless_waits(std::string_view text) {
  std::vector<size_t> lines;
  for (size_t at = text.find(kYield); at != text.npos; at = text.find(kYield, at + 1)) {
    const size_t begin = text.substr(0, at).ends_with("std::") ? at - 5 : at;
    if (!begins_loop(text, begin)) continue;
    lines.push_back(1 + static_cast<size_t>(std::count(text.begin(), text.begin() + at, '\n')));
  }
  return lines;
}

std::string with_yield(const std::string& before, const std::string& after = "") {
  return before + "std::" + std::string(kYield) + after;
}

}  // namespace

TEST_CASE("tidy: no test waits in a loop that only yields", "[unit][tidy]") {
  namespace fs = std::filesystem;
  const fs::path root = fs::path(kvcs::test::source_dir());
  std::string found;
  size_t files = 0;
  for (auto it = fs::recursive_directory_iterator(root / "tests");
       it != fs::recursive_directory_iterator(); ++it) {
    if (it->path().filename() == "node_modules") it.disable_recursion_pending();
    if (it->path().extension() != ".cc" && it->path().extension() != ".h") continue;
    files++;
    std::ostringstream text;
    text << std::ifstream(it->path()).rdbuf();
    for (const size_t line : endless_waits(text.str())) {
      found += fs::relative(it->path(), root).string() + ":" + std::to_string(line) +
               ": waits without an end; use support/wait.h\n";
    }
  }
  CHECK(files > 100);
  CHECK(found == "");
}

TEST_CASE("tidy: a loop that only yields is found, whatever its form", "[unit][tidy]") {
  CHECK(endless_waits(with_yield("while (n == 0) ")) == std::vector<size_t>{1});
  CHECK(endless_waits(with_yield("a;\nwhile (f(n, [] { return 1; }))\n  ")).front() == 3);
  CHECK(endless_waits(with_yield("while (!done) {\n  ", "\n}")).size() == 1);
  CHECK(endless_waits(with_yield("for (;;) ")).size() == 1);
  CHECK(endless_waits(with_yield("do {\n  ", "\n} while (!done);")).size() == 1);
  CHECK(endless_waits(with_yield("while (a) ") + with_yield(" while (b) ")).size() == 2);
  CHECK(endless_waits(with_yield("while (!done) {\n  if (late()) return;\n  ", "\n}")).empty());
  CHECK(endless_waits(with_yield("count++;\n")).empty());
  CHECK(endless_waits(with_yield("if (odd) ")).empty());
  CHECK(endless_waits(with_yield("meanwhile(1) ")).empty());
}
