// Every word by which an error names itself is told at the front door by some test; here those
// that have no other, and a reading of the sources that finds a word without one.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "identity/keys.h"
#include "kv/keyspace.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

void check(const RawResponse& response, int status, const std::string& reason) {
  INFO(response.body);
  CHECK(response.status == status);
  CHECK(has(response.body, "\"" + reason + "\""));
}

std::string read_all(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("errors: each reason that the sources give has a test", "[tidy]") {
  const char* given = std::getenv("KVCS_SOURCE_DIR");
  const std::filesystem::path root = given == nullptr ? "." : given;
  std::string tests;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "tests")) {
    const std::string path = entry.path().string();
    if (path.find("node_modules") != path.npos) continue;
    if (path.ends_with(".cc") || path.ends_with(".mjs")) tests += read_all(entry.path());
  }
  const std::regex reason("with_reason\\(\"([A-Za-z_]+)\"\\)");
  size_t found = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "src")) {
    if (entry.path().extension() != ".cc") continue;
    // Of artifacts the portal's dialect tells the message alone.
    if (entry.path().string().find("/artifacts/") != std::string::npos) continue;
    const std::string text = read_all(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), reason), end; at != end; ++at) {
      found++;
      INFO(entry.path().string() << " " << (*at)[1]);
      CHECK(tests.find((*at)[1].str()) != std::string::npos);
    }
  }
  CHECK(found > 50);
}

TEST_CASE("errors: of the AI door", "[contract][ai]") {
  AiHouse house([](Config& config) {
    config.ai.providers = "fixed:\n  kind: openai_compatible\n  base_url: http://127.0.0.1:1\n";
  });
  check(house.app.call("POST", "/v1/chat/completions", {}, kHello), 401, "auth_error");
  check(house.app.as(house.app.credential("api_key"), "GET", "/v1/models"), 403,
        "wrong_key_family");
  const std::string messages =
      R"({"model":"gpt-4o-mini","max_tokens":5,"messages":[{"role":"user","content":"x"}]})";
  const RawResponse other = house.message(messages);
  CHECK(other.status == 400);
  CHECK(has(other.body, "does not speak this API; use /v1/chat/completions."));
  check(house.app.as(house.key, "POST", "/v1/responses",
                     R"({"model":"claude-haiku-4-5","input":"x"})"),
        400, "api_not_supported");
  check(house.admin("GET", "/admin/ai/providers/nobody"), 404, "provider_not_found");
  check(house.admin("DELETE", "/admin/ai/providers/nobody"), 404, "provider_not_found");
  check(house.admin("DELETE", "/admin/ai/providers/fixed"), 409, "provider_configured");
  check(house.app.as(house.key, "GET", "/v1/usage/0123456789abcdef"), 404, "not_found");
}

TEST_CASE("errors: of keys and projects", "[contract][identity]") {
  AiHouse house;
  const std::string org = "/admin/organizations/" + house.org;
  const std::string viewer =
      json_text(house.admin("POST", "/admin/admin-keys", R"({"name":"v","role":"viewer"})").body,
                "admin_key");
  check(house.app.as(viewer, "POST", "/admin/organizations", R"({"name":"x"})"), 403,
        "insufficient_role");
  const std::string own = json_text(house.admin("GET", "/admin/me").body, "key_id");
  check(house.admin("DELETE", "/admin/admin-keys/" + own), 409, "key_in_use");
  check(house.admin("DELETE", org + "/projects/nobody"), 404, "project_not_found");
  const std::string project = house.app.credential("project_id");
  REQUIRE(house.app
              .as(house.app.credential("api_key"), "POST", "/api/v1/artifacts/upload-url",
                  R"({"name":"demo","dtype":"F16"})")
              .status == 200);
  check(house.admin("DELETE", org + "/projects/" + project), 409, "project_not_empty");
  check(house.admin("POST", "/admin/backup"), 409, "backup_off");
  REQUIRE(house.admin("PUT", "/admin/tenants/acme", "{}").status == 200);
  const std::string token =
      json_text(house.admin("POST", "/admin/tenants/acme/tokens", R"({"name":"t"})").body, "token");
  check(house.app.as(token, "POST", "/api/v1/other/demo", "{}"), 401, "AUTH_FAILED");
}

TEST_CASE("errors: a token whose record is damaged is neither right nor wrong",
          "[fault][gateway]") {
  TestApp app([](Config& config) { config.gateway.signin_failures_per_minute = 2; });
  const std::string token = "a-bearer-of-acme-1";
  KvBatch batch;
  batch.put(KvFamily::kAuth, keyspace::tenant_auth(sha256_hex(token)), "{not json");
  REQUIRE(app.parts().kv->write(batch, KvDurability::kSynced).ok());
  for (int i = 0; i < 5; i++) {
    const RawResponse told = app.as(token, "POST", "/api/v1/acme/mock", "{}");
    check(told, 500, "INTERNAL");
    CHECK(has(told.body, "trying again does not help"));
  }
}

TEST_CASE("errors: wrong admin keys lock an address out, but no right one",
          "[contract][identity]") {
  AiHouse house([](Config& config) { config.admin.failures_max = 3; });
  for (int i = 0; i < 3; i++) {
    CHECK(house.app.as("ka_" + std::string(64, '0'), "GET", "/admin/me").status == 401);
  }
  const RawResponse locked = house.app.as("ka_" + std::string(64, '1'), "GET", "/admin/me");
  check(locked, 429, "locked_out");
  CHECK(std::atoi(locked.header("retry-after").c_str()) > 0);
  CHECK(house.admin("GET", "/admin/me").status == 200);
  CHECK(house.chat().status == 200);  // The AI door is another one.
}

TEST_CASE("errors: a user may have so many keys and no more; a revoked one makes room",
          "[contract][identity]") {
  AiHouse house;
  const std::string keys = "/admin/users/" + house.user + "/api-keys";
  KvStore& kv = *house.app.parts().kv;
  const std::string record =
      kv.get(KvFamily::kConfig, keyspace::user_key(house.user, house.key_id))->value;
  KvBatch many;
  for (size_t i = 1; i < kKeysPerOwnerMax; i++) {
    const std::string id = "k" + std::to_string(i);
    std::string copy = record;
    copy.replace(copy.find(house.key_id), house.key_id.size(), id);
    many.put(KvFamily::kConfig, keyspace::user_key(house.user, id), copy);
  }
  REQUIRE(kv.write(many, KvDurability::kSynced).ok());
  const RawResponse last = house.admin("POST", keys, R"({"name":"k"})");
  check(last, 409, "too_many_keys");
  CHECK(has(last.body, "There are 1000 keys already, none of them revoked; revoke some first."));

  CHECK(house.admin("DELETE", keys + "/" + house.key_id).status == 200);
  CHECK(house.admin("POST", keys, R"({"name":"k"})").status == 201);
  CHECK(kv.get(KvFamily::kConfig, keyspace::user_key(house.user, house.key_id)).code() ==
        Code::kNotFound);
  CHECK(house.chat().status == 401);
  check(house.admin("POST", keys, R"({"name":"k"})"), 409, "too_many_keys");
}
