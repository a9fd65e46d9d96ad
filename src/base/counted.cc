// Puts the "s" behind nouns of several things; no noun here has another plural.
#include "base/counted.h"

namespace kvcs {

std::string counted(uint64_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

}  // namespace kvcs
