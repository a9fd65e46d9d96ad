// Finds out what a repair has to do, and does it. Each way ends with marks that fit, so that the
// daemon starts; the marks come last, so that a repair that was cut off can be repeated.
#include "app/repair.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "ai/budget/budget.h"
#include "app/files.h"
#include "app/kv_rescue.h"
#include "app/store_marks.h"
#include "app/usage_sums.h"
#include "artifacts/artifact_audit.h"
#include "base/clock.h"
#include "base/entropy.h"
#include "base/file.h"
#include "base/id.h"
#include "db/db.h"
#include "kv/keyspace.h"
#include "kv/kv.h"
#include "ledger/audit_head.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;

constexpr std::pair<std::string_view, Accept> kNames[] = {{"kv-log", Accept::kKvLog},
                                                          {"journal", Accept::kJournal},
                                                          {"sql", Accept::kSql},
                                                          {"generation", Accept::kGeneration}};

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// The mark of a database; nothing also when the file is missing, empty or no database.
std::optional<StoreMark> mark_in(const std::string& path) {
  if (!exists(path)) return std::nullopt;
  auto db = Database::open(path, {});
  if (!db.ok()) return std::nullopt;
  auto mark = read_mark(**db, path);
  return mark.ok() ? *mark : std::nullopt;
}

Result<std::unique_ptr<KvStore>> open_kv(const std::string& data_dir, const Clock& clock) {
  KvConfig config;
  config.path = data_dir + "/kv";
  return open_rocks_kv(config, clock);
}

Status mark_database(const std::string& path, const StoreMark& mark) {
  const auto db = KVCS_TRY(Database::open(path, {}));
  return write_mark(*db, mark);
}

// One repair of one directory.
class Repair final {
 public:
  Repair(std::string data_dir, int64_t now_ms)
      : dir_(std::move(data_dir)), clock_(make_system_clock()), entropy_(make_system_entropy()) {
    suffix_ = ".given-up-";
    for (const char c : format_iso8601_s(now_ms)) {
      if (c != '-' && c != ':') suffix_ += c;
    }
  }

  // The marks as they are. A store that cannot be opened counts as one without a mark.
  Status look() {
    there_ = look_for_stores(dir_);
    const auto directory = read_directory_mark(dir_);
    if (directory.code() == Code::kConflict) return directory.status();  // A newer program's.
    if (directory.ok() && *directory) found_.directory = **directory;
    found_.ledger = mark_in(ledger());
    if (there_.kv) {
      const auto kv = open_kv(dir_, *clock_);
      kv_opens_ = kv.ok();
      if (kv_opens_) {
        if (auto mark = read_mark(**kv, "kv"); mark.ok()) found_.kv = *mark;
        compare_kv(**kv);
      }
    }
    found_.portal = mark_in(portal());
    // The generation that all will have: one that no store has had.
    next_.store_id = found_.directory ? found_.directory->mark.store_id : make_uuid_v4(*entropy_);
    for (const auto& mark : {found_.kv, found_.ledger, found_.portal}) {
      if (mark) next_.generation = std::max(next_.generation, mark->generation);
    }
    if (found_.directory) {
      next_.generation = std::max(next_.generation, found_.directory->mark.generation);
    }
    next_.generation++;
    return ok();
  }

  Result<RepairPlan> plan(Accept accept) {
    switch (accept) {
      case Accept::kKvLog:
        return plan_kv();
      case Accept::kJournal:
        return plan_journal();
      case Accept::kSql:
        return plan_sql();
      case Accept::kGeneration:
        return plan_generation();
    }
    return internal("no such repair");
  }

  Status carry_out(const std::vector<std::string>& given_up, bool forget_audit) {
    for (const std::string& path : given_up) {
      std::error_code error;
      fs::rename(path, path + suffix_, error);
      if (error) return io_error("rename", path, error.value());
      KVCS_TRY(sync_folder(folder_of(path)));
    }
    KVCS_TRY(make_private_directory(dir_ + "/sql"));
    KVCS_TRY(write_directory_mark(dir_, {next_, false}));
    // The next start marks the blobs anew, as this directory's under whatever id it has then.
    std::error_code ignored_error;
    fs::remove(dir_ + "/blobs/store.json", ignored_error);
    const auto kv = KVCS_TRY(open_kv(dir_, *clock_));
    if (exists(ledger())) {
      const auto db = KVCS_TRY(Database::open(ledger(), {}));
      std::vector<std::string> ignored;  // Said before, as far as it was known then.
      if (kv_lacks_) KVCS_TRY(catch_up(*kv, nullptr, db.get(), *clock_, *entropy_, ignored));
      if (!kv_lacks_ && mark_in(ledger())) {
        KVCS_TRY(settle_counters(*kv, db.get(), *clock_, *entropy_));
      }
    }
    // What KV remembers of the newest audit row is not true of another ledger.
    if (forget_audit) {
      KvBatch forget;
      forget.remove(KvFamily::kSystem, std::string(keyspace::kAuditHead));
      if (kv_lacks_) forget.remove(KvFamily::kSystem, std::string(keyspace::kChargesJournal));
      KVCS_TRY(kv->write(forget, KvDurability::kSynced));
    }
    KVCS_TRY(write_mark(*kv, next_));
    {
      const auto db = KVCS_TRY(Database::open(ledger(), {}));
      KVCS_TRY(forget_artifact_audit(*db));
    }
    KVCS_TRY(mark_database(ledger(), next_));
    KVCS_TRY(mark_database(portal(), next_));
    return write_directory_mark(dir_, {next_, true});
  }

