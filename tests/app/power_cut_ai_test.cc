// Goal: what ARCHITECTURE.md promises about money holds when the power goes: of counters and
// charges the last 50 ms at most are lost, of what open requests hold the last second, nothing is
// charged twice, and counters equal the rows of the ledger to the nano-dollar. Method: as in
// app/power_cut_test.cc.
#include <cmath>
#include <set>

#include "ai/budget/budget.h"
#include "ai/budget/budget_ledger.h"
#include "ai/budget/charge_journal.h"
#include "app/parts.h"
#include "app/wal_syncer.h"
#include "kv/keyspace.h"
#include "support/ai_house.h"
#include "support/cut_folder.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int64_t kChatNanoUsd = 45'000;  // What each answer of the provider costs.

std::string member(const std::string& text, const std::string& name, size_t from = 0) {
  const std::string mark = "\"" + name + "\":";
  const size_t at = text.find(mark, from);
  if (at == text.npos) return "";
  const size_t begin = at + mark.size();
  return text.substr(begin, text.find_first_of(",}", begin) - begin);
}

int64_t nano_usd(const std::string& usd) {
  return usd.empty() ? -1 : std::llround(std::stod(usd) * 1e9);
}

// An App that began on a copy, and what it says of the user of the first life.
struct SecondLife {
  SecondLife(const std::string& folder, std::string of_user, const Clock* clock = nullptr)
      : app([folder](Config& config) { config.data_dir = folder + "/data"; },
            AppOptions{.clock = clock}),
        user(std::move(of_user)) {}

  int64_t requests() const { return std::stoll(member(usage(), "request_count")); }
  int64_t counted() const { return nano_usd(member(usage(), "current_usage_usd")); }
  std::string usage() const { return app.as_owner("GET", "/admin/users/" + user + "/usage").body; }
  std::string rows() const { return app.as_owner("GET", "/admin/usage/requests?limit=1000").body; }
  // The sum of the rows, each of another request.
  int64_t charged() const {
    const std::string all = rows();
    std::set<std::string> ids;
    int64_t sum = 0;
    for (size_t at = all.find("{\"request_id\""); at != all.npos;
         at = all.find("{\"request_id\"", at + 1)) {
      CHECK(ids.insert(member(all, "request_id", at)).second);
      sum += nano_usd(member(all, "cost_usd", at));
    }
    return sum;
  }
  bool has_dead_records() const {
    return !has(app.as_owner("GET", "/admin/outbox-dead").body, "\"outbox_dead\":[]");
  }

  TestApp app;
  std::string user;
};

struct Money {
  explicit Money(const std::function<void(Config&)>& edit = CutFolder::never_sync_by_timer,
                 const Clock* clock = nullptr)
      : house(
            [&](Config& config) {
              config.data_dir = folder.data_dir();
              edit(config);
            },
            options(clock)) {}
  AppOptions options(const Clock* clock) {
    AppOptions made;
    made.clock = clock;
    made.kv_faults = [this](std::string_view op, std::string_view) {
      const bool writes = op == "write" || op == "cas";
      return writes && no_writes ? unavailable("The store takes no writes.") : ok();
    };
    return made;
  }
  // What the journal holds after a cut, in the worst case.
  ai::ChargeJournal::Left journal() {
    const std::string copy = folder.cut(cut_fates()[0]);
    ai::ChargeJournal::Left left = ai::ChargeJournal::read(copy + "/data/charges.journal").value();
    std::filesystem::remove_all(copy);  // Asked for again and again.
    return left;
  }
  ai::Budgets& budgets() { return *house.app.parts().ai.budgets; }

  std::atomic<bool> no_writes = false;
  CutFolder folder;
  AiHouse house;
};

}  // namespace

