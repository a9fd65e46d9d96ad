// SqliteDb: one SQLite connection, how it is opened, and what its failures mean to callers.
#include "db/sqlite_db.h"

#include <sqlite3.h>

#include <utility>

#include "base/damage.h"

namespace kvcs {
namespace {

// The WAL file is cut back to this after a checkpoint, so that one burst does not keep the space.
constexpr int64_t kWalKeepBytes = 64 << 20;

// The name of a broken constraint outside of db/: the machine word and the sentence. SQLite tells
// three kinds of "there is one already"; callers need one.
struct ConstraintWords {
  int code;
  const char* reason;
  const char* message;
};
constexpr ConstraintWords kConstraints[] = {
    {SQLITE_CONSTRAINT_UNIQUE, "unique", "A record with the same identity exists already."},
    {SQLITE_CONSTRAINT_PRIMARYKEY, "unique", "A record with the same identity exists already."},
    {SQLITE_CONSTRAINT_ROWID, "unique", "A record with the same identity exists already."},
    {SQLITE_CONSTRAINT_FOREIGNKEY, "foreign_key",
     "The record refers to one that does not exist, or is still referred to."},
    {SQLITE_CONSTRAINT_NOTNULL, "not_null", "A required field of the record is missing."},
    {SQLITE_CONSTRAINT_CHECK, "check", "A field of the record has a value that is not allowed."},
};

// SQLite counts the memory of all its connections under one lock, at each allocation; nobody reads
// the count. It can be turned off before the library is first used, else it stays on.
void turn_memory_count_off() {
  static const int result = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  (void)result;
}

Status constraint_status(int result, std::string cause) {
  for (const ConstraintWords& words : kConstraints) {
    if (words.code == result) {
      return Status(Code::kConflict, words.message, std::move(cause)).with_reason(words.reason);
    }
  }
  return Status(Code::kConflict, "The record breaks a rule of its table.", std::move(cause))
      .with_reason("constraint");
}

}  // namespace

Status sqlite_status(int result, std::string_view path, std::string_view what,
                     std::string_view detail) {
  std::string cause = std::string(path) + ": " + std::string(what) + ": " + std::string(detail) +
                      " (sqlite " + std::to_string(result) + ")";
  switch (result & 0xff) {
    case SQLITE_CONSTRAINT:
      return constraint_status(result, std::move(cause));
    case SQLITE_FULL:
      return unavailable("The disk is full; free space and try again.", std::move(cause));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return unavailable("The database is busy; try again.", std::move(cause));
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return unavailable(
          "The database cannot be read or written; its operator finds the reason in the log.",
          std::move(cause));
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
    case SQLITE_ABORT:
      return unavailable("The database cannot be read or written now; try again.",
                         std::move(cause));
    case SQLITE_TOOBIG:
      return Status(Code::kTooLarge, "A value is too large for the database.", std::move(cause));
    case SQLITE_CORRUPT:
      // The full-text index is not what the rows would make of it.
      if (result == SQLITE_CORRUPT_VTAB) {
        return internal(std::move(cause)).with_reason(kDbIndexDiffers);
      }
      [[fallthrough]];
    case SQLITE_NOTADB:
      return unreadable("A row that this needs", std::move(cause)).with_reason(kDbDamaged);
    default:
      return internal(std::move(cause));
  }
}

SqliteDb::SqliteDb(std::string path, const SqliteOptions& options)
    : path_(std::move(path)), options_(options), damage_(damage_of_database(path_)) {}

SqliteDb::~SqliteDb() {
  statements_.clear();
  sqlite3_close_v2(handle_);
}

Status SqliteDb::too_late() const {
  return timed_out("The question took the database longer than " + std::to_string(limit_ms_) +
                   " ms; ask for less: a narrower filter, a smaller page.")
      .with_reason("query_too_long");
}

Status SqliteDb::failure(int result, std::string_view what) const {
  if ((result & 0xff) == SQLITE_INTERRUPT && is_late()) return too_late();
  Status failed = sqlite_status(result, path_, what, sqlite3_errmsg(handle_));
  if (failed.reason() == kDbDamaged) damage_->note(failed.cause());
  return failed;
}

Status SqliteDb::open() {
  turn_memory_count_off();
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (options_.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const int result = sqlite3_open_v2(path_.c_str(), &handle_, flags,
                                     options_.vfs.empty() ? nullptr : options_.vfs.c_str());
  if (result != SQLITE_OK) {
    return sqlite_status(handle_ ? sqlite3_extended_errcode(handle_) : result, path_, "open",
                         handle_ ? sqlite3_errmsg(handle_) : "out of memory");
  }
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, options_.busy_timeout_ms);
  // A damaged or hostile file must not reach the library's internals: no writes to its own tables,
  // no functions with side effects from the schema.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return set_up();
}

Status SqliteDb::set_up() {
  if (!options_.read_only) {
    auto mode = KVCS_TRY(prepare("PRAGMA journal_mode=WAL"));
    KVCS_TRY(mode.step());
    const std::string name = mode.text(0);
    if (name != "wal" && name != "memory") {
      return unavailable("The database cannot be opened in write-ahead mode.",
                         path_ + ": journal_mode is " + name);
    }
  }
  KVCS_TRY(execute("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA synchronous=" +
                   std::string(options_.full_sync ? "FULL" : "NORMAL") +
                   "; PRAGMA journal_size_limit=" + std::to_string(kWalKeepBytes)));
  // Reads the header, so that a file which is no database fails here and not at first use.
  return run("SELECT count(*) FROM sqlite_schema");
}

Result<std::unique_ptr<Database>> open_sqlite(const std::string& path,
                                              const SqliteOptions& options) {
  auto db = std::make_unique<SqliteDb>(path, options);
  KVCS_TRY(db->open());
  return std::unique_ptr<Database>(std::move(db));
}

DbReaders::Connect sqlite_readers(const std::string& path) {
  return [path] { return open_sqlite(path, {.read_only = true}); };
}

Status SqliteDb::run(std::string_view sql) {
  Statement statement = KVCS_TRY(prepare(sql));
  return statement.run();
}

Status SqliteDb::execute(std::string_view sql) {
  const int result = sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? ok() : failure(result, "execute");
}

int64_t SqliteDb::changes() const {
  return sqlite3_changes64(handle_);
}

// SQLite asks after so many steps of its machine whether to go on. A statement with fewer steps
// never asks, so that prepare() looks at the deadline too.
Status SqliteDb::run_within(int64_t limit_ms, const std::function<Status()>& query) {
  constexpr int kStepsPerLook = 10'000;
  struct Deadline {
    SqliteDb& db;
    ~Deadline() {
      sqlite3_progress_handler(db.handle_, 0, nullptr, nullptr);
      db.deadline_us_ = 0;
    }
  } deadline{*this};
  KVCS_ASSERT(deadline_us_ == 0);
  if (!clock_) clock_ = make_system_clock();
  limit_ms_ = limit_ms;
  deadline_us_ = clock_->mono_us() + limit_ms * 1000;
  sqlite3_progress_handler(
      handle_, kStepsPerLook,
      [](void* db) { return static_cast<const SqliteDb*>(db)->is_late() ? 1 : 0; }, this);
  return query();
}

Status SqliteDb::begin(DbAccess access) {
  return run(access == DbAccess::kWrite ? "BEGIN IMMEDIATE" : "BEGIN");
}

Status SqliteDb::commit() {
  return run("COMMIT");
}

Status SqliteDb::rollback() {
  return run("ROLLBACK");
}

bool SqliteDb::in_transaction() const {
  return sqlite3_get_autocommit(handle_) == 0;
}

Status SqliteDb::checkpoint() {
  const int result =
      sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  return result == SQLITE_OK ? ok() : failure(result, "checkpoint");
}

// A number of the file's header that SQLite leaves to its user.
Result<int64_t> SqliteDb::schema_number() {
  Statement query = KVCS_TRY(prepare("PRAGMA user_version"));
  KVCS_TRY(query.step());
  return query.integer(0);
}

Status SqliteDb::set_schema_number(int64_t number) {
  return execute("PRAGMA user_version=" + std::to_string(number));
}

Result<bool> SqliteDb::has_table(std::string_view name) {
  Statement table = KVCS_TRY(prepare("SELECT 1 FROM sqlite_schema WHERE type='table' AND name=?"));
  return table.bind(1, name).step();
}

Result<int64_t> SqliteDb::last_given_number(std::string_view table) {
  Statement given = KVCS_TRY(prepare("SELECT seq FROM sqlite_sequence WHERE name=?"));
  return KVCS_TRY(given.bind(1, table).step()) ? given.integer(0) : 0;
}

Result<std::string> SqliteDb::find_damage() {
  Statement check = KVCS_TRY(prepare("PRAGMA quick_check(1)"));
  if (!KVCS_TRY(check.step())) return std::string("no answer");
  std::string said = check.text(0);
  return said == "ok" ? std::string() : std::move(said);
}

}  // namespace kvcs
