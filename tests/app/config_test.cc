// Configuration: file, then environment, then what the fields say together; every fault is named.
#include "app/config.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <sstream>

using namespace kvcs;

namespace {

std::vector<std::string> faults(std::string_view yaml, const Environment& environment = {}) {
  return load_config_text(yaml, environment, "f.yaml").faults;
}
std::vector<std::string> one(std::string fault) {
  return {std::move(fault)};
}

}  // namespace

TEST_CASE("config: kvcs.yaml.example loads and equals the defaults", "[unit][app]") {
  std::ifstream file("kvcs.yaml.example");
  std::stringstream text;
  text << file.rdbuf();
  REQUIRE_FALSE(text.str().empty());
  const LoadedConfig loaded = load_config_text(text.str(), {}, "kvcs.yaml.example");
  CHECK(loaded.faults.empty());
  CHECK(print_config_yaml(loaded.config, true) == print_config_yaml(Config{}, true));
  Config defaults;
  for (const ConfigField& field : config_fields(defaults)) {
    INFO(field.path);
    const std::string key = field.path.substr(field.path.find('.') + 1) + ":";
    CHECK(text.str().find(field.environment_only ? field.environment_name() : key) !=
          std::string::npos);
  }
}

TEST_CASE("config: what is printed loads back to the same", "[unit][app]") {
  const LoadedConfig loaded = load_config_text(
      "data_dir: /srv/x\nhttp:\n  listen: '[::1]:9'\n  trusted_proxies: [10.0.0.0/8, '::1']\n"
      "  access_log: false\nkv:\n  sync_interval_ms: 5\n",
      {}, "f");
  REQUIRE(loaded.faults.empty());
  CHECK(loaded.config.http.server.listen_host == "::1");
  CHECK(loaded.config.http.server.listen_port == 9);
  CHECK(loaded.config.http.server.trusted_proxies == std::vector<std::string>{"10.0.0.0/8", "::1"});
  CHECK_FALSE(loaded.config.http.server.access_log);
  const std::string printed = print_config_yaml(loaded.config, true);
  const LoadedConfig again = load_config_text(printed, {}, "g");
  CHECK(again.faults.empty());
  CHECK(print_config_yaml(again.config, true) == printed);
  CHECK(print_config_json(again.config).find("\"listen\":\"[::1]:9\"") != std::string::npos);
}

TEST_CASE("config: ops.listen is an address of its own", "[unit][app]") {
  CHECK(faults("ops:\n  listen: 127.0.0.1:9100\n").empty());
  CHECK(faults("ops:\n  listen: nine\n").size() == 1);
  CHECK(faults("http:\n  listen: 127.0.0.1:9\nops:\n  listen: 127.0.0.1:9\n") ==
        one("ops.listen: must be another address than http.listen."));
}

TEST_CASE("config: backups lie in no store's folder", "[unit][app]") {
  for (const char* inside : {"d/kv", "d/kv/b", "d/sql", "d/blobs/trash", "d/x/../sql/b", "b/in"}) {
    INFO(inside);
    const auto found = faults(
        "data_dir: d\nblobs:\n  path: b\nbackup:\n  directory: " + std::string(inside) + "\n");
    const bool is_default = std::string(inside) == "d/blobs/trash";
    REQUIRE(found.size() == (is_default ? 0 : 1));
    if (!is_default) CHECK(found[0].find("the folder of a store") != std::string::npos);
  }
  CHECK(faults("data_dir: d\nbackup:\n  directory: d/blobs/trash\n").size() == 1);
  for (const char* outside : {"d", "d/backups", "d/kvs", "backups"}) {
    CHECK(faults("data_dir: d\nbackup:\n  directory: " + std::string(outside) + "\n").empty());
  }
}

TEST_CASE("config: the environment overrides the file, for every field", "[unit][app]") {
  const LoadedConfig loaded = load_config_text(
      "http:\n  listen: 1.2.3.4:5\n",
      {{"KVCS_HTTP_LISTEN", "0.0.0.0:99"}, {"KVCS_HTTP_TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2"}},
      "f");
  CHECK(loaded.faults.empty());
  CHECK(loaded.config.http.server.listen_port == 99);
  CHECK(loaded.config.http.server.trusted_proxies.size() == 2);
  Config config;
  for (const ConfigField& field : config_fields(config)) {
    if (!std::holds_alternative<int*>(field.target)) continue;
    INFO(field.environment_name());
    CHECK(faults("", {{field.environment_name(), "x"}}) ==
          one(field.environment_name() + ": 'x' is not a whole number."));
  }
}

