// Goal: every engine keeps the promises of kv/kv.h. Method: each case runs against RocksDB in a
// directory of its own, against memory, and against memory behind each decorator, idle.
#include <catch2/catch.hpp>

#include <atomic>
#include <map>
#include <set>

#include "base/thread.h"
#include "kv/kv.h"
#include "support/temp_dir.h"

using namespace kvcs;

namespace {

constexpr KvFamily kFamily = KvFamily::kConfig;

struct Engine {
  explicit Engine(const std::string& name) {
    if (name == "rocks") {
      auto opened = open_rocks_kv({.path = dir.file("kv")}, clock);
      INFO(opened.status().to_string());
      REQUIRE(opened.ok());
      store = std::move(opened).value();
      return;
    }
    if (name != "memory" && name != "faulty" && name != "timed") FAIL("no engine " << name);
    store = make_memory_kv(clock);
    if (name == "faulty") {
      base = std::move(store);
      store = make_faulty_kv(*base, [](std::string_view, std::string_view) { return ok(); });
    }
    if (name == "timed") {
      base = std::move(store);
      store = make_timed_kv(*base, clock, [](KvOp, int64_t) {});
    }
  }
  test::TempDir dir;
  ManualClock clock;
  std::unique_ptr<KvStore> base, store;
};

std::string engine_name() {
  return GENERATE(as<std::string>(), "rocks", "memory", "faulty", "timed");
}

void put(KvStore& kv, const std::string& key, KvEntry entry) {
  KvBatch batch;
  batch.put(kFamily, key, std::move(entry));
  const Status status = kv.write(batch, KvDurability::kBuffered);
  INFO(status.to_string());
  REQUIRE(status.ok());
}
void put(KvStore& kv, const std::string& key, std::string value) {
  put(kv, key, KvEntry{std::move(value), {}, 0});
}

std::vector<std::string> keys_of(const KvPage& page) {
  std::vector<std::string> keys;
  for (const auto& item : page.items) keys.push_back(item.key);
  return keys;
}

Status write_one(KvStore& kv, std::string key, KvEntry entry) {
  KvBatch batch;
  batch.put(kFamily, std::move(key), std::move(entry));
  return kv.write(batch, KvDurability::kBuffered);
}

}  // namespace

