// Decides about people whom an issuer vouches for. What counts is issuer and subject; an address
// counts only where the issuer says that it has verified it.
#include "portal/arrivals.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/log.h"
#include "identity/names.h"
#include "identity/users.h"
#include "kv/keyspace.h"

namespace kvcs::portal {
namespace {

// What a person who comes on their own gets, in the words of the service that this one replaces.
constexpr std::string_view kFirstOrganization = "My Org";
// Of an entry of admins that is a subject, whatever it looks like.
constexpr std::string_view kSubjectPrefix = "sub:";
// Of the person's id, in a slug that cannot be that of the name.
constexpr size_t kSlugTailLetters = 8;
constexpr size_t kCutMarkMaxBytes = 8;  // Of what printable() puts behind a text that it cuts.

// "" unless the issuer has verified it, and it is an address.
std::string verified_email(const oauth::Identity& identity) {
  if (!identity.email_verified) return {};
  Result<std::string> email = normal_email(identity.email);
  return email.ok() ? std::move(email).value() : std::string();
}

// Of an address by normal_email(), which has one '@'.
Status check_domain(const Provider& provider, const std::string& email) {
  const auto& allowed = provider.allowed_domains;
  if (allowed.empty()) return ok();
  const std::string domain = email.substr(std::min(email.find('@') + 1, email.size()));
  if (!email.empty() && std::find(allowed.begin(), allowed.end(), domain) != allowed.end()) {
    return ok();
  }
  return forbidden(email.empty() ? "The provider has not verified an address of this account."
                                 : "Addresses of '" + printable(domain, kShownName) +
                                       "' may not sign in through this provider.")
      .with_reason("domain_not_allowed");
}

// That an organization takes nobody in just now, which is nothing that the person could mend.
bool has_no_room(const Status& failure) {
  const std::string_view reason = failure.reason();
  return reason == "quota_exceeded" || reason == "members_full" || reason == "organizations_full" ||
         reason == "name_in_deletion";
}

// The first of them that is a name.
std::string name_of(const oauth::Identity& identity, const std::string& email) {
  for (const std::string& one : {identity.name, email}) {
    Result<std::string> name = normal_name(std::string_view(one).substr(0, kDisplayNameMaxBytes));
    if (name.ok()) return std::move(name).value();
  }
  return printable(identity.subject, kDisplayNameMaxBytes - kCutMarkMaxBytes);
}

// The entry of a provider's admins that is this identity.
std::optional<AppointedBy> appointment(const Provider& provider, const oauth::Identity& identity) {
  const std::string email = verified_email(identity);
  for (const std::string& one : provider.admins) {
    // What has an '@' is an address, which counts verified alone: at some issuers people choose
    // their own subject.
    const bool is_address = !one.starts_with(kSubjectPrefix) && one.find('@') != one.npos;
    const bool fits = is_address ? !email.empty() && lower_ascii(one) == email
                                 : one == identity.subject ||
                                       one == std::string(kSubjectPrefix) + identity.subject;
    if (fits) return AppointedBy{provider.name, one};
  }
  return std::nullopt;
}

bool still_appoints(const std::vector<const Provider*>& providers, const AppointedBy& by) {
  return std::any_of(providers.begin(), providers.end(), [&](const Provider* provider) {
    return provider->name == by.provider &&
           std::find(provider->admins.begin(), provider->admins.end(), by.entry) !=
               provider->admins.end();
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

Result<Arrivals::Arrival> Arrivals::welcome(const Provider& provider,
                                            const oauth::Identity& identity,
                                            const Secret& invitation, std::string_view request_id) {
  const AuditContext who{"sign-in:" + provider.name, "sign-in", std::string(request_id)};
  KVCS_TRY(check_domain(provider, verified_email(identity)));
  const Roles roles = KVCS_TRY(mapped_roles(provider, identity));
  const SignIn sign_in{identity.issuer, identity.subject};
  Result<Person> found = s_.people.find_by_sign_in(sign_in);
  Arrival arrival{.is_new = found.code() == Code::kNotFound};
  if (arrival.is_new) {
    found = make_person(provider, identity, roles, invitation, who);
    // Another window of the same person's came first.
    arrival.is_new = found.status().reason() != "sign_in_exists";
    if (!arrival.is_new) found = s_.people.find_by_sign_in(sign_in);
  }
  Person person = KVCS_TRY(std::move(found));
  if (!person.active) return person_suspended();
  if (person.wants_place) KVCS_TRY(give_place(person.id, who));
  KVCS_TRY(apply_roles(provider, roles, person, who));
  arrival.person = KVCS_TRY(apply_person(provider, identity, std::move(person), true, who));
  return arrival;
}

Result<Person> Arrivals::recognize(const Provider& provider, const oauth::Identity& identity) {
  const AuditContext who{"bearer:" + provider.name, "sign-in", ""};
  const SignIn sign_in{identity.issuer, identity.subject};
  Result<Person> known = s_.people.find_by_sign_in(sign_in);
  if (!known.ok() && known.code() != Code::kNotFound) return known;
  const bool says_address = identity.claims.has("email");
  // A bearer may say nothing of the address; what this provider said at the sign-in stands then.
  const bool was_verified = known.ok() && known->email_verified_by == provider.name;
  KVCS_TRY(check_domain(provider,
                        was_verified && !says_address ? known->email : verified_email(identity)));
  if (known.ok() && !known->active) return person_suspended();
  const Roles roles = KVCS_TRY(mapped_roles(provider, identity));
  if (!known.ok()) {
    known = make_person(provider, identity, roles, Secret(), who);
    // Another request of the same person came first.
    if (known.status().reason() == "sign_in_exists") known = s_.people.find_by_sign_in(sign_in);
    KVCS_TRY(known.status());
  }
  Person person = std::move(known).value();
  if (person.wants_place) KVCS_TRY(give_place(person.id, who));
  if (identity.claims.has(provider.role_claim)) {
    KVCS_TRY(apply_roles(provider, roles, person, who));
  }
  return apply_person(provider, identity, std::move(person), says_address, who);
}

namespace {

// By its id, or by its first slug, which no other organization gets while it is there. A slug that
// it took later may be taken by another, and is nobody's word for this one.
Result<Organization> find_mapped(const OrganizationService& organizations,
                                 const std::string& named) {
  Result<Organization> by_id = organizations.find(named);
  return by_id.code() == Code::kNotFound ? organizations.find_by_slug(named) : std::move(by_id);
}

}  // namespace

Result<Arrivals::Roles> Arrivals::mapped_roles(const Provider& provider,
                                               const oauth::Identity& identity) const {
  Roles roles;
  for (const std::string& word : claimed_roles(provider, identity)) {
    const auto mapped = provider.role_map.find(word);
    if (mapped == provider.role_map.end()) continue;
    const std::string& slug = mapped->second.organization;
    const Result<Organization> place = find_mapped(s_.organizations, slug);
    if (place.code() == Code::kNotFound) {
      log::warn("sign_in.role_map_without_organization",
                {{"provider", provider.name}, {"organization", slug}});
      continue;
    }
    KVCS_TRY(place.status());
    OrgRole& role = roles[place->id];
    role = std::max(role, mapped->second.role);
  }
  return roles;
}

// An invitation is spent by the write that makes the person. Roles by claim and the list of admins
// let somebody in as an invitation does; where nothing but a role does, the person is made by the
// write that gives it, and not at all where there is no room.
Result<Person> Arrivals::make_person(const Provider& provider, const oauth::Identity& identity,
                                     const Roles& roles, const Secret& invitation,
                                     const AuditContext& who) {
  const bool is_admin = appointment(provider, identity).has_value();
  const bool is_let_in =
      !invitation.empty() || !roles.empty() || is_admin || s_.sign_up == SignUp::kOpen;
  if (!is_let_in || (s_.sign_up == SignUp::kClosed && !is_admin)) {
    return forbidden(s_.sign_up == SignUp::kClosed
                         ? "New accounts are not made here (auth.signup: closed)."
                         : "Nobody has invited this account. Ask a member for an invitation.")
        .with_reason("sign_up_closed");
  }
  Person wanted;
  wanted.email = verified_email(identity);
  if (!wanted.email.empty()) wanted.email_verified_by = provider.name;
  wanted.name = name_of(identity, wanted.email);
  const SignIn sign_in{identity.issuer, identity.subject};
  if (!invitation.empty()) {
    const auto accept = [&](const Person& person, const KvBatch& records) -> Status {
      return s_.invitations.accept(invitation, person, who, records).status();
    };
    return s_.people.create_with(std::move(wanted), sign_in, "", who, accept);
  }
  if (!roles.empty() && !is_admin && s_.sign_up != SignUp::kOpen) {
    const auto join = [&](const Person& person, const KvBatch& records) {
      return join_first(provider, roles, person, records, who);
    };
    return s_.people.create_with(std::move(wanted), sign_in, "", who, join);
  }
  wanted.wants_place = roles.empty() && s_.sign_up == SignUp::kOpen;
  return s_.people.create(std::move(wanted), sign_in, "", who);
}

Status Arrivals::join_first(const Provider& provider, const Roles& roles, const Person& person,
                            const KvBatch& records, const AuditContext& who) {
  const auto join = [&](KvBatch& batch) -> Status {
    batch.append(records);
    return ok();
  };
  Status joined;
  for (const auto& [id, role] : roles) {
    joined = s_.members.add(id, person.id, role, who, join, provider.name);
    if (!has_no_room(joined)) return joined;
  }
  return joined;
}

// What a life that was cut off has not made the next sign-in makes: the mark goes last.
Status Arrivals::give_place(const std::string& person_id, const AuditContext& who) {
  const MutexLock lock(making_);
  const Person person = KVCS_TRY(s_.people.find(person_id));
  if (!person.wants_place) return ok();
  const std::vector<std::string> places = KVCS_TRY(s_.members.organizations_of(person.id));
  std::string id = places.empty() ? std::string() : places.front();
  if (id.empty()) {
    Organization wanted;
    wanted.name = kFirstOrganization;
    const std::string slug = slug_from_name(wanted.name);
    if (s_.kept_slugs.contains(slug)) {
      wanted.slug = slug + "-" + person.id.substr(0, kSlugTailLetters);
    }
    const auto add_owner = [&](const Organization& organization, KvBatch& batch) {
      s_.members.add_first(batch, organization.id, person.id);
    };
    id = KVCS_TRY(s_.organizations.create(std::move(wanted), who, add_owner)).id;
  }
  KVCS_TRY(s_.add_project(id, who));
  const auto edit = [](Person& edited) -> Status {
    edited.wants_place = false;
    return ok();
  };
  return s_.people.update(person.id, edit, who).status();
}

// What the claims say now is given, and what they gave before and say no longer is taken back, also
// when no claim is asked for any more. A role that people gave by hand is theirs: it is neither
// changed nor taken. An organization that is full keeps nobody from the others.
Status Arrivals::apply_roles(const Provider& provider, const Roles& roles, const Person& person,
                             const AuditContext& who) {
  std::set<std::string> places;
  for (std::string& id : KVCS_TRY(s_.members.organizations_of(person.id))) {
    places.insert(std::move(id));
  }
  for (const auto& [id, role] : roles) places.insert(id);
  for (const std::string& id : places) {
    const auto role = roles.find(id);
    const Status given = s_.members.set_given(
        id, person.id, provider.name, role == roles.end() ? OrgRole::kNone : role->second, who);
    if (has_no_room(given)) {
      log::warn("sign_in.role_not_given", {{"provider", provider.name},
                                           {"organization_id", id},
                                           {"person_id", person.id},
                                           {"reason", given.reason()}});
      continue;
    }
    KVCS_TRY(Status(given));
  }
  return ok();
}

// An address that this provider has verified, and verifies no longer, is the person's no longer.
Result<Person> Arrivals::apply_person(const Provider& provider, const oauth::Identity& identity,
                                      Person person, bool says_address, const AuditContext& who) {
  const std::string email = verified_email(identity);
  const std::optional<AppointedBy> by = appointment(provider, identity);
  const auto edit = [&](Person& edited) -> Status {
    const bool was_here = edited.appointed && edited.appointed->provider == provider.name;
    if (by || (was_here && says_address)) edited.appointed = by;
    if (!email.empty() || (says_address && edited.email_verified_by == provider.name)) {
      edited.email = email;
      edited.email_verified_by = email.empty() ? "" : provider.name;
    }
    return ok();
  };
  Person wanted = person;
  KVCS_TRY(edit(wanted));
  if (wanted.appointed == person.appointed && wanted.email == person.email &&
      wanted.email_verified_by == person.email_verified_by) {
    person.wants_place = false;
    return person;
  }
  AuditContext by_whom = who;
  // Who becomes an operator, or is one no longer, stays in the audit as what operators do.
  if (wanted.appointed != person.appointed) by_whom.source = "operator sign-in";
  return s_.people.update(person.id, edit, by_whom);
}

namespace {

const AuditContext kAtStart{"configuration", "start", ""};

const Provider* find_provider(const std::vector<const Provider*>& providers,
                              std::string_view name) {
  const auto found = std::find_if(providers.begin(), providers.end(),
                                  [&](const Provider* one) { return one->name == name; });
  return found == providers.end() ? nullptr : *found;
}

// Whether a claim can still give this role.
bool still_maps(const std::vector<const Provider*>& providers, const Member& member,
                const Organization& organization) {
  const Provider* const provider = find_provider(providers, member.given_by);
  if (provider == nullptr || provider->role_claim.empty()) return false;
  return std::any_of(provider->role_map.begin(), provider->role_map.end(), [&](const auto& entry) {
    const std::string& named = entry.second.organization;
    const bool is_named = named == organization.slug || named == organization.id;
    return entry.second.role == member.role && is_named;
  });
}

}  // namespace

std::set<std::string> mapped_slugs(const std::vector<const Provider*>& providers) {
  std::set<std::string> slugs;
  for (const Provider* const provider : providers) {
    for (const auto& [word, mapped] : provider->role_map) slugs.insert(mapped.organization);
  }
  return slugs;
}

Status take_back_roles(const KvStore& kv, MemberService& members,
                       const OrganizationService& organizations,
                       const std::vector<const Provider*>& providers) {
  std::vector<std::pair<std::string, Member>> given;
  const auto look = [&](const KvItem& item) -> Status {
    const auto id = keyspace::parse_org_members(item.key);
    if (!id) return ok();
    const Result<Roster> roster = parse_roster(item.entry.value);
    if (!roster.ok()) return ok();  // Nobody comes in by it.
    for (const Member& member : roster->members) {
      if (!member.given_by.empty()) given.emplace_back(*id, member);
    }
    return ok();
  };
  KVCS_TRY(kv_for_each(kv, KvFamily::kConfig, keyspace::kOrgPrefix, look));
  for (const auto& [id, member] : given) {
    const Result<Organization> organization = organizations.find(id);
    if (organization.code() == Code::kNotFound) continue;
    KVCS_TRY(organization.status());
    if (still_maps(providers, member, *organization)) continue;
    KVCS_TRY(members.set_given(id, member.person_id, member.given_by, OrgRole::kNone, kAtStart));
    log::warn(
        "member.role_taken_back",
        {{"person_id", member.person_id}, {"organization_id", id}, {"provider", member.given_by}});
  }
  return ok();
}

Status end_sessions_of_the_gone(const KvStore& kv, SessionService& sessions,
                                const std::vector<const Provider*>& providers) {
  std::vector<Session> gone;
  const auto look = [&](const KvItem& item) -> Status {
    Result<Session> session = parse_session(item.entry.value);
    if (!session.ok() || session->provider == kByPassword ||
        find_provider(providers, session->provider) != nullptr) {
      return ok();
    }
    gone.push_back(std::move(*session));
    return ok();
  };
  KVCS_TRY(kv_for_each(kv, KvFamily::kSystem, keyspace::kSessionPrefix, look));
  for (const Session& session : gone) {
    const Status ended = sessions.end(session.person_id, session.id, kAtStart);
    if (!ended.ok() && ended.code() != Code::kNotFound) return ended;
  }
  return ok();
}

Status take_back_appointments(PersonService& people,
                              const std::vector<const Provider*>& providers) {
  for (const Person& person : KVCS_TRY(people.list_appointed())) {
    if (still_appoints(providers, *person.appointed)) continue;
    const auto edit = [](Person& edited) -> Status {
      edited.appointed.reset();
      return ok();
    };
    KVCS_TRY(people.update(person.id, edit, kAtStart).status());
    log::warn("operator.taken_back",
              {{"person_id", person.id}, {"provider", person.appointed->provider}});
  }
  return ok();
}

}  // namespace kvcs::portal
