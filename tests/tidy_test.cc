// Goal: the properties of the source that no compiler checks stay true: what the hot path may see,
// how files open, how long files and functions may grow, which words are banned; the arrows between
// modules are in tidy/modules_test.cc. Method: read src/ and tests/ below the repository's root
// (KVCS_SOURCE_DIR, else the current directory) as text; each rule is a function from one file to
// findings "path:line: why", and is itself tested on a bad sample.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/source_file.h"

using namespace kvcs::test;

namespace {

constexpr int kFileLinesMax = 600;
constexpr int kFunctionLinesMax = 70;
constexpr int kTestFunctionLinesMax = 120;  // A test case holds its sections.
constexpr size_t kColumnsMax = 100;

// --- the tables -----------------------------------------------------------------------------

using Row = std::set<std::string>;

// What serves requests of the gateway and ai doors, and who asks. Cold files of those doors
// (history, sinks of the outbox, jobs, administration) are told by the end of their name.
bool is_hot(const std::string& path) {
  static constexpr std::array kColdEnds = {"_admin.cc",  "_history.cc", "_jobs.cc",
                                           "_report.cc", "_sink.cc",    "_store.cc"};
  const auto ends = [&](const char* end) { return path.ends_with(end); };
  if (std::any_of(kColdEnds.begin(), kColdEnds.end(), ends)) return false;
  return path.starts_with("src/ai/") || path.starts_with("src/gateway/") ||
         path.starts_with("src/identity/authenticator.") ||
         path.starts_with("src/ops/idempotency.");
}

// Library header → the folders that may include it, in .cc files only. "" = any folder.
struct HeavyHeader {
  std::string_view prefix;
  Row folders;
};
const std::vector<HeavyHeader>& heavy_headers() {
  static const std::vector<HeavyHeader> table = {
      {"rocksdb/", {"kv"}},
      {"sqlite3.h", {"db"}},
      {"curl/", {"http"}},
      {"yaml-cpp/", {"app", "base"}},
      {"CLI/", {"cli", "main.cc"}},
      {"cairo", {"kvfile"}},
      {"sodium.h", {"base"}},
      {"nlohmann/json.hpp", {}},
      {"simdjson.h", {}},
      {"catch2/", {}},
      {"regex", {}},
  };
  return table;
}

// The one header that has simdjson's in it, for it hands out simdjson's elements: the files that
// include it read such elements themselves.
constexpr std::string_view kElementsHeader = "src/ai/dialects/json_members.h";

// The files that may have thread-local variables: a request may go on on another thread after a
// wait (base/fiber.h), so in each of them the address of such a variable is never kept over one.
const Row& thread_local_files() {
  static const Row table = {
      "src/ai/dialects/request_reader.cc",
      "src/ai/dialects/meter.cc",
      "src/base/crypto.cc",
      "src/base/json.cc",
      "src/base/mutex.cc",
      "src/base/search_text.cc",
      "src/base/wait.cc",
      "src/db/db_writer.cc",
      "src/ledger/usage_record.cc",
      "src/http/serve/connection.cc",
  };
  return table;
}

struct Banned {
  std::regex pattern;
  std::string_view why;
};
// One letter of each word stands in brackets, so that the table does not find itself.
const std::vector<Banned>& banned_everywhere() {
  static const auto any_case = std::regex::ECMAScript | std::regex::icase;
  static const std::vector<Banned> table = {
      {std::regex("\\bT[O]DO\\b(?!\\((perf|security|soon)\\))"),
       "a task without a kind; write (perf), (security) or (soon) behind it"},
      {std::regex("\\bF[I]XME\\b|\\bX[X]X\\b|\\bH[A]CK\\b"), "fix it or explain it"},
      {std::regex("\\bs[t]ub(s|bed)?\\b|\\bp[l]aceholders?\\b", any_case), "finish it"},
      {std::regex("\\bf[o]r now\\b|\\bn[o]t (yet )?implemented\\b", any_case),
       "say what holds, not what will"},
      {std::regex("/w[o]rk/|\\bs[h]ared/(DESIGN|STYLE|contracts|samples)"),
       "a path of one machine; the source must stand alone"},
  };
  return table;
}
const std::vector<Banned>& banned_in_src() {
  static const std::vector<Banned> table = {
      {std::regex("\\.detach\\(\\)"), "every thread is joined by its owner"},
      {std::regex("std::async\\b"), "threads are named and started by App"},
      {std::regex("\\bsleep_(for|until)\\b|\\bu?sleep\\("), "wait on a condition, not on time"},
      {std::regex("\\busing namespace std\\b"), "name what you use"},
      {std::regex("\\bi[f]null\\(|[=<>] ?\\?[0-9]\\b|\\browid\\b|INSERT O[R] |\\bsum\\(\\w+ [=<>]"),
       "SQL that one engine alone reads: coalesce(), ?, a key of the table, ON CONFLICT, FILTER"},
  };
  return table;
}

// --- the rules ------------------------------------------------------------------------------

void check_heavy_headers(const SourceFile& file, Findings& out) {
  const bool header = file.path.ends_with(".h");
  const bool test = file.path.starts_with("tests/");
  for (const auto& include : includes_of(file)) {
    for (const auto& heavy : heavy_headers()) {
      if (!include.target.starts_with(heavy.prefix)) continue;
      if (heavy.prefix == "regex" && include.target != "regex") continue;
      if (heavy.prefix == "simdjson.h" && file.path == kElementsHeader) continue;
      if (header && !(test && heavy.prefix == "catch2/")) {
        out.push_back(at(file, include.line, include.target + " belongs in a .cc file"));
      } else if (!test && !heavy.folders.empty() && !heavy.folders.count(folder_of(file.path))) {
        out.push_back(at(file, include.line,
                         include.target + " is only for src/" + *heavy.folders.begin() + "/"));
      }
    }
  }
}

void check_header_form(const SourceFile& file, Findings& out) {
  if (!file.path.ends_with(".h")) return;
  if (file.lines.empty() || !file.lines[0].starts_with("// ")) {
    out.push_back(at(file, 1, "a header opens with a comment: what it is, who owns it, threads"));
  }
  if (std::find(file.lines.begin(), file.lines.end(), "#pragma once") == file.lines.end()) {
    out.push_back(at(file, 1, "no #pragma once"));
  }
}

void check_opening(const SourceFile& file, Findings& out) {
  if (!file.path.ends_with(".cc")) return;
  if (file.lines.empty() || !file.lines[0].starts_with("// ")) {
    out.push_back(
        at(file, 1, "a .cc file opens with a sentence: what it is, whose, which threads"));
  }
}

// The share of src/ that is full lines of comment, in thousandths: one line in twelve.
constexpr size_t kCommentLinesPerThousand = 83;

size_t comment_lines_per_thousand(const std::map<std::string, SourceFile>& files) {
  size_t lines = 0, comments = 0;
  for (const auto& [path, file] : files) {
    lines += file.lines.size();
    comments += static_cast<size_t>(
        std::count_if(file.lines.begin(), file.lines.end(), [](const std::string& line) {
          const size_t begin = line.find_first_not_of(' ');
          return begin != std::string::npos && line.compare(begin, 2, "//") == 0;
        }));
  }
  return lines == 0 ? 0 : comments * 1000 / lines;
}

// Columns are code points; continuation bytes of UTF-8 do not count.
size_t columns(const std::string& line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

void check_lines(const SourceFile& file, Findings& out) {
  const bool src = file.path.starts_with("src/");
  // The engine's full-text index has a language and a key of its own, which stand there alone.
  const bool may_be_of_one_engine = file.path.starts_with("src/artifacts/text_index.");
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const int number = static_cast<int>(i + 1);
    if (columns(file.lines[i]) > kColumnsMax) {
      out.push_back(at(file, number, "longer than " + std::to_string(kColumnsMax) + " columns"));
    }
    const auto check = [&](const std::vector<Banned>& table) {
      for (const auto& banned : table) {
        std::smatch m;
        if (!std::regex_search(file.lines[i], m, banned.pattern)) continue;
        out.push_back(at(file, number, "'" + m.str() + "': " + std::string(banned.why)));
      }
    };
    check(banned_everywhere());
    if (src && !may_be_of_one_engine) check(banned_in_src());
  }
  if (file.lines.size() > kFileLinesMax) {
    out.push_back(
        at(file, kFileLinesMax + 1,
           std::to_string(file.lines.size()) + " lines; at most " + std::to_string(kFileLinesMax)));
  }
}

// Comments, preprocessor lines and the insides of literals become spaces, so that every brace that
// is left is a brace of the language. Line breaks stay.
class Blanker {
 public:
  explicit Blanker(const SourceFile& file) {
    for (const auto& line : file.lines) text_ += line + "\n";
  }
  std::string run() {
    while (i_ < text_.size()) step();
    return std::move(text_);
  }

