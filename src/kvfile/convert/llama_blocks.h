// The value types that a llama.cpp cache may hold (ggml's numbering) and how their blocks decode.
// Pure functions. Source: the block structures of ggml's quantisation formats (ggml-common.h). A
// block holds 32 values:
//
//   q8_0    F16 scale, 32 signed bytes             value = byte · scale
//   q4_0    F16 scale, 16 bytes                    value = (nibble - 8) · scale
//   q4_1    F16 scale, F16 minimum, 16 bytes       value = nibble · scale + minimum
//   q5_0    F16 scale, u32 fifth bits, 16 bytes    value = (code - 16) · scale
//   q5_1    F16 scale, F16 minimum, u32, 16 bytes  value = code · scale + minimum
//   iq4_nl  F16 scale, 16 bytes                    value = table[nibble] · scale
//
// The low nibbles of the 16 bytes are the values 0 to 15, the high ones 16 to 31.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kvcs::kvfile {

struct LlamaType {
  uint32_t number = 0;  // ggml's.
  std::string_view name;
  uint32_t block_values = 1, block_bytes = 4;
  bool quantized() const { return block_values > 1; }
};

const LlamaType* find_llama_type(uint32_t number);  // Null when it is not in the list above.
const LlamaType* find_llama_type(std::string_view name);
// What a type is that is not in the list: the name of a ggml type that no cache of llama.cpp has,
// or "a fork's own": the forks number theirs alike and differently, so no more can be said.
std::string unread_type_name(uint32_t number);
// `n` is a multiple of type.block_values.
void decode_llama(const LlamaType& type, const char* from, float* to, uint64_t n);
// As ggml's reference code rounds. Values that were decoded from blocks of this type become the
// same blocks again; when they were rounded to F16 since, say `from_blocks`, so that the scales are
// fitted. F16 values beyond its range are left to the caller.
void encode_llama(const LlamaType& type, const float* from, char* to, uint64_t n,
                  bool from_blocks = false);

}  // namespace kvcs::kvfile
