// Presigned URLs: the right to PUT or GET one blob for a while, carried by the URL itself.
// signature = HMAC-SHA256(key, "kvcs-presign-v1\n" method "\n" id "\n" size "\n" sha256 "\n"
// expiry), base64url; a claim that holds while something is public has "\npublic" behind. Since it
// pins the digest, a repeated PUT can only write the same bytes. The keys can be exchanged while
// others sign and verify. Thread-safe.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/secret.h"
#include "base/status.h"

namespace kvcs {

struct PresignedClaim {
  std::string method;  // "PUT" or "GET"
  std::string id;      // artifact id
  uint64_t size_bytes = 0;
  std::string sha256_hex;
  int64_t expires_at_s = 0;
  // The URL is a stranger's: good while the artifact is public. Whoever serves it looks.
  bool while_public = false;
};

class Presigner final {
 public:
  Presigner(Secret key, const Clock& clock);
  // The first key signs from now on, and each verifies: what was signed before stays good for its
  // life. Precondition: not empty.
  void set_keys(std::vector<Secret> keys);
  // "/blobs/<id>?size=…&sha256=…&expires=…&signature=…", and "&while=public" where the claim says
  // so
  std::string sign_path(const PresignedClaim& claim) const;
  // `query` is the raw query string. The signed fields may stand in any order, escaped or not, and
  // beside others, which are not looked at. Forbidden: forged, expired (says so), malformed, a
  // signed field twice, other method.
  Result<PresignedClaim> verify(std::string_view method, std::string_view id,
                                std::string_view query) const;

 private:
  using Keys = std::shared_ptr<const std::vector<Secret>>;  // This object, and calls under way.
  Keys keys() const;

  mutable Mutex mutex_;
  Keys keys_ KVCS_GUARDED_BY(mutex_);
  const Clock& clock_;
};

}  // namespace kvcs
