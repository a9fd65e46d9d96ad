// Goal: of a key-value store whose log is damaged, repair keeps all that was written before the
// damage; no key that was revoked works again, no counter is below its rows, and what is lost is
// said before it is asked for. Method: the built binary on copies of a directory that a killed
// daemon has left, one byte changed at a time.
#include "app/kv_rescue.h"

#include <filesystem>

#include "base/crypto.h"
#include "db/db.h"
#include "identity/keys.h"
#include "kv/keyspace.h"
#include "kv/outbox.h"
#include "ledger/audit.h"
#include "ledger/rows.h"
#include "ledger/schema.h"
#include "support/damage_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

std::string log_of(const std::string& data_dir) {
  for (const auto& entry : fs::directory_iterator(data_dir + "/kv")) {
    if (entry.path().extension() == ".log" && fs::file_size(entry.path()) > 0) {
      return entry.path().string();
    }
  }
  return "";
}

int given_up(const std::string& folder, const std::string& name) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    count += entry.path().filename().string().starts_with(name + ".given-up-2") ? 1 : 0;
  }
  return count;
}

void check_safe(const DamageHouse& house) {
  CHECK(house.live_revoked() == 0);
  CHECK(house.counter_usd() > house.rows_usd() - 1e-9);
  CHECK(has(house.admin("GET", "/admin/audit/verify").body, "\"ok\":true"));
}

}  // namespace

