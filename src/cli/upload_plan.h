// Which files a command means by the words of its command line: files, folders, and patterns that
// no shell has expanded.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace kvcs::cli {

// More are refused: such a store is brought over folder by folder.
inline constexpr size_t kPlannedFilesMax = 100'000;

struct PlannedFile {
  std::string path;
  // That of the file without its ending; of one in a folder with the folders between: "a/b".
  std::string name;
  uint64_t size_bytes = 0;  // 0 for a stream.
};

// A file is taken whatever its name. A folder stands for all files *.kv in it and below, but for
// what is hidden; links to files are followed, links to folders are not. A word that is no file is
// a pattern as glob(7) has it. In the order of the words, and by name within each; what is named
// twice is there once. NotFound: a word stands for nothing.
Result<std::vector<PlannedFile>> plan_files(const std::vector<std::string>& words);

}  // namespace kvcs::cli
