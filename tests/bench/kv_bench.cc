// Point reads of 1,000,000 keys with 300-byte values from the store, beside SQLite's point SELECT
// on the same disk and a map in memory, which is the bound. Rows: name | value | peer | ratio.
#include <sqlite3.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "kv/kv.h"
#include "support/temp_dir.h"

namespace kvcs {
namespace {

constexpr int kKeys = 1'000'000;
constexpr int kReads = 200'000;
constexpr int kWrites = 50'000;
constexpr int kSyncedWrites = 300;
constexpr size_t kValueBytes = 300;

std::string key_of(uint64_t i) {
  char text[40];
  std::snprintf(text, sizeof text, "apikey:%016llx",
                static_cast<unsigned long long>(i * 2654435761u));
  return text;
}

void must(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "kv_bench: %s failed\n", what);
  std::exit(1);
}

struct Percentiles {
  double p50_us, p99_us;
};
Percentiles measure(int rounds, const std::function<void(int)>& act) {
  std::vector<double> us;
  us.reserve(static_cast<size_t>(rounds));
  timespec a, b;
  for (int i = 0; i < rounds; ++i) {
    ::clock_gettime(CLOCK_MONOTONIC, &a);
    act(i);
    ::clock_gettime(CLOCK_MONOTONIC, &b);
    us.push_back(static_cast<double>(b.tv_sec - a.tv_sec) * 1e6 +
                 static_cast<double>(b.tv_nsec - a.tv_nsec) / 1e3);
  }
  std::sort(us.begin(), us.end());
  return {us[us.size() / 2], us[us.size() * 99 / 100]};
}

void row(const char* name, double value, double peer, const char* peer_name) {
  std::printf("%-28s | %9.2f us | %9.2f us %-14s | %.2f\n", name, value, peer, peer_name,
              peer > 0 ? value / peer : 0);
}

class SqliteTable final {
 public:
  explicit SqliteTable(const std::string& path) {
    must(sqlite3_open(path.c_str(), &db_) == SQLITE_OK, "sqlite open");
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;"
        "PRAGMA mmap_size=1073741824; CREATE TABLE kv (k TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID");
    prepare("SELECT v FROM kv WHERE k = ?", &get_);
    prepare("INSERT OR REPLACE INTO kv VALUES (?, ?)", &put_);
  }
  ~SqliteTable() {
    sqlite3_finalize(get_);
    sqlite3_finalize(put_);
    sqlite3_close(db_);
  }
  void run(const char* sql) {
    must(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sql);
  }
  void put(const std::string& key, const std::string& value) {
    bind(put_, 1, key);
    bind(put_, 2, value);
    must(sqlite3_step(put_) == SQLITE_DONE, "sqlite insert");
    sqlite3_reset(put_);
  }
  std::string get(const std::string& key) {
    bind(get_, 1, key);
    must(sqlite3_step(get_) == SQLITE_ROW, "sqlite select");
    std::string value(static_cast<const char*>(sqlite3_column_blob(get_, 0)),
                      static_cast<size_t>(sqlite3_column_bytes(get_, 0)));
    sqlite3_reset(get_);
    return value;
  }

 private:
  void prepare(const char* sql, sqlite3_stmt** out) {
    must(sqlite3_prepare_v2(db_, sql, -1, out, nullptr) == SQLITE_OK, sql);
  }
  static void bind(sqlite3_stmt* statement, int at, const std::string& text) {
    sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  }
  sqlite3* db_ = nullptr;
  sqlite3_stmt* get_ = nullptr;
  sqlite3_stmt* put_ = nullptr;
};

void bench_open(const std::string& path, const Clock& clock) {
  constexpr int kOpens = 9;
  int made = 0;
  const auto fresh = measure(kOpens, [&](int i) {
    auto kv = open_rocks_kv({.path = path + std::to_string(i)}, clock);
    made += kv.ok();
  });
  must(made == kOpens, "open");
  row("kv open of empty, p50", fresh.p50_us, 100'000, "limit");
}

std::unique_ptr<KvStore> fill(const std::string& path, const Clock& clock) {
  const auto entropy = make_seeded_entropy(1);
  auto opened = open_rocks_kv({.path = path}, clock);
  must(opened.ok(), "open");
  auto kv = std::move(opened).value();
  for (int i = 0; i < kKeys;) {
    KvBatch batch;
    for (int n = 0; n < 1'000; ++n, ++i) {
      batch.put(KvFamily::kAuth, key_of(static_cast<uint64_t>(i)), entropy->bytes(kValueBytes));
    }
    must(kv->write(batch, KvDurability::kBuffered).ok(), "write");
  }
  return kv;
}

void run() {
  const test::TempDir dir;
  const auto clock = make_system_clock();
  const auto entropy = make_seeded_entropy(2);
  bench_open(dir.file("open"), *clock);

  const auto kv = fill(dir.file("kv"), *clock);
  SqliteTable sqlite(dir.file("kv.db"));
  std::unordered_map<std::string, std::string> map;
  sqlite.run("BEGIN");
  for (uint64_t i = 0; i < kKeys; ++i) {
    std::string value = entropy->bytes(kValueBytes);
    sqlite.put(key_of(i), value);
    map.emplace(key_of(i), std::move(value));
  }
  sqlite.run("COMMIT");

  std::vector<std::string> keys;
  for (int i = 0; i < kReads; ++i) keys.push_back(key_of(entropy->u64() % kKeys));
  size_t found = 0;
  const auto key = [&](int i, uint64_t span) -> const std::string& {
    return keys[static_cast<size_t>(i) % span];
  };
  for (const auto& [name50, name99, span] :
       {std::tuple("kv get of 1M, p50", "kv get of 1M, p99", uint64_t{kReads}),
        std::tuple("kv get of 1,000 hot, p50", "kv get of 1,000 hot, p99", uint64_t{1'000})}) {
    const auto ours = measure(
        kReads, [&](int i) { found += kv->get(KvFamily::kAuth, key(i, span))->value.size(); });
    const auto peer = measure(kReads, [&](int i) { found += sqlite.get(key(i, span)).size(); });
    const auto bound = measure(
        kReads, [&](int i) { found += std::string(map.find(key(i, span))->second).size(); });
    row(name50, ours.p50_us, peer.p50_us, "sqlite select");
    row(name99, ours.p99_us, peer.p99_us, "sqlite select");
    row(name50, ours.p50_us, bound.p50_us, "map in memory");
  }
  must(found == size_t{6} * kReads * kValueBytes, "read back");

  const std::string value = entropy->bytes(kValueBytes);
  for (const auto durability : {KvDurability::kBuffered, KvDurability::kSynced}) {
    const bool synced = durability == KvDurability::kSynced;
    sqlite.run(synced ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    const int rounds = synced ? kSyncedWrites : kWrites;
    const auto ours = measure(rounds, [&](int i) {
      KvBatch batch;
      batch.put(KvFamily::kAuth, key(i, kReads), value);
      must(kv->write(batch, durability).ok(), "write");
    });
    const auto peer = measure(rounds, [&](int i) { sqlite.put(key(i, kReads), value); });
    row(synced ? "kv put synced, p50" : "kv put buffered, p50", ours.p50_us, peer.p50_us,
        "sqlite insert");
    row(synced ? "kv put synced, p99" : "kv put buffered, p99", ours.p99_us, peer.p99_us,
        "sqlite insert");
  }
}

}  // namespace
}  // namespace kvcs

int main() {
  kvcs::run();
}
