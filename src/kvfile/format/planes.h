// Splits values into planes of like bytes, and joins them again: all lowest bytes, then all second
// ones, and so on. The plane of the exponents compresses, those of the mantissa do not. Pure
// functions.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kvcs::kvfile {

// How a run of bytes is split: `width` bytes per value; with `rotate` each value is first turned
// left by one bit, so that the sign leaves the byte of the exponent.
struct PlaneSplit {
  uint8_t width = 1;
  bool rotate = false;
};
// `size_bytes` is a multiple of the width; plane p of n values starts at to + p·n.
void split_planes(PlaneSplit split, const char* from, size_t size_bytes, char* to);
void join_planes(PlaneSplit split, const char* from, size_t size_bytes, char* to);

}  // namespace kvcs::kvfile
