// Passwords of local accounts: which are refused, and their hashes (base/password_hash.h). A hash
// takes a tenth of a second of a processor, so it is made on threads of the hasher's own, of which
// few exist, and requests wait for it parked. Of one address few wait at once, so that nobody who
// tries many names keeps the others out; what nobody waits for any more is not done. Thread-safe.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/status.h"

namespace kvcs::portal {

inline constexpr size_t kPasswordMinBytes = 8;
inline constexpr size_t kPasswordMaxBytes = 1000;

// Invalid: too short, too long, or one that is guessed soon by who knows word lists and the
// person's own words (zxcvbn, USENIX Security 2016). Which characters it is made of does not matter
// (NIST SP 800-63B-4 §3.1.1.2).
Status check_new_password(const Secret& password, const std::vector<std::string>& own_words);

class PasswordHasher final {
 public:
  PasswordHasher();
  ~PasswordHasher();
  PasswordHasher(const PasswordHasher&) = delete;
  PasswordHasher& operator=(const PasswordHasher&) = delete;

  // RateLimited with reason sign_in_busy when as many wait already as may, of all or of `whose`, an
  // address block. Unavailable when the server stops, or the system gives no memory or no thread.
  Result<std::string> hash(const Secret& password, std::string_view whose);
  // False: another password. A hash of "" takes as long as any and fits no password, so that an
  // account that is not there is told apart from a wrong password by nobody.
  Result<bool> fits(const Secret& password, std::string_view hash, std::string_view whose);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::portal
