// Decodes and encodes ggml's blocks one after the other; a conversion touches each value once, so
// this is plain code.
#include "kvfile/convert/llama_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

// ggml_type of ggml.h, as far as a cache may have it.
enum Number : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kIq4Nl = 20,
  kBf16 = 30,
};

constexpr std::array kTypes = {
    LlamaType{kF32, "f32", 1, 4},        LlamaType{kF16, "f16", 1, 2},
    LlamaType{kBf16, "bf16", 1, 2},      LlamaType{kQ8_0, "q8_0", 32, 34},
    LlamaType{kQ4_0, "q4_0", 32, 18},    LlamaType{kQ4_1, "q4_1", 32, 20},
    LlamaType{kQ5_0, "q5_0", 32, 22},    LlamaType{kQ5_1, "q5_1", 32, 24},
    LlamaType{kIq4Nl, "iq4_nl", 32, 18},
};
// kvalues_iq4nl of ggml: sixteen levels spaced for normally distributed values.
constexpr std::array<int, 16> kIq4NlValues = {-127, -104, -83, -65, -49, -35, -22, -10,
                                              1,    13,   25,  38,  53,  69,  89,  113};

float half(const char* at) {
  float value;
  kernels().decode(Dtype::kF16, at, &value, 1);
  return value;
}
unsigned nibble(const char* codes, int i) {
  const auto byte = static_cast<unsigned char>(codes[i % 16]);
  return i < 16 ? byte & 15U : byte >> 4U;
}

void decode_block(uint32_t type, const char* from, float* to) {
  const float scale = half(from);
  const char* const after_scale = from + 2;
  switch (type) {
    case kQ8_0:
      for (int i = 0; i < 32; i++) {
        to[i] = static_cast<float>(static_cast<signed char>(after_scale[i])) * scale;
      }
      break;
    case kQ4_0:
      for (int i = 0; i < 32; i++) {
        to[i] = static_cast<float>(static_cast<int>(nibble(after_scale, i)) - 8) * scale;
      }
      break;
    case kIq4Nl:
      for (int i = 0; i < 32; i++) {
        to[i] = static_cast<float>(kIq4NlValues[nibble(after_scale, i)]) * scale;
      }
      break;
    case kQ4_1: {
      const float minimum = half(from + 2);
      for (int i = 0; i < 32; i++) {
        to[i] = static_cast<float>(nibble(from + 4, i)) * scale + minimum;
      }
      break;
    }
    case kQ5_0: {
      const uint32_t high = load_u32le(from + 2);
      for (int i = 0; i < 32; i++) {
        const unsigned code = nibble(from + 6, i) | ((high >> static_cast<unsigned>(i)) & 1U) << 4U;
        to[i] = static_cast<float>(static_cast<int>(code) - 16) * scale;
      }
      break;
    }
    default: {  // kQ5_1
      const float minimum = half(from + 2);
      const uint32_t high = load_u32le(from + 4);
      for (int i = 0; i < 32; i++) {
        const unsigned code = nibble(from + 8, i) | ((high >> static_cast<unsigned>(i)) & 1U) << 4U;
        to[i] = static_cast<float>(code) * scale + minimum;
      }
      break;
    }
  }
}

void put_half(float value, char* to) {
  kernels().encode(Dtype::kF16, &value, to, 1);
}
void put_nibbles(const std::array<uint8_t, 32>& codes, char* to) {
  for (size_t i = 0; i < 16; i++) {
    to[i] = static_cast<char>((codes[i] & 15U) | (codes[i + 16] & 15U) << 4U);
  }
}
void put_fifth_bits(const std::array<uint8_t, 32>& codes, char* to) {
  uint32_t high = 0;
  for (size_t i = 0; i < 32; i++) high |= (codes[i] >> 4U & 1U) << i;
  std::string bytes;
  append_u32le(bytes, high);
  std::memcpy(to, bytes.data(), 4);
}
float inverse_of(float scale) {
  return scale != 0 ? 1 / scale : 0;
}

// A block as codes: a value is (code - zero) · scale + minimum.
struct Block {
  std::array<int, 32> codes{};
  float scale = 0, minimum = 0;
};

