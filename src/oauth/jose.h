// Tokens that another party has signed (JOSE): a compact JWS (RFC 7515) whose signature a key of
// that party's JWK Set (RFC 7517) verifies, and the check of its claims (RFC 7519 §4.1, OpenID
// Connect Core §3.1.3.7). The signatures are RS256, ES256 (RFC 7518 §3.3, §3.4) and EdDSA with
// Ed25519 (RFC 8037, RFC 9864); there is no other, so that neither `none` nor a MAC made with a
// public key counts. The key comes from the set alone: what a token says of keys (jwk, jku, x5c,
// x5u) is not looked at, and its kid is compared and used for nothing else.
//
// Every refusal of a token is Unauthenticated and says in its message what was wrong; the reasons
// are below. Sets and claims do not change once they are made; functions without state.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

struct evp_pkey_st;

namespace kvcs::oauth {

inline constexpr size_t kJwsMaxBytes = 16u << 10;      // A longer token is not decoded.
inline constexpr size_t kJwkSetMaxBytes = 256u << 10;  // Nor a longer set parsed.
inline constexpr size_t kJwkSetKeysMax = 100;
inline constexpr size_t kKeyIdMaxBytes = 512;
inline constexpr size_t kSubjectMaxBytes = 255;  // OpenID Connect Core §2.
inline constexpr int64_t kTokenSkewMs = 60'000;  // Two clocks may differ by so much.
inline constexpr std::string_view kTokenMalformed = "token_malformed";
inline constexpr std::string_view kTokenAlgorithm = "token_algorithm";
// No key of the set can be the one. A newer set may have it.
inline constexpr std::string_view kTokenKeyUnknown = "token_key_unknown";
inline constexpr std::string_view kTokenKeyRefused = "token_key_refused";
inline constexpr std::string_view kTokenSignature = "token_signature";
inline constexpr std::string_view kTokenClaims = "token_claims";
inline constexpr std::string_view kTokenExpired = "token_expired";
inline constexpr std::string_view kTokenEarly = "token_not_yet_valid";

enum class JwsAlgorithm : uint8_t { kRs256, kEs256, kEdDsa };
std::string_view algorithm_name(JwsAlgorithm algorithm);
// Whether a token or a key means the algorithm by `name`: EdDSA has the name Ed25519 as well
// (RFC 9864), which says the curve.
bool is_algorithm(std::string_view name, JwsAlgorithm algorithm);

struct JwkFree {
  void operator()(evp_pkey_st* key) const;
};
// One key of a set. With a fault it verifies nothing.
struct Jwk {
  std::optional<std::string> key_id;
  std::string fault;  // Behind "The key": "is RSA of 1024 bits; …". "": none.
  JwsAlgorithm algorithm = JwsAlgorithm::kRs256;
  std::unique_ptr<evp_pkey_st, JwkFree> key;
};

// The public keys of one party. A key that cannot be used (another kind, too short, not for
// signatures, published with its private half) stays in the set with its fault and does not spoil
// the others.
class JwkSet final {
 public:
  JwkSet() = default;
  // Invalid: not a JWK Set, or beyond the limits.
  static Result<JwkSet> parse(std::string_view json);
  const std::vector<Jwk>& keys() const { return keys_; }
  // The one key that may have made a signature. Without a key_id it is the only one that fits.
  Result<const Jwk*> find(JwsAlgorithm algorithm, const std::optional<std::string>& key_id) const;

 private:
  std::vector<Jwk> keys_;
};

struct VerifiedJws {
  JwsAlgorithm algorithm = JwsAlgorithm::kRs256;
  std::string type;     // The header's typ in lower case, without "application/"; "": none.
  std::string payload;  // The bytes that were signed.
};
Result<VerifiedJws> verify_jws(std::string_view token, const JwkSet& keys);

// The claims of a token, a JSON object.
class Claims final {
 public:
  // Unauthenticated: not an object, or a member appears twice.
  static Result<Claims> parse(std::string_view json);
  // Precondition: an object.
  explicit Claims(const Json& object);
  Claims(Claims&&) noexcept;
  Claims& operator=(Claims&&) noexcept;
  ~Claims();

  const Json& json() const { return *json_; }
  bool has(std::string_view name) const;          // Present, whatever its value.
  std::string text(std::string_view name) const;  // "" when absent or no string.
  bool is_true(std::string_view name) const;      // The JSON true and nothing else.
  // A NumericDate (RFC 7519 §2), a whole number of seconds or one with a fraction, as milliseconds.
  // Unauthenticated: there is one, but it is no such number, or before 1970 or after 9999.
  Result<std::optional<int64_t>> time_ms(std::string_view name) const;
  // Unauthenticated: neither a string nor a list of strings, or there is none.
  Result<std::vector<std::string>> audiences() const;

 private:
  std::unique_ptr<Json> json_;
};

// What the claims must say. sub is required unless a rule says otherwise; nbf is checked where it
// is there, as are exp and iat where they are not required.
struct ClaimRules {
  std::string issuer;                  // iss equals it exactly.
  std::vector<std::string> audiences;  // aud names at least one of them.
  // azp, where there is one, equals it, and there must be one where aud names several. "": azp is
  // not looked at.
  std::string authorized_party;
  std::optional<std::string> nonce;  // nonce equals it.
  bool needs_subject = true, needs_expiry = true, needs_issue_time = true;
};
Status check_claims(const Claims& claims, const ClaimRules& rules, int64_t now_ms);

// Which of several issuers to ask about a token: its iss, which nothing has verified. "" when the
// text is no such token.
std::string unverified_issuer(std::string_view token);

// The refusal of a token: Unauthenticated with one of the reasons above.
Status token_refused(std::string_view reason, std::string message);

}  // namespace kvcs::oauth
