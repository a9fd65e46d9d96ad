// Goal: a secret goes only where it was given for, whoever changes which URL or record, until it is
// sent again or an owner says so. Method: the daemon between two servers on loopback that record
// all that they get, the one that secrets are given for and another one, and every way to move
// them.
#include <nlohmann/json.hpp>

#include "ai/providers.h"
#include "app/secret_binding.h"
#include "base/crypto.h"
#include "gateway/gateway_house.h"
#include "kv/keyspace.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Keeps every request and answers as a token endpoint and as an API would.
class Recorder final {
 public:
  std::string url(const std::string& path = "") const {
    return "http://127.0.0.1:" + std::to_string(server_.port()) + path;
  }
  std::string port() const { return std::to_string(server_.port()); }
  std::string seen() const {
    const MutexLock lock(mutex_);
    return seen_;
  }
  bool saw(const std::string& text) const { return has(seen(), text); }
  void forget() {
    const MutexLock lock(mutex_);
    seen_.clear();
  }

 private:
  void serve(LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      {
        const MutexLock lock(mutex_);
        seen_ += request->head + "\n" + request->body + "\n";
      }
      const std::string body = R"({"access_token":"AT-NEW","expires_in":3600,"id":"c",)"
                               R"("choices":[{"index":0,"message":{"role":"assistant",)"
                               R"("content":"Hi"},"finish_reason":"stop"}],)" +
                               kUsage + "}";
      if (!peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body)) {
        return;
      }
    }
  }
  mutable Mutex mutex_;
  std::string seen_ KVCS_GUARDED_BY(mutex_);
  LoopbackServer server_{[this](LoopbackPeer& peer) { serve(peer); }};
};

const std::string kAccount = "/admin/tenants/acme/providers/crm/accounts/main";

// One tenant with one account at the provider "crm", whose every URL is at `home`.
struct Office {
  Office() {
    admin = json_text(owner("POST", "/admin/admin-keys", R"({"name":"a","role":"admin"})").body,
                      "admin_key");
    REQUIRE_FALSE(admin.empty());
    REQUIRE(owner("PUT", "/admin/providers/crm", provider(home, home, home, true)).status == 200);
    REQUIRE(owner("PUT", "/admin/tenants/acme", "{}").status == 200);
    token = json_text(owner("POST", "/admin/tenants/acme/tokens", R"({"name":"t"})").body, "token");
    put_account();
  }
  RawResponse owner(const std::string& method, const std::string& path,
                    const std::string& body = {}) const {
    return app.as_owner(method, path, body);
  }
  static std::string provider(const Recorder& base, const Recorder& token_at,
                              const Recorder& revoke_at, bool with_secret) {
    return R"({"base_url":")" + base.url() +
           R"(","auth_type":"oauth2_refresh_token","allow_private_addresses":true,)" +
           R"("auth":{"client_id":"cid","client_auth":"client_secret_post","token_url":")" +
           token_at.url("/token") + R"(","revoke_url":")" + revoke_at.url("/revoke") + "\"" +
           (with_secret ? R"(,"client_secret":"CLIENT-SECRET-OF-OPERATOR")" : "") + "}}";
  }
  void put_account() const {
    const RawResponse put = owner(
        "PUT", kAccount,
        R"({"access_token":"AT-SECRET","refresh_token":"RT-SECRET","expires_at":4000000000})");
    INFO(put.body);
    REQUIRE((put.status == 200 || put.status == 201));
  }
  RawResponse call(const std::string& more = {}) const {
    return app.as(token, "POST", "/api/v1/acme/crm", R"({"path":"/me")" + more + "}");
  }
  void check_nothing_left(const std::string& why) const {
    INFO(why);
    for (const RawResponse& refused :
         {call(), call(R"(,"dry_run":true)"), owner("POST", kAccount + "/refresh"),
          owner("DELETE", kAccount + "?revoke=1")}) {
      INFO(refused.body);
      CHECK(refused.status == 409);
      CHECK((has(refused.body, "SECRET_ORIGIN_CHANGED") ||
             has(refused.body, "secret_origin_changed")));
    }
    CHECK(stranger.seen().empty());
  }

  Recorder home, stranger;
  TestApp app;
  std::string admin, token;
};

