// How the caller of a request reaches this server, also through a reverse proxy: what URLs in the
// answer to this very caller begin with. Links for somebody else begin with http.public_url
// instead, since a caller chooses its Host. Pure functions.
#pragma once
#include <string>
#include <string_view>

#include "http/http.h"

namespace kvcs::http {

// Under these names of headers stand the port and the path of a trusted proxy. A colon is no part
// of a name that anybody could send (RFC 9110 §5.6.2).
inline constexpr std::string_view kForwardedPort = ":forwarded-port";
inline constexpr std::string_view kForwardedPrefix = ":forwarded-prefix";

// A name, an address or [an IPv6 address], perhaps with a port (RFC 3986 §3.2.2 and §3.2.3, without
// its escapes and delimiters, which no host in use has): "kvcs_server:8080". At most 255 bytes.
bool is_url_host(std::string_view text);
bool is_url_port(std::string_view text);  // 1 to 65535.
// The path under which a proxy shows this server: "/kvcs", "/team/kvcs/". At most 255 bytes.
bool is_url_prefix(std::string_view text);

// "https://kvcs.example.com:8443/kvcs", without a slash at its end: the scheme, Host, and port and
// path at a trusted proxy. `fallback` for a request without Host
// (HTTP/1.0). Invalid with reason host_unusable for a Host that could not stand in a URL.
Result<std::string> external_url(const Request& request, std::string_view fallback);

}  // namespace kvcs::http
