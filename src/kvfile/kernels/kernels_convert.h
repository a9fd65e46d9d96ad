// Conversions between floats and the narrower types, by integer arithmetic on their bits, which
// vectorises without branches. Part of kernels_body.h; it needs decode_halves() and encode_halves()
// of the file that includes it.
//
// How a narrower float is widened: its exponent and mantissa are shifted to where a float has them,
// and the difference of the two biases is added to the exponent (F16 has bias 15 and a float 127:
// 112 · 2^23 is 0x38000000). Subnormal values are small whole numbers times a power of two. How a
// float is narrowed: the difference of the biases is subtracted, half a step (less one, plus the
// last bit that stays) is added to round to nearest even, and the rest is shifted out. A value that
// will be subnormal is added to a power of two whose own step is that of the subnormals: the
// addition rounds it.
//
// F16 is IEEE 754 binary16, BF16 the upper half of a float; F8_E4M3 and F8_E5M2 are those of the
// OCP 8-bit floating point specification (E4M3 has no infinity, and one NaN per sign).
#pragma once
#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

[[gnu::always_inline]] inline uint32_t bits_of(float x) {
  return __builtin_bit_cast(uint32_t, x);
}
[[gnu::always_inline]] inline float float_of(uint32_t bits) {
  return __builtin_bit_cast(float, bits);
}
[[gnu::always_inline]] inline float absolute(float x) {
  return float_of(bits_of(x) & 0x7fffffffU);
}
// A half that is infinite or NaN gets the bias added twice, which makes its exponent all ones.
[[gnu::always_inline]] inline float half_to_float(uint16_t half) {
  const uint32_t magnitude = half & 0x7fffU;
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t normal = (magnitude << 13) + 0x38000000U;
  const uint32_t special = (magnitude << 13) + 0x70000000U;
  const float small = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24F;
  uint32_t bits = magnitude < 0x400U ? bits_of(small) : normal;
  bits = magnitude >= 0x7c00U ? special : bits;
  bits = magnitude > 0x7c00U ? bits | 0x400000U : bits;  // A NaN becomes quiet, as F16C has it.
  return float_of(bits | sign);
}

// From 65520 on (0x477ff000) a value rounds to infinity; 2^-14 (0x38800000) is the least normal
// half.
[[gnu::always_inline]] inline uint16_t float_to_half(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  const uint32_t normal = (magnitude - 0x38000000U + 0xfffU + ((magnitude >> 13) & 1U)) >> 13;
  // 0.5 has the step 2^-24 of the subnormal halves: the sum rounds to even there.
  const uint32_t small = bits_of(float_of(magnitude) + 0.5F) - 0x3f000000U;
  uint32_t half = magnitude < 0x38800000U ? small : normal;
  half = magnitude >= 0x477ff000U ? 0x7c00U : half;
  half = magnitude > 0x7f800000U ? 0x7e00U | ((magnitude >> 13) & 0x3ffU) : half;
  return static_cast<uint16_t>(half | sign);
}

// Rounds to nearest even. A NaN must not be rounded, for the carry could make it an infinity.
[[gnu::always_inline]] inline uint16_t float_to_bfloat(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const bool nan = (bits & 0x7fffffffU) > 0x7f800000U;
  return static_cast<uint16_t>(nan ? (bits >> 16) | 0x40U : rounded);
}

// Bias 7, three bits of mantissa, subnormal step 2^-9; all ones but the sign is NaN.
[[gnu::always_inline]] inline float e4m3_to_float(uint8_t code) {
  const uint32_t magnitude = code & 0x7fU;
  const uint32_t sign = static_cast<uint32_t>(code & 0x80U) << 24;
  const float small = static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-9F;
  uint32_t bits = magnitude < 8U ? bits_of(small) : (magnitude << 20) + 0x3c000000U;
  bits = magnitude == 0x7fU ? 0x7fc00000U : bits;
  return float_of(bits | sign);
}

