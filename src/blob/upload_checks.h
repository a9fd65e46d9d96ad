// Checks that the engines of blob/ share: which names are digests, and the failures of an upload
// that is not what it was announced to be. The doors show their details_json to clients, so every
// engine must word them alike. Pure functions.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace kvcs {

inline Status check_digest(std::string_view sha256_hex) {
  // Lower case only: one digest has one file name.
  if (is_hex(sha256_hex, 64) && lower_ascii(sha256_hex) == sha256_hex) return ok();
  return invalid("'" + printable(sha256_hex, kShownName) + "' is not a SHA-256 in lower-case hex.");
}

// It becomes the name of a file.
inline Status check_staged_id(std::string_view id) {
  constexpr size_t kIdMaxBytes = 64;
  const bool fits =
      !id.empty() && id.size() <= kIdMaxBytes && std::all_of(id.begin(), id.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
      });
  if (fits) return ok();
  return invalid("'" + printable(id, kShownName) + "' is no id of something staged.");
}

inline Status size_mismatch(uint64_t expected, uint64_t actual) {
  return invalid("size mismatch")
      .with_reason("size_mismatch")
      .with_details_json("{\"expected\":" + std::to_string(expected) +
                         ",\"actual\":" + std::to_string(actual) + "}");
}

// Both are hex digits, so they need no escaping.
inline Status digest_mismatch(std::string_view expected, std::string_view actual) {
  return invalid("sha256 mismatch")
      .with_reason("sha256_mismatch")
      .with_details_json("{\"expected\":\"" + std::string(expected) + "\",\"actual\":\"" +
                         std::string(actual) + "\"}");
}

inline Status over_size(uint64_t announced) {
  return too_large("The upload is longer than the " + std::to_string(announced) +
                   " bytes announced.")
      .with_reason("size_mismatch");
}

}  // namespace kvcs
