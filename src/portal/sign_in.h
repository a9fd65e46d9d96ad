// How a session begins: by the setup link of a new appliance, or by a local account's address and
// password. Whoever guesses is slowed down per account and address block together, so that nobody
// can lock somebody else out from afar, and per address block over all accounts. Thread-safe.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "http/http.h"
#include "identity/browser_session.h"
#include "identity/maker.h"
#include "identity/members.h"
#include "identity/people.h"
#include "identity/sessions.h"
#include "kv/kv.h"
#include "oauth/ticket_store.h"
#include "portal/passwords.h"
#include "portal/portal.h"
#include "portal/totp.h"

namespace kvcs::portal {

inline constexpr int64_t kSetupLinkLifetimeS = 86'400;
inline constexpr int64_t kSecondStepLifetimeS = 300;
inline constexpr int kSecondStepTries = 5;

// The record by which a setup token is known: with it in the store, POST /auth/setup takes the
// token once, until `now_s` + kSetupLinkLifetimeS.
// `maker` as maker.h; "" is the machine.
KvBatch setup_token_record(std::string_view token, int64_t now_s, std::string maker = {});
// The link. The token stands behind '#', so that it reaches neither logs nor other servers.
std::string setup_url(std::string_view public_url, std::string_view token);

// Where a sign-in comes from.
struct Caller {
  std::string address;  // Of the client.
  std::string user_agent;
  std::string request_id;
  Secret old_session;  // The token of the session that the browser leaves behind; may be empty.
  std::string device = {};  // The name of a device without a browser; "" for browsers.
};

Caller caller_of(const http::Request& request);  // Of no browser.
Caller caller_of(const http::Request& request, const BrowserRules& browser);
// The member of a body {token}, of a link that works once. Invalid.
Result<Secret> read_link_token(http::Request& request);
// {"works"}, of a look at such a link: one that is spent is an answer, and no refusal.
Result<http::Response> tell_whether_good(const Status& look);
http::Response no_content();  // 204, which nobody keeps.
// The member of a body {current_password?}, for SignInService::confirm_person(). Invalid.
Result<std::optional<Secret>> read_current_password(http::Request& request);

// What somebody shows again who has a session: a body {current_password?, code?}.
struct Proof {
  std::optional<Secret> password;
  std::string code;  // Of the second factor; "" = none.
};
Result<Proof> read_proof(http::Request& request);

// Under which tries of an account are counted, from the caller's address block. Whoever guesses
// from elsewhere locks out nobody here.
std::string try_name(std::string_view account, const Caller& caller);
// Of one account from one address block, right and wrong tries together.
inline constexpr int64_t kAccountTriesPerMinute = 10;
// RateLimited with reason too_many_tries in these words, unless `wait_s` is 0.
inline constexpr std::string_view kTooManyTries =
    "Too many tries for this account from this address; wait a while.";
Status too_many_tries(int64_t wait_s, std::string_view words = kTooManyTries);

struct NewAccount {
  std::string email, name;
  Secret password;
};

// What a right password leads to: a session, or the ticket of the second step.
struct FirstStep {
  std::optional<StartedSession> session;
  Secret ticket;
};

inline constexpr int64_t kFreshSignInS = 300;

class SignInService final {
 public:
  struct Services {
    KvStore& kv;
    AuditedKv& audited;
    PersonService& people;
    MemberService& members;
    SessionService& sessions;
    PasswordHasher& hasher;
    TotpService& totp;
    oauth::TicketStore tickets;
    Entropy& entropy;
    const Clock& clock;
    // The id of the organization with this slug; NotFound.
    std::function<Result<std::string>(std::string_view slug)> find_organization;
    // A project of the organization to begin with; "" when it has none.
    std::function<Result<std::string>(std::string_view organization_id)> first_project;
    // Takes one try of `whose`; the seconds until the next when there are none left.
    std::function<int64_t(std::string_view whose, int64_t per_minute)> take_try;
    SignUp sign_up = SignUp::kInvited;
    MakerLook may_still;
  };
  explicit SignInService(Services services) : s_(std::move(services)) {}