TEST_CASE("power cut: counters are on disk with the next sync, which comes within 50 ms",
          "[fault][power][ai]") {
  CHECK(Config().kv_sync_interval_ms <= 40);  // A group of charges waits 10 ms before.
  Money money([](Config&) {});
  REQUIRE(money.house.chat().status == 200);
  REQUIRE(comes_true([&] { return money.budgets().stats().unwritten_settlements == 0; }));
  // A sync that was under way then may have missed it, the one after it has not.
  Parts& parts = money.house.app.parts();
  for (int i = 0; i < 2; i++) {
    const uint64_t before = parts.syncer->syncs();
    KvBatch any;
    any.put(KvFamily::kSystem, "any", "1");
    REQUIRE(parts.kv->write(any, KvDurability::kBuffered).ok());
    REQUIRE(comes_true([&] { return parts.syncer->syncs() > before; }));
  }
  for (const std::string& copy : money.folder.cut_each_way()) {
    const SecondLife life(copy, money.house.user);
    CHECK(life.requests() == 1);
    CHECK(life.counted() == kChatNanoUsd);
    CHECK(life.charged() == kChatNanoUsd);
  }
}

TEST_CASE("power cut: what an open request holds is on disk within a second, and its input charged",
          "[fault][power][ai]") {
  Money money;
  // The first chunk arrives, and then nothing more.
  money.house.provider.set([](LoopbackPeer& peer) {
    FakeProvider::begin_stream(peer);
    peer.send_chunk(chunk("Hello"));
    return !peer.wait_closed();
  });
  RawClient stream(money.house.app.port());
  stream.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\napi-key: " + money.house.key +
              "\r\nContent-Length: " + std::to_string(kHelloStream.size()) + "\r\n\r\n" +
              kHelloStream);
  std::string got;
  while (!has(got, "Hello")) {
    const std::string more = stream.read_some();
    REQUIRE_FALSE(more.empty());
    got += more;
  }
  REQUIRE(comes_true([&] { return money.journal().all.size() == 1; }));
  for (const CutFate& fate : cut_fates()) {
    INFO(fate.name());
    const std::string copy = money.folder.cut(fate);
    int64_t charged = 0;
    for (int start = 0; start < 2; start++) {
      const SecondLife life(copy, money.house.user);
      const std::string rows = life.rows();
      INFO(rows);
      CHECK(has(rows, "\"recovered\":true"));
      CHECK(life.requests() == 1);
      CHECK(life.counted() > 0);
      CHECK(life.charged() == life.counted());
      if (start == 1) CHECK(life.counted() == charged);
      charged = life.counted();
    }
  }
}

TEST_CASE("power cut: while KV takes no writes the charge is on disk at once, and charged once",
          "[fault][power][ai]") {
  Money money;
  money.house.provider.set([&](LoopbackPeer& peer) {
    // Its reservation is on disk then, and only a sync of the charge itself can bring that there.
    const bool held = comes_true([&] { return money.journal().all.size() == 1; });
    money.no_writes = true;
    return held && peer.answer("{\"choices\":[]," + kUsage + "}");
  });
  const RawResponse answer = money.house.chat();
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  const auto has_charge = [&] {
    const ai::ChargeJournal::Left left = money.journal();
    return left.all.size() == 1 && !left.all[0].charge_json.empty();
  };
  REQUIRE(comes_true(has_charge));
  std::vector<std::string> copies = money.folder.cut_each_way();
  // Later, with the journal as it was on disk then: its slot is free, and no sync has said so.
  const auto later = [&] {
    std::vector<std::string> made = money.folder.cut_each_way();
    for (const std::string& copy : made) {
      std::filesystem::copy_file(copies[0] + "/data/charges.journal",
                                 copy + "/data/charges.journal",
                                 std::filesystem::copy_options::overwrite_existing);
    }
    return made;
  };
  SECTION("the store was away to the end") {}
  SECTION("the store has taken it, the journal on disk holds it still") {
    money.no_writes = false;
    REQUIRE(money.budgets().reconcile().ok());
    REQUIRE(money.house.app.parts().kv->sync().ok());
    copies = later();
  }
  SECTION("the ledger has its row, the journal on disk holds it still") {
    money.no_writes = false;
    REQUIRE(money.house.app.parts().ledger->drain().ok());
    copies = later();
  }
  for (const std::string& copy : copies) {
    for (int start = 0; start < 2; start++) {
      const SecondLife life(copy, money.house.user);
      CHECK(life.requests() == 1);
      CHECK(life.counted() == kChatNanoUsd);
      CHECK(life.charged() == kChatNanoUsd);
      CHECK_FALSE(has(life.rows(), "\"recovered\":true"));
    }
  }
}

