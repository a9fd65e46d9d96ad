// Presigned URLs: the right to PUT or GET one blob for a while, carried by the URL itself.
// signature = HMAC-SHA256(key, "kvcs-presign-v1\n" method "\n" id "\n" size "\n" sha256 "\n"
// expiry), base64url. Since it pins the digest, a repeated PUT can only write the same bytes.
// Immutable.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/secret.h"
#include "base/status.h"

namespace kvcs {

struct PresignedClaim {
  std::string method;  // "PUT" or "GET"
  std::string id;      // artifact id
  uint64_t size_bytes = 0;
  std::string sha256_hex;
  int64_t expires_at_s = 0;
};

class Presigner final {
 public:
  Presigner(Secret key, const Clock& clock);
  // "/blobs/<id>?size=…&sha256=…&expires=…&signature=…"
  std::string sign_path(const PresignedClaim& claim) const;
  // `query` is the raw query string; beside the signed fields a GET may have `tokens` and `layers`,
  // which choose among the bytes. Forbidden: forged, expired (says so), malformed, other method.
  Result<PresignedClaim> verify(std::string_view method, std::string_view id,
                                std::string_view query) const;

 private:
  std::string signature(const PresignedClaim& claim) const;
  Secret key_;
  const Clock& clock_;
};

}  // namespace kvcs
