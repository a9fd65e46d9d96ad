// Finds the client behind reverse proxies and what it asked them for: X-Forwarded-For, -Proto,
// -Host, -Port and -Prefix, believed only as far as the chain of trusted proxies reaches. Immutable
// after parse().
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "http/http.h"

namespace kvcs::http {

class TrustedProxies final {
 public:
  // IPs or CIDR blocks, IPv4 and IPv6. Invalid names the entry.
  static Result<TrustedProxies> parse(const std::vector<std::string>& entries);
  bool empty() const { return blocks_.empty(); }
  bool contains(std::string_view ip) const;
  // True when the request has an X-Forwarded-* header that is not believed, as its peer is no
  // trusted proxy: everybody behind that proxy is then one address.
  bool ignores_forwarded(std::string_view peer_ip, const Request& request) const;
  // Sets request.remote_ip and request.https. From the right, the first address that is not a
  // trusted proxy is the client: what stands left of it came from the client itself.
  // Host becomes the one that the client asked the proxy for, and the port and path there are added
  // under names that no client can send (http/external_url.h reads them).
  void resolve(std::string_view peer_ip, Request& request) const;

 private:
  using Address = std::array<uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d
  struct Block {
    Address address;
    int prefix_bits;
  };
  static bool parse_address(std::string_view text, Address& out);
  std::vector<Block> blocks_;
};

}  // namespace kvcs::http
