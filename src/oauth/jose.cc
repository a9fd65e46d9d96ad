// Takes a compact JWS apart and verifies its signature with OpenSSL.
#include "oauth/jose.h"

#include <nlohmann/json.hpp>

#include <array>

#include "base/bytes.h"
#include "base/chars.h"
#include "oauth/jose_text.h"
#include "oauth/openssl_handles.h"

namespace kvcs::oauth {
namespace {

constexpr size_t kHeaderDepthMax = 8;
constexpr CharSet kBase64UrlChars(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

const unsigned char* as_bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

struct Parts {
  std::string_view header, payload, signature, signed_text;
};
Result<Parts> take_apart(std::string_view token) {
  if (token.size() > kJwsMaxBytes) {
    return token_refused(kTokenMalformed, "The token has " + std::to_string(token.size()) +
                                              " bytes; at most " + std::to_string(kJwsMaxBytes) +
                                              " are read.");
  }
  const std::vector<std::string_view> parts = split(token, '.');
  if (parts.size() != 3) {
    return token_refused(kTokenMalformed,
                         "The token is no compact JWS: it has " + std::to_string(parts.size()) +
                             " parts between dots, where header.payload.signature are three.");
  }
  return Parts{parts[0], parts[1], parts[2],
               token.substr(0, parts[0].size() + 1 + parts[1].size())};
}

Result<std::string> decode(std::string_view part, std::string_view what) {
  Result<std::string> bytes = from_base64url_exact(part);
  if (bytes.ok()) return bytes;
  return token_refused(kTokenMalformed,
                       "The token's " + std::string(what) + " is no base64url without padding.");
}

Result<JwsAlgorithm> parse_algorithm(const Json& header) {
  const std::string name = text_member(header, "alg");
  for (const auto algorithm : {JwsAlgorithm::kRs256, JwsAlgorithm::kEs256, JwsAlgorithm::kEdDsa}) {
    if (is_algorithm(name, algorithm)) return algorithm;
  }
  return token_refused(kTokenAlgorithm, "The token's alg is \"" + printable(name, kShownWord) +
                                            "\"; RS256, ES256, EdDSA and Ed25519 are accepted.");
}

struct Header {
  JwsAlgorithm algorithm = JwsAlgorithm::kRs256;
  std::optional<std::string> key_id;
  std::string type;
};
Result<Header> read_header(std::string_view part) {
  const std::string text = KVCS_TRY(decode(part, "header"));
  const Result<Json> parsed = parse_json(text, kHeaderDepthMax);
  if (!parsed.ok() || !parsed.value().is_object()) {
    return token_refused(kTokenMalformed,
                         "The token's header is no JSON object" +
                             (parsed.ok() ? "." : ": " + parsed.status().message()));
  }
  const Json& object = parsed.value();
  Header header;
  header.algorithm = KVCS_TRY(parse_algorithm(object));
  // RFC 7515 §4.1.11: what must be understood, and no extension is.
  if (object.contains("crit")) {
    return token_refused(kTokenMalformed,
                         "The token's header has crit, and no extension of JWS is known here.");
  }
  if (const auto kid = object.find("kid"); kid != object.end()) {
    if (!kid->is_string() || kid->get_ref<const std::string&>().size() > kKeyIdMaxBytes) {
      return token_refused(kTokenMalformed, "The token's kid is no text of at most " +
                                                std::to_string(kKeyIdMaxBytes) + " bytes.");
    }
    header.key_id = kid->get<std::string>();
  }
  header.type = lower_ascii(text_member(object, "typ"));
  constexpr std::string_view kMediaTree = "application/";
  if (header.type.starts_with(kMediaTree)) header.type.erase(0, kMediaTree.size());
  return header;
}

// RFC 7518 §3.4 has R and S side by side, OpenSSL the DER of the two. "" for another length.
std::string der_ecdsa(std::string_view raw) {
  if (raw.size() != 2 * kP256CoordinateBytes) return {};
  constexpr int kWidth = static_cast<int>(kP256CoordinateBytes);
  const OpensslOwner<ECDSA_SIG> pair(ECDSA_SIG_new());
  BIGNUM* const r = BN_bin2bn(as_bytes(raw), kWidth, nullptr);
  BIGNUM* const s = BN_bin2bn(as_bytes(raw) + kP256CoordinateBytes, kWidth, nullptr);
  ECDSA_SIG_set0(pair.get(), r, s);  // Takes both.
  unsigned char* bytes = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &bytes);
  std::string der(reinterpret_cast<char*>(bytes), size > 0 ? static_cast<size_t>(size) : 0);
  OPENSSL_free(bytes);
  return der;
}

bool is_signed_by(const Jwk& jwk, std::string_view text, std::string signature) {
  const OpensslErrors errors;
  if (jwk.algorithm == JwsAlgorithm::kEs256) signature = der_ecdsa(signature);
  // Ed25519 has its digest within.
  const EVP_MD* const digest = jwk.algorithm == JwsAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  const OpensslOwner<EVP_MD_CTX> context(EVP_MD_CTX_new());
  return EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, jwk.key.get()) == 1 &&
         EVP_DigestVerify(context.get(), as_bytes(signature), signature.size(), as_bytes(text),
                          text.size()) == 1;
}

}  // namespace

Result<std::string> from_base64url_exact(std::string_view text) {
  if (!kBase64UrlChars.has_all(text)) return invalid("Not base64url text without padding.");
  return from_base64(text);
}

std::string_view algorithm_name(JwsAlgorithm algorithm) {
  static constexpr std::array<std::string_view, 3> kNames = {"RS256", "ES256", "EdDSA"};
  return kNames[static_cast<size_t>(algorithm)];
}

bool is_algorithm(std::string_view name, JwsAlgorithm algorithm) {
  return name == algorithm_name(algorithm) ||
         (algorithm == JwsAlgorithm::kEdDsa && name == "Ed25519");
}

Status token_refused(std::string_view reason, std::string message) {
  return unauthenticated(std::move(message)).with_reason(reason);
}

Result<VerifiedJws> verify_jws(std::string_view token, const JwkSet& keys) {
  const Parts parts = KVCS_TRY(take_apart(token));
  Header header = KVCS_TRY(read_header(parts.header));
  std::string payload = KVCS_TRY(decode(parts.payload, "payload"));
  std::string signature = KVCS_TRY(decode(parts.signature, "signature"));
  const Jwk* const jwk = KVCS_TRY(keys.find(header.algorithm, header.key_id));
  if (!is_signed_by(*jwk, parts.signed_text, std::move(signature))) {
    // Keys without names are told apart by their signatures alone.
    return token_refused(header.key_id ? kTokenSignature : kTokenKeyUnknown,
                         "The token's signature does not fit its issuer's key.");
  }
  return VerifiedJws{header.algorithm, std::move(header.type), std::move(payload)};
}

std::string unverified_issuer(std::string_view token) {
  const Result<Parts> parts = take_apart(token);
  if (!parts.ok()) return {};
  const Result<std::string> payload = from_base64url_exact(parts.value().payload);
  if (!payload.ok()) return {};
  const Result<Claims> claims = Claims::parse(payload.value());
  return claims.ok() ? claims.value().text("iss") : std::string();
}

}  // namespace kvcs::oauth
