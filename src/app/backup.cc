// Copies the stores of the running daemon into a new directory and removes the oldest copies. A
// job's thread runs it; one run at a time.
#include "app/backup.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

#include "app/backup_copy.h"
#include "app/backup_list.h"
#include "app/backup_manifest.h"
#include "app/backup_room.h"
#include "app/files.h"
#include "app/parts.h"
#include "app/store_marks.h"
#include "base/clock.h"
#include "base/json.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

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

Result<std::string> own_store_id(const Parts& parts) {
  const auto mark = KVCS_TRY(read_directory_mark(parts.config.data_dir));
  if (mark) return mark->mark.store_id;
  return internal("The data directory has lost its store.json; start kvcs again.");
}

// The stores, and the manifest that says what belongs to the copy.
Status copy_whole(Parts& parts, const std::string& path, const std::string& store_id,
                  const std::function<Status()>& check) {
  const int64_t now_ms = parts.clock().unix_ms();
  const BlobLinks blobs = KVCS_TRY(copy_stores(parts, path, check));
  return write_manifest(path, {now_ms, store_id}, blobs, check);
}

// A backup has its final name only when it is whole. Another daemon may have one of the same second
// in the directory.
Result<std::string> name_backup(const std::string& directory, const std::string& partial,
                                int64_t now_ms, const std::string& store_id) {
  const std::string name = backup_name(now_ms), longer = backup_name(now_ms, store_id);
  if (rename_directory(partial, directory + "/" + name).ok()) return name;
  KVCS_TRY(rename_directory(partial, directory + "/" + longer));
  return longer;
}

// The one just made stays, whatever the clock says of it.
Result<std::vector<std::string>> remove_oldest(const BackupSection& section,
                                               const std::string& store_id, const std::string& made,
                                               int64_t now_ms) {
  std::vector<std::string> others =
      KVCS_TRY(list_backups(section.directory, store_id, now_ms)).whole;
  std::erase(others, made);
  const size_t stay = static_cast<size_t>(section.keep) - 1;
  others.resize(others.size() - std::min(others.size(), stay));
  for (const std::string& name : others) {
    KVCS_TRY(remove_backup(section.directory, name, store_id));
  }
  return others;
}

}  // namespace

Result<std::string> make_backup(Parts& parts, const JobContext& context) {
  const BackupSection& section = parts.config.backup;
  KVCS_TRY(make_private_directory(section.directory));
  const std::string store_id = KVCS_TRY(own_store_id(parts));
  const int64_t now_ms = parts.clock().unix_ms();
  // A daemon that died over a backup left a partial one, which nobody will finish.
  const BackupsFound before = KVCS_TRY(list_backups(section.directory, store_id, now_ms));
  for (const std::string& left : before.partial) {
    KVCS_TRY(remove_tree(section.directory + "/" + left));
  }
  const std::string partial =
      section.directory + "/" + backup_name(now_ms, store_id) + kPartialBackup;
  KVCS_TRY(remove_left_checkpoint(parts));
  const std::function<Status()> check = [&] { return go_on(parts.config, context); };
  KVCS_TRY(check_room_for_backup(parts.config));
  const Status copied = copy_whole(parts, partial, store_id, check);
  Result<std::string> name =
      copied.ok() ? name_backup(section.directory, partial, now_ms, store_id) : copied;
  if (!name.ok()) {
    // The failure of the copy is reported; the next run removes a partial one that stays behind.
    [[maybe_unused]] const Status removed = remove_tree(partial);
    [[maybe_unused]] const Status left = remove_left_checkpoint(parts);
    return name;
  }
  const std::vector<std::string> removed =
      KVCS_TRY(remove_oldest(section, store_id, *name, parts.clock().unix_ms()));
  return dump_json(Json{{"backup", *name}, {"removed", removed}});
}

}  // namespace kvcs
