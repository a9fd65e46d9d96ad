// Keys and tokens of another party, for tests: signs any header and any payload, also those that no
// honest issuer would. One thread.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "oauth/jose.h"

namespace kvcs::test {

class TokenMaker final {
 public:
  // A new key of the algorithm. RSA keys of 2048 bits take long to make: one is kept per process,
  // and `fresh` asks for another.
  explicit TokenMaker(oauth::JwsAlgorithm algorithm, bool fresh = false);

  // The public half, with alg, use and, unless it is "", kid.
  Json jwk(std::string_view key_id) const;
  // header.payload.signature of these very bytes.
  std::string sign(std::string_view header, std::string_view payload) const;
  // With a header of alg, typ and, unless it is "", kid.
  std::string token(std::string_view key_id, const Json& claims,
                    std::string_view type = "JWT") const;

 private:
  oauth::JwsAlgorithm algorithm_;
  std::shared_ptr<evp_pkey_st> key_;  // Shared with the one that the process keeps.
};

// {"keys": […]}
std::string jwk_set_text(const std::vector<Json>& keys);

}  // namespace kvcs::test
