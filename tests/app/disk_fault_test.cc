// Goal: a disk that fails under the key-value store stops writes and nothing else; they go on by
// themselves afterwards, and nothing that was acknowledged is lost. Method: the real binary, whose
// writes, syncs and opens below data/kv fail by a plan; every call of a script in turn ([e2e]), and
// some of them in each run.
#include <cerrno>
#include <filesystem>

#include "support/fault_house.h"
#include "support/small_disk.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

// A sanitizer's runtime must be loaded before any other library.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

// Small buffers, so that logs and tables are made often; every write is looked at soon.
const std::string kSmall =
    "kv:\n  write_buffer_bytes: 1048576\n  sync_interval_ms: 5\n"
    "http:\n  access_log: false\nadmin:\n  requests_per_minute: 1000000\n";

// Until a write is taken again.
bool comes_back(FaultHouse& house) {
  return comes_true([&] { return house.put_value().status == 204; });
}

void check_all_there(FaultHouse& house) {
  CHECK(house.first_wrong_value() == "");
}

// Calls of the kind `call` fail with `error` from the `first` one to the `last`: whatever is
// refused meanwhile is refused in words, reads go on, and afterwards all is as it was answered.
void run_faulty_script(FaultHouse& house, int call, int error, int first, int last) {
  INFO("kind " << call << ", errno " << error << ", calls " << first << " to " << last);
  house.fault().begin(call, error, first, last);
  for (int i = 0; i < 12; i++) {
    const RawResponse put = house.put_value();
    CHECK((put.status == 204 || put.status == 503));
    if (put.status == 503) CHECK(has(put.body, "takes no writes"));
    const RawResponse chat = house.chat();
    CHECK((chat.status == 200 || chat.status == 503));
  }
  // The background syncs until the planned call has come, when it comes at all.
  CHECK(house.lives());
  house.fault().end();
  CHECK(comes_back(house));
  check_all_there(house);
}

TestApp::Headers as_browser(FaultHouse& house, const std::string& cookie, const std::string& csrf) {
  return {{"Cookie", cookie},
          {"Origin", "http://127.0.0.1:" + std::to_string(house.port())},
          {"X-CSRF-Token", csrf},
          {"Idempotency-Key", "click"}};
}

const std::string kOperator = R"("email":"ada@example.com","password":"correct horse battery")";

// The first person, who owns the daemon.
void make_operator(FaultHouse& house) {
  const RawResponse link = house.admin("POST", "/admin/setup-link");
  const std::string url = json_text(link.body, "setup_url");
  INFO(link.body);
  const RawResponse made = fetch(house.port(), "POST", "/auth/setup", as_browser(house, "", ""),
                                 R"({"token":")" + url.substr(url.find("token=") + 6) +
                                     R"(","name":"Ada",)" + kOperator + "}");
  INFO(made.body);
  REQUIRE(made.status == 201);
}

// Somebody signs in with a browser and takes a permission away, as its pages do: with a key under
// which a repeat has one effect.
void check_operator_comes_in(FaultHouse& house, const std::string& suspend) {
  const RawResponse in =
      fetch(house.port(), "POST", "/auth/login", as_browser(house, "", ""), "{" + kOperator + "}");
  INFO(in.body);
  REQUIRE(in.status == 200);
  const std::string set(in.header("set-cookie"));
  const RawResponse done =
      fetch(house.port(), "POST", suspend,
            as_browser(house, set.substr(0, set.find(';')), json_text(in.body, "csrf_token")), "");
  INFO(done.body);
  CHECK(done.status == 200);
}

}  // namespace

TEST_CASE("disk: one failed call below data/kv stops no read, aborts nothing and heals",
          "[fault][kv][disk]") {
  FaultHouse house("/kv/", kSmall);
  for (const int call : {FAULT_WRITE, FAULT_SYNC}) {
    for (const int first : {1, 4}) run_faulty_script(house, call, EIO, first, first);
  }
  INFO(house.log());
  CHECK(house.refused() > 0);
  CHECK(has(house.log(), "\"kv.writes_stopped\""));
  CHECK(has(house.log(), "\"kv.writes_resumed\""));
  CHECK(house.stop() == 0);
  house.start();
  check_all_there(house);
}

