#include "ledger/sql_kv.h"

#include "kv/outbox.h"

namespace kvcs::test {

SqlKv::SqlKv(const std::string& path) {
  SqliteOptions options;
  options.full_sync = false;
  auto db = open_sqlite(path, options);
  KVCS_ASSERT(db.ok());
  db_ = std::move(db).value();
  const Status made = db_->execute(
      "CREATE TABLE IF NOT EXISTS kv (family INTEGER, key TEXT, value TEXT,"
      " PRIMARY KEY (family, key))");
  KVCS_ASSERT(made.ok());
}

Result<KvEntry> SqlKv::get(KvFamily family, std::string_view key) const {
  KVCS_TRY(check("get"));
  MutexLock lock(mutex_);
  auto find = KVCS_TRY(db_->prepare("SELECT value FROM kv WHERE family=? AND key=?"));
  const bool there = KVCS_TRY(find.bind(1, static_cast<int>(family)).bind(2, key).step());
  if (!there) return not_found("no such key");
  return KvEntry{find.text(0), {}, 0};
}

Status SqlKv::write(const KvBatch& batch, KvDurability) {
  KVCS_TRY(check("write"));
  MutexLock lock(mutex_);
  auto transaction = KVCS_TRY(Transaction::begin(*db_));
  for (const KvBatch::Op& op : batch.ops()) {
    auto change = KVCS_TRY(
        db_->prepare(op.entry ? "INSERT INTO kv (family, key, value) VALUES (?, ?, ?)"
                                " ON CONFLICT (family, key) DO UPDATE SET value = excluded.value"
                              : "DELETE FROM kv WHERE family=? AND key=?"));
    change.bind(1, static_cast<int>(op.family)).bind(2, op.key);
    if (op.entry) change.bind(3, op.entry->value);
    KVCS_TRY(change.run());
  }
  return transaction.commit();
}

Status SqlKv::compare_and_swap(KvFamily, std::string_view, std::optional<std::string_view>,
                               const KvBatch&, KvDurability) {
  return internal("not in these tests");
}

Result<KvPage> SqlKv::scan(KvFamily family, std::string_view prefix, std::string_view cursor,
                           size_t limit) const {
  KVCS_TRY(check("scan"));
  KVCS_ASSERT(prefix.empty());
  MutexLock lock(mutex_);
  auto rows = KVCS_TRY(
      db_->prepare("SELECT key, value FROM kv WHERE family=? AND key>? ORDER BY key LIMIT ?"));
  rows.bind(1, static_cast<int>(family)).bind(2, cursor).bind(3, static_cast<int64_t>(limit + 1));
  KvPage page;
  while (KVCS_TRY(rows.step())) {
    if (page.items.size() == limit) {
      page.cursor = page.items.back().key;
      break;
    }
    page.items.push_back({rows.text(0), KvEntry{rows.text(1), {}, 0}});
  }
  return page;
}

void SqlKv::put_outbox(std::string_view kind, std::string_view id, int64_t unix_ms,
                       std::string_view payload) {
  KvBatch batch;
  add_to_outbox(batch, kind, id, unix_ms, payload);
  const Status written = write(batch, KvDurability::kSynced);
  KVCS_ASSERT(written.ok());
}

size_t SqlKv::outbox_size() const {
  MutexLock lock(mutex_);
  auto count = db_->prepare("SELECT count(*) FROM kv WHERE family=?");
  KVCS_ASSERT(count.ok());
  const auto row = count->bind(1, static_cast<int>(KvFamily::kOutbox)).step();
  KVCS_ASSERT(row.ok());
  return static_cast<size_t>(count->integer(0));
}

}  // namespace kvcs::test
