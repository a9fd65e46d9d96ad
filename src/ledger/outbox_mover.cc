// The mover of the outbox, on the ledger's thread. The order of its three steps (sync KV, commit
// SQL, remove from KV) is the promise that no row is lost or doubled; the header says why.
#include "ledger/outbox_mover.h"

#include <nlohmann/json.hpp>

#include <iterator>
#include <utility>

#include "base/json.h"
#include "db/db.h"
#include "kv/keyspace.h"
#include "ledger/audit_head.h"

namespace kvcs {
namespace {

// The name in ledger_state of the keys of the last batch.
constexpr std::string_view kBatchState = "outbox_batch";

// A failure of the store, not of the record: the batch is tried again later as it is.
bool is_passing(const Status& status) {
  return status.code() == Code::kUnavailable || status.code() == Code::kTimeout;
}

std::string keys_json(const std::vector<std::string>& keys) {
  std::string json = "[";
  for (const std::string& key : keys) {
    if (json.size() > 1) json += ',';
    append_json_string(json, key);
  }
  return json + "]";
}

// Keeps a record that no sink can take, with the reason, and lets the rest go on.
Status set_aside(Database& db, std::string_view key, int64_t ts_ms, std::string_view kind,
                 std::string_view payload, const Status& reason) {
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO outbox_dead (outbox_key, ts_ms, kind, reason, payload)"
                          " VALUES (?, ?, ?, ?, ?) ON CONFLICT (outbox_key) DO NOTHING"));
  put.bind(1, key).bind(2, ts_ms).bind(3, kind).bind(4, reason.to_string());
  return put.bind(5, payload).run();
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
  bool is_first = true;
  for (size_t batches = 0; batches < batches_max;) {
    KVCS_TRY(finish_last_batch());
    const KvPage page = KVCS_TRY(kv_.scan(KvFamily::kOutbox, "", cursor, kOutboxBatchMax));
    for (size_t next = 0; next < page.items.size(); batches++) {
      KVCS_TRY(finish_last_batch());
      if (stopping_ && batches >= kBatchesAtStop) {
        stopped_early_ = true;
        return ok();
      }
      Batch batch = take_batch(page.items, next);
      if (std::exchange(is_first, false)) {
        const Run& oldest = batch.runs.front();
        oldest_unix_ms_ = oldest.records.empty() ? 0 : oldest.records.front().unix_ms;
      }
      KVCS_TRY(move_batch(std::move(batch)));
      last_key_ = page.items[next - 1].key;
    }
    if (page.cursor.empty()) {
      oldest_unix_ms_ = 0;
      stopped_early_ = false;
      break;
    }
    // Onwards from here: the records removed behind the cursor cost a scan its time.
    cursor = page.cursor;
  }
  return finish_last_batch();
}

// Removes the keys of the last committed batch from KV. The first call of a process asks SQL which
// they are, because the process before may have died between its commit and the removal.
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
  if (!audit_head_.empty()) {
    batch.put(KvFamily::kSystem, std::string(keyspace::kAuditHead), audit_head_);
  }
  KVCS_TRY(kv_.write(batch, KvDurability::kBuffered));
  in_sql_.clear();
  audit_head_.clear();
  return ok();
}

// Neighbours of one kind become one run, so that a group sink gets them together. A key may hold
// several records; they are never divided between two batches.
OutboxMover::Batch OutboxMover::take_batch(const std::vector<KvItem>& items, size_t& next) {
  Batch batch;
  while (next < items.size() && batch.records < kOutboxBatchRecordsMax) {
    const KvItem& item = items[next++];
    batch.keys.push_back(item.key);
    auto records = parse_outbox(item);
    if (!records.ok()) {
      batch.runs.push_back({{}, item.key, item.entry.value, std::move(records).status()});
      batch.records++;
      continue;
    }
    batch.records += records->size();
    if (!batch.runs.empty() && !batch.runs.back().records.empty() &&
        batch.runs.back().records.front().kind == records->front().kind) {
      auto& run = batch.runs.back().records;
      run.insert(run.end(), std::make_move_iterator(records->begin()),
                 std::make_move_iterator(records->end()));
    } else {
      batch.runs.push_back({std::move(records).value(), {}, {}, {}});
    }
  }
  return batch;
}

Status OutboxMover::move_batch(Batch batch) {
  // Before the commit: a power cut must not leave SQL with rows whose counters KV has forgotten. It
  // also makes the removal of the batch before durable.
  KVCS_TRY(kv_.sync());
  uint64_t dead = 0;
  std::string head;
  const DbWriter::Job job = [&](Database& db) -> Status {
    dead = 0;
    KVCS_TRY(write_batch(db, batch, dead));
    head = KVCS_TRY(read_audit_head(db));
    return ok();
  };
  KVCS_TRY(writer_.run(job));
  in_sql_ = std::move(batch.keys);
  audit_head_ = std::move(head);
  moved_ += batch.records - dead;
  dead_ += dead;
  return ok();
}

Status OutboxMover::write_batch(Database& db, const Batch& batch, uint64_t& dead) const {
  for (const Run& run : batch.runs) KVCS_TRY(write_run(db, run, dead));
  if (after_batch_) KVCS_TRY(after_batch_(db));
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO ledger_state (name, value) VALUES (?, ?)"
                          " ON CONFLICT (name) DO UPDATE SET value = excluded.value"));
  return put.bind(1, kBatchState).bind(2, keys_json(batch.keys)).run();
}

Status OutboxMover::write_run(Database& db, const Run& run, uint64_t& dead) const {
  if (run.records.empty()) {
    dead++;
    return set_aside(db, run.bad_key, 0, "", run.bad_value, run.reason);
  }
  const auto group = group_sinks_.find(run.records.front().kind);
  if (group != group_sinks_.end()) {
    const Status status = in_savepoint(db, [&] { return group->second(db, run.records); });
    if (status.ok() || is_passing(status) || !db.in_transaction()) return status;
  }
  // Without a group sink, and after one that failed, each record goes alone: one that is bad must
  // not take the others with it.
  for (const OutboxRecord& record : run.records) KVCS_TRY(insert_one(db, record, dead));
  return ok();
}

Status OutboxMover::call_sink(Database& db, const OutboxRecord& record) const {
  if (const auto one = sinks_.find(record.kind); one != sinks_.end()) {
    return one->second(db, record);
  }
  const auto group = group_sinks_.find(record.kind);
  if (group == group_sinks_.end()) return invalid("no sink for this kind of record");
  return group->second(db, {record});
}

Status OutboxMover::insert_one(Database& db, const OutboxRecord& record, uint64_t& dead) const {
  const Status status = in_savepoint(db, [&] { return call_sink(db, record); });
  // Without its transaction the batch has to start again, whatever the reason was.
  if (status.ok() || is_passing(status) || !db.in_transaction()) return status;
  dead++;
  return set_aside(db, keyspace::outbox(record.unix_ms, record.id), record.unix_ms, record.kind,
                   record.payload_json, status);
}

}  // namespace kvcs
