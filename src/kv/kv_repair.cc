// The copy before a damage: the damaged log is cut where it stops to be whole, and the logs after
// it are left out, so that the copy is what a process would have left that was killed at that
// moment.
#include "kv/kv_repair.h"

#include <filesystem>

#include "base/file.h"
#include "kv/wal_check.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

Status copy_file(const fs::path& from, const std::string& to) {
  std::error_code error;
  if (from.extension() == ".sst") {
    fs::create_hard_link(from, to, error);
    if (!error) return ok();
    error.clear();
  }
  fs::copy_file(from, to, error);
  return error ? io_error("copy", from.string(), error.value()) : ok();
}

// Of no use to the copy: what it says of the logs is true of those that are given up.
bool is_left_out(const fs::path& path, const KvLogDamage& damage) {
  const std::string name = path.filename().string();
  return name == kWalNotesName || name == "LOCK" || wal_number(name) > damage.log;
}

}  // namespace

Result<std::optional<KvLogDamage>> find_kv_log_damage(const std::string& directory) {
  bool ignored = false;
  const WalNotes::Left notes = WalNotes::read(directory + "/" + kWalNotesName);
  const auto found = KVCS_TRY(find_wal_damage(directory, notes, ignored));
  if (!found) return std::optional<KvLogDamage>();
  KvLogDamage damage{found->what, found->log, found->whole_bytes};
  const std::map<uint64_t, std::string> logs = KVCS_TRY(list_wals(directory));
  for (const auto& [number, path] : logs) {
    if (number < found->log) continue;
    const uint64_t begin = number == found->log ? found->whole_bytes : 0;
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (error) return io_error("stat", path, error.value());
    damage.lost_bytes += size - begin;
    damage.lost_records += KVCS_TRY(count_wal_records(path, begin));
  }
  return std::optional(std::move(damage));
}

Status copy_kv_before(const KvLogDamage& damage, const std::string& directory,
                      const std::string& to) {
  std::error_code error;
  if (!fs::create_directory(to, error))
    return io_error("create", to, error ? error.value() : EEXIST);
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (is_left_out(it->path(), damage)) continue;
    const std::string name = it->path().filename().string();
    KVCS_TRY(copy_file(it->path(), to + "/" + name));
    if (wal_number(name) != damage.log) continue;
    fs::resize_file(to + "/" + name, damage.whole_bytes, error);
    if (error) return io_error("cut", to + "/" + name, error.value());
  }
  return error ? io_error("list", directory, error.value()) : ok();
}

}  // namespace kvcs
