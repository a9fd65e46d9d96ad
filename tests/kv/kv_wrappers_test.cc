// Goal: what stands around a store does its one thing: faults by plan, listeners, cached records,
// audit. Method: over memory stores; a plan or a loader acts at the moment that matters.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <map>

#include "base/crypto.h"
#include "base/json.h"
#include "base/thread.h"
#include "kv/audited_kv.h"
#include "kv/keyspace.h"
#include "kv/outbox.h"
#include "kv/record_cache.h"
#include "support/temp_dir.h"

using namespace kvcs;

namespace {

constexpr KvFamily kFamily = KvFamily::kConfig;

KvBatch one(const std::string& key, const std::string& value) {
  KvBatch batch;
  batch.put(kFamily, key, value);
  return batch;
}

// The payloads in the outbox, in its order.
std::vector<Json> audit_records(const KvStore& kv) {
  std::vector<Json> records;
  REQUIRE(kv_for_each(kv, KvFamily::kOutbox, "", [&](const KvItem& item) -> Status {
            const OutboxRecord record = (KVCS_TRY(parse_outbox(item))).front();
            CHECK(record.kind == "audit");
            records.push_back(KVCS_TRY(parse_json(record.payload_json)));
            CHECK(records.back()["id"] == record.id);
            CHECK(records.back()["ts_ms"] == record.unix_ms);
            return ok();
          }).ok());
  return records;
}

const AuditContext kWho{"adminkey:1", "admin-api", "r1"};

}  // namespace

TEST_CASE("faulty: each operation fails as planned and nothing is applied", "[fault][kv]") {
  const ManualClock clock;
  const test::TempDir dir;
  const auto base = make_memory_kv(clock);
  std::string broken, seen_key;
  const auto kv = make_faulty_kv(*base, [&](std::string_view op, std::string_view key) {
    if (op != broken) return ok();
    seen_key = key;
    return unavailable("planned");
  });
  constexpr auto kUnavailable = Code::kUnavailable;
  const auto buffered = KvDurability::kBuffered;
  REQUIRE(kv->write(one("k", "1"), buffered).ok());
  broken = "get";
  CHECK(kv->get(kFamily, "k").code() == kUnavailable);
  CHECK(seen_key == "k");
  broken = "write";
  CHECK(kv->write(one("k", "2"), buffered).code() == kUnavailable);
  CHECK(kv->write({}, buffered).code() == kUnavailable);
  broken = "cas";
  CHECK(kv->compare_and_swap(kFamily, "k", "1", one("k", "2"), buffered).code() == kUnavailable);
  broken = "scan";
  CHECK(kv->scan(kFamily, "", "", 1).code() == kUnavailable);
  CHECK(kv_for_each(*kv, kFamily, "", [](const KvItem&) { return ok(); }).code() == kUnavailable);
  broken = "sync";
  CHECK(kv->sync().code() == kUnavailable);
  broken = "checkpoint";
  CHECK(kv->checkpoint(dir.file("copy")).code() == kUnavailable);
  CHECK_FALSE(std::filesystem::exists(dir.file("copy")));
  broken = "";
  CHECK(kv->get(kFamily, "k")->value == "1");
}

TEST_CASE("watched: listeners hear every key of a successful write, and of no other",
          "[unit][kv]") {
  const ManualClock clock;
  const auto base = make_memory_kv(clock);
  const auto kv = make_watched_kv(*base);
  std::vector<std::string> heard;
  kv->add_listener([&](KvFamily family, std::string_view key) {
    heard.push_back(std::string(kv_family_name(family)) + "/" + std::string(key));
  });
  KvBatch batch = one("a", "1");
  batch.remove(KvFamily::kAuth, "b");
  REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
  CHECK(heard == std::vector<std::string>{"config/a", "auth/b"});
  CHECK_FALSE(kv->write(one("", "1"), KvDurability::kBuffered).ok());
  CHECK_FALSE(kv->compare_and_swap(kFamily, "a", "0", batch, KvDurability::kBuffered).ok());
  CHECK(heard.size() == 2);
  CHECK(kv->compare_and_swap(kFamily, "a", "1", one("a", "2"), KvDurability::kBuffered).ok());
  CHECK(heard.size() == 3);
  CHECK(kv->get(kFamily, "a")->value == "2");
  CHECK(kv->scan(kFamily, "", "", 9)->items.size() == 1);
}

