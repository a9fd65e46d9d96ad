// Writes credentials into outgoing requests, one way per auth type, and blanks them out of texts
// for people.
#include "gateway/outbound/outbound_auth.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/secret_names.h"
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

// One secret in each of the shapes in which it may have been written.
void hide_secret(std::string& text, const std::string& secret) {
  if (secret.size() < kRedactedMinBytes) return;
  replace_all(text, secret);
  const Secret encoded(percent_encode(secret)), base64(to_base64(secret));
  if (encoded.reveal() != secret) replace_all(text, encoded.reveal());
  replace_all(text, base64.reveal());
}

// A hole of a template: "{meta.NAME}" or "{secrets.NAME}", with "?" before the brace when it may be
// missing.
struct TemplateName {
  std::string_view name;
  bool is_secret = false, optional = false;
  size_t end = 0;
};
constexpr std::string_view kMetaHole = "meta.", kSecretHole = "secrets.";
Result<TemplateName> template_name_at(std::string_view text, size_t open) {
  const size_t close = text.find('}', open);
  if (close == text.npos) return invalid("'{' without '}' in a header template.");
  std::string_view name = text.substr(open + 1, close - open - 1);
  const bool is_secret = name.starts_with(kSecretHole);
  if (!is_secret && !name.starts_with(kMetaHole)) {
    return invalid("A header template may hold {meta.NAME} and {secrets.NAME} only.");
  }
  name.remove_prefix(is_secret ? kSecretHole.size() : kMetaHole.size());
  const bool optional = name.ends_with('?');
  if (optional) name.remove_suffix(1);
  if (!is_id_part(name)) {
    return invalid("A header template may hold {meta.NAME} and {secrets.NAME} only.");
  }
  return TemplateName{name, is_secret, optional, close + 1};
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

Status check_origin(const AccessCredential& credential, const OutboundRequest& request) {
  // The origin of a request is mostly written as the bound one is.
  if (may_go_to(credential.origins, request.origin)) return ok();
  const std::string origin = origin_of(request.origin);
  if (may_go_to(credential.origins, origin)) return ok();
  return secret_origin_changed("The account's credential", origin, credential.origins,
                               "Connect or store the account again, or let an owner confirm the "
                               "move with PUT /admin/providers/{provider}?rebind=true.");
}

Status apply_auth(const AuthRule& rule, const AccessCredential& credential, int64_t now_ms,
                  OutboundRequest& request) {
  if (rule.type != AuthType::kNone) KVCS_TRY(check_origin(credential, request));
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

std::pair<const Secret*, SecretOwner> find_secret(const TemplateValues& values,
                                                  std::string_view name) {
  for (const auto& [secrets, owner] :
       {std::pair(values.account_secrets, SecretOwner::kAccount),
        std::pair(values.provider_secrets, SecretOwner::kProvider)}) {
    if (secrets == nullptr) continue;
    const auto found = secrets->find(name);
    if (found != secrets->end()) return {&found->second, owner};
  }
  return {nullptr, SecretOwner::kNobody};
}

Result<std::optional<FilledTemplate>> fill_header_template(std::string_view text,
                                                           const TemplateValues& values) {
  FilledTemplate out;
  size_t at = 0;
  for (size_t open = text.find('{'); open != text.npos; open = text.find('{', at)) {
    out.text += text.substr(at, open - at);
    const TemplateName hole = KVCS_TRY(template_name_at(text, open));
    const std::string name(hole.name);
    const std::string* value = nullptr;
    for (const Meta* meta : {&values.account, &values.tenant}) {
      const auto found = meta->find(name);
      if (!hole.is_secret && value == nullptr && found != meta->end()) value = &found->second;
    }
    if (value == nullptr) {
      const auto [secret, owner] = find_secret(values, name);
      if (secret != nullptr) value = &secret->reveal();
      out.account_secret |= owner == SecretOwner::kAccount;
      out.provider_secret |= owner == SecretOwner::kProvider;
    }
    const char* const kind = hole.is_secret ? "secrets" : "meta";
    if (value == nullptr) {
      if (hole.optional) return std::optional<FilledTemplate>();
      return not_found(std::string("The account's ") + kind + " has no '" + name +
                       "', which the provider needs.")
          .with_reason("CONFIG_MISSING");
    }
    if (!http::is_field_value(*value)) {
      return invalid(std::string(kind) + "." + name + " holds control characters.");
    }
    out.text += *value;
    at = hole.end;
  }
  out.text += text.substr(at);
  return std::optional<FilledTemplate>(std::move(out));
}

std::string redact(std::string text, const SecretMap& secrets) {
  for (const auto& [name, secret] : secrets) hide_secret(text, secret.reveal());
  return text;
}

std::string redact(std::string text, const AccessCredential& credential) {
  const auto hide = [&](const std::string& secret) { hide_secret(text, secret); };
  // The longest first: the pair's base64 begins as the user name's does.
  const Secret pair(credential.username.reveal() + ":" + credential.password.reveal());
  hide(pair.reveal());
  for (const Secret* secret :
       {&credential.access_token, &credential.username, &credential.password,
        &credential.access_key_id, &credential.secret_access_key, &credential.session_token}) {
    hide(secret->reveal());
  }
  return redact(std::move(text), credential.secrets);
}

void move_secret_meta(AccessCredential& credential) {
  for (auto it = credential.meta.begin(); it != credential.meta.end();) {
    if (!is_secret_name(it->first)) {
      ++it;
      continue;
    }
    credential.secrets.insert_or_assign(it->first, Secret(std::move(it->second)));
    it = credential.meta.erase(it);
  }
}

}  // namespace kvcs::gateway
