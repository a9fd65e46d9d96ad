// The real binary: start, signals, a second daemon, kill -9.
#include <catch2/catch.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "support/daemon.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// "admin_key" or "api_key" of the first start.
std::string first_key(const std::string& data_dir, const std::string& name) {
  const std::string text =
      read_small_file(data_dir + "/initial-credentials.json", 1 << 16).value_or("");
  const std::string mark = "\"" + name + "\": \"";
  return text.substr(text.find(mark) + mark.size(), 67);
}

}  // namespace

TEST_CASE("serve: starts on an empty directory, names no secret, stops on SIGTERM and SIGINT",
          "[e2e]") {
  TempDir dir;
  const std::string data = dir.file("data");
  for (const int number : {SIGTERM, SIGINT}) {
    Daemon daemon({"serve", "--data-dir", data, "--listen", "127.0.0.1:0"}, dir.file("log"));
    const int port = daemon.wait_until_ready();
    INFO(daemon.log());
    REQUIRE(port > 0);
    CHECK(fetch(port, "GET", "/health").status == 200);
    const std::string key = first_key(data, "admin_key");
    CHECK(fetch(port, "GET", "/admin/me", {{"Authorization", "Bearer " + key}}).status == 200);
    CHECK(daemon.log().find(key) == std::string::npos);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
      INFO(entry.path().string());
      CHECK((entry.status().permissions() & std::filesystem::perms(077)) ==
            std::filesystem::perms::none);
    }
    daemon.signal(number);
    CHECK(daemon.wait() == 0);
    CHECK(daemon.log().find("server.stopped") != std::string::npos);
  }
}

TEST_CASE("serve: the first answer of a first start knows the keys", "[e2e]") {
  for (int round = 0; round < 5; round++) {
    TempDir dir;
    const std::string data = dir.file("data");
    Daemon daemon({"serve", "--data-dir", data, "--listen", "127.0.0.1:0"}, dir.file("log"));
    // The file stands in its place when it is whole, before anything is answered.
    const auto written = [&] {
      return std::filesystem::exists(data + "/initial-credentials.json");
    };
    REQUIRE(comes_true(written));
    const std::string text =
        read_small_file(data + "/initial-credentials.json", 1 << 16).value_or("");
    const std::string mark = "\"url\": \"http://127.0.0.1:";
    REQUIRE(text.find(mark) != std::string::npos);
    const int port = std::stoi(text.substr(text.find(mark) + mark.size()));
    const std::string key = first_key(data, "api_key");
    const auto asked = fetch(port, "GET", "/api/v1/quota", {{"Authorization", "Bearer " + key}});
    CHECK(asked.status == 200);
    REQUIRE(daemon.wait_until_ready() > 0);
    daemon.signal(SIGTERM);
    CHECK(daemon.wait() == 0);
  }
}

TEST_CASE("serve: without its shipped files it names them, where it looked, and the way out",
          "[e2e]") {
  TempDir dir;
  // Alone, as somebody might copy it.
  std::filesystem::create_directory(dir.file("bin"));
  const std::string alone = dir.file("bin/kvcs");
  std::filesystem::copy_file(kvcs_binary(), alone);
  const std::string line = "cd " + dir.path() +
                           " && env -u KVCS_SHARE_DIR timeout 20 ./bin/kvcs serve --data-dir data"
                           " --listen 127.0.0.1:0 > log 2>&1";
  CHECK(WEXITSTATUS(std::system(line.c_str())) == 1);
  const std::string refused = read_small_file(dir.file("log"), 1 << 20).value_or("");
  INFO(refused);
  CHECK(refused.find("'plans.yaml' is in none of: ") != std::string::npos);
  CHECK(refused.find("KVCS_SHARE_DIR") != std::string::npos);
  CHECK(refused.find("plans.file") != std::string::npos);
}

TEST_CASE("serve: a second daemon fails and names the first one's pid", "[e2e]") {
  TempDir dir;
  const std::vector<std::string> arguments = {"serve", "--data-dir", dir.file("data"), "--listen",
                                              "127.0.0.1:0"};
  Daemon first(arguments, dir.file("log1"));
  REQUIRE(first.wait_until_ready() > 0);
  Daemon second(arguments, dir.file("log2"));
  CHECK(second.wait() == 1);
  CHECK(second.log().find("in use by process " + std::to_string(first.pid())) != std::string::npos);
  first.signal(SIGTERM);
  CHECK(first.wait() == 0);
}

TEST_CASE("serve: SIGHUP reads the configuration again and keeps the old one when it is bad",
          "[e2e]") {
  TempDir dir;
  const std::string config = dir.file("kvcs.yaml");
  std::ofstream(config) << "log:\n  level: info\n";
  Daemon daemon(
      {"serve", "--config", config, "--data-dir", dir.file("data"), "--listen", "127.0.0.1:0"},
      dir.file("log"));
  const int port = daemon.wait_until_ready();
  REQUIRE(port > 0);
  std::ofstream(config) << "log:\n  lvel: info\n";
  daemon.signal(SIGHUP);
  CHECK(daemon.wait_for_log("unknown key 'log.lvel'"));
  CHECK(fetch(port, "GET", "/livez").status == 200);
  std::ofstream(config) << "log:\n  level: info\n";
  daemon.signal(SIGHUP);
  CHECK(daemon.wait_for_log("config.reloaded"));
  // What another program's log rotation sends ends nothing.
  daemon.signal(SIGUSR1);
  CHECK(daemon.wait_for_log("signal.ignored"));
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
}