TEST_CASE("record cache: a read that raced with an invalidation is not kept", "[unit][kv]") {
  RecordCache<std::string> cache(100);
  int loads = 0;
  // The record changes after the store was read and before it is kept.
  auto raced = cache.find_or_load("k", [&](std::string_view key) -> Result<std::string> {
    loads++;
    cache.invalidate(key);
    return std::string("old");
  });
  REQUIRE(raced.ok());
  CHECK(cache.peek("k") == nullptr);
  const auto load = [&](std::string_view) -> Result<std::string> {
    loads++;
    return std::string("new");
  };
  CHECK(**cache.find_or_load("k", load) == "new");
  CHECK(**cache.find_or_load("k", load) == "new");
  CHECK(loads == 2);
  CHECK(*cache.peek("k") == "new");
  cache.clear();
  CHECK(cache.peek("k") == nullptr);
  const auto fail = [](std::string_view) -> Result<std::string> { return unavailable("down"); };
  CHECK(cache.find_or_load("k", fail).code() == Code::kUnavailable);
  CHECK(cache.peek("k") == nullptr);
}

TEST_CASE("record cache: it stays within its capacity", "[unit][kv]") {
  RecordCache<int> cache(32);
  for (int i = 0; i < 1'000; ++i) {
    REQUIRE(
        cache.find_or_load(std::to_string(i), [&](std::string_view) -> Result<int> { return i; })
            .ok());
  }
  int kept = 0;
  for (int i = 0; i < 1'000; ++i) kept += cache.peek(std::to_string(i)) != nullptr;
  CHECK(kept > 0);
  CHECK(kept <= 48);  // Rounded up per stripe.
}

TEST_CASE("audited: each change leaves a record whose hashes chain", "[unit][kv]") {
  ManualClock clock;
  const auto entropy = make_seeded_entropy(1);
  const auto kv = make_memory_kv(clock);
  AuditedKv audited(*kv, clock, *entropy);
  KvBatch batch = one("k", "1");
  batch.put(kFamily, "k", "2");                                      // Twice in one batch.
  add_to_outbox(batch, "audit", "x", 1, R"({"id":"x","ts_ms":1})");  // A record of its own.
  REQUIRE(audited.write(batch, kWho).ok());
  clock.set_unix_ms(clock.unix_ms() - 5'000);  // The order survives a step back of the clock.
  KvBatch removal;
  removal.remove(kFamily, "k");
  REQUIRE(audited.compare_and_swap(kFamily, "k", "2", removal, kWho).ok());
  const auto records = audit_records(*kv);
  REQUIRE(records.size() == 4);
  CHECK(records[0]["id"] == "x");
  CHECK(records[1]["old_hash"] == "");
  CHECK(records[1]["new_hash"] == sha256_hex("1"));
  CHECK(records[2]["old_hash"] == sha256_hex("1"));
  CHECK(records[2]["new_hash"] == sha256_hex("2"));
  CHECK(records[3]["old_hash"] == sha256_hex("2"));
  CHECK(records[3]["new_hash"] == "");
  CHECK(records[2]["action"] == "put");
  CHECK(records[3]["action"] == "delete");
  CHECK(records[3]["family"] == "config");
  CHECK(records[3]["key"] == "k");
  CHECK(records[3]["actor"] == "adminkey:1");
  CHECK(records[3]["source"] == "admin-api");
  CHECK(records[3]["request_id"] == "r1");
}

TEST_CASE("audited: a write that fails leaves neither the change nor a record", "[fault][kv]") {
  const ManualClock clock;
  const auto entropy = make_seeded_entropy(1);
  const auto base = make_memory_kv(clock);
  std::string broken;
  const auto kv = make_faulty_kv(*base, [&](std::string_view op, std::string_view) {
    return op == broken ? unavailable("planned") : ok();
  });
  AuditedKv audited(*kv, clock, *entropy);
  for (const char* op : {"get", "write"}) {
    broken = op;
    CHECK(audited.write(one("k", "1"), kWho).code() == Code::kUnavailable);
  }
  broken = "cas";
  CHECK(audited.compare_and_swap(kFamily, "k", std::nullopt, one("k", "1"), kWho).code() ==
        Code::kUnavailable);
  broken = "";
  CHECK(audited.compare_and_swap(kFamily, "k", "0", one("k", "1"), kWho).code() == Code::kConflict);
  CHECK(audited.write(one("", "1"), kWho).code() == Code::kInvalid);
  CHECK(audit_records(*base).empty());
  CHECK(base->get(kFamily, "k").code() == Code::kNotFound);
}

TEST_CASE("audited: concurrent writers leave one unbroken chain per key", "[unit][kv]") {
  const ManualClock clock;  // Stands still: only the counter in the ids keeps the order.
  const auto entropy = make_system_entropy();
  const auto kv = make_memory_kv(clock);
  AuditedKv audited(*kv, clock, *entropy);
  constexpr int kThreads = 4, kEach = 300;
  {
    std::vector<Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("audit", [&audited, t] {
        for (int i = 0; i < kEach; ++i) {
          const std::string value = std::to_string(t) + ":" + std::to_string(i);
          KvBatch batch = one(t % 2 ? "a" : "b", value);
          batch.put(kFamily, t % 2 ? "b" : "a", value);
          (void)audited.write(batch, kWho);
        }
      });
    }
  }
  const auto records = audit_records(*kv);
  CHECK(records.size() == 2u * kThreads * kEach);
  std::map<std::string, std::string> last;
  int breaks = 0;
  for (const Json& record : records) {
    std::string& hash = last[record["key"].get<std::string>()];
    if (record["old_hash"] != hash) breaks++;
    hash = record["new_hash"].get<std::string>();
  }
  CHECK(breaks == 0);
  CHECK(last["a"] == sha256_hex(kv->get(kFamily, "a")->value));
}

TEST_CASE("outbox: a record is read as it was put, and what is no record is an error",
          "[unit][kv]") {
  KvBatch batch;
  add_to_outbox(batch, "usage", "id:1", 1'700'000'000'000, "{\"a\":\n1}");
  const KvBatch::Op& op = batch.ops().front();
  CHECK(op.family == KvFamily::kOutbox);
  CHECK(op.key == "001700000000000:id:1");
  const auto records = parse_outbox({op.key, *op.entry});
  REQUIRE(records.ok());
  REQUIRE(records->size() == 1);
  const OutboxRecord& record = records->front();
  CHECK(record.id == "id:1");
  CHECK(record.unix_ms == 1'700'000'000'000);
  CHECK(record.kind == "usage");
  CHECK(record.payload_json == "{\"a\":\n1}");
  CHECK(parse_outbox({"1:x", {"no newline", {}, 0}}).code() == Code::kInternal);
  CHECK(parse_outbox({"x:1", {"k\n{}", {}, 0}}).code() == Code::kInternal);
  CHECK(parse_outbox({"1", {"k\n{}", {}, 0}}).code() == Code::kInternal);
}

TEST_CASE("outbox: records of one kind share keys and are read as they were put", "[unit][kv]") {
  const std::string large(kOutboxGroupBytes, 'x');
  const std::vector<OutboxPart> parts = {{"id 1", "{\"a\":\n1}"}, {"2\n", ""}, {"", "{}"},
                                         {"big", large},          {"3", "3"},  {"4", "4 5\n"}};
  KvBatch batch;
  add_group_to_outbox(batch, "usage", 7, {});
  CHECK(batch.empty());
  add_group_to_outbox(batch, "usage", 7, parts);
  REQUIRE(batch.ops().size() == 3);
  CHECK(batch.ops()[0].key == "000000000000007:id 1");
  CHECK(batch.ops()[0].entry->value == "usage*\n4 8\nid 1{\"a\":\n1}\n2 0\n2\n\n0 2\n{}\n");
  CHECK(batch.ops()[1].key == "000000000000007:big");
  CHECK(batch.ops()[1].entry->value == "usage\n" + large);
  size_t next = 0;
  for (const KvBatch::Op& op : batch.ops()) {
    const auto records = parse_outbox({op.key, *op.entry});
    REQUIRE(records.ok());
    for (const OutboxRecord& record : *records) {
      REQUIRE(next < parts.size());
      CHECK(record.id == parts[next].id);
      CHECK(record.payload_json == parts[next].payload_json);
      CHECK(record.kind == "usage");
      CHECK(record.unix_ms == 7);
      next++;
    }
  }
  CHECK(next == parts.size());
  // Cut short anywhere it is no group, or fewer whole records of it.
  const std::string value = batch.ops()[0].entry->value;
  for (size_t size = 0; size < value.size(); size++) {
    const auto records = parse_outbox({"7:a", {value.substr(0, size), {}, 0}});
    if (records.ok()) CHECK(records->size() < 3);
  }
  for (const char* bad : {"k*\n", "k*\n1\n", "k*\n1 1\nab", "k*\n1 1\nabc", "k*\n9 1\nab\n",
                          "k*\n1 18446744073709551615\nab\n", "k*\n-1 3\nab\n"}) {
    INFO(bad);
    CHECK(parse_outbox({"7:a", {bad, {}, 0}}).code() == Code::kInternal);
  }
}

TEST_CASE("timed: each operation is told with its time, failed ones too", "[unit][kv]") {
  ManualClock clock;
  const auto memory = make_memory_kv(clock);
  const auto slow = make_faulty_kv(*memory, [&](std::string_view op, std::string_view) {
    clock.advance_ms(op == "get" ? 1 : 2);
    return op == "sync" ? unavailable("planned") : ok();
  });
  std::vector<std::pair<std::string_view, int64_t>> told;
  const auto kv = make_timed_kv(
      *slow, clock, [&](KvOp op, int64_t us) { told.emplace_back(kv_op_name(op), us); });
  CHECK(kv->write(one("k", "1"), KvDurability::kBuffered).ok());
  CHECK(kv->write(one("k", "2"), KvDurability::kSynced).ok());
  CHECK(kv->compare_and_swap(kFamily, "k", "2", one("k", "3"), KvDurability::kSynced).ok());
  CHECK(kv->get(kFamily, "k").value().value == "3");
  CHECK(kv->scan(kFamily, "", "", 10).ok());
  CHECK_FALSE(kv->sync().ok());
  const decltype(told) expected = {{"write", 2000}, {"synced_write", 2000}, {"synced_write", 2000},
                                   {"get", 1000},   {"scan", 2000},         {"sync", 2000}};
  CHECK(told == expected);
}

TEST_CASE("audited kv: a record that is new needs its owner, and one that stays", "[unit][kv]") {
  ManualClock clock;
  const auto entropy = make_seeded_entropy(7);
  const auto kv = make_memory_kv(clock);
  AuditedKv audited(*kv, clock, *entropy, OwnerRule::kRequired);
  const auto put = [&](const std::string& key, const std::string& value, const AuditContext& who) {
    KvBatch batch;
    batch.put(KvFamily::kConfig, key, value);
    return audited.write(batch, who);
  };
  const AuditContext import{"adminkey:1", "import", ""};
  const std::string key = keyspace::org_key("o", "k");
  CHECK(put(key, "1", kWho).reason() == "owner_not_found");
  CHECK(put(key, "1", import).ok());  // In any order.
  CHECK(put(key, "2", kWho).ok());    // It is there.
  CHECK(put(keyspace::org_config("o"), "1", kWho).ok());
  CHECK(put(keyspace::org_key("o", "k2"), "1", kWho).ok());
  // The owner is being deleted.
  KvBatch begin;
  begin.put(KvFamily::kSystem, keyspace::deletion(keyspace::Owner::kOrganization, "o"), "{}");
  REQUIRE(audited.write(begin, kWho).ok());
  CHECK(put(keyspace::org_key("o", "k3"), "1", kWho).reason() == "name_in_deletion");
  CHECK(put(keyspace::org_key("o", "k3"), "1", import).reason() == "name_in_deletion");
  CHECK(put(keyspace::org_key("p", "k"), "1", kWho).reason() == "owner_not_found");
  CHECK(put(keyspace::api_config("hubspot"), "{}", kWho).ok());  // Nobody's.
}
