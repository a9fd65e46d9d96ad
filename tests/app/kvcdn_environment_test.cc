// Goal: a store that moves here from the self-hosted backend keeps its variables and its keys.
// Method: the configuration read from texts, and a whole daemon with what they set.
#include "app/kvcdn_environment.h"

#include <nlohmann/json.hpp>

#include "identity/orgs.h"
#include "support/json_answer.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

LoadedConfig load(const Environment& environment, std::string_view yaml = "") {
  return load_config_text(yaml, environment, "kvcs.yaml");
}

bool has_note(const LoadedConfig& loaded, std::string_view text) {
  for (const std::string& note : loaded.notes) {
    if (note.find(text) != note.npos) return true;
  }
  return false;
}

const char* const kAcmeKey = "kv_72e24653cf65c3ca971e307a5a435579353205766ef04f40f8e0ec6ade95af9f";
const char* const kAdminSecret = "admin-secret-of-the-test";

void seed(Config& config) {
  config.seeded_keys.seed = Secret("test-seed-deadbeef");
  config.seeded_keys.organizations = {" Acme", "contoso"};
  config.seeded_keys.admin_secret = Secret(kAdminSecret);
}

int give(const TestApp& app, const std::string& bearer, const std::string& body) {
  return app.as(bearer, "POST", "/api/v1/admin/api-keys", body).status;
}

}  // namespace

