// The endpoints of the development issuer. Browsers are led through without a question.
#include "portal/dev_issuer_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/loopback.h"
#include "http/json_api.h"
#include "oauth/browser.h"
#include "portal/oauth_answer.h"

namespace kvcs::portal {
namespace {

constexpr size_t kTextMaxBytes = 1'000;

// A program's own address on this machine, and no other that a code could be led to.
bool is_loopback_address(std::string_view url) {
  const bool is_plain = std::all_of(url.begin(), url.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '\\' && c != '#' && c != '"' && c != '@';
  });
  return is_plain && url.size() <= kTextMaxBytes && is_loopback_url(url);
}

bool is_client(std::string_view client_id) {
  return client_id == kDevCliClient || client_id == kDevPortalClient;
}

Status unknown_client(std::string_view client_id) {
  return invalid("client_id: '" + printable(client_id, kShownName) + "' is not " +
                 std::string(kDevCliClient) + ".")
      .with_reason("invalid_client");
}

http::Access local_access() {
  http::Access access = http::everyone();
  access.guard = [](const http::Request& request) -> Result<Principal> {
    KVCS_TRY(check_local(request));
    return Principal{};
  };
  return access;
}

http::Response redirect(const std::string& to, const std::string& state, std::string_view name,
                        std::string_view value, const std::string& issuer) {
  std::string url = to + (to.find('?') == to.npos ? "?" : "&");
  url += std::string(name) + "=" + percent_encode(value);
  if (!state.empty()) url += "&state=" + percent_encode(state);
  http::Response response = http::empty_response(302);
  response.set("Location", url + "&iss=" + percent_encode(issuer));
  oauth::hide_address(response);
  return response;
}

}  // namespace

Status check_local(const http::Request& request) {
  for (const http::Header& header : request.headers) {
    const std::string name = lower_ascii(header.name);
    const bool is_passed_on = name == "forwarded" || name == "via" || name == "x-real-ip" ||
                              name.starts_with("x-forwarded-");
    if (!is_passed_on) continue;
    return forbidden(
               "The development issuer (auth.dev_issuer) answers no request that a proxy "
               "passed on; this one has " +
               printable(header.name, kShownName) + ".")
        .with_reason("forwarded");
  }
  // Sockets that systemd passes stand in the place of http.listen.
  const std::string_view peer = request.remote_ip;
  if (!peer.starts_with("127.") && peer != "::1" && !peer.starts_with("::ffff:127.")) {
    return forbidden("The development issuer (auth.dev_issuer) answers this machine alone.")
        .with_reason("address_not_loopback");
  }
  // Whatever http.cors_allowed_origins lets in elsewhere: another site's page is not let in here.
  if (const auto origin = request.header("origin")) {
    if (!is_loopback_url(*origin)) {
      return forbidden("The development issuer (auth.dev_issuer) answers no page of '" +
                       printable(*origin, kShownName) + "'.")
          .with_reason("origin_not_loopback");
    }
  }
  const std::string_view host = request.header("host").value_or("");
  if (is_loopback_authority(host)) return ok();
  return forbidden("The development issuer (auth.dev_issuer) is at localhost alone, not at '" +
                   printable(host, kShownName) + "'.")
      .with_reason("host_not_loopback");
}

void DevIssuerApi::add_routes(std::vector<http::Row>& table) {
  using enum http::Method;
  constexpr std::string_view kForm = "application/x-www-form-urlencoded";
  constexpr std::string_view kJson = "object";
  const http::Access local = local_access();
  http::Rows rows(table, *this, "/oidc");
  rows.add(kGet, "/.well-known/openid-configuration", local, http::kNoBody, &DevIssuerApi::describe,
           "The development issuer: its endpoints.", {.id = "describeIssuer", .answer = kJson});
  rows.add(kGet, "/keys", local, http::kNoBody, &DevIssuerApi::list_keys,
           "The development issuer: the keys that verify its tokens.",
           {.id = "listIssuerKeys", .answer = kJson});
  rows.add(kGet, "/auth", local, http::kNoBody, &DevIssuerApi::authorize,
           "The development issuer: lead a browser back with a code.",
           {.id = "authorizeAtIssuer",
            .query = "client_id redirect_uri response_type scope state nonce code_challenge "
                     "code_challenge_method login_hint",
            .status = 302,
            .answer = "text/html"});
  rows.add(kPost, "/token", local, http::kib(16), &DevIssuerApi::give_tokens,
           "The development issuer: tokens for a code, a device or a refresh token.",
           {.id = "getIssuerTokens", .body = kForm, .answer = kJson});
  rows.add(kPost, "/device/auth", local, http::kib(16), &DevIssuerApi::start_device,
           "The development issuer: begin a device's sign-in.",
           {.id = "startIssuerDevice", .body = kForm, .answer = kJson});
  rows.add(kGet, "/device/activate", local, http::kNoBody, &DevIssuerApi::activate_device,
           "The development issuer: let a device in.",
           {.id = "activateIssuerDevice", .query = "user_code login_hint", .answer = "text/html"});
  rows.add(kGet, "/userinfo", local, http::kNoBody, &DevIssuerApi::show_user,
           "The development issuer: whose an access token is.",
           {.id = "getIssuerUser", .answer = kJson});
}

Result<http::Response> DevIssuerApi::describe(http::Request&) {
  const std::string url = issuer_.url();
  const auto list = [](std::initializer_list<std::string_view> words) {
    Json array = Json::array();
    for (const std::string_view word : words) array.push_back(word);
    return array;
  };
  Json metadata{{"issuer", url},
                {"authorization_endpoint", url + "/auth"},
                {"token_endpoint", url + "/token"},
                {"device_authorization_endpoint", url + "/device/auth"},
                {"userinfo_endpoint", url + "/userinfo"},
                {"jwks_uri", url + "/keys"},
                {"authorization_response_iss_parameter_supported", true}};
  metadata["response_types_supported"] = list({"code"});
  metadata["grant_types_supported"] = list({"authorization_code", "refresh_token", kDeviceGrant});
  metadata["subject_types_supported"] = list({"public"});
  metadata["id_token_signing_alg_values_supported"] = list({"RS256"});
  metadata["scopes_supported"] = list({"openid", "profile", "email"});
  metadata["code_challenge_methods_supported"] = list({"S256"});
  metadata["token_endpoint_auth_methods_supported"] = list({"none"});
  return http::reply(200, metadata);
}

Result<http::Response> DevIssuerApi::list_keys(http::Request&) {
  return http::json_response(200, issuer_.jwk_set());
}

// Until the client's address is known to be its own nothing is sent there.
Result<http::Response> DevIssuerApi::authorize(http::Request& request) {
  const auto asked = [&](const char* name) { return request.query_value(name).value_or(""); };
  DevGrant grant;
  grant.client_id = request.query_value("client_id").value_or(std::string(kDevCliClient));
  grant.redirect_uri = asked("redirect_uri");
  grant.scope = asked("scope").substr(0, kTextMaxBytes);
  grant.nonce = asked("nonce").substr(0, kTextMaxBytes);
  grant.challenge = asked("code_challenge");
  grant.subject = request.query_value("login_hint").value_or(std::string(kDevSubject));
  if (!is_client(grant.client_id)) {
    return oauth::plain_page(400, "Not signed in", unknown_client(grant.client_id).message());
  }
  if (!is_loopback_address(grant.redirect_uri)) {
    return oauth::plain_page(400, "Not signed in",
                             "redirect_uri: it must be http(s)://localhost or 127.0.0.1.");
  }
  const std::string state = asked("state").substr(0, kTextMaxBytes);
  const auto refused = [&](std::string_view error) {
    return redirect(grant.redirect_uri, state, "error", error, issuer_.url());
  };
  if (request.query_value("response_type").value_or("code") != "code") {
    return refused("unsupported_response_type");
  }
  const bool has_challenge =
      grant.challenge.size() == 43 && asked("code_challenge_method") == "S256";
  if (!has_challenge || !is_dev_subject(grant.subject)) {
    http::Response response = refused("invalid_request");
    const std::string why = has_challenge ? "login_hint is no subject."
                                          : "PKCE is required: code_challenge with method S256.";
    response.set("location",
                 *response.find("location") + "&error_description=" + percent_encode(why));
    return response;
  }
  const std::string code = KVCS_TRY(issuer_.give_code(grant));
  return redirect(grant.redirect_uri, state, "code", code, issuer_.url());
}

