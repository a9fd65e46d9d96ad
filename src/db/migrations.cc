// migrate(): brings a database file to the newest schema that its owner lists. The schemas belong
// to the modules whose tables they make (artifacts/schema.cc, ledger/schema.cc).
#include "db/db.h"

namespace kvcs {
namespace {

Result<int64_t> schema_number(Database& db) {
  auto query = KVCS_TRY(db.prepare("PRAGMA user_version"));
  KVCS_TRY(query.step());
  return query.integer(0);
}

}  // namespace

Status migrate(Database& db, const std::vector<Migration>& migrations) {
  const int newest = migrations.empty() ? 0 : migrations.back().number;
  // The number is read under the write lock, so that two processes cannot both apply one.
  auto transaction = KVCS_TRY(Transaction::begin(db));
  const int64_t applied = KVCS_TRY(schema_number(db));
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
  KVCS_TRY(db.execute("PRAGMA user_version=" + std::to_string(newest)));
  return transaction.commit();
}

}  // namespace kvcs
