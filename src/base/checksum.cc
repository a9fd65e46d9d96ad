// Streams through OpenSSL's digests. SHA-1 and MD5 find bytes that a network has changed; they
// prove nothing about who sent them.
#include "base/checksum.h"

#include <openssl/evp.h>

#include <array>

#include "base/status.h"

namespace kvcs {
namespace {

struct Algorithm {
  std::string_view name;
  const EVP_MD* (*digest)();
};
constexpr std::array<Algorithm, 4> kAlgorithms = {{
    {"sha1", EVP_sha1},
    {"sha256", EVP_sha256},
    {"sha512", EVP_sha512},
    {"md5", EVP_md5},
}};

}  // namespace

std::unique_ptr<Checksum> Checksum::make(std::string_view algorithm) {
  for (const Algorithm& known : kAlgorithms) {
    if (known.name != algorithm) continue;
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    KVCS_ASSERT(context != nullptr);
    std::unique_ptr<Checksum> made(new Checksum(context));
    // A system may forbid old algorithms.
    return EVP_DigestInit_ex(context, known.digest(), nullptr) == 1 ? std::move(made) : nullptr;
  }
  return nullptr;
}

Checksum::~Checksum() {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
}

void Checksum::update(std::string_view bytes) {
  EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), bytes.data(), bytes.size());
}

std::string Checksum::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_), out.data(), &size);
  return {reinterpret_cast<const char*>(out.data()), size};
}

}  // namespace kvcs
