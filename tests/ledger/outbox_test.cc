// From KV to SQL: nothing lost, nothing twice, whatever fails between the two.
#include "kv/outbox.h"

#include <catch2/catch.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <random>
#include <thread>

#include "ledger/ledger_fixture.h"
#include "ledger/outbox_mover.h"
#include "ledger/rows.h"
#include "ledger/schema.h"
#include "support/fault_vfs.h"
#include "support/wait.h"

using namespace kvcs;
using test::LedgerFixture;

namespace {

// Counts every record in a table that has no rule against doubles.
Status note_sink(Database& db, const OutboxRecord& record) {
  auto put = KVCS_TRY(db.prepare("INSERT INTO noted (id) VALUES (?)"));
  return put.bind(1, record.id).run();
}

constexpr const char* kNoted = "CREATE TABLE IF NOT EXISTS noted (id TEXT)";
constexpr const char* kDoubles =
    "SELECT count(*) FROM (SELECT id FROM noted GROUP BY id HAVING count(*) > 1)";

}  // namespace

TEST_CASE("outbox: records of every kind reach their sinks in order and leave the store",
          "[unit][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  f.ledger->add_sink("note", note_sink);
  f.put_audit("a1", "org:1:config", 10);
  for (int i = 0; i < 1200; i++) f.kv.put_outbox("note", "n" + std::to_string(i), 100 + i, "{}");
  f.put_audit("a2", "org:1:config", 5000);
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM noted") == 1200);
  CHECK(f.number("SELECT count(*) FROM noted WHERE rowid > 1 AND id <> 'n' || (rowid - 1)") == 0);
  CHECK(f.number("SELECT ts_ms FROM kv_audit WHERE id = 'a2'") == 5000);
  CHECK(f.kv.outbox_size() == 0);
  CHECK(f.ledger->stats().moved == 1202);
  CHECK(f.ledger->stats().oldest_outbox_age_ms == 0);
}

TEST_CASE("outbox: a poison record is set aside with its reason and holds up nothing",
          "[unit][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  f.ledger->add_sink("note", note_sink);
  f.ledger->add_sink("half", [](Database& db, const OutboxRecord& record) -> Status {
    KVCS_TRY(note_sink(db, record));
    return invalid("half way");
  });
  f.ledger->add_sink(
      "throws", [](Database&, const OutboxRecord&) -> Status { throw std::runtime_error("x"); });
  f.kv.put_outbox("unheard", "u1", 1, "{\"a\":1}");
  f.kv.put_outbox("half", "h1", 2, "{}");
  f.kv.put_outbox("throws", "t1", 3, "{}");
  f.kv.put_outbox("audit", "a1", 4, "no json");
  KvBatch raw;
  raw.put(KvFamily::kOutbox, "000000000000005:raw", std::string("no newline"));
  raw.put(KvFamily::kOutbox, "junk", std::string("note\n{}"));
  REQUIRE(f.kv.write(raw, KvDurability::kSynced).ok());
  f.kv.put_outbox("note", "n1", 6, "{}");
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM noted") == 1);
  CHECK(f.number("SELECT count(*) FROM outbox_dead") == 6);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE kind='unheard' AND payload='{\"a\":1}'") ==
        1);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE reason LIKE '%half way%'") == 1);
  CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE payload='no newline'") == 1);
  CHECK(f.kv.outbox_size() == 0);
  CHECK(f.ledger->stats().dead == 6);
  CHECK(f.ledger->stats().moved == 1);
}

