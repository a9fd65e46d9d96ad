// The whole daemon in this process, on a directory of its own and a free port of 127.0.0.1; and
// Scenario, one row of a table of requests.
#pragma once
#include <catch2/catch.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "app/app.h"
#include "app/first_start.h"
#include "app/parts.h"
#include "base/file.h"
#include "base/log.h"
#include "http/route_rows.h"
#include "http/router.h"
#include "ledger/ledger.h"
#include "ops/cron.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"

namespace kvcs::test {

class TestApp final {
 public:
  static Config quiet_config(const std::string& data_dir) {
    Config config;
    config.data_dir = data_dir;
    config.shutdown_grace_s = 1;
    config.http.listen = "127.0.0.1:0";
    config.http.server.listen_host = "127.0.0.1";
    config.http.server.listen_port = 0;
    config.http.server.access_log = false;
    config.http.server.workers_min = 2;
    config.kv.block_cache_bytes = 1 << 20;
    config.kv.write_buffer_bytes = 1 << 20;
    config.admin.requests_per_minute = 1'000'000;
    return config;
  }

  TestApp() : TestApp(AppOptions{}) {}
  explicit TestApp(AppOptions options) : options_(std::move(options)) {
    config_ = quiet_config(dir_.file("data"));
    start();
  }
  explicit TestApp(const std::function<void(Config&)>& edit, AppOptions options = {})
      : options_(std::move(options)) {
    config_ = quiet_config(dir_.file("data"));
    edit(config_);
    start();
  }
  ~TestApp() {
    app_.reset();
    log::set_level(log::Level::kInfo);
  }

  void restart() {
    app_.reset();
    start();
  }
  void stop() { app_.reset(); }  // Until restart().
  App& app() { return *app_; }
  Parts& parts() { return app_->parts(); }
  int port() const { return app_->port(); }
  std::string data_dir() const { return config_.data_dir; }

  // A member of initial-credentials.json.
  std::string credential(const std::string& name) const {
    const std::string text =
        read_small_file(initial_credentials_path(config_.data_dir), 1 << 16).value();
    const std::string mark = "\"" + name + "\": \"";
    const size_t at = text.find(mark);
    // Threads of tests ask, too, and Catch2's assertions are for one thread.
    if (at == std::string::npos) throw std::runtime_error("no credential " + name);
    const size_t begin = at + mark.size();
    return text.substr(begin, text.find('"', begin) - begin);
  }

  using Headers = std::vector<std::pair<std::string, std::string>>;
  RawResponse call(const std::string& method, const std::string& target, Headers headers = {},
                   const std::string& body = {}) const {
    return fetch(app_->port(), method, target, std::move(headers), body);
  }
  RawResponse as(const std::string& key, const std::string& method, const std::string& target,
                 const std::string& body = {}) const {
    return call(method, target, {{"Authorization", "Bearer " + key}}, body);
  }
  RawResponse as_owner(const std::string& method, const std::string& target,
                       const std::string& body = {}) const {
    return as(credential("admin_key"), method, target, body);
  }

 private:
  void start() {
    log::set_level(log::Level::kError);
    Result<std::unique_ptr<App>> app = App::create(config_, options_);
    INFO(app.status().to_string());
    REQUIRE(app.ok());
    app_ = std::move(app).value();
    const Status started = app_->start();
    INFO(started.to_string());
    REQUIRE(started.ok());
  }

  TempDir dir_;
  Config config_;
  AppOptions options_;
  std::unique_ptr<App> app_;
};

// One request and what its answer must and must not be.
struct Scenario {
  std::string name, method, path;
  TestApp::Headers headers = {};
  std::string body = {};
  int status = 200;
  std::vector<std::string> contains = {}, lacks = {};

  void run(const TestApp& app) const {
    INFO(name << ": " << method << " " << path);
    const RawResponse response = app.call(method, path, headers, body);
    INFO(response.body);
    CHECK(response.status == status);
    for (const std::string& text : contains) {
      INFO("contains " << text);
      CHECK(response.body.find(text) != std::string::npos);
    }
    for (const std::string& text : lacks) {
      INFO("lacks " << text);
      CHECK(response.body.find(text) == std::string::npos);
    }
  }
};

// The string member `name` of a JSON body; "" when absent.
inline std::string json_text(const std::string& body, const std::string& name) {
  const std::string mark = "\"" + name + "\":\"";
  const size_t at = body.find(mark);
  if (at == std::string::npos) return "";
  const size_t begin = at + mark.size();
  return body.substr(begin, body.find('"', begin) - begin);
}

}  // namespace kvcs::test
