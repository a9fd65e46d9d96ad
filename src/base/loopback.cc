// Tells names of this machine from names that only look like them.
#include "base/loopback.h"

#include "base/bytes.h"

namespace kvcs {

bool is_loopback_host(std::string_view host) {
  if (equal_ignore_case(host, "localhost") || host == "::1" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

bool is_loopback_authority(std::string_view authority) {
  const size_t colon = authority.rfind(':');
  if (colon == authority.npos || authority.find(']', colon) != authority.npos) {
    return is_loopback_host(authority);
  }
  const bool is_port = authority.find_first_not_of("0123456789", colon + 1) == authority.npos;
  return is_port && authority != "::1" && is_loopback_host(authority.substr(0, colon));
}

bool is_loopback_url(std::string_view url) {
  const size_t scheme = url.starts_with("http://") ? 7 : url.starts_with("https://") ? 8 : 0;
  if (scheme == 0) return false;
  url.remove_prefix(scheme);
  return is_loopback_authority(url.substr(0, url.find_first_of("/?#")));
}

}  // namespace kvcs
