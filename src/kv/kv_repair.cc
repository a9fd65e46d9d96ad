// The copy before a damage: the damaged log is cut where it stops to be whole, and the logs after
// it are left out, so that the copy is what a process would have left that was killed at that
// moment.
#include "kv/kv_repair.h"

#include <filesystem>

#include "base/file.h"
#include "kv/kv_files.h"
#include "kv/wal_check.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

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
  KVCS_TRY(link_kv_files(
      directory, to, [&damage](std::string_view name) { return wal_number(name) > damage.log; }));
  const std::map<uint64_t, std::string> logs = KVCS_TRY(list_wals(to));
  const auto damaged = logs.find(damage.log);
  if (damaged == logs.end()) return ok();  // It is missing, and that is the damage.
  std::error_code error;
  fs::resize_file(damaged->second, damage.whole_bytes, error);
  return error ? io_error("cut", damaged->second, error.value()) : ok();
}

}  // namespace kvcs