TEST_CASE("disk: a lasting fault stops writes only, and they go on when it ends",
          "[fault][kv][disk]") {
  FaultHouse house("/kv/", kSmall);
  constexpr int kAll = FAULT_WRITE | FAULT_SYNC | FAULT_OPEN | FAULT_RESERVE | FAULT_RENAME;
  for (const int error : {EIO, ENOSPC}) {
    house.change_organization(R"({"failure_mode":"fail_closed"})");
    run_faulty_script(house, kAll, error, 1, DiskFault::kLasting);
    CHECK(house.fault().failed() > 0);
    house.change_organization(R"({"failure_mode":"fail_open","fallback_daily_limit":1})");
    REQUIRE(house.chat().status == 200);
    house.fault().begin(kAll, error);
    REQUIRE(comes_true([&] { return house.put_value().status == 503; }));
    CHECK(has(house.put_value().body, "\"code\":\"kv_failed\""));
    // Money that the store cannot take is spent from the day's fallback, and noted in the journal.
    const RawResponse open = house.chat();
    INFO(open.body);
    CHECK(open.status == 200);
    CHECK(open.header("x-gateway-grace") == "1");
    CHECK(has(house.admin("GET", "/admin/kv/config/values/value-0").body, "value-0"));
    house.fault().end();
    CHECK(comes_back(house));
    check_all_there(house);
  }
  house.fault().begin(kAll, EIO);
  CHECK(house.put_value().status == 503);
  CHECK(house.stop() == 0);
  house.fault().end();
  house.start();
  check_all_there(house);
}

// What an operator may have to take away in a hurry: keys of the three kinds that have no budget,
// by the path that revokes each and the path that it opens.
struct Held {
  std::string organization, organization_path;
  struct Key {
    std::string key, revoke, opens;
  };
  std::vector<Key> keys;
};

Held make_held(FaultHouse& house) {
  Held held;
  const RawResponse made = house.admin("POST", "/admin/organizations", R"({"name":"Held"})");
  held.organization = json_text(made.body, "org_id");
  held.organization_path = "/admin/organizations/" + held.organization;
  const RawResponse project =
      house.admin("POST", held.organization_path + "/projects", R"({"name":"P"})");
  const std::string keys =
      held.organization_path + "/projects/" + json_text(project.body, "project_id") + "/api-keys";
  const RawResponse key = house.admin("POST", keys, R"({"name":"k"})");
  held.keys.push_back(
      {json_text(key.body, "api_key"), keys + "/" + json_text(key.body, "key_id"), "/api/v1/me"});
  const RawResponse user = house.admin(
      "POST", "/admin/users", R"({"email":"b@example.com","org_id":")" + held.organization + "\"}");
  const std::string users = "/admin/users/" + json_text(user.body, "user_id") + "/api-keys";
  const RawResponse user_key = house.admin("POST", users, R"({"name":"k"})");
  held.keys.push_back({json_text(user_key.body, "api_key"),
                       users + "/" + json_text(user_key.body, "key_id"), "/v1/models"});
  const RawResponse admin =
      house.admin("POST", "/admin/admin-keys", R"({"name":"k","role":"viewer"})");
  held.keys.push_back({json_text(admin.body, "admin_key"),
                       "/admin/admin-keys/" + json_text(admin.body, "key_id"), "/admin/jobs"});
  for (const Held::Key& each : held.keys) {
    INFO(each.revoke);
    REQUIRE(house.get_as(each.key, each.opens).status == 200);
  }
  return held;
}

void check_permissions_end(FaultHouse& house, const Held& held) {
  for (const Held::Key& each : held.keys) {
    const RawResponse revoked = house.admin("DELETE", each.revoke);
    INFO(each.revoke << " -> " << revoked.body);
    CHECK(revoked.status == 200);
    CHECK(house.get_as(each.key, each.opens).status == 401);
  }
  CHECK(house.admin("POST", held.organization_path + "/suspend").status == 200);
  CHECK(house.admin("PUT", "/admin/system/mode", R"({"mode":"frozen"})").status == 200);
  CHECK(has(house.admin("GET", "/admin/system/mode").body, "frozen"));
  // What grows the store is refused still.
  CHECK(house.admin("POST", "/admin/organizations", R"({"name":"Later"})").status == 503);
  CHECK(house.admin("PUT", "/admin/kv/config/values/value-0", std::string(9000, 'x')).status ==
        503);
  CHECK(house.admin("PUT", "/admin/system/mode", R"({"mode":"active"})").status == 200);
}

