#include "app/share_files.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace kvcs {

std::string find_share_file(std::string_view name) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path binary = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<fs::path> places;
  if (const char* given = std::getenv("KVCS_SHARE_DIR")) places.emplace_back(given);
  places.push_back(binary / "../share/kvcs/config");
  places.push_back(binary / "../share/kvcs");
  places.push_back(binary / "../../config");
  places.emplace_back("config");
  for (const fs::path& place : places) {
    const fs::path file = place / name;
    if (fs::exists(file, error)) return file.lexically_normal().string();
  }
  return (binary / "../share/kvcs" / name).lexically_normal().string();
}

}  // namespace kvcs
