// What a browser gets in a flow of OAuth: one cookie that binds the flow to this browser, and plain
// pages. The pages hold no scripts, load nothing, have one stylesheet, which their
// Content-Security-Policy names by its hash, and escape what they repeat. Functions without state.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "http/http.h"

namespace kvcs::oauth {

// The value of a cookie of the request; "" when there is none of this name.
std::string cookie_value(const http::Request& request, std::string_view name);

// A cookie that scripts cannot read and that other sites' forms do not send (SameSite=Lax lets it
// come along when the provider leads back here).
struct Cookie {
  std::string name, value;
  std::string path = "/";
  int64_t max_age_s = 0;
  bool secure = true;  // False only where the daemon is reached by plain HTTP.
};
void set_cookie(http::Response& response, const Cookie& cookie);

// The address of a page in a flow holds a secret: it is not stored, and not told to other sites.
void hide_address(http::Response& response);

// For text between tags and in quoted attributes alike.
std::string escape_html(std::string_view text);

// A page of a title and one paragraph, both plain text.
http::Response plain_page(int status, std::string_view title, std::string_view text);
// A page of a title, plain text, and a body that is HTML already. Its forms go to this host alone.
http::Response html_page(int status, std::string_view title, std::string_view body_html);

}  // namespace kvcs::oauth