 private:
  std::string ledger() const { return dir_ + "/sql/ledger.db"; }
  std::string portal() const { return dir_ + "/sql/portal.db"; }

  // Whether a database is one that this directory's start would take.
  bool fits(const std::optional<StoreMark>& mark) const {
    const StoreMark* expected = found_.directory ? &found_.directory->mark
                                : found_.kv      ? &*found_.kv
                                                 : nullptr;
    if (expected == nullptr) return false;
    return mark && mark->store_id == expected->store_id;
  }

  // Whether KV lacks writes that the ledger knows of: it is older, or has counted fewer rows.
  void compare_kv(const KvStore& kv) {
    // A start reads all of it sooner or later, and a table that is damaged opens like any other.
    for (size_t i = 0; i < kKvFamilyCount && kv_opens_; i++) {
      kv_opens_ =
          kv_for_each(kv, static_cast<KvFamily>(i), "", [](const KvItem&) { return ok(); }).ok();
    }
    if (!found_.kv || !found_.ledger || found_.kv->store_id != found_.ledger->store_id) return;
    kv_lacks_ = found_.kv->generation < found_.ledger->generation;
    const auto db = Database::open(ledger(), {});
    if (!db.ok()) return;
    const auto head = kv.get(KvFamily::kSystem, keyspace::kAuditHead);
    const auto is_known = [&kv](const AuditRow& row) -> Result<bool> {
      return row.family == "artifact" ||
             kv.get(KvFamily::kOutbox, keyspace::outbox(row.ts_ms, row.id)).ok();
    };
    if (head.ok()) {
      const auto unknown = find_unknown_audit(**db, head->value, is_known);
      kv_lacks_ = kv_lacks_ || (unknown.ok() && *unknown);
    }
    const auto mismatch = find_usage_mismatch(kv, **db, clock_->unix_ms());
    kv_lacks_ = kv_lacks_ || (mismatch.ok() && *mismatch && (*mismatch)->kv_lacks());
  }

  void give_up_database(const std::string& path, RepairPlan& plan) const {
    for (const char* end : {"", "-wal", "-shm"}) {
      if (exists(path + end)) plan.renamed.push_back(path + end);
    }
  }

  RepairPlan finish(RepairPlan plan, bool forget_audit) {
    plan.carry_out = [this, given_up = plan.renamed, forget_audit] {
      return carry_out(given_up, forget_audit);
    };
    return plan;
  }

  Result<RepairPlan> plan_kv() {
    if (kv_opens_ && fits(found_.kv)) {
      return conflict("The key-value store " + dir_ +
                      "/kv can be opened and belongs to this directory; where it is older than the "
                      "databases, use --accept generation.");
    }
    if (auto rescued = KVCS_TRY(plan_rescue())) return std::move(*rescued);
    RepairPlan plan;
    plan.losses = {
        "All organizations, users, keys, tokens, provider settings and budget counters: the "
        "next start is a first start, with new keys in initial-credentials.json.",
        "What was on its way from the key-value store to the databases: charges and audit records "
        "of the last moments."};
    for (const char* name : {"/kv", "/initial-credentials.json", "/charges.journal"}) {
      if (exists(dir_ + name)) plan.renamed.push_back(dir_ + name);
    }
    return finish(std::move(plan), false);
  }

  // Nothing when no part of the store can be kept.
  Result<std::optional<RepairPlan>> plan_rescue() {
    if (!there_.kv || kv_opens_) return std::optional<RepairPlan>();
    std::unique_ptr<Database> db;
    if (fits(found_.ledger)) db = KVCS_TRY(Database::open(ledger(), {}));
    std::shared_ptr<KvRescue> rescue =
        KVCS_TRY(KvRescue::prepare(dir_, db.get(), *clock_, *entropy_));
    if (!rescue) return std::optional<RepairPlan>();
    RepairPlan plan;
    plan.losses = rescue->told();
    plan.renamed = {dir_ + "/kv"};
    plan.carry_out = [this, rescue]() -> Status {
      KVCS_TRY(write_directory_mark(dir_, {next_, false}));
      KVCS_TRY(rescue->put_in_place(next_, dir_ + "/kv" + suffix_));
      // A database that is lost, or another's, is the next start's finding.
      if (!fits(found_.ledger) || !fits(found_.portal)) return ok();
      KVCS_TRY(mark_database(ledger(), next_));
      KVCS_TRY(mark_database(portal(), next_));
      return write_directory_mark(dir_, {next_, true});
    };
    return std::optional(std::move(plan));
  }

