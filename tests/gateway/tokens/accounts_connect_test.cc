// Goal: credentials go in and never come out; consent in the browser works once, in one browser,
// for ten minutes, and its failures are shown without harm. Method: the handlers as the router
// calls them, over the scripted token endpoint.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"
#include "gateway/tokens/account_limit.h"
#include "gateway/tokens/accounts_api.h"
#include "gateway/tokens/connect.h"
#include "gateway/tokens/token_watch.h"
#include "gateway/tokens/token_world.h"
#include "http/text_body.h"
#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::gateway;
using kvcs::test::TokenWorld;

namespace {

constexpr const char* kGood =
    R"({"access_token":"access-secret-1","refresh_token":"refresh-secret-1","expires_in":3600})";

kvcs::test::ScriptedAnswer answer(const std::string& body) {
  kvcs::test::ScriptedAnswer answer;
  answer.chunks = {body};
  return answer;
}

struct ApiWorld : TokenWorld {
  int checks_until_suspended = 1'000'000;
  TenantCheck tenants = [this](std::string_view tenant) -> Status {
    if (tenant != "acme") return not_found("There is no such tenant.");
    return checks_until_suspended-- > 0 ? ok() : forbidden("Tenant acme is suspended.");
  };
  TenantRecord acme{"tenant_config:acme", "first", "1"};
  TokenWatch watch{tokens, clock};
  AccountsApi accounts{tokens, refresher, upstream, clients, origins, tenants, watch, clock};
  ConnectApi connect{*kv,
                     audited,
                     tokens,
                     upstream,
                     clients,
                     origins,
                     tenants,
                     [this](std::string_view) -> Result<TenantRecord> { return acme; },
                     sealer,
                     clock,
                     clock,
                     *entropy,
                     [] { return std::string("https://kvcs.test"); }};
  int looks_until_lost = 1'000'000;
  std::string maker;  // Who was looked at last.
  // The tenant from now on.
  void store_tenant(const std::string& incarnation, const std::string& value) {
    acme.incarnation = incarnation;
    acme.value = value;
    KvBatch batch;
    batch.put(KvFamily::kConfig, acme.key, value);
    REQUIRE(kv->write(batch, KvDurability::kBuffered).ok());
  }
  std::string account = "main";
  std::vector<http::Header> headers;

  template <typename Api>
  Result<http::Response> call(Api& api, Result<http::Response> (Api::*handler)(http::Request&),
                              const std::string& query, const std::string& text = {}) {
    http::Request request;
    http::TextBody body(text);
    request.body = &body;
    request.query = query;
    request.headers = headers;
    request.params = {{"tenant", "acme"}, {"provider", "hubspot"}, {"account", account}};
    request.principal.key_id = "k1";
    return (api.*handler)(request);
  }
  Result<http::Response> put(const std::string& body) {
    return call(accounts, &AccountsApi::put, "", body);
  }
  // The consent link's query, after '?'.
  std::string link_query(const std::string& body = "{}") {
    auto made = call(connect, &ConnectApi::create_link, "", body);
    INFO(made.status().to_string());
    REQUIRE(made.ok());
    CHECK(made->status == 201);
    const std::string url = parse_json(made->body).value()["url"];
    CHECK(url.starts_with("https://kvcs.test/connect/hubspot?"));
    return url.substr(url.find('?') + 1);
  }
  // Follows the link; the query of the provider's page. Keeps the cookie.
  std::string cookie;
  std::string begin(const std::string& query) {
    auto response = call(connect, &ConnectApi::begin, query);
    REQUIRE(response.ok());
    INFO(response->body);
    REQUIRE(response->status == 302);
    const std::string set = *response->find("Set-Cookie");
    CHECK(set.find("HttpOnly; SameSite=Lax") != std::string::npos);
    CHECK(set.find("; Secure") != std::string::npos);
    cookie = set.substr(0, set.find(';'));
    headers = {{"cookie", cookie}};
    const std::string location = *response->find("Location");
    CHECK(location.starts_with("https://auth.example.com/authorize?response_type=code&"));
    return location;
  }
  http::Response callback(const std::string& query) {
    auto response = call(connect, &ConnectApi::callback, query);
    REQUIRE(response.ok());
    CHECK(response->body.find("<script") == std::string::npos);
    CHECK(response->find("Content-Security-Policy")->starts_with("default-src 'none'; style-src "));
    return std::move(response).value();
  }
  ApiWorld() {
    connect.set_maker_look([this](std::string_view who) -> Result<bool> {
      maker = who;
      return looks_until_lost-- > 0;
    });
    client.authorize_url = "https://auth.example.com/authorize";
    store_tenant("1", "first");
  }
};

std::string query_member(const std::string& url, const std::string& name) {
  const size_t begin = url.find(name + "=") + name.size() + 1;
  return url.substr(begin, url.find('&', begin) - begin);
}

}  // namespace

