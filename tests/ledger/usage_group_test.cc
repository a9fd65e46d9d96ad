// Usage rows move in groups: a bad one takes none with it, one that comes late is found, and a
// process or a power supply that dies at any step leaves every request in the ledger once.
#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>

#include "ai/budget/budget_book.h"
#include "kv/outbox.h"
#include "ledger/ledger_fixture.h"
#include "ledger/outbox_mover.h"
#include "ledger/rows.h"
#include "support/fault_vfs.h"

using namespace kvcs;
using test::LedgerFixture;

namespace {

constexpr int64_t kNoon = 1'767'268'800'000;  // 2026-01-01

std::string usage(const std::string& id, int64_t cost = 1000) {
  return usage_json({.request_id = id,
                     .ts_ms = kNoon,
                     .organization_id = "o1",
                     .model = "m",
                     .cost_nano_usd = cost,
                     .status = 200,
                     .period = "2026-01"});
}

void put(KvStore& kv, const std::string& id, int64_t unix_ms, const std::string& payload) {
  KvBatch batch;
  add_to_outbox(batch, "usage", id, unix_ms, payload);
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
}

// Under as few keys as they fit.
void put_together(KvStore& kv, const std::vector<std::pair<std::string, std::string>>& records,
                  int64_t unix_ms) {
  std::vector<OutboxPart> parts;
  for (const auto& [id, payload] : records) parts.push_back({id, payload});
  KvBatch batch;
  add_group_to_outbox(batch, "usage", unix_ms, parts);
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
}

std::vector<KvItem> outbox(const KvStore& kv) {
  std::vector<KvItem> items;
  REQUIRE(kv_for_each(kv, KvFamily::kOutbox, "", [&](const KvItem& item) {
            items.push_back(item);
            return ok();
          }).ok());
  return items;
}

void check_sums(const LedgerFixture& f, int64_t rows) {
  CHECK(f.number("SELECT count(*) FROM usage") == rows);
  CHECK(f.number("SELECT sum(cost_nano_usd) FROM usage") == rows * 1000);
  // The day's sums are added to, so a row that moves twice would show here.
  CHECK(f.number("SELECT sum(requests) FROM usage_daily") == rows);
  CHECK(f.number("SELECT sum(cost_nano_usd) FROM usage_daily") == rows * 1000);
}

}  // namespace

TEST_CASE("usage: bad records inside a group are set aside and the rest counts once",
          "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  const auto put_one = [&](const std::string& id, const std::string& payload) {
    put(f.kv, id, kNoon, payload);
  };
  for (int i = 0; i < 20; i++) put_one("a" + std::to_string(i), usage("a" + std::to_string(i)));
  put_one("b0", "no json");
  put_one("b1", R"({"ts_ms":1,"status":"200"})");
  put_one("b2", R"({"ts_ms":-1,"status":200})");
  put_one("b3", R"({"ts_ms":1,"status":200,"cost_nano_usd":1e99})");
  put_one("b4", R"(["ts_ms"])");
  for (int i = 0; i < 20; i++) put_one("c" + std::to_string(i), usage("c" + std::to_string(i)));
  REQUIRE(f.ledger->drain().ok());
  check_sums(f, 40);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE kind='usage'") == 5);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE payload='no json'") == 1);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE reason LIKE '%cost_nano_usd%'") == 1);
  CHECK(f.kv.outbox_size() == 0);
  CHECK(f.ledger->stats().dead == 5);
  CHECK(f.ledger->stats().moved == 40);
}

TEST_CASE("usage: of records under one key a bad one is set aside alone", "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  put_together(
      f.kv,
      {{"a", usage("a")}, {"b", "no json"}, {"c", usage("c")}, {"d", "{}"}, {"e", usage("e")}},
      kNoon);
  // One that cannot even be divided, between two that can.
  KvBatch batch;
  batch.put(KvFamily::kOutbox, "001767268800001:x", std::string("usage*\n1 1\nx"));
  REQUIRE(f.kv.write(batch, KvDurability::kSynced).ok());
  // The same request once more, under another key.
  put_together(f.kv, {{"a", usage("a")}, {"f", usage("f")}}, kNoon + 2);
  REQUIRE(f.ledger->drain().ok());
  check_sums(f, 4);
  CHECK(f.number("SELECT count(*) FROM outbox_dead") == 3);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE payload='no json' AND kind='usage' AND "
                 "outbox_key='001767268800000:b'") == 1);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE outbox_key='001767268800001:x'") == 1);
  CHECK(f.kv.outbox_size() == 0);
  CHECK(f.ledger->stats().dead == 3);
  CHECK(f.ledger->stats().moved == 5);
}

