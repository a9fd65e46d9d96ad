// How a caller proves that it holds bytes without sending them: the server draws places in them and
// a nonce, and the caller answers with the SHA-256 of the nonce and of what stands there. A
// challenge is given for any digest, whether the server has its bytes or not, and is good for one
// answer within a minute. An organization draws kProofDrawsPerHour for one digest: whoever holds a
// part of the bytes could else draw until all places lie in that part. Thread-safe.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/status.h"
#include "ops/rate_limit.h"

namespace kvcs {

class BlobStore;

inline constexpr size_t kProofRanges = 16;
inline constexpr uint64_t kProofRangeBytes = 4096;
// What is shorter is sent sooner than it is proved.
inline constexpr uint64_t kProofFromBytes = 1 << 20;
// Of one organization and one digest; they come back evenly, one in three minutes.
inline constexpr int64_t kProofDrawsPerHour = 20;

struct ProofChallenge {
  std::string nonce;  // Raw bytes.
  std::array<uint64_t, kProofRanges> offsets{};
  std::string text() const;  // "NONCE OFFSET,OFFSET,…", the nonce in hex.
};

class UploadProofs final {
 public:
  UploadProofs(const BlobStore& blobs, const Clock& clock, Entropy& entropy)
      : blobs_(blobs), clock_(clock), entropy_(entropy), draws_(clock) {}

  // Before each challenge. RateLimited with reason proof_draws.
  Status take_draw(std::string_view organization_id, std::string_view sha256_hex);
  // For the upload `id` of so many bytes; replaces what was open for it.
  ProofChallenge challenge(std::string_view id, uint64_t size_bytes);
  // Conflict with reason no_challenge: none is open, whatever the answer. Forbidden with reason
  // proof_failed: the blob is not there, or these are not its bytes; which of the two nobody is
  // told.
  Status check(std::string_view id, std::string_view sha256_hex, uint64_t size_bytes,
               std::string_view answer_hex);

 private:
  struct Open {
    ProofChallenge challenge;
    int64_t ends_us;
  };
  std::optional<ProofChallenge> take(std::string_view id);
  Status compare(const ProofChallenge& challenge, std::string_view sha256_hex, uint64_t size_bytes,
                 std::string_view answer_hex) const;

  const BlobStore& blobs_;
  const Clock& clock_;
  Entropy& entropy_;
  RateLimiter draws_;
  Mutex mutex_;
  std::map<std::string, Open, std::less<>> open_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs
