// Signs with OpenSSL what a test wants signed.
#include "oauth/token_maker.h"

#include <nlohmann/json.hpp>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/bytes.h"

namespace kvcs::test {
namespace {

using oauth::JwsAlgorithm;
using Key = std::shared_ptr<evp_pkey_st>;

Key make_key(JwsAlgorithm algorithm) {
  switch (algorithm) {
    case JwsAlgorithm::kRs256:
      return {EVP_RSA_gen(2048), &EVP_PKEY_free};
    case JwsAlgorithm::kEs256:
      return {EVP_EC_gen("P-256"), &EVP_PKEY_free};
    case JwsAlgorithm::kEdDsa:
      break;
  }
  return {EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free};
}

std::string number(evp_pkey_st* key, const char* name, int width) {
  BIGNUM* value = nullptr;
  EVP_PKEY_get_bn_param(key, name, &value);
  const int size = std::max(width, BN_num_bytes(value));
  std::string bytes(static_cast<size_t>(size), '\0');
  BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()), size);
  BN_free(value);
  return to_base64url(bytes);
}

std::string raw_ecdsa(const std::string& der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &data, static_cast<long>(der.size()));
  std::string raw(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), reinterpret_cast<unsigned char*>(raw.data()), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
  ECDSA_SIG_free(pair);
  return raw;
}

}  // namespace

TokenMaker::TokenMaker(JwsAlgorithm algorithm, bool fresh) : algorithm_(algorithm) {
  static const Key kept = make_key(JwsAlgorithm::kRs256);
  key_ = algorithm == JwsAlgorithm::kRs256 && !fresh ? kept : make_key(algorithm);
}

Json TokenMaker::jwk(std::string_view key_id) const {
  Json jwk = {{"alg", oauth::algorithm_name(algorithm_)}, {"use", "sig"}};
  if (!key_id.empty()) jwk["kid"] = key_id;
  if (algorithm_ == JwsAlgorithm::kRs256) {
    jwk["kty"] = "RSA";
    jwk["n"] = number(key_.get(), OSSL_PKEY_PARAM_RSA_N, 0);
    jwk["e"] = number(key_.get(), OSSL_PKEY_PARAM_RSA_E, 0);
  } else if (algorithm_ == JwsAlgorithm::kEs256) {
    jwk["kty"] = "EC";
    jwk["crv"] = "P-256";
    jwk["x"] = number(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32);
    jwk["y"] = number(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32);
  } else {
    std::string x(32, '\0');
    size_t size = x.size();
    EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(x.data()), &size);
    jwk["kty"] = "OKP";
    jwk["crv"] = "Ed25519";
    jwk["x"] = to_base64url(x);
  }
  return jwk;
}

std::string TokenMaker::sign(std::string_view header, std::string_view payload) const {
  const std::string text = to_base64url(header) + "." + to_base64url(payload);
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  const EVP_MD* digest = algorithm_ == JwsAlgorithm::kEdDsa ? nullptr : EVP_sha256();
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  size_t size = 0;
  EVP_DigestSignInit(context, nullptr, digest, nullptr, key_.get());
  EVP_DigestSign(context, nullptr, &size, data, text.size());
  std::string signature(size, '\0');
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, data,
                 text.size());
  EVP_MD_CTX_free(context);
  signature.resize(size);
  if (algorithm_ == JwsAlgorithm::kEs256) signature = raw_ecdsa(signature);
  return text + "." + to_base64url(signature);
}

std::string TokenMaker::token(std::string_view key_id, const Json& claims,
                              std::string_view type) const {
  Json header = {{"alg", oauth::algorithm_name(algorithm_)}, {"typ", type}};
  if (!key_id.empty()) header["kid"] = key_id;
  return sign(dump_json(header), dump_json(claims));
}

std::string jwk_set_text(const std::vector<Json>& keys) {
  return dump_json(Json{{"keys", keys}});
}

}  // namespace kvcs::test
