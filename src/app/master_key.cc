// Finds the master key in the first of its places, or makes one. Called once, at the start.
#include "app/master_key.h"

#include <sys/stat.h>

#include <cstdlib>

#include "base/bytes.h"
#include "base/file.h"

namespace kvcs {
namespace {

constexpr size_t kKeyFileMaxBytes = 4096;

// The first key seals; the others open what was sealed before a rotation.
Result<std::vector<Secret>> parse_keys(const std::string& text, const std::string& where) {
  std::vector<Secret> keys;
  // Neither separator is a letter of base64.
  std::string lines = text;
  for (char& c : lines) c = c == ',' || c == ' ' || c == '\t' || c == '\r' ? '\n' : c;
  for (const std::string_view line : split(lines, '\n')) {
    if (line.empty()) continue;
    Result<std::string> bytes = from_base64(line);
    if (!bytes.ok() || bytes.value().size() != kMasterKeyBytes) {
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
  Result<std::vector<Secret>> keys = read_master_key_file(path);
  if (keys.code() != Code::kNotFound) return keys;
  // Under a new key nothing that is stored could be opened, and the next start would blame that.
  struct stat info {};
  if (::stat((data_dir + "/kv/CURRENT").c_str(), &info) == 0) {
    return conflict(path +
                    " is missing, and the key-value store beside it has been in use. Put the "
                    "master key back there (mode 0600), or pass it in KVCS_MASTER_KEY: what it "
                    "sealed opens with no other.");
  }
  Secret key(entropy.bytes(kMasterKeyBytes));
  KVCS_TRY(write_private_file(path, to_base64(key.reveal()) + "\n"));
  return std::vector<Secret>{std::move(key)};
}

Result<std::vector<Secret>> read_master_key_file(const std::string& path) {
  const std::string text = KVCS_TRY(read_small_file(path, kKeyFileMaxBytes));
  // A key that others can read is no secret; the daemon does not start with it rather than mend the
  // mode of a file that somebody may have read by then.
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0) {
    return invalid(path + " can be read by others; run: chmod 600 " + path);
  }
  return parse_keys(text, path);
}

std::string master_key_file(const std::string& data_dir, const Secret& from_env,
                            const std::string& credentials_directory) {
  if (!from_env.empty()) return {};
  if (!credentials_directory.empty() &&
      read_small_file(credentials_directory + "/kvcs-master-key", kKeyFileMaxBytes).ok()) {
    return {};
  }
  return data_dir + "/master.key";
}

}  // namespace kvcs
