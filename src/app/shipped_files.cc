// Looks for shipped files in the places where a package, `make install` and a source tree put them.
#include "app/shipped_files.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/log.h"

namespace kvcs {
namespace {

constexpr size_t kPricesFileMaxBytes = 16u << 20;

}  // namespace

// The binary's own place tells an installation from a source tree; the working directory comes
// last.
Result<std::string> find_shipped_file(std::string_view name, std::string_view setting) {
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

// Pricing checks the whole text before it takes any of it. How many models have rows past their end
// is told in the log, and which at the level debug: they are dozens.
Status load_prices(const Config& config, ai::Pricing& pricing) {
  std::string path = config.ai.prices_path;
  if (path.empty()) path = KVCS_TRY(find_shipped_file("prices.yaml", "ai.prices_path"));
  const std::string text = KVCS_TRY(read_small_file(path, kPricesFileMaxBytes));
  KVCS_TRY(pricing.load_yaml(text, path));
  int64_t count = 0;
  std::string names;
  for (const auto& price : pricing.list()) {
    if (!pricing.has_ended(*price)) continue;
    count++;
    names += (names.empty() ? "" : ", ") + price->provider + "/" + price->model;
  }
  if (count > 0) {
    log::info("prices.models_ended", {{"path", path}, {"count", count}});
    log::debug("prices.models_ended", {{"models", names}});
  }
  return ok();
}

Result<gateway::Catalogue> read_catalogue(const Config& config) {
  std::string directory = config.gateway.catalogue_dir;
  if (directory.empty()) {
    directory = KVCS_TRY(find_shipped_file("providers", "gateway.catalogue_dir"));
  }
  return gateway::load_catalogue(directory);
}

}  // namespace kvcs
