// Goal: the walk that seals secret values of tenants' records may stop anywhere and be repeated,
// and loses nothing, whatever the record is. Method: records in a store in memory.
#include <nlohmann/json.hpp>

#include "gateway/catalogue/tenants.h"
#include "gateway/tokens/token_world.h"

using namespace kvcs;
using namespace kvcs::gateway;
using kvcs::test::TokenWorld;

namespace {

bool never() {
  return false;
}

struct Records {
  TokenWorld world;
  Tenants tenants{*world.kv, world.audited, *world.kv, *world.entropy, world.sealer};

  void put(const std::string& tenant, const std::string& record) {
    KvBatch batch;
    batch.put(KvFamily::kConfig, keyspace::tenant_config(tenant), record);
    REQUIRE(world.kv->write(batch, KvDurability::kSynced).ok());
  }
  std::string stored(const std::string& tenant) {
    return world.kv->get(KvFamily::kConfig, keyspace::tenant_config(tenant))->value;
  }
  int64_t seal(const std::function<bool()>& cancelled = never) {
    const Result<int64_t> sealed = tenants.seal_secrets(TokenWorld::kWho, cancelled);
    INFO(sealed.status().to_string());
    REQUIRE(sealed.ok());
    return *sealed;
  }
  std::string secret(const std::string& tenant) {
    const auto& meta = tenants.find(tenant).value()->provider_meta;
    const auto of = meta.find("crm");
    if (of == meta.end()) return "";
    const auto found = of->second.find("api_key");
    return found == of->second.end() ? "" : found->second;
  }
};

}  // namespace

TEST_CASE("tenant secrets: a walk that is cut off or fails goes on where it ended",
          "[unit][fault][gateway]") {
  Records records;
  for (int i = 0; i < 5; i++) {
    const std::string name = std::to_string(i);
    records.put("t" + name, R"({"crm":{"api_key":"SECRET-)" + name + R"(","portal":"7"}})");
  }
  int steps = 0;
  CHECK(records.seal([&] { return ++steps > 2; }) == 2);
  CHECK(records.stored("t4").find("SECRET-4") != std::string::npos);
  records.world.plan = [](std::string_view op, std::string_view key) {
    return op == "cas" && key == "tenant_config:t3" ? unavailable("The disk fails.") : ok();
  };
  CHECK(records.tenants.seal_secrets(TokenWorld::kWho, never).code() == Code::kUnavailable);
  records.world.plan = [](std::string_view, std::string_view) { return ok(); };
  CHECK(records.seal() == 2);
  CHECK(records.seal() == 0);
  for (int i = 0; i < 5; i++) {
    const std::string tenant = "t" + std::to_string(i);
    CHECK(records.stored(tenant).find("SECRET") == std::string::npos);
    CHECK(records.secret(tenant) == "SECRET-" + std::to_string(i));
    CHECK(records.tenants.find(tenant).value()->provider_meta.at("crm").at("portal") == "7");
  }
  // One that comes later, by an import, is found by the next walk.
  records.put("t0", R"({"crm":{"api_key":"ANOTHER"}})");
  CHECK(records.seal() == 1);
  CHECK(records.secret("t0") == "ANOTHER");
}

TEST_CASE("tenant secrets: of a record that holds sealed ones too none is lost",
          "[unit][gateway]") {
  Records records;
  records.put("acme", R"({"crm":{"api_key":"ONE"},"billing":{"secret":"TWO"}})");
  const std::string incarnation = records.tenants.find_root("acme")->incarnation;
  CHECK(records.seal() == 1);
  CHECK(records.tenants.find_root("acme")->incarnation == incarnation);
  Json record = parse_json(records.stored("acme")).value();
  CHECK(record["billing"]["secret"] == "***");
  record["crm"]["client_secret"] = "THREE";
  records.put("acme", dump_json(record));
  CHECK(records.seal() == 1);
  CHECK(records.secret("acme") == "ONE");
  CHECK(records.tenants.find("acme").value()->provider_meta.at("crm").at("client_secret") ==
        "THREE");
  const Json shown = records.tenants.find_shown("acme").value();
  CHECK(shown["crm"]["api_key"] == "***");
  CHECK_FALSE(shown.contains("secrets_sealed"));
}

TEST_CASE("tenant secrets: what does not open is left out, and never sent as it stands",
          "[unit][fault][gateway]") {
  Records records;
  records.put("acme", R"({"crm":{"api_key":"ONE","portal":"7"}})");
  CHECK(records.seal() == 1);
  Json record = parse_json(records.stored("acme")).value();
  record["crm"]["api_secret"] = "TWO";
  // As of another key, or another record.
  record["secrets_sealed"] = records.world.sealer.seal("{}", "tenant_config:other:secrets");
  const std::string before = dump_json(record);
  records.put("acme", before);
  const auto tenant = records.tenants.find("acme").value();
  CHECK(tenant->provider_meta.at("crm").count("api_key") == 0);
  CHECK(tenant->provider_meta.at("crm").at("portal") == "7");
  CHECK(tenant->provider_meta.at("crm").at("api_secret") == "TWO");
  // Nor is the rest sealed over it.
  CHECK(records.seal() == 0);
  CHECK(records.stored("acme") == before);
  // Records that are none are passed over.
  records.put("broken", "{not json");
  records.put("list", "[]");
  CHECK(records.seal() == 0);
}
