// Decodes ggml's blocks one after the other; an import reads each value once, so this is plain
// code.
#include "kvfile/convert/llama_blocks.h"

#include <array>

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

}  // namespace

const LlamaType* find_llama_type(uint32_t number) {
  for (const LlamaType& type : kTypes) {
    if (type.number == number) return &type;
  }
  return nullptr;
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
