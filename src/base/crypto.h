// Hashing (OpenSSL EVP, fetched once: SHA-NI), HMAC, sealing (libsodium). Thread-safe throughout.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/entropy.h"
#include "base/mutex.h"
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
// `context` (the record's key, and more: base/origins.h) is authenticated, so that a sealed value
// cannot be moved to another record. Several keys may be loaded: the first seals, all open, and
// they can be exchanged while others seal and open (rotation). Thread-safe.
class Sealer final {
 public:
  // Each key is 32 bytes, the first one current. Precondition: not empty.
  Sealer(std::vector<Secret> keys, Entropy& entropy);
  std::string seal(std::string_view plaintext, std::string_view context) const;
  // Unavailable when the key is not loaded; Internal when the text was tampered with.
  Result<Secret> open(std::string_view sealed, std::string_view context) const;
  // A key for one purpose (URL signing, cookies), derived from the current master key.
  Secret derive(std::string_view purpose) const;
  // The same from every key, the current one first: what was made before a rotation stays good.
  std::vector<Secret> derive_all(std::string_view purpose) const;

  // From now on these are the keys. Precondition: as for the constructor.
  void set_keys(std::vector<Secret> keys);
  // The ids of the keys in hex, the current one first. An id tells nothing about its key.
  std::vector<std::string> key_ids() const;
  // The id of the key that sealed a text; "" for what is no sealed text.
  static std::string key_id_of(std::string_view sealed);

 private:
  struct Ring {
    std::vector<Secret> keys;
    std::vector<std::string> ids;  // As the sealed texts hold them: bytes.
  };
  using RingPointer = std::shared_ptr<const Ring>;  // This object, and the calls under way.
  static RingPointer make_ring(std::vector<Secret> keys);
  RingPointer ring() const;

  mutable Mutex mutex_;
  RingPointer ring_ KVCS_GUARDED_BY(mutex_);
  Entropy& entropy_;
};

}  // namespace kvcs
