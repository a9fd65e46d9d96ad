// People who sign in. A person is known by sign-ins: pairs of an issuer and the subject that the
// issuer knows the person by (OpenID Connect Core §2), never by an address, which may change hands.
// A local account is a sign-in of issuer kLocalIssuer whose subject is its address. Records live in
// KV (kv/keyspace.h, person:), since each request with a session needs them. Every change is
// audited. Thread-safe: a person's ways to sign in change under a lock that is held over the reads
// and the write of the store, so that one of them stays.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/principal.h"
#include "base/status.h"
#include "kv/audited_kv.h"
#include "kv/list_walk.h"

namespace kvcs {

inline constexpr std::string_view kLocalIssuer = "local";
inline constexpr int64_t kRemovalS = 600;
inline constexpr size_t kSignInsPerPersonMax = 20;
inline constexpr size_t kPersonNameMaxBytes = 200;

// By which configuration somebody is an operator: an entry of the provider's list of admins.
struct AppointedBy {
  std::string provider, entry;
  bool operator==(const AppointedBy&) const = default;
};

struct Person {
  std::string id;  // UUID
  std::string name;
  std::string email;  // "" when no sign-in told one that it had verified.
  // The provider of sign-ins that has verified the address; "": nobody has, as of a local account.
  std::string email_verified_by;
  bool active = true;
  AdminRole role = AdminRole::kNone;     // Of the whole daemon: an operator's; given by operators.
  std::optional<AppointedBy> appointed;  // The configuration makes the person an owner besides.
  bool wants_place = false;              // An organization of the person's own is still to be made.
  int64_t version = 1;
  int64_t created_ms = 0, updated_ms = 0;

  // What the person may do as an operator.
  AdminRole operator_role() const { return appointed ? AdminRole::kOwner : role; }
};

struct SignIn {
  std::string issuer;
  std::string subject;
};
Status person_suspended();  // Forbidden with this reason.
// By which a sign-in is found, and shown to its person: SHA-256 of both, in hex.
std::string sign_in_id(const SignIn& sign_in);

// Where the bearers of a person act that are no session of this daemon: a session has a place of
// its own. Both ids are "" when none has been chosen.
struct ActivePlace {
  std::string organization_id, project_id;
};
Result<ActivePlace> parse_active_place(std::string_view json);

std::string person_to_json(const Person& person);
Result<Person> parse_person(std::string_view json);  // Internal when the record is damaged.

// In order of id; the cursor is "" on the last page.
struct PersonPage {
  std::vector<Person> people;
  std::string cursor;
};

class PersonService final {
 public:
  // All outlive it.
  PersonService(KvStore& kv, AuditedKv& audited, const Clock& clock, Entropy& entropy);

  // Fills in id, times and version. `password_hash` is argon2id text, "" for none. Invalid: no
  // name, or one that is none (names.h). Conflict with reason sign_in_exists.
  Result<Person> create(Person wanted, const SignIn& sign_in, std::string_view password_hash,
                        const AuditContext& who);
  // The same for somebody who comes with something, such as a membership: `write` writes it and the
  // person's records in one batch. Its failure is returned, and nothing is left of the person.
  using Write = std::function<Status(const Person& person, const KvBatch& records)>;
  Result<Person> create_with(Person wanted, const SignIn& sign_in, std::string_view password_hash,
                             const AuditContext& who, const Write& write);
  Result<Person> find(std::string_view id) const;  // NotFound, reason person_not_found
  Result<Person> find_by_sign_in(const SignIn& sign_in) const;
  // `edit` may change anything but id and times; it may run more than once.
  using Edit = std::function<Status(Person& person)>;
  Result<Person> update(std::string_view id, const Edit& edit, const AuditContext& who);
  // From now on, for kRemovalS at most, nothing new can become the person's, such as a membership:
  // what is seen then stays as it is while the rest is ended. Conflict with reason name_in_deletion
  // when it was begun before.
  Status begin_removal(std::string_view id, const AuditContext& who);
  Status withdraw_removal(std::string_view id, const AuditContext& who);
  // Conflict with reason last_operator, before anything of the person goes.
  Status check_removable(std::string_view id) const;
  // With every way to sign in, and all else that is the person's. What organizations have of the
  // person, and sessions, the caller has ended, after begin_removal(). NotFound. Conflict with
  // reason last_operator: nobody else who may sign in owns the daemon; or removal_ended:
  // begin_removal() was more than kRemovalS ago.
  Status remove(std::string_view id, const AuditContext& who);
  // update(), by which somebody may become no owner of the daemon any more. Conflict with reason
  // last_operator when nobody else who may sign in is one.
  Result<Person> update_operator(std::string_view id, const Edit& edit, const AuditContext& who);
  // A search looks at name, address and id.
  Result<PersonPage> list(const ListAsk& ask) const;
  // All whom a configuration has made operators. Damaged records are left out: nobody comes in by
  // them.
  Result<std::vector<Person>> list_appointed() const;

  Result<std::vector<SignIn>> list_sign_ins(std::string_view id) const;
  // Conflict with reason sign_in_exists when it is somebody's already, or sign_ins_full.
  Status add_sign_in(std::string_view id, const SignIn& sign_in, const AuditContext& who);
  // Takes away the sign-in of this id, with the password when it is the local account, and tells
  // which it was. NotFound with reason sign_in_not_found. Conflict with reason last_sign_in.
  Result<SignIn> remove_sign_in(std::string_view id, std::string_view sign_in_id,
                                const AuditContext& who);

  Result<ActivePlace> active_place(std::string_view id) const;
  // NotFound with reason person_not_found. Leaves no record in the audit: a place is no right.
  Status set_active_place(std::string_view id, const ActivePlace& place);

  // "" when the person has no password.
  Result<std::string> password_hash(std::string_view id) const;
  // In one write with `also`, where the hash is still `before` ("" = none); else Conflict with
  // reason password_changed.
  Status set_password_hash(std::string_view id, std::string_view before, std::string_view hash,
                           const AuditContext& who, KvBatch also = {});

 private:
  Result<Person> complete(Person wanted) const;
  Status check_operator_stays(std::string_view leaving_id) const;

  Mutex operators_mutex_;  // Of two owners who end each other one is second.
  Mutex sign_ins_mutex_;
  KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  Entropy& entropy_;
};

}  // namespace kvcs
