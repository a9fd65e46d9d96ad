// Outbox records as keys and values, and back. The form is on disk: a daemon of this version reads
// what the one before left.
#include "kv/outbox.h"

#include "base/bytes.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr char kGroupMark = '*';
constexpr size_t kPartHeadBytes = 16;  // About what the two numbers of a part take.

void append_part(std::string& value, const OutboxPart& part) {
  value.append(std::to_string(part.id.size())).append(" ");
  value.append(std::to_string(part.payload_json.size())).append("\n");
  value.append(part.id).append(part.payload_json).append("\n");
}

// Takes a decimal number and the byte `end` behind it off the front; false when they are not there.
bool take_number(std::string_view& text, char end, size_t& number) {
  const size_t digits = text.find(end);
  if (digits == text.npos) return false;
  const auto parsed = parse_u64(text.substr(0, digits), "bytes");
  if (!parsed.ok()) return false;
  number = *parsed;
  text.remove_prefix(digits + 1);
  return true;
}

// Appends one record per part of a group, which share the time and the kind of `head`; false when
// `text` is not the parts of a group. The sizes come from disk and are checked against what is left
// before anything is cut.
bool parse_parts(std::string_view text, const OutboxRecord& head, std::vector<OutboxRecord>& out) {
  while (!text.empty()) {
    size_t id_bytes = 0, payload_bytes = 0;
    if (!take_number(text, ' ', id_bytes) || !take_number(text, '\n', payload_bytes)) return false;
    if (id_bytes >= text.size() || payload_bytes >= text.size() - id_bytes) return false;
    if (text[id_bytes + payload_bytes] != '\n') return false;
    out.push_back({std::string(text.substr(0, id_bytes)), head.unix_ms, head.kind,
                   std::string(text.substr(id_bytes, payload_bytes))});
    text.remove_prefix(id_bytes + payload_bytes + 1);
  }
  return !out.empty();
}

}  // namespace

void add_to_outbox(KvBatch& batch, std::string_view kind, std::string_view id, int64_t unix_ms,
                   std::string_view payload_json) {
  KVCS_ASSERT(kind.find('\n') == std::string_view::npos && !kind.ends_with(kGroupMark));
  std::string value;
  value.reserve(kind.size() + 1 + payload_json.size());
  value.append(kind).append("\n").append(payload_json);
  batch.put(KvFamily::kOutbox, keyspace::outbox(unix_ms, id), std::move(value));
}

void add_group_to_outbox(KvBatch& batch, std::string_view kind, int64_t unix_ms,
                         std::span<const OutboxPart> records) {
  KVCS_ASSERT(kind.find('\n') == std::string_view::npos && !kind.ends_with(kGroupMark));
  while (!records.empty()) {
    size_t count = 0, bytes = 0;
    for (const OutboxPart& part : records) {
      bytes += kPartHeadBytes + part.id.size() + part.payload_json.size();
      if (count > 0 && bytes > kOutboxGroupBytes) break;
      count++;
    }
    const OutboxPart& first = records.front();
    if (count == 1) {
      add_to_outbox(batch, kind, first.id, unix_ms, first.payload_json);
    } else {
      std::string value;
      value.reserve(kind.size() + 2 + bytes);
      value.append(kind).append({kGroupMark, '\n'});
      for (const OutboxPart& part : records.first(count)) append_part(value, part);
      batch.put(KvFamily::kOutbox, keyspace::outbox(unix_ms, first.id), std::move(value));
    }
    records = records.subspan(count);
  }
}

Result<std::vector<OutboxRecord>> parse_outbox(const KvItem& item) {
  const std::string_view key = item.key, value = item.entry.value;
  const size_t colon = key.find(':');
  const size_t newline = value.find('\n');
  if (colon == key.npos || newline == value.npos) {
    return internal("outbox record " + printable(item.key) + " is malformed");
  }
  auto unix_ms = parse_u64(key.substr(0, colon), "outbox time");
  if (!unix_ms.ok()) return internal("outbox key " + printable(item.key) + " has no time");
  OutboxRecord record{std::string(key.substr(colon + 1)),
                      static_cast<int64_t>(*unix_ms),
                      std::string(value.substr(0, newline)),
                      {}};
  const std::string_view rest = value.substr(newline + 1);
  std::vector<OutboxRecord> records;
  if (!record.kind.ends_with(kGroupMark)) {
    record.payload_json = rest;
    records.push_back(std::move(record));
    return records;
  }
  record.kind.pop_back();
  if (!parse_parts(rest, record, records)) {
    return internal("outbox record " + printable(item.key) + " is malformed");
  }
  return records;
}

Status for_each_in_outbox(const KvStore& kv,
                          const std::function<Status(const OutboxRecord& record)>& visit) {
  return kv_for_each(kv, KvFamily::kOutbox, "", [&](const KvItem& item) -> Status {
    const auto records = parse_outbox(item);
    if (!records.ok()) return ok();
    for (const OutboxRecord& record : *records) KVCS_TRY(visit(record));
    return ok();
  });
}

}  // namespace kvcs
