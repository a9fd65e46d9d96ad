// The SQLite engine: one connection and its prepared statements. Internal to db/; the sqlite3 types
// stay incomplete here. Used by one thread at a time, as Database is.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "db/db.h"
#include "db/db_damage.h"

struct sqlite3;
struct sqlite3_stmt;

namespace kvcs {

class SqliteDb;

// Kept by its connection under its text, or, when that text was in use already, on its own.
class SqliteStatement final : public EngineStatement {
 public:
  SqliteStatement(SqliteDb& db, sqlite3_stmt* handle) : db_(db), handle_(handle) {}
  ~SqliteStatement() override;
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  void bind(int position, int64_t value) override;
  void bind(int position, double value) override;
  void bind(int position, std::string_view text) override;
  void bind_bytes(int position, std::string_view bytes) override;
  void bind_null(int position) override;
  Result<bool> step() override;
  void reset() override;
  int64_t integer(int column) const override;
  double real(int column) const override;
  std::string text(int column) const override;
  std::string bytes(int column) const override;
  bool is_null(int column) const override;
  void give_back() override;

 private:
  friend class SqliteDb;
  void note(int result);  // Keeps the first failure of a bind, for step() to return.

  SqliteDb& db_;
  sqlite3_stmt* const handle_;
  bool in_use_ = false;
  bool kept_ = true;
  int bind_failure_ = 0;  // Since the last reset.
};

class SqliteDb final : public Database {
 public:
  SqliteDb(std::string path, const SqliteOptions& options);
  ~SqliteDb() override;
  SqliteDb(const SqliteDb&) = delete;
  SqliteDb& operator=(const SqliteDb&) = delete;
  Status open();

  Result<Statement> prepare(std::string_view sql) override;
  Status execute(std::string_view sql) override;
  int64_t changes() const override;
  Status begin(DbAccess access) override;
  Status commit() override;
  Status rollback() override;
  bool in_transaction() const override;
  Status take_snapshot() override;
  Status backup_to(const std::string& path, const std::function<Status()>& between_steps) override;
  Status checkpoint() override;
  Status run_within(int64_t limit_ms, const std::function<Status()>& query) override;
  Result<int64_t> schema_number() override;
  Status set_schema_number(int64_t number) override;
  Result<bool> has_table(std::string_view name) override;
  Result<int64_t> last_given_number(std::string_view table) override;
  Result<std::string> find_damage() override;

 private:
  friend class SqliteStatement;
  Result<std::unique_ptr<SqliteStatement>> compile(std::string_view sql);
  Status run(std::string_view sql);  // A kept statement without parameters or rows.
  Status set_up();
  void drop_idle_statements();
  bool is_late() const { return deadline_us_ != 0 && clock_->mono_us() >= deadline_us_; }
  Status too_late() const;
  // The Status for a failed call on this connection; `what` is for the log.
  Status failure(int result, std::string_view what) const;

  const std::string path_;
  const SqliteOptions options_;
  const std::shared_ptr<StoreDamage> damage_;  // See db_damage.h.
  sqlite3* handle_ = nullptr;
  std::unordered_map<std::string, std::unique_ptr<SqliteStatement>> statements_;
  // Of run_within(); 0: none.
  std::unique_ptr<Clock> clock_;
  int64_t deadline_us_ = 0, limit_ms_ = 0;
};

// Maps an extended SQLite result code; `detail` (the library's words) becomes the cause.
Status sqlite_status(int result, std::string_view path, std::string_view what,
                     std::string_view detail);

}  // namespace kvcs
