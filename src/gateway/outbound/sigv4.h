// AWS Signature Version 4 (AWS General Reference, "Signing AWS API requests"). Pure functions.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"

namespace kvcs::gateway {

struct SigV4Request {
  std::string_view method;
  // As it goes on the wire. But for S3 every byte of it is encoded once more, "/" not.
  std::string_view path;
  std::vector<std::pair<std::string, std::string>> query;    // Decoded.
  std::vector<std::pair<std::string, std::string>> headers;  // All are signed; host among them.
  std::string_view body;
};
struct SigV4Scope {
  std::string_view region, service;
  std::string_view time;  // "20150830T123600Z", also sent as x-amz-date.
};

// The value of the Authorization header.
std::string sigv4_authorization(const SigV4Request& request, const SigV4Scope& scope,
                                const Secret& access_key_id, const Secret& secret_access_key);
// Unix milliseconds → "20150830T123600Z".
std::string sigv4_time(int64_t unix_ms);

}  // namespace kvcs::gateway
