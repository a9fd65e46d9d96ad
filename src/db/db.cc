// Database: one SQLite connection, how it is opened, and what its failures mean to callers.
#include "db/db.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "base/damage.h"
#include "db/connection.h"

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
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
    case SQLITE_ABORT:
      return unavailable("The database cannot be read or written now; try again.",
                         std::move(cause));
    case SQLITE_TOOBIG:
      return Status(Code::kTooLarge, "A value is too large for the database.", std::move(cause));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return internal(std::move(cause)).with_reason(kDbDamaged);
    default:
      return internal(std::move(cause));
  }
}

Database::Impl::~Impl() {
  statements.clear();
  sqlite3_close_v2(handle);
}

Status Database::Impl::too_late() const {
  return timed_out("The question took the database longer than " + std::to_string(limit_ms) +
                   " ms; ask for less: a narrower filter, a smaller page.")
      .with_reason("query_too_long");
}

Status Database::Impl::failure(int result, std::string_view what) const {
  if ((result & 0xff) == SQLITE_INTERRUPT && is_late()) return too_late();
  return sqlite_status(result, path, what, sqlite3_errmsg(handle));
}

void Database::Impl::drop_idle_statements() {
  std::erase_if(statements, [](const auto& entry) { return !entry.second->in_use; });
}

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open(const std::string& path, const Options& options) {
  turn_memory_count_off();
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const int result = sqlite3_open_v2(path.c_str(), &impl->handle, flags,
                                     options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (result != SQLITE_OK) {
    return sqlite_status(impl->handle ? sqlite3_extended_errcode(impl->handle) : result, path,
                         "open", impl->handle ? sqlite3_errmsg(impl->handle) : "out of memory");
  }
  sqlite3_extended_result_codes(impl->handle, 1);
  sqlite3_busy_timeout(impl->handle, options.busy_timeout_ms);
  // A damaged or hostile file must not reach the library's internals: no writes to its own tables,
  // no functions with side effects from the schema.
  sqlite3_db_config(impl->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(impl->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  auto db = std::unique_ptr<Database>(new Database(std::move(impl)));
  if (!options.read_only) {
    auto mode = KVCS_TRY(db->prepare("PRAGMA journal_mode=WAL"));
    KVCS_TRY(mode.step());
    const std::string name = mode.text(0);
    if (name != "wal" && name != "memory") {
      return unavailable("The database cannot be opened in write-ahead mode.",
                         path + ": journal_mode is " + name);
    }
  }
  KVCS_TRY(db->execute("PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA synchronous=" +
                       std::string(options.full_sync ? "FULL" : "NORMAL") +
                       "; PRAGMA journal_size_limit=" + std::to_string(kWalKeepBytes)));
  // Reads the header, so that a file which is no database fails here and not at first use.
  auto probe = KVCS_TRY(db->prepare("SELECT count(*) FROM sqlite_schema"));
  KVCS_TRY(probe.run());
  return db;
}

Status Database::execute(std::string_view sql) {
  const int result =
      sqlite3_exec(impl_->handle, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? ok() : impl_->failure(result, "execute");
}

int64_t Database::changes() const {
  return sqlite3_changes64(impl_->handle);
}

// SQLite asks after so many steps of its machine whether to go on. A statement with fewer steps
// never asks, so that prepare() looks at the deadline too.
Status Database::run_within(int64_t limit_ms, const std::function<Status()>& query) {
  constexpr int kStepsPerLook = 10'000;
  struct Deadline {
    Impl& impl;
    ~Deadline() {
      sqlite3_progress_handler(impl.handle, 0, nullptr, nullptr);
      impl.deadline_us = 0;
    }
  } deadline{*impl_};
  KVCS_ASSERT(impl_->deadline_us == 0);
  if (!impl_->clock) impl_->clock = make_system_clock();
  impl_->limit_ms = limit_ms;
  impl_->deadline_us = impl_->clock->mono_us() + limit_ms * 1000;
  sqlite3_progress_handler(
      impl_->handle, kStepsPerLook,
      [](void* impl) { return static_cast<const Impl*>(impl)->is_late() ? 1 : 0; }, impl_.get());
  return query();
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(impl_->handle) == 0;
}

Status Database::checkpoint() {
  const int result = sqlite3_wal_checkpoint_v2(impl_->handle, nullptr, SQLITE_CHECKPOINT_TRUNCATE,
                                               nullptr, nullptr);
  return result == SQLITE_OK ? ok() : impl_->failure(result, "checkpoint");
}

}  // namespace kvcs