  Result<RepairPlan> plan_journal() {
    if (!there_.all()) return other_stores_first();
    const std::string journal = dir_ + "/charges.journal";
    RepairPlan plan;
    plan.losses = {
        "The charges of requests that were in flight when the daemon last ended, and of the "
        "milliseconds before: they cost nothing."};
    if (exists(journal)) plan.renamed = {journal};
    plan = finish(std::move(plan), false);
    // KV knows that there was a journal, and refuses a start without one.
    plan.carry_out = [journal, rest = std::move(plan.carry_out)]() -> Status {
      KVCS_TRY(rest());
      return ai::Budgets::write_empty_journal(journal);
    };
    return plan;
  }

  Result<RepairPlan> plan_sql() {
    if (!kv_opens_) return other_stores_first();
    const bool new_ledger = !fits(found_.ledger), new_portal = !fits(found_.portal);
    RepairPlan plan;
    // Both have marks of this directory: then it is the audit that is not whole.
    const bool audit = !new_ledger && !new_portal;
    if (new_portal) {
      plan.losses.emplace_back(
          "All projects, and the names, owners and search index of all artifacts. The bytes of the "
          "artifacts stay in blobs, but no row names them: the daemon's sweep stops and says so "
          "while there is no artifact, and may move them to blobs/trash later, for "
          "artifacts.trash_age_s.");
      give_up_database(portal(), plan);
    }
    if (new_ledger || audit) {
      plan.losses.emplace_back(
          "The history in ledger.db: usage rows, audit, errors, runs of jobs, alerts. Budget "
          "counters stay as they are, above what the rows sum up to.");
      give_up_database(ledger(), plan);
    }
    return finish(std::move(plan), new_ledger || audit);
  }

  Result<RepairPlan> plan_generation() {
    if (there_.any() && !there_.all()) {
      const std::string name = !there_.kv       ? "kv"
                               : !there_.ledger ? "sql/ledger.db"
                                                : "sql/portal.db";
      return conflict(dir_ + "/" + name + " is missing; use --accept " +
                      (there_.kv ? "sql" : "kv-log") + ".");
    }
    RepairPlan plan;
    if (!there_.any()) {
      plan.losses = {"All that the daemon has kept here: the next start is a first start."};
      for (const char* name : {"/initial-credentials.json", "/charges.journal", "/store.json"}) {
        if (exists(dir_ + name)) plan.renamed.push_back(dir_ + name);
      }
      return finish(std::move(plan), true);
    }
    if (!kv_opens_) return other_stores_first();
    const std::string keys =
        kv_lacks_ ? "keys, users and settings are as they were then, but for keys that the "
                    "audit knows to have been removed or changed since, which are revoked, and "
                    "counters, which are raised to their rows; "
                  : "";
    plan.losses = {
        "What the newer stores know and the older ones do not: " + keys +
            "artifacts may have no bytes, rows of the ledger may be missing.",
        "The proof that the audit is whole: from here on it is that of the ledger.db that is "
        "there."};
    return finish(std::move(plan), true);
  }

  Status other_stores_first() const {
    return conflict("The key-value store or a database in " + dir_ +
                    " is missing or cannot be opened; accept that first, with --accept " +
                    (kv_opens_ ? "sql" : "kv-log") + ".");
  }

  const std::string dir_;
  const std::unique_ptr<Clock> clock_;
  const std::unique_ptr<Entropy> entropy_;
  std::string suffix_;
  StoresThere there_;
  FoundMarks found_;
  StoreMark next_;
  bool kv_opens_ = false, kv_lacks_ = false;
};

}  // namespace

Result<Accept> parse_accept(std::string_view name) {
  for (const auto& [text, accept] : kNames) {
    if (text == name) return accept;
  }
  return invalid("--accept is one of kv-log, journal, sql and generation.");
}

Result<RepairPlan> plan_repair(const std::string& data_dir, Accept accept, int64_t now_ms) {
  if (!exists(data_dir)) return not_found("There is no data directory " + data_dir + ".");
  // Owned by the plan's function, which std::function may copy.
  auto repair = std::make_shared<Repair>(data_dir, now_ms);
  KVCS_TRY(repair->look());
  RepairPlan plan = KVCS_TRY(repair->plan(accept));
  plan.carry_out = [repair, work = std::move(plan.carry_out)] { return work(); };
  return plan;
}

}  // namespace kvcs