TEST_CASE("usage: requests that are there already, or twice in a group, are counted once",
          "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  const auto put_range = [&](int from, int to, int64_t unix_ms) {
    std::vector<std::pair<std::string, std::string>> records;
    for (int i = from; i < to; i++) {
      records.emplace_back("r" + std::to_string(i), usage("r" + std::to_string(i)));
    }
    put_together(f.kv, records, unix_ms);
  };
  put_range(0, 10, kNoon);
  REQUIRE(f.ledger->drain().ok());
  check_sums(f, 10);
  put_range(5, 105, kNoon + 1);
  put_range(100, 164, kNoon + 2);
  put_range(40, 41, kNoon + 3);
  REQUIRE(f.ledger->drain().ok());
  check_sums(f, 164);
  CHECK(f.number("SELECT count(DISTINCT request_id) FROM usage") == 164);
  CHECK(f.number("SELECT count(*) FROM outbox_dead") == 0);
}

TEST_CASE("usage: every member of a record reaches its column, whatever their order",
          "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  constexpr int kRows = 70;  // Some by the statement for many rows, some by the other.
  const char* kFields[] = {"input_tokens",          "cache_read_tokens",   "cache_write_5m_tokens",
                           "cache_write_1h_tokens", "input_audio_tokens",  "output_tokens",
                           "reasoning_tokens",      "output_audio_tokens", "web_searches",
                           "cost_nano_usd",         "first_byte_ms",       "total_ms"};
  for (int i = 0; i < kRows; i++) {
    std::vector<std::string> members = {R"("request_id":"r)" + std::to_string(i) + '"',
                                        R"("model":"m)" + std::to_string(i % 3) + '"',
                                        R"("organization_id":"o")",
                                        R"("user_id":"u")",
                                        R"("key_id":"k")",
                                        R"("provider":"p")",
                                        R"("price_version":"v")",
                                        R"("period":"2026-01")",
                                        "\"later\":[1]",
                                        "\"ts_ms\":" + std::to_string(kNoon + i),
                                        "\"status\":418"};
    for (size_t n = 0; n < std::size(kFields); n++) {
      // Each is absent in some rows, so that nothing of the row before may stay.
      if ((i + n) % 4 != 0) {
        members.push_back('"' + std::string(kFields[n]) + "\":" + std::to_string(1000 * i + n + 1));
      }
    }
    if (i % 2 == 0) members.emplace_back("\"estimated\":true");
    if (i % 3 == 0) members.emplace_back("\"grace\":true");
    if (i % 5 == 0) members.emplace_back("\"recovered\":true");
    std::rotate(members.begin(), members.begin() + i % 20, members.end());
    std::string json;
    for (const std::string& member : members) json += (json.empty() ? "{" : ",") + member;
    put(f.kv, "x" + std::to_string(i), kNoon + i, json + "}");
  }
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM usage") == kRows);
  for (size_t n = 0; n < std::size(kFields); n++) {
    const std::string i = "(ts_ms - " + std::to_string(kNoon) + ")";
    const std::string wanted = "CASE WHEN (" + i + " + " + std::to_string(n) +
                               ") % 4 = 0 THEN 0 ELSE 1000 * " + i + " + " + std::to_string(n + 1) +
                               " END";
    INFO(kFields[n]);
    CHECK(f.number("SELECT count(*) FROM usage WHERE " + std::string(kFields[n]) + " <> " +
                   wanted) == 0);
  }
  const std::string i = "(ts_ms - " + std::to_string(kNoon) + ")";
  CHECK(f.number("SELECT count(*) FROM usage u WHERE request_id <> 'r' || " + i +
                 " OR status <> 418 OR estimated <> (" + i + " % 2 = 0) OR grace <> (" + i +
                 " % 3 = 0) OR recovered <> (" + i + " % 5 = 0)") == 0);
  CHECK(
      f.number("SELECT count(*) FROM usage JOIN ledger_name n ON n.id = model_ref WHERE n.text <> "
               "'m' || (" +
               i + " % 3)") == 0);
  for (const char* text : {"organization_ref o", "user_ref u", "key_ref k", "provider_ref p",
                           "price_version_ref v", "period_ref 2026-01"}) {
    const std::string_view both = text;
    const size_t space = both.find(' ');
    CHECK(f.number("SELECT count(*) FROM usage JOIN ledger_name n ON n.id = " +
                   std::string(both.substr(0, space)) + " WHERE n.text = '" +
                   std::string(both.substr(space + 1)) + "'") == kRows);
  }
  CHECK(f.number("SELECT sum(requests) FROM usage_daily") == kRows);
  CHECK(f.number("SELECT count(*) FROM usage_daily") == 3);
  CHECK(f.number("SELECT sum(failures) FROM usage_daily") == kRows);
  CHECK(f.number("SELECT sum(cost_nano_usd) FROM usage_daily") ==
        f.number("SELECT sum(cost_nano_usd) FROM usage"));
}