TEST_CASE("accounts: each auth type takes its members and shows none of them", "[unit][gateway]") {
  struct Row {
    AuthType type;
    const char* body;
    const char* fault;  // "" = stored
  };
  const Row rows[] = {
      {AuthType::kBearer, R"({"access_token":"s-secret"})", ""},
      {AuthType::kBearer, R"({"username":"x"})", "access_token: required for bearer"},
      {AuthType::kApiKeyHeader, R"({"api_key":"s-secret","meta":{"team":"x"}})", ""},
      {AuthType::kBearer, R"({"access_token":"s-secret\r\nX-Evil: 1"})", "access_token: must not"},
      {AuthType::kApiKeyHeader, R"({"api_key":"s-secret\n"})", "api_key: must not hold control"},
      {AuthType::kBearer, R"({"access_token":"s","meta":{"shop":"a\nb"}})", "meta: must not hold"},
      {AuthType::kApiKeyQuery, "{}", "api_key: required"},
      {AuthType::kBasic, R"({"username":"u-secret","password":"p-secret"})", ""},
      {AuthType::kBasic, R"({"password":"p-secret"})", "username: required"},
      {AuthType::kOauth2RefreshToken, R"({"refresh_token":"s-secret"})", ""},
      {AuthType::kOauth2RefreshToken, R"({"scope":"x"})", "refresh_token: required"},
      {AuthType::kOauth2ClientCredentials, "{}", ""},
      {AuthType::kServiceAccountJwt, R"({"service_account":{"client_email":"a@b"}})",
       "private_key: required"},
      {AuthType::kAwsSigV4, R"({"access_key_id":"a-secret","secret_access_key":"b-secret"})", ""},
      {AuthType::kAwsSigV4, R"({"access_key_id":"a-secret"})", "secret_access_key: required"},
      {AuthType::kNone, "{}", ""},
      {AuthType::kBearer, R"({"access_token":"s","expires_at":"soon"})", "expires_at"},
      {AuthType::kBearer, R"({"access_token":"s","meta":{"a":1}})", "strings"},
      {AuthType::kBearer, R"({"token":"s-secret"})", "token"},
      {AuthType::kBearer, "[]", "JSON object"},
  };
  for (const Row& row : rows) {
    INFO(row.body);
    ApiWorld world;
    world.account_type = row.type;
    const auto response = world.put(row.body);
    if (*row.fault != '\0') {
      CHECK(response.status().code() == Code::kInvalid);
      CHECK(response.status().message().find(row.fault) != std::string::npos);
      CHECK(response.status().to_string().find("-secret") == std::string::npos);
      continue;
    }
    INFO(response.status().to_string());
    REQUIRE(response.ok());
    CHECK(response.value().status == 201);
    CHECK(response.value().body.find("-secret") == std::string::npos);
    CHECK(world.put(row.body).value().status == 200);
    CHECK(world.dump().find("-secret") == std::string::npos);
  }
}

TEST_CASE("accounts: what has no access token yet gets one at the next run", "[unit][gateway]") {
  ApiWorld world;
  REQUIRE(world.put(R"({"refresh_token":"refresh-secret-9"})").ok());
  world.upstream.push_json(200, kGood);
  CHECK(world.run() == 1);
  CHECK(world.upstream.last_seen().body.find("refresh-secret-9") != std::string::npos);
  CHECK(world.access() == "access-secret-1");
}

