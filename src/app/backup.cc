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
#include "app/backup_maker.h"
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

// The stores, and the manifest that says what belongs to the copy.
Status copy_whole(Parts& parts, const std::string& path, const BackupMaker& maker,
                  const std::function<Status()>& check) {
  const int64_t now_ms = parts.clock().unix_ms();
  const BlobLinks blobs = KVCS_TRY(copy_stores(parts, path, check));
  return write_manifest(path, {now_ms, maker}, blobs, check);
}

// A backup has its final name only when it is whole. Another daemon may have one of the same second
// in the directory.
Result<std::string> name_backup(const std::string& directory, const std::string& partial,
                                int64_t now_ms, const BackupMaker& maker) {
  const std::string name = backup_name(now_ms), longer = backup_name(now_ms, maker.id);
  if (rename_directory(partial, directory + "/" + name).ok()) return name;
  KVCS_TRY(rename_directory(partial, directory + "/" + longer));
  return longer;
}

// The one just made stays, whatever the clock says of it.
Result<std::vector<std::string>> remove_oldest(const BackupSection& section,
                                               const BackupMaker& maker, const std::string& made,
                                               int64_t now_ms) {
  std::vector<std::string> others = KVCS_TRY(list_backups(section.directory, maker, now_ms)).whole;
  std::erase(others, made);
  const size_t stay = static_cast<size_t>(section.keep) - 1;
  others.resize(others.size() - std::min(others.size(), stay));
  for (const std::string& name : others) {
    KVCS_TRY(remove_backup(section.directory, name, maker.id));
  }
  return others;
}

}  // namespace

Result<std::string> make_backup(Parts& parts, const JobContext& context) {
  const BackupSection& section = parts.config.backup;
  KVCS_TRY(make_private_directory(section.directory));
  const BackupMaker maker = KVCS_TRY(read_backup_maker(parts.config.data_dir, *parts.entropy));
  const int64_t now_ms = parts.clock().unix_ms();
  // A daemon that died over a backup left a partial one, which nobody will finish.
  const BackupsFound before = KVCS_TRY(list_backups(section.directory, maker, now_ms));
  for (const std::string& left : before.partial) {
    KVCS_TRY(remove_tree(section.directory + "/" + left));
  }
  const std::string partial =
      section.directory + "/" + backup_name(now_ms, maker.id) + kPartialBackup;
  KVCS_TRY(remove_left_checkpoint(parts));
  const std::function<Status()> check = [&] { return go_on(parts.config, context); };
  KVCS_TRY(check_room_for_backup(parts.config));
  const Status copied = copy_whole(parts, partial, maker, check);
  Result<std::string> name =
      copied.ok() ? name_backup(section.directory, partial, now_ms, maker) : copied;
  if (!name.ok()) {
    // The failure of the copy is reported; the next run removes a partial one that stays behind.
    [[maybe_unused]] const Status removed = remove_tree(partial);
    [[maybe_unused]] const Status left = remove_left_checkpoint(parts);
    return name;
  }
  const std::vector<std::string> removed =
      KVCS_TRY(remove_oldest(section, maker, *name, parts.clock().unix_ms()));
  return dump_json(Json{{"backup", *name}, {"removed", removed}});
}

}  // namespace kvcs
