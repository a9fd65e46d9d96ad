// Goal: what commands print is what a person can read and a script can parse. Method: a Console
// that writes into strings, in each of its modes.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/terminal.h"

using namespace kvcs;
using namespace kvcs::cli;

namespace {

struct Paper {
  explicit Paper(Console::Mode mode = {})
      : console(
            mode, [this](std::string_view text) { out += text; },
            [this](std::string_view text) { error += text; }) {}
  std::string out, error;
  Console console;
};

using Rows = std::vector<std::vector<std::string>>;

std::string table(const Rows& rows) {
  Paper paper;
  paper.console.print_table(rows);
  return paper.out;
}

}  // namespace

TEST_CASE("console: columns of numbers go to the right, of words to the left", "[unit][cli]") {
  CHECK(table({{"NAME", "SIZE"}, {"a", "7"}, {"longer", "1234"}}) ==
        "NAME    SIZE\n"
        "a          7\n"
        "longer  1234\n");
}

TEST_CASE("console: a unit belongs to its number", "[unit][cli]") {
  CHECK(table({{"SIZE", "PART"}, {"1.00 MiB", "93 %"}, {"12.50 KiB", "-7 %"}}) ==
        "     SIZE  PART\n"
        " 1.00 MiB  93 %\n"
        "12.50 KiB  -7 %\n");
}

TEST_CASE("console: dates, versions and words with digits are words", "[unit][cli]") {
  for (const char* word : {"2026-11-25", "1.2.3", "v1", "3 of 4", "1 000 000"}) {
    INFO(word);
    const std::string wide(std::strlen(word) + 2, '-');
    CHECK(table({{wide}, {word}}) == wide + "\n" + word + "\n");
  }
}

TEST_CASE("console: what is absent does not make a column of numbers one of words", "[unit][cli]") {
  CHECK(table({{"COUNT"}, {"-"}, {"7"}, {""}, {"inf"}}) == "COUNT\n    -\n    7\n\n  inf\n");
  CHECK(table({{"EMPTY"}, {"-"}}) == "EMPTY\n-\n");
}

TEST_CASE("console: a table has no blanks at the ends of its lines, and rows may be short",
          "[unit][cli]") {
  CHECK(table({{"A", "B"}, {"long word", ""}, {"x"}}) == "A          B\nlong word\nx\n");
}

TEST_CASE("console: letters are counted, not bytes", "[unit][cli]") {
  CHECK(table({{"NAME", "X"}, {"Zürich", "a"}, {"Bern", "b"}}) ==
        "NAME    X\nZürich  a\nBern    b\n");
}

TEST_CASE("console: fields stand below one another", "[unit][cli]") {
  Paper paper;
  paper.console.print_fields({{"id", "1"}, {"longer", "2"}});
  CHECK(paper.out == "id      1\nlonger  2\n");
}

TEST_CASE("console: colours come when they are asked for, and only then", "[unit][cli]") {
  Paper plain, colored({.color = true});
  for (Paper* paper : {&plain, &colored}) {
    paper->console.print_table({{"A"}, {"b"}});
    paper->console.print(paper->console.green("ok"));
    paper->console.fail(invalid("Bad."));
  }
  CHECK(plain.out == "A\nb\nok\n");
  CHECK(plain.error == "error: Bad.\n");
  CHECK(colored.out == "\x1b[1mA\x1b[0m\nb\n\x1b[32mok\x1b[0m\n");
  CHECK(colored.error == "\x1b[31merror:\x1b[0m Bad.\n");
}

TEST_CASE("console: notes are for people, results for everybody", "[unit][cli]") {
  for (const Console::Mode& mode :
       {Console::Mode{}, Console::Mode{.json = true}, Console::Mode{.quiet = true}}) {
    Paper paper(mode);
    paper.console.note("a note");
    paper.console.print("a result");
    CHECK(paper.out == "a result\n");
    CHECK(paper.error == (mode.json || mode.quiet ? "" : "a note\n"));
  }
}

