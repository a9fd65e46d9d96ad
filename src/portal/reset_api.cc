// Reads the bodies of /auth/reset and shows operators the links that they make.
#include "portal/reset_api.h"

#include <nlohmann/json.hpp>

#include "http/json_api.h"
#include "identity/admin_common.h"
#include "identity/records.h"

namespace kvcs::portal {
namespace {

constexpr http::ApiType kTypes[] = {
    {"PasswordResetAsk", R"(
email!: string(3..254) = "ada@example.com")"},
    {"LinkToken", R"(
token!: string(1..200) = "dG9rZW4" # Of the link.)"},
    {"LinkLook", R"(
works!: boolean # False: it is used, has ended or never was.)"},
    {"PasswordReset", R"(
token!: string(1..200) = "dG9rZW4" # Of the link.
password!: string(1..1000) = "another violin under seven clouds" # At least 8.)"},
    {"ResetLink", R"(
reset_url!: string # Good once.
expires_at!: time)"},
};

}  // namespace

std::span<const http::ApiType> ResetApi::types() {
  return kTypes;
}

void ResetApi::add_routes(std::vector<http::Row>& table) {
  using enum http::Method;
  http::Rows rows(table, *this, "/auth/reset");
  rows.add(kPost, "", http::everyone(), http::kib(1), &ResetApi::ask,
           "Send a link for a new password to this address, if it has an account; the answer does "
           "not say.",
           {.id = "askPasswordReset", .body = "PasswordResetAsk", .status = 202});
  rows.add(kPost, "/look-up", http::everyone(), http::kib(1), &ResetApi::look_up,
           "Whether such a link works still; nothing is spent.",
           {.id = "lookUpPasswordReset", .body = "LinkToken", .answer = "LinkLook", .also = "401"});
  rows.add(
      kPost, "/confirm", http::everyone(), http::kib(4), &ResetApi::confirm,
      "Spend such a link: a new password, and the end of all sessions.",
      {.id = "confirmPasswordReset", .body = "PasswordReset", .status = 204, .also = "401 409"});
}

void ResetApi::add_admin_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  http::Rows rows(table, *this, "/admin/people/{person_id}");
  rows.add(http::Method::kPost, "/reset-link", access.owner, http::kib(1), &ResetApi::make_link,
           "A link by which somebody chooses a new password, once and within an hour.",
           {.id = "createResetLink", .status = 201, .answer = "ResetLink"});
}

Result<http::Response> ResetApi::ask(http::Request& request) {
  KVCS_TRY(check_origin(request, browser_));
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string email = reader.string("email", {.min_bytes = 3, .max_bytes = 254});
  KVCS_TRY(reader.finish());
  KVCS_TRY(reset_.send(email, caller_of(request, browser_)));
  http::Response response = http::empty_response(202);
  response.set("cache-control", "no-store");
  return response;
}

Result<http::Response> ResetApi::look_up(http::Request& request) {
  KVCS_TRY(check_origin(request, browser_));
  const Secret token = KVCS_TRY(read_link_token(request));
  return tell_whether_good(reset_.look_up(token, caller_of(request, browser_)));
}

Result<http::Response> ResetApi::confirm(http::Request& request) {
  KVCS_TRY(check_origin(request, browser_));
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const Secret token(reader.string("token", {.max_bytes = 200}));
  const Secret password(reader.string("password", {.max_bytes = kPasswordMaxBytes}));
  KVCS_TRY(reader.finish());
  KVCS_TRY(reset_.use(token, password, caller_of(request, browser_)));
  return no_content();
}

Result<http::Response> ResetApi::make_link(http::Request& request) {
  const ResetLink link = KVCS_TRY(reset_.make(request.param("person_id"), admin_api::who(request),
                                              maker_text(request.principal, AdminRole::kOwner)));
  return http::private_reply(
      201, Json{{"reset_url", link.url}, {"expires_at", time_json(link.expires_ms)}});
}

}  // namespace kvcs::portal
