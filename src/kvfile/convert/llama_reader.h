// The structure of llama.cpp's state files: `ggsn` (a whole context: session and prompt-cache
// files) and `ggsq` (one sequence, llama-server's slot saves). All integers are little-endian, u32
// unless said:
//
//   magic, version, n, n × i32 token         slots wrap it: -1, 1, n, n ids, n_media, …
//   ggsn: length, architecture
//   [outputs]  ggsn: u32 n, i32[n]; u64 n, f32[n]; u64 n, f32[n]
//   [streams]  count
//   per stream: cells (0: nothing follows); per cell: i32 position, n, [i32 x, y, token],
//     i32 sequence[n]; values_transposed, layers;
//     per layer: i32 type, u64 row bytes, rows of keys
//     per layer: the same for values, or i32 type, u32 value bytes, u32 width, [width][cells]
//
// The version does not tell which of the parts in brackets are there, so each combination is tried
// and the one that consumes the file exactly is the right one. Every count is compared with what
// is left of the file before it is believed. Pure; values.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kvfile/convert/llama_blocks.h"
#include "kvfile/format/source_file.h"

namespace kvcs::kvfile {

inline constexpr uint32_t kLlamaContextMagic = 0x6767736e;   // "ggsn"
inline constexpr uint32_t kLlamaSequenceMagic = 0x67677371;  // "ggsq"
inline constexpr uint32_t kLlamaLayersMax = 8192;
inline constexpr uint32_t kLlamaSequencesMax = 256;

struct LlamaTensor {
  const LlamaType* type = nullptr;
  uint64_t offset = 0;  // Of the first row (transposed: of the first channel).
};

struct LlamaFile {
  bool is_context = false;  // ggsn
  uint32_t version = 0;
  std::string architecture;            // ggsn
  std::vector<uint32_t> tokens;        // One per cell.
  std::vector<uint32_t> extra_tokens;  // Ids behind those: sampled, not yet in the cache.
  bool wrapped_tokens = false;         // As llama-server's slots have it.
  bool has_outputs = false, has_streams = false, has_cell_extra = false;
  uint32_t streams = 1, stream = 0;  // The one stream with cells.
  uint64_t cells = 0;
  std::vector<uint32_t> sequences;  // Of every cell, when all have the same.
  bool values_transposed = false;
  uint64_t row_values = 0;  // kv_heads · head_dim
  std::vector<LlamaTensor> keys, values;

  // "ggsq version 3, one sequence, …": what was seen, for people.
  std::string describe() const;
};

// Invalid when it is no such file, of an unknown version, cut, or holds more than one sequence at
// the positions 0, 1, 2, ….
Result<LlamaFile> parse_llama(const SourceFile& file);

}  // namespace kvcs::kvfile
