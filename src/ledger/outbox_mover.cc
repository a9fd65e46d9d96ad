#include "ledger/outbox_mover.h"

#include <nlohmann/json.hpp>

#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"

namespace kvcs {
namespace {

constexpr std::string_view kBatchState = "outbox_batch";

bool is_passing(const Status& status) {
  return status.code() == Code::kUnavailable || status.code() == Code::kTimeout;
}

}  // namespace

void OutboxMover::add_sink(std::string_view kind, OutboxSink sink) {
  const bool added = sinks_.emplace(kind, std::move(sink)).second;
  KVCS_ASSERT(added);
}

Status OutboxMover::move_all(size_t batches_max) {
  std::string cursor;
  for (size_t i = 0; i < batches_max; i++) {
    KVCS_TRY(finish_last_batch());
    const KvPage page = KVCS_TRY(kv_.scan(KvFamily::kOutbox, "", cursor, kOutboxBatchMax));
    if (i == 0 && !page.items.empty()) {
      auto first = parse_outbox(page.items.front());
      oldest_unix_ms_ = first.ok() ? first->unix_ms : 0;
    }
    if (!page.items.empty()) KVCS_TRY(move_batch(page.items));
    if (page.cursor.empty()) {
      oldest_unix_ms_ = 0;
      break;
    }
    // Onwards from here: the records removed behind the cursor cost a scan its time.
    cursor = page.cursor;
  }
  return finish_last_batch();
}

Status OutboxMover::finish_last_batch() {
  if (!recovered_) {
    std::string text;
    const DbWriter::Job read_keys = [&](Database& db) -> Status {
      auto find = KVCS_TRY(db.prepare("SELECT value FROM ledger_state WHERE name=?"));
      if (KVCS_TRY(find.bind(1, kBatchState).step())) text = find.text(0);
      return ok();
    };
    KVCS_TRY(writer_.run(read_keys));
    if (!text.empty()) {
      const Json keys = KVCS_TRY(parse_json(text));
      for (const Json& key : keys) {
        if (key.is_string()) in_sql_.push_back(key.get<std::string>());
      }
    }
    recovered_ = true;
  }
  if (in_sql_.empty()) return ok();
  KvBatch batch;
  for (const std::string& key : in_sql_) batch.remove(KvFamily::kOutbox, key);
  KVCS_TRY(kv_.write(batch, KvDurability::kSynced));
  in_sql_.clear();
  return ok();
}

Status OutboxMover::move_batch(const std::vector<KvItem>& items) {
  KVCS_TRY(kv_.sync());
  uint64_t dead = 0;
  KVCS_TRY(writer_.run([&](Database& db) { return write_batch(db, items, dead); }));
  for (const KvItem& item : items) in_sql_.push_back(item.key);
  moved_ += items.size() - dead;
  dead_ += dead;
  return ok();
}

Status OutboxMover::write_batch(Database& db, const std::vector<KvItem>& items, uint64_t& dead) {
  Json keys = Json::array();
  for (const KvItem& item : items) {
    bool is_dead = false;
    KVCS_TRY(insert_one(db, item, is_dead));
    dead += is_dead ? 1 : 0;
    keys.push_back(item.key);
  }
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO ledger_state (name, value) VALUES (?, ?)"
                          " ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
  return put.bind(1, kBatchState).bind(2, dump_json(keys)).run();
}

Status OutboxMover::insert_one(Database& db, const KvItem& item, bool& dead) {
  const auto record = parse_outbox(item);
  Status status = record.status();
  if (status.ok()) {
    const auto sink = sinks_.find(record->kind);
    status = sink == sinks_.end() ? invalid("no sink for this kind of record")
                                  : in_savepoint(db, [&] { return sink->second(db, *record); });
  }
  if (status.ok()) return status;
  // Without its transaction the batch has to start again, whatever the reason was.
  if (is_passing(status) || !db.in_transaction()) return status;
  dead = true;
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO outbox_dead (outbox_key, ts_ms, kind, reason, payload)"
                          " VALUES (?, ?, ?, ?, ?) ON CONFLICT (outbox_key) DO NOTHING"));
  put.bind(1, item.key).bind(2, record.ok() ? record->unix_ms : 0);
  put.bind(3, record.ok() ? record->kind : "").bind(4, status.to_string());
  return put.bind(5, record.ok() ? record->payload_json : item.entry.value).run();
}

}  // namespace kvcs
