// Decides about people whom an issuer vouches for. What counts is issuer and subject; an address
// counts only where the issuer says that it has verified it.
#include "portal/arrivals.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/log.h"

namespace kvcs::portal {
namespace {

// What a person who comes on their own gets, in the words of the service that this one replaces.
constexpr std::string_view kFirstOrganization = "My Org";

std::string verified_email(const oauth::Identity& identity) {
  return identity.email_verified ? lower_ascii(identity.email) : std::string();
}

Status check_domain(const Provider& provider, const std::string& email) {
  if (provider.allowed_domains.empty()) return ok();
  const std::string domain = email.substr(std::min(email.find('@') + 1, email.size()));
  const auto& allowed = provider.allowed_domains;
  if (!email.empty() && std::find(allowed.begin(), allowed.end(), domain) != allowed.end()) {
    return ok();
  }
  return forbidden(email.empty() ? "The provider has not verified an address of this account."
                                 : "Addresses of '" + printable(domain, kShownName) +
                                       "' may not sign in through this provider.")
      .with_reason("domain_not_allowed");
}

// The entry of a provider's admins that is this identity.
std::optional<AppointedBy> appointment(const Provider& provider, const oauth::Identity& identity) {
  const std::string email = verified_email(identity);
  for (const std::string& one : provider.admins) {
    const bool fits = one == identity.subject || (!email.empty() && lower_ascii(one) == email);
    if (fits) return AppointedBy{provider.name, one};
  }
  return std::nullopt;
}

bool still_appoints(const std::vector<Provider>& providers, const AppointedBy& by) {
  return std::any_of(providers.begin(), providers.end(), [&](const Provider& provider) {
    return provider.name == by.provider && std::find(provider.admins.begin(), provider.admins.end(),
                                                     by.entry) != provider.admins.end();
  });
}

// The words of the role claim: one, or a list.
std::vector<std::string> claimed_roles(const Provider& provider, const oauth::Identity& identity) {
  std::vector<std::string> words;
  const Json& claims = identity.claims.json();
  const auto claim = claims.find(provider.role_claim);
  if (claim == claims.end()) return words;
  if (claim->is_string()) words.push_back(claim->get<std::string>());
  if (claim->is_array()) {
    for (const Json& word : *claim) {
      if (word.is_string()) words.push_back(word.get<std::string>());
    }
  }
  return words;
}

}  // namespace

Result<Person> Arrivals::welcome(const Provider& provider, const oauth::Identity& identity,
                                 const Secret& invitation, std::string_view request_id) {
  const AuditContext who{"sign-in:" + provider.name, "sign-in", std::string(request_id)};
  KVCS_TRY(check_domain(provider, verified_email(identity)));
  Result<Person> known = s_.people.find_by_sign_in({identity.issuer, identity.subject});
  if (!known.ok() && known.code() != Code::kNotFound) return known;
  if (known.ok() && !known->active) {
    return forbidden("This account is suspended.").with_reason("person_suspended");
  }
  Person person = known.ok() ? std::move(known).value()
                             : KVCS_TRY(make_person(provider, identity, invitation, who));
  if (known.ok() && !invitation.empty()) {
    KVCS_TRY(s_.invitations.accept(invitation, person, who).status());
  }
  KVCS_TRY(apply_roles(provider, identity, person, who));
  return apply_operator(provider, identity, std::move(person), who);
}

// An invitation is spent by the write that makes the person. Roles by claim and the
// list of admins let somebody in as an invitation does.
Result<Person> Arrivals::make_person(const Provider& provider, const oauth::Identity& identity,
                                     const Secret& invitation, const AuditContext& who) {
  const std::vector<std::string> roles = claimed_roles(provider, identity);
  const bool is_mapped = std::any_of(roles.begin(), roles.end(), [&](const std::string& word) {
    return provider.role_map.contains(word);
  });
  const std::string email = verified_email(identity);
  const bool is_admin = appointment(provider, identity).has_value();
  if (!invitation.empty()) KVCS_TRY(s_.invitations.find_by_token(invitation).status());
  const bool is_let_in =
      !invitation.empty() || is_mapped || is_admin || s_.sign_up == SignUp::kOpen;
  if (!is_let_in || (s_.sign_up == SignUp::kClosed && !is_admin)) {
    return forbidden(s_.sign_up == SignUp::kClosed
                         ? "New accounts are not made here (auth.signup: closed)."
                         : "Nobody has invited this account. Ask a member for an invitation.")
        .with_reason("sign_up_closed");
  }
  Person wanted;
  wanted.email = email;
  wanted.name = !identity.name.empty() ? identity.name : !email.empty() ? email : identity.subject;
  wanted.name.resize(std::min(wanted.name.size(), kPersonNameMaxBytes));
  if (!is_valid_utf8(wanted.name)) wanted.name = identity.subject;
  const SignIn sign_in{identity.issuer, identity.subject};
  if (!invitation.empty()) {
    const auto accept = [&](const Person& person, const KvBatch& records) -> Status {
      return s_.invitations.accept(invitation, person, who, records).status();
    };
    return s_.people.create_with(std::move(wanted), sign_in, "", who, accept);
  }
  const Person person = KVCS_TRY(s_.people.create(std::move(wanted), sign_in, "", who));
  if (!is_mapped && s_.sign_up == SignUp::kOpen) KVCS_TRY(give_place(person, who));
  return person;
}

Status Arrivals::give_place(const Person& person, const AuditContext& who) {
  Organization wanted;
  wanted.name = kFirstOrganization;
  const Organization made = KVCS_TRY(s_.organizations.create(std::move(wanted), who));
  KVCS_TRY(s_.members.add(made.id, person.id, OrgRole::kOwner, who));
  return s_.add_project(made.id, who);
}

// What the claims say now is given, and what they gave before and say no longer is taken back. A
// role that people gave by hand is theirs: it is neither changed nor taken.
Status Arrivals::apply_roles(const Provider& provider, const oauth::Identity& identity,
                             const Person& person, const AuditContext& who) {
  if (provider.role_claim.empty()) return ok();
  std::map<std::string, OrgRole> wanted;  // By the organization's id.
  for (const std::string& word : claimed_roles(provider, identity)) {
    const auto mapped = provider.role_map.find(word);
    if (mapped == provider.role_map.end()) continue;
    const Result<Organization> place = s_.organizations.find_by_slug(mapped->second.organization);
    if (place.code() == Code::kNotFound) continue;
    KVCS_TRY(place.status());
    OrgRole& role = wanted[place->id];
    role = std::max(role, mapped->second.role);
  }
  std::set<std::string> places;
  for (std::string& id : KVCS_TRY(s_.members.organizations_of(person.id))) {
    places.insert(std::move(id));
  }
  for (const auto& [id, role] : wanted) places.insert(id);
  for (const std::string& id : places) {
    const auto role = wanted.find(id);
    KVCS_TRY(s_.members.set_given(id, person.id, provider.name,
                                  role == wanted.end() ? OrgRole::kNone : role->second, who));
  }
  return ok();
}

Result<Person> Arrivals::apply_operator(const Provider& provider, const oauth::Identity& identity,
                                        Person person, const AuditContext& who) {
  const std::string email = verified_email(identity);
  const std::optional<AppointedBy> by = appointment(provider, identity);
  const auto edit = [&](Person& edited) -> Status {
    const bool was_here = edited.appointed && edited.appointed->provider == provider.name;
    if (by || was_here) edited.appointed = by;
    if (!email.empty()) edited.email = email;
    return ok();
  };
  Person wanted = person;
  KVCS_TRY(edit(wanted));
  if (wanted.appointed == person.appointed && wanted.email == person.email) return person;
  return s_.people.update(person.id, edit, who);
}

Status take_back_appointments(PersonService& people, const std::vector<Provider>& providers) {
  const AuditContext who{"configuration", "start", ""};
  for (const Person& person : KVCS_TRY(people.list_appointed())) {
    if (still_appoints(providers, *person.appointed)) continue;
    const auto edit = [](Person& edited) -> Status {
      edited.appointed.reset();
      return ok();
    };
    KVCS_TRY(people.update(person.id, edit, who).status());
    log::warn("operator.taken_back",
              {{"person_id", person.id}, {"provider", person.appointed->provider}});
  }
  return ok();
}

}  // namespace kvcs::portal
