// Writes credentials into outgoing requests, one way per auth type, and blanks them out of texts
// for people.
#include "gateway/outbound/outbound_auth.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/crypto.h"
#include "gateway/outbound/sigv4.h"
#include "http/header_syntax.h"

namespace kvcs::gateway {
namespace {

// Shorter texts would blank out half of every message.
constexpr size_t kRedactedMinBytes = 6;

Status lacks(std::string_view what) {
  return not_found("The stored credential has no " + std::string(what) + ".")
      .with_reason("TOKEN_MISSING");
}

// A line break in a stored secret would let it add headers of its own.
Status add_secret_header(OutboundRequest& request, std::string_view name, std::string value) {
  if (!http::is_field_value(value)) {
    return not_found("The stored credential holds control characters.")
        .with_reason("TOKEN_MISSING");
  }
  request.set_header(name, std::move(value));
  return ok();
}

// The region is the credential's, or else that of its meta; the service is the provider's, whose
// record knows what its host serves, or else the credential's.
Status sign_aws(const AuthRule& rule, const AccessCredential& credential, int64_t now_ms,
                OutboundRequest& request) {
  if (credential.access_key_id.empty() || credential.secret_access_key.empty()) {
    return lacks("access_key_id and secret_access_key");
  }
  const auto meta = [&](const char* name) {
    const auto it = credential.meta.find(name);
    return it == credential.meta.end() ? std::string() : it->second;
  };
  const std::string region = credential.region.empty() ? meta("region") : credential.region;
  const std::string service = rule.aws_service.empty() ? credential.service : rule.aws_service;
  if (region.empty() || service.empty()) {
    return not_found("The account needs an AWS region, and the provider auth.aws_service.")
        .with_reason("CONFIG_MISSING");
  }
  const std::string time = sigv4_time(now_ms);
  request.set_header("x-amz-date", time);
  if (!credential.session_token.empty()) {
    KVCS_TRY(add_secret_header(request, "x-amz-security-token", credential.session_token.reveal()));
  }
  if (service == "s3") request.set_header("x-amz-content-sha256", sha256_hex(request.body));
  SigV4Request to_sign{request.method, request.path, request.query, {}, request.body};
  to_sign.headers.emplace_back("host", request.origin.substr(request.origin.find("//") + 2));
  // Only headers that no hop changes are signed: host, content type and those of AWS.
  for (const auto& header : request.headers) {
    const std::string name = lower_ascii(header.first);
    if (name == "content-type" || name.starts_with("x-amz-")) to_sign.headers.push_back(header);
  }
  request.set_header("authorization",
                     sigv4_authorization(to_sign, {region, service, time}, credential.access_key_id,
                                         credential.secret_access_key));
  return ok();
}

void replace_all(std::string& text, std::string_view from) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + 3)) {
    text.replace(at, from.size(), "***");
  }
}

// A hole of a template: "{meta.NAME}", or "{meta.NAME?}" when it may be missing.
struct TemplateName {
  std::string_view name;
  bool optional = false;
  size_t end = 0;
};
Result<TemplateName> template_name_at(std::string_view text, size_t open) {
  const size_t close = text.find('}', open);
  if (close == text.npos) return invalid("'{' without '}' in a header template.");
  std::string_view name = text.substr(open + 1, close - open - 1);
  if (!name.starts_with("meta.")) return invalid("A header template may hold {meta.NAME} only.");
  name.remove_prefix(5);
  const bool optional = name.ends_with('?');
  if (optional) name.remove_suffix(1);
  if (!is_id_part(name)) return invalid("A header template may hold {meta.NAME} only.");
  return TemplateName{name, optional, close + 1};
}

}  // namespace

std::string OutboundRequest::url() const {
  std::string out = origin + path;
  char separator = '?';
  for (const auto& [name, value] : query) {
    (((out += separator) += percent_encode(name)) += '=') += percent_encode(value);
    separator = '&';
  }
  return out;
}

void OutboundRequest::set_header(std::string_view name, std::string value) {
  for (auto& header : headers) {
    if (!equal_ignore_case(header.first, name)) continue;
    header.second = std::move(value);
    return;
  }
  headers.emplace_back(name, std::move(value));
}

