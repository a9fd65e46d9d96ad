// Goal: the master key is changed while the daemon serves: nothing is lost, nothing is left under
// the old key, and an old key that is still needed cannot be dropped. Method: a daemon with a
// sealed record of each kind, rotated over HTTP, with a walk that is cut off and a restart between.
#include "app/reseal.h"

#include <nlohmann/json.hpp>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>

#include "ai/providers.h"
#include "app/master_key.h"
#include "app/master_keys.h"
#include "base/bytes.h"
#include "base/entropy.h"
#include "blob/presign.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/gateway_house.h"
#include "identity/people.h"
#include "kv/keyspace.h"
#include "oauth/ticket_store.h"
#include "portal/totp.h"
#include "support/ai_house.h"
#include "support/small_disk.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Everything that is sealed: a record of each kind, by the doors that make them.
struct Vault {
  Vault() {
    const auto made = [&](const std::string& method, const std::string& path,
                          const std::string& body) {
      const RawResponse answer = app.as_owner(method, path, body);
      INFO(method << " " << path << " " << answer.body);
      REQUIRE(answer.status / 100 == 2);
    };
    made("PUT", "/admin/ai/providers/comp",
         R"({"kind":"openai","base_url":"http://127.0.0.1:1","api_key":"SHARED"})");
    made("PUT",
         "/admin/organizations/" + app.credential("organization_id") + "/ai-credentials/comp",
         R"({"api_key":"OWN"})");
    made(
        "PUT", "/admin/providers/crm",
        R"({"base_url":"http://127.0.0.1:1","auth_type":"oauth2_refresh_token",)"
        R"("allow_private_addresses":true,"secrets":{"partner":"PARTNER"},)"
        R"("auth":{"client_id":"c","client_secret":"CLIENT","token_url":"http://127.0.0.1:1/t"}})");
    made("PUT", "/admin/tenants/acme", "{}");
    made("PUT", "/admin/tenants/acme/providers/crm/accounts/main",
         R"({"access_token":"ACCESS","refresh_token":"REFRESH","expires_at":4000000000})");
    KvBatch old;  // As an older program wrote it.
    old.put(KvFamily::kConfig, keyspace::tenant_config("old"), R"({"crm":{"api_key":"TENANT"}})");
    REQUIRE(app.parts().kv->write(old, KvDurability::kSynced).ok());
    const auto sealed =
        app.parts().gateway.tenants->seal_secrets({"test", "test", ""}, [] { return false; });
    REQUIRE(sealed.value() == 1);
    oauth::TicketStore("test", *app.parts().kv, *app.parts().sealer, app.parts().clock())
        .put("ticket", "TICKET", 600)
        .ok();
    const AuditContext who{"test", "test", ""};
    Person ada;
    ada.name = "Ada";
    person = app.parts().people->create(ada, {"local", "ada@example.com"}, "", who)->id;
    totp_secret = app.parts().portal.totp->start(person, "ada", who)->secret_base32;
    const RawResponse once = app.call(
        "POST", "/admin/tenants/acme/tokens",
        {{"Authorization", "Bearer " + app.credential("admin_key")}, {"Idempotency-Key", "once"}},
        R"({"name":"t"})");
    REQUIRE(once.status == 201);
    token = json_text(once.body, "token");
  }
  // As what they open to says that each is what it was.
  void check_all() {
    Parts& parts = app.parts();
    const auto comp = parts.ai.providers->find("comp").value();
    CHECK(parts.ai.providers->credential("", *comp)->reveal() == "SHARED");
    CHECK(parts.ai.providers->credential(app.credential("organization_id"), *comp)->reveal() ==
          "OWN");
    const auto crm = parts.gateway.providers->find("crm").value();
    CHECK(crm->oauth.client_secret.reveal() == "CLIENT");
    CHECK(crm->secrets.at("partner").reveal() == "PARTNER");
    CHECK(parts.gateway.tenants->find("old").value()->provider_meta.at("crm").at("api_key") ==
          "TENANT");
    const gateway::AccountId id{"acme", "crm", "main"};
    CHECK(parts.gateway.tokens->find(id).value()->access_token.reveal() == "ACCESS");
    CHECK(
        parts.gateway.tokens->find_refresh(id, {"http://127.0.0.1:1/t"})->refresh_token.reveal() ==
        "REFRESH");
    CHECK(parts.kv->get(KvFamily::kSystem, keyspace::kMasterKeyCheck).ok());
    const std::string factor = keyspace::person_totp(person);
    const Json record = *parse_json(parts.kv->get(KvFamily::kConfig, factor)->value);
    CHECK(portal::to_base32(parts.sealer->open(text_member(record, "sealed"), factor)->reveal()) ==
          totp_secret.reveal());
    const auto issuer_key = parts.kv->get(KvFamily::kSystem, keyspace::kDevIssuerKey);
    REQUIRE(issuer_key.ok());
    CHECK(parts.sealer->open(issuer_key->value, keyspace::kDevIssuerKey).ok());
    const RawResponse again = app.call(
        "POST", "/admin/tenants/acme/tokens",
        {{"Authorization", "Bearer " + app.credential("admin_key")}, {"Idempotency-Key", "once"}},
        R"({"name":"t"})");
    CHECK(json_text(again.body, "token") == token);
  }
  std::vector<std::string> key_lines() const {
    const std::string text = read_small_file(app.data_dir() + "/master.key", 4096).value();
    std::vector<std::string> lines;
    for (const std::string_view line : split(text, '\n')) {
      if (!line.empty()) lines.emplace_back(line);
    }
    return lines;
  }
  Json status() const {
    return parse_json(app.as_owner("GET", "/admin/master-keys").body).value()["keys"];
  }
  int64_t held(size_t key) const { return status()[key]["records"].get<int64_t>(); }

  TestApp app{[](Config& config) { config.auth.dev_issuer = true; }};
  std::string person;
  Secret totp_secret;
  std::string token;
};

constexpr int64_t kSealed = 12;  // Of the constructor, and the proof of the key.

bool never() {
  return false;
}

}  // namespace

TEST_CASE("reseal: a rotation leaves nothing under the old key, and loses nothing", "[e2e][app]") {
  Vault vault;
  Parts& parts = vault.app.parts();
  CHECK(vault.status().size() == 1);
  CHECK(vault.held(0) == kSealed);
  const PresignedClaim claim{"GET", "a", 1, std::string(64, 'a'), parts.clock().unix_s() + 60};
  const std::string signed_before = parts.presigner->sign_path(claim);
  const auto is_valid = [&](const std::string& path) {
    return parts.presigner->verify("GET", "a", path.substr(path.find('?') + 1)).ok();
  };

  REQUIRE(parts.master_keys->add_key({"adminkey:1", "admin-api", ""}).ok());
  CHECK(vault.key_lines().size() == 2);
  CHECK(vault.held(0) == 0);
  CHECK(vault.held(1) == kSealed);
  vault.check_all();
  CHECK(is_valid(signed_before));
  const std::string signed_after = parts.presigner->sign_path(claim);
  CHECK(signed_after != signed_before);
  CHECK(is_valid(signed_after));

  // Cut off after three records: the rest is counted and left.
  int steps = 0;
  const auto cut = reseal_all(*parts.kv, *parts.audited, *parts.sealer, {"reseal", "job", ""},
                              [&steps] { return ++steps > 3; });
  REQUIRE(cut.ok());
  CHECK(cut->resealed == 3);
  CHECK(vault.held(1) == kSealed - 3);
  vault.check_all();
  // Dropping the old key now is refused, and nothing changes.
  const std::vector<std::string> lines = vault.key_lines();
  const std::string path = vault.app.data_dir() + "/master.key";
  REQUIRE(write_private_file(path, lines[0] + "\n").ok());
  const Status early = parts.master_keys->read_again();
  CHECK(early.code() == Code::kInvalid);
  CHECK(has(early.message(), "put its line back"));
  vault.check_all();
  REQUIRE(write_private_file(path, lines[0] + "\n" + lines[1] + "\n").ok());

  // A new life goes on where the last one ended.
  vault.app.restart();
  vault.check_all();
  Parts& fresh = vault.app.parts();
  const auto report = fresh.master_keys->reseal(never);
  REQUIRE(report.ok());
  CHECK(has(*report, R"("left":0)"));
  CHECK(vault.held(1) == 0);
  CHECK(vault.status()[1]["removable"] == true);
  CHECK(fresh.master_keys->reseal(never).value() == "");
  vault.check_all();

  // Now the old line may go, and a start without it is good.
  REQUIRE(write_private_file(path, lines[0] + "\n").ok());
  REQUIRE(fresh.master_keys->read_again().ok());
  CHECK(vault.status().size() == 1);
  vault.app.restart();
  vault.check_all();
  CHECK(vault.held(0) == kSealed);
}

TEST_CASE("reseal: a start without a key that is still needed is refused", "[e2e][app]") {
  Vault vault;
  REQUIRE(vault.app.parts().master_keys->add_key({"adminkey:1", "admin-api", ""}).ok());
  const std::vector<std::string> lines = vault.key_lines();
  vault.app.stop();
  REQUIRE(write_private_file(vault.app.data_dir() + "/master.key", lines[0] + "\n").ok());
  const auto app = App::create(TestApp::quiet_config(vault.app.data_dir()));
  CHECK(app.code() == Code::kInvalid);
  CHECK(has(app.status().message(), "does not fit"));
}

TEST_CASE("reseal: only an owner rotates, it is audited, and the job follows", "[e2e][app]") {
  Vault vault;
  const std::string admin = json_text(
      vault.app.as_owner("POST", "/admin/admin-keys", R"({"name":"a","role":"admin"})").body,
      "admin_key");
  CHECK(vault.app.as(admin, "POST", "/admin/master-keys/rotate", "{}").status == 403);
  const RawResponse rotated = vault.app.as_owner("POST", "/admin/master-keys/rotate", "{}");
  INFO(rotated.body);
  CHECK(rotated.status == 200);
  CHECK_FALSE(has(rotated.body, vault.key_lines()[0]));
  wait_until([&] { return vault.held(1) == 0; }, "the job reseal");
  CHECK(vault.held(1) == 0);
  vault.check_all();
  REQUIRE(vault.app.parts().ledger->drain().ok());
  const std::string audit = vault.app.as_owner("GET", "/admin/audit?limit=200").body;
  CHECK(has(audit, R"("source":"master-key-rotate")"));
  CHECK(has(audit, R"("actor":"reseal")"));
  for (size_t i = vault.key_lines().size(); i < MasterKeys::kKeysMax; ++i) {
    CHECK(vault.app.parts().master_keys->add_key({"adminkey:1", "admin-api", ""}).ok());
  }
  const RawResponse full = vault.app.as_owner("POST", "/admin/master-keys/rotate", "{}");
  CHECK(full.status == 409);
  CHECK(has(full.body, "too_many_master_keys"));
}

TEST_CASE("reseal: a key file behind a link is written where it is", "[e2e][app]") {
  Vault vault;
  const TempDir elsewhere;
  const std::string link = vault.app.data_dir() + "/master.key", real = elsewhere.file("key");
  std::filesystem::rename(link, real);
  std::filesystem::create_symlink(real, link);
  REQUIRE(vault.app.as_owner("POST", "/admin/master-keys/rotate", "{}").status == 200);
  CHECK(std::filesystem::is_symlink(link));
  CHECK(split(read_small_file(real, 4096).value(), '\n').size() == 3);  // Two lines, and the end.
  wait_until([&] { return vault.held(1) == 0; }, "the job reseal");
  vault.check_all();
}

TEST_CASE("reseal: a key file that cannot be replaced stays, and nothing is rotated",
          "[e2e][app][disk]") {
  const bool ran = with_small_disk(64 << 20, [](const std::string& disk) {
    Vault vault;
    const std::string path = vault.app.data_dir() + "/master.key", real = disk + "/key";
    std::filesystem::copy_file(path, real);
    REQUIRE(::chmod(real.c_str(), 0600) == 0);
    REQUIRE(::mount(real.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0);
    // On this thread, which alone has the mount.
    const Status refused = vault.app.parts().master_keys->add_key({"adminkey:1", "admin-api", ""});
    INFO(refused.to_string());
    CHECK(refused.reason() == "master_key_not_written");
    CHECK(has(refused.message(), path + " was not changed: replace "));
    CHECK_FALSE(std::filesystem::exists(path + ".new"));
    CHECK(vault.key_lines().size() == 1);
    CHECK(vault.status().size() == 1);
    REQUIRE(vault.app.parts().ledger->drain().ok());
    CHECK_FALSE(has(vault.app.as_owner("GET", "/admin/audit?limit=200").body,
                    R"("source":"master-key-rotate")"));
    ::umount2(path.c_str(), MNT_DETACH);
  });
  if (!ran) WARN("not run: mounting a file system is not permitted here");
}

TEST_CASE("reseal: a record that opens with no key is named", "[e2e][app]") {
  Vault vault;
  Parts& parts = vault.app.parts();
  const std::string key = keyspace::token("acme", "crm", "main");
  KvEntry entry = parts.kv->get(KvFamily::kTokens, key).value();
  const size_t at = entry.value.find("\"sealed\":\"") + 60;
  entry.value[at] = entry.value[at] == 'A' ? 'B' : 'A';
  KvBatch batch;
  batch.put(KvFamily::kTokens, key, entry);
  REQUIRE(parts.kv->write(batch, KvDurability::kSynced).ok());
  REQUIRE(parts.master_keys->add_key({"adminkey:1", "admin-api", ""}).ok());
  const Result<std::string> report = parts.master_keys->reseal(never);
  INFO(report.status().to_string());
  CHECK(report.status().reason() == "unreadable_secrets");
  CHECK(has(report.status().message(), "1 sealed records open with no master key"));
  CHECK(has(report.status().message(), key));
  REQUIRE(vault.app.as_owner("POST", "/admin/jobs/reseal/run").status / 100 == 2);
  wait_until(
      [&] {
        const std::string alerts = vault.app.as_owner("GET", "/admin/alerts").body;
        return has(alerts, "job.failed") && has(alerts, key);
      },
      "the alert names it");
}

TEST_CASE("master key: one that is missing beside a store in use is not made anew", "[unit][app]") {
  TempDir places;
  const std::string dir = places.file("data");
  {
    TestApp app([&](Config& config) { config.data_dir = dir; });
  }
  std::filesystem::remove(dir + "/master.key");
  const Status refused = App::create(TestApp::quiet_config(dir)).status();
  INFO(refused.message());
  CHECK(has(refused.message(), dir + "/master.key is missing"));
  CHECK_FALSE(std::filesystem::exists(dir + "/master.key"));
}

TEST_CASE("master key: the variable takes several, and the daemon says where to change it",
          "[unit][app]") {
  const std::string one = to_base64(std::string(32, 'a')), two = to_base64(std::string(32, 'b'));
  const auto entropy = make_seeded_entropy(1);
  for (const char* separator : {"\n", ",", " ", ", ", "\r\n"}) {
    const auto keys = load_master_keys("", Secret(one + separator + two), "", *entropy);
    REQUIRE(keys.ok());
    REQUIRE(keys->size() == 2);
    CHECK((*keys)[0].reveal() == std::string(32, 'a'));
  }
  CHECK(load_master_keys("", Secret(one + ";" + two), "", *entropy).code() == Code::kInvalid);
  TestApp app([&](Config& config) { config.secrets.master_key = Secret(one); });
  const RawResponse refused = app.as_owner("POST", "/admin/master-keys/rotate", "{}");
  CHECK(refused.status == 409);
  CHECK(has(refused.body, "KVCS_MASTER_KEY"));
  CHECK(has(refused.body, "master_key_not_in_file"));
}
