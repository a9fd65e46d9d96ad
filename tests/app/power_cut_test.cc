// Goal: what ARCHITECTURE.md promises of the power going ("Stores": durable when; "Crashes") holds
// for admin writes, SQL, uploads, kept answers and the first start; app/power_cut_ai_test.cc has
// the rows about money. Method: a whole App on a disk that forgets what was not synced. At the
// moment that a row speaks of the disk is copied as a cut would leave it, in each of the ways of
// cut_fates(), and a second App starts on each copy.
#include <nlohmann/json.hpp>

#include <atomic>
#include <set>

#include "base/crypto.h"
#include "base/json.h"
#include "support/ai_house.h"
#include "support/cut_folder.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;
namespace fs = std::filesystem;

namespace {

std::function<void(Config&)> on(const std::string& data_dir) {
  return [data_dir](Config& config) {
    config.data_dir = data_dir;
    CutFolder::never_sync_by_timer(config);
  };
}

// The store's sync() fails, and with it the mover of the outbox, which would sync what a request
// should have synced itself. Synced writes go on.
AppOptions only_own_syncs() {
  AppOptions options;
  options.kv_faults = [](std::string_view op, std::string_view) {
    return op == "sync" ? unavailable("No sync but of the write itself.") : ok();
  };
  return options;
}

// An App that began on a copy, with the keys of the first life.
struct SecondLife {
  explicit SecondLife(const std::string& folder) : app(on(folder + "/data")) {}
  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {}) const {
    return app.as_owner(method, path, body);
  }
  TestApp app;
};

struct Upload {
  std::string id, target;
};
Upload begin_upload(const TestApp& app, const std::string& bytes) {
  const RawResponse answer =
      app.as(app.credential("api_key"), "POST", "/api/v1/artifacts/upload-url",
             dump_json({{"model_name", "demo"},
                        {"dtype", "F16"},
                        {"num_tokens", 7},
                        {"visibility", "public"},
                        {"size_bytes", bytes.size()},
                        {"checksum", sha256_hex(bytes)},
                        {"metadata", {{"name", "demo"}, {"sha256", sha256_hex(bytes)}}}}));
  INFO(answer.body);
  REQUIRE(answer.status == 200);
  const std::string url = json_text(answer.body, "url");
  return {json_text(answer.body, "artifact_id"), url.substr(url.find("/blobs/"))};
}
RawResponse confirm(const TestApp& app, const Upload& upload) {
  return app.as(app.credential("api_key"), "POST",
                "/api/v1/artifacts/" + upload.id + "/confirm-upload", "{}");
}
std::string list(const TestApp& app) {
  return app.as(app.credential("api_key"), "GET", "/api/v1/artifacts").body;
}
// A public artifact's bytes are what they were.
bool downloads(const TestApp& app, const Upload& upload, const std::string& bytes) {
  const RawResponse answer = app.as(app.credential("api_key"), "GET", "/v1/artifacts/" + upload.id);
  return answer.status == 200 && answer.body == bytes;
}

size_t files_below(const std::string& folder) {
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    files += entry.is_regular_file() ? 1 : 0;
  }
  return files;
}

}  // namespace

TEST_CASE("power cut: after an admin write was answered, the write and its audit record stay",
          "[fault][power][app]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()), only_own_syncs());
  const std::string org = app.credential("organization_id");
  struct Write {
    std::string method, path, body, look, contains;
  };
  const std::vector<Write> writes = {
      {"POST", "/admin/organizations", R"({"name":"acme"})", "/admin/organizations", "\"acme\""},
      {"POST", "/admin/users", R"({"email":"ada@x.org","org_id":")" + org + "\"}", "/admin/users",
       "ada@x.org"},
      {"PATCH", "/admin/organizations/" + org, R"({"monthly_budget_usd":7.25})",
       "/admin/organizations/" + org, "7.25"},
      {"PUT", "/admin/ai/providers/openai",
       R"({"kind":"openai","base_url":"https://p.example","api_key":"sk-1"})",
       "/admin/ai/providers", "https://p.example"},
      {"PUT", "/admin/providers/local", R"({"base_url":"https://q.example/","auth_type":"bearer"})",
       "/admin/providers/local", "https://q.example"},
      {"PUT", "/admin/tenants/kahuna", R"({"name":"Kahuna"})", "/admin/tenants/kahuna", "Kahuna"},
      {"PUT", "/admin/tenants/kahuna/providers/local/accounts/main",
       R"({"access_token":"upstream-1"})", "/admin/tenants/kahuna/accounts", "main"},
      {"PUT", "/admin/kv/system/values/mine", "12", "/admin/kv/system/values/mine", "12"},
  };
  for (const Write& write : writes) {
    INFO(write.method << " " << write.path);
    const RawResponse answer = app.as_owner(write.method, write.path, write.body);
    INFO(answer.body);
    REQUIRE(answer.status < 300);
    const SecondLife life(folder.cut(cut_fates()[0]));
    const RawResponse look = life.admin("GET", write.look);
    INFO(look.body);
    CHECK(look.status == 200);
    CHECK(has(look.body, write.contains));
    const RawResponse audit = life.admin("GET", "/admin/audit");
    INFO(audit.body);
    CHECK(has(audit.body, answer.header("x-request-id")));
    CHECK(life.admin("GET", "/admin/audit/verify").status == 200);
  }
}

