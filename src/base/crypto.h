// Hashing (OpenSSL EVP, fetched once: SHA-NI), HMAC, sealing (libsodium). Thread-safe throughout.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"

namespace kvcs {

// Call once before anything else here (libsodium's sodium_init); main and the tests do.
void init_crypto();

using Sha256Digest = std::array<unsigned char, 32>;
Sha256Digest sha256(std::string_view data);
std::string sha256_hex(std::string_view data);
std::string hmac_sha256(std::string_view key, std::string_view data);  // 32 raw bytes
// True when equal; time depends on the lengths only.
bool constant_time_equal(std::string_view a, std::string_view b);

// SHA-256 of a stream. One thread at a time.
class Sha256 final {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void update(const void* data, size_t size_bytes);
  std::string finish_hex();  // Once; then the object is spent.

 private:
  void* context_;  // EVP_MD_CTX
};

// Seals secrets at rest: XChaCha20-Poly1305 under a 32-byte master key.
// Sealed text is base64url of: version byte 1 | key id (4 bytes) | nonce (24) | ciphertext+tag.
// `context` (the record's key) is authenticated, so that a sealed value cannot be moved to another
// record. Several keys may be loaded: the first seals, all open (rotation). Immutable; thread-safe.
class Sealer final {
 public:
  // Each key is 32 bytes, the first one current. Precondition: not empty.
  Sealer(std::vector<Secret> keys, Entropy& entropy);
  std::string seal(std::string_view plaintext, std::string_view context) const;
  // Unavailable when the key is not loaded; Internal when the text was tampered with.
  Result<Secret> open(std::string_view sealed, std::string_view context) const;
  // A key for one purpose (URL signing, cookies), derived from the current master key.
  Secret derive(std::string_view purpose) const;

 private:
  std::vector<Secret> keys_;
  std::vector<std::string> key_ids_;
  Entropy& entropy_;
};

}  // namespace kvcs