// Saturates at 448, as the specification allows and as engines do; 2^-6 (0x3c800000) is the least
// normal value. 2^14 has the step 2^-9 of the subnormals.
[[gnu::always_inline]] inline uint8_t float_to_e4m3(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t sign = (bits >> 24) & 0x80U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  const uint32_t normal = (magnitude - 0x3c000000U + 0x7ffffU + ((magnitude >> 20) & 1U)) >> 20;
  const uint32_t small = bits_of(float_of(magnitude) + 0x1p14F) - 0x46800000U;
  uint32_t code = magnitude < 0x3c800000U ? small : normal;
  code = magnitude >= 0x43e00000U ? 0x7eU : code;  // 448, the largest
  code = magnitude > 0x7f800000U ? 0x7fU : code;
  return static_cast<uint8_t>(code | sign);
}

// Bias 15 and two bits of mantissa: the upper byte of a half. Saturates at 57344; 2^7 has the step
// 2^-16 of the subnormals.
[[gnu::always_inline]] inline uint8_t float_to_e5m2(float x) {
  const uint32_t bits = bits_of(x);
  const uint32_t sign = (bits >> 24) & 0x80U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  const uint32_t normal = (magnitude - 0x38000000U + 0xfffffU + ((magnitude >> 21) & 1U)) >> 21;
  const uint32_t small = bits_of(float_of(magnitude) + 0x1p7F) - 0x43000000U;
  uint32_t code = magnitude < 0x38800000U ? small : normal;
  code = magnitude >= 0x47600000U ? 0x7bU : code;  // 57344, the largest
  code = magnitude > 0x7f800000U ? 0x7fU : code;
  return static_cast<uint8_t>(code | sign);
}

void decode_values(Dtype dtype, const void* from, float* to, size_t n) {
  switch (dtype) {
    case Dtype::kF32:
      __builtin_memcpy(to, from, n * 4);
      return;
    case Dtype::kF16: {
      const auto* half = static_cast<const uint16_t*>(from);
      for (size_t i = decode_halves(half, to, n); i < n; i++) to[i] = half_to_float(half[i]);
      return;
    }
    case Dtype::kBf16: {
      const auto* top = static_cast<const uint16_t*>(from);
      for (size_t i = 0; i < n; i++) to[i] = float_of(static_cast<uint32_t>(top[i]) << 16);
      return;
    }
    case Dtype::kF8E4m3: {
      const auto* code = static_cast<const uint8_t*>(from);
      for (size_t i = 0; i < n; i++) to[i] = e4m3_to_float(code[i]);
      return;
    }
    case Dtype::kF8E5m2: {
      const auto* code = static_cast<const uint8_t*>(from);
      for (size_t i = 0; i < n; i++) {
        to[i] = half_to_float(static_cast<uint16_t>(static_cast<uint16_t>(code[i]) << 8));
      }
      return;
    }
    default:
      __builtin_trap();
  }
}

void encode_values(Dtype dtype, const float* from, void* to, size_t n) {
  switch (dtype) {
    case Dtype::kF32:
      __builtin_memcpy(to, from, n * 4);
      return;
    case Dtype::kF16: {
      auto* half = static_cast<uint16_t*>(to);
      for (size_t i = encode_halves(from, half, n); i < n; i++) half[i] = float_to_half(from[i]);
      return;
    }
    case Dtype::kBf16: {
      auto* top = static_cast<uint16_t*>(to);
      for (size_t i = 0; i < n; i++) top[i] = float_to_bfloat(from[i]);
      return;
    }
    case Dtype::kF8E4m3: {
      auto* code = static_cast<uint8_t*>(to);
      for (size_t i = 0; i < n; i++) code[i] = float_to_e4m3(from[i]);
      return;
    }
    case Dtype::kF8E5m2: {
      auto* code = static_cast<uint8_t*>(to);
      for (size_t i = 0; i < n; i++) code[i] = float_to_e5m2(from[i]);
      return;
    }
    default:
      __builtin_trap();
  }
}

}  // namespace
}  // namespace kvcs::kvfile