TEST_CASE("console: a failure has its code under --json, and what else the server told",
          "[unit][cli]") {
  Paper paper({.json = true});
  CHECK(paper.console.fail(unavailable("Away.")) == kExitFailed);
  CHECK(paper.error == "{\"error\":\"Away.\",\"code\":\"unavailable\"}\n");
  paper.error.clear();
  CHECK(paper.console.fail(rate_limited("Slowly.", 7).with_reason("RATE_LIMITED")) == kExitFailed);
  CHECK(paper.error ==
        R"({"error":"Slowly.","code":"rate_limited","reason":"RATE_LIMITED","retry_after_s":7})"
        "\n");
  paper.error.clear();
  CHECK(paper.console.misused(invalid("--x: wrong.")) == kExitUsage);
  CHECK(paper.error == "{\"error\":\"--x: wrong.\",\"code\":\"usage\"}\n");
}

TEST_CASE("console: a server's words cannot move the cursor", "[unit][cli]") {
  Paper paper;
  paper.console.fail(invalid("a\x1b[2Jb\rc\nd"));
  CHECK(paper.error.find('\x1b') == std::string::npos);
  CHECK(paper.error.find('\r') == std::string::npos);
  CHECK(paper.error.find('\n') == paper.error.size() - 1);
}

TEST_CASE("console: JSON is indented and ends its line", "[unit][cli]") {
  Paper paper;
  paper.console.print_json({{"a", 1}});
  CHECK(paper.out == "{\n  \"a\": 1\n}\n");
}

TEST_CASE("invocation: the last value counts, absent is empty or zero", "[unit][cli]") {
  Invocation in;
  in.set("n", {"1", "2"});
  in.set("none", {});
  CHECK(in.text("n") == "2");
  CHECK(in.number("n") == 2);
  CHECK(in.list("n") == std::vector<std::string>{"1", "2"});
  CHECK(in.flag("n"));
  CHECK(in.text("none").empty());
  CHECK(in.number("none") == 0);
  CHECK_FALSE(in.optional_text("none").has_value());
  CHECK_FALSE(in.optional_number("none").has_value());
  CHECK_FALSE(in.flag("none"));
}

TEST_CASE("table: it fits the terminal, and ids stay whole", "[unit][cli]") {
  const std::string id = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";
  const std::vector<std::vector<std::string>> rows = {
      {"ID", "NAME", "SIZE"},
      {id, "a very long name of an artifact", "1.00 MiB"},
      {id, "中文", "2"}};
  const auto print = [&](size_t columns) {
    Paper paper({.out_columns = [columns] { return columns; }});
    paper.console.print_table(rows);
    return paper.out;
  };
  const auto widest = [](const std::string& text) {
    size_t most = 0;
    for (const std::string_view line : split(text, '\n')) most = std::max(most, cells_of(line));
    return most;
  };
  CHECK(widest(print(0)) == 36 + 2 + 31 + 2 + 8);
  for (size_t columns = 56; columns <= 100; columns++) {
    INFO(columns);
    const std::string text = print(columns);
    CHECK(widest(text) <= columns);
    CHECK(text.find(id) != std::string::npos);
    CHECK(text.find("1.00 MiB") != std::string::npos);
  }
  CHECK(print(60).find("a very long…") != std::string::npos);
  CHECK(print(60).find("中文") != std::string::npos);
  // Too narrow for columns: a row is a list of fields.
  CHECK(print(48).starts_with("ID    " + id + "\nNAME  a very long name of an artifact\n"));
}

TEST_CASE("cells: wide characters take two, marks none, bad bytes one", "[unit][cli]") {
  CHECK(cells_of("abc") == 3);
  CHECK(cells_of("中文") == 4);
  CHECK(cells_of("e\u0301") == 1);
  CHECK(cells_of("📦") == 2);
  CHECK(cells_of("\xff\xfe") == 2);
  CHECK(fit_cells("abcdef", 6) == "abcdef");
  CHECK(fit_cells("abcdef", 5) == "abcd…");
  CHECK(fit_cells("中文字", 4) == "中…");
  CHECK(fit_cells("abc", 1) == "…");
  CHECK(fit_cells("abc", 0).empty());
  CHECK(terminal_columns(-1) == 0);
}

