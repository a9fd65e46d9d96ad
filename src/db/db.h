// The cold store, for the modules that keep tables: Database is a connection to an engine that
// speaks SQL. open_sqlite() makes the engine there is; its types stay in sqlite_*.cc, and the
// modules above write portable SQL. ":memory:" is its fake, a shim VFS (tests/support) the faults
// of its disk, and a faulty Database those of any engine.
//
// Database is one connection, used by one thread at a time. DbWriter owns the one writing
// connection of a database and its thread; DbReaders is a small pool of read-only connections.
//
// Failures of every method: Conflict, a constraint was broken, its kind in reason() ("unique",
// "foreign_key", "not_null", "check"); Unavailable, the disk is full, broken or the file locked;
// TooLarge, a value over the engine's limit; Internal, a damaged file (reason kDbDamaged) or a
// mistake in the SQL. The engine's own words are in cause().
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

// What an engine has compiled from one SQL text. Statement, below, is what callers hold.
class EngineStatement {
 public:
  virtual ~EngineStatement() = default;
  virtual void bind(int position, int64_t value) = 0;
  virtual void bind(int position, double value) = 0;
  virtual void bind(int position, std::string_view text) = 0;
  virtual void bind_bytes(int position, std::string_view bytes) = 0;
  virtual void bind_null(int position) = 0;
  virtual Result<bool> step() = 0;
  virtual void reset() = 0;
  virtual int64_t integer(int column) const = 0;
  virtual double real(int column) const = 0;
  virtual std::string text(int column) const = 0;
  virtual std::string bytes(int column) const = 0;
  virtual bool is_null(int column) const = 0;
  // The last call of who used it: the engine keeps it for the next, or deletes it.
  virtual void give_back() = 0;
};

// Usage: auto s = KVCS_TRY(db.prepare("SELECT a FROM t WHERE id=?")); s.bind(1, id);
//        while (KVCS_TRY(s.step())) use(s.text(0));
// Not used after its Database is gone.
class Statement final {
 public:
  explicit Statement(EngineStatement& engine) : engine_(&engine) {}
  // Positions from 1. The first failure of a bind is returned by step().
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
  Result<bool> step() { return engine_->step(); }
  Status run();                       // step() until done, ignoring rows.
  void reset() { engine_->reset(); }  // To bind and run again.
  // Columns from 0.
  int64_t integer(int column) const { return engine_->integer(column); }
  double real(int column) const { return engine_->real(column); }
  std::string text(int column) const { return engine_->text(column); }
  std::string bytes(int column) const { return engine_->bytes(column); }
  bool is_null(int column) const { return engine_->is_null(column); }

 private:
  struct GiveBack {
    void operator()(EngineStatement* statement) const { statement->give_back(); }
  };
  std::unique_ptr<EngineStatement, GiveBack> engine_;
};

// What a transaction is for: one that writes waits for the write lock at its begin, not at its
// first change.
enum class DbAccess { kRead, kWrite };

class Database {
 public:
  virtual ~Database() = default;
  // Prepared once per SQL text and kept (up to 256 texts); reset when the Statement is destroyed.
  virtual Result<Statement> prepare(std::string_view sql) = 0;
  virtual Status execute(std::string_view sql) = 0;  // One or more statements without parameters.
  virtual int64_t changes() const = 0;               // Rows touched by the last statement.

  // Transaction and in_savepoint(), below, call these and forget none.
  virtual Status begin(DbAccess access) = 0;
  virtual Status commit() = 0;
  virtual Status rollback() = 0;
  // False also after a failure that made the engine throw the transaction away.
  virtual bool in_transaction() const = 0;

  // Inside a read transaction: from here to its end this connection reads the database as it is
  // now. Without it the transaction begins to read at its first query.
  virtual Status take_snapshot() = 0;
  // Copies the database as this connection sees it into a new file and syncs it. Writers on other
  // connections go on, and do not hold the copy up: one snapshot is read from beginning to end.
  // `between_steps` is asked after every few megabytes; its failure ends the copy and is returned.
  // Conflict when `path` exists; after a failure nothing is left there.
  virtual Status backup_to(const std::string& path,
                           const std::function<Status()>& between_steps = {}) = 0;
  // Folds what was written into the database's own file, so that its log takes no room. Unavailable
  // while a reader still needs it.
  virtual Status checkpoint() = 0;
  // Runs `query` under a deadline: SQL that is still at work then, or is begun later, fails with
  // Timeout, reason query_too_long. Not nested.
  virtual Status run_within(int64_t limit_ms, const std::function<Status()>& query) = 0;

  // The number of the last migration that was applied, 0 in a new database; migrate() keeps it.
  virtual Result<int64_t> schema_number() = 0;
  virtual Status set_schema_number(int64_t number) = 0;
  virtual Result<bool> has_table(std::string_view name) = 0;
  // The highest number that the engine has given to a row of the table, which must be one where
  // none is given twice (AUTOINCREMENT); 0 before the first.
  virtual Result<int64_t> last_given_number(std::string_view table) = 0;
  // Reads the whole database: "" when all of it is as it must be, else what is not.
  virtual Result<std::string> find_damage() = 0;
};

struct SqliteOptions {
  bool read_only = false;
  bool full_sync = true;  // synchronous=FULL (money, audit); false: NORMAL.
  int busy_timeout_ms = 5000;
  std::string vfs = {};  // Tests: a fault-injecting VFS by name.
};
// The SQLite engine on the file `path`, or ":memory:". Opens in WAL mode with foreign keys on.
// Unavailable when the file cannot be opened; Internal when it is not a database.
Result<std::unique_ptr<Database>> open_sqlite(const std::string& path,
                                              const SqliteOptions& options = {});

// One that writes; rolls back unless commit() returned Ok.
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

// Numbered, forward only. The database remembers the last one applied (schema_number). One written
// by a newer kvcs is refused: Conflict, naming both numbers.
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

// One writer thread per database. Jobs queued while a commit is under way share the next one (group
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

// Read-only connections to one database, handed out one thread at a time; opened when first needed.
// Each query sees one snapshot from its first read to its end. Thread-safe.
class DbReaders final {
 public:
  // Makes one more connection; from any thread.
  using Connect = std::function<Result<std::unique_ptr<Database>>()>;
  // Makes the first one at once: what cannot be read is told at start, not at the first query.
  static Result<std::unique_ptr<DbReaders>> open(Connect connect, size_t connections_max,
                                                 DbTimer timer = {});
  ~DbReaders();
  // Waits for a free connection.
  Status run(const std::function<Status(Database&)>& query);

 private:
  struct Impl;
  explicit DbReaders(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Read-only connections of the SQLite file `path`.
DbReaders::Connect sqlite_readers(const std::string& path);

}  // namespace kvcs