TEST_CASE("disk: a full disk refuses writes in words; removals go on, and so does what frees space",
          "[fault][kv][disk]") {
  const bool ran = with_small_disk(112 << 20, [&](const std::string& disk) {
    const std::string yaml =
        "kv:\n  write_buffer_bytes: 1048576\n  free_reserve_bytes: 25165824\n"
        "http:\n  access_log: false\nadmin:\n  requests_per_minute: 1000000\n";
    FaultHouse house(disk + "/data", "/nothing/", yaml);
    REQUIRE(house.put_value().status == 204);
    REQUIRE(house.admin("PUT", "/admin/kv/config/values/victim", "x").status == 204);
    CHECK(comes_true([&] { return std::filesystem::exists(disk + "/data/reserve"); }));
    const Held held = make_held(house);
    const std::string owner = json_text(
        house.admin("POST", "/admin/organizations", R"({"name":"Acme","slug":"acme"})").body,
        "org_id");
    make_operator(house);
    // Others fill the disk to the end: the reserve is given up, and what it was is for removals.
    fill_disk(disk + "/filler");
    RawResponse put;
    CHECK(comes_true([&] { return (put = house.put_value(100'000)).status == 503; }));
    INFO(put.body);
    CHECK(has(put.body, "The disk of the data directory is full"));
    CHECK(has(put.body, "kv.free_reserve_bytes"));
    CHECK(comes_true([&] { return !std::filesystem::exists(disk + "/data/reserve"); }));
    CHECK(house.admin("PUT", "/admin/kv/config/values/other", "x").status == 503);
    CHECK(house.admin("GET", "/admin/kv/config/values/value-0").status == 200);
    // At once, or when the engine that met the full disk has been opened anew.
    CHECK(comes_true(
        [&] { return house.admin("DELETE", "/admin/kv/config/values/victim").status == 204; }));
    check_permissions_end(house, held);
    check_operator_comes_in(house, "/admin/organizations/" + owner + "/suspend");
    // An owner goes with all that it has, which gives space back.
    const int deleted = house.admin("DELETE", "/admin/organizations/" + owner).status;
    CHECK((deleted == 204 || deleted == 202));
    CHECK(house.admin("GET", "/admin/organizations/" + owner).status == 404);
    // Nothing at all is left.
    fill_disk(disk + "/filler2");
    for (int i = 0; i < 5; i++) CHECK(house.put_value(1'000'000).status == 503);
    (void)house.admin("POST", "/admin/backup");
    CHECK(house.chat().status == 503);
    CHECK(house.lives());
    CHECK(has(house.health(), "\"degraded\""));
    CHECK(house.first_wrong_value() == "");
    CHECK(house.stop() == 0);
    std::filesystem::remove(disk + "/filler2");
    house.start();
    CHECK(house.first_wrong_value() == "");
    std::filesystem::remove(disk + "/filler");
    CHECK(comes_back(house));
    CHECK(comes_true([&] { return house.chat().status == 200; }));
    CHECK(house.first_wrong_value() == "");
    INFO(house.log());
    CHECK(has(house.log(), "\"disk.reserve_released\""));
  });
  if (!ran) WARN("not run: mounting a file system is not permitted here");
}

TEST_CASE("disk: a start on a disk without a free byte serves what is there", "[fault][kv][disk]") {
  const bool killed = GENERATE(false, true), reserve = GENERATE(false, true);
  // After a clean stop SQLite makes its shared memory anew, for which nothing is left then.
  if (!killed && !reserve) return;
  INFO((killed ? "killed" : "stopped") << (reserve ? ", with" : ", without") << " its reserve");
  const bool ran = with_small_disk(112 << 20, [&](const std::string& disk) {
    FaultHouse house(disk + "/data", "/nothing/",
                     "kv:\n  write_buffer_bytes: 1048576\n  free_reserve_bytes: 25165824\n"
                     "http:\n  access_log: false\n");
    REQUIRE(house.put_value().status == 204);
    REQUIRE(house.admin("PUT", "/admin/kv/config/values/victim", "x").status == 204);
    CHECK(comes_true([&] { return std::filesystem::exists(disk + "/data/reserve"); }));
    CHECK((killed ? house.kill() : house.stop()) == (killed ? 128 + SIGKILL : 0));
    if (!reserve) std::filesystem::remove(disk + "/data/reserve");
    fill_disk(disk + "/filler");
    house.start();
    if (reserve) {
      CHECK(comes_true(
          [&] { return house.admin("DELETE", "/admin/kv/config/values/victim").status == 204; }));
    }
    CHECK(house.lives());
    CHECK(has(house.health(), "\"degraded\""));
    CHECK(house.admin("GET", "/admin/me").status == 200);
    CHECK(house.put_value(100'000).status == 503);
    CHECK(house.first_wrong_value() == "");
    // And again, whatever the first one has left.
    (void)house.kill();
    fill_disk(disk + "/filler2");
    house.start();
    CHECK(house.first_wrong_value() == "");
    CHECK(house.stop() == 0);
    for (const char* name : {"/filler", "/filler2"}) std::filesystem::remove(disk + name);
    house.start();
    CHECK(comes_back(house));
    CHECK(house.first_wrong_value() == "");
    CHECK(house.stop() == 0);
  });
  if (!ran) WARN("not run: mounting a file system is not permitted here");
}

TEST_CASE("disk: a first start on a full disk is refused in words, and leaves nothing in the way",
          "[fault][disk]") {
  const TempDir logs;
  const bool ran = with_small_disk(112 << 20, [&](const std::string& disk) {
    for (const int free_kib : {0, 8, 64, 512}) {
      INFO(free_kib << " KiB are free");
      const std::string dir = disk + "/data";
      std::filesystem::remove_all(dir);
      std::filesystem::remove(disk + "/filler");
      const std::string spare = disk + "/spare";
      if (free_kib > 0)
        std::ofstream(spare) << std::string(static_cast<size_t>(free_kib) << 10, 'x');
      fill_disk(disk + "/filler");
      std::filesystem::remove(spare);
      const std::vector<std::string> line = {"serve", "--data-dir", dir, "--listen", "127.0.0.1:0"};
      {
        Daemon refused(line, logs.file("log"));
        CHECK(refused.wait() == 1);
        INFO(refused.log());
        const std::string log = refused.log();
        const size_t error = log.find("error: ");
        REQUIRE(error != std::string::npos);
        CHECK((has(log.substr(error), "full") || has(log.substr(error), "No space left")));
        CHECK_FALSE(has(log, "Internal error"));
      }
      std::filesystem::remove(disk + "/filler");
      Daemon served(line, logs.file("log"));
      const int port = served.wait_until_ready();
      INFO(served.log());
      CHECK(port > 0);
      served.signal(SIGTERM);
      CHECK(served.wait() == 0);
    }
  });
  if (!ran) WARN("not run: mounting a file system is not permitted here");
}

TEST_CASE("disk: /health names the part whose disk takes no writes, and forgets it afterwards",
          "[fault][kv][disk]") {
  FaultHouse house("/", kSmall);
  CHECK(has(house.health(), R"("status":"healthy","services":{"kv":"up","d1":"up"})"));
  house.fault().begin(FAULT_WRITE | FAULT_SYNC | FAULT_OPEN | FAULT_RESERVE, EIO);
  std::string health;
  CHECK(comes_true([&] {
    health = house.health();
    return has(health, R"("kv":"degraded")") && has(health, R"("portal.db":"degraded")") &&
           has(health, R"("ledger.db":"degraded")") && has(health, R"("blobs":"degraded")");
  }));
  INFO(health);
  CHECK(has(health, R"("status":"degraded")"));
  house.fault().end();
  CHECK(comes_true([&] { return has(house.health(), R"("status":"healthy")"); }));
  CHECK(comes_back(house));
  CHECK(house.stop() == 0);
}

TEST_CASE("disk: one that hangs is told by /health at once, and does not keep a stop for ever",
          "[fault][kv][disk]") {
  FaultHouse house("/", "shutdown_grace_s: 1\n" + kSmall);
  CHECK(has(house.health(), R"("status":"healthy")"));
  house.fault().begin(FAULT_SYNC, FAULT_HANG);
  std::string health;
  CHECK(comes_true([&] {
    health = house.health();
    return has(health, R"("blobs":"degraded")");
  }));
  INFO(health);
  CHECK(has(health, R"("status":"degraded")"));
  CHECK(house.stop() == 1);
  CHECK(has(house.log(), "\"server.stop_cut_off\""));
  house.fault().end();
  house.start();
  check_all_there(house);
  CHECK(house.stop() == 0);
}

TEST_CASE("disk: each call of a script below data/kv in turn fails once, or from then on",
          "[e2e][every-n][slow][disk]") {
  const int call = GENERATE(int{FAULT_WRITE}, int{FAULT_SYNC}, int{FAULT_OPEN}, int{FAULT_RESERVE},
                            int{FAULT_RENAME});
  FaultHouse house("/kv/", kSmall);
  for (int first = 1; first <= 8; first++) {
    const int error = first % 2 == 0 ? ENOSPC : EIO;
    run_faulty_script(house, call, error, first, first);
    if (first % 4 != 0) continue;
    run_faulty_script(house, call, error, first, DiskFault::kLasting);
    // Tables and logs are made anew under the fault as well.
    house.fault().begin(call, error, first / 4, first / 4 + 1);
    for (int i = 0; i < 5; i++) (void)house.put_value(300'000);
    house.fault().end();
    CHECK(comes_back(house));
  }
  INFO(house.log());
  CHECK(house.stop() == 0);
  house.start();
  check_all_there(house);
}

#endif
