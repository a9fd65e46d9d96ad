// Finds out what a repair has to do, and does it. Each way ends with marks that fit, so that the
// daemon starts; the marks come last, so that a repair that was cut off can be repeated.
#include "app/repair.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

#include "ai/budget/budget.h"
#include "ai/budget/journal_check.h"
#include "app/blob_mark.h"
#include "app/files.h"
#include "app/kv_rescue.h"
#include "app/store_look.h"
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

constexpr std::pair<std::string_view, Accept> kNames[] = {
    {"kv-log", Accept::kKv}, {"kv-files", Accept::kKv},           {"journal", Accept::kJournal},
    {"sql", Accept::kSql},   {"generation", Accept::kGeneration}, {"blobs", Accept::kBlobs}};

Result<std::unique_ptr<KvStore>> open_kv(const std::string& data_dir, const Clock& clock) {
  return open_rocks_kv(repair_kv_config(data_dir + "/kv"), clock);
}

Status mark_database(const std::string& path, const StoreMark& mark) {
  const auto db = KVCS_TRY(open_sqlite(path));
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

  // The marks as they are. A store that is damaged counts as one without a mark.
  Status look(Accept accept) {
    there_ = KVCS_TRY(look_for_stores(dir_));
    auto directory = read_directory_mark(dir_);
    if (directory.ok()) {
      found_.directory = *directory;
    } else {
      KVCS_TRY(unless_damage(directory.status()));
    }
    const bool thorough = accept == Accept::kSql;
    ledger_ = KVCS_TRY(look_at_database(ledger(), thorough));
    portal_ = KVCS_TRY(look_at_database(portal(), thorough));
    found_.ledger = ledger_.mark;
    found_.portal = portal_.mark;
    KVCS_TRY(look_at_kv());
    // The generation that all will have: one that no store has had.
    next_.store_id = agreed_id(found_);
    if (next_.store_id.empty()) next_.store_id = make_uuid_v4(*entropy_);
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
      case Accept::kKv:
        return plan_kv();
      case Accept::kJournal:
        return plan_journal();
      case Accept::kSql:
        return plan_sql();
      case Accept::kGeneration:
        return plan_generation();
      case Accept::kBlobs:
        return plan_blobs();
    }
    return internal("no such repair");
  }

  Status carry_out(const std::vector<std::string>& given_up, bool forget_audit) {
    KVCS_TRY(set_aside(given_up, suffix_));
    KVCS_TRY(make_private_directory(dir_ + "/sql"));
    KVCS_TRY(write_directory_mark(dir_, {next_, false}));
    // The next start marks the blobs anew, as this directory's under whatever id it has then.
    for (const std::string& path : {dir_ + "/blobs/store.json", blob_place_file(dir_)}) {
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) return io_error("remove", path, errno);
    }
    const auto kv = KVCS_TRY(open_kv(dir_, *clock_));
    KVCS_TRY(make_good(*kv));
    // What KV remembers of the newest audit row is not true of another ledger.
    if (forget_audit) {
      KvBatch forget;
      forget.remove(KvFamily::kSystem, std::string(keyspace::kAuditHead));
      if (kv_lacks_) forget.remove(KvFamily::kSystem, std::string(keyspace::kChargesJournal));
      KVCS_TRY(kv->write(forget, KvDurability::kSynced));
    }
    KVCS_TRY(write_mark(*kv, next_));
    {
      const auto db = KVCS_TRY(open_sqlite(ledger()));
      KVCS_TRY(forget_artifact_audit(*db));
    }
    KVCS_TRY(mark_database(ledger(), next_));
    KVCS_TRY(mark_database(portal(), next_));
    return write_directory_mark(dir_, {next_, true});
  }

 private:
  std::string ledger() const { return dir_ + "/sql/ledger.db"; }
  std::string portal() const { return dir_ + "/sql/portal.db"; }

  // Whether a store is one that this directory's start would take.
  bool fits(const std::optional<StoreMark>& mark) const {
    return mark && (found_.directory || found_.kv) && mark->store_id == next_.store_id;
  }
  // A directory of before has no marks, and its databases none either.
  bool fits(const FoundDatabase& db) const {
    return db.whole && (fits(db.mark) || (!db.mark && !found_.directory && !found_.kv));
  }

  Status look_at_kv() {
    if (!there_.kv) return ok();
    const auto kv = open_kv(dir_, *clock_);
    if (!kv.ok()) return unless_damage(kv.status());
    // It opens to be read where the disk takes no writes; a repair must write.
    KVCS_TRY((*kv)->writable());
    const auto mark = read_mark(**kv, "kv");
    if (!mark.ok()) KVCS_TRY(unless_damage(mark.status()));
    if (mark.ok()) found_.kv = *mark;
    // A start reads all of it sooner or later, and a table that is damaged opens like any other.
    kv_opens_ = KVCS_TRY(is_readable(**kv));
    if (!kv_opens_) return ok();
    // The tables of an older program cannot be compared, which is no reason to do nothing.
    Status compared = unless_damage(compare_kv(**kv));
    return compared.code() == Code::kInternal ? ok() : compared;
  }

  // Whether KV lacks writes that the ledger knows of: it is older, or has counted fewer rows. And
  // whether the ledger lacks audit rows that KV knows of.
  Status compare_kv(const KvStore& kv) {
    if (!ledger_.whole) return ok();
    const auto db = KVCS_TRY(open_sqlite(ledger()));
    if (!KVCS_TRY(has_history(*db))) return ok();
    const auto head = KVCS_TRY(find_entry(kv, KvFamily::kSystem, keyspace::kAuditHead));
    if (head) {
      const Status audit = check_audit_head(*db, head->value);
      audit_is_cut_ = audit.code() == Code::kConflict;
      if (!audit_is_cut_) KVCS_TRY(audit);
    }
    if (!found_.kv || !found_.ledger || found_.kv->store_id != found_.ledger->store_id) return ok();
    kv_lacks_ = found_.kv->generation < found_.ledger->generation;
    if (head && KVCS_TRY(find_audit_unknown_to(kv, *db, head->value))) kv_lacks_ = true;
    const auto mismatch = KVCS_TRY(find_usage_mismatch(kv, *db, clock_->unix_ms()));
    kv_lacks_ = kv_lacks_ || (mismatch && mismatch->kv_lacks());
    rows_differ_ = mismatch.has_value();
    return ok();
  }

  // What KV lacks is made good from the ledger. Else the counters forget how many rows they stand
  // for: in a ledger that is made anew there are none, and the start would miss them.
  Status make_good(KvStore& kv) const {
    const FoundDatabase now = KVCS_TRY(look_at_database(ledger(), false));
    std::unique_ptr<Database> db;
    if (now.there) db = KVCS_TRY(open_sqlite(ledger()));
    if (db && kv_lacks_) {
      std::vector<std::string> ignored;  // Said before, as far as it was known then.
      return catch_up(kv, nullptr, db.get(), *clock_, *entropy_, ignored);
    }
    if (db && (!now.mark || !KVCS_TRY(has_history(*db)))) db.reset();
    return settle_counters(kv, db.get(), *clock_, *entropy_);
  }

  // Those of the paths that are there, which the plan gives up.
  Status note_renamed(const std::vector<std::string>& paths, RepairPlan& plan) const {
    for (const std::string& path : paths) {
      if (KVCS_TRY(path_exists(path))) plan.renamed.push_back(path);
    }
    return ok();
  }

  static std::vector<std::string> files_of(const std::string& database) {
    return {database, database + "-wal", database + "-shm"};
  }

  // An unmarked portal.db in which no project is, beside a store that has been in use.
  Result<bool> has_no_project() const {
    if (found_.directory || found_.kv || !portal_.whole) return false;
    const auto db = KVCS_TRY(open_sqlite(portal()));
    if (!KVCS_TRY(db->has_table("projects"))) return true;
    auto project = KVCS_TRY(db->prepare("SELECT 1 FROM projects LIMIT 1"));
    return !KVCS_TRY(project.step());
  }

  // The plan, at whose end all stores bear new marks.
  RepairPlan mark_anew(RepairPlan plan, bool forget_audit) {
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
    KVCS_TRY(note_renamed(
        {dir_ + "/kv", dir_ + "/initial-credentials.json", dir_ + "/charges.journal"}, plan));
    return mark_anew(std::move(plan), false);
  }

  // Nothing when no part of the store can be kept.
  Result<std::optional<RepairPlan>> plan_rescue() {
    const bool there = KVCS_TRY(path_exists(dir_ + "/kv"));
    if (!there || kv_opens_) return std::optional<RepairPlan>();
    std::unique_ptr<Database> db;
    if (fits(ledger_)) db = KVCS_TRY(open_sqlite(ledger()));
    if (db && !KVCS_TRY(has_history(*db))) db.reset();
    std::shared_ptr<KvRescue> rescue =
        KVCS_TRY(KvRescue::prepare(dir_, db.get(), *clock_, *entropy_));
    if (!rescue) return std::optional<RepairPlan>();
    RepairPlan plan;
    plan.losses = rescue->told();
    plan.renamed = {dir_ + "/kv"};
    if (!fits(ledger_) || !fits(portal_)) plan.next_accept = "sql";
    std::vector<std::string> credentials;
    if (rescue->needs_first_start()) {
      KVCS_TRY(note_renamed({dir_ + "/initial-credentials.json"}, plan));
      credentials.assign(plan.renamed.begin() + 1, plan.renamed.end());
    }
    plan.carry_out = [this, rescue, credentials]() -> Status {
      KVCS_TRY(write_directory_mark(dir_, {next_, false}));
      KVCS_TRY(set_aside(credentials, suffix_));
      const std::string given_up = KVCS_TRY(free_name(dir_ + "/kv", suffix_));
      KVCS_TRY(rescue->put_in_place(next_, given_up));
      // A database that is lost, or another's, is the next start's finding.
      if (!fits(ledger_) || !fits(portal_)) return ok();
      KVCS_TRY(mark_database(ledger(), next_));
      KVCS_TRY(mark_database(portal(), next_));
      return write_directory_mark(dir_, {next_, true});
    };
    return std::optional(std::move(plan));
  }

  Result<RepairPlan> plan_journal() {
    if (!there_.all() || !kv_opens_) return other_stores_first();
    const std::string journal = dir_ + "/charges.journal";
    {
      const auto kv = KVCS_TRY(open_kv(dir_, *clock_));
      if (KVCS_TRY(ai::is_journal_whole(*kv, journal))) {
        return nothing_to_repair("The journal " + journal +
                                 " is whole, and the one of the daemon's last start");
      }
    }
    RepairPlan plan;
    plan.losses = {
        "The charges of requests that were in flight when the daemon last ended, and of the "
        "milliseconds before: they cost nothing."};
    KVCS_TRY(note_renamed({journal}, plan));
    plan = mark_anew(std::move(plan), false);
    // KV knows that there was a journal, and refuses a start without one.
    plan.carry_out = [journal, rest = std::move(plan.carry_out)]() -> Status {
      KVCS_TRY(rest());
      return ai::Budgets::write_empty_journal(journal);
    };
    return plan;
  }

  Result<RepairPlan> plan_sql() {
    if (!kv_opens_) return other_stores_first();
    const bool new_portal = !fits(portal_) || KVCS_TRY(has_no_project());
    const bool new_ledger = !fits(ledger_) || audit_is_cut_;
    if (!new_ledger && !new_portal) {
      return nothing_to_repair("Both databases in " + dir_ +
                               "/sql are whole and belong to this directory");
    }
    RepairPlan plan;
    if (new_portal) {
      plan.losses.emplace_back(
          "All projects, and the names, owners and search index of all artifacts. The bytes of the "
          "artifacts stay in blobs, but no row names them: the daemon's sweep stops and says so "
          "while there is no artifact, and may move them to blobs/trash later, for "
          "artifacts.trash_age_s.");
      KVCS_TRY(note_renamed(files_of(portal()), plan));
    }
    if (new_ledger) {
      plan.losses.emplace_back(
          "The history in ledger.db: usage rows, audit, errors, runs of jobs, alerts. Budget "
          "counters stay as they are, above what the rows sum up to.");
      KVCS_TRY(note_renamed(files_of(ledger()), plan));
    }
    return mark_anew(std::move(plan), new_ledger);
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
      KVCS_TRY(note_renamed(
          {dir_ + "/initial-credentials.json", dir_ + "/charges.journal", dir_ + "/store.json"},
          plan));
      return mark_anew(std::move(plan), true);
    }
    if (!kv_opens_ || !ledger_.whole || !portal_.whole) return other_stores_first();
    if (KVCS_TRY(is_of_one_moment())) {
      return nothing_to_repair("All stores in " + dir_ + " are of the same moment");
    }
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
    return mark_anew(std::move(plan), true);
  }

  // All that a start compares.
  Result<bool> is_of_one_moment() {
    if (kv_lacks_ || audit_is_cut_ || rows_differ_) return false;
    // A directory whose own mark is damaged has none here, which is another finding than no mark.
    const Status mark = read_directory_mark(dir_).status();
    if (!mark.ok()) return false;
    const auto fits = check_marks(dir_, found_, *entropy_);
    if (fits.code() == Code::kConflict) return false;
    KVCS_TRY(fits.status());
    const auto ledger_db = KVCS_TRY(open_sqlite(ledger()));
    const auto portal_db = KVCS_TRY(open_sqlite(portal()));
    const Status artifacts = check_artifact_audit(*portal_db, *ledger_db);
    if (artifacts.code() == Code::kConflict) return false;
    // The tables of an older program, or of a database made anew, cannot be compared.
    if (artifacts.code() != Code::kInternal) KVCS_TRY(artifacts);
    return true;
  }

  // The stores stay as they are: the next start marks the folder that it finds.
  Result<RepairPlan> plan_blobs() {
    RepairPlan plan;
    plan.losses = {
        "What was in the folder of the blobs, if it is lost: artifacts whose bytes are gone stay "
        "listed, are answered with an error, and are named by the job blob-scrub."};
    KVCS_TRY(note_renamed({blob_place_file(dir_)}, plan));
    const std::string folder = KVCS_TRY(marked_blobs(dir_));
    KVCS_TRY(note_renamed({folder + "/store.json"}, plan));
    if (plan.renamed.empty()) return nothing_to_repair("No folder of blobs is noted for " + dir_);
    plan.carry_out = [this, given_up = plan.renamed] { return set_aside(given_up, suffix_); };
    return plan;
  }

  static Status nothing_to_repair(const std::string& sound) {
    return conflict(sound + ": there is nothing to be repaired in this way.");
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
  FoundDatabase ledger_, portal_;
  bool kv_opens_ = false;  // And every value in it can be read.
  bool kv_lacks_ = false, audit_is_cut_ = false, rows_differ_ = false;
};

}  // namespace

Result<Accept> parse_accept(std::string_view name) {
  for (const auto& [text, accept] : kNames) {
    if (text == name) return accept;
  }
  return invalid("--accept is one of kv-log, kv-files, journal, sql, generation and blobs.");
}

Result<RepairPlan> plan_repair(const std::string& data_dir, Accept accept, int64_t now_ms) {
  KVCS_TRY(check_used_directory(data_dir));
  // Owned by the plan's function, which std::function may copy.
  auto repair = std::make_shared<Repair>(data_dir, now_ms);
  KVCS_TRY(repair->look(accept));
  RepairPlan plan = KVCS_TRY(repair->plan(accept));
  plan.carry_out = [repair, work = std::move(plan.carry_out)] { return work(); };
  return plan;
}

}  // namespace kvcs