Result<http::Response> DevIssuerApi::give_tokens(http::Request& request) {
  const std::string body = KVCS_TRY(request.body->read_all());
  const auto member = [&](const char* name) { return body_member(body, name); };
  const std::string client_id = member("client_id");
  if (!is_client(client_id)) return oauth_refusal(unknown_client(client_id));
  const std::string grant_type = member("grant_type");
  if (grant_type == kDeviceGrant) return redeem_device(body, client_id);
  Result<Json> tokens = invalid("grant_type: '" + printable(grant_type, kShownName) +
                                "' is not one of authorization_code, refresh_token, " +
                                std::string(kDeviceGrant) + ".")
                            .with_reason("unsupported_grant_type");
  if (grant_type == "authorization_code") {
    DevGrant presented;
    presented.client_id = client_id;
    presented.redirect_uri = member("redirect_uri");
    presented.scope = "openid profile email";
    tokens = issuer_.redeem_code(member("code"), presented, member("code_verifier"));
  } else if (grant_type == "refresh_token") {
    tokens = issuer_.refresh(member("refresh_token"), client_id);
  }
  if (!tokens.ok()) return oauth_refusal(tokens.status());
  return http::private_reply(200, *tokens);
}

Result<http::Response> DevIssuerApi::redeem_device(const std::string& body,
                                                   const std::string& client_id) {
  DeviceAnswer answer = issuer_.devices().poll(body_member(body, "device_code"), client_id);
  if (answer.state != DeviceState::kApproved) return device_refusal(answer.state);
  DeviceFlow::Redemption redemption(issuer_.devices(), body_member(body, "device_code"));
  DevGrant grant;
  grant.client_id = client_id;
  grant.subject = std::move(answer.subject);
  grant.scope = std::move(answer.ask.scope);
  const Json tokens = KVCS_TRY(issuer_.give_tokens(grant));
  redemption.done();
  return http::private_reply(200, tokens);
}

Result<http::Response> DevIssuerApi::start_device(http::Request& request) {
  const std::string body = KVCS_TRY(request.body->read_all());
  DeviceAsk ask;
  ask.client_id = body_member(body, "client_id");
  if (!is_client(ask.client_id)) return oauth_refusal(unknown_client(ask.client_id));
  ask.scope = body_member(body, "scope").substr(0, kTextMaxBytes);
  ask.address = request.remote_ip;
  const StartedDevice started = KVCS_TRY(issuer_.devices().start(std::move(ask)));
  return http::private_reply(
      200, device_answer(started, issuer_.devices(), issuer_.url() + "/device/activate"));
}

Result<http::Response> DevIssuerApi::activate_device(http::Request& request) {
  const std::string subject = request.query_value("login_hint").value_or(std::string(kDevSubject));
  if (!is_dev_subject(subject)) {
    return oauth::plain_page(400, "Not signed in", "login_hint: it is no name of an account.");
  }
  const Status decided =
      issuer_.devices().decide(request.query_value("user_code").value_or(""), subject);
  if (!decided.ok()) return oauth::plain_page(404, "Not signed in", decided.message());
  return oauth::plain_page(200, "Signed in",
                           "The device is signed in as " + subject + "; go back to it.");
}

Result<http::Response> DevIssuerApi::show_user(http::Request& request) {
  const std::string_view token = KVCS_TRY(request.bearer());
  const oauth::Identity identity = KVCS_TRY(verify_(token));
  return http::private_reply(200, Json{{"sub", identity.subject},
                                       {"email", identity.email},
                                       {"email_verified", identity.email_verified},
                                       {"name", identity.name}});
}

}  // namespace kvcs::portal