void check_moved(const RawResponse& refused, const Recorder& to) {
  INFO(refused.body);
  CHECK(refused.status == 409);
  CHECK(has(refused.body, "secret_origin_changed"));
  CHECK(has(refused.body, to.url()));
}

}  // namespace

TEST_CASE("secret origins: no URL of a tool provider can be moved without its client secret",
          "[e2e][gateway]") {
  Office office;
  const Recorder &home = office.home, &away = office.stranger;
  CHECK(office.call().status == 200);
  CHECK(home.saw("Bearer AT-SECRET"));
  for (const std::string& key : {office.admin, office.app.credential("admin_key")}) {
    for (const std::string& body :
         {Office::provider(away, home, home, false), Office::provider(home, away, home, false),
          Office::provider(home, home, away, false)}) {
      check_moved(office.app.as(key, "PUT", "/admin/providers/crm", body), away);
    }
  }
  const std::string moved = Office::provider(away, away, away, false);
  const RawResponse forbidden =
      office.app.as(office.admin, "PUT", "/admin/providers/crm?rebind=true", moved);
  CHECK(forbidden.status == 403);
  CHECK(has(forbidden.body, "owner"));
  // Nothing of it counted.
  CHECK(office.owner("POST", kAccount + "/refresh").status == 200);
  CHECK(home.saw("RT-SECRET"));
  CHECK(home.saw("CLIENT-SECRET-OF-OPERATOR"));
  CHECK(away.seen().empty());
}

TEST_CASE("secret origins: the accounts of a provider that was made anew stay where they were",
          "[e2e][gateway]") {
  Office office;
  const Recorder& away = office.stranger;
  // A client secret of the admin's own goes along; those of the accounts do not.
  CHECK(office.app.as(office.admin, "DELETE", "/admin/providers/crm").status == 204);
  CHECK(
      office.app
          .as(office.admin, "PUT", "/admin/providers/crm", Office::provider(away, away, away, true))
          .status == 200);
  office.check_nothing_left("deleted and put");
  CHECK(office.app
            .as(office.admin, "PUT", "/admin/providers/crm",
                R"({"base_url":")" + away.url() +
                    R"(","auth_type":"bearer","allow_private_addresses":true})")
            .status == 200);
  CHECK(office.call().status == 409);
  CHECK(away.seen().empty());
  // Given anew they go where the record says now.
  office.put_account();
  CHECK(office.call().status == 200);
  CHECK(away.saw("Bearer AT-SECRET"));
}

TEST_CASE("secret origins: an owner carries what a provider holds over to its new URLs",
          "[e2e][gateway]") {
  Office office;
  const Recorder& away = office.stranger;
  const RawResponse moved = office.owner("PUT", "/admin/providers/crm?rebind=true",
                                         Office::provider(away, away, away, false));
  INFO(moved.body);
  REQUIRE(moved.status == 200);
  CHECK(has(office.owner("GET", kAccount).body, R"("origins":[")" + away.url() + "\"]"));
  CHECK(office.call().status == 200);
  CHECK(office.owner("POST", kAccount + "/refresh").status == 200);
  CHECK(away.saw("Bearer AT-SECRET"));
  CHECK(away.saw("RT-SECRET"));
  CHECK(away.saw("CLIENT-SECRET-OF-OPERATOR"));
  CHECK(office.call().status == 200);
  CHECK(away.saw("Bearer AT-NEW"));
  REQUIRE(office.app.parts().ledger->drain().ok());
  CHECK(has(office.owner("GET", "/admin/audit?limit=100").body, R"("source":"operator-rebind")"));
}

