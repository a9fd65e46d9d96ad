// Reads and writes the records of transfers that have not ended.
#include "cli/kept_transfers.h"

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/state_paths.h"

namespace kvcs::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kRecordMaxBytes = 64 << 10;

std::string folder_named(const char* name) {
  const std::string base = config_folder();
  return base.empty() ? base : base + "/" + name;
}

std::string absolute(const std::string& path) {
  std::error_code ignored;
  return fs::absolute(path, ignored).lexically_normal().string();
}

std::string record_of(const std::string& part) {
  const std::string folder = folder_named("downloads");
  if (folder.empty()) return folder;
  return folder + "/" + sha256_hex(absolute(part)).substr(0, 32) + ".json";
}

// Each record that can be read, with its path.
std::vector<std::pair<std::string, Json>> read_records(const std::string& folder) {
  std::vector<std::pair<std::string, Json>> records;
  std::error_code failed;
  if (folder.empty()) return records;
  for (fs::directory_iterator at(folder, failed); !failed && at != fs::directory_iterator();
       at.increment(failed)) {
    if (at->path().extension() != ".json") continue;
    const auto text = read_small_file(at->path().string(), kRecordMaxBytes);
    auto record = text.ok() ? parse_json(*text) : Result<Json>(text.status());
    if (record.ok() && record->is_object()) {
      records.emplace_back(at->path().string(), std::move(*record));
    }
  }
  std::sort(records.begin(), records.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return records;
}

}  // namespace

void note_download(const std::string& part, const std::string& target, uint64_t size_bytes) {
  const std::string record = record_of(part);
  std::error_code failed;
  if (record.empty()) return;
  fs::create_directories(folder_of(record), failed);
  // Without it the part is found by nobody but the same command.
  (void)write_private_file(record, dump_json({{"part", absolute(part)},
                                              {"target", absolute(target)},
                                              {"size_bytes", size_bytes}}));
}

void forget_download(const std::string& part) {
  if (const std::string record = record_of(part); !record.empty()) (void)::unlink(record.c_str());
}

std::vector<KeptDownload> list_kept_downloads() {
  std::vector<KeptDownload> kept;
  for (const auto& [path, record] : read_records(folder_named("downloads"))) {
    const std::string part = text_member(record, "part");
    struct stat facts {};
    if (::lstat(part.c_str(), &facts) != 0 || !S_ISREG(facts.st_mode)) {
      (void)::unlink(path.c_str());
      continue;
    }
    kept.push_back(
        {path, part, text_member(record, "target"), static_cast<uint64_t>(facts.st_size),
         static_cast<uint64_t>(std::max<int64_t>(0, integer_member(record, "size_bytes")))});
  }
  return kept;
}

std::string uploads_folder() {
  return folder_named("uploads");
}

std::vector<KeptUpload> list_kept_uploads() {
  std::vector<KeptUpload> kept;
  for (const auto& [path, record] : read_records(uploads_folder())) {
    KeptUpload upload{
        .record = path, .server = text_member(record, "url"), .path = text_member(record, "path")};
    const Json parts = record.value("parts", Json());
    if (!parts.is_array()) continue;
    for (const Json& part : parts) {
      upload.ids.push_back(text_member(part, "id"));
      upload.size_bytes +=
          static_cast<uint64_t>(std::max<int64_t>(0, integer_member(part, "size_bytes")));
    }
    kept.push_back(std::move(upload));
  }
  return kept;
}

}  // namespace kvcs::cli
