// Statement, Transaction and savepoints: SQL on one connection, on the thread that uses it.
#include <sqlite3.h>

#include <exception>
#include <utility>

#include "db/connection.h"
#include "db/db.h"

namespace kvcs {

CachedStatement::~CachedStatement() {
  sqlite3_finalize(handle);
}

Result<std::unique_ptr<CachedStatement>> Database::Impl::compile(std::string_view sql) {
  auto statement = std::make_unique<CachedStatement>();
  const char* rest = nullptr;
  const int result = sqlite3_prepare_v3(handle, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement->handle, &rest);
  if (result != SQLITE_OK) return failure(result, "prepare " + std::string(sql));
  if (statement->handle == nullptr) return internal("prepare: empty SQL text");
  return statement;
}

// A text that is in use (a query inside a query of the same text) is compiled once more, for that
// Statement alone: one handle cannot be at two rows.
Result<Statement> Database::prepare(std::string_view sql) {
  if (impl_->is_late()) return impl_->too_late();
  auto& statements = impl_->statements;
  auto found = statements.find(std::string(sql));
  if (found == statements.end()) {
    if (statements.size() >= kStatementsMax) impl_->drop_idle_statements();
    auto compiled = KVCS_TRY(impl_->compile(sql));
    found = statements.emplace(std::string(sql), std::move(compiled)).first;
  } else if (found->second->in_use) {
    auto extra = KVCS_TRY(impl_->compile(sql));
    extra->cached = false;
    extra->in_use = true;
    return Statement(*impl_, *extra.release());  // Deleted by ~Statement.
  }
  found->second->in_use = true;
  return Statement(*impl_, *found->second);
}

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  if (!statement_->cached) {
    std::unique_ptr<CachedStatement> owned(statement_);
    return;
  }
  reset();
  statement_->in_use = false;
}

void Statement::note(int result) {
  if (result != SQLITE_OK && statement_->bind_failure == 0) statement_->bind_failure = result;
}

Statement& Statement::bind(int position, int64_t value) {
  note(sqlite3_bind_int64(statement_->handle, position, value));
  return *this;
}
Statement& Statement::bind(int position, double value) {
  note(sqlite3_bind_double(statement_->handle, position, value));
  return *this;
}
Statement& Statement::bind(int position, std::string_view text) {
  // A null pointer would bind NULL; an empty text is not NULL, and needs no copy.
  if (text.empty()) {
    note(sqlite3_bind_text64(statement_->handle, position, "", 0, SQLITE_STATIC, SQLITE_UTF8));
  } else {
    note(sqlite3_bind_text64(statement_->handle, position, text.data(), text.size(),
                             SQLITE_TRANSIENT, SQLITE_UTF8));
  }
  return *this;
}
Statement& Statement::bind_bytes(int position, std::string_view bytes) {
  note(sqlite3_bind_blob64(statement_->handle, position, bytes.data() ? bytes.data() : "",
                           bytes.size(), SQLITE_TRANSIENT));
  return *this;
}
Statement& Statement::bind_null(int position) {
  note(sqlite3_bind_null(statement_->handle, position));
  return *this;
}

Result<bool> Statement::step() {
  if (statement_->bind_failure != 0) {
    const int failed = statement_->bind_failure;
    return sqlite_status(failed, db_->path, "bind", sqlite3_errstr(failed));
  }
  const int result = sqlite3_step(statement_->handle);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  Status status = db_->failure(result, sqlite3_sql(statement_->handle));
  // Leaves no read lock behind and lets the transaction go on or roll back.
  sqlite3_reset(statement_->handle);
  return status;
}

Status Statement::run() {
  while (KVCS_TRY(step())) {
  }
  return ok();
}

void Statement::reset() {
  sqlite3_reset(statement_->handle);
  sqlite3_clear_bindings(statement_->handle);
  statement_->bind_failure = 0;
}

int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_->handle, column);
}
double Statement::real(int column) const {
  return sqlite3_column_double(statement_->handle, column);
}
std::string Statement::text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_->handle, column));
  if (text == nullptr) return {};
  return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement_->handle, column)));
}
std::string Statement::bytes(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_->handle, column));
  if (bytes == nullptr) return {};
  return std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_->handle, column)));
}
bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_->handle, column) == SQLITE_NULL;
}

Result<Transaction> Transaction::begin(Database& db) {
  auto begin = KVCS_TRY(db.prepare("BEGIN IMMEDIATE"));
  KVCS_TRY(begin.run());
  return Transaction(&db);
}

Transaction::Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}

Transaction::~Transaction() {
  if (db_ == nullptr || !db_->in_transaction()) return;
  // A transaction that cannot be rolled back stays open and fails the next BEGIN, so that no other
  // change slips into it.
  auto rollback = db_->prepare("ROLLBACK");
  if (rollback.ok()) (void)rollback->run();
}

Status Transaction::commit() {
  KVCS_ASSERT(db_ != nullptr);
  auto statement = KVCS_TRY(db_->prepare("COMMIT"));
  KVCS_TRY(statement.run());
  db_ = nullptr;
  return ok();
}

Status in_savepoint(Database& db, const std::function<Status()>& body) {
  {
    auto begin = KVCS_TRY(db.prepare("SAVEPOINT job"));
    KVCS_TRY(begin.run());
  }
  Status status;
  try {
    status = body();
  } catch (const std::exception& e) {
    status = internal(std::string("a database job threw: ") + e.what());
  } catch (...) {
    status = internal("a database job threw something that is no std::exception");
  }
  // A full disk or an I/O error may have rolled the whole transaction back already.
  if (!db.in_transaction()) {
    return status.ok() ? internal("a database job ended the transaction of its caller") : status;
  }
  if (!status.ok()) {
    auto undo = KVCS_TRY(db.prepare("ROLLBACK TO job"));
    KVCS_TRY(undo.run());
  }
  auto release = KVCS_TRY(db.prepare("RELEASE job"));
  KVCS_TRY(release.run());
  return status;
}

}  // namespace kvcs
