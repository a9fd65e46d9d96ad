// Reads the repository's files from disk, and their #include lines by one pattern.
#include "support/source_file.h"

#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>
#include <utility>

namespace kvcs::test {

namespace fs = std::filesystem;

fs::path source_root() {
  const char* named = std::getenv("KVCS_SOURCE_DIR");
  return named != nullptr ? fs::path(named) : fs::current_path();
}

SourceFile from_text(std::string path, const std::string& text) {
  SourceFile file{std::move(path), {}};
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) file.lines.push_back(line);
  return file;
}

SourceFile read_source(const std::string& path) {
  std::ifstream in(source_root() / path);
  std::ostringstream text;
  text << in.rdbuf();
  return from_text(path, text.str());
}

std::map<std::string, SourceFile> read_tree(const std::string& folder) {
  std::map<std::string, SourceFile> files;
  const fs::path root = source_root();
  if (!fs::is_directory(root / folder)) return files;
  for (auto it = fs::recursive_directory_iterator(root / folder);
       it != fs::recursive_directory_iterator(); ++it) {
    if (it->path().filename() == "node_modules") it.disable_recursion_pending();
    const std::string extension = it->path().extension();
    if (extension != ".cc" && extension != ".h") continue;
    const std::string path = fs::relative(it->path(), root).generic_string();
    files.emplace(path, read_source(path));
  }
  return files;
}

std::vector<Include> includes_of(const SourceFile& file) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<Include> found;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    std::smatch m;
    if (file.lines[i].find("#") == std::string::npos) continue;
    if (!std::regex_search(file.lines[i], m, pattern)) continue;
    found.push_back({static_cast<int>(i + 1), m[1] == "\"", m[2]});
  }
  return found;
}

std::string folder_of(const std::string& path) {
  std::string rest = path.starts_with("src/") ? path.substr(4) : path;
  return rest.substr(0, rest.find('/'));
}

std::string at(const SourceFile& file, int line, const std::string& why) {
  return file.path + ":" + std::to_string(line) + ": " + why;
}

std::string all(const Findings& findings) {
  std::string text = std::to_string(findings.size()) + " findings\n";
  for (const auto& finding : findings) text += finding + "\n";
  return text;
}

}  // namespace kvcs::test
