// Where the sources are, for tests that read them or tests/data: KVCS_SOURCE_DIR, which
// tests/run.sh sets, or the current directory.
#pragma once
#include <cstdlib>
#include <string>

namespace kvcs::test {

inline std::string source_dir() {
  const char* named = std::getenv("KVCS_SOURCE_DIR");
  return named == nullptr ? "." : named;
}

}  // namespace kvcs::test
