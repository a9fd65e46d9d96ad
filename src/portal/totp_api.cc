// Reads codes from bodies, and shows secrets once.
#include "portal/totp_api.h"

#include <nlohmann/json.hpp>

#include "http/json_api.h"
#include "identity/admin_common.h"
#include "portal/person_access.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"CurrentPassword", R"(
current_password: string(1..1000) = "correct horse battery staple" # If there is one.)"},
    {"TotpStart", R"(
secret!: string # In base32, for who cannot scan the other.
otpauth_url!: string # For a QR code.)"},
    {"TotpCode", R"(
code!: string(1..40) = "123456" # Of the app, or a recovery code.)"},
    {"RecoveryCodes", R"(
recovery_codes!: [string] # Each is good once; shown this once.)"},
};

Result<std::string> read_code(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  std::string code = reader.string("code", {.max_bytes = kCodeMaxBytes});
  KVCS_TRY(reader.finish());
  return code;
}

}  // namespace

std::span<const http::ApiType> TotpApi::types() {
  return kTypes;
}

void TotpApi::add_routes(std::vector<http::Row>& table, const http::Access& person) {
  using enum http::Method;
  http::Rows rows(table, *this, "/auth/totp");
  rows.add(
      kPost, "", person, http::kib(8), &TotpApi::start,
      "Begin a second factor: the secret for an authenticator app. Needs the password again, or "
      "without one a sign-in of the last five minutes.",
      {.id = "startTotp",
       .body = "CurrentPassword?",
       .status = 201,
       .answer = "TotpStart",
       .also = "409"});
  rows.add(kPost, "/confirm", person, http::kib(1), &TotpApi::confirm,
           "Turn it on with its first code; sign-ins by password ask for one from now on.",
           {.id = "confirmTotp", .body = "TotpCode", .answer = "RecoveryCodes", .also = "409"});
  rows.add(kDelete, "", person, http::kib(8), &TotpApi::remove,
           "Take it off, with a code. Needs the password again, or without one a sign-in of the "
           "last five minutes.",
           {.id = "removeTotp", .body = "Confirmation?", .status = 204, .also = "409"});
}

void TotpApi::add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  http::Rows rows(table, *this, "/admin/people/{person_id}");
  rows.add(http::Method::kDelete, "/totp", access.owner, http::kNoBody, &TotpApi::take_off,
           "Take somebody's second factor off, when app and recovery codes are lost.",
           {.id = "removePersonTotp", .status = 204});
}

// The session may have been ended while the password was looked at: whoever had it gets no secret.
Result<http::Response> TotpApi::start(http::Request& request) {
  const auto password = KVCS_TRY(read_current_password(request));
  KVCS_TRY(sign_in_.confirm_person(request.principal, password, caller_of(request)));
  const Person person = KVCS_TRY(people_.find(request.principal.person_id));
  const std::string& account = person.email.empty() ? person.name : person.email;
  const TotpService::Start begun = KVCS_TRY(totp_.start(person.id, account, by(request)));
  KVCS_TRY(auth_.look_up_again(request.principal));
  return http::private_reply(
      201, Json{{"secret", begun.secret_base32.reveal()}, {"otpauth_url", begun.url.reveal()}});
}

// Who ends all sessions, as with a new password, is not left with a factor of somebody else.
Result<http::Response> TotpApi::confirm(http::Request& request) {
  const std::string code = KVCS_TRY(read_code(request));
  const std::string& person_id = request.principal.person_id;
  const std::vector<Secret> shown = KVCS_TRY(totp_.confirm(person_id, code, by(request)));
  const Status still = auth_.look_up_again(request.principal);
  if (!still.ok()) {
    KVCS_TRY(totp_.take_off(person_id, by(request)));
    return still;
  }
  Json codes = Json::array();
  for (const Secret& one : shown) codes.push_back(one.reveal());
  return http::private_reply(200, Json{{"recovery_codes", std::move(codes)}});
}

// The password comes first: a session alone may be a stolen one, and wrong codes from it must not
// lock the owner out.
Result<http::Response> TotpApi::remove(http::Request& request) {
  const Proof proof = KVCS_TRY(read_proof(request));
  KVCS_TRY(sign_in_.confirm_person(request.principal, proof.password, caller_of(request)));
  if (proof.code.empty()) {
    return invalid("code: required; of the app, or a recovery code.").with_reason("code_required");
  }
  KVCS_TRY(totp_.remove(request.principal.person_id, proof.code, by(request)));
  return http::empty_response(204);
}

Result<http::Response> TotpApi::take_off(http::Request& request) {
  const Person person = KVCS_TRY(people_.find(request.param("person_id")));
  KVCS_TRY(totp_.take_off(person.id, admin_api::who(request)));
  return http::empty_response(204);
}

}  // namespace kvcs::portal
