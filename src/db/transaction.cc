// Transactions and savepoints over any engine: what was begun is undone unless it came to its end.
#include <exception>
#include <utility>

#include "db/db.h"

namespace kvcs {

Result<Transaction> Transaction::begin(Database& db) {
  KVCS_TRY(db.begin(DbAccess::kWrite));
  return Transaction(&db);
}

Transaction::Transaction(Transaction&& other) noexcept : db_(std::exchange(other.db_, nullptr)) {}

Transaction::~Transaction() {
  if (db_ == nullptr || !db_->in_transaction()) return;
  // A transaction that cannot be rolled back stays open and fails the next BEGIN, so that no other
  // change slips into it.
  (void)db_->rollback();
}

Status Transaction::commit() {
  KVCS_ASSERT(db_ != nullptr);
  KVCS_TRY(db_->commit());
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