TEST_CASE("outbox: what has no place in outbox_dead stays, is told of, and holds up nothing",
          "[unit][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  std::vector<std::string> alerts;
  const auto set_up = [&](Ledger& ledger) {
    ledger.add_sink("note", note_sink);
    ledger.add_sink("alert", [&](Database&, const OutboxRecord& record) {
      alerts.push_back(record.payload_json);
      return ok();
    });
    ledger.add_sink("picky", [](Database& db, const OutboxRecord& record) {
      return record.payload_json == "bad" ? invalid("bad") : note_sink(db, record);
    });
  };
  set_up(*f.ledger);
  // The number of records, or their bytes.
  const bool by_bytes = GENERATE(false, true);
  f.ledger->set_dead_caps(by_bytes ? 1000 : 2, by_bytes ? 2500 : 1 << 20);
  const std::string large(1000, 'x');
  for (int i = 0; i < 5; i++) {
    f.kv.put_outbox("unheard", "u" + std::to_string(i), 10 * i, large);
    f.kv.put_outbox("note", "n" + std::to_string(i), 10 * i + 1, "{}");
  }
  KvBatch group;
  const std::vector<OutboxPart> parts = {{"g1", "{}"}, {"g2", "bad"}, {"g3", "{}"}};
  add_group_to_outbox(group, "picky", 100, parts);
  // Small enough for what is left of the bytes, but not for the rows.
  const size_t left = by_bytes ? 3 : 4;
  REQUIRE(f.kv.write(group, KvDurability::kSynced).ok());
  for (int round = 0; round < 3; round++) {
    f.kv.put_outbox("note", "later" + std::to_string(round), 1000 + round, "{}");
    REQUIRE(f.ledger->drain().ok());
    CHECK(f.ledger->stats().left_in_outbox == left);
    CHECK(f.number("SELECT count(*) FROM outbox_dead WHERE kind='unheard'") == 2);
    CHECK(f.number("SELECT count(*) FROM noted") == 5 + 2 + 1 + round);
    CHECK(f.number(kDoubles) == 0);
  }
  // One alert of each kind, whatever the number of records.
  REQUIRE(f.ledger->drain().ok());
  CHECK(alerts.size() == 2);
  CHECK(f.kv.outbox_size() == left);
  // The next start, with more room, takes them.
  REQUIRE(f.execute("DELETE FROM noted").ok());
  f.ledger = std::make_unique<Ledger>(f.kv, *f.writer, *f.readers, f.clock, 100);
  set_up(*f.ledger);
  f.ledger->set_dead_caps(1000, 1 << 20);
  REQUIRE(f.ledger->drain().ok());
  REQUIRE(f.ledger->drain().ok());  // The alerts about them.
  CHECK(f.kv.outbox_size() == 0);
  CHECK(f.number("SELECT count(*) FROM outbox_dead") == 6);
}

TEST_CASE("outbox: stops when very many records have no place in outbox_dead", "[unit][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  f.ledger->add_sink("note", note_sink);
  f.ledger->set_dead_caps(0, 1 << 20);
  for (size_t i = 0; i <= kLeftKeysMax; i++) {
    f.kv.put_outbox("unheard", "u" + std::to_string(i), static_cast<int64_t>(i), "{}");
  }
  f.kv.put_outbox("note", "n", 5000, "{}");
  const Status stopped = f.ledger->drain();
  CHECK(stopped.code() == Code::kUnavailable);
  CHECK(stopped.message().find("ledger.dead_max_rows") != std::string::npos);
  CHECK(f.kv.outbox_size() == kLeftKeysMax + 2);
  CHECK(f.number("SELECT count(*) FROM noted") == 0);
}

