// Goal: a start sees that the key-value store has lost charges, or the ledger rows of them, and a
// repair makes good what can be; what an import or an older program has left is no loss. Method: a
// daemon with a provider, and changes to its stores while it is stopped, as a loss would make them.
#include "app/usage_sums.h"

#include <filesystem>

#include "db/db.h"
#include "kv/keyspace.h"
#include "kv/outbox.h"
#include "ledger/rows.h"
#include "ledger/schema.h"
#include "support/ai_house.h"
#include "support/daemon.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const Clock& system_clock() {
  static const std::unique_ptr<Clock> clock = make_system_clock();
  return *clock;
}

template <typename Work>
void with_kv(const std::string& data_dir, const Work& work) {
  KvConfig config;
  config.path = data_dir + "/kv";
  auto kv = open_rocks_kv(config, system_clock());
  REQUIRE(kv.ok());
  work(**kv);
}

void run_sql(const std::string& data_dir, const std::string& sql) {
  const auto db = open_sqlite(data_dir + "/sql/ledger.db");
  REQUIRE(db.ok());
  REQUIRE((*db)->execute(sql).ok());
}

Status start(const std::string& data_dir) {
  log::set_level(log::Level::kError);
  return App::create(TestApp::quiet_config(data_dir)).status();
}

int repair(const std::string& data_dir, const std::string& accept = "generation") {
  const std::string line = kvcs_binary() + " repair --data-dir " + data_dir + " --accept " +
                           accept + " --yes > " + data_dir + ".told 2>&1";
  return std::system(line.c_str());
}

// A house with three chats, stopped, and the key of its organization's counter.
struct Spent {
  AiHouse house;
  std::string dir = house.app.data_dir();
  std::string counter = keyspace::quota("org", house.org, format_month(system_clock().unix_ms()));

  Spent() {
    for (int i = 0; i < 3; i++) REQUIRE(house.chat().status == 200);
    REQUIRE(has(house.usage(), "\"request_count\":3"));
    house.app.stop();
  }
  std::string value() const {
    std::string text;
    with_kv(dir, [&](KvStore& kv) { text = kv.get(KvFamily::kQuota, counter)->value; });
    return text;
  }
  void put(const std::string& value) const {
    with_kv(dir, [&](KvStore& kv) {
      KvBatch batch;
      batch.put(KvFamily::kQuota, counter, value);
      REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
    });
  }
};

}  // namespace

TEST_CASE("usage sums: counters and rows agree after every start", "[unit][app][ai]") {
  Spent spent;
  CHECK(has(spent.value(), "\"rows\":3,"));
  REQUIRE(start(spent.dir).ok());
  spent.house.app.restart();
  REQUIRE(spent.house.chat().status == 200);
  REQUIRE(spent.house
              .admin("POST", "/admin/users/" + spent.house.user + "/reset-quota",
                     R"({"reset_reason":"test","scope":"user_and_org"})")
              .status == 200);
  REQUIRE(spent.house.chat().status == 200);
  spent.house.app.stop();
  CHECK(has(spent.value(), "\"rows\":6,"));
  CHECK(start(spent.dir).ok());
}

TEST_CASE("usage sums: a store that has counted fewer rows than there are has lost charges",
          "[unit][app][ai]") {
  Spent spent;
  const std::string before = spent.value();
  spent.house.app.restart();
  for (int i = 0; i < 2; i++) REQUIRE(spent.house.chat().status == 200);
  REQUIRE(has(spent.house.usage(), "\"request_count\":5"));
  spent.house.app.stop();
  spent.put(before);
  const Status refused = start(spent.dir);
  INFO(refused.to_string());
  CHECK(refused.code() == Code::kConflict);
  CHECK(has(refused.message(), spent.dir + "/kv has lost charges"));
  CHECK(has(refused.message(), "the key-value store has counted 3 rows of $"));
  CHECK(has(refused.message(), "and ledger.db and the outbox have 5 rows of $"));
  CHECK(has(refused.message(), "--accept generation"));
  REQUIRE(repair(spent.dir) == 0);
  CHECK(has(spent.value(), "\"request_count\":5"));
  spent.house.app.restart();
  CHECK(has(spent.house.usage(), "\"request_count\":5"));
}

TEST_CASE("usage sums: a ledger that has fewer rows than were counted has lost them",
          "[unit][app][ai]") {
  Spent spent;
  run_sql(spent.dir,
          "DELETE FROM usage WHERE seq = (SELECT MAX(seq) FROM usage);"
          "UPDATE usage_sum SET row_count = row_count - 1");
  const Status refused = start(spent.dir);
  INFO(refused.to_string());
  CHECK(has(refused.message(), "ledger.db has lost rows of usage"));
  CHECK(has(refused.message(), "has counted 3 rows"));
  CHECK(has(refused.message(), "the outbox have 2 rows"));
  REQUIRE(repair(spent.dir) == 0);
  CHECK(start(spent.dir).ok());
  SECTION("all of them") {
    run_sql(spent.dir, "DELETE FROM usage_sum");
    CHECK(start(spent.dir).ok());  // The repair has made the counter forget its rows.
  }
}

