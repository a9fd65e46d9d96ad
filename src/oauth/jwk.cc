// Reads JWK Sets (RFC 7517, RFC 7518 §6, RFC 8037 §2) into keys of OpenSSL, and picks the key that
// a token names.
#include <nlohmann/json.hpp>
#include <openssl/core_names.h>
#include <openssl/param_build.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"
#include "oauth/jose.h"
#include "oauth/jose_text.h"
#include "oauth/openssl_handles.h"

namespace kvcs::oauth {
namespace {

constexpr int kRsaBitsMax = 8192;
constexpr int kRsaExponentBitsMax = 64;
constexpr size_t kEd25519KeyBytes = 32;
constexpr char kUncompressedPoint = '\4';
constexpr size_t kDepthMax = 8;

// A public key, or why the record gives none.
struct KeyOrFault {
  OpensslOwner<EVP_PKEY> key;
  std::string fault;
};
KeyOrFault faulty(std::string fault) {
  return {nullptr, std::move(fault)};
}

// The bytes of a member in base64url; nothing when it is absent or anything else.
std::optional<std::string> bytes_of(const Json& object, const char* name) {
  Result<std::string> bytes = from_base64url_exact(text_member(object, name));
  if (!bytes.ok() || bytes.value().empty()) return {};
  return std::move(bytes).value();
}

OpensslOwner<BIGNUM> number_of(const std::string& bytes) {
  return OpensslOwner<BIGNUM>(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()),
                                        static_cast<int>(bytes.size()), nullptr));
}

// Null when OpenSSL refuses the parameters, such as a point that is not on its curve.
OpensslOwner<EVP_PKEY> make_key(const char* type, OSSL_PARAM_BLD* builder) {
  OSSL_PARAM* const parameters = OSSL_PARAM_BLD_to_param(builder);
  const OpensslOwner<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (parameters != nullptr && context && EVP_PKEY_fromdata_init(context.get()) == 1) {
    EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters);
  }
  OSSL_PARAM_free(parameters);
  return OpensslOwner<EVP_PKEY>(key);
}

struct BuilderFree {
  void operator()(OSSL_PARAM_BLD* p) const { OSSL_PARAM_BLD_free(p); }
};
using Builder = std::unique_ptr<OSSL_PARAM_BLD, BuilderFree>;

KeyOrFault rsa_key(const Json& object) {
  const auto n = bytes_of(object, "n"), e = bytes_of(object, "e");
  if (!n || !e) return faulty("is RSA without a modulus n and an exponent e in base64url.");
  const OpensslOwner<BIGNUM> modulus = number_of(*n), exponent = number_of(*e);
  const int bits = BN_num_bits(modulus.get());
  if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
    return faulty("is RSA of " + std::to_string(bits) + " bits; " + std::to_string(kRsaBitsMin) +
                  " to " + std::to_string(kRsaBitsMax) + " are allowed.");
  }
  if (BN_is_odd(exponent.get()) == 0 || BN_is_one(exponent.get()) == 1 ||
      BN_num_bits(exponent.get()) > kRsaExponentBitsMax) {
    return faulty("is RSA with an exponent that is even, 1 or longer than 64 bits.");
  }
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get());
  KeyOrFault made{make_key("RSA", builder.get()), {}};
  if (!made.key) made.fault = "is no RSA key.";
  return made;
}

KeyOrFault ec_key(const Json& object) {
  const auto x = bytes_of(object, "x"), y = bytes_of(object, "y");
  if (!x || !y || x->size() != kP256CoordinateBytes || y->size() != kP256CoordinateBytes) {
    return faulty("is on the curve P-256 without coordinates x and y of 32 bytes in base64url.");
  }
  const std::string point = kUncompressedPoint + *x + *y;
  const Builder builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                   point.size());
  KeyOrFault made{make_key("EC", builder.get()), {}};
  if (!made.key) made.fault = "is no point of the curve P-256.";
  return made;
}

KeyOrFault ed25519_key(const Json& object) {
  const auto x = bytes_of(object, "x");
  if (!x || x->size() != kEd25519KeyBytes) {
    return faulty("is Ed25519 without an x of 32 bytes in base64url.");
  }
  KeyOrFault made;
  made.key.reset(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, reinterpret_cast<const unsigned char*>(x->data()), x->size()));
  if (!made.key) made.fault = "is no Ed25519 key.";
  return made;
}

