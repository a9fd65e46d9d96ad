// Shows people what they are and may do here, and lets them choose what they look at.
#include "portal/me_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "http/json_api.h"
#include "identity/access.h"
#include "identity/projects.h"
#include "identity/records.h"
#include "oauth/browser.h"
#include "portal/own_places.h"
#include "portal/person_access.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"Me", R"(
kind!: person|project|organization
key_id: string # Of a key; all that follows here up to permissions is of keys, too.
organization_id: id? # Of a person: the active one.
organization: string # Its slug, of after a rename.
customer_id: string # Of the first slug, which stays.
project_id: id?
project: string # The slug of that project, while it is there.
permissions: [string]
person_id: id
session_id: id? # Null for a bearer of an issuer.
name: string
email: string
email_verified: boolean # By a provider of sign-ins; invitations to an address need it.
operator_role: owner|admin|viewer|billing? # Over the whole daemon.
csrf_token: string? # For X-CSRF-Token; null when no cookie was sent.
second_factor: boolean # Whether a sign-in by password asks for a code (POST /auth/totp).
organizations: [MyOrganization])"},
    {"SignedIn", R"(
me!: Me? # As GET /api/v1/me answers; null when no session comes with the request.)"},
    {"MyOrganization", R"(
organization_id!: id
slug!: string
name!: string
status!: active|suspended
role!: owner|admin|member|viewer
deletion_at: time # When it goes, unless an owner restores it.)"},
    {"MyChanges", R"(
name: string(1..200)
organization_id: string(1..64) # Makes it the active one.
project_id: string(1..64) # Of the active organization.)"},
    {"Confirmation", R"(
current_password: string(1..1000) = "correct horse battery staple" # If there is one.
code: string(1..40) # Of the second factor, or a recovery code, if there is one.)"},
    {"MyEnd", R"(
organizations!: [MyOrganizationsEnd] # That nobody else was in.)"},
    {"MyOrganizationsEnd", R"(
organization_id!: id
deletion_at!: time)"},
    {"MySession", R"(
session_id!: id
current!: boolean
provider!: string
address!: string
user_agent!: string
device!: string? # The name of one without a browser.
created_at!: time
last_used_at!: time? # To the second while the session is in use, else to the minute.
expires_at!: time)"},
    {"MySessionList", R"(
sessions!: [MySession])"},
    {"MySignIn", R"(
sign_in_id!: string
provider!: string? # "password" of a local account; null when it is configured no longer.
issuer!: string # "local", or the URL of the provider.
subject!: string)"},
    {"MySignInList", R"(
sign_ins!: [MySignIn])"},
};

}  // namespace

std::span<const http::ApiType> MeApi::types() {
  return kTypes;
}

void MeApi::add_routes(std::vector<http::Row>& table, const http::Access& anybody,
                       const http::Access& person) {
  using enum http::Method;
  http::Rows(table, *this)
      .add(kGet, "/auth/session", http::everyone(), http::kNoBody, &MeApi::show_session,
           "Who is signed in here, if anybody: what a page asks before it knows.",
           {.id = "getSession", .answer = "SignedIn"});
  http::Rows rows(table, *this, "/api/v1/me");
  rows.add(kGet, "", anybody, http::kNoBody, &MeApi::show,
           "Who is calling: a person in a session, or a key; organization, project and rights.",
           {.id = "getMe", .answer = "Me"});
  rows.add(kPatch, "", person, http::kib(4), &MeApi::change,
           "Change the own name, or which organization and project are active.",
           {.id = "updateMe", .body = "MyChanges?", .answer = "Me"});
  rows.add(kDelete, "", person, http::kib(8), &MeApi::remove,
           "Delete the own account. Needs what POST /auth/link/{provider} needs. Organizations "
           "that nobody else is in go too, in 7 days; of one with others in it somebody else must "
           "be an owner first.",
           {.id = "deleteMe", .body = "Confirmation?", .answer = "MyEnd", .also = "409"});
  rows.add(kGet, "/sessions", person, http::kNoBody, &MeApi::list_sessions,
           "The caller's sessions, the newest first.",
           {.id = "listMySessions", .answer = "MySessionList"});
  rows.add(kDelete, "/sessions", person, http::kNoBody, &MeApi::end_other_sessions,
           "Sign out everywhere else.", {.id = "endOtherSessions", .status = 204});
  rows.add(kDelete, "/sessions/{session_id}", with_owner(person, http::OwnerFrom::kObject),
           http::kNoBody, &MeApi::end_session, "End one of the caller's sessions.",
           {.id = "endSession", .status = 204});
  rows.add(kGet, "/sign-ins", person, http::kNoBody, &MeApi::list_sign_ins,
           "The ways by which the caller signs in.",
           {.id = "listMySignIns", .answer = "MySignInList"});
  rows.add(kDelete, "/sign-ins/{sign_in_id}", with_owner(person, http::OwnerFrom::kObject),
           http::kNoBody, &MeApi::remove_sign_in,
           "Take one of them away, with the sessions that began by it; the last one stays.",
           {.id = "removeSignIn", .status = 204, .also = "409"});
}

Result<Json> MeApi::places_of(std::string_view person_id) const {
  Json places = Json::array();
  for (const auto& [organization, role] :
       KVCS_TRY(own_places(s_.members, s_.directory, person_id))) {
    Json place{{"organization_id", organization->id},
               {"slug", shown_slug(*organization)},
               {"name", organization->name},
               {"status", organization->active ? "active" : "suspended"},
               {"role", org_role_name(role)}};
    if (organization->deletion_ms != 0) place["deletion_at"] = time_json(organization->deletion_ms);
    places.push_back(std::move(place));
  }
  return places;
}

Result<http::Response> MeApi::show(http::Request& request) {
  if (request.principal.kind != PrincipalKind::kPerson) return s_.describe_key(request);
  return describe(request, request.principal);
}

// A browser without a session is no failure: nobody has signed in yet.
Result<http::Response> MeApi::show_session(http::Request& request) {
  const Result<Principal> caller = s_.auth.authenticate(request);
  const bool is_nobody = caller.code() == Code::kUnauthenticated;
  if (!is_nobody) KVCS_TRY(caller.status());
  if (is_nobody || caller->kind != PrincipalKind::kPerson) {
    return http::private_reply(200, Json{{"me", nullptr}});
  }
  return http::private_reply(200, Json{{"me", KVCS_TRY(person_json(request, *caller))}});
}

Result<http::Response> MeApi::describe(const http::Request& request,
                                       const Principal& caller) const {
  return http::private_reply(200, KVCS_TRY(person_json(request, caller)));
}

Result<Json> MeApi::person_json(const http::Request& request, const Principal& caller) const {
  const Person person = KVCS_TRY(s_.people.find(caller.person_id));
  const AdminRole operator_role = person.operator_role();
  const std::string cookie =
      oauth::cookie_value(request, session_cookie_name(is_secure(s_.browser)));
  Json body{
      {"kind", "person"},
      {"person_id", person.id},
      {"session_id", http::text_or_null(caller.session_id)},
      {"name", person.name},
      {"email", person.email},
      {"email_verified", !person.email_verified_by.empty()},
      {"operator_role",
       operator_role == AdminRole::kNone ? Json(nullptr) : Json(admin_role_name(operator_role))},
      {"organization_id", http::text_or_null(caller.organization_id)},
      {"project_id", http::text_or_null(caller.project_id)},
      {"csrf_token", cookie.empty() ? Json(nullptr) : Json(csrf_token(cookie))}};
  body["second_factor"] = KVCS_TRY(s_.has_second_factor(person.id));
  if (!caller.organization_id.empty()) {
    const auto organization = KVCS_TRY(s_.directory.organization(caller.organization_id));
    body["organization"] = shown_slug(*organization);
    body["permissions"] = Json::array({access::scope_name(caller.scope)});
  }
  if (!caller.project_id.empty()) {
    const auto project = s_.projects.find(caller.organization_id, caller.project_id);
    if (project.ok()) body["project"] = project->slug;
  }
  body["organizations"] = KVCS_TRY(places_of(person.id));
  return body;
}

// A project is of the organization that is active when the request has been read.
Result<http::Response> MeApi::change(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const auto name = reader.optional_string("name", {.max_bytes = kPersonNameMaxBytes});
  const auto organization = reader.optional_string("organization_id", {.max_bytes = 64});
  const auto project = reader.optional_string("project_id", {.max_bytes = 64});
  KVCS_TRY(reader.finish());
  Principal caller = request.principal;
  if (organization) KVCS_TRY(s_.auth.enter_organization(*organization, caller));
  if (project) {
    caller.project_id = KVCS_TRY(s_.projects.find(caller.organization_id, *project)).id;
  } else if (organization && caller.project_id.empty()) {
    const auto projects = KVCS_TRY(s_.projects.list(caller.organization_id));
    if (!projects.empty()) caller.project_id = projects.front().id;
  }
  if (name) {
    KVCS_TRY(s_.people
                 .update(
                     caller.person_id,
                     [&](Person& person) -> Status {
                       person.name = *name;
                       return ok();
                     },
                     by(request))
                 .status());
  }
  if (organization || project) KVCS_TRY(set_active(caller));
  return describe(request, caller);
}

// What requests have noted in memory since the store was told.
int64_t MeApi::last_used_ms(const Session& stored) const {
  const auto live = s_.directory.session(stored.token_hash);
  return std::max(stored.used_ms->load(), live.ok() ? live.value()->used_ms->load() : 0);
}

// A session alone may be a stolen one. Nothing new becomes the person's from here on, so that what
// is looked at is all that there is. A look before it spends no recovery code on what is refused.
Result<http::Response> MeApi::remove(http::Request& request) {
  const std::string& id = request.principal.person_id;
  const std::vector<std::string> places = KVCS_TRY(s_.members.organizations_of(id));
  const Proof proof = KVCS_TRY(read_proof(request));
  KVCS_TRY(check_end(id, places).status());
  KVCS_TRY(s_.confirm(request, proof));
  KVCS_TRY(s_.people.begin_removal(id, by(request)));
  Result<http::Response> removed = end_account(request);
  // What cannot be withdrawn ends by itself.
  if (!removed.ok()) (void)s_.people.withdraw_removal(id, by(request));
  return removed;
}

Result<std::vector<std::string>> MeApi::check_end(const std::string& person_id,
                                                  const std::vector<std::string>& places) const {
  std::vector<std::string> own;
  for (const std::string& place : places) {
    const Roster roster = KVCS_TRY(s_.members.roster(place));
    if (!KVCS_TRY(s_.members.is_last_owner(roster, person_id))) continue;
    if (roster.members.size() > 1) {
      return conflict("You are the last owner of organization " + place +
                      ", which others are in. Make one of them an owner, or delete it first.")
          .with_reason("last_owner");
    }
    own.push_back(place);
  }
  KVCS_TRY(s_.people.check_removable(person_id));
  return own;
}

// All is looked at before anything goes. What comes between, such as an owner who leaves, is met by
// the rules of each write; then the account is there, and may be deleted again.
Result<http::Response> MeApi::end_account(http::Request& request) {
  const std::string id = request.principal.person_id;
  const std::vector<std::string> places = KVCS_TRY(s_.members.organizations_of(id));
  const std::vector<std::string> own = KVCS_TRY(check_end(id, places));
  Json ends = Json::array();
  for (const std::string& place : own) {
    const Result<Organization> leaving = s_.give_up(place, by(request));
    if (leaving.code() == Code::kNotFound) continue;
    KVCS_TRY(leaving.status());
    ends.push_back(
        {{"organization_id", leaving->id}, {"deletion_at", time_json(leaving->deletion_ms)}});
  }
  for (const std::string& place : places) {
    if (std::find(own.begin(), own.end(), place) != own.end()) continue;
    const Status left = s_.members.remove(place, id, by(request), [](OrgRole) { return ok(); });
    if (left.code() != Code::kNotFound) KVCS_TRY(Status(left));
  }
  KVCS_TRY(s_.sessions.end_all(id, "", by(request)));
  KVCS_TRY(s_.people.remove(id, by(request)));
  http::Response response = http::private_reply(200, Json{{"organizations", std::move(ends)}});
  clear_session_cookie(response, is_secure(s_.browser));
  return response;
}

// Bearers of an issuer come and go, and have one place together.
Status MeApi::set_active(const Principal& caller) {
  if (caller.session_id.empty()) {
    return s_.people.set_active_place(caller.person_id,
                                      {caller.organization_id, caller.project_id});
  }
  return s_.sessions.set_active(caller.key_sha256, caller.organization_id, caller.project_id);
}

Result<http::Response> MeApi::list_sessions(http::Request& request) {
  Json sessions = Json::array();
  for (const Session& session : KVCS_TRY(s_.sessions.list(request.principal.person_id))) {
    sessions.push_back({{"session_id", session.id},
                        {"current", session.id == request.principal.session_id},
                        {"provider", session.provider},
                        {"address", session.address},
                        {"user_agent", session.user_agent},
                        {"device", http::text_or_null(session.device)},
                        {"created_at", time_json(session.created_ms)},
                        {"last_used_at", time_json(last_used_ms(session))},
                        {"expires_at", time_json(session.expires_ms)}});
  }
  return http::private_reply(200, Json{{"sessions", std::move(sessions)}});
}

Result<http::Response> MeApi::end_session(http::Request& request) {
  const Principal& caller = request.principal;
  KVCS_TRY(s_.sessions.end(caller.person_id, request.param("session_id"), by(request)));
  return http::empty_response(204);
}

Result<http::Response> MeApi::list_sign_ins(http::Request& request) {
  Json all = Json::array();
  for (const SignIn& one : KVCS_TRY(s_.people.list_sign_ins(request.principal.person_id))) {
    all.push_back({{"sign_in_id", sign_in_id(one)},
                   {"provider", http::text_or_null(s_.provider_of(one.issuer))},
                   {"issuer", one.issuer},
                   {"subject", one.subject}});
  }
  return http::private_reply(200, Json{{"sign_ins", std::move(all)}});
}

Result<http::Response> MeApi::remove_sign_in(http::Request& request) {
  const std::string& person = request.principal.person_id;
  const SignIn gone =
      KVCS_TRY(s_.people.remove_sign_in(person, request.param("sign_in_id"), by(request)));
  const std::string provider = s_.provider_of(gone.issuer);
  KVCS_TRY(s_.sessions.end_of_provider(person, provider, by(request)));
  return http::empty_response(204);
}

Result<http::Response> MeApi::end_other_sessions(http::Request& request) {
  const Principal& caller = request.principal;
  KVCS_TRY(s_.sessions.end_all(caller.person_id, caller.session_id, by(request)));
  return http::empty_response(204);
}

}  // namespace kvcs::portal