TEST_CASE("serve: SIGHUP reads plans again, and a faulty file leaves those of before", "[e2e]") {
  TempDir dir;
  const std::string config = dir.file("kvcs.yaml"), plans = dir.file("plans.yaml");
  std::ofstream(config) << "plans:\n  file: " << plans << "\n";
  std::ofstream(plans) << "plans:\n  default: {artifacts: 4711}\n";
  Daemon daemon(
      {"serve", "--config", config, "--data-dir", dir.file("data"), "--listen", "127.0.0.1:0"},
      dir.file("log"));
  const int port = daemon.wait_until_ready();
  REQUIRE(port > 0);
  const std::string key = first_key(dir.file("data"), "api_key");
  const auto shown = [&] {
    return fetch(port, "GET", "/api/v1/quota", {{"Authorization", "Bearer " + key}}).body;
  };
  CHECK(shown().find("4711") != std::string::npos);
  std::ofstream(plans) << "plans:\n  default: {artefacts: 4712}\n";
  daemon.signal(SIGHUP);
  CHECK(daemon.wait_for_log("plans.yaml, line 2"));
  CHECK(shown().find("4711") != std::string::npos);
  std::ofstream(plans) << "plans:\n  default: {artifacts: 4712}\n";
  daemon.signal(SIGHUP);
  CHECK(daemon.wait_for_log("config.reloaded"));
  CHECK(shown().find("4712") != std::string::npos);
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
}

TEST_CASE("serve: bad configuration ends with 1 and every fault", "[e2e]") {
  TempDir dir;
  const std::string config = dir.file("kvcs.yaml");
  std::ofstream(config) << "nope: 1\nhttp:\n  listen: nowhere\n";
  Daemon daemon({"serve", "--config", config, "--data-dir", dir.file("data")}, dir.file("log"));
  CHECK(daemon.wait() == 1);
  CHECK(daemon.log().find("kvcs.yaml:1: unknown key 'nope'") != std::string::npos);
  CHECK(daemon.log().find("http.listen") != std::string::npos);
}

TEST_CASE("serve: what was answered survives kill -9", "[e2e]") {
  TempDir dir;
  const std::vector<std::string> arguments = {"serve", "--data-dir", dir.file("data"), "--listen",
                                              "127.0.0.1:0"};
  std::vector<std::string> ids;
  for (int round = 0; round < 3; round++) {
    Daemon daemon(arguments, dir.file("log"));
    const int port = daemon.wait_until_ready();
    INFO(daemon.log());
    REQUIRE(port > 0);
    const std::string bearer = "Bearer " + first_key(dir.file("data"), "admin_key");
    for (const std::string& id : ids) {
      CHECK(fetch(port, "GET", "/admin/organizations/" + id, {{"Authorization", bearer}}).status ==
            200);
    }
    const RawResponse made =
        fetch(port, "POST", "/admin/organizations", {{"Authorization", bearer}}, R"({"name":"n"})");
    REQUIRE(made.status == 201);
    ids.push_back(made.body.substr(made.body.find("\"org_id\":\"") + 10, 36));
    daemon.signal(SIGKILL);
    CHECK(daemon.wait() == 128 + SIGKILL);
  }
}

TEST_CASE("serve: a stop does not wait for 100,000 records that are safe in the outbox", "[e2e]") {
  TempDir dir;
  const std::vector<std::string> arguments = {"serve", "--data-dir", dir.file("data"), "--listen",
                                              "127.0.0.1:0"};
  const auto bearer = [&dir] { return "Bearer " + first_key(dir.file("data"), "admin_key"); };
  {
    Daemon daemon(arguments, dir.file("log"));
    const int port = daemon.wait_until_ready();
    REQUIRE(port > 0);
    for (int i = 0; i < 10; i++) {
      std::string pairs = "[";
      for (int k = 0; k < 10'000; k++) {
        pairs += k == 0 ? "" : ",";
        pairs += "{\"key\":\"some:" + std::to_string(i) + ":" + std::to_string(k) +
                 "\",\"value\":\"v\"}";
      }
      const RawResponse put =
          fetch(port, "PUT", "/admin/kv/bulk", {{"Authorization", bearer()}}, pairs + "]");
      INFO(put.body);
      REQUIRE(put.status == 200);
    }
    const auto begin = std::chrono::steady_clock::now();
    daemon.signal(SIGTERM);
    CHECK(daemon.wait() == 0);
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
    INFO(daemon.log());
    CHECK(daemon.log().find("\"ledger.left_in_outbox\"") != std::string::npos);
  }
  // All of them are on record in the end.
  Daemon daemon(arguments, dir.file("log"));
  const int port = daemon.wait_until_ready();
  REQUIRE(port > 0);
  const auto is_on_record = [&] {
    const std::string metrics = fetch(port, "GET", "/metrics").body;
    if (metrics.find("\nkvcs_ledger_outbox_age_seconds 0\n") == std::string::npos) return false;
    const RawResponse verified =
        fetch(port, "GET", "/admin/audit/verify", {{"Authorization", bearer()}});
    const size_t at = verified.body.find("\"rows\":");
    return at != std::string::npos && std::atoi(verified.body.c_str() + at + 7) >= 100'000;
  };
  wait_until(is_on_record, "the audit holds every key");
}