TEST_CASE("config: every fault names its line", "[unit][app]") {
  CHECK(faults("http:\n  listn: x\n") == one("f.yaml:2: unknown key 'http.listn'."));
  CHECK(faults("\n\nhtpp:\n  a: 1\n") == one("f.yaml:3: unknown key 'htpp'."));
  CHECK(faults("http: 5\n") == one("f.yaml:1: 'http' is a section; indent its keys under it."));
  CHECK(faults("- a\n") == one("f.yaml:1: the file must be a map of sections."));
  CHECK(faults("http:\n  workers_min: many\n") ==
        one("f.yaml:2: http.workers_min: 'many' is not a whole number."));
  CHECK(faults("http:\n  workers_min: 0\n") ==
        one("f.yaml:2: http.workers_min: 0 is outside 1 to 10000."));
  CHECK(faults("http:\n  access_log: yes please\n") ==
        one("f.yaml:2: http.access_log: 'yes please' is neither true nor false."));
  CHECK(faults("http:\n  public_url: [a]\n") ==
        one("f.yaml:2: 'http.public_url' must be one value."));
  CHECK(faults("http:\n  trusted_proxies: a\n") ==
        one("f.yaml:2: 'http.trusted_proxies' must be a list."));
  CHECK(faults("http:\n  trusted_proxies: [[a]]\n") ==
        one("f.yaml:2: 'http.trusted_proxies' holds plain words only."));
  CHECK(faults("data_dir: a\ndata_dir: b\n") == one("f.yaml:2: 'data_dir' is set twice."));
  CHECK(faults("master_key: abc\n") ==
        one("f.yaml:1: 'master_key' is secret and only read from KVCS_MASTER_KEY."));
  CHECK(faults("http:\n listen: 'x\n").size() == 1);
  CHECK(load_config("/nonexistent/kvcs.yaml", {}).faults.size() == 1);
}

TEST_CASE("config: all faults are told at once", "[unit][app]") {
  const std::vector<std::string> all = faults(
      "data_dir: ''\nnope: 1\nhttp:\n  listen: nowhere\n  public_url: ftp://x\n  workers_min: 9\n"
      "  workers_max: 8\n  streams_max: 8\n  uri_max_bytes: 60000\ntls:\n  key_path: k\n"
      "log:\n  level: loud\ngateway:\n  briefing_model: m\n",
      {{"KVCS_MASTER_KEY", "c2hvcnQ="}, {"KVCS_KV_OPEN_FILES_MAX", "1"}});
  CHECK(all.size() == 12);
  for (const char* what :
       {"nope", "KVCS_KV_OPEN_FILES_MAX", "data_dir", "http.listen", "http.public_url",
        "tls:", "http.workers_min", "http.streams_max", "http.uri_max_bytes", "log.level",
        "KVCS_MASTER_KEY", "KVCS_BRIEFING_API_KEY"}) {
    INFO(what);
    bool found = false;
    for (const std::string& fault : all) found = found || fault.find(what) != fault.npos;
    CHECK(found);
  }
}

TEST_CASE("config: secrets are never printed", "[unit][app]") {
  const LoadedConfig loaded =
      load_config_text("",
                       {{"KVCS_ADMIN_KEYS", "ka_very_secret"},
                        {"KVCS_MASTER_KEY", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}},
                       "f");
  CHECK(loaded.faults.empty());
  for (const std::string& text :
       {print_config_yaml(loaded.config, true), print_config_json(loaded.config)}) {
    CHECK(text.find("very_secret") == std::string::npos);
    CHECK(text.find("MDEy") == std::string::npos);
    CHECK(text.find("***") != std::string::npos);
  }
}

TEST_CASE("config: several addresses, in a list or with commas between", "[unit][app]") {
  for (const char* yaml : {"http:\n  listen: [unix:/run/k.sock, '[::1]:9', 'h:8']\n",
                           "http:\n  listen: 'unix:/run/k.sock, [::1]:9,h:8'\n"}) {
    const LoadedConfig loaded = load_config_text(yaml, {}, "f.yaml");
    CHECK(loaded.faults.empty());
    CHECK(loaded.config.http.server.listen_host == "::1");
    CHECK(loaded.config.http.server.listen_port == 9);
    CHECK(loaded.config.http.server.listen_more ==
          std::vector<std::string>{"unix:/run/k.sock", "h:8"});
  }
  CHECK(load_config_text("http:\n  listen: unix:/k\n", {}, "f").config.http.server.listen_port ==
        -1);
  CHECK(faults("http:\n  listen: [h:8, nowhere]\n").size() == 1);
  CHECK(faults("http:\n  listen: unix:relative\n").size() == 1);
}