TEST_CASE("usage: a transaction takes keys until it has its rows, and begins with the next then",
          "[unit][ledger]") {
  LedgerFixture f;
  const auto kv = make_memory_kv(f.clock);
  constexpr int kKeys = 5, kEach = 300;  // Each key's value is less than what a key may hold.
  static_assert(kKeys * kEach < kOutboxBatchRecordsMax);
  int64_t rows = 0;
  for (int copy = 0; copy < 4; copy++) {
    for (int k = 0; k < kKeys; k++) {
      std::vector<std::pair<std::string, std::string>> records;
      for (int i = 0; i < kEach; i++) {
        const std::string id = "r" + std::to_string(rows++);
        records.emplace_back(id, usage(id));
      }
      put_together(*kv, records, kNoon + copy * kKeys + k);
    }
  }
  const size_t keys = outbox(*kv).size();
  CHECK(keys < static_cast<size_t>(rows) / 10);
  Heartbeat heartbeat;
  OutboxMover mover(*kv, *f.writer, heartbeat);
  mover.add_group_sink("usage", usage_sink);
  const uint64_t before = f.writer->stats().jobs;
  REQUIRE(mover.move(OutboxMover::From::kStart, 1).ok());
  // One that reads what a dead process left, and a transaction for each 4,000 rows of the page.
  CHECK(f.writer->stats().jobs - before == 1 + 2);
  check_sums(f, rows);
  CHECK(mover.moved() == static_cast<uint64_t>(rows));
  CHECK(outbox(*kv).empty());
}

TEST_CASE("usage: a record that was slow to be written is found behind the last one moved",
          "[unit][ledger]") {
  LedgerFixture f;
  Heartbeat heartbeat;
  OutboxMover mover(f.kv, *f.writer, heartbeat);
  mover.add_group_sink("usage", usage_sink);
  put(f.kv, "first", kNoon, usage("first"));
  REQUIRE(mover.move(OutboxMover::From::kLast, 10).ok());
  check_sums(f, 1);
  // Its key begins with its own time, which is before that of what has gone already.
  put(f.kv, "slow", kNoon - 1000, usage("slow"));
  put(f.kv, "next", kNoon + 1, usage("next"));
  REQUIRE(mover.move(OutboxMover::From::kLast, 10).ok());
  check_sums(f, 2);
  CHECK(f.kv.outbox_size() == 1);
  REQUIRE(mover.move(OutboxMover::From::kStart, 10).ok());
  check_sums(f, 3);
  CHECK(f.kv.outbox_size() == 0);
}

TEST_CASE("usage: the ledger's thread finds a slow record by itself", "[unit][ledger]") {
  LedgerFixture f;
  f.ledger->add_group_sink("usage", usage_sink);
  f.ledger->start();
  put(f.kv, "first", kNoon, usage("first"));
  REQUIRE(f.ledger->drain().ok());
  put(f.kv, "slow", kNoon - 1000, usage("slow"));
  while (f.kv.outbox_size() > 0) f.ledger->notify();  // Never drain(), which begins at the start.
  check_sums(f, 2);
}