 private:
  bool here(std::string_view s) const { return text_.compare(i_, s.size(), s) == 0; }
  void blank_to(size_t end) {
    for (end = std::min(end, text_.size()); i_ < end; ++i_) {
      if (text_[i_] != '\n') text_[i_] = ' ';
    }
  }
  size_t after(std::string_view s, size_t from) const {
    const size_t found = text_.find(s, from);
    return found == std::string::npos ? text_.size() : found + s.size();
  }
  bool in_word() const {
    return i_ > 0 && (std::isalnum(static_cast<unsigned char>(text_[i_ - 1])) != 0);
  }
  void step() {
    if (here("//")) return blank_to(text_.find('\n', i_));
    if (here("/*")) return blank_to(after("*/", i_ + 2));
    if (here("R\"")) return raw_string();
    if (text_[i_] == '"') return literal('"');
    if (text_[i_] == '\'' && !in_word()) return literal('\'');
    if (text_[i_] == '#' && line_is_blank_before()) return directive();
    ++i_;
  }
  void raw_string() {
    const size_t open = text_.find('(', i_);
    blank_to(after(")" + text_.substr(i_ + 2, open - i_ - 2) + "\"", open));
  }
  void literal(char quote) {
    size_t end = i_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    blank_to(end + 1);
  }
  bool line_is_blank_before() const {
    const size_t start = text_.rfind('\n', i_);
    const size_t from = start == std::string::npos ? 0 : start + 1;
    return text_.find_first_not_of(" \t", from) == i_;
  }
  void directive() {
    size_t end = text_.find('\n', i_);
    while (end != std::string::npos && text_[end - 1] == '\\') end = text_.find('\n', end + 1);
    blank_to(end);
  }

