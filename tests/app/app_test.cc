// The daemon as a whole, in this process: first start and its crash points, one daemon per
// directory, the master key, health while the store is down, synced writes.
#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "app/wal_syncer.h"
#include "base/bytes.h"
#include "base/file.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

unsigned mode_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

}  // namespace

TEST_CASE("app: the first start makes credentials that work, readable by the owner alone",
          "[unit][app]") {
  TestApp app;
  CHECK(app.app().first_start());
  CHECK(mode_of(app.data_dir()) == 0700);
  CHECK(mode_of(app.data_dir() + "/initial-credentials.json") == 0600);
  CHECK(mode_of(app.data_dir() + "/master.key") == 0600);
  for (const char* name : {"admin_key", "organization_id", "organization", "project_id", "project",
                           "api_key", "url", "setup_url"}) {
    CHECK_FALSE(app.credential(name).empty());
  }
  CHECK(app.credential("url") == "http://127.0.0.1:" + std::to_string(app.port()));
  CHECK(app.as_owner("GET", "/admin/me").status == 200);
  const RawResponse me = app.as(app.credential("api_key"), "GET", "/api/v1/me");
  CHECK(me.status == 200);
  CHECK(json_text(me.body, "project_id") == app.credential("project_id"));
  CHECK(json_text(me.body, "organization_id") == app.credential("organization_id"));
  const RawResponse projects = app.as_owner(
      "GET", "/admin/organizations/" + app.credential("organization_id") + "/projects");
  CHECK(json_text(projects.body, "slug") == "default");
}

TEST_CASE("app: later starts keep the credentials and never touch the file", "[unit][app]") {
  TestApp app;
  const std::string key = app.credential("admin_key");
  const std::string path = initial_credentials_path(app.data_dir());
  app.restart();
  CHECK_FALSE(app.app().first_start());
  CHECK(app.credential("admin_key") == key);
  REQUIRE(::unlink(path.c_str()) == 0);
  app.restart();
  CHECK(::access(path.c_str(), F_OK) != 0);
  CHECK(app.as(key, "GET", "/admin/me").status == 200);
}

TEST_CASE("app: a crash anywhere in the first start is finished by the next one", "[fault][app]") {
  // The store refuses the n-th write; the process "dies" there and starts again.
  for (int fail_at = 0; fail_at < 12; fail_at++) {
    INFO("write " << fail_at << " fails");
    TempDir dir;
    const Config config = TestApp::quiet_config(dir.file("data"));
    log::set_level(log::Level::kError);
    std::string first_key;
    const std::string path = initial_credentials_path(config.data_dir);
    {
      auto writes = std::make_shared<std::atomic<int>>(0);  // Owners: this test and the plan.
      AppOptions options;
      options.kv_faults = [writes, fail_at](std::string_view op, std::string_view) {
        if (op != "write" && op != "cas") return ok();
        return (*writes)++ >= fail_at ? unavailable("The store is down.") : ok();
      };
      auto app = App::create(config, options);
      if (app.ok()) {
        [[maybe_unused]] const Status started = app.value()->start();
      }
      const Result<std::string> text = read_small_file(path, 1 << 16);
      if (text.ok()) first_key = text.value();
    }
    auto app = App::create(config, {});
    REQUIRE(app.ok());
    REQUIRE(app.value()->start().ok());
    const std::string text = read_small_file(path, 1 << 16).value();
    if (!first_key.empty()) CHECK(text == first_key);
    const std::string mark = "\"admin_key\": \"";
    const std::string key = text.substr(text.find(mark) + mark.size(), 67);
    CHECK(fetch(app.value()->port(), "GET", "/admin/me", {{"Authorization", "Bearer " + key}})
              .status == 200);
    log::set_level(log::Level::kInfo);
  }
}

TEST_CASE("app: a second daemon on the same directory is told who holds it", "[unit][app]") {
  TestApp app;
  Config config = TestApp::quiet_config(app.data_dir());
  const auto second = App::create(config);
  CHECK(second.code() == Code::kConflict);
  CHECK(second.status().message().find(std::to_string(::getpid())) != std::string::npos);
}

