// The random numbers of `kvcs sample`: a hash of what a number is for, so that each can be had
// without those before it. Integers up to the last step; no library's generator, whose numbers
// could change. Pure functions.
#pragma once
#include <cstdint>

namespace kvcs::kvfile {

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
constexpr uint64_t sample_mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

// In [0, 1), with 32 bits: exact in a double.
constexpr double sample_uniform(uint64_t hash) {
  return static_cast<double>(hash >> 32) / 4294967296.0;
}

// Nearly normal, with mean 0 and deviation 1: the sum of four uniform numbers of 16 bits, whose own
// mean is 131070 and whose deviation is 37837 (65536 / √3).
constexpr double sample_normal(uint64_t hash) {
  int64_t sum = 0;
  for (int part = 0; part < 4; part++) sum += static_cast<int64_t>((hash >> (16 * part)) & 0xffff);
  return static_cast<double>(sum - 131070) / 37837.0;
}

}  // namespace kvcs::kvfile
