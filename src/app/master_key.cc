// Finds the master key in the first of its places, or makes one. Called once, at the start.
#include "app/master_key.h"

#include <sys/stat.h>

#include <cstdlib>

#include "base/bytes.h"
#include "base/file.h"

namespace kvcs {
namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kKeyFileMaxBytes = 4096;

// The first key seals; the others open what was sealed before a rotation.
Result<std::vector<Secret>> parse_keys(const std::string& text, const std::string& where) {
  std::vector<Secret> keys;
  for (const std::string_view line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    Result<std::string> bytes = from_base64(trim(line));
    if (!bytes.ok() || bytes.value().size() != kKeyBytes) {
      return invalid(where + ": each line must be base64 of exactly 32 bytes.");
    }
    keys.emplace_back(std::move(bytes).value());
  }
  if (keys.empty()) return invalid(where + ": holds no key.");
  return keys;
}

}  // namespace

std::string credentials_directory() {
  const char* directory = std::getenv("CREDENTIALS_DIRECTORY");
  return directory == nullptr ? "" : directory;
}

Result<std::vector<Secret>> load_master_keys(const std::string& data_dir, const Secret& from_env,
                                             const std::string& credentials_directory,
                                             Entropy& entropy) {
  if (!from_env.empty()) return parse_keys(from_env.reveal(), "KVCS_MASTER_KEY");
  if (!credentials_directory.empty()) {
    const std::string path = credentials_directory + "/kvcs-master-key";
    const Result<std::string> text = read_small_file(path, kKeyFileMaxBytes);
    if (text.ok()) return parse_keys(text.value(), path);
    if (text.code() != Code::kNotFound) return text.status();
  }
  const std::string path = data_dir + "/master.key";
  const Result<std::string> text = read_small_file(path, kKeyFileMaxBytes);
  if (text.code() == Code::kNotFound) {
    Secret key(entropy.bytes(kKeyBytes));
    KVCS_TRY(write_private_file(path, to_base64(key.reveal()) + "\n"));
    return std::vector<Secret>{std::move(key)};
  }
  KVCS_TRY(text.status());
  // A key that others can read is no secret; the daemon does not start with it rather than mend the
  // mode of a file that somebody may have read by then.
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return invalid(path + " can be read by others; run: chmod 600 " + path);
  }
  return parse_keys(text.value(), path);
}

}  // namespace kvcs