  std::string text_;
  size_t i_ = 0;
};

void check_thread_local(const SourceFile& file, Findings& out) {
  static const std::regex word("\\bthread_local\\b");
  if (thread_local_files().count(file.path)) return;
  std::istringstream text(Blanker(file).run());
  int number = 0;
  for (std::string line; std::getline(text, line);) {
    ++number;
    if (!std::regex_search(line, word)) continue;
    out.push_back(at(file, number,
                     "thread_local: a request that waits may go on on another thread; see "
                     "thread_local_files() in tests/tidy_test.cc"));
  }
}

enum class Brace { kScope, kFunction, kOther };

// `head` is what stands between the previous statement and the brace, `parent` what holds it.
Brace classify(const std::string& head, Brace parent) {
  if (parent != Brace::kScope) return Brace::kOther;
  static const std::regex scope("(^|[\\s>])(namespace|class|struct|union|enum|extern)\\b");
  const size_t last = head.find_last_not_of(" \n");
  const bool call = head.find(')') != std::string::npos;
  if (std::regex_search(head, scope) && !call) return Brace::kScope;
  // clang-format puts a space before a body and none before a member's initialiser.
  const bool body = last != std::string::npos && last + 1 < head.size() && head[last] != '=' &&
                    head[last] != ',' && head[last] != '(';
  return call && body ? Brace::kFunction : Brace::kOther;
}

void check_functions(const SourceFile& file, int lines_max, Findings& out) {
  struct Open {
    Brace kind;
    int line;
  };
  const std::string text = Blanker(file).run();
  std::vector<Open> stack;
  std::string head;
  int line = 1, head_line = 1;
  for (const char c : text) {
    if (c == '\n') ++line;
    if (c == '{') {
      const Brace parent = stack.empty() ? Brace::kScope : stack.back().kind;
      stack.push_back({classify(head, parent), head_line});
      // An initialiser belongs to the statement that goes on behind it.
      if (stack.back().kind != Brace::kOther) head.clear();
    } else if (c == '}' && !stack.empty()) {
      const Open open = stack.back();
      stack.pop_back();
      const int length = line - open.line + 1;
      if (open.kind == Brace::kFunction && length > lines_max) {
        out.push_back(at(file, open.line,
                         "function of " + std::to_string(length) + " lines; at most " +
                             std::to_string(lines_max)));
      }
      if (open.kind != Brace::kOther) head.clear();
    } else if (c == ';' && (stack.empty() || stack.back().kind == Brace::kScope)) {
      head.clear();
    } else if (stack.empty() || stack.back().kind == Brace::kScope) {
      if (head.find_first_not_of(" \n") == std::string::npos) {
        head.clear();
        head_line = line;
      }
      head += c;
    }
  }
  if (!stack.empty()) out.push_back(at(file, stack.back().line, "brace without its end"));
}

// From each hot file through our own headers; `files` by path. Reports the way that leads to db/.
void check_hot_path(const std::map<std::string, SourceFile>& files, Findings& out) {
  for (const auto& [path, file] : files) {
    if (!is_hot(path)) continue;
    std::vector<std::pair<std::string, std::string>> queue;  // path, the way to it
    std::set<std::string> seen = {path};
    queue.emplace_back(path, path);
    while (!queue.empty()) {
      const auto [current, way] = queue.back();
      queue.pop_back();
      for (const auto& include : includes_of(files.at(current))) {
        const std::string target = "src/" + include.target;
        if (!include.quoted || !seen.insert(target).second) continue;
        const std::string next =
            way + (current == path ? ":" + std::to_string(include.line) : "") + " > " + target;
        if (target.starts_with("src/db/")) out.push_back(next + ": the hot path must not see db/");
        if (files.count(target)) queue.emplace_back(target, next);
      }
    }
  }
}

// --- the whole tree -------------------------------------------------------------------------

Findings function_findings(const std::string& text, int lines_max) {
  Findings found;
  check_functions(from_text("src/kv/x.cc", text), lines_max, found);
  return found;
}

}  // namespace

