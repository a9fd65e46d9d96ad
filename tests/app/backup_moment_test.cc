// Goal: a backup of a daemon under load is one moment: on a copy, counters are the sums of the
// rows, to the nano-dollar, and what the copy names is in it; a backup ends soon when it is told
// to. Method: real requests from several threads beside a ledger that takes a while to copy, and a
// second daemon on each copy.
#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "ai/budget/budget.h"
#include "app/backup.h"
#include "base/crypto.h"
#include "base/json.h"
#include "db/db.h"
#include "support/ai_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

namespace fs = std::filesystem;

// Rows of diagnostics, some hundred bytes each, that make the ledger larger than a step of the
// copy.
void grow_ledger(Parts& parts, int rows) {
  const auto insert = [rows](Database& db) -> Status {
    auto put = KVCS_TRY(db.prepare(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO error_ledger (id, ts_ms, request_id, tenant, provider, account_id, action,"
        " method, path, status, code, message, upstream_status, latency_ms, ip_hash)"
        " SELECT 'bulk' || i, i, 'r' || i, 't', 'p', 'a', 'x', 'GET', '/', 500, 'C',"
        " hex(zeroblob(400)), 0, 1, '' FROM n"));
    return put.bind(1, rows).run();
  };
  REQUIRE(parts.ledger->write(insert).ok());
}

// Clients that send chats, and a reader for whom rows move to SQL at once, until they are told to
// stop.
class Load final {
 public:
  Load(AiHouse& house, int clients) {
    threads_.emplace_back([this, &house] {
      while (!stop_) {
        if (!house.app.parts().ledger->drain().ok()) std::abort();
      }
    });
    for (int i = 0; i < clients; i++) {
      threads_.emplace_back([this, &house] {
        while (!stop_) {
          if (house.chat().status == 200) answered_++;
        }
      });
    }
  }
  ~Load() { stop(); }
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  int64_t answered() const { return answered_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int64_t> answered_ = 0;
  std::vector<std::thread> threads_;
};

// Of all rows: the load has one organization, one user and one key.
int64_t sum_of_rows(Parts& parts) {
  int64_t sum = -1;
  const auto add = [&](Database& db) -> Status {
    auto rows = KVCS_TRY(db.prepare("SELECT sum(cost_nano_usd) FROM usage"));
    KVCS_TRY(rows.step());
    sum = rows.integer(0);
    return ok();
  };
  REQUIRE(parts.ledger->read(add).ok());
  return sum;
}

// Counters and rows of a daemon at rest.
void check_sums(Parts& parts, const AiHouse& house) {
  REQUIRE(parts.ledger->drain().ok());
  const int64_t sum = sum_of_rows(parts);
  CHECK(sum > 0);
  const std::pair<const char*, std::string> subjects[] = {
      {"org", house.org}, {"user", house.user}, {"key", house.key_id}};
  for (const auto& [kind, id] : subjects) {
    INFO(kind);
    const ai::BudgetView view = parts.ai.budgets->view(kind, id, "").value();
    CHECK(view.used_nano_usd == sum);
    CHECK(view.reserved_nano_usd == 0);
  }
}

std::string newest_backup(const std::string& directory) {
  std::string newest;
  for (const auto& entry : fs::directory_iterator(directory)) {
    newest = std::max(newest, entry.path().string());
  }
  return newest;
}

void check_manifest(const std::string& directory) {
  const Json manifest =
      parse_json(read_small_file(directory + "/manifest.json", 1 << 20).value()).value();
  CHECK(manifest["format"] == 1);
  CHECK(manifest["blobs"]["linked"] == true);
  REQUIRE(manifest["files"].size() >= 4);
  for (const Json& file : manifest["files"]) {
    const std::string path = directory + "/" + file["name"].get<std::string>();
    INFO(path);
    std::ifstream in(path, std::ios::binary);
    std::string bytes(fs::file_size(path), '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    CHECK(file["size_bytes"].get<size_t>() == bytes.size());
    CHECK(file["sha256"].get<std::string>() == sha256_hex(bytes));
  }
}

}  // namespace

TEST_CASE("backup: under load each copy has counters that are the sums of its rows",
          "[unit][app]") {
  TempDir places;
  const std::string backups = places.file("backups");
  ManualClock clock(1'769'903'000'000);
  AppOptions options;
  options.clock = &clock;
  // Between the snapshots of SQL and the checkpoint of KV, which is given time to go wrong.
  std::function<void()> at_checkpoint = [] {};
  options.kv_faults = [&at_checkpoint](std::string_view op, std::string_view) {
    if (op == "checkpoint") at_checkpoint();
    return ok();
  };
  AiHouse house([&](Config& config) { config.backup.directory = backups; }, options);
  options.kv_faults = {};
  REQUIRE(
      house.admin("PATCH", "/admin/users/" + house.user, R"({"monthly_limit_usd":1000})").status ==
      200);
  grow_ledger(house.app.parts(), 30'000);
  Load load(house, 3);
  const auto wait_for_chats = [&load] {
    const int64_t before = load.answered();
    wait_until([&] { return load.answered() > before + 20; }, "the clients are at work");
  };
  at_checkpoint = wait_for_chats;
  std::vector<std::string> copies;
  for (int i = 0; i < 3; i++) {
    wait_for_chats();
    clock.advance_ms(1000);
    const std::atomic<bool> cancelled = false;
    const auto made = make_backup(house.app.parts(), {cancelled});
    INFO(made.status().to_string());
    REQUIRE(made.ok());
    copies.push_back(newest_backup(backups));
  }
  load.stop();
  check_sums(house.app.parts(), house);
  int64_t used_before = 0;
  for (const std::string& copy : copies) {
    INFO(copy);
    check_manifest(copy);
    fs::copy(house.app.data_dir() + "/master.key", copy + "/master.key");
    TestApp restored([&](Config& config) { config.data_dir = copy; }, options);
    check_sums(restored.parts(), house);
    const int64_t used = restored.parts().ai.budgets->view("org", house.org, "")->used_nano_usd;
    CHECK(used > used_before);
    used_before = used;
    CHECK(restored.as(house.key, "POST", "/v1/chat/completions", kHello).status == 200);
  }
}

TEST_CASE("backup: one that is told to stop ends within a second and leaves nothing",
          "[unit][app]") {
  TempDir places;
  const std::string backups = places.file("backups");
  AiHouse house([&](Config& config) { config.backup.directory = backups; });
  grow_ledger(house.app.parts(), 100'000);
  Load load(house, 2);
  std::atomic<bool> cancelled = false;
  std::optional<Result<std::string>> made;
  std::thread job([&] { made = make_backup(house.app.parts(), {cancelled}); });
  wait_until(
      [&] {
        return fs::exists(backups) && !fs::is_empty(backups) &&
               fs::exists(newest_backup(backups) + "/sql/ledger.db");
      },
      "the copy of the ledger has begun");
  cancelled = true;
  const auto begin = std::chrono::steady_clock::now();
  job.join();
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(1));
  REQUIRE(made->code() == Code::kUnavailable);
  CHECK(made->status().message().find("stopped") != std::string::npos);
  CHECK(fs::is_empty(backups));
  CHECK_FALSE(fs::exists(house.app.data_dir() + "/backup.kv"));
}