TEST_CASE("rescue: all before the damage of a log is kept, and no revoked key comes back",
          "[e2e][kv][app]") {
  DamageHouse house;
  const uint64_t size = fs::file_size(log_of(house.used()));
  REQUIRE(size > 20'000);
  for (const int percent : {15, 35, 60, 80, 97}) {
    INFO(percent << " per cent of " << size);
    const std::string dir = house.copy(), log = log_of(dir);
    flip_byte(log, size * static_cast<uint64_t>(percent) / 100);
    const std::string refused = house.start(dir);
    INFO(refused);
    REQUIRE(has(refused, log + " is damaged at byte "));
    CHECK(has(refused, "kvcs repair --accept kv-log"));
    // Who declines has changed nothing.
    const std::string asked = house.repair(dir, "kv-log", "n");
    INFO(asked);
    CHECK(has(asked, log + " is damaged at byte "));
    CHECK(has(asked, "whole writes, are given up. All that was written before is kept."));
    CHECK(has(asked, "Made good from audit"));
    CHECK(has(asked, "Not known at all"));
    CHECK(given_up(dir, "kv") == 0);
    CHECK_FALSE(fs::exists(dir + "/kv.repair"));
    CHECK(house.start(dir) != "");
    int code = -1;
    CHECK(has(house.repair(dir, "kv-log", "--yes", &code), "the daemon can start"));
    CHECK(code == 0);
    CHECK(given_up(dir, "kv") == 1);
    CHECK(fs::exists(dir + "/initial-credentials.json"));
    const std::string again = house.start(dir);
    INFO(again);
    REQUIRE(again == "");
    check_safe(house);
    CHECK(house.admin("GET", "/admin/me").status == 200);  // A key of the first start.
    if (percent > 90) CHECK(house.live_keys() == house.good_keys());
    if (percent > 50) CHECK(house.chat().status == 200);  // Its key was made at the beginning.
    // Whole from here on.
    house.stop();
    REQUIRE(house.start(dir) == "");
    check_safe(house);
  }
}

TEST_CASE("rescue: what the log has before the first start's end is not worth keeping",
          "[e2e][kv][app]") {
  DamageHouse house(4);
  const std::string dir = house.copy();
  flip_byte(log_of(dir), 20);
  REQUIRE(house.start(dir) != "");
  const std::string asked = house.repair(dir, "kv-log", "n");
  INFO(asked);
  CHECK(has(asked, "the next start is a first start"));
  CHECK(has(house.repair(dir, "kv-log", "--yes"), "the daemon can start"));
  REQUIRE(house.start(dir) == "");
  CHECK(house.live_revoked() == 0);
  CHECK(house.live_keys() == 0);
}

TEST_CASE("rescue: a log that is cut or gone is repaired as well", "[e2e][kv][app]") {
  DamageHouse house(6);
  for (const bool gone : {false, true}) {
    const std::string dir = house.copy(), log = log_of(dir);
    if (gone) {
      fs::remove(log);
    } else {
      fs::resize_file(log, fs::file_size(log) * 2 / 3);
    }
    const std::string refused = house.start(dir);
    INFO(refused);
    REQUIRE(has(refused, log));
    CHECK(has(house.repair(dir, "kv-log", "--yes"), "the daemon can start"));
    REQUIRE(house.start(dir) == "");
    CHECK(house.live_revoked() == 0);
  }
}

namespace {

// A store with a past, a copy of it as it was before, and the ledger of all of it.
struct Past {
  const ManualClock clock{1'760'000'000'000};
  const std::unique_ptr<Entropy> entropy = make_system_entropy();
  const std::unique_ptr<KvStore> kv = make_memory_kv(clock), old = make_memory_kv(clock);
  const std::unique_ptr<Database> ledger = open_sqlite(":memory:").value();
  AuditedKv audited{*kv, clock, *entropy};
  KeyService keys{*kv, audited, clock, *entropy};
  const KeyOwner owner{PrincipalKind::kProjectKey, "org", "project", ""};
  const AuditContext who{"adminkey:1", "admin-api", ""};
  std::vector<std::string> told;

  Past() { REQUIRE(migrate(*ledger, ledger_migrations()).ok()); }
  // What is written from here on is what the old store lacks.
  void part() {
    for (size_t i = 0; i < kKvFamilyCount; i++) {
      const auto family = static_cast<KvFamily>(i);
      REQUIRE(kv_for_each(*kv, family, "", [&](const KvItem& item) {
                KvBatch batch;
                batch.put(family, item.key, item.entry);
                return old->write(batch, KvDurability::kSynced);
              }).ok());
    }
  }
  // The audit reaches the ledger, as the mover brings it.
  void move_audit() {
    REQUIRE(for_each_in_outbox(*kv, [&](const OutboxRecord& record) {
              return record.kind == "audit" ? audit_sink(*ledger, record) : ok();
            }).ok());
  }
  std::string make_key() { return keys.create(owner, {.name = "k"}, who)->record.id; }
  KeyStatus status(const std::string& id) {
    const KeyRecord listed = KeyService(*old, audited, clock, *entropy).find(owner, id).value();
    const auto stored = old->get(KvFamily::kAuth, keyspace::api_key(listed.key_hash));
    if (!stored.ok()) return KeyStatus::kRevoked;
    return parse_key(stored->value, PrincipalKind::kProjectKey)->status;
  }
  void run(const KvStore* behind) {
    const Status done = catch_up(*old, behind, ledger.get(), clock, *entropy, told);
    INFO(done.to_string());
    REQUIRE(done.ok());
  }
  bool tells(const std::string& part) const {
    return std::any_of(told.begin(), told.end(),
                       [&](const std::string& line) { return has(line, part); });
  }
};

}  // namespace

TEST_CASE("rescue: a store that lacks nothing is left as it is", "[unit][app]") {
  Past past;
  const std::string key = past.make_key();
  past.part();
  past.move_audit();
  past.run(nullptr);
  CHECK(past.status(key) == KeyStatus::kActive);
  CHECK(past.tells("nothing was to be"));
}

TEST_CASE("rescue: a key whose revocation is known to the audit alone does not work",
          "[unit][app]") {
  Past past;
  const std::string revoked = past.make_key(), changed = past.make_key(), kept = past.make_key();
  past.part();
  REQUIRE(past.keys.revoke(past.owner, revoked, past.who).ok());
  REQUIRE(past.keys.set_expiry(past.owner, changed, past.clock.unix_ms() + 1, past.who).ok());
  past.move_audit();
  CHECK(past.status(revoked) == KeyStatus::kActive);
  SECTION("and one that was changed otherwise does not either, since nobody can tell") {
    past.run(nullptr);
    CHECK(past.status(revoked) == KeyStatus::kRevoked);
    CHECK(past.status(changed) == KeyStatus::kRevoked);
    CHECK(past.tells("2 keys whose last change is known to the audit and lost"));
  }
  SECTION("but where the change itself is found it is made again") {
    past.run(past.kv.get());
    CHECK(past.status(revoked) == KeyStatus::kRevoked);
    CHECK(past.status(changed) == KeyStatus::kActive);
    CHECK(past.tells("4 records have their last values again"));
  }
  CHECK(past.status(kept) == KeyStatus::kActive);
}

TEST_CASE("rescue: removals are made again, and older values named", "[unit][app]") {
  Past past;
  KvBatch both;
  both.put(KvFamily::kConfig, "gone", "value");
  both.put(KvFamily::kConfig, "changed", "value");
  both.put(KvFamily::kAuth, keyspace::tenant_auth(sha256_hex("t")), "of another system");
  REQUIRE(past.audited.write(both, past.who).ok());
  past.part();
  KvBatch later;
  later.remove(KvFamily::kConfig, "gone");
  later.put(KvFamily::kConfig, "changed", "another");
  later.put(KvFamily::kAuth, keyspace::tenant_auth(sha256_hex("t")), "changed as well");
  REQUIRE(past.audited.write(later, past.who).ok());
  past.move_audit();
  past.run(nullptr);
  CHECK(past.old->get(KvFamily::kConfig, "gone").code() == Code::kNotFound);
  CHECK(past.old->get(KvFamily::kConfig, "changed")->value == "value");
  CHECK(past.old->get(KvFamily::kAuth, keyspace::tenant_auth(sha256_hex("t"))).code() ==
        Code::kNotFound);
  CHECK(past.tells("An older value is kept of changed, last changed at 2025"));
  CHECK(past.tells("1 other record is removed again"));
}

TEST_CASE("rescue: counters are raised to their rows, in the ledger and on their way",
          "[unit][app]") {
  Past past;
  const auto row = [](const std::string& id, int64_t nano_usd) {
    UsageRecord record{.request_id = id, .ts_ms = 1'760'000'000'000, .organization_id = "org"};
    record.user_id = "user";
    record.key_id = "key";
    record.model = "m";
    record.cost_nano_usd = nano_usd;
    record.period = "2025-10";
    record.status = 200;
    return OutboxRecord{id, record.ts_ms, "usage", usage_json(record)};
  };
  REQUIRE(usage_sink(*past.ledger, {row("a", 5), row("b", 7)}).ok());
  KvBatch waiting;
  for (const OutboxRecord& one : {row("b", 7), row("c", 9)}) {
    add_to_outbox(waiting, "usage", one.id, one.unix_ms, one.payload_json);
  }
  waiting.put(KvFamily::kQuota, keyspace::quota("user", "user", "2025-10"),
              R"({"used_nano_usd":100,"request_count":9,"error_count":0})");
  REQUIRE(past.old->write(waiting, KvDurability::kSynced).ok());
  past.run(nullptr);
  const auto counter = [&](const char* kind, const char* id) {
    return past.old->get(KvFamily::kQuota, keyspace::quota(kind, id, "2025-10"))->value;
  };
  CHECK(has(counter("key", "key"), R"("used_nano_usd":21,)"));
  CHECK(has(counter("org", "org"), R"("request_count":3,)"));
  CHECK(has(counter("user", "user"), R"("used_nano_usd":100,)"));  // More was known of it.
  CHECK(past.tells("2 counters are raised to their rows"));
}