TEST_CASE("accounts: lists, versions, refresh and removal", "[unit][gateway]") {
  ApiWorld world;
  REQUIRE(world
              .put(R"({"refresh_token":"r-secret","access_token":"a-secret",)"
                   R"("expires_at":"2026-01-01T02:00:00Z"})")
              .ok());
  const auto list = world.call(world.accounts, &AccountsApi::list, "");
  CHECK(list->body.find("\"expires_at\":\"2026-01-01T02:00:00Z\"") != std::string::npos);
  CHECK(world.call(world.accounts, &AccountsApi::list_tenant, "")->body == list->body);
  world.headers = {{"if-match", "\"7\""}};
  CHECK(world.put(R"({"refresh_token":"x"})").code() == Code::kConflict);
  // A number alone would fit an account of before that was removed.
  world.headers = {{"if-match", "\"1\""}};
  CHECK(world.put(R"({"refresh_token":"x"})").code() == Code::kConflict);
  const std::string etag = *world.call(world.accounts, &AccountsApi::get, "")->find("etag");
  world.headers = {{"if-match", etag}};
  CHECK(world.put(R"({"refresh_token":"r2-secret"})").ok());
  world.headers.clear();
  world.upstream.push_json(200, kGood);
  const auto refreshed = world.call(world.accounts, &AccountsApi::refresh, "");
  REQUIRE(refreshed.ok());
  CHECK(refreshed->body.find("\"state\":\"ok\"") != std::string::npos);
  world.upstream.push_json(400, R"({"error":"invalid_grant"})");
  const auto refused = world.call(world.accounts, &AccountsApi::refresh, "");
  CHECK(refused.code() == Code::kUpstream);
  CHECK(refused.status().message().find("invalid_grant") != std::string::npos);
  // Revocation: refused where the provider offers none, kept when it fails, done when it works.
  CHECK(world.call(world.accounts, &AccountsApi::remove, "revoke=1").code() == Code::kInvalid);
  world.client.revoke_url = "https://auth.example.com/revoke";
  // The access token was given for the provider's other URLs alone.
  CHECK(world.call(world.accounts, &AccountsApi::remove, "revoke=1").status().reason() ==
        kSecretOriginChanged);
  REQUIRE(world.tokens
              .rebind(TokenWorld::kId, *world.origins(TokenWorld::kId, {}), false, TokenWorld::kWho)
              .ok());
  world.upstream.push_json(503, "{}");
  CHECK(world.call(world.accounts, &AccountsApi::remove, "revoke=1").code() == Code::kUpstream);
  world.upstream.push_json(200, "");
  CHECK(world.call(world.accounts, &AccountsApi::remove, "revoke=1").ok());
  CHECK(world.upstream.last_seen().url == "https://auth.example.com/revoke");
  CHECK(world.upstream.last_seen().body == "token=refresh-secret-1&token_type_hint=refresh_token");
  CHECK(world.call(world.accounts, &AccountsApi::get, "").code() == Code::kNotFound);
}

TEST_CASE("accounts: a revocation that takes its time removes no account stored meanwhile",
          "[unit][gateway]") {
  ApiWorld world;
  world.client.revoke_url = "https://auth.example.com/revoke";
  REQUIRE(world.put(R"({"refresh_token":"r-secret","access_token":"a-secret"})").ok());
  world.upstream.set_handler([&](const auto&) {
    CHECK(world.tokens.remove(TokenWorld::kId, TokenWorld::kWho).ok());
    CHECK(world.put(R"({"refresh_token":"new-r-secret","access_token":"new-secret"})").ok());
    return answer("");
  });
  CHECK(world.call(world.accounts, &AccountsApi::remove, "revoke=1").code() == Code::kConflict);
  CHECK(world.access() == "new-secret");
}

TEST_CASE("accounts: only tenants that exist, only names that fit", "[unit][gateway]") {
  ApiWorld world;
  world.account = "a:b";
  CHECK(world.put(R"({"refresh_token":"x"})").code() == Code::kInvalid);
  world.account = "main";
  world.tenants = [](std::string_view) { return not_found("none"); };
  AccountsApi api{world.tokens,  world.refresher, world.upstream, world.clients,
                  world.origins, world.tenants,   world.watch,    world.clock};
  CHECK(world.call(api, &AccountsApi::put, "", R"({"refresh_token":"x"})").code() ==
        Code::kNotFound);
}

