// Checks paths and headers that callers give. Every rule here was a way around the allowed
// prefixes, or into another host, of some server.
#include "gateway/outbound/url_guard.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "http/client/upstream.h"
#include "http/header_syntax.h"

namespace kvcs::gateway {
namespace {

constexpr size_t kHeaderValueMaxBytes = 4096;

// Headers that a caller may send to any provider.
constexpr std::array<std::string_view, 11> kPlainHeaders = {
    "accept",           "accept-language", "content-type",    "content-language",
    "if-match",         "prefer",          "idempotency-key", "if-unmodified-since",
    "consistencylevel", "range",           "if-range"};
// Headers that tell an upstream who the client is or what was asked: only proxies write these.
constexpr std::array<std::string_view, 12> kForwardingHeaders = {
    "x-forwarded", "x-real-ip",  "x-original-", "x-rewrite-", "x-http-method", "x-method-",
    "x-client-ip", "x-cluster-", "x-remote-",   "x-proxy-",   "x-host",        "x-amz-"};

constexpr CharSet kQueryStarts("?#");

Status bad_path(std::string_view path, std::string_view why) {
  return invalid("path: '" + printable(path, kShownValue) + "' " + std::string(why));
}

// The fault of a path, "" for none. The caller asks for the path as it is written and as it is
// after decoding: neither may leave the host or climb above the root.
std::string_view path_fault(std::string_view path) {
  if (!path.starts_with('/')) return "must begin with '/'.";
  if (path.find('\\') != path.npos) return "must not hold a backslash.";
  if (kQueryStarts.find_in(path) < path.size()) return "must not hold '?' or '#'; use query.";
  if (has_control(path)) return "must not hold control characters.";
  if (path.find("://") != path.npos) return "must not hold a scheme or host.";
  const auto segments = split(path.substr(1), '/');
  for (size_t i = 0; i < segments.size(); ++i) {
    if (segments[i] == "." || segments[i] == "..") return "must not hold '.' or '..' segments.";
    // Matrix parameters hide a dot segment from some servers ("/..;/").
    if (segments[i].starts_with("..;") || segments[i].starts_with(".;")) {
      return "must not hold '.' or '..' segments.";
    }
    if (segments[i].empty() && i + 1 < segments.size()) return "must not hold '//'.";
  }
  if (segments.front().find('@') != segments.front().npos) {
    return "must not hold '@' in its first segment.";
  }
  return {};
}

// RFC 3986 pchar without '%': what may stand in a path unencoded.
bool is_path_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '&' && c <= ';') || c == '=' ||
         c == '@' || c == '!' || c == '$' || c == '_' || c == '~';
}

// A value may not bring a dot, a slash or an at sign into the host: it would name another server.
bool is_base_value(std::string_view text, bool in_host, bool is_secret) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           (!in_host && c == '_') || (is_secret && c == ':');
  });
}

// The value of a hole, and whose secret it is.
struct HoleValue {
  const std::string* text = nullptr;
  SecretOwner owner = SecretOwner::kNobody;
};
HoleValue find_value(std::string_view name, bool in_host, const TemplateValues& values) {
  constexpr std::string_view kSecretHole = "secrets.";
  const bool only_secret = name.starts_with(kSecretHole);
  if (only_secret) name.remove_prefix(kSecretHole.size());
  for (const Meta* meta : {&values.account, &values.tenant}) {
    const auto found = meta->find(std::string(name));
    if (!only_secret && found != meta->end()) return {&found->second, SecretOwner::kNobody};
  }
  if (in_host) return {};
  const auto [secret, owner] = find_secret(values, name);
  return {secret == nullptr ? nullptr : &secret->reveal(), owner};
}

}  // namespace

Result<BaseUrl> fill_base_url(std::string_view base_url, const TemplateValues& values) {
  const size_t scheme_end = base_url.find("://");
  if (scheme_end == base_url.npos) return invalid("base_url has no scheme.");
  // Whether a hole is in the host or in the path decides what may fill it, so that both are told
  // apart in the template, before anything is filled in.
  const size_t host_end = std::min(base_url.find('/', scheme_end + 3), base_url.size());
  std::string out;
  BaseUrl base;
  size_t at = 0, origin_size = std::string::npos;
  for (size_t open = base_url.find('{'); open != base_url.npos; open = base_url.find('{', at)) {
    if (open > host_end && origin_size == std::string::npos) {
      origin_size = out.size() + (host_end - at);
    }
    out += base_url.substr(at, open - at);
    const size_t close = base_url.find('}', open);
    if (close == base_url.npos) return invalid("base_url has '{' without '}'.");
    const std::string_view name = base_url.substr(open + 1, close - open - 1);
    const bool in_host = open < host_end;
    const HoleValue value = find_value(name, in_host, values);
    if (value.text == nullptr) {
      return not_found("The account's meta has no '" + printable(name, kShownName) +
                       "', which the provider's base_url needs.")
          .with_reason("CONFIG_MISSING");
    }
    const bool is_secret = value.owner != SecretOwner::kNobody;
    if (!is_base_value(*value.text, in_host, is_secret)) {
      return invalid((is_secret ? "secrets." : "meta.") + printable(name, kShownName) + ": '" +
                     (is_secret ? "***" : printable(*value.text, kShownName)) +
                     "' must be of A-Z a-z 0-9 and '-'.");
    }
    base.account_secret |= value.owner == SecretOwner::kAccount;
    base.provider_secret |= value.owner == SecretOwner::kProvider;
    out += *value.text;
    at = close + 1;
  }
  if (origin_size == std::string::npos) origin_size = out.size() + (host_end - at);
  out += base_url.substr(at);
  base.origin = out.substr(0, origin_size);
  base.path = out.substr(origin_size);
  while (base.path.ends_with('/')) base.path.pop_back();
  return base;
}

