// Credentials of accounts in KV, sealed. A record `tokens:{tenant}:{provider}:{account}` is JSON:
//   {"type", "sealed", "token_type"?, "expires_at"?, "scope", "refresh_state", "failures",
//    "next_attempt_at", "last_error", "created_at"?, "updated_at", "version", "meta", "secrets",
//    "origins", "authority"}
// `sealed` holds the secret members as one sealed JSON object whose context is the record's key and
// its origins (base/origins.h), so that it opens nowhere else and for nowhere else; of the named
// secrets among them `secrets` lists the names. Members of `meta` that are secret by their name
// become named secrets on their way in. A record of
// another system with `access_token` (or `api_key`, `username`, …) in clear is read as it is;
// seal_record() makes it ours as it comes in. `refresh:{tenant}:{provider}:{account}`, an
// oauth::Grant, is {"sealed", "scope", "origins"}; only the refresher opens it.
//
// Owned by App; thread-safe. Reads go through a cache that writes invalidate: a replaced or removed
// credential counts on the next request. Opened credentials stay in memory.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "gateway/gateway.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"
#include "kv/last_used.h"
#include "kv/record_cache.h"
#include "oauth/oauth.h"

namespace kvcs::gateway {

// As long as the longest token that oauth accepts of a token endpoint, so that each can be kept.
inline constexpr size_t kSecretMaxBytes = oauth::kTokenMaxBytes;
inline constexpr size_t kNamedSecretMaxBytes = 4096;
inline constexpr size_t kMetaMax = 32;                                    // Members of `meta` …
inline constexpr size_t kMetaValueMaxBytes = oauth::kAnswerMetaMaxBytes;  // … and their size.

// How the refresh of an account goes; written beside the credential.
struct TokenHealth {
  TokenState state = TokenState::kOk;
  int failures = 0;
  int64_t next_attempt_at_s = 0;
  std::string last_error;  // Words for an admin; never a secret.
};

// An account without its secrets: all that may be shown of it.
struct AccountView {
  AccountId id;
  AuthType type = AuthType::kBearer;
  TokenHealth health;
  int64_t expires_at_s = 0, updated_at_s = 0;
  int64_t created_at_s = 0;  // 0 = not known: it came from elsewhere.
  int64_t version = 0;       // Grows with every write; begins anew with a new record.
  std::string authority;     // Random, another one with each credential that is stored.
  std::string scope;
  std::map<std::string, std::string> meta;
  std::vector<std::string> secrets;  // The names of named ones.
  Origins origins;                   // Where its credential may be sent.
  bool sealed = true;                // False: written in clear past the daemon, and not yet by it.
  // Tells this state of the account from every other one, also from those of an account that was
  // removed and stored again under the name. Its ETag, without quotes.
  std::string mark() const;
};
inline constexpr std::string_view kNoAccountMark = "0";  // Where there is no account.

// The record by which a tenant is there, as it was read. Another `incarnation` is another tenant,
// even under the same name.
struct TenantRecord {
  std::string key, value, incarnation;  // Of the family config.
};

class TokenStore final {
 public:
  // Registers with `changes`, which must be the store that every write goes through. All outlive
  // the store.
  TokenStore(const KvStore& kv, AuditedKv& audited, WatchedKv& changes, const Sealer& sealer,
             const Clock& clock, size_t cached_max = 200'000);

  // NotFound with reason TOKEN_MISSING; Unavailable when the store or the master key is not there;
  // Internal when the record is damaged. An expired credential is returned: the caller decides.
  using CredentialPointer = std::shared_ptr<const AccessCredential>;  // The cache and the request.
  Result<CredentialPointer> find(const AccountId& id) const;
  // Names of the accounts that a tenant has with a provider, sorted; empty when none.
  using NamesPointer = std::shared_ptr<const std::vector<std::string>>;
  Result<NamesPointer> list_accounts(std::string_view tenant, std::string_view provider) const;

  Result<AccountView> find_view(const AccountId& id) const;  // NotFound
  // Every account, or those of a tenant, or of a tenant and provider ("" = any), in order of key.
  // Records that cannot be read are passed over. Stops at the first failure of `visit`.
  Status for_each_view(std::string_view tenant, std::string_view provider,
                       const std::function<Status(const AccountView&)>& visit) const;
  // To be sent to these URLs; "" stands for none. NotFound when there is none; Conflict with reason
  // secret_origin_changed when it was not given for them.
  Result<oauth::Grant> find_refresh(const AccountId& id,
                                    const std::vector<std::string_view>& urls) const;

  // Creates or replaces, refresh material included (nothing: what is stored stays), with `also` in
  // the same synced batch. With `only_mark`, Conflict unless the account still has that mark.
  // Invalid: names, sizes. Conflict with reason too_many_accounts. The credential's state is stored
  // as its health, with no failures.
  Status put(const AccountId& id, const AccessCredential& credential,
             const std::optional<oauth::Grant>& refresh, const AuditContext& who,
             const KvBatch& also = {}, const std::optional<std::string>& only_mark = {});
  // As put(), for a tenant whose record is still what it was; Conflict when it is not.
  Status put_while(const TenantRecord& tenant, const AccountId& id,
                   const AccessCredential& credential, const std::optional<oauth::Grant>& refresh,
                   const AuditContext& who, const KvBatch& also);
  // Changes the health alone. NotFound; Conflict as put().
  Status set_health(const AccountId& id, const TokenHealth& health, const AuditContext& who,
                    const KvBatch& also = {}, const std::optional<std::string>& only_mark = {});
  // Seals the secrets of an account anew, for `origins`: an owner's word, or the first start after
  // one that bound nothing (`only_unbound`). True when something was written. NotFound; Conflict
  // when the record was written meanwhile.
  Result<bool> rebind(const AccountId& id, const AccountOrigins& origins, bool only_unbound,
                      const AuditContext& who);
  // Called when an account's credential was stored anew, connected or removed, but not when it was
  // refreshed. Before threads start.
  void set_on_replaced(std::function<void(const AccountId&)> call) {
    on_replaced_ = std::move(call);
  }
  // Where seal_record() asks. Before threads start.
  void set_origin_source(AccountOriginSource source) { origin_source_ = std::move(source); }
  // Returns the record to store for one that comes from elsewhere: its secrets sealed, for the
  // origins that its provider has now. A value that is no credential, or that find() would call
  // damaged, comes back as it is.
  std::string seal_record(std::string_view key, std::string value) const;
  // Credential and refresh material. NotFound. With `only_authority`, Conflict when another
  // credential was stored since; a refresh of that one is no other.
  Status remove(const AccountId& id, const AuditContext& who,
                const std::optional<std::string>& only_authority = {});

  // A call went out with the account's credential. Remembered; flush_used() writes it.
  void note_used(const AccountId& id);
  Status flush_used();
  int64_t last_used_ms(const AccountId& id) const;  // 0 = never, or not known.

 private:
  struct Stored;
  static AccountView view_of(const AccountId& id, Stored stored);
  static std::string mark_of(const Stored& stored);
  Result<Stored> parse(std::string_view key, std::string_view text, bool open_secrets) const;
  std::string serialize(std::string_view key, const Stored& stored) const;
  Result<oauth::Grant> parse_refresh(std::string_view key, std::string_view text) const;
  std::string make_authority() const;
  AccountOrigins origins_of_account(const AccountId& id, const AccessCredential& credential) const;
  // The record that put() stores, and what it stores with it.
  struct Prepared {
    std::optional<std::string> expected;
    KvBatch batch;
    bool replaced = false;
  };
  Result<Prepared> prepare(const AccountId& id, const AccessCredential& credential,
                           const std::optional<oauth::Grant>& refresh, const KvBatch& also,
                           const std::optional<std::string>& only_mark) const;
  Status write(const std::string& key, const std::optional<std::string>& expected,
               const KvBatch& batch, const AuditContext& who);
  void forget(KvFamily family, std::string_view key);

  const KvStore& kv_;
  AuditedKv& audited_;
  LastUsed used_;
  const Sealer& sealer_;
  const Clock& clock_;
  AccountOriginSource origin_source_;
  std::function<void(const AccountId&)> on_replaced_;
  mutable RecordCache<AccessCredential> credentials_;
  mutable RecordCache<std::vector<std::string>> names_;
};

}  // namespace kvcs::gateway
