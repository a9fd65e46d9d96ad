// Puts together the beginning of URLs from the headers of a request; which of them a trusted proxy
// wrote was decided before (serve/forwarded.cc).
#include "http/external_url.h"

#include <arpa/inet.h>

#include <cstring>

#include "base/bytes.h"

namespace kvcs::http {
namespace {

constexpr size_t kHostMaxBytes = 255;  // A name in DNS is no longer (RFC 1035 §2.3.4).
constexpr size_t kPrefixMaxBytes = 255;

// RFC 3986 §2.3.
bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// Labels with dots between them, and perhaps one at the end (RFC 1034 §3.1).
bool is_name(std::string_view text) {
  if (text.size() > 1 && text.ends_with('.')) text.remove_suffix(1);
  for (const std::string_view label : split(text, '.')) {
    if (label.empty()) return false;
    for (const char c : label) {
      if (!is_unreserved(c)) return false;
    }
  }
  return true;
}

bool is_ipv6(std::string_view text) {
  char copy[INET6_ADDRSTRLEN] = {};
  in6_addr address;
  if (text.size() >= sizeof copy) return false;
  std::memcpy(copy, text.data(), text.size());
  return inet_pton(AF_INET6, copy, &address) == 1;
}

bool has_port(std::string_view host) {
  return host.find(':', host.find(']') == host.npos ? 0 : host.find(']')) != host.npos;
}

}  // namespace

bool is_url_host(std::string_view text) {
  if (text.empty() || text.size() > kHostMaxBytes) return false;
  size_t end = text.find(':');
  if (text.front() == '[') {
    end = text.find(']');
    if (end == text.npos || !is_ipv6(text.substr(1, end - 1))) return false;
    end++;
  } else if (!is_name(text.substr(0, end))) {
    return false;
  }
  if (end >= text.size()) return true;
  return text[end] == ':' && is_url_port(text.substr(end + 1));
}

bool is_url_port(std::string_view text) {
  const Result<uint64_t> port = parse_u64(text, "port");
  return port.ok() && *port >= 1 && *port <= 65535;
}

bool is_url_prefix(std::string_view text) {
  if (!text.starts_with('/') || text.size() > kPrefixMaxBytes) return false;
  for (const std::string_view segment : split(text.substr(1), '/')) {
    if (segment == "." || segment == "..") return false;
    for (const char c : segment) {
      if (!is_unreserved(c)) return false;
    }
  }
  return text.find("//") == text.npos;
}

Result<std::string> external_url(const Request& request, std::string_view fallback) {
  const auto host = request.header("host");
  if (!host || host->empty()) return std::string(fallback);
  if (!is_url_host(*host)) {
    return invalid("Host '" + printable(*host, kShownName) +
                   "' cannot stand in a URL of the answer. Ask for this server by a name or an "
                   "address, or set http.public_url.")
        .with_reason("host_unusable");
  }
  std::string url = (request.https ? "https://" : "http://") + std::string(*host);
  const std::string_view port = request.header(kForwardedPort).value_or("");
  const bool is_default = port == (request.https ? "443" : "80");
  if (!port.empty() && !is_default && !has_port(*host)) (url += ':') += port;
  url += request.header(kForwardedPrefix).value_or("");
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace kvcs::http
