// The kernel's randomness for the daemon, and a seeded sequence for tests that must repeat.
#include "base/entropy.h"

#include <sodium.h>

#include <cstring>
#include <random>

#include "base/mutex.h"

namespace kvcs {
namespace {

class SystemEntropy final : public Entropy {
 public:
  void fill(void* out, size_t size_bytes) override { randombytes_buf(out, size_bytes); }
};

class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(uint64_t seed) : engine_(seed) {}
  void fill(void* out, size_t size_bytes) override {
    MutexLock lock(mutex_);
    auto* bytes = static_cast<unsigned char*>(out);
    for (size_t i = 0; i < size_bytes; i++) bytes[i] = static_cast<unsigned char>(engine_());
  }

 private:
  Mutex mutex_;
  std::mt19937_64 engine_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace

std::string Entropy::bytes(size_t size_bytes) {
  std::string out(size_bytes, '\0');
  fill(out.data(), size_bytes);
  return out;
}
uint64_t Entropy::u64() {
  uint64_t v;
  fill(&v, sizeof v);
  return v;
}
double Entropy::unit() {
  // A double has 53 bits of fraction: the upper 53 bits over 2^53 reach every one evenly, never 1.
  return static_cast<double>(u64() >> 11) * 0x1p-53;
}

std::unique_ptr<Entropy> make_system_entropy() {
  return std::make_unique<SystemEntropy>();
}
std::unique_ptr<Entropy> make_seeded_entropy(uint64_t seed) {
  return std::make_unique<SeededEntropy>(seed);
}

}  // namespace kvcs
