// Randomness as a dependency, so that tests repeat. Keys, nonces and ids all come from one object,
// which App makes. Implementations are thread-safe.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace kvcs {

class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual void fill(void* out, size_t size_bytes) = 0;
  std::string bytes(size_t size_bytes);
  uint64_t u64();
  double unit();  // Uniform in [0, 1).
};
std::unique_ptr<Entropy> make_system_entropy();               // The kernel's, through libsodium.
std::unique_ptr<Entropy> make_seeded_entropy(uint64_t seed);  // Reproducible; tests only.

}  // namespace kvcs