// Finds the scale (and minimum) that fits the codes best. Values that were decoded from a block and
// rounded since have lost the last bit of its scale; over 32 values it comes back.
void fit(const float* x, int zero, bool has_minimum, Block& block) {
  double n = 0, sum_c = 0, sum_x = 0, sum_cc = 0, sum_cx = 0;
  for (int i = 0; i < 32; i++) {
    const double code = block.codes[static_cast<size_t>(i)] - zero, value = double{x[i]};
    n += 1;
    sum_c += code;
    sum_x += value;
    sum_cc += code * code;
    sum_cx += code * value;
  }
  if (!has_minimum) {
    if (sum_cc > 0) block.scale = static_cast<float>(sum_cx / sum_cc);
    return;
  }
  const double spread = n * sum_cc - sum_c * sum_c;
  if (spread <= 0) return;
  const double scale = (n * sum_cx - sum_c * sum_x) / spread;
  block.scale = static_cast<float>(scale);
  block.minimum = static_cast<float>((sum_x - scale * sum_c) / n);
}

void encode_q8_0(const float* x, bool from_blocks, char* to) {
  float largest = 0;
  for (int i = 0; i < 32; i++) largest = std::max(largest, std::fabs(x[i]));
  Block block;
  block.scale = largest / 127;
  const float inverse = inverse_of(block.scale);
  for (int i = 0; i < 32; i++) {
    block.codes[static_cast<size_t>(i)] = static_cast<int>(std::lround(x[i] * inverse));
  }
  if (from_blocks) fit(x, 0, false, block);
  put_half(block.scale, to);
  for (size_t i = 0; i < 32; i++) to[2 + i] = static_cast<char>(block.codes[i]);
}

void put_codes(const Block& block, bool fifth_bits, char* to) {
  std::array<uint8_t, 32> codes{};
  for (size_t i = 0; i < 32; i++) codes[i] = static_cast<uint8_t>(block.codes[i]);
  if (fifth_bits) put_fifth_bits(codes, to);
  put_nibbles(codes, fifth_bits ? to + 4 : to);
}

// q4_0 and q5_0: the value of the largest magnitude gets the lowest code, -8 or -16.
void encode_centred(const float* x, int middle, bool from_blocks, char* to) {
  float extreme = 0;
  for (int i = 0; i < 32; i++) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  Block block;
  block.scale = extreme / static_cast<float>(-middle);
  const float inverse = inverse_of(block.scale);
  for (int i = 0; i < 32; i++) {
    const auto code = static_cast<int>(x[i] * inverse + static_cast<float>(middle) + 0.5F);
    block.codes[static_cast<size_t>(i)] = std::clamp(code, 0, 2 * middle - 1);
  }
  if (from_blocks) fit(x, middle, false, block);
  put_half(block.scale, to);
  put_codes(block, middle == 16, to + 2);
}

// q4_1 and q5_1: codes count from the block's minimum.
void encode_from_minimum(const float* x, int levels, bool from_blocks, char* to) {
  const auto [least, greatest] = std::minmax_element(x, x + 32);
  Block block;
  block.minimum = *least;
  block.scale = (*greatest - *least) / static_cast<float>(levels);
  const float inverse = inverse_of(block.scale);
  for (int i = 0; i < 32; i++) {
    const auto code = static_cast<int>((x[i] - block.minimum) * inverse + 0.5F);
    block.codes[static_cast<size_t>(i)] = std::clamp(code, 0, levels);
  }
  if (from_blocks) fit(x, 0, true, block);
  put_half(block.scale, to);
  put_half(block.minimum, to + 2);
  put_codes(block, levels == 31, to + 4);
}

uint8_t nearest_iq4_nl(float value) {
  size_t best = 0;
  for (size_t i = 1; i < kIq4NlValues.size(); i++) {
    const auto off = [&](size_t at) {
      return std::fabs(value - static_cast<float>(kIq4NlValues[at]));
    };
    if (off(i) < off(best)) best = i;
  }
  return static_cast<uint8_t>(best);
}