TEST_CASE("tidy: src/ keeps its forms, lengths and words", "[unit][tidy]") {
  const auto files = read_tree("src");
  INFO("run from the repository's root, or set KVCS_SOURCE_DIR");
  REQUIRE(files.size() > 20);
  Findings found;
  for (const auto& [path, file] : files) {
    check_heavy_headers(file, found);
    check_header_form(file, found);
    check_opening(file, found);
    check_lines(file, found);
    check_thread_local(file, found);
    check_functions(file, kFunctionLinesMax, found);
  }
  INFO(all(found));
  CHECK(found.empty());
  CHECK(comment_lines_per_thousand(files) >= kCommentLinesPerThousand);
}

TEST_CASE("tidy: no hot file sees db/, directly or through a header", "[unit][tidy]") {
  Findings found;
  check_hot_path(read_tree("src"), found);
  INFO(all(found));
  CHECK(found.empty());
}

TEST_CASE("tidy: tests/ keeps its lengths and words", "[unit][tidy]") {
  const auto files = read_tree("tests");
  REQUIRE(!files.empty());
  Findings found;
  for (const auto& [path, file] : files) {
    check_heavy_headers(file, found);
    check_header_form(file, found);
    check_lines(file, found);
    check_functions(file, kTestFunctionLinesMax, found);
  }
  INFO(all(found));
  CHECK(found.empty());
}

TEST_CASE("tidy: a hot file that reaches db/ by a detour is found", "[unit][tidy]") {
  std::map<std::string, SourceFile> files;
  const auto add = [&](const char* path, const char* text) {
    files.emplace(path, from_text(path, text));
  };
  add("src/db/db.h", "");
  add("src/ledger/writer.h", "#include \"db/db.h\"\n");
  add("src/ai/usage_sink.cc", "#include \"db/db.h\"\n");
  add("src/ai/chat.cc", "#include <string>\n#include \"ledger/writer.h\"\n");
  Findings found;
  check_hot_path(files, found);
  CHECK(found == Findings{"src/ai/chat.cc:2 > src/ledger/writer.h > src/db/db.h: "
                          "the hot path must not see db/"});
}

TEST_CASE("tidy: a heavy header in a header, or in a foreign folder, is found", "[unit][tidy]") {
  const auto count = [](const char* path, const char* text) {
    Findings found;
    check_heavy_headers(from_text(path, text), found);
    return found.size();
  };
  CHECK(count("src/kv/rocks_kv.cc", "#include <rocksdb/db.h>\n") == 0);
  CHECK(count("src/kv/kv.h", "#include <rocksdb/db.h>\n") == 1);
  CHECK(count("src/ai/x.cc", "#include <rocksdb/db.h>\n") == 1);
  CHECK(count("src/ai/x.h", "#include <nlohmann/json_fwd.hpp>\n") == 0);
  CHECK(count("src/ai/x.h", "#include <regex>\n") == 1);
  CHECK(count("tests/support/x.h", "#include <catch2/catch.hpp>\n") == 0);
}

