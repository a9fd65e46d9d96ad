// Cookies and script-free pages of flows in the browser, with the headers that keep them harmless.
#include "oauth/browser.h"

#include "base/bytes.h"

namespace kvcs::oauth {

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string cookie_value(const http::Request& request, std::string_view name) {
  for (const http::Header& header : request.headers) {
    if (!equal_ignore_case(header.name, "cookie")) continue;
    for (const std::string_view part : split(header.value, ';')) {
      const std::string_view pair = trim(part);
      const size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name) {
        return std::string(pair.substr(equals + 1));
      }
    }
  }
  return {};
}

void set_cookie(http::Response& response, const Cookie& cookie) {
  response.set("Set-Cookie",
               cookie.name + "=" + cookie.value + "; Path=" + cookie.path +
                   "; HttpOnly; SameSite=Lax; Max-Age=" + std::to_string(cookie.max_age_s) +
                   (cookie.secure ? "; Secure" : ""));
}

void hide_address(http::Response& response) {
  response.set("Cache-Control", "no-store");
  response.set("Referrer-Policy", "no-referrer");
}

http::Response html_page(int status, std::string_view title, std::string_view body_html) {
  const std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width\">"
      "<title>" +
      escape_html(title) + "</title></head>\n<body><h1>" + escape_html(title) + "</h1>\n" +
      std::string(body_html) + "</body></html>\n";
  http::Response response = http::text_response(status, html, "text/html; charset=utf-8");
  response.set("Content-Security-Policy",
               "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
  hide_address(response);
  response.set("X-Content-Type-Options", "nosniff");
  return response;
}

http::Response plain_page(int status, std::string_view title, std::string_view text) {
  http::Response response = html_page(status, title, "<p>" + escape_html(text) + "</p>");
  response.set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  return response;
}

}  // namespace kvcs::oauth