TEST_CASE("KVCDN_*: they set what kvcs.yaml and KVCS_* leave open", "[unit][app]") {
  const Environment environment = {{"KVCDN_API_PORT", "3100"},
                                   {"KVCDN_HOST", "127.0.0.1"},
                                   {"KVCDN_QUOTA_ORGS", "3"},
                                   {"KVCDN_QUOTA_PROJECTS", "4"},
                                   {"KVCDN_QUOTA_ARTIFACTS", "0"},
                                   {"KVCDN_QUOTA_STORAGE_BYTES", "6"},
                                   {"KVCDN_API_KEY_SEED", "seed"},
                                   {"KVCDN_API_KEY_ORGS", "acme, contoso,"},
                                   {"KVCDN_ADMIN_SECRET", kAdminSecret},
                                   {"KVCDN_ISSUER_URL", "https://issuer.example.com"}};
  const LoadedConfig loaded = load(environment);
  CHECK(loaded.faults.empty());
  CHECK(loaded.notes.empty());
  CHECK(loaded.config.http.listen == "127.0.0.1:3100");
  CHECK(loaded.config.http.server.listen_port == 3100);
  CHECK(loaded.config.auth.plans.organizations == 3);
  CHECK(loaded.config.auth.plans.projects == 4);
  CHECK(loaded.config.auth.plans.artifacts == 0);
  CHECK(loaded.config.auth.plans.storage_bytes == 6);
  CHECK(loaded.config.seeded_keys.seed.reveal() == "seed");
  CHECK(loaded.config.seeded_keys.organizations == std::vector<std::string>{"acme", "contoso"});
  CHECK(loaded.config.seeded_keys.admin_secret.reveal() == kAdminSecret);
  CHECK(loaded.config.auth.providers ==
        R"({"kvcdn":{"issuer":"https://issuer.example.com","client_id":"kvcdn-cli"}})");

  Environment more = environment;
  more["KVCS_ARTIFACTS_QUOTA_PROJECTS"] = "40";
  const LoadedConfig over =
      load(more, "http:\n  listen: 127.0.0.1:8080\nartifacts:\n  quota_artifacts: 50\n");
  CHECK(over.config.http.listen == "127.0.0.1:8080");
  CHECK(over.config.auth.plans.artifacts == 50);
  CHECK(over.config.auth.plans.projects == 40);
  CHECK(over.config.auth.plans.organizations == 3);
}

TEST_CASE("KVCDN_*: what is wrong or says nothing is told", "[unit][app]") {
  CHECK(load({{"KVCDN_API_PORT", "3000"}}).config.http.listen == "0.0.0.0:3000");
  CHECK(load({{"KVCDN_HOST", "::1"}}).config.http.listen == "[::1]:3000");
  for (const char* port : {"0", "65536", "x", "-1", "80x"}) {
    INFO(port);
    CHECK(load({{"KVCDN_API_PORT", port}}).faults.size() == 1);
  }
  const LoadedConfig loaded = load({{"KVCDN_API_PORT", ""},
                                    {"KVCDN_QUOTA_ARTIFACTS", "-5"},
                                    {"KVCDN_S3_BUCKET", "bucket"},
                                    {"KVCDN_TELEMETRY_URL", "https://t.example.com"},
                                    {"KVCDN_ADMIN_SECRET", "tiny-1"}});
  CHECK(loaded.faults.empty());
  CHECK(loaded.config.http.listen == Config().http.listen);
  CHECK(loaded.config.auth.plans.artifacts == Config().auth.plans.artifacts);
  for (const char* name : {"QUOTA_ARTIFACTS", "S3_BUCKET", "TELEMETRY_URL", "ADMIN_SECRET"}) {
    INFO(name);
    CHECK(has_note(loaded, name));
  }
  for (const std::string& note : loaded.notes) CHECK(note.find("tiny-1") == note.npos);
}

TEST_CASE("seeded keys: organizations of the list have theirs from the start", "[contract][app]") {
  TestApp app(seed);
  const Json me = json_of(app.as(kAcmeKey, "GET", "/api/v1/me"));
  CHECK(me["organization"] == "acme");
  CHECK(me["kind"] == "organization");
  CHECK(me["customer_id"] == "255ae7f79a8a2c14a5e5c38f677bcde2");
  CHECK(me["permissions"] == Json{"write"});
  // Clients of the backend name no project.
  CHECK(app.as(kAcmeKey, "POST", "/api/v1/artifacts/upload-url", R"({"name":"n","dtype":"F16"})")
            .status == 200);
  // A key of another seed, or of an organization that is not in the list, is nobody's.
  CHECK(app.as(seeded_key(Secret("test-seed-deadbeef"), "other").reveal(), "GET", "/api/v1/me")
            .status == 401);
  app.restart();
  CHECK(json_of(app.as(kAcmeKey, "GET", "/api/v1/me")) == me);

  const std::string keys =
      "/admin/organizations/" + me["organization_id"].get<std::string>() + "/api-keys";
  const Json listed = json_of(app.as_owner("GET", keys))["api_keys"];
  REQUIRE(listed.size() == 1);
  const std::string project = "/admin/organizations/" + me["organization_id"].get<std::string>() +
                              "/projects/" + me["project_id"].get<std::string>() + "/api-keys";
  CHECK(json_of(app.as_owner("GET", project))["api_keys"].empty());
  // Revoked it stays so, over a start too.
  const std::string one = keys + "/" + listed[0]["key_id"].get<std::string>();
  REQUIRE(app.as_owner("DELETE", one).status == 200);
  CHECK(app.as(kAcmeKey, "GET", "/api/v1/me").status == 401);
  app.restart();
  CHECK(app.as(kAcmeKey, "GET", "/api/v1/me").status == 401);
  CHECK(give(app, kAdminSecret, R"({"org_slug":"acme"})") == 409);
}

TEST_CASE("seeded keys: they are given for the secret of the configuration", "[contract][app]") {
  TestApp app(seed);
  const RawResponse given =
      app.as(kAdminSecret, "POST", "/api/v1/admin/api-keys", R"({"org_slug":" ACME "})");
  INFO(given.body);
  REQUIRE(given.status == 201);
  const Json answer = json_of(given);
  CHECK(answer["api_key"] == kAcmeKey);
  CHECK(answer["customer_id"] == "255ae7f79a8a2c14a5e5c38f677bcde2");
  CHECK(answer["org_slug"] == "acme");
  CHECK(answer.size() == 3);
  CHECK(give(app, app.credential("admin_key"), R"({"org_slug":"contoso"})") == 201);
  CHECK(give(app, kAdminSecret, R"({"org_slug":"other"})") == 400);
  const RawResponse missing = app.as(kAdminSecret, "POST", "/api/v1/admin/api-keys", "{}");
  CHECK(missing.status == 400);
  CHECK(json_text(missing.body, "error") == "missing org_slug");
  for (const std::string& bearer :
       {std::string("admin-secret-of-the-tesT"), std::string(kAcmeKey), std::string("x")}) {
    const RawResponse refused =
        app.as(bearer, "POST", "/api/v1/admin/api-keys", R"({"org_slug":"acme"})");
    CHECK(refused.status == 401);
    CHECK(json_of(refused) == Json{{"error", "Unauthorized"}});
  }
  CHECK(app.call("POST", "/api/v1/admin/api-keys", {}, "{}").status == 401);
}

TEST_CASE("seeded keys: without a secret, a list or a seed there are none", "[contract][app]") {
  TestApp app;
  CHECK(give(app, kAdminSecret, R"({"org_slug":"acme"})") == 401);
  CHECK(give(app, app.credential("admin_key"), R"({"org_slug":"acme"})") == 400);
  // The field of the configuration is named, and the variable beneath it.
  const RawResponse none = app.as_owner("POST", "/api/v1/admin/api-keys", R"({"org_slug":"acme"})");
  CHECK(none.body.find("identity.seeded_organizations, or KVCDN_API_KEY_ORGS") !=
        std::string::npos);
  CHECK(app.as(kAcmeKey, "GET", "/api/v1/me").status == 401);
}

TEST_CASE("seeded keys: a name that cannot be an organization's stops nothing", "[contract][app]") {
  TestApp app([](Config& config) {
    seed(config);
    config.seeded_keys.organizations = {"artifacts", "no slug", "acme", "default"};
  });
  CHECK(app.as(kAcmeKey, "GET", "/api/v1/me").status == 200);
  const std::string of_default = seeded_key(Secret("test-seed-deadbeef"), "default").reveal();
  const Json me = json_of(app.as(of_default, "GET", "/api/v1/me"));
  CHECK(me["organization_id"] == app.credential("organization_id"));
  CHECK(me["project_id"] == app.credential("project_id"));
}

TEST_CASE("KVCDN_*: an issuer that is away does not stop the start", "[fault][app]") {
  const LoadedConfig loaded = load({{"KVCDN_ISSUER_URL", "http://127.0.0.1:9"}});
  TestApp app([&](Config& config) { config.auth.providers = loaded.config.auth.providers; });
  CHECK(app.call("GET", "/readyz").status == 200);
  CHECK(app.as(app.credential("api_key"), "GET", "/api/v1/me").status == 200);
  const int status = app.call("GET", "/auth/login/kvcdn").status;
  CHECK(status >= 500);
}
