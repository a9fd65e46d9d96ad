// Goal: tests/PROOF.md names cases that exist, and SECURITY.md files, so that no promise loses its
// proof unseen. Method: each line "  - FILE: CASE" is looked up in that file, whose string literals
// are joined first; so are the words of the last column of the threat model.
#include <catch2/catch.hpp>

#include <algorithm>
#include <regex>
#include <string>

#include "base/bytes.h"
#include "support/source_file.h"

using namespace kvcs::test;

namespace {

std::string text_of(const SourceFile& file) {
  std::string text;
  for (const std::string& line : file.lines) text += line + "\n";
  return text;
}

// Whether a file has the case: a TEST_CASE of that name, or a test() whose name holds it.
bool has_case(const std::string& path, const std::string& text, const std::string& name) {
  if (!path.ends_with(".cc")) {
    for (size_t at = text.find("test("); at != std::string::npos; at = text.find("test(", at + 1)) {
      const size_t end = text.find('\n', at);
      if (text.substr(at, end - at).find(name) != std::string::npos) return true;
    }
    return false;
  }
  static const std::regex split(R"re("\s*\n\s*")re"), begin(R"(TEST_CASE\(\s+)");
  const std::string joined =
      std::regex_replace(std::regex_replace(text, split, ""), begin, "TEST_CASE(");
  return joined.find("TEST_CASE(\"" + name + "\"") != std::string::npos;
}

Findings proof_findings(const SourceFile& proof) {
  Findings findings;
  int promise = 0;  // The line of the promise that has no case so far; 0: there is none.
  const auto end_promise = [&](int next) {
    if (promise != 0) findings.push_back(at(proof, promise, "the promise has no case"));
    promise = next;
  };
  for (size_t i = 0; i < proof.lines.size(); i++) {
    const std::string& line = proof.lines[i];
    const int number = static_cast<int>(i) + 1;
    if (line.starts_with("## What no test shows")) break;
    if (line.starts_with("- ")) end_promise(number);
    if (!line.starts_with("  - ")) continue;
    promise = 0;
    const size_t colon = line.find(": ");
    const std::string path = line.substr(4, colon - 4), name = line.substr(colon + 2);
    if (!std::filesystem::exists(source_root() / path)) {
      findings.push_back(at(proof, number, "there is no file " + path));
    } else if (!has_case(path, text_of(read_source(path)), name)) {
      findings.push_back(at(proof, number, path + " has no case '" + name + "'"));
    }
  }
  end_promise(0);
  return findings;
}

// The rows of the threat model: "| who | what | defence | test, test |". A test is a file below
// tests/, or "PROOF.md" followed by the name of a section there.
Findings threat_findings(const SourceFile& security, const SourceFile& proof) {
  Findings findings;
  for (size_t i = 0; i < security.lines.size(); i++) {
    const std::string& line = security.lines[i];
    if (!line.starts_with("| ") || line.starts_with("| who | what")) continue;
    const auto cells = kvcs::split(line, '|');
    const int number = static_cast<int>(i) + 1;
    if (cells.size() != 6) {
      findings.push_back(at(security, number, "a row has who, what, defence and test"));
      continue;
    }
    for (const std::string_view cell : kvcs::split(cells[4], ',')) {
      const std::string word(kvcs::trim(cell));
      const auto is_section = [&](const std::string& of) { return of == "## " + word; };
      const bool known =
          !word.empty() && (std::filesystem::exists(source_root() / "tests" / word) ||
                            std::any_of(proof.lines.begin(), proof.lines.end(), is_section));
      if (!known) findings.push_back(at(security, number, "there is no test '" + word + "'"));
    }
  }
  return findings;
}

}  // namespace

TEST_CASE("tidy: each test that the threat model of SECURITY.md names exists", "[unit][tidy]") {
  const SourceFile security = read_source("SECURITY.md"), proof = read_source("tests/PROOF.md");
  const auto rows = std::count_if(security.lines.begin(), security.lines.end(),
                                  [](const std::string& line) { return line.starts_with("| "); });
  CHECK(rows > 15);
  const Findings findings = threat_findings(security, proof);
  INFO(all(findings));
  CHECK(findings.empty());
  const auto found = [&](const std::string& row) {
    return all(threat_findings(from_text("SECURITY.md", row + "\n"), proof));
  };
  CHECK(found("| a | b | c | app/gone_test.cc |").find("no test") != std::string::npos);
  CHECK(found("| a | b | c | |").find("no test") != std::string::npos);
  CHECK(found("| a | b | c |").find("a row has") != std::string::npos);
}

TEST_CASE("tidy: each case that tests/PROOF.md names exists", "[unit][tidy]") {
  const SourceFile proof = read_source("tests/PROOF.md");
  CHECK(proof.lines.size() > 50);
  const Findings findings = proof_findings(proof);
  INFO(all(findings));
  CHECK(findings.empty());
}

TEST_CASE("tidy: a case, a file or a proof that is gone is found", "[unit][tidy]") {
  const auto found = [](const std::string& text) {
    return all(proof_findings(from_text("tests/PROOF.md", text)));
  };
  const std::string here = "  - tests/tidy/proof_test.cc: ";
  const std::string known = here + "tidy: each case that tests/PROOF.md names exists\n";
  CHECK(proof_findings(from_text("tests/PROOF.md", "- A promise.\n" + known)).empty());
  CHECK(found(here + "tidy: each case that\n").find("has no case") != std::string::npos);
  CHECK(found("  - tests/gone.cc: any\n").find("no file tests/gone.cc") != std::string::npos);
  CHECK(found("- A promise.\n- Another.\n").find("no case") != std::string::npos);
}
