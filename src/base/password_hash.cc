// Calls libsodium's password hashing.
#include "base/password_hash.h"

#include <sodium.h>

namespace kvcs {

std::string hash_password(const Secret& password) {
  char text[crypto_pwhash_STRBYTES];
  const std::string& bytes = password.reveal();
  const int failed =
      crypto_pwhash_str(text, bytes.data(), bytes.size(), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                        crypto_pwhash_MEMLIMIT_INTERACTIVE);
  return failed != 0 ? std::string() : std::string(text);
}

bool password_fits(const Secret& password, const std::string& hash) {
  const std::string& bytes = password.reveal();
  return crypto_pwhash_str_verify(hash.c_str(), bytes.data(), bytes.size()) == 0;
}

}  // namespace kvcs
