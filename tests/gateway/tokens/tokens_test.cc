// Goal: credentials are sealed at rest, readable from records of other systems, and a write counts
// on the next read. Method: the memory store with audit and watch as the daemon stacks them.
#include "gateway/tokens/tokens.h"

#include <catch2/catch.hpp>

#include "kv/keyspace.h"

using namespace kvcs;
using namespace kvcs::gateway;

namespace {

const AccountId kId{"acme", "hubspot", "main"};
const AuditContext kWho{"adminkey:1", "admin-api", "r1"};

struct Store {
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*memory);
  AuditedKv audited{*kv, clock, *entropy};
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  TokenStore tokens{*kv, audited, *kv, sealer, clock};

  std::string text(const std::string& key) {
    return memory->get(KvFamily::kTokens, key).value().value;
  }
  void write(const std::string& key, const std::string& value) {
    KvBatch batch;
    batch.put(KvFamily::kTokens, key, value);
    REQUIRE(kv->write(batch, KvDurability::kSynced).ok());
  }
};

AccessCredential bearer(const std::string& token) {
  AccessCredential credential;
  credential.access_token = Secret(token);
  credential.expires_at_s = 1'900'000'000;
  credential.meta["login_customer_id"] = "123";
  return credential;
}

}  // namespace

TEST_CASE("tokens: a stored credential comes back, and the store holds no secret in clear",
          "[unit][gateway]") {
  Store store;
  oauth::Grant refresh;
  refresh.refresh_token = Secret("refresh-secret-1");
  REQUIRE(store.tokens.put(kId, bearer("access-secret-1"), refresh, kWho).ok());
  const auto found = store.tokens.find(kId);
  REQUIRE(found.ok());
  CHECK(found.value()->access_token.reveal() == "access-secret-1");
  CHECK(found.value()->meta.at("login_customer_id") == "123");
  CHECK(store.tokens.find_refresh(kId, {}).value().refresh_token.reveal() == "refresh-secret-1");
  const std::string record = store.text("tokens:acme:hubspot:main");
  CHECK(record.find("secret-1") == std::string::npos);
  CHECK(record.find("1900000000") != std::string::npos);
  CHECK(store.text("refresh:acme:hubspot:main").find("secret-1") == std::string::npos);
  const auto view = store.tokens.find_view(kId);
  REQUIRE(view.ok());
  CHECK(view.value().version == 1);
  CHECK(view.value().sealed);
}

TEST_CASE("tokens: a replaced or removed credential counts on the next read", "[unit][gateway]") {
  Store store;
  REQUIRE(store.tokens.put(kId, bearer("one"), {}, kWho).ok());
  REQUIRE(store.tokens.find(kId).value()->access_token.reveal() == "one");
  CHECK(*store.tokens.list_accounts("acme", "hubspot").value() == std::vector<std::string>{"main"});
  REQUIRE(store.tokens.put(kId, bearer("two"), {}, kWho).ok());
  CHECK(store.tokens.find(kId).value()->access_token.reveal() == "two");
  REQUIRE(store.tokens.put({"acme", "hubspot", "default"}, bearer("x"), {}, kWho).ok());
  CHECK(*store.tokens.list_accounts("acme", "hubspot").value() ==
        std::vector<std::string>{"default", "main"});
  REQUIRE(store.tokens.remove(kId, kWho).ok());
  const Status gone = store.tokens.find(kId).status();
  CHECK(gone.code() == Code::kNotFound);
  CHECK(gone.reason() == "TOKEN_MISSING");
  CHECK(store.tokens.find_refresh(kId, {}).code() == Code::kNotFound);
  CHECK(store.tokens.remove(kId, kWho).code() == Code::kNotFound);
}

