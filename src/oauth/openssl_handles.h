// Owners of OpenSSL's objects, for the files of this module that make and use keys. Each object
// belongs to one thread, except keys, which any number of threads may use once they are made.
#pragma once
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <memory>

namespace kvcs::oauth {

struct OpensslFree {
  void operator()(BIGNUM* p) const { BN_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(ECDSA_SIG* p) const { ECDSA_SIG_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
};
template <typename T>
using OpensslOwner = std::unique_ptr<T, OpensslFree>;

// What OpenSSL refuses leaves its reasons in a queue of the thread, where the next user of a TLS
// connection would take them for its own. While one of these lives, what is added goes with it.
class OpensslErrors final {
 public:
  OpensslErrors() { ERR_set_mark(); }
  ~OpensslErrors() { ERR_pop_to_mark(); }
  OpensslErrors(const OpensslErrors&) = delete;
  OpensslErrors& operator=(const OpensslErrors&) = delete;
};

inline constexpr int kRsaBitsMin = 2048;
inline constexpr int kP256Bits = 256;
inline constexpr size_t kP256CoordinateBytes = 32;

}  // namespace kvcs::oauth
