// The words by which a name says that its value is a secret.
#include "base/secret_names.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/bytes.h"

namespace kvcs {

bool is_secret_name(std::string_view name) {
  constexpr std::array<std::string_view, 10> kParts = {
      "secret",  "token",   "password", "passwd",        "credential",
      "api_key", "api-key", "apikey",   "authorization", "cookie"};
  const std::string lower = lower_ascii(name);
  if (lower == "idempotency-key") return false;
  return lower == "key" || lower.ends_with("-key") || lower.ends_with("_key") ||
         std::any_of(kParts.begin(), kParts.end(),
                     [&](std::string_view part) { return lower.find(part) != lower.npos; });
}

}  // namespace kvcs