TEST_CASE("accounts: a tenant has a thousand at most, with all providers together",
          "[unit][gateway]") {
  ApiWorld world;
  const std::string body = R"({"access_token":"s-secret"})";
  REQUIRE(world.put(body).ok());
  // Those of a tenant whose name only begins alike do not count.
  KvBatch batch;
  for (size_t i = 1; i < kAccountsPerTenantMax; ++i) {
    const std::string account = "a" + std::to_string(i);
    if (i > 1) batch.put(KvFamily::kTokens, keyspace::token("acme", "slack", account), "{}");
    batch.put(KvFamily::kTokens, keyspace::token("acme-2", "slack", account), "{}");
  }
  REQUIRE(world.kv->write(batch, KvDurability::kBuffered).ok());
  world.account = "last";
  CHECK(world.put(body).value().status == 201);
  world.account = "beyond";
  const Status refused = world.put(body).status();
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.reason() == "too_many_accounts");
  CHECK(refused.message().find("Tenant acme has 1000 accounts") == 0);
  // What is there is replaced, and removed it makes room.
  world.account = "last";
  CHECK(world.put(body).value().status == 200);
  REQUIRE(world.call(world.accounts, &AccountsApi::remove, "").ok());
  world.account = "beyond";
  CHECK(world.put(body).value().status == 201);
}

TEST_CASE(
    "accounts: a healthy one says when it is refreshed next, and one that is not says nothing",
    "[unit][gateway]") {
  ApiWorld world;
  const auto next_of = [&](const std::string& account) {
    world.account = account;
    const auto shown = world.call(world.accounts, &AccountsApi::get, "");
    REQUIRE(shown.ok());
    return parse_json(shown->body).value()["next_refresh_at"];
  };
  world.add_account({"acme", "hubspot", "main"}, 7200);
  world.add_account({"acme", "hubspot", "typed"}, 7200, AuthType::kBearer);
  CHECK(next_of("main") == format_iso8601_s((world.clock.unix_s() + 7200 - 600) * 1000));
  CHECK(next_of("typed").is_null());
  const TokenHealth lost{TokenState::kReauthRequired, 1, 0, "revoked"};
  REQUIRE(world.tokens.set_health({"acme", "hubspot", "main"}, lost, TokenWorld::kWho).ok());
  CHECK(next_of("main").is_null());
}

TEST_CASE("connect: consent stores sealed tokens and arms the refresh", "[unit][gateway]") {
  ApiWorld world;
  world.client.scopes = {"a", "b"};
  world.client.authorize_params = {{"access_type", "offline"}};
  const std::string link = world.link_query(R"({"account_id":"main","meta":{"shop":"x1"}})");
  const std::string page = world.begin(link);
  CHECK(page.find("scope=a%20b") != std::string::npos);
  CHECK(page.find("access_type=offline") != std::string::npos);
  CHECK(page.find("code_challenge_method=S256") != std::string::npos);
  world.upstream.push_json(200, kGood);
  const auto done = world.callback("code=code-secret&state=" + query_member(page, "state"));
  INFO(done.body);
  CHECK(done.status == 200);
  CHECK(done.body.find("secret") == std::string::npos);
  // PKCE: the challenge of the page is the hash of the verifier of the exchange.
  const std::string body = world.upstream.last_seen().body;
  const Sha256Digest hash = sha256(query_member(body, "code_verifier"));
  CHECK(query_member(page, "code_challenge") ==
        to_base64url({reinterpret_cast<const char*>(hash.data()), hash.size()}));
  CHECK(body.find("grant_type=authorization_code&code=code-secret") != std::string::npos);
  CHECK(body.find("redirect_uri=https%3A%2F%2Fkvcs.test%2Fconnect%2Fcallback") !=
        std::string::npos);
  CHECK(world.access() == "access-secret-1");
  CHECK(world.view().meta.at("shop") == "x1");
  CHECK(world.alarms().size() == 1);
  CHECK(world.dump().find("-secret") == std::string::npos);
  CHECK(world.keys(KvFamily::kSystem, "oauth_state:").empty());
  // Neither link nor state work twice.
  CHECK(world.call(world.connect, &ConnectApi::begin, link)->status == 404);
  CHECK(world.callback("code=x&state=" + query_member(page, "state")).status == 400);
}

TEST_CASE("connect: a link is no state, and a state no link", "[unit][gateway]") {
  ApiWorld world;
  const std::string link = world.link_query();
  CHECK(world.callback("code=x&state=" + query_member(link, "ticket")).status == 400);
  const std::string state = query_member(world.begin(link), "state");
  CHECK(
      world.call(world.connect, &ConnectApi::begin, "tenant=acme&account=default&ticket=" + state)
          ->status == 404);
  world.upstream.push_json(200, kGood);
  CHECK(world.callback("code=x&state=" + state).status == 200);
}

