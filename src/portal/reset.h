// A lost password: a link that is good once and for an hour, made by an operator or sent by mail to
// the account's address. Its token names the person and holds 256 random bits, of which the store
// has a hash; a new link takes the place of the one before, but a mailed one not of an operator's.
// Thread-safe.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/secret.h"
#include "base/status.h"
#include "identity/maker.h"
#include "identity/people.h"
#include "identity/sessions.h"
#include "portal/mailer.h"
#include "portal/passwords.h"
#include "portal/sign_in.h"

namespace kvcs::portal {

inline constexpr int64_t kResetLinkLifetimeS = 3600;
inline constexpr int64_t kResetMailGapS = 600;    // One mail to one account in so long.
inline constexpr size_t kResetMailsMax = 10'000;  // That went out within it.

struct ResetLink {
  std::string url;
  int64_t expires_ms = 0;
};

class ResetService final {
 public:
  struct Services {
    const KvStore& kv;
    AuditedKv& audited;
    PersonService& people;
    SessionService& sessions;
    PasswordHasher& hasher;
    const Clock& clock;
    Entropy& entropy;
    std::function<std::string()> public_url;
    std::function<int64_t(std::string_view whose)> take_try;  // As SignInService's.
    std::function<void(std::string_view whose)> forgive;      // Its tries are all there again.
    MakerLook may_still;
    Mailer* mailer = nullptr;  // Null: no mail is sent.
  };
  explicit ResetService(Services services) : s_(std::move(services)) {}

  // NotFound with reason person_not_found. Conflict with reason no_password: the person signs in
  // through a provider alone. `maker` as maker.h: the link ends with the maker's role.
  Result<ResetLink> make(std::string_view person_id, const AuditContext& who,
                         std::string maker = {});
  // Ok whether there is an account or not, and at once; a link goes to one that is there. Conflict
  // with reason mail_not_configured. RateLimited with reason too_many_tries.
  Status send(std::string_view email, const Caller& caller);
  // Whether use() would take the link, of which nothing is spent. Unauthenticated with reason
  // reset_token_invalid.
  Status look_up(const Secret& token, const Caller& caller) const;
  // Ends the link, all sessions of the person, and the lock-out at the caller's address.
  // Unauthenticated with reason reset_token_invalid. Invalid for the password.
  Status use(const Secret& token, const Secret& password, const Caller& caller);

 private:
  Status take_try(std::string_view account, const Caller& caller) const;
  // The hash of a link that is good, and who made it.
  Result<KvEntry> find_link(const Secret& token) const;
  Result<std::optional<Letter>> letter_to(const std::string& email, const std::string& request_id);
  void forget_old() KVCS_REQUIRES(mutex_);
  bool is_out(const std::string& person_id);
  void note_out(const std::string& person_id, bool was_sent);

  const Services s_;
  // When the last mail to a person went out; kWaiting while it is to be sent. Those of a life
  // before are forgotten: who asks then gets another.
  Mutex mutex_;
  std::map<std::string, int64_t> out_s_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::portal
