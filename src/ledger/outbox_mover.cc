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
#include "ledger/state.h"

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

}  // namespace

void OutboxMover::add_sink(std::string_view kind, OutboxSink sink) {
  const bool added = sinks_.emplace(kind, std::move(sink)).second;
  KVCS_ASSERT(added);
}

void OutboxMover::add_group_sink(std::string_view kind, OutboxGroupSink sink) {
  const bool added = group_sinks_.emplace(kind, std::move(sink)).second;
  KVCS_ASSERT(added && sinks_.count(std::string(kind)) == 0);
}

bool OutboxMover::has_sink(std::string_view kind) const {
  return sinks_.contains(kind) || group_sinks_.contains(kind);
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
      const size_t first = next;
      Batch batch = take_batch(page.items, next, page.items.size());
      if (!batch.runs.empty() && std::exchange(is_first, false)) {
        const Run& oldest = batch.runs.front();
        oldest_unix_ms_ = oldest.records.empty() ? 0 : oldest.records.front().unix_ms;
      }
      KVCS_TRY(move_items(page.items, first, next, std::move(batch)));
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

Status OutboxMover::write(const DbWriter::Job& job) {
  const Resting resting(heartbeat_);
  return writer_.run(job);
}

// The keys of the last batch, as the process before may have died between its commit and their
// removal, and what lies in outbox_dead.
Status OutboxMover::recover() {
  std::string text;
  const DbWriter::Job read = [&](Database& db) -> Status {
    text = KVCS_TRY(read_state(db, kBatchState));
    auto dead =
        KVCS_TRY(db.prepare("SELECT count(*), coalesce(sum(length(CAST(payload AS BLOB)) + "
                            "length(CAST(reason AS BLOB))), 0) FROM outbox_dead"));
    KVCS_TRY(dead.step());
    // Rows that leave the outbox are behind the head that KV knows.
    audit_head_ = KVCS_TRY(read_audit_head(db));
    dead_rows_ = dead.integer(0);
    dead_bytes_ = static_cast<uint64_t>(dead.integer(1));
    return ok();
  };
  KVCS_TRY(write(read));
  if (!text.empty()) {
    const Json keys = KVCS_TRY(parse_json(text));
    for (const Json& key : keys) {
      if (key.is_string()) in_sql_.push_back(key.get<std::string>());
    }
  }
  recovered_ = true;
  return ok();
}

// Removes the keys of the last committed batch from KV.
Status OutboxMover::finish_last_batch() {
  if (!recovered_) KVCS_TRY(recover());
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
OutboxMover::Batch OutboxMover::take_batch(const std::vector<KvItem>& items, size_t& next,
                                           size_t end) const {
  Batch batch;
  while (next < end && batch.records < kOutboxBatchRecordsMax) {
    const KvItem& item = items[next++];
    if (left_.contains(item.key)) continue;
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

// As one batch; or, when a record of it has to stay behind, key by key, so that no other stays.
Status OutboxMover::move_items(const std::vector<KvItem>& items, size_t first, size_t end,
                               Batch batch) {
  if (batch.keys.empty() || KVCS_TRY(move_batch(std::move(batch)))) return ok();
  for (size_t next = first; next < end;) {
    KVCS_TRY(finish_last_batch());
    Batch single = take_batch(items, next, next + 1);
    if (!single.keys.empty()) KVCS_TRY(move_batch(std::move(single)).status());
  }
  return ok();
}

Status OutboxMover::leave_behind(const std::string& key) {
  if (left_.size() >= kLeftKeysMax) {
    return unavailable("outbox_dead is full and " + std::to_string(kLeftKeysMax) +
                       " more records wait for it; the outbox stops. Look at GET "
                       "/admin/outbox-dead, raise ledger.dead_max_rows or "
                       "ledger.dead_max_bytes, and restart.");
  }
  left_.insert(key);
  left_count_ = left_.size();
  return ok();
}

Result<bool> OutboxMover::move_batch(Batch batch) {
  // Before the commit: a power cut must not leave SQL with rows whose counters KV has forgotten. It
  // also makes the removal of the batch before durable.
  KVCS_TRY(kv_.sync());
  Dead dead;
  std::string head;
  const DbWriter::Job job = [&](Database& db) -> Status {
    dead = {};
    KVCS_TRY(write_batch(db, batch, dead));
    if (dead.is_full && batch.keys.size() > 1) return conflict("undone, to go key by key");
    head = KVCS_TRY(read_audit_head(db));
    return ok();
  };
  const Status written = write(job);
  if (dead.is_full && batch.keys.size() > 1) return false;
  KVCS_TRY(Status(written));
  audit_head_ = std::move(head);
  dead_rows_ += dead.rows;
  dead_bytes_ += dead.bytes;
  if (dead.is_full) {
    KVCS_TRY(leave_behind(batch.keys.front()));
  } else {
    in_sql_ = std::move(batch.keys);
    moved_ += batch.records - dead.records;
    dead_ += dead.records;
  }
  if (on_dead_ && (dead.is_full || dead.records > 0)) on_dead_(dead.is_full);
  return true;
}

Status OutboxMover::write_batch(Database& db, const Batch& batch, Dead& dead) const {
  for (const Run& run : batch.runs) KVCS_TRY(write_run(db, run, dead));
  if (after_batch_) KVCS_TRY(after_batch_(db));
  // A key that stays behind must not be removed.
  return write_state(db, kBatchState, dead.is_full ? "[]" : keys_json(batch.keys));
}

Status OutboxMover::write_run(Database& db, const Run& run, Dead& dead) const {
  if (run.records.empty()) {
    return set_aside(db, {"", 0, "", run.bad_value}, run.bad_key, run.reason, dead);
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

// Keeps a record that no sink can take, with the reason, as far as there is room.
Status OutboxMover::set_aside(Database& db, const OutboxRecord& record, const std::string& key,
                              const Status& reason, Dead& dead) const {
  const std::string why = reason.to_string();
  const uint64_t bytes = record.payload_json.size() + why.size();
  if (dead_rows_ + dead.rows >= dead_max_rows_ ||
      dead_bytes_ + dead.bytes + bytes > dead_max_bytes_) {
    dead.is_full = true;
    return ok();
  }
  auto put =
      KVCS_TRY(db.prepare("INSERT INTO outbox_dead (outbox_key, ts_ms, kind, reason, payload)"
                          " VALUES (?, ?, ?, ?, ?) ON CONFLICT (outbox_key) DO NOTHING"));
  put.bind(1, key).bind(2, record.unix_ms).bind(3, record.kind).bind(4, why);
  KVCS_TRY(put.bind(5, record.payload_json).run());
  dead.records++;
  if (db.changes() == 0) return ok();  // It was there.
  dead.rows++;
  dead.bytes += bytes;
  return ok();
}

Status OutboxMover::insert_one(Database& db, const OutboxRecord& record, Dead& dead) const {
  const Status status = in_savepoint(db, [&] { return call_sink(db, record); });
  // Without its transaction the batch has to start again, whatever the reason was.
  if (status.ok() || is_passing(status) || !db.in_transaction()) return status;
  return set_aside(db, record, keyspace::outbox(record.unix_ms, record.id), status, dead);
}

}  // namespace kvcs
