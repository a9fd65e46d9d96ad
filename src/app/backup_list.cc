// Tells the backups of one data directory from those of others by what is in them, and their order
// by the time in their manifest: names are as right as the clock was when they were given.
#include "app/backup_list.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <tuple>
#include <utility>

#include "app/files.h"
#include "app/store_marks.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

// Whatever else lies in the directory is left alone.
constexpr std::string_view kPrefix = "kvcs-";
constexpr size_t kManifestMaxBytes = 64 << 20;
constexpr size_t kIdShownBytes = 8;

struct Made {
  std::string store_id, maker_id;  // The second is "" of an older kvcs.
  int64_t at_ms = 0;
};

// Nothing when there is no manifest, or none that can be read: then it is nobody's to remove.
std::optional<Made> read_made(const std::string& path) {
  const Result<std::string> text = read_small_file(path + "/manifest.json", kManifestMaxBytes);
  if (!text.ok()) return std::nullopt;
  const Result<Json> json = parse_json(*text);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  JsonReader reader(*json);
  Made made;
  const Result<int64_t> at = parse_iso8601_ms(reader.string("made_at"));
  made.store_id = reader.optional_string("store_id").value_or("");
  made.maker_id = reader.optional_string("made_by").value_or("");
  reader.ignore_unknown();
  if (!reader.finish().ok() || !at.ok()) return std::nullopt;
  made.at_ms = *at;
  if (!made.store_id.empty()) return made;
  const Result<std::optional<DirectoryMark>> mark = read_directory_mark(path);
  if (mark.ok() && *mark) made.store_id = (*mark)->mark.store_id;
  return made;
}

bool was_started_on(const std::string& path) {
  std::error_code error;
  return fs::exists(path + "/kvcs.lock", error) || error;
}

std::string tail_of(const std::string& id) {
  return "-" + id.substr(0, kIdShownBytes);
}

bool is_made_by(const Made& made, const BackupMaker& maker) {
  if (made.store_id != maker.store_id) return false;
  return made.maker_id.empty() || made.maker_id == maker.id;
}

// By its name, or as an older kvcs left it: with the store's id, or none. One with the id of
// another maker may be on its way at this moment.
bool is_partial_of(const std::string& path, const std::string& name, const BackupMaker& maker) {
  for (const std::string& id : {maker.id, maker.store_id}) {
    if (name.ends_with(tail_of(id) + kPartialBackup)) return true;
  }
  if (name.find('-', kPrefix.size()) != std::string::npos) return false;
  const Result<std::optional<DirectoryMark>> mark = read_directory_mark(path);
  return mark.ok() && *mark && (*mark)->mark.store_id == maker.store_id;
}

}  // namespace

// The time in ISO 8601 without separators, as some file systems take no colon.
std::string backup_name(int64_t unix_ms) {
  std::string name(kPrefix);
  for (const char c : format_iso8601_s(unix_ms)) {
    if (c != '-' && c != ':') name += c;
  }
  return name;
}

std::string backup_name(int64_t unix_ms, const std::string& maker_id) {
  return backup_name(unix_ms) + tail_of(maker_id);
}

Result<BackupsFound> list_backups(const std::string& directory, const BackupMaker& maker,
                                  int64_t now_ms) {
  BackupsFound found;
  struct Whole {
    bool from_now_on;  // Later than the clock says it is.
    int64_t at_ms;
    std::string name;
  };
  std::vector<Whole> whole;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().string(), name = it->path().filename().string();
    std::error_code ignored;
    if (!name.starts_with(kPrefix) || !it->is_directory(ignored)) continue;
    if (it->is_symlink(ignored)) continue;
    if (name.ends_with(kPartialBackup)) {
      if (is_partial_of(path, name, maker)) found.partial.push_back(name);
      continue;
    }
    if (was_started_on(path)) continue;
    const std::optional<Made> made = read_made(path);
    if (!made || !is_made_by(*made, maker)) continue;
    whole.push_back({made->at_ms > now_ms, made->at_ms, name});
  }
  if (error) return unavailable("Backups in " + directory + " cannot be listed.", error.message());
  std::sort(whole.begin(), whole.end(), [](const Whole& a, const Whole& b) {
    if (a.from_now_on != b.from_now_on) return a.from_now_on;
    return std::tie(a.at_ms, a.name) < std::tie(b.at_ms, b.name);
  });
  for (Whole& each : whole) found.whole.push_back(std::move(each.name));
  return found;
}

namespace {

// Nothing when the manifest is none.
std::optional<BackupShown> read_shown(const std::string& path) {
  const Result<std::string> text = read_small_file(path + "/manifest.json", kManifestMaxBytes);
  if (!text.ok()) return std::nullopt;
  const Result<Json> json = parse_json(*text);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  const Result<int64_t> made = parse_iso8601_ms(text_member(*json, "made_at"));
  if (!made.ok()) return std::nullopt;
  BackupShown shown;
  shown.made_ms = *made;
  shown.store_id = text_member(*json, "store_id");
  shown.version = text_member(*json, "version");
  if (const auto files = json->find("files"); files != json->end() && files->is_array()) {
    for (const Json& file : *files) {
      shown.files_bytes += static_cast<uint64_t>(integer_member(file, "size_bytes"));
    }
  }
  if (const auto blobs = json->find("blobs"); blobs != json->end() && blobs->is_object()) {
    const auto linked = blobs->find("linked");
    shown.blobs_linked = linked != blobs->end() && *linked == true;
    shown.blobs = static_cast<uint64_t>(integer_member(*blobs, "count"));
    shown.blobs_bytes = static_cast<uint64_t>(integer_member(*blobs, "bytes"));
  }
  return shown;
}

}  // namespace

Result<std::vector<BackupShown>> show_backups(const std::string& directory) {
  std::vector<BackupShown> all;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string path = it->path().string(), name = it->path().filename().string();
    std::error_code ignored;
    if (!name.starts_with(kPrefix) || name.ends_with(kPartialBackup)) continue;
    if (!it->is_directory(ignored) || it->is_symlink(ignored) || was_started_on(path)) continue;
    std::optional<BackupShown> shown = read_shown(path);
    if (!shown) continue;
    shown->name = name;
    all.push_back(std::move(*shown));
  }
  // Nothing was ever copied there.
  if (error == std::errc::no_such_file_or_directory) return all;
  if (error) return unavailable("Backups in " + directory + " cannot be listed.", error.message());
  std::sort(all.begin(), all.end(), [](const BackupShown& a, const BackupShown& b) {
    return std::tie(a.made_ms, a.name) > std::tie(b.made_ms, b.name);
  });
  return all;
}

// Killed in the middle it leaves what the next run removes, and never a part under a final name.
Status remove_backup(const std::string& directory, const std::string& name,
                     const std::string& maker_id) {
  const std::string path = directory + "/" + name;
  const std::string tail = tail_of(maker_id);
  const std::string partial =
      (path.ends_with(tail) ? path : path + tail) + std::string(kPartialBackup);
  std::error_code error;
  fs::remove_all(partial, error);
  if (!error) KVCS_TRY(rename_directory(path, partial));
  if (!error) fs::remove_all(partial, error);
  if (!error) return ok();
  return unavailable("The backup " + path + " cannot be removed.", error.message());
}

}  // namespace kvcs
