// Who comes in through a provider of sign-ins: finds the person, or makes one where the rules let a
// stranger in, and gives and takes the rights that the provider's claims stand for. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "base/status.h"
#include "identity/members.h"
#include "identity/orgs.h"
#include "identity/people.h"
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
    // Makes the first project of a new organization.
    std::function<Status(std::string_view organization_id, const AuditContext& who)> add_project;
    InvitationService& invitations;
    SignUp sign_up;
  };
  explicit Arrivals(Services services) : s_(std::move(services)) {}

  // `invitation` may be empty. Forbidden with reason sign_up_closed, domain_not_allowed or
  // person_suspended; the failures of InvitationService::accept().
  Result<Person> welcome(const Provider& provider, const oauth::Identity& identity,
                         const Secret& invitation, std::string_view request_id);

 private:
  Result<Person> make_person(const Provider& provider, const oauth::Identity& identity,
                             const Secret& invitation, const AuditContext& who);
  Status give_place(const Person& person, const AuditContext& who);
  Status apply_roles(const Provider& provider, const oauth::Identity& identity,
                     const Person& person, const AuditContext& who);
  Result<Person> apply_operator(const Provider& provider, const oauth::Identity& identity,
                                Person person, const AuditContext& who);

  const Services s_;
};

// At the start: whoever is an operator by an entry that no provider's admins have any more is none
// from now on. What an operator gave stays.
Status take_back_appointments(PersonService& people, const std::vector<Provider>& providers);

}  // namespace kvcs::portal
