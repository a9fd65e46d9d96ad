// Goal: what the artifact door promises holds in the whole daemon: damaged bytes are refused in
// words, told of and found by the scrub; and a change is in the audit while the key-value store
// takes no writes. Method: the daemon over files that are changed under it, and a store that fails.
#include <nlohmann/json.hpp>

#include <atomic>
#include <fstream>

#include "base/crypto.h"
#include "base/json.h"
#include "kvfile/support.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

std::string store(const TestApp& app, const std::string& bytes) {
  const std::string key = app.credential("api_key");
  const Json ask{{"model_name", "demo"},
                 {"dtype", "F16"},
                 {"num_tokens", 7},
                 {"visibility", "public"},
                 {"size_bytes", bytes.size()},
                 {"checksum", sha256_hex(bytes)}};
  const RawResponse made = app.as(key, "POST", "/api/v1/artifacts/upload-url", dump_json(ask));
  INFO(made.body);
  REQUIRE(made.status == 200);
  const std::string url = json_text(made.body, "url"), id = json_text(made.body, "artifact_id");
  CHECK(app.call("PUT", url.substr(url.find("/blobs/")), {}, bytes).status == 200);
  CHECK(app.as(key, "POST", "/api/v1/artifacts/" + id + "/confirm-upload", "{}").status == 200);
  return id;
}

std::string path_of(const TestApp& app, const std::string& digest) {
  return app.data_dir() + "/blobs/" + digest.substr(0, 2) + "/" + digest.substr(2, 2) + "/" +
         digest;
}

}  // namespace