  // Whether set_up() would take the link, of which nothing is spent. Unauthenticated with reason
  // setup_token_invalid. RateLimited with reason too_many_tries.
  Status look_up_setup(const Secret& token, const Caller& caller) const;
  // The first person: owner of the daemon, and of organization `default` where that is there.
  // Unauthenticated with reason setup_token_invalid, also when who made the link is an owner no
  // longer. Invalid for the account's members.
  Result<StartedSession> set_up(const Secret& token, const NewAccount& account,
                                const Caller& caller);
  // A local account that `join` makes a member of an organization, in one write with its records.
  // Nothing is left of it when that fails. Forbidden with reason
  // invitation_for_another when `invited`, an address or "", is another than the account's.
  // Conflict with reason sign_in_exists. Forbidden with reason sign_up_closed.
  using Join =
      std::function<Status(const Person& person, const AuditContext& who, const KvBatch& records)>;
  Result<StartedSession> register_account(const NewAccount& account, std::string_view invited,
                                          const Join& join, const Caller& caller);
  // Unauthenticated with reason wrong_credentials, whatever was wrong. RateLimited with reason
  // too_many_tries. Forbidden with reason person_suspended.
  Result<FirstStep> sign_in(std::string_view email, const Secret& password, const Caller& caller);
  // The second step, with a code or a recovery code. Unauthenticated with reason ticket_invalid or
  // wrong_code; the ticket is good for kSecondStepTries. RateLimited with reason too_many_tries.
  Result<StartedSession> sign_in_with_code(const Secret& ticket, std::string_view code,
                                           const Caller& caller);
  // A session alone, which may be a stolen one, adds no second factor and no way to sign in: the
  // password again, or without one a sign-in of the last kFreshSignInS, not through another device.
  // Invalid without the password; Forbidden with reason wrong_password or sign_in_again;
  // RateLimited as sign_in().
  Status confirm_person(const Principal& who, const std::optional<Secret>& password,
                        const Caller& caller) const;
  // The same with a code besides, which is spent, where the account has a second factor. Invalid
  // with reason code_required without one; as TotpService::check().
  Status confirm_factors(const Principal& who, const Proof& proof, const Caller& caller) const;
  // Begins a session of somebody for whom `provider` has vouched, where the last one of the person
  // was, and ends the one that the browser had.
  // `write` as SessionService::start()'s.
  Result<StartedSession> start(const Person& person, std::string_view provider,
                               const Caller& caller, const SessionService::Write& write = {});
  // Ends the person's other sessions and begins a new one. Forbidden with reason wrong_password,
  // also when the password is changed elsewhere meanwhile.
  Result<StartedSession> change_password(std::string_view person_id, const Secret& current,
                                         const Secret& wanted, const Caller& caller);

 private:
  // The person of an account, and the hash of its password; its address is nobody's yet.
  struct Prepared {
    Person person;
    SignIn sign_in;
    std::string password_hash;
  };
  Result<Prepared> prepare(const NewAccount& account, const Caller& caller) const;
  struct Place {
    std::string organization_id, project_id;
  };
  Result<Place> last_place(std::string_view person_id) const;
  Status check_setup_token(std::string_view hash) const;
  Status take_setup_token(std::string_view hash, const KvBatch& records, const AuditContext& who);
  Status take_try(std::string_view account, const Caller& caller) const;
  Result<StartedSession> start_by_password(const Person& person, std::string_view password_hash,
                                           const Caller& caller,
                                           const SessionService::Write& write = {});
  Result<Secret> make_ticket(const Person& person, std::string_view password_hash);
  KvBatch ticket_again(const Secret& ticket, const Json& record) const;
  void give_try_back(const Secret& ticket);

  Services s_;
};

}  // namespace kvcs::portal