// Whether the record lets its key verify signatures of the algorithm (RFC 7517 §4.2 to §4.4); else
// why not.
std::string fault_of_use(const Json& object, JwsAlgorithm algorithm) {
  if (object.contains("use") && text_member(object, "use") != "sig") {
    return "is not for signatures: its use is not sig.";
  }
  if (const auto operations = object.find("key_ops"); operations != object.end()) {
    const bool verifies =
        operations->is_array() &&
        std::find(operations->begin(), operations->end(), "verify") != operations->end();
    if (!verifies) return "is not for signatures: its key_ops do not name verify.";
  }
  if (object.contains("alg") && !is_algorithm(text_member(object, "alg"), algorithm)) {
    return "is for " + printable(text_member(object, "alg"), kShownWord) + ", which is not known.";
  }
  // Whoever has read the set can sign with it.
  if (object.contains("d")) return "was published with its private half.";
  return {};
}

KeyOrFault read_key(const Json& object, JwsAlgorithm& algorithm) {
  const std::string type = text_member(object, "kty"), curve = text_member(object, "crv");
  if (type == "RSA") {
    algorithm = JwsAlgorithm::kRs256;
    return rsa_key(object);
  }
  if (type == "EC" && curve == "P-256") {
    algorithm = JwsAlgorithm::kEs256;
    return ec_key(object);
  }
  if (type == "OKP" && curve == "Ed25519") {
    algorithm = JwsAlgorithm::kEdDsa;
    return ed25519_key(object);
  }
  return faulty("is of another kind than RSA, EC with P-256 and OKP with Ed25519: kty \"" +
                printable(type, kShownWord) + "\", crv \"" + printable(curve, kShownWord) + "\".");
}

Jwk read_jwk(const Json& object) {
  Jwk jwk;
  if (!object.is_object()) {
    jwk.fault = "is no JSON object.";
    return jwk;
  }
  KeyOrFault read = read_key(object, jwk.algorithm);
  jwk.fault = std::move(read.fault);
  if (jwk.fault.empty()) jwk.fault = fault_of_use(object, jwk.algorithm);
  if (object.contains("kid")) {
    jwk.key_id = text_member(object, "kid");
    const bool fits = !jwk.key_id->empty() && jwk.key_id->size() <= kKeyIdMaxBytes;
    if (!fits) jwk.fault = "has a kid that is no text of 1 to 512 bytes.";
  }
  if (jwk.fault.empty()) jwk.key.reset(read.key.release());
  return jwk;
}

std::string named(const std::optional<std::string>& key_id) {
  return key_id ? "\"" + printable(*key_id, kShownName) + "\" " : "";
}

}  // namespace

void JwkFree::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

Result<JwkSet> JwkSet::parse(std::string_view json) {
  if (json.size() > kJwkSetMaxBytes) {
    return invalid("The JWK Set has " + std::to_string(json.size()) + " bytes; at most " +
                   std::to_string(kJwkSetMaxBytes) + " are read.");
  }
  Result<Json> parsed = parse_json(json, kDepthMax);
  if (!parsed.ok()) return std::move(parsed).status().with_context("The JWK Set");
  const Json& root = parsed.value();
  if (!root.is_object() || !root.contains("keys") || !root["keys"].is_array()) {
    return invalid("The JWK Set is no JSON object with a list \"keys\".");
  }
  const Json& list = root["keys"];
  if (list.size() > kJwkSetKeysMax) {
    return invalid("The JWK Set has " + std::to_string(list.size()) + " keys; at most " +
                   std::to_string(kJwkSetKeysMax) + " are read.");
  }
  const OpensslErrors errors;
  JwkSet set;
  for (const Json& object : list) set.keys_.push_back(read_jwk(object));
  return set;
}

Result<const Jwk*> JwkSet::find(JwsAlgorithm algorithm,
                                const std::optional<std::string>& key_id) const {
  const Jwk *fitting = nullptr, *other = nullptr;
  for (const Jwk& jwk : keys_) {
    if (key_id && jwk.key_id != key_id) continue;
    if (!jwk.fault.empty() || jwk.algorithm != algorithm) {
      if (other == nullptr) other = &jwk;
      continue;
    }
    if (fitting != nullptr) {
      return token_refused(kTokenKeyRefused,
                           "More than one key " + named(key_id) + "of the issuer fits the token.");
    }
    fitting = &jwk;
  }
  if (fitting != nullptr) return fitting;
  if (!key_id || other == nullptr) {
    return token_refused(kTokenKeyUnknown,
                         "The issuer has no key " + named(key_id) + "for the token.");
  }
  if (!other->fault.empty()) {
    return token_refused(kTokenKeyRefused, "The key " + named(key_id) + other->fault);
  }
  return token_refused(kTokenKeyRefused, "The key " + named(key_id) + "is for " +
                                             std::string(algorithm_name(other->algorithm)) +
                                             ", and the token says " +
                                             std::string(algorithm_name(algorithm)) + ".");
}

}  // namespace kvcs::oauth
