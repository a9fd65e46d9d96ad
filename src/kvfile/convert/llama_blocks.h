// The value types that a llama.cpp cache may hold (ggml's numbering) and how their blocks decode.
// Pure functions. Source: the block structures of ggml's quantisation formats.
#pragma once
#include <cstdint>
#include <string_view>

namespace kvcs::kvfile {

struct LlamaType {
  uint32_t number = 0;  // ggml's.
  std::string_view name;
  uint32_t block_values = 1, block_bytes = 4;
  bool quantized() const { return block_values > 1; }
};

const LlamaType* find_llama_type(uint32_t number);  // Null when unknown.
// `n` is a multiple of type.block_values.
void decode_llama(const LlamaType& type, const char* from, float* to, uint64_t n);

}  // namespace kvcs::kvfile