TEST_CASE("artifacts: a blob that was cut is refused in words, and told of", "[e2e][artifacts]") {
  TestApp app;
  const std::string bytes(20'000, 'x'), id = store(app, bytes);
  CHECK(app.call("GET", "/v1/artifacts/" + id).body == bytes);
  std::ofstream(path_of(app, sha256_hex(bytes)), std::ios::binary | std::ios::trunc)
      << bytes.substr(0, 100);
  for (const char* method : {"GET", "HEAD"}) {
    const RawResponse refused = app.call(method, "/v1/artifacts/" + id);
    CHECK(refused.status == 500);
    CHECK(refused.header("etag").empty());
    const bool has_body = std::string(method) == "GET";
    CHECK((refused.body.find("are damaged; they are not sent") != std::string::npos) == has_body);
  }
  REQUIRE(app.parts().ledger->drain().ok());
  const std::string alerts = app.as_owner("GET", "/admin/alerts").body;
  INFO(alerts);
  CHECK(alerts.find("blob.damaged") != std::string::npos);
  CHECK(alerts.find(sha256_hex(bytes)) != std::string::npos);
}

TEST_CASE("artifacts: the scrub runs on demand and sets a changed blob aside", "[e2e][artifacts]") {
  TestApp app;
  const std::string bytes(20'000, 'x'), id = store(app, bytes), digest = sha256_hex(bytes);
  std::fstream(path_of(app, digest), std::ios::binary | std::ios::in | std::ios::out) << 'y';
  CHECK(app.as_owner("POST", "/admin/jobs/blob-scrub/run").status == 202);
  wait_until(
      [&] {
        return app.as_owner("GET", "/admin/job-runs?job=blob-scrub").body.find("damaged_blobs") !=
               std::string::npos;
      },
      "the scrub never ended");
  CHECK(read_small_file(app.data_dir() + "/blobs/damaged/" + digest, 1 << 20).ok());
  const RawResponse refused = app.call("GET", "/v1/artifacts/" + id);
  CHECK(refused.status == 500);
  CHECK(refused.body.find("are missing from the blob store") != std::string::npos);
}

TEST_CASE("artifacts: a project key has a rate of its own, of which a search takes more",
          "[e2e][artifacts]") {
  ManualClock clock;
  TestApp app([](Config& config) { config.artifacts.requests_per_minute = 25; }, {.clock = &clock});
  const std::string key = app.credential("api_key");
  const std::string search = R"({"model":"demo","tokens":[1,2,3]})";
  const int first = app.as(key, "POST", "/api/v1/artifacts/search", search).status;
  CHECK(first < 429);
  for (int i = 0; i < 5; i++) CHECK(app.as(key, "GET", "/api/v1/artifacts").status == 200);
  const RawResponse refused = app.as(key, "GET", "/api/v1/artifacts");
  CHECK(refused.status == 429);
  CHECK_FALSE(refused.header("retry-after").empty());
  CHECK(refused.body.find("25 a minute") != std::string::npos);
  // Many ids count as more requests.
  clock.advance_ms(60'000);
  std::string many = "7";
  for (int i = 1; i < 12'288; i++) many += ",7";
  const RawResponse large =
      app.as(key, "POST", "/api/v1/artifacts/search", R"({"tokens":[)" + many + "]}");
  CHECK(large.status == 429);
  CHECK(large.body.find("12288 ids with this key counts as 6 requests") != std::string::npos);
  // Whoever does not have the key does not use it up.
  clock.advance_ms(60'000);
  for (int i = 0; i < 30; i++) {
    CHECK(app.as("kv_" + std::string(64, '0'), "GET", "/api/v1/artifacts").status == 401);
  }
  CHECK(app.as(key, "GET", "/api/v1/artifacts").status == 200);
}

TEST_CASE("artifacts: an address has a rate of the slices that must be planned",
          "[e2e][artifacts]") {
  ManualClock clock;
  TestApp app([](Config& config) { config.artifacts.requests_per_minute = 25; }, {.clock = &clock});
  TempDir folder;
  REQUIRE(kvfile::write_sample(folder.file("a.kv"), kvfile::Dtype::kF16, {3, 2, 40, 16}, 5).ok());
  const std::string id = store(app, kvfile::read_bytes(folder.file("a.kv")));
  const auto cut = [&](int from) {
    return app.call("GET", "/v1/artifacts/" + id + "?tokens=" + std::to_string(from) + ":40");
  };
  for (int i = 0; i < 25; i++) CHECK(cut(i).status == 200);
  const RawResponse refused = cut(25);
  CHECK(refused.status == 429);
  CHECK_FALSE(refused.header("retry-after").empty());
  CHECK(refused.body.find("25 a minute") != std::string::npos);
  // One that was made lately costs nothing, nor do the bytes as they are.
  for (int i = 0; i < 30; i++) CHECK(cut(3).status == 200);
  CHECK(app.call("GET", "/v1/artifacts/" + id).status == 200);
  clock.advance_ms(60'000);
  CHECK(cut(25).status == 200);
}

TEST_CASE("artifacts: a change is in the audit while the key-value store takes no writes",
          "[e2e][artifacts]") {
  std::atomic<bool> failing{false};
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view) {
    return failing && op == "write" ? unavailable("No space left.") : ok();
  };
  TestApp app(options);
  const std::string id = store(app, "bytes"), key = app.credential("api_key");
  failing = true;
  CHECK(app.as(key, "DELETE", "/api/v1/artifacts/" + id).status == 204);
  const std::string audit = app.as_owner("GET", "/admin/audit?key=" + id).body;
  failing = false;
  INFO(audit);
  CHECK(audit.find("\"action\":\"delete\"") != std::string::npos);
  CHECK(app.as_owner("GET", "/admin/audit/verify").body.find("\"ok\":true") != std::string::npos);
}

TEST_CASE("artifacts: one upload URL takes one body at a time", "[e2e][artifacts]") {
  TestApp app;
  const std::string bytes(20'000, 'x');
  const Json ask{{"model_name", "demo"},
                 {"dtype", "F16"},
                 {"num_tokens", 7},
                 {"visibility", "public"},
                 {"size_bytes", bytes.size()},
                 {"checksum", sha256_hex(bytes)}};
  const RawResponse made =
      app.as(app.credential("api_key"), "POST", "/api/v1/artifacts/upload-url", dump_json(ask));
  REQUIRE(made.status == 200);
  const std::string url = json_text(made.body, "url");
  const std::string target = url.substr(url.find("/blobs/"));
  RawClient slow(app.port());
  REQUIRE(slow.send("PUT " + target + " HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n" +
                    "Expect: 100-continue\r\n\r\n"));
  REQUIRE(slow.read_response(false, true).status == 100);
  // The body is asked for once the upload has begun.
  const RawResponse refused = app.call("PUT", target, {}, bytes);
  INFO(refused.body);
  CHECK(refused.status == 429);
  CHECK_FALSE(refused.header("retry-after").empty());
  CHECK(refused.body.find("takes one at a time") != std::string::npos);
  CHECK(app.call("GET", "/metrics")
            .body.find("kvcs_artifacts_refused_by_share_total{share=\"upload_url\"} 1") !=
        std::string::npos);
  REQUIRE(slow.send(bytes));
  CHECK(slow.read_response().status == 200);
  CHECK(comes_true([&] { return app.call("PUT", target, {}, bytes).status == 200; }));
}
