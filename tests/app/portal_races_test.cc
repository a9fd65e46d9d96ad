// Goal: what fails or comes between the steps of a request of the portal leaves nothing that nobody
// asked for. Method: a whole daemon over a store in which the other request runs at the moment that
// matters, or whose database refuses a row.
#include <nlohmann/json.hpp>

#include "db/db.h"
#include "identity/people.h"
#include "identity/sessions.h"
#include "kv/keyspace.h"
#include "portal/totp.h"
#include "support/base32.h"
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

TEST_CASE("second factor: a session that is ended meanwhile gets no secret and turns nothing on",
          "[fault][app][portal]") {
  std::function<void()> between;
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    if (op == "cas" && key.ends_with(keyspace::kTotpSuffix) && between) {
      const auto act = std::move(between);
      between = {};
      act();
    }
    return ok();
  };
  TestApp app(options);
  Browser ada = set_up(app);
  const std::string id = json_of(ada.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  const auto end_sessions = [&] {
    REQUIRE(app.parts().sessions->end_all(id, "", {"test", "test", ""}).ok());
  };
  const std::string password = std::string("\"") + kGoodPassword + "\"";
  const std::string ask = "{\"current_password\":" + password + "}";
  const std::string sign_in = R"({"email":"ada@example.com","password":)" + password + "}";
  between = end_sessions;
  const RawResponse refused = ada.send("POST", "/auth/totp", ask);
  CHECK(refused.status == 401);
  CHECK(refused.body.find("otpauth") == std::string::npos);

  REQUIRE(ada.send("POST", "/auth/login", sign_in).status == 200);
  const Json begun = json_of(ada.send("POST", "/auth/totp", ask));
  const std::string secret = from_base32(begun["secret"].get<std::string>());
  const int64_t step = app.parts().clock().unix_ms() / 1000 / portal::kTotpStepS;
  const std::string code = R"({"code":")" + portal::totp_code(secret, step) + "\"}";
  between = end_sessions;
  const RawResponse not_on = ada.send("POST", "/auth/totp/confirm", code);
  CHECK(not_on.status == 401);
  CHECK(not_on.body.find("recovery_codes") == std::string::npos);
  REQUIRE(ada.send("POST", "/auth/login", sign_in).status == 200);
  CHECK(json_of(ada.send("GET", "/api/v1/me"))["second_factor"] == false);
}

TEST_CASE("sign-in: a session that is ended meanwhile adds no other way to sign in",
          "[fault][app][portal]") {
  std::string moment;
  std::function<void()> act;
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    if ((op == "cas" || op == "write") && !moment.empty() && key.starts_with(moment)) {
      moment.clear();
      act();
    }
    return ok();
  };
  TestApp app([](Config& config) { config.auth.dev_issuer = true; }, options);
  Browser ada = set_up(app);
  const std::string id = json_of(ada.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
  act = [&] { REQUIRE(app.parts().sessions->end_all(id, "", {"test", "test", ""}).ok()); };
  const std::string password = std::string("\"") + kGoodPassword + "\"";
  const auto link = [&] {
    return ada.send("POST", "/auth/link/dev", "{\"current_password\":" + password + "}");
  };
  moment = "oauth_state:";
  const RawResponse refused = link();
  CHECK(refused.status == 401);
  CHECK(refused.header("set-cookie").empty());
  CHECK(refused.body.find("/oidc/") == std::string::npos);

  const auto come_back = [&] {
    REQUIRE(ada.send("POST", "/auth/login",
                     R"({"email":"ada@example.com","password":)" + password + "}")
                .status == 200);
    const std::string session = ada.cookie;
    const RawResponse away = link();
    const std::string to_issuer = json_text(away.body, "url");
    const std::string flow(away.header("set-cookie"));
    const RawResponse back = app.call("GET", to_issuer.substr(to_issuer.find("/oidc/")));
    const std::string to_daemon(back.header("location"));
    return app.call("GET", to_daemon.substr(to_daemon.find("/auth/callback")),
                    {{"Cookie", session + "; " + flow.substr(0, flow.find(';'))}});
  };
  const auto count_ways = [&] {
    return app.parts().kv->scan(KvFamily::kConfig, "sign_in:", "", 100)->items.size();
  };
  const size_t before = count_ways();
  moment = "sign_in:";
  const RawResponse not_added = come_back();
  INFO(not_added.body);
  CHECK(not_added.status == 403);
  CHECK(moment.empty());
  CHECK(count_ways() == before);
  CHECK(come_back().status == 302);
  CHECK(count_ways() == before + 1);
}
