// Makes the copy before the damage and exchanges it with the store. What it is brought up to is in
// kv_catch_up.cc.
#include "app/kv_rescue.h"

#include <cerrno>
#include <filesystem>

#include "app/files.h"
#include "app/store_look.h"
#include "base/bytes.h"
#include "base/damage.h"
#include "base/file.h"
#include "identity/records.h"
#include "kv/keyspace.h"
#include "kv/kv.h"
#include "kv/kv_repair.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;
constexpr size_t kFoundMaxBytes = 600;

Result<std::unique_ptr<KvStore>> open_copy(const std::string& path, const Clock& clock) {
  return open_rocks_kv(repair_kv_config(path), clock);
}

// An engine that meets a full disk ends the process: what the copy takes is measured before.
Status check_room(const std::string& store, bool tables_too) {
  uint64_t needed = repair_kv_config(store).free_reserve_bytes;
  std::error_code error;
  for (fs::directory_iterator it(store, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".sst" && !tables_too) continue;
    std::error_code ignored;
    const uint64_t size = it->file_size(ignored);
    needed += ignored ? 0 : size;
  }
  if (error) return io_error("list", store, error.value());
  const fs::space_info disk = fs::space(store, error);
  if (error || disk.available >= needed) return ok();
  return unavailable("The repair writes a copy beside " + store + ", for which " +
                     format_bytes(needed) + " are needed, and " + format_bytes(disk.available) +
                     " are free. Free some space, and repeat it.")
      .with_reason("disk_full");
}

std::string lost_text(const KvLogDamage& damage) {
  return "What the key-value store has written since " + damage.what + ": " +
         std::to_string(damage.lost_bytes) + " bytes behind it, with " +
         std::to_string(damage.lost_records) +
         " whole writes, are given up. All that was written before is kept.";
}

}  // namespace

KvRescue::KvRescue(std::string data_dir, const Clock& clock)
    : store_(data_dir + "/kv"),
      copy_(data_dir + "/kv.repair"),
      cut_(copy_ + ".cut"),
      clock_(clock) {}

KvRescue::~KvRescue() {
  std::error_code ignored;
  fs::remove_all(copy_, ignored);
  fs::remove_all(cut_, ignored);
}

Result<std::unique_ptr<KvRescue>> KvRescue::prepare(const std::string& data_dir, Database* ledger,
                                                    const Clock& clock, Entropy& entropy) {
  std::unique_ptr<KvRescue> rescue(new KvRescue(data_dir, clock));
  if (!KVCS_TRY(rescue->fill(ledger, entropy))) return std::unique_ptr<KvRescue>();
  return rescue;
}

Result<bool> KvRescue::fill(Database* ledger, Entropy& entropy) {
  for (const std::string& path : {copy_, cut_}) {  // Of a repair that was killed.
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return io_error("remove", path, error.value());
  }
  const auto found = find_kv_log_damage(store_);
  if (found.code() == Code::kNotFound) return false;
  // A log that cannot be read may be whole: nothing is given up for that.
  if (!found.ok()) return found.status();
  const std::optional<KvLogDamage>& damage = *found;
  // Tables are linked where only a log is cut, and written anew where they are salvaged.
  KVCS_TRY(check_room(store_, !damage));
  if (damage) {
    KVCS_TRY(copy_kv_before(*damage, store_, cut_));
    told_.push_back(lost_text(*damage));
  }
  if (!damage || !KVCS_TRY(cut_is_whole())) {
    const Result<KvSalvage> salvage = salvage_kv(damage ? cut_ : store_, copy_, clock_);
    if (salvage.status().reason() == kKvDamaged) return false;
    if (!salvage.ok()) return salvage.status();
    tell(*salvage);
  } else {
    KVCS_TRY(rename_to_free(cut_, copy_));
  }
  const auto kv = open_copy(copy_, clock_);
  if (!kv.ok()) {
    KVCS_TRY(unless_damage(kv.status()));
    return false;
  }
  if (!KVCS_TRY(has_begun(**kv, !damage))) return false;
  // The journal may be that of a start after the damage.
  KvBatch forget;
  forget.remove(KvFamily::kSystem, std::string(keyspace::kChargesJournal));
  if (damage) KVCS_TRY((*kv)->write(forget, KvDurability::kBuffered));
  std::unique_ptr<const KvStore> behind;
  if (damage) {
    auto records = open_whole_records(store_, clock_);
    if (!records.ok()) KVCS_TRY(unless_damage(records.status()));
    if (records.ok()) behind = std::move(records).value();
  }
  KVCS_TRY(catch_up(**kv, behind.get(), ledger, clock_, entropy, told_));
  if (!damage) KVCS_TRY(keep_a_way_in(**kv));
  return true;
}