TEST_CASE("help: lines break between words, and what is copied stays whole", "[unit][cli]") {
  const std::string help =
      "Store a .kv file on the server and print its id and URL for everybody.\n"
      "Options:\n"
      "  --name TEXT                 Its name; else that of the file, whatever it is called.\n"
      "  kvcs upload context.kv --name demo --visibility public --json --quiet\n";
  CHECK(fit_help(help, 0) == help);
  CHECK(fit_help(help, 50) ==
        "Store a .kv file on the server and print its id\n"
        "and URL for everybody.\n"
        "Options:\n"
        "  --name TEXT                 Its name; else that\n"
        "                         of the file, whatever it\n"
        "                         is called.\n"
        "  kvcs upload context.kv --name demo --visibility public --json --quiet\n");
  for (const Command& command : commands()) {
    for (size_t columns = 40; columns <= 100; columns += 20) {
      const std::string fitted = fit_help(command.details, columns);
      for (const std::string_view line : split(fitted, '\n')) {
        INFO(command.name << ": " << line);
        CHECK((cells_of(line) <= columns || line.find(' ') == std::string_view::npos));
      }
    }
  }
}

TEST_CASE("progress: it is drawn on a terminal alone, and wiped out at its end", "[unit][cli]") {
  for (const Console::Mode& mode :
       {Console::Mode{}, Console::Mode{.json = true, .terminal = true},
        Console::Mode{.quiet = true, .terminal = true}, Console::Mode{.terminal = true}}) {
    Paper paper(mode);
    {
      Progress progress(paper.console, "Reading", 1024);
      progress.update(512);
    }
    CHECK(paper.out.empty());
    if (!mode.terminal || mode.json || mode.quiet) {
      CHECK(paper.error.empty());
      continue;
    }
    INFO(paper.error);
    CHECK(paper.error.starts_with("\rReading [####"));
    CHECK(paper.error.find("-] 512 B/1.00 KiB ") != std::string::npos);
    CHECK(paper.error.ends_with("\x1b[K\r\x1b[K"));
  }
}

TEST_CASE("progress: a bar is full at the end, beyond it, and when there is nothing to do",
          "[unit][cli]") {
  struct Row {
    uint64_t done, total;
    int full;
  };
  for (const Row row : {Row{0, 8, 0}, Row{1, 8, 5}, Row{8, 8, 40}, Row{9, 8, 40}, Row{0, 0, 40}}) {
    Paper paper({.terminal = true, .error_columns = [] { return 200; }});
    Progress progress(paper.console, "X", row.total);
    progress.update(row.done);
    INFO(row.done << " of " << row.total);
    CHECK(std::count(paper.error.begin(), paper.error.end(), '#') == row.full);
    CHECK(std::count(paper.error.begin(), paper.error.end(), '-') == 40 - row.full);
  }
}

TEST_CASE("progress: the line fits the terminal as it is at that moment", "[unit][cli]") {
  size_t columns = 0;
  for (const std::string& what :
       {std::string("Uploading"), std::string("下载 context 📦"), std::string(90, 'x')}) {
    for (columns = 10; columns <= 200; columns++) {
      Paper paper({.terminal = true, .error_columns = [&] { return columns; }});
      Progress progress(paper.console, what, 5'000'000'000);
      progress.update(1'234'567'890);
      const std::string line = paper.error.substr(1, paper.error.find("\x1b[K") - 1);
      INFO(columns << ": " << line);
      REQUIRE(cells_of(line) <= columns - 1);
      const bool has_bar = line.find('[') != std::string::npos;
      if (what.size() < 20 && columns > 50) CHECK(has_bar);
    }
  }
}

TEST_CASE("progress: what follows at once is not drawn", "[unit][cli]") {
  Paper paper({.terminal = true});
  Progress progress(paper.console, "X", 1 << 20);
  for (int i = 0; i < 1000; i++) progress.update(i);
  // A thousand updates take less than the time of a few drawings.
  CHECK(std::count(paper.error.begin(), paper.error.end(), '\r') < 100);
}
