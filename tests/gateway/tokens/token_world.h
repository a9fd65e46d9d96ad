// Accounts of one tenant on the memory store, a scripted token endpoint and a clock moved by hand.
#pragma once
#include <catch2/catch.hpp>

#include <memory>
#include <string>

#include "gateway/tokens/refresher.h"
#include "gateway/tokens/tokens.h"
#include "kv/keyspace.h"
#include "support/scripted_upstream.h"

namespace kvcs::test {

struct TokenWorld {
  static inline const AuditContext kWho{"adminkey:1", "admin-api", "r1"};
  static inline const gateway::AccountId kId{"acme", "hubspot", "main"};

  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  KvFaultPlan plan = [](std::string_view, std::string_view) { return ok(); };
  std::unique_ptr<KvStore> faulty = make_faulty_kv(
      *memory, [this](std::string_view op, std::string_view key) { return plan(op, key); });
  std::unique_ptr<WatchedKv> kv = make_watched_kv(*faulty);
  AuditedKv audited{*kv, clock, *entropy};
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  gateway::TokenStore tokens{*kv, audited, *kv, sealer, clock};
  ScriptedUpstream upstream{&clock};
  gateway::AuthType account_type = gateway::AuthType::kOauth2RefreshToken;
  oauth::Client client = [] {
    oauth::Client c;
    c.token_url = "https://auth.example.com/token";
    c.client_id = "client id";
    c.client_secret = Secret("client/secret");
    c.client_auth = oauth::ClientAuth::kBasic;
    return c;
  }();
  gateway::ProviderClientSource clients =
      [this](std::string_view) -> Result<gateway::ProviderClient> {
    return gateway::ProviderClient{account_type, client};
  };
  gateway::AccountOriginSource origins =
      [this](const gateway::AccountId&,
             const std::map<std::string, std::string>&) -> Result<gateway::AccountOrigins> {
    return gateway::AccountOrigins{origins_of({"https://api.example.com", client.revoke_url}),
                                   origins_of({client.token_url, client.revoke_url})};
  };
  gateway::Refresher refresher{*kv, tokens, upstream, clients, clock, *entropy, 8};

  // An account whose token lives for `lifetime_s` from now, with its alarm.
  void add_account(const gateway::AccountId& id = kId, int64_t lifetime_s = 3600,
                   gateway::AuthType type = gateway::AuthType::kOauth2RefreshToken) {
    gateway::AccessCredential credential;
    credential.type = type;
    credential.access_token = Secret("access-secret-0");
    credential.expires_at_s = clock.unix_s() + lifetime_s;
    credential.origins = origins_of({"https://api.example.com", "https://api.hubapi.example"});
    oauth::Grant refresh;
    const std::string own_url = "https://" + id.provider + ".example.com";
    refresh.origins = origins_of({client.token_url, client.revoke_url, own_url});
    if (type == gateway::AuthType::kOauth2RefreshToken) {
      refresh.refresh_token = Secret("refresh-secret-0");
    }
    KvBatch alarm;
    gateway::add_refresh_alarm(alarm, id, credential.expires_at_s - 600);
    REQUIRE(tokens.put(id, credential, refresh, kWho, alarm).ok());
  }
  void advance_s(int64_t seconds) { clock.advance_ms(seconds * 1000); }
  int64_t run() {
    const Result<int64_t> ran = refresher.run_due();
    INFO(ran.status().to_string());
    REQUIRE(ran.ok());
    return ran.value();
  }
  std::string access(const gateway::AccountId& id = kId) const {
    return tokens.find(id).value()->access_token.reveal();
  }
  gateway::AccountView view(const gateway::AccountId& id = kId) const {
    return tokens.find_view(id).value();
  }
  std::vector<std::string> keys(KvFamily family, const std::string& prefix) const {
    std::vector<std::string> found;
    REQUIRE(kv_for_each(*memory, family, prefix, [&](const KvItem& item) -> Status {
              found.push_back(item.key);
              return ok();
            }).ok());
    return found;
  }
  std::vector<std::string> alarms() const { return keys(KvFamily::kTokens, "refresh_due:"); }
  // Payloads of alerts on their way to the ledger that hold `text`.
  int alerts(const std::string& text) const {
    int count = 0;
    REQUIRE(kv_for_each(*memory, KvFamily::kOutbox, "", [&](const KvItem& item) -> Status {
              const std::string& value = item.entry.value;
              if (value.starts_with("alert\n") && value.find(text) != std::string::npos) ++count;
              return ok();
            }).ok());
    return count;
  }
  // Everything that is stored, as one text, to look for secrets in.
  std::string dump() const {
    std::string all;
    for (size_t family = 0; family < kKvFamilyCount; ++family) {
      REQUIRE(kv_for_each(*memory, static_cast<KvFamily>(family), "",
                          [&](const KvItem& item) -> Status {
                            all += item.key + " " + item.entry.value + "\n";
                            return ok();
                          })
                  .ok());
    }
    return all;
  }
};

}  // namespace kvcs::test
