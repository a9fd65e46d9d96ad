// The checks before the database is opened, and the sentence by which a damaged one is refused.
#include "kv/rocks_damage.h"

#include <filesystem>

#include "base/bytes.h"
#include "base/damage.h"

namespace kvcs {
namespace {

constexpr size_t kFoundMaxBytes = 600;

bool is_database_file(const std::string& name) {
  return name.starts_with("MANIFEST-") || name.ends_with(".sst") || name.ends_with(".log");
}

}  // namespace

Status kv_damaged(const std::string& directory, const std::string& found, KvDamagePlace place) {
  return unavailable(
             "The key-value store in \"" + printable(directory) +
                 "\" is damaged, and is not opened, so that nothing is lost unnoticed: " +
                 printable(found, kFoundMaxBytes) +
                 ". Restore the data directory from a backup; where there is none, kvcs repair "
                 "--accept " +
                 (place == KvDamagePlace::kLog ? "kv-log" : "kv-files") +
                 " keeps what can be kept, and first says what is lost.",
             found)
      .with_reason(kKvDamaged);
}

bool has_kv_files(const std::string& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory + "/CURRENT", ignored);
}

Status check_kv_files(const std::string& directory) {
  std::error_code error;
  if (has_kv_files(directory)) {
    const auto size = std::filesystem::file_size(directory + "/CURRENT", error);
    if (!error && size == 0) return kv_damaged(directory, directory + "/CURRENT is empty");
    return ok();
  }
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    // A first start that was killed leaves the first manifest, and nothing else of the database.
    if (!is_database_file(name) || name == "MANIFEST-000001") continue;
    return kv_damaged(directory, directory + "/CURRENT is missing, while there is " + name);
  }
  return ok();
}

}  // namespace kvcs
