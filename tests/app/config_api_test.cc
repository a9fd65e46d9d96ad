// GET /admin/config: every setting with where its value comes from, and no secret.
#include "app/config_api.h"

#include <nlohmann/json.hpp>

#include "support/json_answer.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

Json setting(const TestApp& app, const std::string& name) {
  const Json all = json_of(app.as_owner("GET", "/admin/config"));
  for (const Json& one : all["config"]) {
    if (one["name"] == name) return one;
  }
  FAIL("no setting " << name);
  return {};
}

}  // namespace

TEST_CASE("config api: each value says where it comes from", "[unit][app]") {
  const LoadedConfig loaded =
      load_config_text("http:\n  workers_max: 300\n  listen: 127.0.0.1:1\nlog:\n  level: error\n",
                       {{"KVCS_HTTP_WORKERS_MAX", "301"}, {"KVCDN_API_PORT", "2"}}, "f.yaml",
                       {{"KVCS_HTTP_LISTEN", "127.0.0.1:3"}});
  const Config& read = loaded.config;
  CHECK(read.http.listen == "127.0.0.1:3");
  CHECK(read.source_of("http.listen") == ConfigSource::kArgument);
  CHECK(read.source_of("http.workers_max") == ConfigSource::kEnvironment);
  CHECK(read.source_of("log.level") == ConfigSource::kFile);
  CHECK(read.source_of("http.workers_min") == ConfigSource::kDefault);
  CHECK(load_config_text("", {{"KVCDN_API_PORT", "2"}}, "f").config.source_of("http.listen") ==
        ConfigSource::kEnvironment);

  TestApp app([](Config& config) {
    config.artifacts.url_lifetime_s = 77;
    config.sources["artifacts.url_lifetime_s"] = ConfigSource::kFile;
  });
  CHECK(setting(app, "artifacts.url_lifetime_s") ==
        Json{{"name", "artifacts.url_lifetime_s"},
             {"value", 77},
             {"source", "file"},
             {"help", "How long a presigned URL may be used."}});
  CHECK(setting(app, "http.access_log")["value"] == false);
  CHECK(setting(app, "http.trusted_proxies")["value"] == Json::array());
  CHECK(setting(app, "ai.aliases")["source"] == "default");
  CHECK(app.as(app.credential("api_key"), "GET", "/admin/config").status == 403);
}

TEST_CASE("config api: secrets are told of and never shown", "[unit][app]") {
  TestApp app([](Config& config) {
    config.alerts.webhook_secret = Secret("hush-1");
    config.alerts.webhook_url = "https://hooks.example.com/hush-2?token=hush-3";
    config.ai.providers =
        "{x: {kind: openai_compatible, base_url: \"https://127.0.0.1/v1\", "
        "headers: {x-api-key: hush-6, x-team: blue}}}";
    config.ai.aliases = "{both: [x/a, x/b]}";
    config.artifacts.engine_url = "http://me:hush-4@127.0.0.1:1/run?key=hush-5";
  });
  CHECK(setting(app, "alerts_webhook_secret")["value"] == "set");
  CHECK(setting(app, "stripe_secret_key")["value"] == "not set");
  CHECK(setting(app, "alerts.webhook_url")["value"] == "https://hooks.example.com/***");
  CHECK(setting(app, "artifacts.engine_url")["value"] == "http://me:***@127.0.0.1:1/run?***");
  CHECK(setting(app, "ai.providers")["value"] ==
        R"({"x":{"kind":"openai_compatible","base_url":"https://127.0.0.1/v1",)"
        R"("headers":{"x-api-key":"***","x-team":"blue"}}})");
  CHECK(setting(app, "ai.aliases")["value"] == "{both: [x/a, x/b]}");
  CHECK(setting(app, "http.listen")["value"] == "127.0.0.1:0");
  CHECK(app.as_owner("GET", "/admin/config").body.find("hush") == std::string::npos);
}

TEST_CASE("config api: a log level that was read again is the one that is shown", "[unit][app]") {
  TestApp app;
  Config fresh;
  fresh.log.level = "error";
  fresh.sources["log.level"] = ConfigSource::kFile;
  REQUIRE(app.app().reload(fresh).ok());
  CHECK(setting(app, "log.level")["value"] == "error");
  CHECK(setting(app, "log.level")["source"] == "file");
}
