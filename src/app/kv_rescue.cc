// Makes the copy before the damage and exchanges it with the store. What it is brought up to is in
// kv_catch_up.cc.
#include "app/kv_rescue.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "kv/keyspace.h"
#include "kv/kv.h"
#include "kv/kv_repair.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

Result<std::unique_ptr<KvStore>> open_copy(const std::string& path, const Clock& clock) {
  KvConfig config;
  config.path = path;
  return open_rocks_kv(config, clock);
}

std::string lost_text(const KvLogDamage& damage) {
  return "What the key-value store has written since " + damage.what + ": " +
         std::to_string(damage.lost_bytes) + " bytes behind it, with " +
         std::to_string(damage.lost_records) +
         " whole writes, are given up. All that was written before is kept.";
}

}  // namespace

KvRescue::KvRescue(std::string data_dir, const Clock& clock)
    : store_(data_dir + "/kv"), copy_(data_dir + "/kv.repair"), clock_(clock) {}

KvRescue::~KvRescue() {
  std::error_code ignored;
  fs::remove_all(copy_, ignored);
}

Result<std::unique_ptr<KvRescue>> KvRescue::prepare(const std::string& data_dir, Database* ledger,
                                                    const Clock& clock, Entropy& entropy) {
  std::unique_ptr<KvRescue> rescue(new KvRescue(data_dir, clock));
  if (!KVCS_TRY(rescue->fill(ledger, entropy))) return std::unique_ptr<KvRescue>();
  return rescue;
}

Result<bool> KvRescue::fill(Database* ledger, Entropy& entropy) {
  const auto damage = find_kv_log_damage(store_);
  if (damage.code() == Code::kNotFound) return false;
  // A log that cannot be read may be whole: nothing is given up for that.
  if (!damage.ok()) return damage.status();
  if (!*damage) return false;
  std::error_code error;
  fs::remove_all(copy_, error);  // Of a repair that was killed.
  if (error) return io_error("remove", copy_, error.value());
  KVCS_TRY(copy_kv_before(**damage, store_, copy_));
  const auto kv = open_copy(copy_, clock_);
  if (!kv.ok()) return false;
  // Without the end of the first start there is nothing: the next start makes the first keys anew,
  // and must not make those again that were revoked since.
  const auto begun = (*kv)->get(KvFamily::kSystem, keyspace::kFirstStartDone);
  if (begun.code() == Code::kNotFound) return false;
  if (!begun.ok()) return begun.status();
  told_.push_back(lost_text(**damage));
  // The journal may be that of a start after the damage.
  KvBatch forget;
  forget.remove(KvFamily::kSystem, std::string(keyspace::kChargesJournal));
  KVCS_TRY((*kv)->write(forget, KvDurability::kBuffered));
  const auto behind = open_whole_records(store_, clock_);
  KVCS_TRY(catch_up(**kv, behind.ok() ? behind->get() : nullptr, ledger, clock_, entropy, told_));
  return true;
}

Status KvRescue::put_in_place(const StoreMark& mark, const std::string& given_up) {
  {
    const auto kv = KVCS_TRY(open_copy(copy_, clock_));
    KVCS_TRY(write_mark(*kv, mark));
    KVCS_TRY(kv->sync());
  }
  KVCS_TRY(sync_folder(copy_));
  std::error_code error;
  fs::rename(copy_, given_up, error);
  if (error) return io_error("rename", copy_, error.value());
  // At no moment is there no store, which a start would take for a lost one.
  if (::renameat2(AT_FDCWD, given_up.c_str(), AT_FDCWD, store_.c_str(), RENAME_EXCHANGE) != 0) {
    return io_error("exchange", store_, errno);
  }
  return sync_folder(folder_of(store_));
}

}  // namespace kvcs
