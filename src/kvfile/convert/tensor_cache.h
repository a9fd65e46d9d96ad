// A foreign cache whose values lie as plain tensors in one file or several: safetensors, or raw
// pages. The importers say where each layer's keys and values begin and how they are strided; the
// reading stands here once. Immutable when it is filled in; may be read by many threads.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvfile/convert/import.h"
#include "kvfile/format/source_file.h"

namespace kvcs::kvfile {

// Consecutive tokens that lie evenly in one file. A cache that is kept in pages, or a ring that
// has turned, has several; their order is that of the positions.
struct TokenRun {
  size_t source = 0;    // Of TensorCache::sources.
  uint64_t offset = 0;  // Of the first token's first channel of head 0, in bytes.
  uint64_t tokens = 0;
};

// Codes of mlx-lm: `bits` for each value, as one stream of bits for each row, low bits first; a
// value is code · scale + bias, and `group` channels share both.
struct GroupCodes {
  uint64_t bits = 0, group = 0;
  uint64_t scales = 0, biases = 0;  // Offsets in the first run's file.
  Dtype dtype = Dtype::kF16;        // Of scales and biases.
};

// Keys or values of one layer. Channels of one head of one token are side by side.
struct TensorView {
  uint64_t heads = 0, tokens = 0, dim = 0;
  uint64_t head_stride = 0, token_stride = 0;  // In values.
  Dtype dtype = Dtype::kF16;                   // In the file; also F8_E4M3 and F8_E5M2.
  float scale = 1;                             // What every value is multiplied by.
  std::vector<TokenRun> runs;
  std::optional<GroupCodes> codes;
};

// Rows of tokens of heads, [heads, tokens, dim] or [tokens, heads, dim].
void stride_heads_first(TensorView& view);
void stride_tokens_first(TensorView& view);
// `count` tokens of the view from `first` on, as the runs of another.
std::vector<TokenRun> cut_runs(const TensorView& view, uint64_t first, uint64_t count);

class TensorCache final : public CacheSource {
 public:
  std::vector<std::unique_ptr<SourceFile>> sources;
  std::vector<TensorView> keys, values;  // One of each for each layer.
  std::vector<uint32_t> ids;
  Metadata facts;
  std::vector<std::string> findings;  // Sentences for people.

  // Takes shape and dtype from the layers. Invalid, naming the first layer that differs from the
  // first, and when rows are too wide or lie beyond their file.
  Status finish();

  const Geometry& geometry() const override { return shape_; }
  Dtype dtype() const override { return dtype_; }
  const std::vector<uint32_t>& tokens() const override { return ids; }
  Metadata metadata() const override { return facts; }
  Status read(Part part, uint64_t layer, uint64_t first, uint64_t rows, float* out) const override;
  Status check_unchanged() const override;

 private:
  Status read_run(const TensorView& view, const TokenRun& run, uint64_t rows, float* out,
                  uint64_t out_rows) const;
  Status read_codes(const TensorView& view, const TokenRun& run, uint64_t rows, float* out,
                    uint64_t out_rows) const;
  Geometry shape_;
  Dtype dtype_ = Dtype::kF16;
};

// Tokens at the end whose keys and values are zero in every layer: the room of a cache that was
// allocated in advance. Reads from the end on and stops at the first value.
Result<uint64_t> count_zero_tail(const TensorCache& cache);

}  // namespace kvcs::kvfile