TEST_CASE("power cut: a key that was revoked does not come back", "[fault][power][app]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()), only_own_syncs());
  const RawResponse made =
      app.as_owner("POST", "/admin/admin-keys", R"({"name":"k","role":"viewer"})");
  const std::string key = json_text(made.body, "admin_key");
  REQUIRE(app.as(key, "GET", "/admin/me").status == 200);
  // Else a cut that takes both writes would look like a revocation.
  REQUIRE(app.parts().kv_engine->sync().ok());
  const std::string path = "/admin/admin-keys/" + json_text(made.body, "key_id");
  REQUIRE(app.as_owner("DELETE", path).status < 300);
  for (const std::string& copy : folder.cut_each_way()) {
    SecondLife life(copy);
    CHECK(life.app.as(key, "GET", "/admin/me").status == 401);
    CHECK(life.admin("GET", "/admin/me").status == 200);
  }
}

TEST_CASE("power cut: a row of SQL is there after its commit was answered", "[fault][power][app]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()));
  const std::string projects =
      "/admin/organizations/" + app.credential("organization_id") + "/projects";
  REQUIRE(app.as_owner("POST", projects, R"({"name":"second"})").status < 300);
  for (const std::string& copy : folder.cut_each_way()) {
    SecondLife life(copy);
    CHECK(has(life.admin("GET", projects).body, "second"));
  }
}

TEST_CASE("power cut: during a PUT nothing shows, and the temp file is swept at the next start",
          "[fault][power][artifacts]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()));
  const std::string bytes(3 << 20, 'b');
  const Upload upload = begin_upload(app, bytes);
  const size_t before = files_below(folder.data_dir() + "/blobs");
  RawClient client(app.port());
  REQUIRE(client.send("PUT " + upload.target + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                      std::to_string(bytes.size()) + "\r\n\r\n" + bytes.substr(1)));
  REQUIRE(comes_true([&] { return files_below(folder.data_dir() + "/blobs") == before + 1; }));
  const std::vector<std::string> copies = folder.cut_each_way();
  client.reset();
  for (const std::string& copy : copies) {
    SecondLife life(copy);
    CHECK(files_below(copy + "/data/blobs") == before);
    CHECK(json_text(list(life.app), "id").empty());
    CHECK(confirm(life.app, upload).status >= 400);
    // The client repeats.
    CHECK(life.app.call("PUT", upload.target, {}, bytes).status == 200);
    CHECK(confirm(life.app, upload).status == 200);
    CHECK(downloads(life.app, upload, bytes));
  }
}

