// The structure of llama.cpp's state files: `ggsn` (a whole context: session and prompt-cache
// files) and `ggsq` (one sequence, llama-server's slot saves). All integers are little-endian, u32
// unless said:
//
//   magic, version, n, n × i32 token         slots wrap it: -1, 1, n, n ids, n_media, …
//   ggsn: length, architecture
//   [outputs]  ggsn: u32 n, i32[n]; u64 n, f32[n]; u64 n, f32[n]
//   [streams]  count
//   one or two attention caches (the second is the one of the sliding-window layers), then the
//   recurrent states of a hybrid model; a recurrent model has those alone
//
// An attention cache, per stream: cells (0: nothing follows); per cell: i32 position, n,
// [i32 x, y, token], i32 sequence[n]; values_transposed, layers;
//     per layer: i32 type, u64 row bytes, rows of keys
//     per layer: the same for values, or i32 type, u32 value bytes, u32 width, [width][cells];
//     none at all with latent attention (MLA)
// Recurrent states: cells; per cell: i32 position, n, i32 sequence[n]; 0, layers;
//     per recurrent layer: i32 type, u64 row bytes, rows of the convolution state
//     per recurrent layer: the same of the recurrent state
//
// The version does not tell which of the parts are there, so each combination is tried and the one
// that consumes the file exactly is the right one. Every count is compared with what is left of the
// file before it is believed. Pure; values.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvfile/convert/llama_blocks.h"
#include "kvfile/format/source_file.h"

namespace kvcs::kvfile {

inline constexpr uint32_t kLlamaContextMagic = 0x6767736e;   // "ggsn"
inline constexpr uint32_t kLlamaSequenceMagic = 0x67677371;  // "ggsq"
inline constexpr uint32_t kLlamaContextVersion = 10;         // The newest whose body was seen.
inline constexpr uint32_t kLlamaSequenceVersion = 3;
inline constexpr uint32_t kLlamaLayersMax = 8192;
inline constexpr uint32_t kLlamaSequencesMax = 256;

struct LlamaTensor {
  const LlamaType* type = nullptr;
  uint64_t offset = 0;  // Of the first row (transposed: of the first channel).
  uint64_t row_values = 0;
};

// The cells of one sequence in one of the file's attention caches.
struct LlamaAttention {
  uint32_t streams = 1, stream = 0;  // The one stream that holds the sequence.
  uint64_t cells = 0;                // Rows that are stored, those of other sequences as well.
  std::vector<uint32_t> rows;        // Of the sequence, by position.
  std::vector<uint32_t> positions;   // Of those rows: 0, 1, 2, … but in a sliding window.
  std::vector<uint32_t> sequences;   // Of the cells, when all cells have the same.
  bool values_transposed = false;
  std::vector<LlamaTensor> keys, values;  // No values: latent attention.
};

// The state of the sequence in one recurrent layer, as its bytes.
struct LlamaState {
  const LlamaType* type = nullptr;
  uint64_t offset = 0, size_bytes = 0;
};
struct LlamaRecurrent {
  uint32_t layers = 0;    // Of the whole model.
  uint32_t position = 0;  // Of the last token that went in.
  std::vector<uint32_t> sequences;
  std::vector<LlamaState> convolutions, states;  // One of each per recurrent layer.
};

struct LlamaFile {
  bool is_context = false;  // ggsn
  uint32_t version = 0;
  std::string architecture;            // ggsn
  std::vector<uint32_t> tokens;        // One per position; empty when the file has none.
  std::vector<uint32_t> extra_tokens;  // Ids behind those: sampled, not yet in the cache.
  bool wrapped_tokens = false;         // As llama-server's slots have it.
  bool has_outputs = false, has_streams = false, has_cell_extra = false;
  std::vector<LlamaAttention> caches;  // The whole cache, then the sliding-window layers'.
  std::optional<LlamaRecurrent> recurrent;

  uint64_t token_count() const;  // Positions that the sequence has.
  // Of a version that nobody has seen, whose body is of a known layout all the same.
  bool is_newer() const;
  // "ggsq version 3, 300 cells, …": what was seen, for people.
  std::string describe() const;
};

// Invalid when it is no such file, cut, of no known layout, or when the cells of the sequence do
// not stand at the positions 0, 1, 2, …, in whatever order. A file of several sequences needs to be
// told which.
Result<LlamaFile> parse_llama(const SourceFile& file, std::optional<uint32_t> sequence = {});

}  // namespace kvcs::kvfile
