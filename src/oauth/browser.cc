// Cookies and script-free pages of flows in the browser, with the headers that keep them harmless.
#include "oauth/browser.h"

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs::oauth {
namespace {

// The colours of the dashboard (web/src/style/tokens.css), by day and by night.
constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; }
body { margin: 0; font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  background: light-dark(#f9fafb, #0e1116); color: light-dark(#1a1d22, #eceef1); }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; overflow-wrap: anywhere; }
.product { margin: 0 0 1.5rem; font-weight: 600; }
h1 { margin: 0 0 .5rem; font-size: 1.4rem; line-height: 1.25; }
.muted, th { color: light-dark(#5c626b, #a0a6ae); }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th { text-align: left; font-weight: 400; white-space: nowrap; vertical-align: top;
  padding: .3rem 1rem .3rem 0; }
td { padding: .3rem 0; width: 100%; }
pre { margin: .5rem 0; padding: .75rem; border-radius: 6px; font-size: .875rem;
  white-space: pre-wrap; background: light-dark(#f1f3f5, #191d23); }
input { font: inherit; padding: .45rem .6rem; border-radius: 6px; max-width: 100%;
  box-sizing: border-box; border: 1px solid light-dark(#7d838c, #71777f);
  background: light-dark(#fff, #13171c); color: inherit; }
button, .button { display: inline-block; font: inherit; font-weight: 600; padding: .5rem 1.1rem;
  border: 0; border-radius: 6px; background: #1f67d2; color: #fff; text-decoration: none;
  cursor: pointer; }
[role=alert] { padding: .6rem .75rem; border-radius: 6px;
  background: light-dark(#fdf0ee, #3a1c1a); }
)";

// The one stylesheet by its hash, so that a page can carry no other.
const std::string& style_source() {
  static const std::string source = [] {
    const Sha256Digest digest = sha256(kStyle);
    return "'sha256-" + to_base64(std::string(digest.begin(), digest.end())) + "'";
  }();
  return source;
}

// `rest`: more of its Content-Security-Policy.
http::Response page(int status, std::string_view title, std::string_view body_html,
                    std::string_view rest) {
  const std::string html =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>" +
      escape_html(title) + " – kvcs</title><style>" + std::string(kStyle) +
      "</style></head>\n<body><main><p class=\"product\">kvcs</p>\n<h1>" + escape_html(title) +
      "</h1>\n" + std::string(body_html) + "</main></body></html>\n";
  http::Response response = http::text_response(status, html, "text/html; charset=utf-8");
  response.set("Content-Security-Policy", "default-src 'none'; style-src " + style_source() +
                                              "; base-uri 'none'; frame-ancestors 'none'; " +
                                              std::string(rest));
  hide_address(response);
  response.set("X-Content-Type-Options", "nosniff");
  return response;
}

}  // namespace

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
  return page(status, title, body_html, "form-action 'self'");
}

http::Response plain_page(int status, std::string_view title, std::string_view text) {
  return page(status, title, "<p>" + escape_html(text) + "</p>\n", "form-action 'none'");
}

}  // namespace kvcs::oauth