TEST_CASE("secret origins: meta that leads a URL elsewhere does not take the credential along",
          "[e2e][gateway]") {
  Office office;
  // The host is 127.0.0.1, by the tenant's record.
  const std::string base = "http://127.0.0.{host}:" + office.home.port();
  const std::string body =
      R"({"base_url":")" + base + R"(","auth_type":"bearer","allow_private_addresses":true})";
  REQUIRE(office.owner("DELETE", "/admin/providers/crm").status == 204);
  REQUIRE(office.owner("PUT", "/admin/providers/crm", body).status == 200);
  REQUIRE(office.owner("PUT", "/admin/tenants/acme", R"({"crm":{"host":"1"}})").status == 200);
  office.put_account();
  CHECK(office.call().status == 200);
  office.home.forget();
  CHECK(
      office.app.as(office.admin, "PUT", "/admin/tenants/acme", R"({"crm":{"host":"2"}})").status ==
      200);
  const RawResponse refused = office.call();
  CHECK(refused.status == 409);
  CHECK(has(refused.body, "http://127.0.0.2:" + office.home.port()));
  CHECK(office.home.seen().empty());
  CHECK(office.owner("PUT", "/admin/tenants/acme", R"({"crm":{"host":"1"}})").status == 200);
  CHECK(office.call().status == 200);
}

TEST_CASE("secret origins: origins that are changed by hand open nothing", "[e2e][gateway]") {
  Office office;
  KvStore& kv = *office.app.parts().kv;
  const std::string key = keyspace::token("acme", "crm", "main");
  Json record = parse_json(kv.get(KvFamily::kTokens, key)->value).value();
  record["origins"] = Json{office.stranger.url()};
  KvBatch batch;
  batch.put(KvFamily::kTokens, key, dump_json(record));
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  REQUIRE(office.owner("DELETE", "/admin/providers/crm").status == 204);
  REQUIRE(office
              .owner("PUT", "/admin/providers/crm",
                     Office::provider(office.stranger, office.home, office.home, true))
              .status == 200);
  CHECK(office.call().status == 500);
  CHECK(office.stranger.seen().empty());
}

TEST_CASE("secret origins: keys of AI providers stay where they were given for", "[e2e][ai]") {
  AiHouse house;
  Recorder away;
  const std::string admin = json_text(
      house.admin("POST", "/admin/admin-keys", R"({"name":"a","role":"admin"})").body, "admin_key");
  const std::string path = "/admin/ai/providers/openai";
  const auto to = [](const std::string& url, const std::string& more = {}) {
    return R"({"kind":"openai","base_url":")" + url + "\"" + more + "}";
  };
  check_moved(house.app.as(admin, "PUT", path, to(away.url())), away);
  CHECK(house.app.as(admin, "PUT", path + "?rebind=true", to(away.url())).status == 403);
  CHECK(house.app.as(admin, "PUT", path, to(away.url(), R"(,"api_key_origins":["x"])")).status ==
        400);
  CHECK(house.chat().status == 200);

  // The organization's own key: neither a junk key of the admin's nor a new record moves it.
  REQUIRE(house
              .admin("PUT", "/admin/organizations/" + house.org + "/ai-credentials/openai",
                     R"({"api_key":"ORG-A-OWN-PROVIDER-KEY"})")
              .status == 200);
  CHECK(house.chat().status == 200);
  CHECK(has(house.provider.heads().back(), "ORG-A-OWN-PROVIDER-KEY"));
  CHECK(house.app.as(admin, "PUT", path, to(away.url(), R"(,"api_key":"junk")")).status == 200);
  const auto check_refused_here = [&] {
    const RawResponse refused = house.chat();
    check_moved(refused, away);
    CHECK(away.seen().empty());
  };
  check_refused_here();
  CHECK(has(house.app.as(house.key, "GET", "/v1/models").body, "\"data\""));
  CHECK(house.app.as(admin, "DELETE", path).status == 204);
  CHECK(house.app.as(admin, "PUT", path, to(away.url(), R"(,"api_key":"junk")")).status == 200);
  check_refused_here();
  // Another spelling of the same origin is the same one.
  std::string spelled = house.provider.url();
  spelled.replace(0, 4, "HTTP");
  REQUIRE(
      house.app
          .as(admin, "PUT", path, to("http" + spelled.substr(4) + "/v1", R"(,"api_key":"junk")"))
          .status == 200);
  CHECK(house.chat().status == 200);
  // An owner's word, and then the key goes.
  REQUIRE(house.admin("PUT", path + "?rebind=true", to(away.url())).status == 200);
  CHECK(house.chat().status == 200);
  CHECK(away.saw("ORG-A-OWN-PROVIDER-KEY"));
}

