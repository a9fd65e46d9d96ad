// Parses service accounts, and makes and signs tokens with keys of OpenSSL.
#include "oauth/jwt.h"

#include <nlohmann/json.hpp>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/json.h"
#include "oauth/openssl_handles.h"

namespace kvcs::oauth {
namespace {

constexpr size_t kKeyPemMaxBytes = 16 << 10;

using Key = OpensslOwner<EVP_PKEY>;

// A key file that asks for a passphrase is refused instead of prompting.
int no_passphrase(char*, int, int, void*) {
  return -1;
}

Result<Key> load_key(const Secret& pem) {
  if (pem.reveal().size() > kKeyPemMaxBytes) return invalid("private_key: is too long.");
  const OpensslErrors errors;
  const OpensslOwner<BIO> bio(
      BIO_new_mem_buf(pem.reveal().data(), static_cast<int>(pem.reveal().size())));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) return invalid("private_key: is not a PEM private key without a passphrase.");
  const int type = EVP_PKEY_base_id(key.get());
  const int bits = EVP_PKEY_bits(key.get());
  if (type == EVP_PKEY_RSA && bits >= kRsaBitsMin) return key;
  if (type == EVP_PKEY_EC && bits == kP256Bits) return key;
  return invalid("private_key: must be RSA of at least 2048 bits, or on the curve P-256.");
}

// RFC 7518 §3.4: R and S side by side, not the DER that OpenSSL makes.
Result<std::string> raw_ecdsa(std::string_view der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  const OpensslOwner<ECDSA_SIG> signature(
      d2i_ECDSA_SIG(nullptr, &data, static_cast<long>(der.size())));
  if (!signature) return internal("an ECDSA signature could not be read back");
  std::string raw(2 * kP256CoordinateBytes, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  constexpr int kWidth = static_cast<int>(kP256CoordinateBytes);
  BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, kWidth);
  BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + kP256CoordinateBytes, kWidth);
  return raw;
}

std::string first_text(const Json& object, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto it = object.find(name);
    if (it != object.end() && it->is_string() && !it->get_ref<const std::string&>().empty()) {
      return it->get<std::string>();
    }
  }
  return {};
}

// A number of the public half, padded to `width` bytes, in base64url.
std::string public_number(const Key& key, const char* name, size_t width) {
  BIGNUM* found = nullptr;
  EVP_PKEY_get_bn_param(key.get(), name, &found);
  const OpensslOwner<BIGNUM> number(found);
  if (!number) return {};
  std::string bytes(std::max(width, static_cast<size_t>(BN_num_bytes(number.get()))), '\0');
  BN_bn2binpad(number.get(), reinterpret_cast<unsigned char*>(bytes.data()),
               static_cast<int>(bytes.size()));
  return to_base64url(bytes);
}

}  // namespace

Result<ServiceAccount> parse_service_account(const Secret& json) {
  const Result<Json> parsed = parse_json(json.reveal());
  if (!parsed.ok() || !parsed.value().is_object()) {
    return invalid("service_account: is not a JSON object.");
  }
  const Json& object = parsed.value();
  ServiceAccount account;
  account.issuer = first_text(object, {"issuer", "client_email", "client_id"});
  account.subject = first_text(object, {"subject"});
  account.audience = first_text(object, {"audience"});
  account.token_url = first_text(object, {"token_url", "token_uri"});
  account.key_id = first_text(object, {"key_id", "private_key_id"});
  account.private_key = Secret(first_text(object, {"private_key"}));
  if (account.issuer.empty()) return invalid("service_account.client_email: required");
  if (account.private_key.empty()) return invalid("service_account.private_key: required");
  Status key = load_key(account.private_key).status();
  if (!key.ok()) return std::move(key).with_context("service_account");
  return account;
}

Result<Secret> sign_jwt(const Secret& private_key_pem, std::string_view key_id,
                        std::string_view claims_json, std::string_view type) {
  const Key key = KVCS_TRY(load_key(private_key_pem));
  const bool is_ec = EVP_PKEY_base_id(key.get()) == EVP_PKEY_EC;
  Json header = {{"alg", is_ec ? "ES256" : "RS256"}, {"typ", type}};
  if (!key_id.empty()) header["kid"] = key_id;
  std::string text = to_base64url(dump_json(header)) + "." + to_base64url(claims_json);
  const OpensslOwner<EVP_MD_CTX> context(EVP_MD_CTX_new());
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  std::string signature;
  const bool sized =
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) == 1;
  if (sized) signature.resize(size);
  auto* out = reinterpret_cast<unsigned char*>(signature.data());
  if (!sized || EVP_DigestSign(context.get(), out, &size, data, text.size()) != 1) {
    return internal("OpenSSL could not sign an assertion");
  }
  signature.resize(size);
  if (is_ec) signature = KVCS_TRY(raw_ecdsa(signature));
  text += "." + to_base64url(signature);
  return Secret(std::move(text));
}

Result<Secret> make_signing_key() {
  const OpensslErrors errors;
  const Key key(EVP_RSA_gen(static_cast<unsigned>(kRsaBitsMin)));
  const OpensslOwner<BIO> bio(BIO_new(BIO_s_secmem()));
  if (!key ||
      PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return internal("OpenSSL could not make a signing key");
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return Secret(std::string(data, static_cast<size_t>(size)));
}

Result<std::string> public_jwk_set(const Secret& private_key_pem, std::string_view key_id) {
  const Key key = KVCS_TRY(load_key(private_key_pem));
  const OpensslErrors errors;
  Json jwk = {{"use", "sig"}};
  if (!key_id.empty()) jwk["kid"] = key_id;
  if (EVP_PKEY_base_id(key.get()) == EVP_PKEY_RSA) {
    jwk["kty"] = "RSA";
    jwk["alg"] = "RS256";
    jwk["n"] = public_number(key, OSSL_PKEY_PARAM_RSA_N, 0);
    jwk["e"] = public_number(key, OSSL_PKEY_PARAM_RSA_E, 0);
  } else {
    jwk["kty"] = "EC";
    jwk["alg"] = "ES256";
    jwk["crv"] = "P-256";
    jwk["x"] = public_number(key, OSSL_PKEY_PARAM_EC_PUB_X, kP256CoordinateBytes);
    jwk["y"] = public_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, kP256CoordinateBytes);
  }
  return dump_json(Json{{"keys", Json::array({std::move(jwk)})}});
}

Result<Secret> make_assertion(const ServiceAccount& account, std::string_view audience,
                              std::string_view scope, int64_t now_s) {
  Json claims = {{"iss", account.issuer},
                 {"sub", account.subject.empty() ? account.issuer : account.subject},
                 {"aud", account.audience.empty() ? std::string(audience) : account.audience},
                 {"iat", now_s},
                 {"exp", now_s + kAssertionLifetimeS}};
  if (!scope.empty()) claims["scope"] = scope;
  return sign_jwt(account.private_key, account.key_id, dump_json(claims));
}

}  // namespace kvcs::oauth
