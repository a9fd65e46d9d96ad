#include "app/share_files.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

namespace kvcs {

Result<std::string> find_share_file(std::string_view name, std::string_view setting) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path binary = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<fs::path> places;
  if (const char* given = std::getenv("KVCS_SHARE_DIR")) places.emplace_back(given);
  places.push_back(binary / "../share/kvcs/config");
  places.push_back(binary / "../share/kvcs");
  places.push_back(binary / "../../config");
  places.emplace_back("config");
  std::string looked;
  for (const fs::path& place : places) {
    const fs::path file = place / name;
    if (fs::exists(file, error)) return file.lexically_normal().string();
    looked += (looked.empty() ? "" : ", ") + place.lexically_normal().string();
  }
  return not_found("The shipped file '" + std::string(name) + "' is in none of: " + looked +
                   ". Install kvcs with its files (make install, or the package), name their "
                   "directory in KVCS_SHARE_DIR, or this one in " +
                   std::string(setting) + ".");
}

}  // namespace kvcs
