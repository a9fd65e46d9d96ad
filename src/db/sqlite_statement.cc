// SqliteStatement: SQL compiled by SQLite, and how a connection keeps what it has compiled.
#include <sqlite3.h>

#include <utility>

#include "db/sqlite_db.h"

namespace kvcs {
namespace {

constexpr size_t kStatementsMax = 256;

}  // namespace

SqliteStatement::~SqliteStatement() {
  sqlite3_finalize(handle_);
}

Result<std::unique_ptr<SqliteStatement>> SqliteDb::compile(std::string_view sql) {
  sqlite3_stmt* compiled = nullptr;
  const char* rest = nullptr;
  const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &compiled, &rest);
  if (result != SQLITE_OK) return failure(result, "prepare " + std::string(sql));
  if (compiled == nullptr) return internal("prepare: empty SQL text");
  return std::make_unique<SqliteStatement>(*this, compiled);
}

// A text that is in use (a query inside a query of the same text) is compiled once more, for that
// Statement alone: one handle cannot be at two rows.
Result<Statement> SqliteDb::prepare(std::string_view sql) {
  if (is_late()) return too_late();
  auto found = statements_.find(std::string(sql));
  if (found == statements_.end()) {
    if (statements_.size() >= kStatementsMax) drop_idle_statements();
    auto compiled = KVCS_TRY(compile(sql));
    found = statements_.emplace(std::string(sql), std::move(compiled)).first;
  } else if (found->second->in_use_) {
    auto extra = KVCS_TRY(compile(sql));
    extra->kept_ = false;
    return Statement(*extra.release());  // Deleted by give_back().
  }
  found->second->in_use_ = true;
  return Statement(*found->second);
}

void SqliteDb::drop_idle_statements() {
  std::erase_if(statements_, [](const auto& entry) { return !entry.second->in_use_; });
}

void SqliteStatement::give_back() {
  if (!kept_) {
    delete this;
    return;
  }
  reset();
  in_use_ = false;
}

void SqliteStatement::note(int result) {
  if (result != SQLITE_OK && bind_failure_ == 0) bind_failure_ = result;
}

void SqliteStatement::bind(int position, int64_t value) {
  note(sqlite3_bind_int64(handle_, position, value));
}
void SqliteStatement::bind(int position, double value) {
  note(sqlite3_bind_double(handle_, position, value));
}
void SqliteStatement::bind(int position, std::string_view text) {
  // A null pointer would bind NULL; an empty text is not NULL, and needs no copy.
  if (text.empty()) {
    note(sqlite3_bind_text64(handle_, position, "", 0, SQLITE_STATIC, SQLITE_UTF8));
  } else {
    note(sqlite3_bind_text64(handle_, position, text.data(), text.size(), SQLITE_TRANSIENT,
                             SQLITE_UTF8));
  }
}
void SqliteStatement::bind_bytes(int position, std::string_view bytes) {
  note(sqlite3_bind_blob64(handle_, position, bytes.data() ? bytes.data() : "", bytes.size(),
                           SQLITE_TRANSIENT));
}
void SqliteStatement::bind_null(int position) {
  note(sqlite3_bind_null(handle_, position));
}

Result<bool> SqliteStatement::step() {
  if (bind_failure_ != 0) {
    const int failed = bind_failure_;
    return sqlite_status(failed, db_.path_, "bind", sqlite3_errstr(failed));
  }
  const int result = sqlite3_step(handle_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  Status status = db_.failure(result, sqlite3_sql(handle_));
  // Leaves no read lock behind and lets the transaction go on or roll back.
  sqlite3_reset(handle_);
  return status;
}

void SqliteStatement::reset() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
  bind_failure_ = 0;
}

int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(handle_, column);
}
double SqliteStatement::real(int column) const {
  return sqlite3_column_double(handle_, column);
}
std::string SqliteStatement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (text == nullptr) return {};
  return std::string(text, static_cast<size_t>(sqlite3_column_bytes(handle_, column)));
}
std::string SqliteStatement::bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(handle_, column));
  if (bytes == nullptr) return {};
  return std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(handle_, column)));
}
bool SqliteStatement::is_null(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

}  // namespace kvcs
