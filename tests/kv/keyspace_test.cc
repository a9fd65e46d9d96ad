// Goal: every key is built and taken apart by kv/keyspace alone, and what one function builds its
// counterpart reads. Method: round trips with keys of other shapes between them, and a search of
// src/ for literals that begin as a key does.
#include "kv/keyspace.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "kv/owned.h"

namespace kvcs {
namespace {

namespace fs = std::filesystem;
using namespace keyspace;

constexpr std::array<std::string_view, 38> kPrefixes = {
    "apikey:",        "tenant_auth:", "adminkey:",      "org:",
    "org_slug:",      "user:",        "user_email:",    "admin:keys:",
    "api_config:",    "ai_provider:", "tenant_config:", "agent_job_schedule:",
    "ai_price:",      "tokens:",      "refresh:",       "refresh_due:",
    "quota:",         "grace:",       "adjustment:",    "system:",
    "briefing:",      "cron:",        "idempotency:",   "last_used:",
    "oauth_state:",   "agent_state:", "system_state:",  "deletion:",
    "ai_object:",     "person:",      "sign_in:",       "session:",
    "session_of:",    "invitation:",  "calls:",         "billing_customer:",
    "billing_event:", "leaving:"};

// What begins as a key does and is none.
const std::set<std::pair<std::string, std::string>>& other_meanings() {
  static const std::set<std::pair<std::string, std::string>> table = {
      {"src/kv/audited_kv.cc", "adminkey:"},  // The names of actors in the audit.
      {"src/kv/audited_kv.cc", "person:"},
      {"src/artifacts/quota.cc", "org:"},  // Hashed for the id of a customer.
  };
  return table;
}

// The literals of one line that begin as a key does. A message goes on with a space.
std::vector<std::string> keys_in(const std::string& line) {
  std::vector<std::string> found;
  for (size_t at = line.find('"'); at != line.npos; at = line.find('"', at + 1)) {
    const std::string_view rest = std::string_view(line).substr(at + 1);
    if (std::string_view(line).substr(0, at).find("//") != line.npos) break;
    for (const std::string_view prefix : kPrefixes) {
      if (!rest.starts_with(prefix) || rest.substr(prefix.size()).starts_with(' ')) continue;
      found.emplace_back(prefix);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("keyspace: every kind of key says whose it is", "[unit][kv]") {
  for (const std::string_view prefix : kPrefixes) {
    INFO(prefix);
    CHECK(std::any_of(std::begin(kOwnership), std::end(kOwnership), [&](const Ownership& row) {
      return row.prefix == prefix || (prefix == "quota:" && row.prefix.starts_with(prefix));
    }));
  }
  // What the builders make is found by the table under the owner that they were given.
  const std::string uuid = "0b6f5b6e-8a3e-4f0c-9d1e-3f2a1b0c4d5e";
  struct Row {
    KvFamily family;
    std::string key;
    Owner owner;
    std::string id;
  };
  const Row rows[] = {
      {KvFamily::kConfig, org_config("o"), Owner::kOrganization, "o"},
      {KvFamily::kConfig, org_billing("o"), Owner::kOrganization, "o"},
      {KvFamily::kConfig, org_slug("t"), Owner::kTenant, "t"},
      {KvFamily::kConfig, org_key("o", "k"), Owner::kOrganization, "o"},
      {KvFamily::kConfig, tenant_token("o", "k"), Owner::kOrganization, "o"},
      {KvFamily::kConfig, org_credential("o", "p"), Owner::kOrganization, "o"},
      {KvFamily::kConfig, user_config("u"), Owner::kUser, "u"},
      {KvFamily::kConfig, user_key("u", "k"), Owner::kUser, "u"},
      {KvFamily::kConfig, user_email("o", "a@b.c"), Owner::kOrganization, "o"},
      {KvFamily::kConfig, tenant_config("t"), Owner::kTenant, "t"},
      {KvFamily::kConfig, agent_schedule("t"), Owner::kTenant, "t"},
      {KvFamily::kConfig, ai_org_price(uuid, "m"), Owner::kOrganization, uuid},
      {KvFamily::kTokens, token("t", "p", "a"), Owner::kTenant, "t"},
      {KvFamily::kTokens, refresh("t", "p", "a"), Owner::kTenant, "t"},
      {KvFamily::kTokens, refresh_due(1, "t", "p", "a"), Owner::kTenant, "t"},
      {KvFamily::kQuota, quota("key", "k", "2026-01"), Owner::kKey, "k"},
      {KvFamily::kQuota, quota("user", "u", "2026-01"), Owner::kUser, "u"},
      {KvFamily::kQuota, quota("org", "o", "2026-01"), Owner::kOrganization, "o"},
      {KvFamily::kQuota, grace("o", "2026-01-01"), Owner::kOrganization, "o"},
      {KvFamily::kQuota, gateway_calls("o", "2026-01"), Owner::kOrganization, "o"},
      {KvFamily::kQuota, adjustment("u", 1), Owner::kUser, "u"},
      {KvFamily::kSystem, idempotency("k", "h"), Owner::kKey, "k"},
      {KvFamily::kSystem, last_used("k"), Owner::kKey, "k"},
      {KvFamily::kSystem, leaving("o"), Owner::kOrganization, "o"},
      {KvFamily::kSystem, last_used(account_name("t", "p", "a")), Owner::kTenant, "t"},
  };
  for (const Row& row : rows) {
    INFO(row.key);
    CHECK(std::any_of(std::begin(kOwnership), std::end(kOwnership), [&](const Ownership& one) {
      return one.family == row.family && row.key.starts_with(one.prefix) &&
             one.owner == row.owner && owner_id(one, row.key) == row.id;
    }));
    CHECK(family_of_key(row.key) == row.family);
  }
}

TEST_CASE("keyspace: the name of an organization is its own, and not the tenant's of that name",
          "[unit][kv]") {
  const ManualClock clock;
  const auto kv = make_memory_kv(clock);
  KvBatch batch;
  batch.put(KvFamily::kConfig, org_slug("acme"), "o1");
  batch.put(KvFamily::kConfig, org_slug("other"), "o2");
  batch.put(KvFamily::kConfig, tenant_config("acme"), "{}");
  REQUIRE(kv->write(batch, KvDurability::kSynced).ok());
  const auto owned = [&](Owner owner, std::string_view id) {
    std::vector<std::string> keys;
    const auto note = [&](KvFamily, const KvItem& item) {
      keys.push_back(item.key);
      return ok();
    };
    REQUIRE(for_each_owned(*kv, owner, id, note).ok());
    return keys;
  };
  CHECK(owned(Owner::kOrganization, "o1") == std::vector{org_slug("acme")});
  CHECK(owned(Owner::kTenant, "acme") == std::vector{tenant_config("acme")});
  CHECK(owned(Owner::kOrganization, "acme").empty());
}

// The views of a parsed key point into it, so each key has a name here.
TEST_CASE("keyspace: what is built is read back", "[unit][kv]") {
  const std::string organization = org_config("o"), user = user_config("u"), ai = ai_provider("p");
  CHECK(parse_org_config(organization) == "o");
  CHECK(parse_user_config(user) == "u");
  CHECK(parse_ai_provider(ai) == "p");
  const std::string profile = person_profile("p"), active = person_active("p");
  CHECK(parse_person_profile(profile) == "p");
  CHECK(parse_person_active(active) == "p");
  CHECK_FALSE(parse_person_active(profile));
  CHECK_FALSE(parse_person_active(active + ":x"));
  const std::string org_key_text = org_key("o", "k"), tenant_text = tenant_token("o", "t");
  const auto key = parse_org_key(org_key_text);
  REQUIRE(key);
  CHECK((key->org_id == "o" && key->id == "k"));
  const auto tenant = parse_tenant_token(tenant_text);
  REQUIRE(tenant);
  CHECK((tenant->org_id == "o" && tenant->id == "t"));
  const std::string own_text = org_credential("o", "p"), refresh_text = refresh("t", "p", "a");
  const auto own = parse_org_credential(own_text);
  REQUIRE(own);
  CHECK((own->org_id == "o" && own->id == "p"));
  const auto refreshed = parse_refresh(refresh_text);
  REQUIRE(refreshed);
  CHECK((refreshed->tenant == "t" && refreshed->provider == "p" && refreshed->account == "a"));
  const std::string object_text = ai_object("o", "p", "resp_1");
  CHECK(object_text.starts_with(ai_object_prefix("o")));
  CHECK(family_of_key(object_text) == KvFamily::kSystem);
  const auto object = parse_ai_object(object_text);
  REQUIRE(object);
  CHECK((object->org_id == "o" && object->provider == "p" && object->id == "resp_1"));
  const std::string token_text = token("t", "p", "a");
  const auto account = parse_token(token_text);
  REQUIRE(account);
  CHECK((account->tenant == "t" && account->provider == "p" && account->account == "a"));
  const std::string due_text = refresh_due(1'767'225, "t", "p", "a");
  const auto due = parse_refresh_due(due_text);
  REQUIRE(due);
  CHECK(due->due_unix_s == 1'767'225);
  CHECK(
      (due->account.tenant == "t" && due->account.provider == "p" && due->account.account == "a"));
}

TEST_CASE("keyspace: a price's organization is told from a model's name", "[unit][kv]") {
  const std::string organization = "0b6f5b6e-8a3e-4f0c-9d1e-3f2a1b0c4d5e";
  const std::string for_all = ai_price("llama3:8b");
  const auto everyone = parse_ai_price(for_all);
  REQUIRE(everyone);
  CHECK((everyone->org_id.empty() && everyone->model == "llama3:8b"));
  const std::string for_one = ai_org_price(organization, "llama3:8b");
  const auto own = parse_ai_price(for_one);
  REQUIRE(own);
  CHECK((own->org_id == organization && own->model == "llama3:8b"));
  const std::string no_model = ai_org_price(organization, "");
  CHECK(parse_ai_price(no_model)->org_id.empty());
}

TEST_CASE("keyspace: keys of other kinds and shapes are not taken apart", "[unit][kv]") {
  for (const char* key : {"", "org:", "org:o", "org:o:config:x", "org:o:keys:k", "user:o:config"}) {
    INFO(key);
    CHECK_FALSE(parse_org_config(key));
  }
  CHECK_FALSE(parse_user_config(org_config("o")));
  CHECK_FALSE(parse_org_key(tenant_token("o", "t")));
  CHECK_FALSE(parse_tenant_token(org_key("o", "k")));
  CHECK_FALSE(parse_org_key(org_key("o", "k") + ":x"));
  CHECK_FALSE(parse_ai_provider(ai_price("m")));
  CHECK_FALSE(parse_ai_price(ai_provider("p")));
  CHECK_FALSE(parse_token(refresh("t", "p", "a")));
  CHECK_FALSE(parse_token("tokens:t:p"));
  CHECK_FALSE(parse_token("tokens:t:p:a:b"));
  CHECK_FALSE(parse_refresh_due(token("t", "p", "a")));
  CHECK_FALSE(parse_refresh_due("refresh_due:soon:t:p:a"));
  CHECK_FALSE(parse_refresh_due("refresh_due:000000000001:t:p"));
}

TEST_CASE("keyspace: the scan of accounts narrows with what is known", "[unit][kv]") {
  CHECK(token_prefix("", "") == kTokenPrefix);
  CHECK(token_prefix("", "p") == kTokenPrefix);
  CHECK(token_prefix("t", "") == "tokens:t:");
  CHECK(token_prefix("t", "p") == "tokens:t:p:");
  CHECK(last_used(account_name("t", "p", "a")) == "last_used:t:p:a");
}

TEST_CASE("keyspace: secrets and kept answers are told by their keys", "[unit][kv]") {
  CHECK(is_credential(org_credential("o", "openai")));
  CHECK_FALSE(is_credential(org_config("o")));
  for (const std::string& key :
       {oauth_state("s"), std::string("session:1"), idempotency("s", "h"), std::string(kSetupToken),
        std::string(kDevIssuerKey), std::string("agent_state:t:k")}) {
    INFO(key);
    CHECK(is_private_state(key));
  }
  CHECK_FALSE(is_private_state(kHealth));
  CHECK_FALSE(is_private_state(briefing("2026-01-01")));
}

TEST_CASE("keyspace: no other file of src/ writes a key", "[unit][tidy]") {
  const char* named = std::getenv("KVCS_SOURCE_DIR");
  const fs::path root = named != nullptr ? fs::path(named) : fs::current_path();
  INFO("run from the repository's root, or set KVCS_SOURCE_DIR");
  REQUIRE(fs::is_directory(root / "src"));
  std::string found;
  auto unused = other_meanings();
  for (const auto& entry : fs::recursive_directory_iterator(root / "src")) {
    const std::string path = fs::relative(entry.path(), root).generic_string();
    if (!path.ends_with(".cc") && !path.ends_with(".h")) continue;
    if (path.starts_with("src/kv/keyspace.")) continue;
    std::ifstream in(entry.path());
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      number++;
      for (const std::string& key : keys_in(line)) {
        unused.erase({path, key});
        if (other_meanings().contains({path, key})) continue;
        found += path + ":" + std::to_string(number) + ": \"" + key +
                 "…\" is built or read here; kv/keyspace does it\n";
      }
    }
  }
  INFO(found);
  CHECK(found.empty());
  CHECK(unused.empty());
}

TEST_CASE("keyspace: a key in a line is found, and a message or comment is not", "[unit][tidy]") {
  CHECK(keys_in("const auto key = \"org:\" + id;") == std::vector<std::string>{"org:"});
  CHECK(keys_in("if (key.starts_with(\"system:probe\")) return;").size() == 1);
  CHECK(keys_in("f(\"a\", \"quota:x\", \"cron:y\");").size() == 2);
  CHECK(keys_in("return invalid(\"tokens: a range is expected\");").empty());
  CHECK(keys_in("int a;  // \"org:{id}:config\"").empty());
  CHECK(keys_in("std::string org = \"organization:\";").empty());
}

}  // namespace kvcs