TEST_CASE("secret origins: what was sealed before is bound once, at a start, to its URLs of then",
          "[e2e][gateway][ai]") {
  Office office;
  REQUIRE(office
              .owner("PUT", "/admin/ai/providers/comp",
                     R"({"kind":"openai_compatible","base_url":")" + office.home.url() + "\"}")
              .status == 200);
  const std::string org = office.app.credential("organization_id");
  // The records as an earlier program wrote them: sealed for their keys alone.
  const auto make_old = [&] {
    Parts& parts = office.app.parts();
    const std::string token_key = keyspace::token("acme", "crm", "main");
    const std::string refresh_key = keyspace::refresh("acme", "crm", "main");
    const std::string provider_key = keyspace::api_config("crm");
    Json provider = parse_json(parts.kv->get(KvFamily::kConfig, provider_key)->value).value();
    provider["auth"].erase("client_secret_origins");
    provider["auth"]["client_secret_sealed"] =
        parts.sealer->seal("CLIENT-SECRET-OF-OPERATOR", provider_key);
    provider["default_headers"] = {{"x-partner-key", "STATIC-PARTNER-SECRET"}};
    KvBatch batch;
    batch.put(KvFamily::kConfig, provider_key, dump_json(provider));
    batch.put(
        KvFamily::kTokens, token_key,
        dump_json(Json{{"type", "oauth2_refresh_token"},
                       {"sealed", parts.sealer->seal(R"({"access_token":"AT-SECRET"})", token_key)},
                       {"meta", {{"developer_token", "DEVELOPER-SECRET"}}},
                       {"version", 3}}));
    batch.put(KvFamily::kTokens, refresh_key,
              dump_json(Json{{"sealed", parts.sealer->seal(R"({"refresh_token":"RT-SECRET"})",
                                                           refresh_key)}}));
    const std::string own = keyspace::org_credential(org, "comp");
    batch.put(KvFamily::kConfig, own, parts.sealer->seal("ORG-KEY", own));
    REQUIRE(parts.kv->write(batch, KvDurability::kSynced).ok());
  };
  make_old();
  // Without a start that binds, as when they came by an import: they go nowhere.
  CHECK(office.call().status == 409);
  CHECK(office.owner("POST", kAccount + "/refresh").status == 409);
  const RawResponse shown = office.owner("GET", "/admin/providers/crm");
  CHECK_FALSE(has(shown.body, "STATIC-PARTNER-SECRET"));

  make_old();
  KvBatch forget;
  forget.remove(KvFamily::kSystem, std::string(keyspace::kSecretsBound));
  REQUIRE(office.app.parts().kv->write(forget, KvDurability::kSynced).ok());
  office.app.restart();
  CHECK(office.call().status == 200);
  CHECK(office.home.saw("STATIC-PARTNER-SECRET"));
  CHECK(office.owner("POST", kAccount + "/refresh").status == 200);
  CHECK(office.home.saw("RT-SECRET"));
  CHECK(office.home.saw("CLIENT-SECRET-OF-OPERATOR"));
  const RawResponse account = office.owner("GET", kAccount);
  CHECK(has(account.body, R"("secrets":["developer_token"])"));
  CHECK_FALSE(has(account.body, "DEVELOPER-SECRET"));
  Parts& parts = office.app.parts();
  CHECK_FALSE(has(parts.kv->get(KvFamily::kConfig, keyspace::api_config("crm"))->value,
                  "STATIC-PARTNER-SECRET"));
  const auto comp = parts.ai.providers->find("comp").value();
  CHECK(parts.ai.providers->credential(org, *comp)->reveal() == "ORG-KEY");
  // Once is enough: what comes without origins from now on stays without.
  make_old();
  REQUIRE(bind_secrets(parts).ok());
  CHECK(office.call().status == 409);
}
