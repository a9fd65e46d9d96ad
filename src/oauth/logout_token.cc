// Back-channel logout: the issuer tells, from server to server, that a session has ended.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/json.h"
#include "oauth/issuer_metadata.h"
#include "oauth/jose.h"
#include "oauth/oidc.h"

namespace kvcs::oauth {
namespace {

constexpr size_t kIdMaxBytes = 255;  // Of a session, and of a token.
const std::string kLogoutEvent = "http://schemas.openid.net/event/backchannel-logout";

Status refused(std::string message) {
  return token_refused(kTokenClaims, std::move(message));
}

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdMaxBytes;
}

Status check_event(const Json& claims) {
  const auto events = claims.find("events");
  if (events != claims.end() && events->is_object()) {
    const auto logout = events->find(kLogoutEvent);
    if (logout != events->end() && logout->is_object()) return ok();
  }
  return refused("The token's events do not hold the end of a session.");
}

// Drafts of the specification had no exp; the age bounds a token with or without one.
Result<int64_t> end_of(const Claims& claims) {
  const int64_t latest_ms = KVCS_TRY(claims.time_ms("iat")).value_or(0) + kLogoutTokenAgeMaxMs;
  const int64_t expiry_ms = KVCS_TRY(claims.time_ms("exp")).value_or(latest_ms);
  return std::min(latest_ms, expiry_ms) + kTokenSkewMs;
}

}  // namespace

Result<Logout> Issuer::verify_logout_token(std::string_view token) {
  const VerifiedJws verified = KVCS_TRY(verify_signature(token));
  // logout+jwt is a recommendation (Back-Channel Logout 1.0 §2.4); some write JWT, or nothing.
  if (verified.type == kAccessTokenType) {
    return token_refused(kTokenMalformed, "The token is an access token and ends no session.");
  }
  const Claims claims = KVCS_TRY(Claims::parse(verified.payload));
  const int64_t now_ms = clock_.unix_ms();
  const ClaimRules rules = {.issuer = config_.issuer,
                            .audiences = {config_.client_id},
                            .authorized_party = {},
                            .nonce = {},
                            .needs_subject = false,
                            .needs_expiry = false};
  KVCS_TRY(check_claims(claims, rules, now_ms));
  const int64_t end_ms = KVCS_TRY(end_of(claims));
  if (now_ms >= end_ms) {
    return token_refused(kTokenExpired, "The logout token was made more than ten minutes ago.");
  }
  KVCS_TRY(check_event(claims.json()));
  if (claims.has("nonce")) return refused("The token has a nonce, which no logout token has.");
  Logout logout{claims.text("sub"), claims.text("sid")};
  if (claims.has("sid") && !is_id(logout.session_id)) {
    return refused("The token's sid is no text of 1 to 255 bytes.");
  }
  if (logout.subject.empty() && logout.session_id.empty()) {
    return refused("The token has neither sub nor sid, and so names no session.");
  }
  const std::string token_id = claims.text("jti");
  if (!is_id(token_id)) return refused("The token's jti is no text of 1 to 255 bytes.");
  KVCS_TRY(remember_logout(token_id, end_ms));
  return logout;
}

Status Issuer::remember_logout(const std::string& token_id, int64_t end_ms) {
  const auto ends_first = [](const auto& a, const auto& b) { return a.second < b.second; };
  const int64_t now_ms = clock_.unix_ms();
  MutexLock lock(mutex_);
  if (logouts_.count(token_id) != 0) {
    return refused("The logout token was sent before: its jti is known.");
  }
  if (logouts_.size() >= kLogoutTokensMax) {
    std::erase_if(logouts_, [&](const auto& each) { return each.second <= now_ms; });
  }
  // Only the issuer can fill the list, and it may then repeat the token that ends first.
  if (logouts_.size() >= kLogoutTokensMax) {
    logouts_.erase(std::min_element(logouts_.begin(), logouts_.end(), ends_first));
  }
  logouts_.emplace(token_id, end_ms);
  return ok();
}

}  // namespace kvcs::oauth
