// The process's limit of descriptors: connections fit into it, or the start is refused.
#include "app/descriptors.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <filesystem>
#include <optional>
#include <vector>

#include "base/crypto.h"
#include "base/descriptor_room.h"
#include "base/file.h"
#include "base/json.h"
#include "support/daemon.h"
#include "support/raw_client.h"
#include "support/temp_dir.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Of the daemons that are started meanwhile; `kind` is "", both limits, or "-S", the lower one.
class LimitScope final {
 public:
  explicit LimitScope(rlim_t descriptors, const std::string& kind = "") {
    const std::string script = dir_.file("kvcs");
    std::ofstream(script) << "#!/bin/sh\nulimit " << kind << " -n " << descriptors << "\nexec '"
                          << kvcs_binary() << "' \"$@\"\n";
    std::filesystem::permissions(script, std::filesystem::perms::owner_all);
    if (const char* before = std::getenv("KVCS_BINARY")) before_ = before;
    ::setenv("KVCS_BINARY", script.c_str(), 1);
  }
  ~LimitScope() {
    if (before_.empty()) ::unsetenv("KVCS_BINARY");
    if (!before_.empty()) ::setenv("KVCS_BINARY", before_.c_str(), 1);
  }

 private:
  TempDir dir_;
  std::string before_;
};

}  // namespace

TEST_CASE("descriptors: connections leave room for the stores, a file each and idle servers",
          "[unit][app]") {
  http::ServerConfig server;
  http::UpstreamConfig upstream;
  server.connections_max = 1000;
  int files = 512;
  CHECK_FALSE(fit_connections(server, upstream, files, 1 << 20).value());
  CHECK(server.connections_max == 1000);
  CHECK(upstream.connections_idle_max == 512);
  CHECK(files == 512);
  // 1,024 are the stores', 1,024 the engines', and 2,048 + 32 requests are at work at most.
  server.connections_max = 20'000;
  CHECK(fit_connections(server, upstream, files, 20'000).value());
  CHECK(server.connections_max == 15'872);
  CHECK(fit_connections(server, upstream, files, 1024).value());
  // 256 are the stores', and each of the two engines keeps 48 connections.
  CHECK(upstream.connections_idle_max == 48);
  CHECK(server.connections_max == 336);
  CHECK(files == 128);
  CHECK(fit_connections(server, upstream, files, 128).value());
  CHECK(upstream.connections_idle_max == 4);
  CHECK(server.connections_max == 28);
  const auto refused = fit_connections(server, upstream, files, 127);
  CHECK(refused.code() == Code::kInvalid);
  CHECK(refused.status().message().find("127 descriptors") != std::string::npos);
}

TEST_CASE("serve: a low limit of descriptors is told, and a too low one refused", "[e2e]") {
  TempDir dir;
  const std::vector<std::string> arguments = {"serve", "--data-dir", dir.file("data"), "--listen",
                                              "127.0.0.1:0"};
  {
    const LimitScope limit(120);
    Daemon daemon(arguments, dir.file("log"));
    CHECK(daemon.wait() == 1);
    CHECK(daemon.log().find("RLIMIT_NOFILE") != std::string::npos);
  }
  const LimitScope limit(400);
  Daemon daemon(arguments, dir.file("log"));
  const int port = daemon.wait_until_ready();
  CHECK(daemon.log().find("\"http.connections_lowered\",\"connections_max\":132") !=
        std::string::npos);
  CHECK(fetch(port, "GET", "/livez").status == 200);
}

TEST_CASE("serve: the lower limit of descriptors is raised to the higher one", "[e2e]") {
  TempDir dir;
  const LimitScope limit(130, "-S");
  Daemon daemon({"serve", "--data-dir", dir.file("data"), "--listen", "127.0.0.1:0"},
                dir.file("log"));
  REQUIRE(daemon.wait_until_ready() > 0);
  rlimit now{};
  REQUIRE(::prlimit(daemon.pid(), RLIMIT_NOFILE, nullptr, &now) == 0);
  CHECK(now.rlim_cur == std::min<rlim_t>(now.rlim_max, 1u << 20));
  CHECK(now.rlim_cur > 130);
}

TEST_CASE("descriptors: slow downloads leave the stores what they need", "[e2e]") {
  TempDir dir;
  constexpr rlim_t kLimit = 400;
  std::optional<LimitScope> limit(kLimit);
  Daemon daemon(
      {"serve", "--data-dir", dir.file("data"), "--listen", "127.0.0.1:0"}, dir.file("log"),
      {{"KVCS_HTTP_CONNECTIONS_ADDRESS_PERCENT", "100"}, {"KVCS_HTTP_STREAMS_KEY_PERCENT", "100"}});
  const int port = daemon.wait_until_ready();
  limit.reset();
  REQUIRE(port != 0);
  const std::string credentials = dump_json(
      parse_json(read_small_file(dir.file("data") + "/initial-credentials.json", 1 << 16).value())
          .value());
  const auto as = [&](const char* key, const char* method, const std::string& target,
                      const std::string& body) {
    return fetch(port, method, target, {{"Authorization", "Bearer " + json_text(credentials, key)}},
                 body);
  };
  const std::string bytes(8 << 20, 'x');
  const RawResponse made = as(
      "api_key", "POST", "/api/v1/artifacts/upload-url",
      R"({"model_name":"demo","dtype":"F16","num_tokens":7,"visibility":"public","size_bytes":)" +
          std::to_string(bytes.size()) + R"(,"checksum":")" + sha256_hex(bytes) + "\"}");
  INFO(made.body);
  REQUIRE(made.status == 200);
  const std::string url = json_text(made.body, "url"), id = json_text(made.body, "artifact_id");
  REQUIRE(fetch(port, "PUT", url.substr(url.find("/blobs/")), {}, bytes).status == 200);
  REQUIRE(as("api_key", "POST", "/api/v1/artifacts/" + id + "/confirm-upload", "{}").status == 200);

  // More than the limit of connections, 132; those that are let in take nothing of what they get.
  std::vector<RawClient> slow;
  for (int i = 0; i < 180; i++) {
    slow.emplace_back(port);
    slow.back().send("GET /v1/artifacts/" + id + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  int served = 0;
  for (RawClient& client : slow) served += client.read_some().starts_with("HTTP/1.1 200") ? 1 : 0;
  CHECK(served > 100);
  CHECK(served <= 132);
  const auto open_now = [&] {
    const std::filesystem::directory_iterator all("/proc/" + std::to_string(daemon.pid()) + "/fd");
    return static_cast<rlim_t>(std::distance(begin(all), end(all)));
  };
  CHECK(open_now() > 2 * 100);
  CHECK(open_now() <= kLimit - store_descriptors(kLimit) + 1);
  // The store takes writes all the while.
  for (int i = 0; i < 10; i++) slow[static_cast<size_t>(i)].reset();
  int made_organizations = 0;
  wait_until(
      [&] {
        const std::string slug = "org-" + std::to_string(made_organizations);
        const RawResponse answer = as("admin_key", "POST", "/admin/organizations",
                                      R"({"name":"Acme","slug":")" + slug + "\"}");
        made_organizations += answer.status == 201 ? 1 : 0;
        return made_organizations == 5;
      },
      "organizations made while downloads stand");
  CHECK(daemon.log().find("Too many open files") == std::string::npos);
}
