// Reads the claims of a token and checks those that every token has: who made it, for whom, and
// when it is good.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "oauth/jose.h"

namespace kvcs::oauth {
namespace {

constexpr size_t kClaimsDepthMax = 32;
constexpr double kTimeMaxS = 253'402'300'799.0;  // 9999-12-31T23:59:59Z

Status bad_claim(std::string message) {
  return token_refused(kTokenClaims, std::move(message));
}

std::string in_quotes(std::string_view text) {
  return "\"" + printable(text, kShownValue) + "\"";
}

Status check_issuer_claim(const Claims& claims, const ClaimRules& rules) {
  const std::string issuer = claims.text("iss");
  if (!issuer.empty() && issuer == rules.issuer) return ok();
  return bad_claim("The token's iss is " + in_quotes(issuer) + ", not " + in_quotes(rules.issuer) +
                   ".");
}

Status check_audience(const Claims& claims, const ClaimRules& rules) {
  const std::vector<std::string> audiences = KVCS_TRY(claims.audiences());
  const auto is_ours = [&](const std::string& each) {
    return !each.empty() &&
           std::find(rules.audiences.begin(), rules.audiences.end(), each) != rules.audiences.end();
  };
  if (std::none_of(audiences.begin(), audiences.end(), is_ours)) {
    return bad_claim("The token is for another audience: its aud is " +
                     in_quotes(join(audiences, ", ")) + ", not " +
                     in_quotes(join(rules.audiences, " or ")) + ".");
  }
  if (rules.authorized_party.empty()) return ok();
  if (!claims.has("azp")) {
    if (audiences.size() == 1) return ok();
    return bad_claim("The token has " + std::to_string(audiences.size()) +
                     " audiences and no azp that says whose it is.");
  }
  if (claims.text("azp") == rules.authorized_party) return ok();
  return bad_claim("The token was given to another client: its azp is " +
                   in_quotes(claims.text("azp")) + ", not " + in_quotes(rules.authorized_party) +
                   ".");
}

Status check_subject(const Claims& claims, const ClaimRules& rules) {
  if (!claims.has("sub") && !rules.needs_subject) return ok();
  const std::string subject = claims.text("sub");
  const bool is_plain =
      std::all_of(subject.begin(), subject.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (!subject.empty() && subject.size() <= kSubjectMaxBytes && is_plain) return ok();
  return bad_claim("The token's sub is no text of 1 to " + std::to_string(kSubjectMaxBytes) +
                   " ASCII characters.");
}

Status check_nonce(const Claims& claims, const ClaimRules& rules) {
  if (!rules.nonce) return ok();
  const std::string nonce = claims.text("nonce");
  if (!nonce.empty() && constant_time_equal(nonce, *rules.nonce)) return ok();
  return bad_claim("The token's nonce is not that of this sign-in; begin again.");
}

std::string at_time(int64_t ms) {
  return format_iso8601_s(ms);
}

Status check_times(const Claims& claims, const ClaimRules& rules, int64_t now_ms) {
  const std::optional<int64_t> expiry = KVCS_TRY(claims.time_ms("exp"));
  const std::optional<int64_t> begin = KVCS_TRY(claims.time_ms("nbf"));
  const std::optional<int64_t> issued = KVCS_TRY(claims.time_ms("iat"));
  if (!expiry && rules.needs_expiry) return bad_claim("The token has no exp.");
  if (!issued && rules.needs_issue_time) return bad_claim("The token has no iat.");
  if (expiry && now_ms >= *expiry + kTokenSkewMs) {
    return token_refused(kTokenExpired, "The token ended at " + at_time(*expiry) + "; it is " +
                                            at_time(now_ms) + ". Sign in again.");
  }
  for (const auto& from : {begin, issued}) {
    if (!from || now_ms >= *from - kTokenSkewMs) continue;
    return token_refused(kTokenEarly, "The token begins at " + at_time(*from) + "; it is " +
                                          at_time(now_ms) + ". One of the two clocks is wrong.");
  }
  return ok();
}

}  // namespace

Result<Claims> Claims::parse(std::string_view json) {
  Result<Json> parsed = parse_json(json, kClaimsDepthMax);
  if (parsed.ok() && parsed.value().is_object()) return Claims(parsed.value());
  return token_refused(kTokenMalformed, "The token's claims are no JSON object" +
                                            (parsed.ok() ? "." : ": " + parsed.status().message()));
}

Claims::Claims(const Json& object) : json_(std::make_unique<Json>(object)) {
  KVCS_ASSERT(json_->is_object());
}
Claims::Claims(Claims&&) noexcept = default;
Claims& Claims::operator=(Claims&&) noexcept = default;
Claims::~Claims() = default;

bool Claims::has(std::string_view name) const {
  return json_->contains(std::string(name));
}

std::string Claims::text(std::string_view name) const {
  return text_member(*json_, name);
}

bool Claims::is_true(std::string_view name) const {
  const auto it = json_->find(std::string(name));
  return it != json_->end() && it->is_boolean() && it->get<bool>();
}

Result<std::optional<int64_t>> Claims::time_ms(std::string_view name) const {
  const auto it = json_->find(std::string(name));
  if (it == json_->end()) return std::optional<int64_t>();
  const double seconds = it->is_number() ? it->get<double>() : -1;
  if (!(seconds >= 0 && seconds <= kTimeMaxS)) {
    return bad_claim("The token's " + std::string(name) +
                     " is no number of seconds between 1970 and 9999.");
  }
  return std::optional<int64_t>(static_cast<int64_t>(std::floor(seconds * 1000)));
}

Result<std::vector<std::string>> Claims::audiences() const {
  const auto it = json_->find("aud");
  std::vector<std::string> list;
  if (it != json_->end() && it->is_string()) list.push_back(it->get<std::string>());
  if (it != json_->end() && it->is_array()) {
    for (const Json& each : *it) {
      if (!each.is_string()) return bad_claim("The token's aud has a member that is no text.");
      list.push_back(each.get<std::string>());
    }
  }
  if (list.empty()) return bad_claim("The token's aud is no text and no list of texts.");
  return list;
}

Status check_claims(const Claims& claims, const ClaimRules& rules, int64_t now_ms) {
  KVCS_TRY(check_issuer_claim(claims, rules));
  KVCS_TRY(check_audience(claims, rules));
  KVCS_TRY(check_subject(claims, rules));
  KVCS_TRY(check_times(claims, rules, now_ms));
  return check_nonce(claims, rules);
}

}  // namespace kvcs::oauth