// Whatever has become of a directory with usage, the way that the refusal names ends with one that
// starts, or says which way is next.
TEST_CASE("usage sums: each way of a repair ends with a directory that starts", "[unit][app][ai]") {
  Spent spent;
  namespace fs = std::filesystem;
  const std::vector<std::vector<std::string>> accidents = {
      {"/sql/ledger.db"}, {"/sql/portal.db"},
      {"/sql"},           {"/charges.journal"},
      {"/store.json"},    {"/kv"},
      {"/kv", "/sql"},    {"/store.json", "/sql/ledger.db"}};
  for (const auto& accident : accidents) {
    INFO(accident.front() << " of " << accident.size());
    const TempDir places;
    const std::string dir = places.file("data");
    fs::copy(spent.dir, dir, fs::copy_options::recursive);
    for (const std::string& name : accident) {
      fs::remove_all(dir + name);
      for (const char* end : {"-wal", "-shm"}) fs::remove(dir + name + end);
    }
    Status started = start(dir);
    for (int tries = 0; tries < 3 && !started.ok(); tries++) {
      INFO(started.message());
      const size_t at = started.message().find("--accept ");
      REQUIRE(at != std::string::npos);
      const std::string rest = started.message().substr(at + 9);
      REQUIRE(repair(dir, rest.substr(0, rest.find_first_of(" ,."))) == 0);
      const std::string told = read_small_file(dir + ".told", 1 << 16).value_or("");
      started = start(dir);
      INFO(told << started.message());
      if (has(told, "the daemon can start")) REQUIRE(started.ok());
    }
    CHECK(started.ok());
    CHECK(start(dir).ok());
  }
}

TEST_CASE("usage sums: a counter of an older program, by hand or imported is no finding",
          "[unit][app][ai]") {
  Spent spent;
  const std::string with_rows = spent.value();
  spent.put(R"({"used_nano_usd":1,"request_count":1,"error_count":0})");
  REQUIRE(start(spent.dir).ok());
  // The rows that it is said to have are another ledger's.
  spent.house.app.restart();
  const std::string key = "/admin/kv/quota/values/" + spent.counter;
  REQUIRE(spent.house.admin("PUT", key, with_rows).status == 204);
  CHECK_FALSE(has(spent.house.admin("GET", key).body, "\\\"rows"));
  REQUIRE(spent.house.chat().status == 200);
  spent.house.app.stop();
  CHECK(start(spent.dir).ok());
}

// Says how long the comparison takes beside a million counters of keys: kvcs_tests "[start-cost]".
TEST_CASE("usage sums: the cost of the comparison at a start", "[.][start-cost]") {
  const TempDir dir;
  KvConfig config;
  config.path = dir.file("kv");
  const std::unique_ptr<KvStore> kv = open_rocks_kv(config, system_clock()).value();
  const auto ledger = open_sqlite(dir.file("ledger.db")).value();
  REQUIRE(migrate(*ledger, ledger_migrations()).ok());
  const int64_t now_ms = system_clock().unix_ms();
  const std::string month = format_month(now_ms);
  const std::string value = R"({"used_nano_usd":5,"request_count":1,"error_count":0,"rows":1,)"
                            R"("rows_nano_usd":5})";
  constexpr int kKeys = 1'000'000, kOrganizations = 1000, kBatch = 10'000;
  for (int i = 0; i < kKeys; i += kBatch) {
    KvBatch batch;
    for (int k = i; k < i + kBatch; k++) {
      batch.put(KvFamily::kQuota, keyspace::quota("key", std::to_string(k), month), value);
    }
    REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
  }
  KvBatch batch;
  std::vector<OutboxRecord> rows;
  for (int i = 0; i < kOrganizations; i++) {
    const std::string id = "org" + std::to_string(i);
    batch.put(KvFamily::kQuota, keyspace::quota("org", id, month), value);
    UsageRecord row{.request_id = id, .ts_ms = now_ms, .organization_id = id, .user_id = "u"};
    row.cost_nano_usd = 5;
    row.period = month;
    rows.push_back({id, now_ms, "usage", usage_json(row)});
  }
  REQUIRE(kv->write(batch, KvDurability::kSynced).ok());
  REQUIRE(usage_sink(*ledger, rows).ok());
  const int64_t begun_us = system_clock().mono_us();
  const auto found = find_usage_mismatch(*kv, *ledger, now_ms);
  const int64_t took_us = system_clock().mono_us() - begun_us;
  REQUIRE(found.ok());
  CHECK_FALSE(*found);
  WARN("compared " << kOrganizations << " organizations beside " << kKeys << " keys in " << took_us
                   << " us");
}