TEST_CASE("power cut: the journal that a later start begins has its name and size on disk",
          "[fault][power][ai]") {
  Money money;
  money.house.app.restart();
  money.house.provider.set([&](LoopbackPeer& peer) {
    money.no_writes = true;
    return peer.answer("{\"choices\":[]," + kUsage + "}");
  });
  REQUIRE(money.house.chat().status == 200);
  CHECK(comes_true([&] { return money.journal().all.size() == 1; }));
  money.no_writes = false;
}

TEST_CASE("power cut: at any sync between reservation and ledger nothing is charged twice",
          "[fault][power][ai]") {
  Money money([](Config&) {});
  std::vector<std::string> copies;
  int answered_when_synced = 0, answered = 0;
  money.folder.disk().on_sync([&](uint64_t sync) {
    if (copies.size() < 16) {
      copies.push_back(money.folder.cut(cut_fates()[sync % cut_fates().size()]));
    }
  });
  for (int i = 0; i < 12; i++) {
    REQUIRE(money.house.chat().status == 200);
    answered++;
    if (i % 4 == 3) {
      REQUIRE(money.house.app.parts().ledger->drain().ok());
      answered_when_synced = answered;
    }
  }
  money.folder.disk().on_sync(nullptr);
  REQUIRE(copies.size() > 4);
  copies.push_back(money.folder.cut(cut_fates()[0]));
  int64_t counted = 0;
  for (const std::string& copy : copies) {
    const SecondLife life(copy, money.house.user);
    counted = life.counted();
    CHECK(life.charged() == counted);
    CHECK(counted <= answered * kChatNanoUsd);
    CHECK_FALSE(life.has_dead_records());
    CHECK(life.app.as_owner("GET", "/admin/audit/verify").status == 200);
  }
  // drain() brings rows to SQL, and the store was synced for it.
  CHECK(counted >= answered_when_synced * kChatNanoUsd);
}

TEST_CASE("power cut: a record moved to SQL whose removal was lost is not moved twice",
          "[fault][power][ai]") {
  Money money;
  REQUIRE(money.house.chat().status == 200);
  REQUIRE(money.house.app.parts().ledger->drain().ok());
  // The removal from the outbox is buffered, and nothing has synced it.
  for (const std::string& copy : money.folder.cut_each_way()) {
    for (int start = 0; start < 2; start++) {
      const SecondLife life(copy, money.house.user);
      CHECK(life.requests() == 1);
      CHECK(life.charged() == kChatNanoUsd);
      CHECK(life.counted() == kChatNanoUsd);
      CHECK_FALSE(life.has_dead_records());
    }
  }
}

TEST_CASE("power cut: a counter that is gone or unreadable is made anew from the ledger's rows",
          "[fault][power][ai]") {
  ManualClock clock;  // No job repairs on its own.
  Money money(CutFolder::never_sync_by_timer, &clock);
  for (int i = 0; i < 2; i++) REQUIRE(money.house.chat().status == 200);
  REQUIRE(money.house.app.parts().ledger->drain().ok());
  const std::string month = json_text(money.house.usage(), "current_month");
  KvBatch damage;
  damage.put(KvFamily::kQuota, keyspace::quota("user", money.house.user, month), "{torn");
  damage.remove(KvFamily::kQuota, keyspace::quota("org", money.house.org, month));
  REQUIRE(money.house.app.parts().kv_engine->write(damage, KvDurability::kSynced).ok());
  for (const std::string& copy : money.folder.cut_each_way()) {
    SecondLife life(copy, money.house.user, &clock);
    const auto chat = [&] {
      return life.app.as(money.house.key, "POST", "/v1/chat/completions", kHello);
    };
    const RawResponse before = chat();
    INFO(before.body);
    CHECK(before.status == 503);
    Parts& parts = life.app.parts();
    REQUIRE(ai::repair_budgets(*parts.ai.budgets, *parts.kv, *parts.ledger).ok());
    CHECK(chat().status == 200);
    CHECK(life.requests() == 3);
    CHECK(life.counted() == 3 * kChatNanoUsd);
    CHECK(life.charged() == 3 * kChatNanoUsd);
    const std::string spent =
        life.app.as_owner("GET", "/admin/organizations/" + money.house.org + "/usage").body;
    INFO(spent);
    CHECK(nano_usd(member(spent, "current_usage_usd")) == 3 * kChatNanoUsd);
  }
}