TEST_CASE("config: listen addresses", "[unit][app]") {
  CHECK(parse_listen(":80").value().host == "0.0.0.0");
  CHECK(parse_listen("[::]:0").value().host == "::");
  for (const char* bad : {"", "8080", "a:b", "::1:80", "h:65536", "h:-1", "[::1]"}) {
    INFO(bad);
    CHECK(parse_listen(bad).code() == Code::kInvalid);
  }
}

TEST_CASE("config: Stripe's secrets have the names that its tools know, and come together",
          "[unit][app]") {
  const LoadedConfig loaded = load_config_text(
      "", {{"STRIPE_SECRET_KEY", "sk_1"}, {"STRIPE_WEBHOOK_SECRET", "whsec_1,whsec_2"}}, "f");
  CHECK(loaded.faults.empty());
  CHECK(loaded.config.auth.billing.secret_key.reveal() == "sk_1");
  CHECK(print_config_json(loaded.config).find("sk_1") == std::string::npos);
  CHECK(print_config_yaml(loaded.config, true).find("whsec_1") == std::string::npos);
  CHECK(faults("", {{"STRIPE_SECRET_KEY", "sk_1"}}) ==
        one("STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET are set together or not at all."));
  CHECK(faults("billing:\n  stripe_url: http://stripe.example.com\n") ==
        one("billing.stripe_url: 'http://stripe.example.com' must begin with https://."));
  CHECK(faults("billing:\n  stripe_url: http://127.0.0.1.example.com\n").size() == 1);
  CHECK(faults("billing:\n  stripe_url: http://127.0.0.1:4010\n").empty());
}

TEST_CASE("config: quotas of other servers' variables stand beneath our own", "[unit][app]") {
  const auto artifacts = [](const char* yaml, const Environment& environment) {
    return load_config_text(yaml, environment, "f").config.auth.plans.artifacts;
  };
  const char* const file = "artifacts:\n  quota_artifacts: 7\n";
  CHECK(artifacts("", {}) == -1);
  CHECK(artifacts("", {{"KVCDN_QUOTA_ARTIFACTS", "5"}}) == 5);
  CHECK(artifacts("", {{"KVCDN_QUOTA_ARTIFACTS", "0"}}) == 0);
  for (const char* bad : {"", "-5", "many", "99999999999999999999", "5.5"}) {
    CHECK(artifacts("", {{"KVCDN_QUOTA_ARTIFACTS", bad}}) == -1);
  }
  CHECK(artifacts(file, {{"KVCDN_QUOTA_ARTIFACTS", "5"}}) == 7);
  CHECK(artifacts("", {{"KVCDN_QUOTA_ARTIFACTS", "5"}, {"KVCS_ARTIFACTS_QUOTA_ARTIFACTS", "6"}}) ==
        6);
}

TEST_CASE("config: the development issuer is for this machine alone", "[unit][app]") {
  const std::string on = "auth:\n  dev_issuer: true\n";
  CHECK(faults(on).empty());
  for (const char* good : {"http:\n  listen: '[::1]:80'\n", "http:\n  listen: localhost:80\n",
                           "http:\n  public_url: http://localhost:8080\n",
                           "http:\n  public_url: 'https://[::1]:8080/x'\n"}) {
    INFO(good);
    CHECK(faults(on + good).empty());
  }
  for (const char* bad :
       {"http:\n  listen: 0.0.0.0:80\n", "http:\n  listen: ':80'\n",
        "http:\n  listen: [127.0.0.1:1, 'h:8']\n", "http:\n  listen: unix:/run/k.sock\n",
        "http:\n  public_url: https://kvcs.example.com\n",
        "http:\n  public_url: http://127.0.0.1.example.com\n",
        "http:\n  trusted_proxies: [127.0.0.1]\n"}) {
    INFO(bad);
    REQUIRE(faults(on + bad).size() == 1);
    CHECK(faults(on + bad)[0].find("auth.dev_issuer") != std::string::npos);
    CHECK(faults(bad).empty());
  }
  // A user before the host is refused twice: as a public URL, and as a name of this machine.
  CHECK(faults(on + "http:\n  public_url: http://localhost:1@evil.example\n").size() == 2);
  using portal::sign_up_of;
  CHECK(sign_up_of({}) == portal::SignUp::kInvited);
  CHECK(sign_up_of({.dev_issuer = true}) == portal::SignUp::kOpen);
  CHECK(sign_up_of({.sign_up = "closed", .dev_issuer = true}) == portal::SignUp::kClosed);
}