TEST_CASE("power cut: after the rename, before the confirmation, the bytes are there unlisted",
          "[fault][power][artifacts]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()));
  const std::string bytes(300'000, 'b');
  const Upload upload = begin_upload(app, bytes);
  REQUIRE(app.call("PUT", upload.target, {}, bytes).status == 200);
  for (const std::string& copy : folder.cut_each_way()) {
    SecondLife life(copy);
    CHECK_FALSE(has(list(life.app), upload.id));
    CHECK(life.app.parts().blobs->stat(sha256_hex(bytes)).ok());
    CHECK(confirm(life.app, upload).status == 200);
    CHECK(downloads(life.app, upload, bytes));
  }
}

TEST_CASE("power cut: a confirmed upload keeps its row and every byte",
          "[fault][power][artifacts]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()));
  const std::string bytes = std::string(200'000, 'a') + std::string(70'000, 'z');
  const Upload upload = begin_upload(app, bytes);
  REQUIRE(app.call("PUT", upload.target, {}, bytes).status == 200);
  REQUIRE(confirm(app, upload).status == 200);
  for (const std::string& copy : folder.cut_each_way()) {
    SecondLife life(copy);
    CHECK(has(list(life.app), upload.id));
    CHECK(downloads(life.app, upload, bytes));
  }
}

TEST_CASE("power cut: a folder of blobs that a dead process made is synced by who uses it",
          "[fault][power][blob]") {
  CutFolder folder;
  TestApp app(on(folder.data_dir()));
  const std::string bytes = "the bytes", digest = sha256_hex(bytes);
  // Killed between mkdir and the sync of the folder above.
  fs::create_directories(folder.data_dir() + "/blobs/" + digest.substr(0, 2) + "/" +
                         digest.substr(2, 2));
  const Upload upload = begin_upload(app, bytes);
  REQUIRE(app.call("PUT", upload.target, {}, bytes).status == 200);
  REQUIRE(confirm(app, upload).status == 200);
  const SecondLife life(folder.cut(cut_fates()[0]));
  CHECK(downloads(life.app, upload, bytes));
}

TEST_CASE("power cut: between an effect and the keeping of its answer the marker stands",
          "[fault][power][app]") {
  CutFolder folder;
  AiHouse house(on(folder.data_dir()), only_own_syncs());
  const auto ask = [&](const TestApp& app) {
    return app.call("POST", "/v1/chat/completions",
                    {{"api-key", house.key}, {"Idempotency-Key", "one"}}, kHello);
  };
  const std::string answer = "{\"choices\":[]," + kUsage + "}";
  std::vector<std::string> during;
  house.provider.set([&](LoopbackPeer& peer) {
    during = folder.cut_each_way();
    return peer.answer(answer);
  });
  const RawResponse first = ask(house.app);
  REQUIRE(first.status == 200);
  const std::vector<std::string> after = folder.cut_each_way();
  REQUIRE(during.size() == cut_fates().size());
  for (const std::string& copy : during) {
    SecondLife life(copy);
    const RawResponse repeat = ask(life.app);
    INFO(repeat.body);
    CHECK(repeat.status == 409);
    CHECK(has(repeat.body, "idempotency_outcome_unknown"));
  }
  // Once the answer was given it is kept as well.
  for (const std::string& copy : after) {
    SecondLife life(copy);
    const RawResponse repeat = ask(life.app);
    CHECK(repeat.status == 200);
    CHECK(repeat.body == first.body);
    CHECK(repeat.header("idempotent-replay") == "true");
  }
  CHECK(house.provider.bodies().size() == 1);
}

TEST_CASE("power cut: after a provider's connection broke, a repeat is not sent again",
          "[fault][power][app]") {
  CutFolder folder;
  AiHouse house(on(folder.data_dir()), only_own_syncs());
  const auto ask = [&](const TestApp& app) {
    return app.call("POST", "/v1/chat/completions",
                    {{"api-key", house.key}, {"Idempotency-Key", "one"}}, kHello);
  };
  house.provider.set([](LoopbackPeer& peer) {
    peer.reset();
    return false;
  });
  CHECK(ask(house.app).status >= 500);
  const size_t sent = house.provider.bodies().size();
  for (const std::string& copy : folder.cut_each_way()) {
    SecondLife life(copy);
    CHECK(has(ask(life.app).body, "idempotency_outcome_unknown"));
  }
  CHECK(house.provider.bodies().size() == sent);
}

TEST_CASE("power cut: a first start cut at any sync is finished by the next one",
          "[fault][power][app]") {
  CutFolder folder;
  std::vector<std::string> copies;
  folder.disk().on_sync([&](uint64_t sync) {
    // Each third sync, and by turns each fate: all of them would take half a minute.
    if (sync % 3 == 0) copies.push_back(folder.cut(cut_fates()[sync / 3 % cut_fates().size()]));
  });
  TestApp app(on(folder.data_dir()));
  folder.disk().on_sync(nullptr);
  const std::string key = app.credential("admin_key");
  // From here on the answer has been given.
  copies.push_back(folder.cut(cut_fates()[0]));
  REQUIRE(copies.size() > 8);
  bool is_known = false;
  for (const std::string& copy : copies) {
    const std::string path = initial_credentials_path(copy + "/data");
    is_known = fs::exists(path);
    const std::string before = is_known ? read_small_file(path, 1 << 16).value() : "";
    SecondLife life(copy);
    CHECK(life.admin("GET", "/admin/me").status == 200);
    const RawResponse me = life.app.as(life.app.credential("api_key"), "GET", "/api/v1/me");
    CHECK(json_text(me.body, "project_id") == life.app.credential("project_id"));
    if (is_known) CHECK(read_small_file(path, 1 << 16).value() == before);
  }
  CHECK(is_known);
  CHECK(SecondLife(copies.back()).app.credential("admin_key") == key);
}
