// Takes http.public_url apart as far as its origin: what the rest of it says is the operator's
// word.
#include "app/public_url.h"

#include <algorithm>

#include "base/bytes.h"

namespace kvcs {
namespace {

bool is_of_host(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("-._[]:").find(c) != std::string_view::npos;
}

bool is_of_path(char c) {
  return c > 0x20 && c < 0x7f && std::string_view("?#\\\"<>").find(c) == std::string_view::npos;
}

}  // namespace

Result<std::string> normal_public_url(std::string_view text) {
  const auto refuse = [&](const char* why) {
    return invalid("http.public_url: '" + printable(text) + "' " + why);
  };
  const size_t scheme_end = text.find("://");
  const std::string scheme = lower_ascii(text.substr(0, std::min(scheme_end, text.size())));
  if (scheme_end == text.npos || (scheme != "http" && scheme != "https")) {
    return refuse("must begin with http(s)://.");
  }
  const std::string_view rest = text.substr(scheme_end + 3);
  const size_t path_at = std::min(rest.find_first_of("/?#\\"), rest.size());
  std::string host = lower_ascii(rest.substr(0, path_at));
  std::string_view path = rest.substr(path_at);
  if (host.find('@') != host.npos) {
    return refuse("must not name a user: it stands in every link.");
  }
  const std::string own_port = scheme == "https" ? ":443" : ":80";
  if (host.ends_with(own_port)) host.resize(host.size() - own_port.size());
  if (host.empty() || host.front() == ':' || !std::all_of(host.begin(), host.end(), is_of_host)) {
    return refuse("must name a host in ASCII (xn--… for other scripts).");
  }
  if (!std::all_of(path.begin(), path.end(), is_of_path)) {
    return refuse("must end with its path: no query, no fragment, no spaces.");
  }
  while (path.ends_with('/')) path.remove_suffix(1);
  return scheme + "://" + host + std::string(path);
}

}  // namespace kvcs
