// The walk through X-Forwarded-For from the nearest proxy outwards. A mistake here lets callers
// choose the address by which they are limited and logged, or the host of links.
#include "http/serve/forwarded.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "http/external_url.h"

namespace kvcs::http {
namespace {

// "1.2.3.4:5678", "[::1]:5678" and "[::1]" are seen in the wild; the port says nothing.
std::string_view without_port(std::string_view text) {
  if (text.starts_with('[')) return text.substr(1, text.find(']') - 1);
  const size_t colon = text.find(':');
  if (colon != text.npos && text.find(':', colon + 1) == text.npos) return text.substr(0, colon);
  return text;
}

// The last value of a list, and of several lines, is the one that the nearest proxy wrote.
std::string_view last_of(std::string_view list) {
  return trim(list.substr(list.rfind(',') + 1));
}

std::string_view find_last(const Request& request, std::string_view name) {
  for (size_t i = request.headers.size(); i-- > 0;) {
    const Header& header = request.headers[i];
    if (equal_ignore_case(header.name, name)) return last_of(header.value);
  }
  return {};
}

// A value that could not stand in a URL is as good as none.
void believe_place(Request& request) {
  const std::string_view host = find_last(request, "x-forwarded-host");
  const std::string_view port = find_last(request, "x-forwarded-port");
  const std::string_view prefix = find_last(request, "x-forwarded-prefix");
  if (is_url_host(host)) {
    std::erase_if(request.headers,
                  [](const Header& header) { return equal_ignore_case(header.name, "host"); });
    request.headers.push_back({"host", host});
  }
  if (is_url_port(port)) request.headers.push_back({kForwardedPort, port});
  if (is_url_prefix(prefix)) request.headers.push_back({kForwardedPrefix, prefix});
}

}  // namespace

// Both families in sixteen bytes, so that a mapped IPv4 peer of an IPv6 socket is its IPv4 self.
bool TrustedProxies::parse_address(std::string_view text, Address& out) {
  char copy[INET6_ADDRSTRLEN] = {};
  if (text.empty() || text.size() >= sizeof copy) return false;
  std::memcpy(copy, text.data(), text.size());
  out = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (inet_pton(AF_INET, copy, out.data() + 12) == 1) return true;
  return inet_pton(AF_INET6, copy, out.data()) == 1;
}

Result<TrustedProxies> TrustedProxies::parse(const std::vector<std::string>& entries) {
  TrustedProxies proxies;
  for (const std::string& entry : entries) {
    const size_t slash = entry.find('/');
    const bool is_v4 = entry.find(':') == entry.npos;
    const uint64_t width = is_v4 ? 32 : 128;
    Block block{};
    uint64_t bits = width;
    if (slash != entry.npos) {
      auto parsed = parse_u64(std::string_view(entry).substr(slash + 1), "prefix length");
      bits = std::move(parsed).value_or(width + 1);
    }
    if (!parse_address(std::string_view(entry).substr(0, slash), block.address) || bits > width) {
      return invalid("http.trusted_proxies: '" + printable(entry, kShownName) +
                     "' is neither an IP address nor a CIDR block such as 10.0.0.0/8.");
    }
    block.prefix_bits = static_cast<int>(128 - width + bits);
    proxies.blocks_.push_back(block);
  }
  return proxies;
}

bool TrustedProxies::contains(std::string_view ip) const {
  Address address;
  if (!parse_address(ip, address)) return false;
  for (const Block& block : blocks_) {
    const auto bytes = static_cast<size_t>(block.prefix_bits / 8);
    const int rest = block.prefix_bits % 8;
    if (std::memcmp(address.data(), block.address.data(), bytes) != 0) continue;
    const int mask = 0xff00 >> rest & 0xff;
    if (rest == 0 || ((address[bytes] ^ block.address[bytes]) & mask) == 0) return true;
  }
  return false;
}

bool TrustedProxies::ignores_forwarded(std::string_view peer_ip, const Request& request) const {
  for (const Header& header : request.headers) {
    if (equal_ignore_case(header.name, "x-forwarded-for") ||
        equal_ignore_case(header.name, "x-forwarded-proto") ||
        equal_ignore_case(header.name, "x-forwarded-host")) {
      return !contains(peer_ip);
    }
  }
  return false;
}

void TrustedProxies::resolve(std::string_view peer_ip, Request& request) const {
  request.remote_ip = peer_ip;
  // Whoever may open a socket file is as good as a trusted proxy.
  if (!peer_ip.empty() && (blocks_.empty() || !contains(peer_ip))) return;
  believe_place(request);
  // Several headers of the name are one list in order (RFC 9110 §5.3); it is read from its end.
  for (size_t i = request.headers.size(); i-- > 0;) {
    if (!equal_ignore_case(request.headers[i].name, "x-forwarded-for")) continue;
    const std::vector<std::string_view> hops = split(request.headers[i].value, ',');
    for (size_t k = hops.size(); k-- > 0;) {
      const std::string_view hop = without_port(trim(hops[k]));
      Address address;
      if (!parse_address(hop, address)) return;  // Beyond a broken hop nothing can be believed.
      request.remote_ip = hop;
      if (!contains(hop)) {
        i = 0;
        break;
      }
    }
    if (i == 0) break;
  }
  const std::string_view scheme = find_last(request, "x-forwarded-proto");
  if (!scheme.empty()) request.https = equal_ignore_case(scheme, "https");
}

}  // namespace kvcs::http