TEST_CASE("kv: what was put is read back, in its own family, until it is removed",
          "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  const std::string binary("a\0\xff\n", 4);
  put(kv, "key", KvEntry{binary, R"({"a":1})", 4'000'000'000});
  put(kv, "empty", "");
  auto entry = kv.get(kFamily, "key");
  REQUIRE(entry.ok());
  CHECK(entry->value == binary);
  CHECK(entry->metadata == R"({"a":1})");
  CHECK(entry->expires_at_s == 4'000'000'000);
  CHECK(kv.get(kFamily, "empty")->value.empty());
  CHECK(kv.get(KvFamily::kAuth, "key").code() == Code::kNotFound);

  put(kv, "key", "second");
  CHECK(kv.get(kFamily, "key")->value == "second");
  CHECK(kv.get(kFamily, "key")->metadata.empty());
  KvBatch batch;
  batch.remove(kFamily, "key");
  batch.remove(kFamily, "never there");
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  CHECK(kv.get(kFamily, "key").code() == Code::kNotFound);
  CHECK(kv.sync().ok());
}

TEST_CASE("kv: an entry is gone from the second at which it expires", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  const int64_t now_s = engine.clock.unix_s();
  put(kv, "short", KvEntry{"v", {}, now_s + 10});
  put(kv, "stays", "v");
  engine.clock.advance_ms(9'999);
  CHECK(kv.get(kFamily, "short").ok());
  CHECK(kv.scan(kFamily, "", "", 10)->items.size() == 2);
  engine.clock.advance_ms(1);
  CHECK(kv.get(kFamily, "short").code() == Code::kNotFound);
  CHECK(keys_of(*kv.scan(kFamily, "", "", 10)) == std::vector<std::string>{"stays"});
  // To a swap an expired entry is an absent one.
  KvBatch batch;
  batch.put(kFamily, "short", "again");
  CHECK(kv.compare_and_swap(kFamily, "short", "v", batch, KvDurability::kBuffered).code() ==
        Code::kConflict);
  CHECK(kv.compare_and_swap(kFamily, "short", std::nullopt, batch, KvDurability::kBuffered).ok());
  CHECK(kv.get(kFamily, "short")->value == "again");
}

TEST_CASE("kv: a batch is applied in order, over families, all or none", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  KvBatch batch;
  batch.put(kFamily, "a", "1");
  batch.put(kFamily, "a", "2");
  batch.put(KvFamily::kOutbox, "a", "3");
  batch.put(kFamily, "b", "1");
  KvBatch more;
  more.remove(kFamily, "b");
  batch.append(std::move(more));
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  CHECK(kv.get(kFamily, "a")->value == "2");
  CHECK(kv.get(KvFamily::kOutbox, "a")->value == "3");
  CHECK_FALSE(kv.get(kFamily, "b").ok());

  KvBatch bad;
  bad.put(kFamily, "c", "1");
  bad.put(kFamily, "", "1");
  CHECK(kv.write(bad, KvDurability::kSynced).code() == Code::kInvalid);
  CHECK_FALSE(kv.get(kFamily, "c").ok());
  CHECK(kv.write(KvBatch(), KvDurability::kSynced).ok());
}

TEST_CASE("kv: a scan gives the keys below a prefix in order, page by page", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  const std::string high = "p\xff";
  for (const std::string& key :
       {std::string("o"), std::string("p"), std::string("p:1"), std::string("p:2"), high,
        high + "\xff", std::string("q"), std::string("\xff"),
        std::string("\xff\xff"
                    "a")}) {
    put(kv, key, "v");
  }
  auto page = kv.scan(kFamily, "p", "", 3);
  REQUIRE(page.ok());
  CHECK(keys_of(*page) == std::vector<std::string>{"p", "p:1", "p:2"});
  REQUIRE_FALSE(page->cursor.empty());
  page = kv.scan(kFamily, "p", page->cursor, 2);
  CHECK(keys_of(*page) == std::vector<std::string>{high, high + "\xff"});
  CHECK(page->cursor.empty());  // Exactly full and the last.
  CHECK(keys_of(*kv.scan(kFamily, high, "", 9)) == std::vector<std::string>{high, high + "\xff"});
  CHECK(kv.scan(kFamily, "\xff", "", 9)->items.size() == 2);
  CHECK(kv.scan(kFamily, "\xff\xff", "", 9)->items.size() == 1);
  CHECK(kv.scan(kFamily, "", "", 9)->items.size() == 9);
  CHECK(kv.scan(kFamily, "p:", "a", 9)->items.size() == 2);     // A cursor before the prefix,
  CHECK(kv.scan(kFamily, "p:", "p:1a", 9)->items.size() == 1);  // between keys,
  CHECK(kv.scan(kFamily, "p:", "z", 9)->items.empty());         // and behind.
  CHECK(kv.scan(KvFamily::kQuota, "", "", 9)->items.empty());
}

TEST_CASE("kv: kv_for_each walks over pages and stops at the first failure", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  KvBatch batch;
  for (int i = 0; i < 2'500; ++i) batch.put(kFamily, "k" + std::to_string(i), "v");
  REQUIRE(kv.write(batch, KvDurability::kBuffered).ok());
  std::set<std::string> seen;
  REQUIRE(kv_for_each(kv, kFamily, "k", [&](const KvItem& item) {
            seen.insert(item.key);
            return ok();
          }).ok());
  CHECK(seen.size() == 2'500);
  int visits = 0;
  CHECK(kv_for_each(kv, kFamily, "k", [&](const KvItem&) {
          return ++visits == 7 ? conflict("stop") : ok();
        }).code() == Code::kConflict);
  CHECK(visits == 7);
}

TEST_CASE("kv: a page ends early when its values are large", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  for (int i = 0; i < 3; ++i) put(kv, "k" + std::to_string(i), std::string(17u << 20, 'x'));
  auto page = kv.scan(kFamily, "k", "", 10);
  REQUIRE(page.ok());
  CHECK(page->items.size() == 2);
  CHECK(kv.scan(kFamily, "k", page->cursor, 10)->items.size() == 1);
}

TEST_CASE("kv: a swap happens only on the expected value", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  KvBatch batch;
  batch.put(kFamily, "k", "1");
  batch.put(kFamily, "other", "1");
  const auto swap = [&](std::optional<std::string_view> expected) {
    return kv.compare_and_swap(kFamily, "k", expected, batch, KvDurability::kSynced).code();
  };
  CHECK(swap("0") == Code::kConflict);
  CHECK_FALSE(kv.get(kFamily, "other").ok());
  CHECK(swap(std::nullopt) == Code::kOk);
  CHECK(kv.get(kFamily, "other")->value == "1");
  CHECK(swap(std::nullopt) == Code::kConflict);
  CHECK(swap("") == Code::kConflict);
  CHECK(swap("1") == Code::kOk);
}

TEST_CASE("kv: increments by swap from several threads lose nothing", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  constexpr int kThreads = 4, kEach = 200;
  std::atomic<int> failures{0};
  {
    std::vector<Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("swap", [&kv, &failures, t] {
        for (int i = 0; i < kEach;) {
          const auto now = kv.get(kFamily, "n");
          std::optional<std::string_view> expected;
          if (now.ok()) expected = now.value().value;
          const int next = expected ? std::stoi(std::string(*expected)) + 1 : 1;
          KvBatch batch;
          batch.put(kFamily, "n", std::to_string(next));
          // Keys of others too, in opposite orders: no two swaps may wait for each other.
          batch.put(kFamily, t % 2 ? "x" : "y", "v");
          batch.put(kFamily, t % 2 ? "y" : "x", "v");
          const Status s =
              kv.compare_and_swap(kFamily, "n", expected, batch, KvDurability::kBuffered);
          if (s.ok()) i++;
          if (!s.ok() && s.code() != Code::kConflict) failures++, i++;
        }
      });
    }
  }
  CHECK(failures == 0);
  CHECK(kv.get(kFamily, "n")->value == std::to_string(kThreads * kEach));
}

TEST_CASE("kv: every limit has its error, and names it", "[contract][kv]") {
  Engine engine(engine_name());
  KvStore& kv = *engine.store;
  const std::string longest(kKvKeyMaxBytes, 'k');
  CHECK(write_one(kv, longest, {"v", {}, 0}).ok());
  const Status too_long = write_one(kv, longest + "k", {"v", {}, 0});
  CHECK(too_long.code() == Code::kInvalid);
  CHECK(too_long.message().find("512") != std::string::npos);
  for (const char* key : {"", ".", ".."}) {
    CHECK(write_one(kv, key, {"v", {}, 0}).code() == Code::kInvalid);
    CHECK(kv.get(kFamily, key).code() == Code::kInvalid);
    CHECK(kv.compare_and_swap(kFamily, key, std::nullopt, {}, KvDurability::kBuffered).code() ==
          Code::kInvalid);
  }
  CHECK(write_one(kv, "k", {std::string(kKvValueMaxBytes + 1, 'v'), {}, 0}).code() ==
        Code::kTooLarge);
  const std::string metadata = "\"" + std::string(kKvMetadataMaxBytes - 2, 'm') + "\"";
  CHECK(write_one(kv, "k", {"v", metadata, 0}).ok());
  CHECK(write_one(kv, "k", {"v", metadata + " ", 0}).code() == Code::kTooLarge);
  CHECK(write_one(kv, "k", {"v", "{", 0}).code() == Code::kInvalid);
  CHECK(write_one(kv, "k", {"v", {}, -1}).code() == Code::kInvalid);
  CHECK(kv.scan(kFamily, "", "", 0).code() == Code::kInvalid);
  CHECK(kv.scan(kFamily, "", "", kKvScanMax + 1).code() == Code::kInvalid);
  CHECK(kv.scan(kFamily, longest + "k", "", 1).code() == Code::kInvalid);
  KvBatch batch;
  for (size_t i = 0; i <= kKvBatchMax; ++i) batch.remove(kFamily, "k");
  CHECK(kv.write(batch, KvDurability::kBuffered).code() == Code::kTooLarge);
}

TEST_CASE("kv: a checkpoint goes into a new directory only", "[contract][kv]") {
  Engine engine(engine_name());
  put(*engine.store, "k", "v");
  CHECK(engine.store->checkpoint(engine.dir.file("copy")).ok());
  CHECK(engine.store->checkpoint(engine.dir.file("copy")).code() == Code::kConflict);
}

TEST_CASE("kv: family names are read back as they are written", "[unit][kv]") {
  for (size_t i = 0; i < kKvFamilyCount; ++i) {
    const auto family = static_cast<KvFamily>(i);
    CHECK(*parse_kv_family(kv_family_name(family)) == family);
  }
  CHECK(parse_kv_family("nothing").code() == Code::kInvalid);
}