TEST_CASE("tokens: a record in clear from another system is read and sealed by the next write",
          "[unit][gateway]") {
  Store store;
  store.write("tokens:acme:hubspot:main",
              R"({"type":"oauth2","access_token":"clear-secret","expires_at":1900000000000,)"
              R"("meta":{"instance_url":"https://x"}})");
  const auto found = store.tokens.find(kId);
  REQUIRE(found.ok());
  CHECK(found.value()->access_token.reveal() == "clear-secret");
  CHECK(found.value()->expires_at_s == 1'900'000'000);
  CHECK(found.value()->type == AuthType::kOauth2RefreshToken);
  CHECK_FALSE(store.tokens.find_view(kId).value().sealed);
  REQUIRE(store.tokens.set_health(kId, {TokenState::kRetrying, 2, 99, "503"}, kWho).ok());
  CHECK(store.text("tokens:acme:hubspot:main").find("clear-secret") == std::string::npos);
  CHECK(store.tokens.find(kId).value()->access_token.reveal() == "clear-secret");
  const auto view = store.tokens.find_view(kId);
  CHECK(view.value().sealed);
  CHECK(view.value().health.failures == 2);
  CHECK(view.value().health.state == TokenState::kRetrying);
}

TEST_CASE("tokens: a write for an old version is a conflict", "[unit][gateway]") {
  Store store;
  const std::string none(kNoAccountMark);
  CHECK(store.tokens.put(kId, bearer("one"), {}, kWho, {}, "1").code() == Code::kConflict);
  REQUIRE(store.tokens.put(kId, bearer("one"), {}, kWho, {}, none).ok());
  CHECK(store.tokens.put(kId, bearer("two"), {}, kWho, {}, none).code() == Code::kConflict);
  const std::string first = store.tokens.find_view(kId)->mark();
  REQUIRE(store.tokens.put(kId, bearer("two"), {}, kWho, {}, first).ok());
  CHECK(store.tokens.set_health(kId, {}, kWho, {}, first).code() == Code::kConflict);
  CHECK(store.tokens.find(kId).value()->access_token.reveal() == "two");
}

TEST_CASE("tokens: a mark of an account that was removed fits none that comes after it",
          "[unit][gateway]") {
  Store store;
  REQUIRE(store.tokens.put(kId, bearer("one"), {}, kWho).ok());
  const AccountView before = *store.tokens.find_view(kId);
  REQUIRE(store.tokens.remove(kId, kWho).ok());
  REQUIRE(store.tokens.put(kId, bearer("two"), {}, kWho).ok());
  REQUIRE(store.tokens.find_view(kId)->version == before.version);
  CHECK(store.tokens.put(kId, bearer("one"), {}, kWho, {}, before.mark()).code() ==
        Code::kConflict);
  CHECK(store.tokens.set_health(kId, {}, kWho, {}, before.mark()).code() == Code::kConflict);
  CHECK(store.tokens.remove(kId, kWho, before.authority).code() == Code::kConflict);
  CHECK(store.tokens.find(kId).value()->access_token.reveal() == "two");
  // A change of the health, or a refresh, leaves the credential the one that it is.
  const std::string authority = store.tokens.find_view(kId)->authority;
  REQUIRE(store.tokens.set_health(kId, {}, kWho).ok());
  CHECK(store.tokens.remove(kId, kWho, authority).ok());
}

TEST_CASE("tokens: names that would build another key, and sizes beyond the limits, are refused",
          "[unit][gateway]") {
  Store store;
  for (const AccountId& id :
       {AccountId{"a:b", "hubspot", "x"}, AccountId{"a", "", "x"},
        AccountId{"a", "hubspot", std::string(65, 'x')}, AccountId{"a", "hub/spot", "x"}}) {
    CHECK(store.tokens.put(id, bearer("x"), {}, kWho).code() == Code::kInvalid);
  }
  CHECK(store.tokens.put(kId, bearer(std::string(kSecretMaxBytes + 1, 'x')), {}, kWho).code() ==
        Code::kInvalid);
}

TEST_CASE("tokens: a sealed part that was moved to another account does not open",
          "[unit][gateway]") {
  Store store;
  REQUIRE(store.tokens.put(kId, bearer("one"), {}, kWho).ok());
  store.write("tokens:evil:hubspot:main", store.text("tokens:acme:hubspot:main"));
  CHECK(store.tokens.find({"evil", "hubspot", "main"}).code() == Code::kInternal);
}

TEST_CASE("tokens: views list what is there and pass over what is damaged", "[unit][gateway]") {
  Store store;
  REQUIRE(store.tokens.put(kId, bearer("one"), {}, kWho).ok());
  REQUIRE(store.tokens.put({"acme", "slack", "main"}, bearer("x"), {}, kWho).ok());
  REQUIRE(store.tokens.put({"other", "slack", "main"}, bearer("x"), {}, kWho).ok());
  store.write("tokens:acme:slack:broken", "not json");
  const auto count = [&](std::string_view tenant, std::string_view provider) {
    int n = 0;
    const auto visit = [&](const AccountView&) {
      ++n;
      return ok();
    };
    REQUIRE(store.tokens.for_each_view(tenant, provider, visit).ok());
    return n;
  };
  CHECK(count("", "") == 3);
  CHECK(count("acme", "") == 2);
  CHECK(count("acme", "slack") == 1);
  CHECK(count("", "slack") == 2);
}