// The extreme value gets the lowest level; then the scale that fits the chosen levels best, where
// large values count for more.
void encode_iq4_nl(const float* x, char* to) {
  float extreme = 0;
  for (int i = 0; i < 32; i++) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  std::memset(to, 0, 18);
  if (std::fabs(extreme) < 1e-15F) return;
  const float inverse = inverse_of(extreme / static_cast<float>(kIq4NlValues[0]));
  std::array<uint8_t, 32> codes{};
  float products = 0, squares = 0;
  for (int i = 0; i < 32; i++) {
    const uint8_t code = nearest_iq4_nl(x[i] * inverse);
    const auto level = static_cast<float>(kIq4NlValues[code]);
    codes[static_cast<size_t>(i)] = code;
    products += x[i] * x[i] * level * x[i];
    squares += x[i] * x[i] * level * level;
  }
  put_half(products / squares, to);
  put_nibbles(codes, to + 2);
}

void encode_block(uint32_t type, const float* x, bool from_blocks, char* to) {
  switch (type) {
    case kQ8_0:
      return encode_q8_0(x, from_blocks, to);
    case kQ4_0:
      return encode_centred(x, 8, from_blocks, to);
    case kQ5_0:
      return encode_centred(x, 16, from_blocks, to);
    case kQ4_1:
      return encode_from_minimum(x, 15, from_blocks, to);
    case kQ5_1:
      return encode_from_minimum(x, 31, from_blocks, to);
    default:
      return encode_iq4_nl(x, to);
  }
}

// ggml's other types that have a name, by number.
constexpr std::pair<uint32_t, std::string_view> kOtherTypes[] = {
    {9, "q8_1"},
    {10, "q2_K"},
    {11, "q3_K"},
    {12, "q4_K"},
    {13, "q5_K"},
    {14, "q6_K"},
    {15, "q8_K"},
    {16, "iq2_xxs"},
    {17, "iq2_xs"},
    {18, "iq3_xxs"},
    {19, "iq1_s"},
    {21, "iq3_s"},
    {22, "iq2_s"},
    {23, "iq4_xs"},
    {24, "i8"},
    {25, "i16"},
    {26, "i32"},
    {27, "i64"},
    {28, "f64"},
    {29, "iq1_m"},
    {34, "tq1_0"},
    {35, "tq2_0"},
    {39, "mxfp4"},
    // ik_llama.cpp's numbers, which no other fork has.
    {133, "ik_llama.cpp's q6_0"},
    {151, "ik_llama.cpp's q8_KV"}};

}  // namespace

const LlamaType* find_llama_type(uint32_t number) {
  for (const LlamaType& type : kTypes) {
    if (type.number == number) return &type;
  }
  return nullptr;
}

const LlamaType* find_llama_type(std::string_view name) {
  for (const LlamaType& type : kTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::string unread_type_name(uint32_t number) {
  for (const auto& [known, name] : kOtherTypes) {
    if (known == number) return std::string(name);
  }
  return number <= 40 ? "none that a cache has" : "a fork's own, such as TurboQuant's";
}

void encode_llama(const LlamaType& type, const float* from, char* to, uint64_t n,
                  bool from_blocks) {
  if (type.number == kF32) return kernels().encode(Dtype::kF32, from, to, n);
  if (type.number == kF16) return kernels().encode(Dtype::kF16, from, to, n);
  if (type.number == kBf16) return kernels().encode(Dtype::kBf16, from, to, n);
  for (uint64_t i = 0; i < n; i += type.block_values) {
    encode_block(type.number, from + i, from_blocks, to);
    to += type.block_bytes;
  }
}

void decode_llama(const LlamaType& type, const char* from, float* to, uint64_t n) {
  if (type.number == kF32) return kernels().decode(Dtype::kF32, from, to, n);
  if (type.number == kF16) return kernels().decode(Dtype::kF16, from, to, n);
  if (type.number == kBf16) return kernels().decode(Dtype::kBf16, from, to, n);
  for (uint64_t i = 0; i < n; i += type.block_values) {
    decode_block(type.number, from, to + i);
    from += type.block_bytes;
  }
}

}  // namespace kvcs::kvfile
