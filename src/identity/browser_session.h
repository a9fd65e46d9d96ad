// How a browser says who it is: by a cookie that holds the token of a session (sessions.h). A
// browser sends it with every request to this host, also with those that another site's page
// makes; so a request that changes something must also carry a token that only our own pages can
// read, and come from our own origin (OWASP, "Cross-Site Request Forgery Prevention"). A bearer in
// Authorization is sent by nobody's browser by itself, and needs neither. Functions without state,
// but for BrowserRules.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "http/http.h"

namespace kvcs {

struct BrowserRules {
  // The origins of our own pages, as "https://kvcs.example.com"; known when the server has started.
  // They never change, and outlive the rules.
  std::function<const std::vector<std::string>*()> origins;
};

// "__Host-kvcs_session" over TLS, which no other host and no plain page can set; else
// "kvcs_session".
std::string_view session_cookie_name(bool secure);
// Whether our pages are reached over TLS alone, by the first of the origins.
bool is_secure(const BrowserRules& rules);

// What header X-CSRF-Token must hold in a session's requests.
std::string csrf_token(std::string_view session_token);

// Ok when the request's Origin, if it has one, is ours. Forbidden with reason foreign_origin, and
// the setting that says what is.
Status check_origin(const http::Request& request, const BrowserRules& rules);

// Whether the request carries a bearer. Another scheme, such as Basic of a proxy before this
// daemon, is meant for somebody else.
bool has_bearer(const http::Request& request);

// The key or token of the request: its bearer, else its cookie. Unauthenticated when it has
// neither. Forbidden with reason foreign_origin or csrf_token_missing for a cookie whose request
// changes something and does not prove that it comes from our own pages.
Result<std::string> find_bearer(const http::Request& request, const BrowserRules& rules);

void set_session_cookie(http::Response& response, std::string_view token, int64_t max_age_s,
                        bool secure);
void clear_session_cookie(http::Response& response, bool secure);

}  // namespace kvcs