TEST_CASE("tidy: long lines, long files and banned words are found", "[unit][tidy]") {
  const auto count = [](const std::string& text, const char* path = "src/kv/x.cc") {
    Findings found;
    check_lines(from_text(path, text), found);
    return found.size();
  };
  CHECK(count(std::string(100, 'x')) == 0);
  CHECK(count(std::string(101, 'x')) == 1);
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "ü";
  CHECK(count(umlauts) == 0);
  CHECK(count(std::string(600, '\n')) == 0);
  CHECK(count(std::string(601, '\n')) == 1);
  CHECK(count("// TO"
              "DO: later") == 1);
  CHECK(count("// TO"
              "DO(perf): a table would do.") == 0);
  CHECK(count("// FIX"
              "ME") == 1);
  CHECK(count("char t[] = \"/tmp/kvcs-XXXXXX\";") == 0);
  CHECK(count("// a place"
              "holder") == 1);
  CHECK(count("// good enough for "
              "now") == 1);
  CHECK(count("thread.detach();") == 1);
  CHECK(count("thread.detach();", "tests/kv/x.cc") == 0);
  CHECK(count("SELECT ifn"
              "ull(max(seq), 0) FROM t") == 1);
  CHECK(count("SELECT a FROM t WHERE b = ?1") == 1);
  CHECK(count("SELECT sum(status = 429) FROM t") == 1);
  CHECK(count("SELECT sum(cost) FROM t WHERE b = ?") == 0);
}

TEST_CASE("tidy: a thread-local variable in a file that may have none is found", "[unit][tidy]") {
  const auto findings = [](const char* path, const char* text) {
    Findings found;
    check_thread_local(from_text(path, text), found);
    return found;
  };
  CHECK(findings("src/base/wait.cc", "thread_local int t_x;\n").empty());
  CHECK(findings("src/kv/x.cc", "// No thread_local here.\nint x;\n").empty());
  const Findings found = findings("src/kv/x.cc", "int x;\nstatic thread_local int t_x = 0;\n");
  REQUIRE(found.size() == 1);
  CHECK(found[0].starts_with("src/kv/x.cc:2: "));
}

TEST_CASE("tidy: a header without its opening words is found", "[unit][tidy]") {
  const auto count = [](const char* text) {
    Findings found;
    check_header_form(from_text("src/kv/x.h", text), found);
    return found.size();
  };
  CHECK(count("// What it is.\n#pragma once\n") == 0);
  CHECK(count("#pragma once\n") == 1);
  CHECK(count("// What it is.\n") == 1);
  CHECK(count("") == 2);
}

TEST_CASE("tidy: a .cc file without its opening words is found", "[unit][tidy]") {
  const auto count = [](const char* path, const char* text) {
    Findings found;
    check_opening(from_text(path, text), found);
    return found.size();
  };
  CHECK(count("src/briefing/x.cc", "// What it is.\n#include \"x.h\"\n") == 0);
  CHECK(count("src/briefing/x.cc", "#include \"x.h\"\n// What it is.\n") == 1);
  CHECK(count("src/briefing/x.cc", "") == 1);
  CHECK(count("src/briefing/x.h", "") == 0);
}

TEST_CASE("tidy: full lines of comment are counted, and others are not", "[unit][tidy]") {
  std::map<std::string, SourceFile> files;
  files.emplace("a", from_text("a", "// One.\n  // Two.\nint a;  // No.\n\n"));
  files.emplace("b", from_text("b", "int b;\nint c;\nint d;\n\"//\"\n"));
  CHECK(comment_lines_per_thousand(files) == 250);
  CHECK(comment_lines_per_thousand({}) == 0);
}

TEST_CASE("tidy: the length of a function is counted, whatever its form", "[unit][tidy]") {
  const std::string three = "  a;\n  b;\n  c;\n";
  CHECK(function_findings("void f() {\n" + three + "}\n", 5).empty());
  CHECK(function_findings("\nvoid f() {\n" + three + "}\n", 4) ==
        Findings{"src/kv/x.cc:2: function of 5 lines; at most 4"});
  CHECK(
      function_findings("namespace a {\nstruct S {\n  int g() const {\n" + three + "}\n};\n}\n", 4)
          .size() == 1);
  CHECK(function_findings("S::S(int a)\n    : a_{a}, b_(2) {\n" + three + "}\n", 5).size() == 1);
  CHECK(function_findings("template <class T>\nT f(T t = {}) noexcept {\n" + three + "}\n", 5)
            .size() == 1);
  CHECK(function_findings("const char* f() {\n  return \"{{{\";  // }}}\n}\n", 3).empty());
  CHECK(function_findings("auto s = R\"x(\n}}}}\n)x\";\nvoid f() {\n}\n", 2).empty());
  CHECK(function_findings("const int kTable[] = {\n1,\n2,\n3,\n4,\n};\n", 2).empty());
  CHECK(function_findings("void f() {\n", 2).size() == 1);
  CHECK(function_findings("int big = 1'000;\nchar c = '{';\nvoid f() {}\n", 2).empty());
}