TEST_CASE("connect: a store that fails, and fails again, costs neither link nor state",
          "[fault][gateway]") {
  ApiWorld world;
  int failures = 0;
  const auto fail = [&]() -> Status {
    return failures > 0 && failures-- > 0 ? unavailable("The store is down.") : ok();
  };
  const std::string of = GENERATE("maker", "get", "cas");
  INFO(of);
  world.connect.set_maker_look([&](std::string_view) -> Result<bool> {
    if (of == "maker") KVCS_TRY(fail());
    return true;
  });
  world.plan = [&](std::string_view op, std::string_view) { return op == of ? fail() : ok(); };
  const std::string link = world.link_query();
  for (failures = 2; failures > 0;) {
    CHECK(world.call(world.connect, &ConnectApi::begin, link)->status == 503);
  }
  const std::string state = query_member(world.begin(link), "state");
  for (failures = 2; failures > 0;) CHECK(world.callback("code=x&state=" + state).status == 503);
  CHECK(world.upstream.seen_count() == 0);
  world.upstream.push_json(200, kGood);
  CHECK(world.callback("code=x&state=" + state).status == 200);
}

TEST_CASE("connect: a tenant that is suspended meanwhile gets no account", "[unit][gateway]") {
  ApiWorld world;
  const auto is_refused = [&](const http::Response& page) {
    CHECK(page.status == 403);
    CHECK(page.body.find("Tenant acme is suspended.") != std::string::npos);
    CHECK(world.keys(KvFamily::kTokens, "").empty());
  };
  SECTION("before the link is made") {
    world.checks_until_suspended = 0;
    CHECK(world.call(world.connect, &ConnectApi::create_link, "", "{}").code() == Code::kForbidden);
  }
  SECTION("before the link is opened") {
    const std::string link = world.link_query();
    world.checks_until_suspended = 0;
    is_refused(*world.call(world.connect, &ConnectApi::begin, link));
  }
  SECTION("before the browser comes back") {
    const std::string page = world.begin(world.link_query());
    world.checks_until_suspended = 0;
    is_refused(world.callback("code=x&state=" + query_member(page, "state")));
    CHECK(world.upstream.seen_count() == 0);
  }
  SECTION("while the provider is asked") {
    const std::string page = world.begin(world.link_query());
    world.checks_until_suspended = 1;
    world.upstream.push_json(200, kGood);
    is_refused(world.callback("code=x&state=" + query_member(page, "state")));
    CHECK(world.upstream.seen_count() == 1);
  }
}

TEST_CASE("connect: a link ends with the rights of who made it", "[unit][gateway]") {
  ApiWorld world;
  const auto is_refused = [&](const http::Response& page) {
    CHECK(page.status == 403);  // Reason maker_lost_rights.
    CHECK(page.body.find("may connect no accounts any more") != std::string::npos);
    CHECK(world.keys(KvFamily::kTokens, "").empty());
  };
  SECTION("before the link is opened") {
    const std::string link = world.link_query();
    world.looks_until_lost = 0;
    is_refused(*world.call(world.connect, &ConnectApi::begin, link));
  }
  SECTION("while the provider is asked") {
    const std::string page = world.begin(world.link_query());
    world.looks_until_lost = 1;
    world.upstream.push_json(200, kGood);
    is_refused(world.callback("code=x&state=" + query_member(page, "state")));
    CHECK(world.upstream.seen_count() == 1);
  }
  CHECK(world.maker.find("\"key_id\":\"k1\"") != std::string::npos);
}