TEST_CASE("app: an address in use is a Conflict and leaves nothing running", "[unit][app]") {
  TestApp app;
  TempDir dir;
  Config config = TestApp::quiet_config(dir.file("data"));
  config.http.server.listen_port = app.port();
  auto second = App::create(config);
  REQUIRE(second.ok());
  CHECK(second.value()->start().code() == Code::kConflict);
}

TEST_CASE("app: a foreign master key stops the start", "[unit][app]") {
  TempDir dir;
  Config config = TestApp::quiet_config(dir.file("data"));
  { REQUIRE(App::create(config).ok()); }
  Config other = config;
  other.secrets.master_key = Secret(to_base64(std::string(32, 'x')));
  CHECK(App::create(other).code() == Code::kInvalid);
  CHECK(App::create(config).ok());
  REQUIRE(::chmod((config.data_dir + "/master.key").c_str(), 0644) == 0);
  const auto open = App::create(config);
  CHECK(open.code() == Code::kInvalid);
  CHECK(open.status().message().find("chmod 600") != std::string::npos);
}

TEST_CASE("app: health tells of a store that is down, auth answers 503", "[fault][app]") {
  auto down = std::make_shared<std::atomic<bool>>(false);  // Owners: this test and the plan.
  AppOptions options;
  options.kv_faults = [down](std::string_view, std::string_view) {
    return *down ? unavailable("The store is down.") : ok();
  };
  TestApp app(options);
  const std::string project_key = app.credential("api_key");
  CHECK(app.as_owner("GET", "/admin/health").body.find("\"healthy\"") != std::string::npos);
  *down = true;
  const RawResponse health = app.call("GET", "/health");
  CHECK(health.status == 503);
  CHECK(health.body.find("\"status\":\"unhealthy\"") != std::string::npos);
  CHECK(health.body.find("\"kv\":\"down\"") != std::string::npos);
  CHECK(app.call("GET", "/livez").status == 200);
  // Not read before the outage: unknown whether it is good, so never 401.
  const RawResponse refused = app.as(project_key, "GET", "/api/v1/me");
  CHECK(refused.status == 503);
  CHECK_FALSE(refused.header("retry-after").empty());
  // The admin key was read before.
  const RawResponse admin = app.as_owner("GET", "/admin/health");
  CHECK(admin.status == 503);
  CHECK(admin.body.find("\"unhealthy\"") != std::string::npos);
  *down = false;
  CHECK(app.as(project_key, "GET", "/api/v1/me").status == 200);
}

TEST_CASE("app: the metrics tell how long each store takes", "[unit][app]") {
  TestApp app;
  CHECK(app.as_owner("GET", "/admin/job-runs").status == 200);
  const std::string page = app.call("GET", "/metrics").body;
  const auto count = [&](const std::string& labels) {
    const std::string line = "kvcs_store_seconds_count{" + labels + "} ";
    const size_t at = page.find(line);
    INFO(line);
    REQUIRE(at != std::string::npos);
    return std::stoi(page.substr(at + line.size()));
  };
  // The first start reads and writes all of them but the blobs.
  CHECK(count("store=\"kv\",op=\"get\"") > 0);
  CHECK(count("store=\"kv\",op=\"synced_write\"") > 0);
  CHECK(count("store=\"portal\",op=\"commit\"") > 0);
  CHECK(count("store=\"ledger\",op=\"query\"") > 0);
  CHECK(count("store=\"blobs\",op=\"finish\"") == 0);
}