// Whether what is before the damage of a log needs no more than that.
Result<bool> KvRescue::cut_is_whole() const {
  const auto kv = open_copy(cut_, clock_);
  if (kv.ok()) return is_readable(**kv);
  KVCS_TRY(unless_damage(kv.status()));
  return false;
}

// Without the end of the first start there is nothing: the next start makes the first keys anew,
// and must not make those again that were revoked since. Where single values are lost, that end may
// be one of them.
Result<bool> KvRescue::has_begun(const KvStore& kv, bool values_are_lost) {
  const auto begun = kv.get(KvFamily::kSystem, keyspace::kFirstStartDone);
  if (begun.ok()) return true;
  if (begun.code() != Code::kNotFound) return begun.status();
  if (!values_are_lost) return false;
  return !KVCS_TRY(kv.scan(KvFamily::kConfig, "", "", 1)).items.empty();
}

// Where single values are lost the last admin key may be one of them; then the next start is to
// make one, and otherwise it must not.
Status KvRescue::keep_a_way_in(KvStore& kv) {
  bool has_admin = false;
  KVCS_TRY(kv_for_each(kv, KvFamily::kAuth, keyspace::admin_key(""), [&](const KvItem& item) {
    const auto key = parse_key(item.entry.value, PrincipalKind::kAdminKey);
    has_admin = has_admin || (key.ok() && key->status == KeyStatus::kActive);
    return ok();
  }));
  KvBatch batch;
  if (has_admin) {
    batch.put(KvFamily::kSystem, std::string(keyspace::kFirstStartDone),
              format_iso8601_ms(clock_.unix_ms()));
  } else {
    batch.remove(KvFamily::kSystem, std::string(keyspace::kFirstStartDone));
    needs_first_start_ = true;
    told_.emplace_back(
        "All admin keys: the next start makes new ones, in initial-credentials.json, with an "
        "organization of their own beside those that are kept.");
  }
  return kv.write(batch, KvDurability::kBuffered);
}

void KvRescue::tell(const KvSalvage& salvage) {
  for (const std::string& found : salvage.damaged) {
    told_.push_back("What stands in a damaged part of the key-value store: " +
                    printable(found, kFoundMaxBytes) + ".");
  }
  told_.push_back(
      salvage.is_readable
          ? std::to_string(salvage.kept_keys) + " keys can be read and are kept; of those in " +
                std::to_string(salvage.lost_stretches) +
                " damaged parts an older value is kept where another file has one."
          : "The list of the store's files cannot be read: every table that is whole is kept, and "
            "removed keys may be back that the audit does not know of.");
}

Status KvRescue::put_in_place(const StoreMark& mark, const std::string& given_up) {
  {
    const auto kv = KVCS_TRY(open_copy(copy_, clock_));
    KVCS_TRY(write_mark(*kv, mark));
    KVCS_TRY(kv->sync());
  }
  KVCS_TRY(sync_folder(copy_));
  KVCS_TRY(rename_to_free(copy_, given_up));
  // At no moment is there no store, which a start would take for a lost one.
  return exchange(given_up, store_);
}

}  // namespace kvcs
