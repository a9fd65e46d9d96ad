// Handlers by which people let others in, give them roles and take them away.
#include "portal/team_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/address_block.h"
#include "base/bytes.h"
#include "base/mail_address.h"
#include "http/json_api.h"
#include "identity/browser_session.h"
#include "identity/records.h"
#include "identity/users.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"Member", R"(
person_id!: id
name!: string
email!: string
role!: owner|admin|member|viewer
since!: time)"},
    {"MemberList", R"(
members!: [Member])"},
    {"MemberRole", R"(
role!: owner|admin|member|viewer = "member")"},
    {"NewOwner", R"(
person_id!: string(1..64) = "x1" # A member.)"},
    {"NewInvitation", R"(
email: string(3..254) = "grace@example.com" # Whom it is for; without it, whoever has the link.
role!: owner|admin|member|viewer = "member")"},
    {"InvitationCreated", R"(
invitation_id!: id
token!: string # Shown this once.
url!: string
role!: owner|admin|member|viewer
email!: string?
expires_at!: time
mailed!: boolean # The link is on its way to the address; else give it to the person yourself.)"},
    {"Invitation", R"(
invitation_id!: id
role!: owner|admin|member|viewer
email!: string?
invited_by!: id
created_at!: time
expires_at!: time)"},
    {"InvitationList", R"(
invitations!: [Invitation])"},
    {"InvitationToken", R"(
token!: string(1..200) = "dG9rZW4")"},
    {"InvitationLook", R"(
state!: open|used|withdrawn|ended # Only an open one has the members below organization.
organization!: string? # Its name; null when the invitation was withdrawn.
role!: owner|admin|member|viewer?
invited_by!: string? # The name of the person.
email!: string? # Whom it is for; null: whoever has the link.
expires_at!: time?)"},
    {"InvitationAccepted", R"(
organization_id!: id
role!: owner|admin|member|viewer)"},
    {"Registration", R"(
token!: string(1..200) = "dG9rZW4" # Of an invitation.
email: string(3..254) # Required when the invitation names none.
password!: string(1..1000) = "correct horse battery staple" # At least 8.
name: string(0..200) # Default: the address.)"},
};

constexpr int kRegistrationWaitS = 360;   // One of a link's comes back.
constexpr int kInvitationWaitS = 12;      // One of an organization comes back.
constexpr int kInvitationLookWaitS = 15;  // One of an address comes back.

Json member_json(const Member& member, const Person& person) {
  return Json{{"person_id", member.person_id},
              {"name", person.name},
              {"email", person.email},
              {"role", org_role_name(member.role)},
              {"since", time_json(member.since_ms)}};
}

// An admin neither makes an owner nor touches one.
Status check_reach(OrgRole own, OrgRole role) {
  if (role <= own) return ok();
  return forbidden("Your role is " + std::string(org_role_name(own)) +
                   ", and nobody gives or takes a role above the own.")
      .with_reason("role_above_own");
}

Status check_admin(OrgRole own) {
  if (own >= OrgRole::kAdmin) return ok();
  return forbidden("Admins and owners change others' roles; you may leave yourself.")
      .with_reason("insufficient_role");
}

}  // namespace

TeamApi::TeamApi(MemberService& members, PersonService& people, InvitationService& invitations,
                 SignInApi& sign_in, Mailer* mailer, TakeHourly take_hourly,
                 const Directory& directory, PublicUrl public_url)
    : members_(members),
      people_(people),
      invitations_(invitations),
      sign_in_(sign_in),
      mailer_(mailer),
      take_hourly_(std::move(take_hourly)),
      directory_(directory),
      public_url_(std::move(public_url)) {}

std::span<const http::ApiType> TeamApi::types() {
  return kTypes;
}

void TeamApi::add_routes(std::vector<http::Row>& table, const PersonAccess& access) {
  using enum http::Method;
  using http::kib;
  for (const std::string place : {"/api/v1/organizations/{org_id}", "/api/v1"}) {
    http::Rows rows(table, *this, place, id_end_of(place));
    const std::string members = "/members", member = members + "/{person_id}";
    const std::string invitations = "/invitations", invitation = invitations + "/{invitation_id}";
    rows.add(kGet, members, at_path(access.viewer, place + members), http::kNoBody,
             &TeamApi::list_members,
             "The members of the organization. ?q= looks at name, email and person_id.",
             {.id = "listMembers", .query = "q:inside", .answer = "MemberList"});
    rows.add(kPatch, member, at_path(access.admin, place + member), kib(1), &TeamApi::change_member,
             "Give a member another role.",
             {.id = "changeMember", .body = "MemberRole", .answer = "Member", .also = "409"});
    rows.add(kDelete, member, at_path(access.viewer, place + member), http::kNoBody,
             &TeamApi::remove_member, "Take a member out; with the own id, or \"me\", leave.",
             {.id = "removeMember", .status = 204, .also = "409"});
    rows.add(
        kPost, "/owner", at_path(access.owner, place + "/owner"), kib(1), &TeamApi::transfer,
        "Make a member an owner in the own place, and be an admin from then on.",
        {.id = "transferOwnership", .body = "NewOwner", .answer = "Member", .also = "404 409"});
    rows.add(kPost, invitations, at_path(access.admin, place + invitations), kib(2),
             &TeamApi::invite,
             "Make a link by which somebody joins, once. An address that is invited already gets a "
             "new link, for the role that is asked now; the old one works no longer.",
             {.id = "createInvitation",
              .body = "NewInvitation",
              .status = 201,
              .answer = "InvitationCreated",
              .also = "409"});
    rows.add(kGet, invitations, at_path(access.admin, place + invitations), http::kNoBody,
             &TeamApi::list_invitations, "Open invitations; never their tokens.",
             {.id = "listInvitations", .answer = "InvitationList"});
    rows.add(kPost, invitation + "/resend", at_path(access.admin, place + invitation + "/resend"),
             kib(1), &TeamApi::renew_invitation,
             "A new link for the same invitation; the old one works no longer.",
             {.id = "renewInvitation", .answer = "InvitationCreated"});
    rows.add(kDelete, invitation, at_path(access.admin, place + invitation), http::kNoBody,
             &TeamApi::withdraw_invitation, "Withdraw an invitation.",
             {.id = "withdrawInvitation", .status = 204});
  }
  http::Rows rows(table, *this);
  rows.add(kPost, "/api/v1/invitations/accept", access.person, kib(1), &TeamApi::accept,
           "Join the organization that an invitation is for.",
           {.id = "acceptInvitation",
            .body = "InvitationToken",
            .answer = "InvitationAccepted",
            .also = "404 409"});
  rows.add(kPost, "/auth/invitation", http::everyone(), kib(1), &TeamApi::look_up,
           "What the link of an invitation is for, and whether it works still; nothing is spent.",
           {.id = "lookUpInvitation",
            .body = "InvitationToken",
            .answer = "InvitationLook",
            .also = "404"});
  rows.add(kPost, "/auth/register", http::everyone(), kib(4), &TeamApi::register_account,
           "Make a local account with an invitation, join and sign in.",
           {.id = "register",
            .body = "Registration",
            .status = 201,
            .answer = "SessionBegun",
            .also = "404 409"});
}

Result<http::Response> TeamApi::list_members(http::Request& request) {
  const SearchText search = KVCS_TRY(http::read_search(request));
  Json members = Json::array();
  const Roster roster = KVCS_TRY(members_.roster(request.principal.organization_id));
  for (const Member& member : roster.members) {
    const Result<Person> person = people_.find(member.person_id);
    if (person.code() == Code::kNotFound) continue;
    KVCS_TRY(person.status());
    if (!search.fits({person->name, person->email, person->id})) continue;
    members.push_back(member_json(member, *person));
  }
  return http::private_reply(200, Json{{"members", std::move(members)}});
}

// As it is now: within a change of the roster the write compares what is read here, so that of two
// who take each other's role one is second.
Result<OrgRole> TeamApi::own_role(const Principal& caller) const {
  const Roster roster = KVCS_TRY(members_.roster(caller.organization_id));
  return std::min(caller.org_role, roster.role_of(caller.person_id));
}

Result<http::Response> TeamApi::change_member(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string word = reader.one_of("role", {"owner", "admin", "member", "viewer"});
  KVCS_TRY(reader.finish());
  const OrgRole role = KVCS_TRY(parse_org_role(word));
  const std::string id(request.param("person_id"));
  const std::string& organization = request.principal.organization_id;
  const auto allowed = [&](OrgRole present) -> Status {
    const OrgRole own = KVCS_TRY(own_role(request.principal));
    KVCS_TRY(check_admin(own));
    KVCS_TRY(check_reach(own, present));
    return check_reach(own, role);
  };
  const Member member = KVCS_TRY(members_.set_role(organization, id, role, by(request), allowed));
  return http::private_reply(200, member_json(member, KVCS_TRY(people_.find(id))));
}

Result<http::Response> TeamApi::transfer(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string heir = reader.string("person_id", {.max_bytes = 64});
  KVCS_TRY(reader.finish());
  const Principal& caller = request.principal;
  const Member owner =
      KVCS_TRY(members_.transfer(caller.organization_id, caller.person_id, heir, by(request)));
  return http::private_reply(200, member_json(owner, KVCS_TRY(people_.find(heir))));
}

Result<http::Response> TeamApi::remove_member(http::Request& request) {
  const Principal& caller = request.principal;
  const std::string_view named = request.param("person_id");
  const std::string id(named == "me" ? std::string_view(caller.person_id) : named);
  const auto allowed = [&](OrgRole present) -> Status {
    if (id == caller.person_id) return ok();
    const OrgRole own = KVCS_TRY(own_role(caller));
    KVCS_TRY(check_admin(own));
    return check_reach(own, present);
  };
  KVCS_TRY(members_.remove(caller.organization_id, id, by(request), allowed));
  return http::empty_response(204);
}

// The organization's name and the inviter's stand in the text alone, in which nothing can follow
// from them.
Letter TeamApi::letter_of(const CreatedInvitation& made, const std::string& url) const {
  const Invitation& invitation = made.invitation;
  const Result<Person> by = people_.find(invitation.invited_by);
  const auto place = directory_.organization(invitation.organization_id);
  const std::string whose = name_in_letter(by.ok() ? by->name : "", "Somebody");
  const std::string where =
      name_in_letter(place.ok() ? place.value()->name : "", "an organization");
  return {invitation.email, "An invitation",
          whose + " invites you to join " + where + " as " +
              std::string(org_role_name(invitation.role)) +
              ".\n\nThe link works once, within a week:\n\n" + url +
              "\n\nIf you did not expect this, do nothing.\n"};
}

// The organization is counted first: what it may not send counts nothing for the address.
bool TeamApi::mail(const CreatedInvitation& made, const std::string& url) const {
  const Invitation& invitation = made.invitation;
  if (mailer_ == nullptr || !is_mail_address(invitation.email)) return false;
  const bool may =
      take_hourly_("invitations-of:" + invitation.organization_id,
                   kInvitationsMailedForOrganizationPerHour) &&
      take_hourly_("invitations-to:" + invitation.email, kInvitationsMailedToAddressPerHour);
  if (!may) return false;
  const auto make = [letter = letter_of(made, url)] {
    return Result<std::optional<Letter>>(std::optional(letter));
  };
  return mailer_->post(make, Mailer::About::kInvitation);
}

Status TeamApi::take_invitation(const std::string& organization_id) const {
  if (take_hourly_("invitations-by:" + organization_id, kInvitationsForOrganizationPerHour)) {
    return ok();
  }
  return too_many_tries(kInvitationWaitS, "An organization makes and renews " +
                                              std::to_string(kInvitationsForOrganizationPerHour) +
                                              " invitations in an hour; wait a while.");
}

http::Response TeamApi::created(const CreatedInvitation& made) const {
  const std::string url = public_url_() + "/#/invitation?token=" + made.token.reveal();
  return http::private_reply(201, Json{{"invitation_id", made.invitation.id},
                                       {"token", made.token.reveal()},
                                       {"url", url},
                                       {"role", org_role_name(made.invitation.role)},
                                       {"email", http::text_or_null(made.invitation.email)},
                                       {"expires_at", time_json(made.invitation.expires_ms)},
                                       {"mailed", mail(made, url)}});
}

// A link for who is here already can be used by nobody.
Status TeamApi::check_is_no_member(const Invitation& wanted) const {
  if (wanted.email.empty()) return ok();
  const Roster roster = KVCS_TRY(members_.roster(wanted.organization_id));
  for (const Member& member : roster.members) {
    const Result<Person> person = people_.find(member.person_id);
    if (!person.ok() || person->email != wanted.email) continue;
    return conflict("'" + printable(wanted.email, kShownName) +
                    "' is a member of this organization already, as " +
                    std::string(org_role_name(member.role)) +
                    ". Change that role, or invite another address.")
        .with_reason("already_member");
  }
  return ok();
}

Result<http::Response> TeamApi::invite(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const auto email = reader.optional_string("email", {.min_bytes = 3, .max_bytes = 254});
  const std::string word = reader.one_of("role", {"owner", "admin", "member", "viewer"});
  KVCS_TRY(reader.finish());
  Invitation wanted;
  wanted.role = KVCS_TRY(parse_org_role(word));
  KVCS_TRY(check_reach(request.principal.org_role, wanted.role));
  if (email) wanted.email = KVCS_TRY(normal_email(*email));
  wanted.organization_id = request.principal.organization_id;
  KVCS_TRY(check_is_no_member(wanted));
  KVCS_TRY(take_invitation(wanted.organization_id));
  wanted.invited_by = request.principal.person_id;
  const auto allowed = [&, address = wanted.email](OrgRole present) -> Status {
    if (check_reach(request.principal.org_role, present).ok()) return ok();
    return forbidden("'" + printable(address, kShownName) + "' is invited already, as " +
                     std::string(org_role_name(present)) +
                     ", and nobody takes a role above the own. An owner may renew or withdraw it.")
        .with_reason("role_above_own");
  };
  return created(KVCS_TRY(invitations_.create(std::move(wanted), allowed, by(request))));
}

Result<http::Response> TeamApi::list_invitations(http::Request& request) {
  Json open = Json::array();
  for (const Invitation& one : KVCS_TRY(invitations_.list(request.principal.organization_id))) {
    open.push_back({{"invitation_id", one.id},
                    {"role", org_role_name(one.role)},
                    {"email", http::text_or_null(one.email)},
                    {"invited_by", one.invited_by},
                    {"created_at", time_json(one.created_ms)},
                    {"expires_at", time_json(one.expires_ms)}});
  }
  return http::private_reply(200, Json{{"invitations", std::move(open)}});
}

Result<http::Response> TeamApi::renew_invitation(http::Request& request) {
  KVCS_TRY(take_invitation(request.principal.organization_id));
  const auto allowed = [&](OrgRole role) { return check_reach(request.principal.org_role, role); };
  http::Response response = created(
      KVCS_TRY(invitations_.renew(request.principal.organization_id, request.param("invitation_id"),
                                  request.principal.person_id, allowed, by(request))));
  response.status = 200;
  return response;
}

Result<http::Response> TeamApi::withdraw_invitation(http::Request& request) {
  const auto allowed = [&](OrgRole role) { return check_reach(request.principal.org_role, role); };
  KVCS_TRY(invitations_.withdraw(request.principal.organization_id, request.param("invitation_id"),
                                 allowed, by(request)));
  return http::empty_response(204);
}

Result<http::Response> TeamApi::accept(http::Request& request) {
  const Secret token = KVCS_TRY(read_link_token(request));
  const Person person = KVCS_TRY(people_.find(request.principal.person_id));
  const Invitation joined = KVCS_TRY(invitations_.accept(token, person, by(request)));
  return http::private_reply(
      200, Json{{"organization_id", joined.organization_id}, {"role", org_role_name(joined.role)}});
}

// Of a link that works no longer whoever has it learns why, and which organization it was for.
Result<Json> TeamApi::describe(const InvitationLook& look) const {
  const Invitation& invitation = look.invitation;
  const bool is_open = look.state == InvitationState::kOpen;
  Json json{{"state", invitation_state_name(look.state)},
            {"organization", nullptr},
            {"role", is_open ? Json(org_role_name(invitation.role)) : Json(nullptr)},
            {"invited_by", nullptr},
            {"email", http::text_or_null(invitation.email)},
            {"expires_at", is_open ? time_json(invitation.expires_ms) : Json(nullptr)}};
  if (look.state != InvitationState::kWithdrawn) {
    const auto place = directory_.organization(invitation.organization_id);
    if (place.ok()) json["organization"] = place.value()->name;
  }
  if (is_open) json["invited_by"] = KVCS_TRY(people_.find(invitation.invited_by)).name;
  return json;
}

Result<http::Response> TeamApi::look_up(http::Request& request) {
  KVCS_TRY(check_origin(request, sign_in_.browser()));
  const Secret token = KVCS_TRY(read_link_token(request));
  const std::string from = "invitation-looks-from:" + address_block(request.remote_ip);
  const bool may_look = take_hourly_(from, kInvitationLooksFromAddressPerHour);
  KVCS_TRY(too_many_tries(may_look ? 0 : kInvitationLookWaitS,
                          "Too many looks at invitations from this address; wait a while."));
  const InvitationLook look = KVCS_TRY(invitations_.look_up(token));
  return http::private_reply(200, KVCS_TRY(describe(look)));
}

Status TeamApi::take_registration(const http::Request& request,
                                  const Invitation& invitation) const {
  const std::string from = "registrations-from:" + address_block(request.remote_ip);
  if (take_hourly_("registrations-by:" + invitation.id, kRegistrationsByLinkPerHour) &&
      take_hourly_(from, kRegistrationsFromAddressPerHour)) {
    return ok();
  }
  return too_many_tries(kRegistrationWaitS,
                        "Too many registrations by this link, or from this address; wait a while.");
}

Result<http::Response> TeamApi::register_account(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const Secret token(reader.string("token", {.max_bytes = 200}));
  NewAccount account;
  const auto email = reader.optional_string("email", {.min_bytes = 3, .max_bytes = 254});
  account.password = Secret(reader.string("password", {.max_bytes = kPasswordMaxBytes}));
  account.name = reader.optional_string("name", {.min_bytes = 0, .max_bytes = kPersonNameMaxBytes})
                     .value_or("");
  KVCS_TRY(reader.finish());
  const Invitation wanted = KVCS_TRY(invitations_.find_by_token(token));
  if (wanted.email.empty() && !email) return invalid("email: required.");
  account.email = email.value_or(wanted.email);
  KVCS_TRY(take_registration(request, wanted));
  const auto join = [&](const Person& person, const AuditContext& who,
                        const KvBatch& records) -> Status {
    return invitations_.accept(token, person, who, records).status();
  };
  return sign_in_.register_account(request, account, wanted.email, join);
}

}  // namespace kvcs::portal
