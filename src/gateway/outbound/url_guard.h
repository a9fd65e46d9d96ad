// Where a call may go: the final URL stays on the provider's host and below its allowed path
// prefixes, however the path was written. Checks are made on the path as it was given and once more
// on what it decodes to (twice), so that no escape changes its meaning downstream. Pure functions.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "gateway/outbound/outbound_auth.h"

namespace kvcs::gateway {

inline constexpr size_t kPathMaxBytes = 4096;

// "https://api.example.com/base" with {x} filled from meta (of A-Z a-z 0-9 and "-", inside a host
// label; "_" too below the host) → origin and base path without a trailing slash. NotFound with
// reason CONFIG_MISSING: meta lacks x. Invalid: the value, or what came out, is no such URL. Below
// the host {secrets.x} may stand, whose value may hold ":" besides; a secret is no part of a host.
struct BaseUrl {
  std::string origin, path;
  bool account_secret = false, provider_secret = false;  // The path holds one.
};
Result<BaseUrl> fill_base_url(std::string_view base_url, const TemplateValues& values);

// A caller's path, encoded so that it can be sent. Invalid: does not begin with '/', holds "..",
// "." or empty segments, a backslash, control characters, '?', '#', '@' in its first segment, a
// scheme, an encoded slash, backslash, percent or dot segment, or bytes that are not UTF-8.
Result<std::string> check_path(std::string_view path);
// Forbidden with reason PATH_NOT_ALLOWED unless `path` (from check_path) begins with one of the
// prefixes, case-sensitively; an empty list allows all.
Status check_prefix(std::string_view path, const std::vector<std::string>& prefixes);

// A caller's header may be sent: on the list of plain request headers, or x-… that is not about
// forwarding, or one that the provider's own static default headers have. Never authentication,
// cookies, framing or hop-by-hop headers. Invalid names the header and why.
Status check_header(std::string_view name, std::string_view value, const AuthRule& rule,
                    const std::vector<std::pair<std::string, std::string>>& default_headers);

}  // namespace kvcs::gateway
