// Draws for tests whose course follows from a seed.
#pragma once
#include <cstdint>
#include <random>

namespace kvcs::test {

using Random = std::mt19937_64;

inline int64_t between(Random& random, int64_t low, int64_t high) {  // Both included.
  return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
}
inline bool chance(Random& random, int percent) {
  return between(random, 1, 100) <= percent;
}

}  // namespace kvcs::test
