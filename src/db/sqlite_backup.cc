// The online copy of a database file. It reads one snapshot, which is what lets it come to an end:
// SQLite begins a copy anew whenever the source has changed since the step before, and a source
// that is written to faster than it is copied is never copied whole.
#include <sqlite3.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "base/bytes.h"
#include "db/sqlite_db.h"

namespace kvcs {
namespace {

constexpr int kPagesPerStep = 1024;
constexpr int kStepsPerQuestion = 1'000'000;  // Of SQLite's machine, some milliseconds.
constexpr int kBusyMs = 50;
constexpr int kBusyTriesMax = 200;  // A source in memory may be locked by another connection.

// A read transaction for as long as the object lives, unless one is open already.
class Snapshot final {
 public:
  static Result<Snapshot> hold(Database& db) {
    const bool own = !db.in_transaction();
    if (own) KVCS_TRY(db.begin(DbAccess::kRead));
    Snapshot snapshot(own ? &db : nullptr);
    KVCS_TRY(db.take_snapshot());
    return snapshot;
  }
  Snapshot(Snapshot&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}
  Snapshot& operator=(Snapshot&&) = delete;
  ~Snapshot() {
    // Nothing was written, so there is nothing that a failure could lose.
    if (db_ != nullptr) (void)db_->rollback();
  }

 private:
  explicit Snapshot(Database* db) : db_(db) {}
  Database* db_;
};

// The new file. Unless it was kept, the destructor removes it.
class Target final {
 public:
  explicit Target(const std::string& path) : path_(path) {}
  ~Target() {
    sqlite3_close_v2(handle_);
    if (!kept_) ::unlink(path_.c_str());
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;
  Status open() {
    const int result =
        sqlite3_open_v2(path_.c_str(), &handle_,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (result != SQLITE_OK) return failure(result);
    sqlite3_extended_result_codes(handle_, 1);
    return ok();
  }
  sqlite3* handle() { return handle_; }
  Status failure(int result) const {
    return sqlite_status(result, path_, "backup",
                         handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(result));
  }
  // A damaged page is copied as it is: SQLite looks at what is in it when it is read.
  Status check(const std::function<Status()>& between_steps) {
    struct Watch {
      const std::function<Status()>& ask;
      Status stopped;
    } watch{between_steps, ok()};
    const auto ask = [](void* given) {
      auto* self = static_cast<Watch*>(given);
      if (self->ask) self->stopped = self->ask();
      return self->stopped.ok() ? 0 : 1;
    };
    const auto note = [](void* given, int, char** columns, char**) {
      *static_cast<std::string*>(given) = columns[0] != nullptr ? columns[0] : "";
      return 0;
    };
    std::string said;
    sqlite3_progress_handler(handle_, kStepsPerQuestion, ask, &watch);
    const int result = sqlite3_exec(handle_, "PRAGMA quick_check(1)", note, &said, nullptr);
    sqlite3_progress_handler(handle_, 0, nullptr, nullptr);
    KVCS_TRY(std::move(watch.stopped));
    if (result == SQLITE_OK && said == "ok") return ok();
    if (result != SQLITE_OK) said = sqlite3_errmsg(handle_);
    return internal("The database is damaged, as its copy " + path_ +
                    " shows: " + printable(said, kShownText) +
                    ". Older copies may be whole: keep them, and restore one.");
  }
  void keep() { kept_ = true; }

 private:
  const std::string path_;
  sqlite3* handle_ = nullptr;
  bool kept_ = false;
};

// SQLITE_OK when all is copied, or the library's failure; a Status when `between_steps` ended it.
Result<int> copy_pages(sqlite3* target, sqlite3* source,
                       const std::function<Status()>& between_steps) {
  sqlite3_backup* backup = sqlite3_backup_init(target, "main", source, "main");
  if (backup == nullptr) return sqlite3_extended_errcode(target);
  int result = SQLITE_OK;
  Status stopped;
  for (int busy = 0; stopped.ok();) {
    result = sqlite3_backup_step(backup, kPagesPerStep);
    const bool waits = result == SQLITE_BUSY || result == SQLITE_LOCKED;
    if (result != SQLITE_OK && !(waits && busy++ < kBusyTriesMax)) break;
    if (waits) sqlite3_sleep(kBusyMs);
    if (between_steps) stopped = between_steps();
  }
  const int finished = sqlite3_backup_finish(backup);
  KVCS_TRY(std::move(stopped));
  return result == SQLITE_DONE ? finished : result;
}

}  // namespace

Status SqliteDb::take_snapshot() {
  return run("SELECT count(*) FROM sqlite_schema");
}

Status SqliteDb::backup_to(const std::string& path, const std::function<Status()>& between_steps) {
  if (::access(path.c_str(), F_OK) == 0) {
    return conflict("Backup target " + path + " exists; choose another path or remove it.");
  }
  const Snapshot snapshot = KVCS_TRY(Snapshot::hold(*this));
  Target target(path);
  KVCS_TRY(target.open());
  const int result = KVCS_TRY(copy_pages(target.handle(), handle_, between_steps));
  if (result != SQLITE_OK) return target.failure(result);
  KVCS_TRY(target.check(between_steps));
  target.keep();
  return ok();
}

}  // namespace kvcs
