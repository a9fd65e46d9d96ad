// Reads and writes the cookie of a session, and refuses requests that another site's page may have
// made with it.
#include "identity/browser_session.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "oauth/browser.h"

namespace kvcs {
namespace {

bool changes_something(http::Method method) {
  return method != http::Method::kGet && method != http::Method::kHead &&
         method != http::Method::kOptions;
}

using Origins = std::vector<std::string>;

Status foreign_origin(std::string_view origin, const Origins& ours) {
  return forbidden("Origin '" + printable(origin, kShownName) + "' is not '" +
                   (ours.empty() ? std::string() : ours.front()) +
                   "'. Open the pages there, or set http.public_url to the address that browsers "
                   "use.")
      .with_reason("foreign_origin");
}

bool is_over_tls(const Origins& ours) {
  return !ours.empty() && ours.front().starts_with("https://");
}

Status check_among(std::string_view origin, const Origins& ours) {
  const bool is_ours = std::any_of(ours.begin(), ours.end(), [&](const std::string& one) {
    return equal_ignore_case(one, origin);
  });
  return is_ours ? ok() : foreign_origin(origin, ours);
}

}  // namespace

std::string_view session_cookie_name(bool secure) {
  return secure ? "__Host-kvcs_session" : "kvcs_session";
}

bool is_secure(const BrowserRules& rules) {
  return is_over_tls(*rules.origins());
}

std::string csrf_token(std::string_view session_token) {
  return to_base64url(hmac_sha256(session_token, "kvcs csrf"));
}

Status check_origin(const http::Request& request, const BrowserRules& rules) {
  const auto origin = request.header("origin");
  return origin ? check_among(*origin, *rules.origins()) : ok();
}

bool has_bearer(const http::Request& request) {
  return std::any_of(request.headers.begin(), request.headers.end(), [](const http::Header& one) {
    if (!equal_ignore_case(one.name, "authorization")) return false;
    const std::string_view value = trim(one.value);
    return equal_ignore_case(value.substr(0, value.find(' ')), "bearer");
  });
}

Result<std::string> find_bearer(const http::Request& request, const BrowserRules& rules) {
  if (has_bearer(request)) return std::string(KVCS_TRY(request.bearer()));
  const Origins& ours = *rules.origins();
  std::string token = oauth::cookie_value(request, session_cookie_name(is_over_tls(ours)));
  if (token.empty()) return std::string(KVCS_TRY(request.bearer()));
  if (!changes_something(request.method)) return token;
  const auto origin = request.header("origin");
  if (!origin) return foreign_origin("", ours);
  KVCS_TRY(check_among(*origin, ours));
  if (!constant_time_equal(request.header("x-csrf-token").value_or(""), csrf_token(token))) {
    return forbidden(
               "X-CSRF-Token must be the csrf_token of GET /api/v1/me when a session's cookie is "
               "sent.")
        .with_reason("csrf_token_missing");
  }
  return token;
}

void set_session_cookie(http::Response& response, std::string_view token, int64_t max_age_s,
                        bool secure) {
  oauth::set_cookie(response, {.name = std::string(session_cookie_name(secure)),
                               .value = std::string(token),
                               .max_age_s = max_age_s,
                               .secure = secure});
}

void clear_session_cookie(http::Response& response, bool secure) {
  set_session_cookie(response, "", 0, secure);
}

}  // namespace kvcs