TEST_CASE("connect: a consent is for the tenant of its link, and for none that has the name next",
          "[unit][gateway]") {
  ApiWorld world;
  const auto is_refused = [&](const http::Response& page) {
    CHECK(page.status == 409);
    CHECK(page.body.find("was set up anew") != std::string::npos);
    CHECK(world.keys(KvFamily::kTokens, "").empty());
  };
  SECTION("before the link is opened") {
    const std::string link = world.link_query();
    world.store_tenant("2", "second");
    is_refused(*world.call(world.connect, &ConnectApi::begin, link));
  }
  SECTION("before the browser comes back") {
    const std::string page = world.begin(world.link_query());
    world.store_tenant("2", "second");
    is_refused(world.callback("code=x&state=" + query_member(page, "state")));
    CHECK(world.upstream.seen_count() == 0);
  }
  SECTION("while the provider is asked") {
    const std::string page = world.begin(world.link_query());
    world.upstream.set_handler([&](const auto&) {
      world.store_tenant("2", "second");
      return answer(kGood);
    });
    is_refused(world.callback("code=x&state=" + query_member(page, "state")));
  }
  SECTION("between the last look and the write") {
    const std::string page = world.begin(world.link_query());
    world.upstream.push_json(200, kGood);
    int writes = 0;
    world.plan = [&](std::string_view op, std::string_view key) {
      if (op == "cas" && key == world.acme.key && ++writes == 1) {
        KvBatch batch;
        batch.put(KvFamily::kConfig, world.acme.key, "second");
        REQUIRE(world.memory->write(batch, KvDurability::kBuffered).ok());
        world.acme.value = "second";
        world.acme.incarnation = "2";
      }
      return ok();
    };
    is_refused(world.callback("code=x&state=" + query_member(page, "state")));
    CHECK(writes == 1);
  }
  SECTION("another change of the tenant is none of its identity") {
    const std::string page = world.begin(world.link_query(R"({"account_id":"main"})"));
    world.store_tenant("1", "renamed");
    world.upstream.push_json(200, kGood);
    CHECK(world.callback("code=x&state=" + query_member(page, "state")).status == 200);
    CHECK(world.access() == "access-secret-1");
  }
}

TEST_CASE("connect: denied, expired, changed, stolen and failed consents are shown, escaped",
          "[unit][gateway]") {
  ApiWorld world;
  SECTION("denied") {
    const std::string page = world.begin(world.link_query());
    const auto shown = world.callback(
        "error=access_denied&error_description=%3Cb%3Eno%3C%2Fb%3E"
        "&state=" +
        query_member(page, "state"));
    CHECK(shown.status == 400);
    CHECK(shown.body.find("access_denied") != std::string::npos);
    CHECK(shown.body.find("&lt;b&gt;no") != std::string::npos);
  }
  SECTION("expired link and expired state") {
    const std::string link = world.link_query();
    const std::string other = world.link_query();
    const std::string page = world.begin(other);
    world.advance_s(kConnectLifetimeS + 1);
    CHECK(world.call(world.connect, &ConnectApi::begin, link)->status == 404);
    CHECK(world.callback("code=x&state=" + query_member(page, "state")).status == 400);
  }
  SECTION("another account in the link") {
    std::string link = world.link_query();
    link.replace(link.find("account=default"), 15, "account=other12");
    CHECK(world.call(world.connect, &ConnectApi::begin, link)->status == 400);
  }
  SECTION("another browser") {
    const std::string page = world.begin(world.link_query());
    world.headers = {{"cookie", "kvcs_connect_000000000000=x"}};
    CHECK(world.callback("code=x&state=" + query_member(page, "state")).status == 403);
    CHECK(world.upstream.seen_count() == 0);
  }
  SECTION("the exchange fails") {
    const std::string page = world.begin(world.link_query());
    world.upstream.push_json(
        400, R"({"error":"invalid_grant","error_description":"code code-secret <i>"})");
    const auto shown = world.callback("code=code-secret&state=" + query_member(page, "state"));
    CHECK(shown.status == 502);
    CHECK(shown.body.find("code-secret") == std::string::npos);
    CHECK(shown.body.find("&lt;i&gt;") != std::string::npos);
    CHECK(world.tokens.find({"acme", "hubspot", "default"}).code() == Code::kNotFound);
  }
  SECTION("another issuer") {
    world.client.issuer = "https://good.example.com";
    const std::string page = world.begin(world.link_query());
    CHECK(world
              .callback("code=x&iss=https%3A%2F%2Fevil.example.com&state=" +
                        query_member(page, "state"))
              .status == 400);
  }
  SECTION("no code") {
    const std::string page = world.begin(world.link_query());
    CHECK(world.callback("state=" + query_member(page, "state")).status == 400);
  }
  SECTION("a provider without consent page") {
    world.client.authorize_url.clear();
    CHECK(world.call(world.connect, &ConnectApi::create_link, "", "{}").code() == Code::kInvalid);
  }
}
