// Goal: RocksDB keeps KvStore's promises of durability when the power goes: a synced write is there
// when the call returns, a buffered one after sync(), and what is there is whole batches in their
// order. Method: the real engine on a disk that forgets what was not synced.
#include <catch2/catch.hpp>

#include "kv/kv.h"
#include "kv/rocks_kv.h"
#include "support/cut_folder.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

KvBatch pair(int number) {
  KvBatch batch;
  batch.put(KvFamily::kConfig, "a" + std::to_string(number), "1");
  batch.put(KvFamily::kQuota, "b" + std::to_string(number), "2");
  return batch;
}

std::unique_ptr<KvStore> open_in(const std::string& folder, const Clock& clock) {
  Result<std::unique_ptr<KvStore>> store = open_rocks_kv({.path = folder + "/kv"}, clock);
  INFO(store.status().to_string());
  REQUIRE(store.ok());
  return std::move(store).value();
}

// How many of the batches are there; all before the last one are, and none in part.
int count_pairs(const KvStore& kv, int written) {
  int found = 0;
  for (int i = 0; i < written; i++) {
    const bool a = kv.get(KvFamily::kConfig, "a" + std::to_string(i)).ok();
    const bool b = kv.get(KvFamily::kQuota, "b" + std::to_string(i)).ok();
    CHECK(a == b);
    CHECK((!a || found == i));
    found += a ? 1 : 0;
  }
  return found;
}

}  // namespace

TEST_CASE("rocks kv: a power cut leaves synced writes, of buffered ones a beginning",
          "[fault][power][kv]") {
  ManualClock clock;
  CutFolder folder;
  const std::unique_ptr<KvStore> kv = open_in(folder.path(), clock);
  const auto check = [&](int synced, int written) {
    for (const std::string& copy : folder.cut_each_way()) {
      const int found = count_pairs(*open_in(copy, clock), written);
      CHECK(found >= synced);
      CHECK(found <= written);
    }
  };
  int written = 0;
  REQUIRE(kv->write(pair(written++), KvDurability::kSynced).ok());
  check(1, 1);
  for (int i = 0; i < 3; i++) REQUIRE(kv->write(pair(written++), KvDurability::kBuffered).ok());
  CHECK(count_pairs(*open_in(folder.cut(cut_fates()[0]), clock), written) == 1);
  check(1, written);
  REQUIRE(kv->sync().ok());
  check(written, written);
  REQUIRE(kv->write(pair(written++), KvDurability::kBuffered).ok());
  // A later synced write takes earlier ones along.
  REQUIRE(kv->compare_and_swap(KvFamily::kConfig, "c", std::nullopt, pair(written++),
                               KvDurability::kSynced)
              .ok());
  check(written, written);
}

TEST_CASE("rocks kv: a power cut at any sync of flushes and compactions loses nothing synced",
          "[fault][power][kv]") {
  ManualClock clock;
  CutFolder folder;
  std::vector<std::pair<std::string, int>> copies;
  std::atomic<int> synced = 0;
  int written = 0;
  {
    const std::unique_ptr<KvStore> kv = open_in(folder.path(), clock);
    folder.disk().on_sync([&](uint64_t sync) {
      const int promised = synced;
      if (copies.size() < 12) {
        copies.emplace_back(folder.cut(cut_fates()[sync % cut_fates().size()]), promised);
      }
    });
    for (int round = 0; round < 3; round++) {
      for (int i = 0; i < 20; i++)
        REQUIRE(kv->write(pair(written++), KvDurability::kBuffered).ok());
      REQUIRE(kv->sync().ok());
      synced = written;
      if (round > 0) REQUIRE(compact_rocks_kv(*kv).ok());
    }
    folder.disk().on_sync(nullptr);
  }
  REQUIRE(copies.size() > 6);
  for (const auto& [copy, promised] : copies) {
    CHECK(count_pairs(*open_in(copy, clock), written) >= promised);
  }
}
