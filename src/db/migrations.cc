// migrate(): brings a database to the newest schema that its owner lists. The schemas belong
// to the modules whose tables they make (artifacts/schema.cc, ledger/schema.cc).
#include "db/db.h"

namespace kvcs {

Status migrate(Database& db, const std::vector<Migration>& migrations) {
  const int newest = migrations.empty() ? 0 : migrations.back().number;
  // The number is read under the write lock, so that two processes cannot both apply one.
  auto transaction = KVCS_TRY(Transaction::begin(db));
  const int64_t applied = KVCS_TRY(db.schema_number());
  if (applied > newest) {
    return conflict("The database has schema " + std::to_string(applied) +
                    ", written by a newer kvcs; this one knows up to schema " +
                    std::to_string(newest) + ". Start the newer kvcs, or restore a backup.");
  }
  if (applied == newest) return transaction.commit();
  for (const Migration& migration : migrations) {
    if (migration.number <= applied) continue;
    Status status = db.execute(migration.sql);
    if (!status.ok()) {
      return std::move(status).with_context("Schema change " + std::to_string(migration.number));
    }
  }
  KVCS_TRY(db.set_schema_number(newest));
  return transaction.commit();
}

}  // namespace kvcs
