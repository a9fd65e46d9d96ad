// The cold store: SQLite behind a face that leaks no sqlite3 type. One concrete class; ":memory:"
// is its fake and a shim VFS (tests/support) its faults. The modules above write portable SQL.
//
// Database is one connection, used by one thread at a time. DbWriter owns the one writing
// connection of a file and its thread; DbReaders is a small pool of read-only connections.
//
// Failures of every method: Conflict, a constraint was broken, its kind in reason() ("unique",
// "foreign_key", "not_null", "check"); Unavailable, the disk is full, broken or the file locked;
// TooLarge, a value over SQLite's limit; Internal, a damaged file or a mistake in the SQL. The
// library's own words are in cause().
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/status.h"

namespace kvcs {

class Statement;
struct CachedStatement;

class Database final {
 public:
  struct Options {
    bool read_only = false;
    bool full_sync = true;  // synchronous=FULL (money, audit); false: NORMAL.
    int busy_timeout_ms = 5000;
    std::string vfs;  // Tests: a fault-injecting VFS by name.
  };
  // `path` or ":memory:". Opens in WAL mode with foreign keys on. Unavailable when the file cannot
  // be opened; Internal when it is not a database.
  static Result<std::unique_ptr<Database>> open(const std::string& path, const Options& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Prepared once per SQL text and kept (up to 256 texts); reset when the Statement is destroyed.
  Result<Statement> prepare(std::string_view sql);
  Status execute(std::string_view sql);  // One or more statements without parameters.
  int64_t changes() const;               // Rows touched by the last statement.
  // Inside a read transaction: from here to its end this connection reads the database as it is
  // now. Without it the transaction begins to read at its first query.
  Status take_snapshot();
  // Copies the database as this connection sees it into a new file and syncs it. Writers on other
  // connections go on, and do not hold the copy up: one snapshot is read from beginning to end.
  // `between_steps` is asked after every few megabytes; its failure ends the copy and is returned.
  // Conflict when `path` exists; after a failure nothing is left there.
  Status backup_to(const std::string& path, const std::function<Status()>& between_steps = {});
  // Moves the WAL into the file and truncates it. Unavailable while a reader still needs it.
  Status checkpoint();
  bool in_transaction() const;
  // Runs `query` under a deadline: SQL that is still at work then, or is begun later, fails with
  // Timeout, reason query_too_long. Not nested.
  Status run_within(int64_t limit_ms, const std::function<Status()>& query);

  struct Impl;  // db/connection.h

 private:
  friend class Statement;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Usage: auto s = KVCS_TRY(db.prepare("SELECT a FROM t WHERE id=?")); s.bind(1, id);
//        while (KVCS_TRY(s.step())) use(s.text(0));
class Statement final {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();
  // Positions from 1.
  Statement& bind(int position, int64_t value);
  Statement& bind(int position, double value);
  Statement& bind(int position, std::string_view text);
  Statement& bind(int position, const char* text) { return bind(position, std::string_view(text)); }
  Statement& bind(int position, int value) { return bind(position, static_cast<int64_t>(value)); }
  Statement& bind_bytes(int position, std::string_view bytes);  // BLOB, ordered by its bytes.
  Statement& bind_null(int position);
  template <typename T>
  Statement& bind_optional(int position, const std::optional<T>& value) {
    return value ? bind(position, *value) : bind_null(position);
  }
  // True: a row is there. False: done.
  Result<bool> step();
  Status run();  // step() until done, ignoring rows.
  void reset();  // To bind and run again.
  // Columns from 0.
  int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::string bytes(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  Statement(Database::Impl& db, CachedStatement& statement) : db_(&db), statement_(&statement) {}
  void note(int result);  // Keeps the first failure of a bind, for step() to return.
  Database::Impl* db_;
  CachedStatement* statement_;
};

// BEGIN IMMEDIATE; rolls back unless commit() returned Ok.
class Transaction final {
 public:
  static Result<Transaction> begin(Database& db);
  Transaction(Transaction&&) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status commit();

 private:
  explicit Transaction(Database* db) : db_(db) {}
  Database* db_;
};

// Runs `body` inside an open transaction so that its failure, or an exception (which becomes
// Internal), undoes its own changes only. May be nested.
Status in_savepoint(Database& db, const std::function<Status()>& body);

// Numbered, forward only. The database remembers the last one applied (PRAGMA user_version). A file
// written by a newer kvcs is refused: Conflict, naming both numbers.
struct Migration {
  int number;       // 1, 2, 3, …
  const char* sql;  // One or more statements.
};
// All that are missing, in one transaction: after a failure the file is as it was.
Status migrate(Database& db, const std::vector<Migration>& migrations);

// `took` is called with the time of each group from BEGIN to COMMIT (writer), or of each query
// (readers), failed ones too. It must be quick and thread-safe; `clock` outlives the DbTimer.
// Without a clock nothing is measured.
struct DbTimer {
  const Clock* clock = nullptr;
  std::function<void(int64_t duration_us)> took = {};
  int64_t now_us() const { return clock == nullptr ? 0 : clock->mono_us(); }
  void stop(int64_t begin_us) const {
    if (clock != nullptr) took(clock->mono_us() - begin_us);
  }
};

// One writer thread per file. Jobs queued while a commit is under way share the next one (group
// commit, at most kDbGroupMax jobs): each runs in its own savepoint, so that one failure undoes
// only its own job. When the commit fails, no job of the group has happened and all are told so;
// the writer then goes on with the next group. Thread-safe.
inline constexpr size_t kDbGroupMax = 256;

class DbWriter final {
 public:
  using Job = std::function<Status(Database&)>;
  DbWriter(std::unique_ptr<Database> db, const char* thread_name, size_t queue_max,
           DbTimer timer = {});
  ~DbWriter();  // Finishes what is queued.
  // Returns when the job's changes are committed (or undone). Fails as the job does, or as the
  // commit (Unavailable); Unavailable too when the queue is full. Not from inside a job.
  Status run(Job job);
  // Runs the job between two groups, outside any transaction: checkpoint, VACUUM.
  Status run_alone(Job job);
  // Jobs committed and commits made so far; their ratio shows the grouping.
  struct Stats {
    uint64_t jobs = 0, groups = 0, failed = 0;
    size_t queued = 0;
  };
  Stats stats() const;
  // Of its thread. A job of run_alone() is long work.
  Pulse pulse() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Read-only connections, handed out one thread at a time; opened when first needed. Each query sees
// one snapshot from its first read to its end. Thread-safe.
class DbReaders final {
 public:
  static Result<std::unique_ptr<DbReaders>> open(const std::string& path, size_t connections_max,
                                                 DbTimer timer = {});
  ~DbReaders();
  // Waits for a free connection.
  Status run(const std::function<Status(Database&)>& query);

 private:
  struct Impl;
  explicit DbReaders(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs
