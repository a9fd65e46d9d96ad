#include "ledger/outbox_mover.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/json.h"
#include "db/db.h"
#include "kv/outbox.h"

namespace kvcs {
namespace {

constexpr std::string_view kBatchState = "outbox_batch";

bool is_passing(const Status& status) {
  return status.code() == Code::kUnavailable || status.code() == Code::kTimeout;
}

std::string keys_json(const std::vector<KvItem>& items) {
  std::string json = "[";
  for (const KvItem& item : items) {
    if (json.size() > 1) json += ',';
    append_json_string(json, item.key);
  }
  return json + "]";
}

}  // namespace

void OutboxMover::add_sink(std::string_view kind, OutboxSink sink) {
  const bool added = sinks_.emplace(kind, std::move(sink)).second;
  KVCS_ASSERT(added);
}

void OutboxMover::add_group_sink(std::string_view kind, OutboxGroupSink sink) {
  const bool added = group_sinks_.emplace(kind, std::move(sink)).second;
  KVCS_ASSERT(added && sinks_.count(std::string(kind)) == 0);
}

Status OutboxMover::move(From from, size_t batches_max) {
  std::string cursor = from == From::kStart ? "" : last_key_;
  for (size_t i = 0; i < batches_max; i++) {
    KVCS_TRY(finish_last_batch());
    const KvPage page = KVCS_TRY(kv_.scan(KvFamily::kOutbox, "", cursor, kOutboxBatchMax));
    if (i == 0 && !page.items.empty()) {
      auto first = parse_outbox(page.items.front());
      oldest_unix_ms_ = first.ok() ? first->unix_ms : 0;
    }
    if (!page.items.empty()) {
      KVCS_TRY(move_batch(page.items));
      last_key_ = page.items.back().key;
    }
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
  KVCS_TRY(kv_.write(batch, KvDurability::kBuffered));
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

size_t OutboxMover::find_group(const std::vector<KvItem>& items, size_t first,
                               std::vector<OutboxRecord>& group) const {
  group.clear();
  for (size_t i = first; i < items.size(); i++) {
    auto record = parse_outbox(items[i]);
    if (!record.ok() || group_sinks_.count(record->kind) == 0) break;
    if (!group.empty() && group.front().kind != record->kind) break;
    group.push_back(std::move(record).value());
  }
  return group.size();
}

Status OutboxMover::write_batch(Database& db, const std::vector<KvItem>& items, uint64_t& dead) {
  std::vector<OutboxRecord> group;
  for (size_t i = 0; i < items.size();) {
    size_t done = find_group(items, i, group);
    Status status = invalid("no group");
    if (done > 1) {
      const OutboxGroupSink& sink = group_sinks_.find(group.front().kind)->second;
      status = in_savepoint(db, [&] { return sink(db, group); });
      if (!status.ok() && (is_passing(status) || !db.in_transaction())) return status;
    }
    // Alone, too, when one of the group is bad: the others must not go with it.
    for (size_t end = i + std::max<size_t>(done, 1); i < end; i++) {
      if (status.ok()) continue;
      bool is_dead = false;
      KVCS_TRY(insert_one(db, items[i], is_dead));
      dead += is_dead ? 1 : 0;
    }
  }
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO ledger_state (name, value) VALUES (?, ?)"
                          " ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
  return put.bind(1, kBatchState).bind(2, keys_json(items)).run();
}

Status OutboxMover::call_sink(Database& db, const OutboxRecord& record) const {
  if (const auto one = sinks_.find(record.kind); one != sinks_.end()) {
    return one->second(db, record);
  }
  const auto group = group_sinks_.find(record.kind);
  if (group == group_sinks_.end()) return invalid("no sink for this kind of record");
  return group->second(db, {record});
}

Status OutboxMover::insert_one(Database& db, const KvItem& item, bool& dead) {
  const auto record = parse_outbox(item);
  Status status = record.status();
  if (status.ok()) status = in_savepoint(db, [&] { return call_sink(db, *record); });
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
