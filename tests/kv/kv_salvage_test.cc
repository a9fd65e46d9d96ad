// Goal: damage in a table is found, told, and of the store all is kept that can be read: no key
// outside of the damaged block is lost, and none that was removed comes back. Method: real stores
// on disk, one byte changed.
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/clock.h"
#include "base/damage.h"
#include "kv/kv_repair.h"
#include "kv/rocks_kv.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;
constexpr int kKeys = 4000;

std::string name_of(int i) {
  std::string digits = std::to_string(i);
  return "key:" + std::string(6 - digits.size(), '0') + digits;
}

// Text that no compression makes small.
std::string noise(std::mt19937& random) {
  std::string text(200, ' ');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

struct Store {
  TempDir dir;
  const std::string path = dir.file("kv"), copy = dir.file("copy");
  const std::unique_ptr<Clock> clock = make_system_clock();
  std::mt19937 random{7};

  std::unique_ptr<KvStore> open(const std::string& at) {
    KvConfig config;
    config.path = at;
    config.free_reserve_bytes = 0;
    auto kv = open_rocks_kv(config, *clock);
    INFO(kv.status().to_string());
    REQUIRE(kv.ok());
    return std::move(kv).value();
  }
  // Every key gets a value that begins so.
  void put_all(KvStore& kv, const std::string& begin) {
    KvBatch batch;
    for (int i = 0; i < kKeys; i++) {
      batch.put(KvFamily::kConfig, name_of(i), begin + noise(random));
    }
    REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  }
  void remove_some(KvStore& kv) {
    KvBatch batch;
    for (int i = 0; i < kKeys; i += 10) batch.remove(KvFamily::kConfig, name_of(i));
    REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  }
  std::string newest_table(const std::string& at) const {
    std::string newest;
    for (const auto& entry : fs::directory_iterator(at)) {
      const bool large = entry.path().extension() == ".sst" && entry.file_size() > 100'000;
      if (large && entry.path().string() > newest) newest = entry.path().string();
    }
    REQUIRE(newest != "");
    return newest;
  }
  void flip(const std::string& file, double where) const {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(static_cast<std::streamoff>(where * static_cast<double>(fs::file_size(file))));
    const std::streampos at = bytes.tellg();
    const char old = static_cast<char>(bytes.get());
    bytes.seekp(at);
    bytes.put(static_cast<char>(old ^ 0x10));
  }
};

// How many keys have a value that begins so.
int count_of(const KvStore& kv, const std::string& begin) {
  int count = 0;
  const Status read = kv_for_each(kv, KvFamily::kConfig, "", [&](const KvItem& item) {
    count += item.entry.value.starts_with(begin) ? 1 : 0;
    return ok();
  });
  INFO(read.to_string());
  CHECK(read.ok());
  return count;
}

}  // namespace

TEST_CASE("salvage: the check of tables names one that is damaged, and reads tell it",
          "[fault][kv]") {
  Store store;
  const auto never = [] { return false; };
  {
    const auto kv = store.open(store.path);
    store.put_all(*kv, "1");
    REQUIRE(compact_rocks_kv(*kv).ok());
    const auto check = check_rocks_files(*kv, never);
    REQUIRE(check.ok());
    CHECK(check->files > 0);
    CHECK(check->bytes > 100'000);
    CHECK(check->damaged.empty());
    CHECK_FALSE(check_rocks_files(*kv, [] { return true; })->whole);
  }
  const std::string table = store.newest_table(store.path);
  store.flip(table, 0.5);
  const auto kv = store.open(store.path);
  const auto check = check_rocks_files(*kv, never);
  REQUIRE(check.ok());
  REQUIRE(check->damaged.size() == 1);
  CHECK(check->damaged[0].find(table) != std::string::npos);
  StoreDamage& damage = damage_of_rocks(*kv);
  CHECK(damage.met() == 1);
  int failed = 0;
  for (int i = 0; i < kKeys; i++) {
    const auto found = kv->get(KvFamily::kConfig, name_of(i));
    if (found.ok()) continue;
    failed++;
    CHECK(found.status().reason() == kKvDamaged);
    CHECK(found.code() == Code::kInternal);
  }
  CHECK(failed > 0);
  CHECK(failed < 100);
  CHECK(damage.met() == 1 + static_cast<uint64_t>(failed));
  CHECK(damage.status().message().find(table) != std::string::npos);
  CHECK(damage.take_news().has_value());
  CHECK_FALSE(damage.take_news().has_value());
  CHECK(check_rocks_files(*make_memory_kv(*store.clock), never).code() == Code::kInvalid);
}

TEST_CASE("salvage: all but the damaged block is kept, and nothing removed comes back",
          "[fault][kv]") {
  const double where = GENERATE(0.001, 0.3, 0.7, 0.95);
  Store store;
  {
    const auto kv = store.open(store.path);
    store.put_all(*kv, "1");
    store.remove_some(*kv);
    REQUIRE(compact_rocks_kv(*kv).ok());
  }
  store.flip(store.newest_table(store.path), where);
  const auto salvage = salvage_kv(store.path, store.copy, *store.clock);
  INFO(where << ": " << salvage.status().to_string());
  REQUIRE(salvage.ok());
  CHECK(salvage->is_readable);
  CHECK(salvage->damaged.size() == 1);
  CHECK(salvage->lost_stretches == 1);
  const auto copy = store.open(store.copy);
  const int kept = count_of(*copy, "1"), all = kKeys - kKeys / 10;
  CHECK(kept < all);
  CHECK(kept > all - 100);
  CHECK(static_cast<uint64_t>(kept) == salvage->kept_keys);
  for (int i = 0; i < kKeys; i += 10) {
    CHECK(copy->get(KvFamily::kConfig, name_of(i)).code() == Code::kNotFound);
  }
}

TEST_CASE("salvage: where another table has an older value, that is kept", "[fault][kv]") {
  Store store;
  {
    const auto kv = store.open(store.path);
    store.put_all(*kv, "1");
    REQUIRE(compact_rocks_kv(*kv).ok());
    store.put_all(*kv, "2");
  }
  (void)store.open(store.path);  // Brings the log into a table.
  store.flip(store.newest_table(store.path), 0.5);
  const auto salvage = salvage_kv(store.path, store.copy, *store.clock);
  REQUIRE(salvage.ok());
  const auto copy = store.open(store.copy);
  const int old = count_of(*copy, "1");
  CHECK(old > 0);
  CHECK(old < 100);
  CHECK(count_of(*copy, "2") == kKeys - old);
}

TEST_CASE("salvage: without the list of files every table that is whole is kept", "[fault][kv]") {
  Store store;
  {
    const auto kv = store.open(store.path);
    store.put_all(*kv, "1");
    REQUIRE(compact_rocks_kv(*kv).ok());
  }
  fs::remove(store.path + "/CURRENT");
  const auto salvage = salvage_kv(store.path, store.copy, *store.clock);
  INFO(salvage.status().to_string());
  REQUIRE(salvage.ok());
  CHECK_FALSE(salvage->is_readable);
  CHECK(salvage->damaged.size() == 1);
  CHECK(count_of(*store.open(store.copy), "1") == kKeys);
}