TEST_CASE("outbox: a sink that cannot work now keeps its batch for later", "[fault][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  std::atomic<bool> down{true};
  f.ledger->add_sink("note", [&](Database& db, const OutboxRecord& record) {
    return down ? unavailable("not now") : note_sink(db, record);
  });
  f.clock.set_unix_ms(10'000);
  f.kv.put_outbox("note", "n1", 4'000, "{}");
  CHECK(f.ledger->drain().code() == Code::kUnavailable);
  CHECK(f.kv.outbox_size() == 1);
  CHECK(f.ledger->stats().oldest_outbox_age_ms == 6'000);
  down = false;
  CHECK(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM noted") == 1);
  CHECK(f.number("SELECT count(*) FROM outbox_dead") == 0);
  CHECK(f.ledger->stats().oldest_outbox_age_ms == 0);
}

TEST_CASE("outbox: a removal that fails after the commit is made up for, not moved twice",
          "[fault][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  f.ledger->add_sink("note", note_sink);
  for (int i = 0; i < 700; i++) f.kv.put_outbox("note", "n" + std::to_string(i), i, "{}");
  std::atomic<bool> broken{true};
  f.kv.set_plan(
      [&](std::string_view op) { return broken && op == "write" ? unavailable("no disk") : ok(); });
  CHECK(f.ledger->drain().code() == Code::kUnavailable);
  CHECK(f.number("SELECT count(*) FROM noted") == 500);
  CHECK(f.kv.outbox_size() == 700);
  // The process dies here; the next one knows only what is in the files.
  f.ledger = std::make_unique<Ledger>(f.kv, *f.writer, *f.readers, f.clock);
  f.ledger->add_sink("note", note_sink);
  broken = false;
  // Something older comes in first, so that the pages are cut elsewhere.
  f.kv.put_outbox("note", "older", 0, "{}");
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM noted") == 701);
  CHECK(f.number(kDoubles) == 0);
  CHECK(f.kv.outbox_size() == 0);
}

TEST_CASE("outbox: a full disk under SQL loses nothing", "[fault][ledger]") {
  test::FaultVfs vfs;
  LedgerFixture f(100, vfs.name());
  f.put_audit("a1", "k1");
  vfs.fail_from(test::FaultVfs::Op::kWrite, 1, test::FaultVfs::Fault::kDiskFull);
  CHECK(f.ledger->drain().code() == Code::kUnavailable);
  CHECK(f.kv.outbox_size() == 1);
  vfs.heal();
  CHECK(f.ledger->drain().ok());
  CHECK(f.number("SELECT count(*) FROM kv_audit") == 1);
  CHECK(f.ledger->verify_audit_chain().ok());
}

TEST_CASE("outbox: SQL that fails at a row or at the commit keeps the records, and each comes once",
          "[fault][ledger]") {
  LedgerFixture f;
  const std::string op = GENERATE("step", "commit");
  f.put_audit("a1", "k1");
  f.put_audit("a2", "k2");
  int failures = 0;
  f.fault = [&](std::string_view asked, std::string_view sql) -> Status {
    const bool hit = asked == op && (op == "commit" || sql.starts_with("INSERT INTO kv_audit"));
    if (hit) failures++;
    return hit ? unavailable("The plan says so.") : ok();
  };
  CHECK(f.ledger->drain().message() == "The plan says so.");
  CHECK(failures > 0);
  f.fault = nullptr;
  CHECK(f.kv.outbox_size() == 2);
  CHECK(f.number("SELECT count(*) FROM kv_audit") == 0);
  CHECK(f.number("SELECT count(*) FROM outbox_dead") == 0);
  REQUIRE(f.ledger->drain().ok());
  CHECK(f.kv.outbox_size() == 0);
  CHECK(f.number("SELECT count(*) FROM kv_audit") == 2);
  CHECK(f.ledger->verify_audit_chain().ok());
}

TEST_CASE(
    "outbox: the ledger's own thread moves what is written while it runs, and the rest at "
    "its end",
    "[unit][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  f.ledger->add_sink("note", note_sink);
  f.ledger->start();
  constexpr int kThreads = 4, kEach = 200;
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; i++) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        f.kv.put_outbox("note", id, 1'000'000 + i, "{}");
        f.ledger->notify();
        if (i % 50 == 0 && !f.ledger->drain().ok()) failed++;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(failed == 0);
  f.kv.put_outbox("note", "last", 1, "{}");
  f.ledger.reset();
  CHECK(f.number("SELECT count(*) FROM noted") == kThreads * kEach + 1);
  CHECK(f.number(kDoubles) == 0);
  CHECK(f.kv.outbox_size() == 0);
}

namespace {

// Writes and moves until it is killed. Tells of each outbox record once it is durable in KV.
[[noreturn]] void write_and_move(const std::string& dir, const std::string& round, int pipe) {
  test::SqlKv kv(dir + "/kv.db");
  auto clock = make_system_clock();
  auto db = open_sqlite(dir + "/ledger.db");
  auto readers = DbReaders::open(sqlite_readers(dir + "/ledger.db"), 1);
  if (!db.ok() || !readers.ok()) _exit(3);
  DbWriter writer(std::move(db).value(), "ledger-db", 100);
  Ledger ledger(kv, writer, **readers, *clock);
  ledger.add_sink("note", note_sink);
  ledger.start();
  for (int i = 0;; i++) {
    const std::string id = round + "-" + std::to_string(i);
    const char* kind = i % 3 == 0 ? "audit" : "note";
    kv.put_outbox(kind, id, clock->unix_ms(),
                  R"({"family":"config","key":"k","action":"put","new_hash":"x"})");
    ledger.notify();
    if (::write(pipe, "x", 1) != 1) _exit(4);
  }
}

}  // namespace

TEST_CASE("outbox: killed at any moment, every record is in SQL exactly once after the restart",
          "[fault][ledger][crash]") {
  test::TempDir dir;
  {
    auto db = open_sqlite(dir.file("ledger.db"));
    REQUIRE(db.ok());
    REQUIRE(migrate(**db, ledger_migrations()).ok());
    REQUIRE((*db)->execute(kNoted).ok());
  }
  std::mt19937 random(20260101);
  int64_t told = 0;
  for (int round = 0; round < 12; round++) {
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(fds[0]);
      write_and_move(dir.path(), std::to_string(round), fds[1]);
    }
    ::close(fds[1]);
    const int64_t stop_after = 1 + static_cast<int64_t>(random() % 400);
    char byte;
    for (int64_t i = 0; i < stop_after && ::read(fds[0], &byte, 1) == 1; i++) told++;
    ::kill(child, SIGKILL);
    int ended = 0;
    REQUIRE(::waitpid(child, &ended, 0) == child);
    CHECK(WIFSIGNALED(ended));
    while (::read(fds[0], &byte, 1) == 1) told++;
    ::close(fds[0]);
  }
  test::SqlKv kv(dir.file("kv.db"));
  ManualClock clock;
  auto db = open_sqlite(dir.file("ledger.db"));
  auto readers = DbReaders::open(sqlite_readers(dir.file("ledger.db")), 1);
  REQUIRE((db.ok() && readers.ok()));
  DbWriter writer(std::move(db).value(), "ledger-db", 100);
  Ledger ledger(kv, writer, **readers, clock);
  ledger.add_sink("note", note_sink);
  REQUIRE(ledger.drain().ok());
  CHECK(kv.outbox_size() == 0);
  const auto chain = ledger.verify_audit_chain();
  INFO(chain.status().to_string());
  REQUIRE(chain.ok());
  CHECK(ledger
            .read([&](Database& db2) -> Status {
              auto count = KVCS_TRY(db2.prepare("SELECT count(*), count(DISTINCT id) FROM noted"));
              KVCS_TRY(count.step());
              CHECK(count.integer(0) == count.integer(1));
              // The child may have died between the record and the byte that tells of it.
              CHECK(count.integer(0) + chain->rows >= told);
              CHECK(count.integer(0) + chain->rows <= told + 12);
              return ok();
            })
            .ok());
}

TEST_CASE(
    "outbox: a stop waits for a few batches of a long outbox, and the next start moves the rest",
    "[unit][ledger]") {
  constexpr int kRecords = 100'000;
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  f.ledger->add_sink("note", note_sink);
  KvBatch batch;
  for (int i = 0; i < kRecords; i++) {
    add_to_outbox(batch, "note", "n" + std::to_string(i), 1000 + i, "{}");
  }
  REQUIRE(f.kv.write(batch, KvDurability::kSynced).ok());
  f.ledger->start();
  // While a pass is under way, which would end with the last record.
  test::wait_until([&] { return f.ledger->stats().moved > 0; }, "the move has begun");
  f.ledger->stop_soon();
  const Status drained = f.ledger->drain();
  INFO(drained.to_string());
  CHECK(drained.code() == Code::kTimeout);
  f.ledger.reset();
  const int64_t moved = f.number("SELECT count(*) FROM noted");
  // What was moved before, the rest of a pass, and the passes of drain() and of the end.
  CHECK(moved >= static_cast<int64_t>(kBatchesAtStop * kOutboxBatchMax));
  CHECK(moved < kRecords / 2);
  CHECK(f.kv.outbox_size() == static_cast<size_t>(kRecords - moved));

  Ledger next(f.kv, *f.writer, *f.readers, f.clock);
  next.add_sink("note", note_sink);
  REQUIRE(next.drain().ok());
  CHECK(f.number("SELECT count(*) FROM noted") == kRecords);
  CHECK(f.number(kDoubles) == 0);
  CHECK(f.kv.outbox_size() == 0);
}

TEST_CASE("outbox: a short one is empty after a stop", "[unit][ledger]") {
  LedgerFixture f;
  REQUIRE(f.execute(kNoted).ok());
  f.ledger->add_sink("note", note_sink);
  for (int i = 0; i < 1200; i++) f.kv.put_outbox("note", "n" + std::to_string(i), 100 + i, "{}");
  f.ledger->stop_soon();
  CHECK(f.ledger->drain().ok());
  CHECK(f.kv.outbox_size() == 0);
  CHECK(f.number("SELECT count(*) FROM noted") == 1200);
}
