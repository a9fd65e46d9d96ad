// Copies the stores of the running daemon into a new directory and removes the oldest copies. A
// job's thread runs it; one run at a time.
#include "app/backup.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

#include "app/backup_copy.h"
#include "app/backup_manifest.h"
#include "app/backup_room.h"
#include "app/files.h"
#include "app/parts.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

// Only names of this shape are backups of ours; whatever else lies in the directory is left alone.
constexpr std::string_view kPrefix = "kvcs-", kPartial = ".partial";
constexpr size_t kNameBytes = std::string_view("kvcs-20260115T030000Z").size();

// "kvcs-20260115T030000Z": names in order are backups in order.
// The time in ISO 8601 without separators, as some file systems take no colon.
std::string backup_name(int64_t unix_ms) {
  std::string name(kPrefix);
  for (const char c : format_iso8601_s(unix_ms)) {
    if (c != '-' && c != ':') name += c;
  }
  return name;
}

// Of what is there: whole backups, oldest first, and what a daemon left that died over one.
struct Found {
  std::vector<std::string> whole, partial;
};
Result<Found> list_backups(const std::string& directory) {
  Found found;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    if (name.size() == kNameBytes && name.back() == 'Z') found.whole.push_back(name);
    if (name.ends_with(kPartial)) found.partial.push_back(name);
  }
  if (error) return unavailable("Backups in " + directory + " cannot be listed.", error.message());
  std::sort(found.whole.begin(), found.whole.end());
  return found;
}

Status remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (!error) return ok();
  return unavailable("The backup " + path + " cannot be removed.", error.message());
}

// Asked at each step of the copy.
Status go_on(const Config& config, const JobContext& context) {
  if (!context.cancelled) return check_reserve_is_left(config);
  return unavailable("The backup was stopped: its time is up, or the daemon stops.");
}

// The stores, and the manifest that says what belongs to the copy.
Status copy_whole(Parts& parts, const std::string& path, const std::function<Status()>& check) {
  const int64_t now_ms = parts.clock().unix_ms();
  const BlobLinks blobs = KVCS_TRY(copy_stores(parts, path, check));
  return write_manifest(path, now_ms, blobs, check);
}

}  // namespace

Result<std::string> make_backup(Parts& parts, const JobContext& context) {
  const BackupSection& section = parts.config.backup;
  KVCS_TRY(make_private_directory(section.directory));
  // A daemon that died over a backup left a partial one, which nobody will finish.
  const Found before = KVCS_TRY(list_backups(section.directory));
  for (const std::string& left : before.partial) {
    KVCS_TRY(remove_tree(section.directory + "/" + left));
  }
  const std::string name = backup_name(parts.clock().unix_ms());
  const std::string path = section.directory + "/" + name, partial = path + std::string(kPartial);
  KVCS_TRY(remove_left_checkpoint(parts));
  const std::function<Status()> check = [&] { return go_on(parts.config, context); };
  KVCS_TRY(check_room_for_backup(parts.config));
  Status copied = copy_whole(parts, partial, check);
  // A backup has its final name only when it is whole.
  if (copied.ok()) copied = rename_directory(partial, path);
  if (!copied.ok()) {
    // The failure of the copy is reported; the next run removes a partial one that stays behind.
    [[maybe_unused]] const Status removed = remove_tree(partial);
    [[maybe_unused]] const Status left = remove_left_checkpoint(parts);
    return copied;
  }
  Json removed = Json::array();
  const Found now = KVCS_TRY(list_backups(section.directory));
  const size_t keep = static_cast<size_t>(section.keep);
  for (size_t i = 0; i + keep < now.whole.size(); ++i) {
    KVCS_TRY(remove_tree(section.directory + "/" + now.whole[i]));
    removed.push_back(now.whole[i]);
  }
  return dump_json(Json{{"backup", name}, {"removed", std::move(removed)}});
}

}  // namespace kvcs