Result<std::string> check_path(std::string_view path) {
  if (path.size() > kPathMaxBytes) return invalid("path: over the limit of 4096 bytes.");
  if (!is_valid_utf8(path)) return bad_path(path, "is not UTF-8.");
  if (const auto fault = path_fault(path); !fault.empty()) return bad_path(path, fault);
  // Mostly: decoded and encoded it is what it is.
  if (std::all_of(path.begin(), path.end(), is_path_char)) return std::string(path);
  std::string encoded;
  for (size_t i = 0; i < path.size(); ++i) {
    const char c = path[i];
    if (c != '%') {
      encoded += is_path_char(c) ? std::string(1, c) : percent_encode(path.substr(i, 1));
      continue;
    }
    if (i + 2 >= path.size() || !is_hex(path.substr(i + 1, 2), 2)) {
      return bad_path(path, "holds a bad percent escape.");
    }
    const std::string byte = KVCS_TRY(from_hex(path.substr(i + 1, 2)));
    if (byte == "/" || byte == "\\" || byte == "%") {
      return bad_path(path, "must not hold an encoded slash, backslash or percent sign.");
    }
    encoded += path.substr(i, 3);
    i += 2;
  }
  // The path is judged once more by what a server that decodes it will see.
  const Result<std::string> decoded = percent_decode(encoded, false);
  if (!decoded.ok() || !is_valid_utf8(decoded.value())) return bad_path(path, "is not UTF-8.");
  // A literal question mark that was escaped stays data, dots and controls do not.
  std::string view = decoded.value();
  std::replace_if(
      view.begin(), view.end(), [](char c) { return c == '?' || c == '#'; }, '_');
  if (const auto fault = path_fault(view); !fault.empty()) return bad_path(path, fault);
  return encoded;
}

Status check_prefix(std::string_view path, const std::vector<std::string>& prefixes) {
  if (prefixes.empty()) return ok();
  // Compared decoded: "/%63rm/" is "/crm/" to the upstream too.
  const Result<std::string> decoded = percent_decode(path, false);
  for (const std::string& prefix : prefixes) {
    if (decoded.ok() && decoded.value().starts_with(prefix)) return ok();
  }
  return forbidden("path: '" + printable(path, kShownValue) +
                   "' is outside what the provider allows: " +
                   printable(join(prefixes, ", "), kShownText) + ".")
      .with_reason("PATH_NOT_ALLOWED");
}

Status check_header(std::string_view name, std::string_view value, const AuthRule& rule,
                    const std::vector<std::pair<std::string, std::string>>& default_headers) {
  const std::string lower = lower_ascii(name);
  const std::string shown = "headers: '" + printable(name, kShownName) + "' ";
  if (!http::is_token(lower)) {
    return invalid(shown + "is no header name.");
  }
  if (value.size() > kHeaderValueMaxBytes || !is_valid_utf8(value) || has_control(value)) {
    return invalid(shown + "must be text of at most 4096 bytes without control characters.");
  }
  if (is_auth_header(rule, lower)) return invalid(shown + "is written by the gateway.");
  for (const auto& [known, text] : default_headers) {
    if (!equal_ignore_case(known, lower)) continue;
    return has_template(text) ? invalid(shown + "is written by the gateway.") : ok();
  }
  if (std::find(kPlainHeaders.begin(), kPlainHeaders.end(), lower) != kPlainHeaders.end()) {
    return ok();
  }
  const bool forwarding =
      std::any_of(kForwardingHeaders.begin(), kForwardingHeaders.end(),
                  [&](std::string_view prefix) { return lower.starts_with(prefix); });
  if (lower.starts_with("x-") && !forwarding) return ok();
  return invalid(shown +
                 "may not be sent. Allowed are accept, content-type and the like, x-… and the "
                 "provider's own.");
}

}  // namespace kvcs::gateway