namespace {

// Moves until operation `last` of the store, and nothing works from then on. Nothing when the
// moving needed fewer; otherwise what the store holds in the world where only the process died, or,
// with `power_cut`, where what had not been synced went with it.
std::optional<std::vector<KvItem>> move_until(LedgerFixture& f, KvStore& base, int last,
                                              bool power_cut) {
  std::vector<KvItem> synced = outbox(base);
  int operations = 0;
  const auto kv = make_faulty_kv(base, [&](std::string_view op, std::string_view) -> Status {
    if (op == "get" || op == "scan") return operations < last ? ok() : unavailable("dead");
    if (++operations >= last) return unavailable("dead");
    if (op == "sync") synced = outbox(base);
    return ok();
  });
  Heartbeat heartbeat;
  OutboxMover mover(*kv, *f.writer, heartbeat);
  mover.add_group_sink("usage", usage_sink);
  if (mover.move(OutboxMover::From::kStart, 100).ok()) return std::nullopt;
  return power_cut ? synced : outbox(base);
}

}  // namespace

TEST_CASE("usage: cut off at any step, every request is in the ledger once",
          "[fault][ledger][crash]") {
  constexpr int kRows = 1200;  // Three batches, when each has a key of its own.
  const bool power_cut = GENERATE(false, true);
  const int together = GENERATE(1, 7, 900);
  const auto id = [](int i) { return "r" + std::to_string(i); };
  int cuts = 0;
  for (int last = 1;; last++) {
    INFO("operation " << last << ", power cut " << power_cut << ", together " << together);
    LedgerFixture f;
    const auto before = make_memory_kv(f.clock);
    for (int i = 0; i < kRows; i += together) {
      std::vector<std::pair<std::string, std::string>> records;
      for (int j = i; j < std::min(i + together, kRows); j++) {
        records.emplace_back(id(j), usage(id(j)));
      }
      put_together(*before, records, kNoon + i);
    }
    const auto left = move_until(f, *before, last, power_cut);
    if (!left) break;
    cuts++;
    const auto after = make_memory_kv(f.clock);
    for (const KvItem& item : *left) {
      KvBatch batch;
      batch.put(KvFamily::kOutbox, item.key, item.entry);
      REQUIRE(after->write(batch, KvDurability::kSynced).ok());
    }
    // Another comes first, so that the batches are cut elsewhere.
    put(*after, "older", 1, usage("older"));
    Heartbeat heartbeat;
    OutboxMover mover(*after, *f.writer, heartbeat);
    mover.add_group_sink("usage", usage_sink);
    REQUIRE(mover.move(OutboxMover::From::kStart, 100).ok());
    check_sums(f, kRows + 1);
    CHECK(outbox(*after).empty());
    CHECK(f.number("SELECT count(*) FROM outbox_dead") == 0);
  }
  CHECK(cuts >= (together == 1 ? 6 : 2));  // A sync and a removal for each batch.
}

TEST_CASE("usage: a disk that fails inside a group's transaction loses and doubles nothing",
          "[fault][ledger]") {
  test::FaultVfs vfs;
  LedgerFixture f(100, vfs.name());
  const auto kv = make_memory_kv(f.clock);
  for (int i = 0; i < 600; i++) {
    put(*kv, "r" + std::to_string(i), kNoon + i, usage("r" + std::to_string(i)));
  }
  Heartbeat heartbeat;
  OutboxMover mover(*kv, *f.writer, heartbeat);
  mover.add_group_sink("usage", usage_sink);
  int failures = 0;
  for (int write = 1;; write++) {
    vfs.fail_from(test::FaultVfs::Op::kWrite, write, test::FaultVfs::Fault::kDiskFull);
    const Status moved = mover.move(OutboxMover::From::kStart, 100);
    vfs.heal();
    if (moved.ok()) break;
    CHECK(moved.code() == Code::kUnavailable);
    failures++;
  }
  CHECK(failures > 0);
  check_sums(f, 600);
  CHECK(outbox(*kv).empty());
  CHECK(f.number("SELECT count(*) FROM outbox_dead") == 0);
}
