// Goal: the shipped catalogue is right, faults name file and line, and stored records override it.
#include "gateway/catalogue/provider_directory.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace kvcs;
using namespace kvcs::gateway;

namespace {

const AuditContext kWho{"adminkey:1", "admin-api", "r1"};

struct Setup {
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*memory);
  AuditedKv audited{*kv, clock, *entropy};
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  ProviderDirectory providers{*kv, audited, *kv, sealer, catalogue()};

  static Catalogue catalogue() {
    auto loaded = load_catalogue("config/providers");
    INFO(loaded.status().to_string());
    REQUIRE(loaded.ok());
    return loaded.value();
  }
  Status put(std::string_view id, std::string_view json) {
    return providers.put(id, parse_json(json).value(), kWho);
  }
};

}  // namespace

TEST_CASE("providers: the shipped catalogue loads and every entry is complete", "[unit][gateway]") {
  Setup setup;
  const auto names = setup.providers.list();
  REQUIRE(names.ok());
  CHECK(names.value().size() >= 30);
  for (const std::string& name : names.value()) {
    INFO(name);
    const auto provider = setup.providers.find(name);
    REQUIRE(provider.ok());
    CHECK(provider.value()->base_url.starts_with("https://"));
    CHECK_FALSE(provider.value()->endpoints.empty());
    CHECK_FALSE(provider.value()->allowed_path_prefixes.empty());
    CHECK_FALSE(provider.value()->allow_private_addresses);
  }
  const auto hubspot = setup.providers.find("hubspot").value();
  CHECK(hubspot->actions.at("search").wrap_filters == "filterGroups");
  CHECK(hubspot->requests_per_minute == 600);
  CHECK(hubspot->canary.expect == std::vector<int>{401});
  CHECK_FALSE(provider_json(*hubspot).contains("note"));
}

TEST_CASE("providers: what whoever connects has to know is shown until an operator takes it away",
          "[unit][gateway]") {
  Setup setup;
  const auto note = [&] { return provider_json(*setup.providers.find("zendesk").value()); };
  CHECK(note()["note"].get<std::string>().find("no new API tokens") != std::string::npos);
  REQUIRE(setup.put("zendesk", R"({"note":"Ask Grace."})").ok());
  CHECK(note()["note"] == "Ask Grace.");
  REQUIRE(setup.put("zendesk", R"({"note":""})").ok());
  CHECK_FALSE(note().contains("note"));
  CHECK(setup.put("zendesk", R"({"note":7})").code() == Code::kInvalid);
}

TEST_CASE("providers: a fault in a file is told with file and line", "[unit][gateway]") {
  const auto fault = [](std::string_view yaml) {
    return parse_catalogue_file(yaml, "x.yaml").status().message();
  };
  const std::string good = "provider: x\nbase_url: https://x.example\nauth_type: bearer\n";
  CHECK(parse_catalogue_file(good, "x.yaml").ok());
  CHECK(fault(good + "colour: red\n").starts_with("x.yaml, line 4: colour: "));
  CHECK(fault(good + "timeout_ms: 40000\n").starts_with("x.yaml, line 4: timeout_ms: "));
  CHECK(fault(good + "auth:\n  client_auth: magic\n").starts_with("x.yaml, line 5: "));
  CHECK(fault(good + "canary:\n  path: x\n").starts_with("x.yaml, line 5: canary.path"));
  CHECK(fault(good + "actions:\n  list:\n    method: BREW\n    path: /x\n")
            .starts_with("x.yaml, line 6: actions.list.method"));
  CHECK(fault("base_url: https://x\n").find("provider: is required") != std::string::npos);
  CHECK(fault("provider: x\nbase_url: http://x.example\nauth_type: bearer\n")
            .starts_with("x.yaml, line 2: base_url: "));
  CHECK(fault("provider: x\nbase_url: https://x.example\nauth_type: api_key_header\n")
            .find("needs header") != std::string::npos);
  CHECK(fault("provider: x\nbase_url: https://u:p@x.example\nauth_type: bearer\n")
            .starts_with("x.yaml, line 2"));
  CHECK(fault(good + "default_headers:\n  x-a: \"{token}\"\n").find("x.yaml, line ") == 0);
}

TEST_CASE("providers: a stored record changes the catalogue's entry and counts at once",
          "[unit][gateway]") {
  Setup setup;
  CHECK(setup.providers.find("hubspot").value()->oauth.client_id.empty());
  REQUIRE(
      setup.put("hubspot", R"({"auth":{"client_id":"c1","client_secret":"s3cret-value"}})").ok());
  const auto changed = setup.providers.find("hubspot").value();
  CHECK(changed->oauth.client_id == "c1");
  CHECK(changed->oauth.client_secret.reveal() == "s3cret-value");
  CHECK(changed->base_url == "https://api.hubapi.com");
  const std::string stored =
      setup.memory->get(KvFamily::kConfig, "api_config:hubspot").value().value;
  CHECK(stored.find("s3cret-value") == std::string::npos);
  const std::string shown = dump_json(provider_json(*changed));
  CHECK(shown.find("s3cret-value") == std::string::npos);
  CHECK(shown.find("\"client_secret_set\":true") != std::string::npos);
  // A record without a secret keeps the one that is stored.
  REQUIRE(setup.put("hubspot", R"({"auth":{"client_id":"c2"}})").ok());
  CHECK(setup.providers.find("hubspot").value()->oauth.client_secret.reveal() == "s3cret-value");
  REQUIRE(setup.put("hubspot", R"({"auth":{"client_id":"c2","client_secret":null}})").ok());
  CHECK(setup.providers.find("hubspot").value()->oauth.client_secret.empty());
  REQUIRE(setup.providers.remove("hubspot", kWho).ok());
  CHECK(setup.providers.find("hubspot").value()->oauth.client_id.empty());
  CHECK(setup.providers.remove("hubspot", kWho).code() == Code::kNotFound);
}

TEST_CASE("providers: a new provider needs the whole record", "[unit][gateway]") {
  Setup setup;
  CHECK(setup.providers.find("acme_api").status().reason() == "CONFIG_MISSING");
  CHECK(setup.put("acme_api", R"({"auth_type":"bearer"})").code() == Code::kInvalid);
  CHECK(setup.put("acme_api", R"({"base_url":"https://a.example","auth_type":"magic"})").code() ==
        Code::kInvalid);
  CHECK(setup.put("acme_api", R"({"base_url":"https://a.example","auth_type":"none","x":1})")
            .message() == "x: is not a member that is known here.");
  REQUIRE(setup.put("acme_api", R"({"base_url":"https://a.example","auth_type":"none"})").ok());
  CHECK(setup.providers.find("acme_api").ok());
  CHECK(setup.put("a:b", R"({"base_url":"https://a.example","auth_type":"none"})").code() ==
        Code::kInvalid);
}

TEST_CASE("providers: a record of another system is read without its unknown members",
          "[unit][gateway]") {
  Setup setup;
  KvBatch batch;
  batch.put(KvFamily::kConfig, "api_config:legacy",
            R"({"base_url":"https://l.example","auth_type":"bearer","grant":"x","extra":[1]})");
  batch.put(KvFamily::kConfig, "api_config:broken", "nonsense");
  REQUIRE(setup.kv->write(batch, KvDurability::kSynced).ok());
  CHECK(setup.providers.find("legacy").ok());
  CHECK(setup.providers.find("broken").code() == Code::kInternal);
}
