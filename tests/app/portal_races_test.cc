// Goal: what fails or comes between the steps of a request of the portal leaves nothing that nobody
// asked for. Method: a whole daemon over a store in which the other request runs at the moment that
// matters, or whose database refuses a row.
#include <nlohmann/json.hpp>

#include "db/db.h"
#include "identity/people.h"
#include "kv/keyspace.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("places: an organization whose project cannot be made is there, and is made once",
          "[fault][app][portal]") {
  TestApp app;
  Browser ada = set_up(app);
  auto db = open_sqlite(app.data_dir() + "/sql/portal.db").value();
  REQUIRE(db->execute("CREATE TRIGGER full BEFORE INSERT ON projects BEGIN "
                      "SELECT RAISE(FAIL, 'the disk is full'); END")
              .ok());
  const RawResponse made = ada.send("POST", "/api/v1/organizations", R"({"name":"Acme"})");
  INFO(made.body);
  CHECK(made.status == 201);
  const std::string path =
      "/api/v1/organizations/" + json_text(made.body, "organization_id") + "/projects";
  CHECK(json_of(ada.send("GET", path))["projects"].empty());
  REQUIRE(db->execute("DROP TRIGGER full").ok());
  CHECK(ada.send("POST", path, R"({"name":"default"})").status == 201);
}

TEST_CASE("sign-in: a way that is taken away while a session begins opens none",
          "[fault][app][portal]") {
  std::function<Status()> between;
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    if (op != "write" || !key.starts_with(keyspace::kSessionPrefix) || !between) return ok();
    const auto act = std::move(between);
    between = {};
    return act();
  };
  TestApp app([](Config& config) { config.auth.dev_issuer = true; }, options);
  const auto come_in = [&] {
    const RawResponse away = app.call("GET", "/auth/login/dev?next=/done");
    const std::string to_issuer(away.header("location"));
    const RawResponse back = app.call("GET", to_issuer.substr(to_issuer.find("/oidc/")));
    const std::string to_daemon(back.header("location")), cookie(away.header("set-cookie"));
    return app.call("GET", to_daemon.substr(to_daemon.find("/auth/callback")),
                    {{"Cookie", cookie.substr(0, cookie.find(';'))}});
  };
  REQUIRE(come_in().status == 302);
  KvStore& kv = *app.parts().kv;
  const auto count = [&](KvFamily family, const std::string& prefix) {
    return kv.scan(family, prefix, "", 100)->items.size();
  };
  const size_t before = count(KvFamily::kSystem, std::string(keyspace::kSessionPrefix));
  REQUIRE(before > 0);
  between = [&]() -> Status {
    const KvPage ways = KVCS_TRY(kv.scan(KvFamily::kConfig, "sign_in:", "", 100));
    KvBatch batch;
    for (const KvItem& way : ways.items) batch.remove(KvFamily::kConfig, way.key);
    return kv.write(batch, KvDurability::kSynced);
  };
  const RawResponse in = come_in();
  INFO(in.body);
  CHECK(in.status == 403);
  CHECK(in.header("set-cookie").empty());
  CHECK(count(KvFamily::kSystem, std::string(keyspace::kSessionPrefix)) == before);
}
