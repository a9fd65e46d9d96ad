// Puts the "s" behind nouns of several things; no noun here has another plural.
#include "base/counted.h"

#include "base/bytes.h"

namespace kvcs {

std::string counted(uint64_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

std::string format_exact_bytes(uint64_t n) {
  return n < 1024 ? counted(n, "byte") : format_bytes(n) + " (" + counted(n, "byte") + ")";
}

}  // namespace kvcs