Status apply_auth(const AuthRule& rule, const AccessCredential& credential, int64_t now_ms,
                  OutboundRequest& request) {
  switch (rule.type) {
    case AuthType::kNone:
      return ok();
    case AuthType::kBasic: {
      if (credential.username.empty() && credential.password.empty()) {
        return lacks("username and password");
      }
      const Secret pair(credential.username.reveal() + ":" + credential.password.reveal());
      request.set_header("authorization", "Basic " + to_base64(pair.reveal()));
      return ok();
    }
    case AuthType::kAwsSigV4:
      return sign_aws(rule, credential, now_ms, request);
    case AuthType::kApiKeyQuery: {
      if (credential.access_token.empty()) return lacks("API key");
      // A caller that gives the parameter itself does not get a second one through.
      std::erase_if(request.query,
                    [&](const auto& pair) { return pair.first == rule.query_param; });
      request.query.emplace_back(rule.query_param, credential.access_token.reveal());
      return ok();
    }
    case AuthType::kApiKeyHeader:
      if (credential.access_token.empty()) return lacks("API key");
      return add_secret_header(request, rule.header,
                               rule.prefix + credential.access_token.reveal());
    case AuthType::kBearer:
    case AuthType::kOauth2RefreshToken:
    case AuthType::kOauth2ClientCredentials:
    case AuthType::kServiceAccountJwt: {
      if (credential.access_token.empty()) return lacks("access token");
      // A header of the record's own takes the token without "Bearer ", unless the record has a
      // prefix.
      const bool own = !rule.header.empty();
      return add_secret_header(request, own ? rule.header : "authorization",
                               (own || !rule.prefix.empty() ? rule.prefix : "Bearer ") +
                                   credential.access_token.reveal());
    }
  }
  return ok();
}

bool is_auth_header(const AuthRule& rule, std::string_view name) {
  return equal_ignore_case(name, "authorization") ||
         (!rule.header.empty() && equal_ignore_case(name, rule.header)) ||
         (rule.type == AuthType::kAwsSigV4 && lower_ascii(name).starts_with("x-amz-"));
}

bool has_template(std::string_view text) {
  return text.find('{') != text.npos;
}

Result<std::optional<std::string>> fill_header_template(std::string_view text, const Meta& account,
                                                        const Meta& tenant) {
  std::string out;
  size_t at = 0;
  for (size_t open = text.find('{'); open != text.npos; open = text.find('{', at)) {
    out += text.substr(at, open - at);
    const TemplateName hole = KVCS_TRY(template_name_at(text, open));
    const std::string name(hole.name);
    auto found = account.find(name);
    bool known = found != account.end();
    if (!known) {
      found = tenant.find(name);
      known = found != tenant.end();
    }
    if (!known) {
      if (hole.optional) return std::optional<std::string>();
      return not_found("The account's meta has no '" + name + "', which the provider needs.")
          .with_reason("CONFIG_MISSING");
    }
    if (!http::is_field_value(found->second)) {
      return invalid("meta." + name + " holds control characters.");
    }
    out += found->second;
    at = hole.end;
  }
  out += text.substr(at);
  return std::optional<std::string>(std::move(out));
}

std::string redact(std::string text, const AccessCredential& credential) {
  const auto hide = [&](const std::string& secret) {
    if (secret.size() < kRedactedMinBytes) return;
    replace_all(text, secret);
    const Secret encoded(percent_encode(secret)), base64(to_base64(secret));
    if (encoded.reveal() != secret) replace_all(text, encoded.reveal());
    replace_all(text, base64.reveal());
  };
  // The longest first: the pair's base64 begins as the user name's does.
  const Secret pair(credential.username.reveal() + ":" + credential.password.reveal());
  hide(pair.reveal());
  for (const Secret* secret :
       {&credential.access_token, &credential.username, &credential.password,
        &credential.access_key_id, &credential.secret_access_key, &credential.session_token}) {
    hide(secret->reveal());
  }
  return text;
}

bool is_secret_header(std::string_view name) {
  constexpr std::array<std::string_view, 3> kSecret = {"authorization", "x-amz-security-token",
                                                       "developer-token"};
  return std::any_of(kSecret.begin(), kSecret.end(),
                     [&](std::string_view secret) { return equal_ignore_case(name, secret); });
}

}  // namespace kvcs::gateway
