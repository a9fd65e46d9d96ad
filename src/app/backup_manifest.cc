// Reads a finished backup once more, from the disk's cache, and writes down what it consists of.
#include "app/backup_manifest.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/build_info.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;
constexpr int kFormat = 1;

// The names of the files below `directory`, blobs left out, in order.
Result<std::vector<std::string>> list_files(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  fs::recursive_directory_iterator it(directory, error);
  for (const fs::recursive_directory_iterator end; !error && it != end; it.increment(error)) {
    std::string name = it->path().lexically_relative(directory).string();
    if (name == "blobs") {
      it.disable_recursion_pending();
    } else if (it->is_regular_file(error)) {
      names.push_back(std::move(name));
    }
  }
  if (error) return io_error("list", directory, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

Result<Json> describe_file(const std::string& directory, const std::string& name,
                           const std::function<Status()>& check) {
  std::ifstream in(directory + "/" + name, std::ios::binary);
  Sha256 hash;
  uint64_t size = 0;
  std::string buffer(1 << 20, '\0');
  while (in) {
    KVCS_TRY(check());
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hash.update(buffer.data(), static_cast<size_t>(in.gcount()));
    size += static_cast<uint64_t>(in.gcount());
  }
  if (!in.eof()) return unavailable("The backup cannot read " + directory + "/" + name + ".");
  return Json{{"name", name}, {"size_bytes", size}, {"sha256", hash.finish_hex()}};
}

}  // namespace

Status write_manifest(const std::string& directory, const BackupOrigin& origin,
                      const BlobLinks& blobs, const std::function<Status()>& check) {
  Json files = Json::array();
  for (const std::string& name : KVCS_TRY(list_files(directory))) {
    files.push_back(KVCS_TRY(describe_file(directory, name, check)));
  }
  const Json manifest = {
      {"format", kFormat},
      {"made_at", format_iso8601_ms(origin.made_ms)},
      {"store_id", origin.maker.store_id},
      {"made_by", origin.maker.id},
      {"version", version()},
      {"files", std::move(files)},
      {"blobs", {{"linked", blobs.linked}, {"count", blobs.blobs}, {"bytes", blobs.bytes}}}};
  return write_private_file(directory + "/manifest.json", dump_json_pretty(manifest) + "\n");
}

}  // namespace kvcs
