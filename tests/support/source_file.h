// The repository's own text, for the tests that hold its rules: files as lines, their #includes,
// findings as "path:line: why". Functions without state.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kvcs::test {

using Findings = std::vector<std::string>;

struct SourceFile {
  std::string path;  // From the repository's root: "src/kv/kv.h".
  std::vector<std::string> lines;
};

struct Include {
  int line;
  bool quoted;
  std::string target;
};

// KVCS_SOURCE_DIR, or else the current directory.
std::filesystem::path source_root();
SourceFile from_text(std::string path, const std::string& text);
SourceFile read_source(const std::string& path);
// Every .cc and .h below `folder`, by path.
std::map<std::string, SourceFile> read_tree(const std::string& folder);
std::vector<Include> includes_of(const SourceFile& file);
// "src/kv/rocks_kv.cc" → "kv"; "src/main.cc" → "main.cc".
std::string folder_of(const std::string& path);
std::string at(const SourceFile& file, int line, const std::string& why);
// For INFO(): their number and all of them.
std::string all(const Findings& findings);

}  // namespace kvcs::test