TEST_CASE("app: whoever guesses admin keys is locked out, and nobody else at his address",
          "[unit][app]") {
  ManualClock clock;
  TestApp app(
      [](Config& config) {
        config.admin.failures_max = 3;
        config.admin.lockout_s = 60;
        config.http.server.trusted_proxies = {"127.0.0.1"};
      },
      {.clock = &clock});
  const std::string owner = app.credential("admin_key");
  const std::string viewer =
      json_text(app.as_owner("POST", "/admin/admin-keys", R"({"name":"v","role":"viewer"})").body,
                "admin_key");
  int guesses = 0;
  const auto status_of = [&](const std::string& key, const std::string& address) {
    return app
        .call("GET", "/admin/me",
              {{"Authorization", "Bearer " + key}, {"X-Forwarded-For", address}})
        .status;
  };
  // Each guess is another key, as a guesser's are.
  const auto guess = [&](const std::string& address) {
    std::string key = std::to_string(++guesses);
    return status_of("ka_" + std::string(64 - key.size(), '0') + key, address);
  };
  // A key that is good for little, used in between, does not begin the count anew.
  for (int i = 0; i < 3; i++) {
    CHECK(guess("203.0.113.9") == 401);
    CHECK(status_of(viewer, "203.0.113.9") == 200);
  }
  CHECK(guess("203.0.113.9") == 429);
  CHECK(guess("203.0.113.9") == 429);
  CHECK(status_of(owner, "203.0.113.9") == 200);
  CHECK(status_of(viewer, "203.0.113.9") == 200);
  CHECK(guess("203.0.113.10") == 401);
  const RawResponse locked = app.call(
      "GET", "/admin/me",
      {{"Authorization", "Bearer ka_" + std::string(64, 'f')}, {"X-Forwarded-For", "203.0.113.9"}});
  CHECK(locked.body.find("locked_out") != std::string::npos);
  CHECK(locked.header("retry-after") == "60");
  clock.advance_ms(61'000);
  CHECK(guess("203.0.113.9") == 401);
  // All addresses of one /64 are one guesser.
  for (int i = 1; i <= 3; i++) CHECK(guess("2001:db8:0:1::" + std::to_string(i)) == 401);
  CHECK(guess("2001:db8:0:1::4") == 429);
  CHECK(guess("2001:db8:0:2::1") == 401);
  CHECK(status_of(owner, "2001:db8:0:1::4") == 200);
}

TEST_CASE("app: too many admin requests wait, those of a key and those without one apart",
          "[unit][app]") {
  ManualClock clock;
  TestApp app([](Config& config) { config.admin.requests_per_minute = 3; }, {.clock = &clock});
  const std::string owner = app.credential("admin_key");
  for (int i = 0; i < 3; i++) CHECK(app.call("GET", "/admin/me").status == 401);
  CHECK(app.call("GET", "/admin/me").status == 429);
  for (int i = 0; i < 3; i++) CHECK(app.as(owner, "GET", "/admin/me").status == 200);
  const RawResponse waits = app.as(owner, "GET", "/admin/me");
  CHECK(waits.status == 429);
  CHECK_FALSE(waits.header("retry-after").empty());
}

TEST_CASE("app: buffered writes are synced without anyone asking", "[unit][app]") {
  ManualClock clock;
  const auto memory = make_memory_kv(clock);
  Mutex mutex;
  CondVar changed;
  int syncs = 0;
  const auto counted = make_faulty_kv(*memory, [&](std::string_view op, std::string_view) {
    if (op != "sync") return ok();
    MutexLock lock(mutex);
    changed.notify_all();
    return syncs++ == 0 ? unavailable("The disk is full.") : ok();
  });
  const auto kv = make_watched_kv(*counted);
  WalSyncer syncer(*kv, *kv, 1);
  syncer.start();
  KvBatch batch;
  batch.put(KvFamily::kSystem, "k", "v");
  CHECK(kv->write(batch, KvDurability::kBuffered).ok());
  {
    // The first sync fails and is tried again.
    MutexLock lock(mutex);
    for (int i = 0; i < 100 && syncs < 2; i++) changed.wait_for_ms(mutex, 100);
    CHECK(syncs >= 2);
  }
  CHECK(kv->write(batch, KvDurability::kBuffered).ok());
  const int before = syncs;
  syncer.stop();
  CHECK(syncs == before + 1);  // What was left is synced at the stop.
  CHECK(syncer.last_status().ok());
}
