// Reads the bodies of /auth/*, and puts the token of a session into a cookie that scripts cannot
// read.
#include "portal/sign_in_api.h"

#include <nlohmann/json.hpp>

#include "http/json_api.h"
#include "portal/person_access.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"SetUp", R"(
token!: string(1..200) = "dG9rZW4" # Of the setup link.
email!: string(3..254) = "ada@example.com"
password!: string(1..1000) = "correct horse battery staple" # At least 8.
name: string(0..200) = "Ada Lovelace" # Default: the address.)"},
    {"PasswordSignIn", R"(
email!: string(3..254) = "ada@example.com"
password!: string(1..1000) = "correct horse battery staple")"},
    {"SignInStep", R"(
totp_required!: boolean # True: nothing but the ticket follows.
ticket: string # For POST /auth/login/totp, for five minutes.
session_id: id
person_id: id
name: string
email: string
csrf_token: string # For header X-CSRF-Token of requests that change something.
organization_id: id? # The active one.
project_id: id?
expires_at: time)"},
    {"SignedOut", R"(
url!: string? # The provider's page for the end of its session (RP-Initiated Logout 1.0).)"},
    {"SecondStep", R"(
ticket!: string(1..200) = "dGlja2V0"
code!: string(1..40) = "123456" # Of the app, or a recovery code.)"},
    {"NewPassword", R"(
current_password!: string(1..1000) = "correct horse battery staple"
new_password!: string(1..1000) = "another violin under seven clouds" # At least 8.)"},
    {"SessionBegun", R"(
session_id!: id
person_id!: id
name!: string
email!: string
csrf_token!: string # For header X-CSRF-Token of requests that change something.
organization_id!: id? # The active one.
project_id!: id?
expires_at!: time)"},
};

}  // namespace

SignInApi::SignInApi(SignInService& sign_in, SessionService& sessions, const PersonService& people,
                     BrowserRules browser, EndElsewhere end_elsewhere)
    : sign_in_(sign_in),
      sessions_(sessions),
      people_(people),
      browser_(std::move(browser)),
      end_elsewhere_(std::move(end_elsewhere)) {}

std::span<const http::ApiType> SignInApi::types() {
  return kTypes;
}

void SignInApi::add_routes(std::vector<http::Row>& table, const http::Access& person) {
  using enum http::Method;
  http::Rows rows(table, *this, "/auth");
  rows.add(
      kPost, "/setup", http::everyone(), http::kib(4), &SignInApi::set_up,
      "Spend the setup link: make the first person, who owns the daemon.",
      {.id = "setUp", .body = "SetUp", .status = 201, .answer = "SessionBegun", .also = "401 409"});
  rows.add(kPost, "/setup/look-up", http::everyone(), http::kib(1), &SignInApi::look_up_setup,
           "Whether the setup link works still; nothing is spent.",
           {.id = "lookUpSetup", .body = "LinkToken", .answer = "LinkLook", .also = "401"});
  rows.add(
      kPost, "/login", http::everyone(), http::kib(4), &SignInApi::sign_in,
      "Sign in with a local account; the session's token comes as a cookie, or a ticket for the "
      "second step.",
      {.id = "signIn", .body = "PasswordSignIn", .answer = "SignInStep", .also = "401 403"});
  rows.add(kPost, "/login/totp", http::everyone(), http::kib(1), &SignInApi::sign_in_with_code,
           "The second step of a sign-in: a code of the authenticator app.",
           {.id = "signInWithCode", .body = "SecondStep", .answer = "SessionBegun", .also = "401"});
  rows.add(kPost, "/logout", person, http::kNoBody, &SignInApi::sign_out,
           "End this session; one that came from a provider goes on there until the browser opens "
           "`url`.",
           {.id = "signOut", .answer = "SignedOut", .also = "409"});
  rows.add(
      kPost, "/password", person, http::kib(4), &SignInApi::change_password,
      "Change the own password; all other sessions end, and this one gets a new token.",
      {.id = "changePassword", .body = "NewPassword", .answer = "SessionBegun", .also = "409"});
}

Result<http::Response> SignInApi::begun(int status, const StartedSession& started) const {
  return reply_with(status, KVCS_TRY(describe(started)), started);
}

Result<Json> SignInApi::describe(const StartedSession& started) const {
  const Session& session = started.session;
  const Person person = KVCS_TRY(people_.find(session.person_id));
  return Json{{"session_id", session.id},
              {"person_id", person.id},
              {"name", person.name},
              {"email", person.email},
              {"csrf_token", csrf_token(started.token.reveal())},
              {"organization_id", http::text_or_null(session.organization_id)},
              {"project_id", http::text_or_null(session.project_id)},
              {"expires_at", format_iso8601_ms(session.expires_ms)}};
}

http::Response SignInApi::reply_with(int status, const Json& body,
                                     const StartedSession& started) const {
  http::Response response = http::reply(status, body);
  response.set("cache-control", "no-store");
  set_session_cookie(response, started.token.reveal(), sessions_.limits().lifetime_s,
                     is_secure(browser_));
  return response;
}

Result<http::Response> SignInApi::look_up_setup(http::Request& request) {
  KVCS_TRY(check_origin(request, browser_));
  const Secret token = KVCS_TRY(read_link_token(request));
  return tell_whether_good(sign_in_.look_up_setup(token, caller_of(request, browser_)));
}

Result<http::Response> SignInApi::set_up(http::Request& request) {
  KVCS_TRY(check_origin(request, browser_));
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const Secret token(reader.string("token", {.max_bytes = 200}));
  NewAccount account;
  account.email = reader.string("email", {.min_bytes = 3, .max_bytes = 254});
  account.password = Secret(reader.string("password", {.max_bytes = kPasswordMaxBytes}));
  account.name = reader.optional_string("name", {.min_bytes = 0, .max_bytes = kPersonNameMaxBytes})
                     .value_or("");
  KVCS_TRY(reader.finish());
  return begun(201, KVCS_TRY(sign_in_.set_up(token, account, caller_of(request, browser_))));
}

Result<http::Response> SignInApi::sign_in(http::Request& request) {
  KVCS_TRY(check_origin(request, browser_));
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string email = reader.string("email", {.min_bytes = 3, .max_bytes = 254});
  const Secret password(reader.string("password", {.max_bytes = kPasswordMaxBytes}));
  KVCS_TRY(reader.finish());
  const FirstStep step = KVCS_TRY(sign_in_.sign_in(email, password, caller_of(request, browser_)));
  if (!step.session) {
    return http::private_reply(200,
                               Json{{"totp_required", true}, {"ticket", step.ticket.reveal()}});
  }
  Json body_of_session = KVCS_TRY(describe(*step.session));
  body_of_session["totp_required"] = false;
  return reply_with(200, body_of_session, *step.session);
}

Result<http::Response> SignInApi::sign_in_with_code(http::Request& request) {
  KVCS_TRY(check_origin(request, browser_));
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const Secret ticket(reader.string("ticket", {.max_bytes = 200}));
  const std::string code = reader.string("code", {.max_bytes = 40});
  KVCS_TRY(reader.finish());
  return begun(200,
               KVCS_TRY(sign_in_.sign_in_with_code(ticket, code, caller_of(request, browser_))));
}

Result<http::Response> SignInApi::register_account(const http::Request& request,
                                                   const NewAccount& account,
                                                   std::string_view invited,
                                                   const SignInService::Join& join) {
  KVCS_TRY(check_origin(request, browser_));
  return begun(201, KVCS_TRY(sign_in_.register_account(account, invited, join,
                                                       caller_of(request, browser_))));
}

Result<http::Response> SignInApi::sign_out(http::Request& request) {
  const Principal& caller = request.principal;
  if (caller.session_id.empty()) {
    return conflict("The bearer is of an issuer and no session of this daemon; sign out there.")
        .with_reason("no_session");
  }
  std::string provider;
  for (const Session& session : KVCS_TRY(sessions_.list(caller.person_id))) {
    if (session.id == caller.session_id) provider = session.provider;
  }
  KVCS_TRY(sessions_.end(caller.person_id, caller.session_id, by(request)));
  // The session here has ended, whatever becomes of the one there.
  const std::string url = provider.empty() ? std::string() : end_elsewhere_(provider);
  http::Response response = http::private_reply(200, Json{{"url", http::text_or_null(url)}});
  clear_session_cookie(response, is_secure(browser_));
  return response;
}

Result<http::Response> SignInApi::change_password(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const Secret current(reader.string("current_password", {.max_bytes = kPasswordMaxBytes}));
  const Secret wanted(reader.string("new_password", {.max_bytes = kPasswordMaxBytes}));
  KVCS_TRY(reader.finish());
  return begun(200, KVCS_TRY(sign_in_.change_password(request.principal.person_id, current, wanted,
                                                      caller_of(request, browser_))));
}

}  // namespace kvcs::portal
