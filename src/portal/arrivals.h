// Who comes in through a provider of sign-ins: finds the person, or makes one where the rules let a
// stranger in, and gives and takes the rights that the provider's claims stand for. Thread-safe.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/secret.h"
#include "base/status.h"
#include "identity/members.h"
#include "identity/orgs.h"
#include "identity/people.h"
#include "identity/sessions.h"
#include "oauth/oidc.h"
#include "portal/invitations.h"
#include "portal/providers.h"

namespace kvcs::portal {

class Arrivals final {
 public:
  struct Services {
    PersonService& people;
    MemberService& members;
    OrganizationService& organizations;
    // Makes the first project of an organization, unless it has one.
    std::function<Status(std::string_view organization_id, const AuditContext& who)> add_project;
    InvitationService& invitations;
    SignUp sign_up;
    // Slugs that nobody's first organization takes (mapped_slugs()).
    std::set<std::string> kept_slugs = {};
  };
  explicit Arrivals(Services services) : s_(std::move(services)) {}

  struct Arrival {
    Person person;
    bool is_new = false;
  };
  // `invitation` may be empty. It lets a stranger in. Somebody who is known joins by a request of
  // their own: a link that leads through here must not put anybody into an organization. Forbidden
  // with reason sign_up_closed, domain_not_allowed or person_suspended; for a stranger the failures
  // of InvitationService::accept(), which leave nothing behind, and those of a stranger whom a role
  // lets in that the organization has no room for. For somebody who is known such a role is left
  // out, and the log has it.
  Result<Arrival> welcome(const Provider& provider, const oauth::Identity& identity,
                          const Secret& invitation, std::string_view request_id);

  // Whose bearer `provider` gave: as welcome(), without an invitation. An access token says less
  // than a sign-in, and what it does not say changes nothing: neither the roles nor the address
  // that the person has.
  Result<Person> recognize(const Provider& provider, const oauth::Identity& identity);

 private:
  // By the id of the organization.
  using Roles = std::map<std::string, OrgRole>;
  Result<Roles> mapped_roles(const Provider& provider, const oauth::Identity& identity) const;
  Result<Person> make_person(const Provider& provider, const oauth::Identity& identity,
                             const Roles& roles, const Secret& invitation, const AuditContext& who);
  // In the first organization of `roles` that takes the person, with the person's records; the
  // failure of the last when none does.
  Status join_first(const Provider& provider, const Roles& roles, const Person& person,
                    const KvBatch& records, const AuditContext& who);
  Status give_place(const std::string& person_id, const AuditContext& who);
  Status apply_roles(const Provider& provider, const Roles& roles, const Person& person,
                     const AuditContext& who);
  Result<Person> apply_person(const Provider& provider, const oauth::Identity& identity,
                              Person person, bool says_address, const AuditContext& who);

  const Services s_;
  // Of two first requests of one person one makes the place, and the other finds it.
  Mutex making_;
};

// At the start: whoever is an operator by an entry that no provider's admins have any more is none
// from now on. What an operator gave stays.
Status take_back_appointments(PersonService& people, const std::vector<const Provider*>& providers);
// At the start: a role that a provider's claims gave and that its role_map gives nobody any more is
// taken back, and sessions that a provider began which is configured no longer end.
Status take_back_roles(const KvStore& kv, MemberService& members,
                       const OrganizationService& organizations,
                       const std::vector<const Provider*>& providers);
// What the role_maps name organizations by. People do not take these slugs: that would give them
// the employees for whom an organization is meant that is not there yet, or is deleted.
std::set<std::string> mapped_slugs(const std::vector<const Provider*>& providers);
Status end_sessions_of_the_gone(const KvStore& kv, SessionService& sessions,
                                const std::vector<const Provider*>& providers);

}  // namespace kvcs::portal
