// Calls libsodium's password hashing.
#include "base/password_hash.h"

#include <sodium.h>

#include <charconv>
#include <cstdint>
#include <string_view>

namespace kvcs {
namespace {

constexpr std::string_view kOurs = "$argon2id$v=19$m=";
constexpr size_t kHashBytes = 32;

struct Argon2id {
  size_t memory_bytes = 0;
  uint64_t passes = 0;
  unsigned char salt[crypto_pwhash_SALTBYTES], hash[kHashBytes];
};

// Takes a number and what stands behind it off the front.
bool take_number(std::string_view& text, std::string_view behind, uint64_t& number) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (fault != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.starts_with(behind)) return false;
  text.remove_prefix(behind.size());
  return true;
}

bool decode(std::string_view text, unsigned char* out, size_t bytes) {
  size_t made = 0;
  const char* end = nullptr;
  return sodium_base642bin(out, bytes, text.data(), text.size(), nullptr, &made, &end,
                           sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0 &&
         made == bytes && end == text.data() + text.size();
}

// "$argon2id$v=19$m=65536,t=2,p=1$SALT$HASH"
std::optional<Argon2id> parse(std::string_view text) {
  if (!text.starts_with(kOurs)) return std::nullopt;
  text.remove_prefix(kOurs.size());
  Argon2id parts;
  uint64_t memory_kib = 0;
  if (!take_number(text, ",t=", memory_kib) || !take_number(text, ",p=1$", parts.passes)) {
    return std::nullopt;
  }
  const size_t dollar = text.find('$');
  if (dollar == text.npos || memory_kib > crypto_pwhash_MEMLIMIT_MAX / 1024) return std::nullopt;
  parts.memory_bytes = memory_kib * 1024;
  const bool is_whole = decode(text.substr(0, dollar), parts.salt, sizeof parts.salt) &&
                        decode(text.substr(dollar + 1), parts.hash, sizeof parts.hash);
  return is_whole ? std::optional(parts) : std::nullopt;
}

}  // namespace

std::string hash_password(const Secret& password) {
  char text[crypto_pwhash_STRBYTES];
  const std::string& bytes = password.reveal();
  const int failed =
      crypto_pwhash_str(text, bytes.data(), bytes.size(), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                        crypto_pwhash_MEMLIMIT_INTERACTIVE);
  return failed != 0 ? std::string() : std::string(text);
}

// crypto_pwhash_str_verify() says of a hash that it had no memory for what it says of a wrong
// password. So the hash is made anew, and compared here.
std::optional<bool> password_fits(const Secret& password, const std::string& hash) {
  const std::optional<Argon2id> known = parse(hash);
  if (!known) return false;
  const std::string& bytes = password.reveal();
  unsigned char made[kHashBytes];
  const int failed =
      crypto_pwhash(made, sizeof made, bytes.data(), bytes.size(), known->salt, known->passes,
                    known->memory_bytes, crypto_pwhash_ALG_ARGON2ID13);
  if (failed != 0) return std::nullopt;
  return sodium_memcmp(made, known->hash, sizeof made) == 0;
}

}  // namespace kvcs
