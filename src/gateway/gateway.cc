// The names under which account types and token states are stored and shown, and what an id of a
// tenant, provider or account may look like.
#include "gateway/gateway.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"

namespace kvcs::gateway {
namespace {

constexpr size_t kIdPartMaxBytes = 64;

constexpr std::array<std::pair<AuthType, std::string_view>, 9> kAuthTypes = {{
    {AuthType::kBearer, "bearer"},
    {AuthType::kApiKeyHeader, "api_key_header"},
    {AuthType::kApiKeyQuery, "api_key_query"},
    {AuthType::kBasic, "basic"},
    {AuthType::kOauth2RefreshToken, "oauth2_refresh_token"},
    {AuthType::kOauth2ClientCredentials, "oauth2_client_credentials"},
    {AuthType::kServiceAccountJwt, "service_account_jwt"},
    {AuthType::kAwsSigV4, "aws_sigv4"},
    {AuthType::kNone, "none"},
}};

}  // namespace

std::string_view auth_type_name(AuthType type) {
  for (const auto& [value, name] : kAuthTypes) {
    if (value == type) return name;
  }
  return "none";
}

Result<AuthType> parse_auth_type(std::string_view name) {
  std::string known;
  for (const auto& [value, text] : kAuthTypes) {
    if (text == name) return value;
    known += known.empty() ? "" : ", ";
    known += text;
  }
  return invalid("'" + printable(name, kShownName) + "' is no auth type; there are " + known + ".");
}

std::string_view token_state_name(TokenState state) {
  switch (state) {
    case TokenState::kOk:
      return "ok";
    case TokenState::kRefreshing:
      return "refreshing";
    case TokenState::kRetrying:
      return "retrying";
    case TokenState::kReauthRequired:
      return "reauth_required";
  }
  return "ok";
}

TokenState parse_token_state(std::string_view name) {
  for (const TokenState state :
       {TokenState::kRefreshing, TokenState::kRetrying, TokenState::kReauthRequired}) {
    if (token_state_name(state) == name) return state;
  }
  return TokenState::kOk;
}

bool is_id_part(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  return !text.empty() && text.size() <= kIdPartMaxBytes &&
         std::all_of(text.begin(), text.end(), allowed);
}

Status check_account_id(const AccountId& id) {
  const std::pair<std::string_view, std::string_view> parts[] = {
      {"tenant", id.tenant}, {"provider", id.provider}, {"account_id", id.account}};
  for (const auto& [name, text] : parts) {
    if (is_id_part(text)) continue;
    return invalid(std::string(name) + ": '" + printable(text, kShownName) +
                   "' must be 1 to 64 of A-Z a-z 0-9 _ . -");
  }
  return ok();
}

oauth::GrantType grant_type_of(AuthType type) {
  return type == AuthType::kOauth2ClientCredentials ? oauth::GrantType::kClientCredentials
                                                    : oauth::GrantType::kRefreshToken;
}

}  // namespace kvcs::gateway
