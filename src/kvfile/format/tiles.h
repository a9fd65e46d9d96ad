// A cache as tiles: up to 256 tokens of one head of one layer's keys or values, as floats. The
// reader decodes any scheme, the writer encodes one; both touch only the bytes of the tile, so
// that memory does not grow with the file. 256 is the number of tokens that share a scale in int8c,
// the block of the prefix chain (prefix_chain.h) and a multiple of int4c's groups, so that no scale
// and no block crosses a tile. All tools work this way: read a tile, do something, write a tile.
//
// Threads: one object per thread; several may share a KvFile or a KvWriter.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "kvfile/format/layout.h"
#include "kvfile/kernels/kernels.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kHeadDimMax = 16'384;  // Of tiles; bounds their memory.

// Tokens [first, first + rows) of one head; `first` is a multiple of kTileTokens.
struct Tile {
  Part part = Part::kKeys;
  uint64_t layer = 0, head = 0, first = 0, rows = 0;
};
// The tokens of a tile that a scheme quantises, without those that int4c keeps. Positions are those
// of the cache, not of the tile.
struct Span {
  uint64_t from = 0, to = 0;
};
Span quantized_span(const PartShape& shape, const Tile& tile);
// Every tile of one layer's keys or values, in file order.
std::vector<Tile> tiles_of(const PartShape& shape, Part part, uint64_t layer);
std::vector<Tile> tiles_of(const Geometry& geometry, Part part, uint64_t layer);
// The values of the largest tile of any part.
uint64_t tile_values_max(const KvHeader& header);

// The orthonormal transform over channels that a group-wise scheme may apply before it quantises.
// It spreads an outlier over its whole block, so that the block's scale need not rise for one
// channel: q8_0 gains about 5 dB on keys.
struct Rotation {
  uint64_t block = 0;  // Channels per transform; 0: none.
};
std::string rotation_name(const Rotation& rotation);  // "none", "hadamard-64"
// Of keys and of values: one name where they are equal, else both with a comma between.
std::string rotation_name(const std::array<Rotation, 2>& rotations);
Result<Rotation> parse_rotation(std::string_view name, uint64_t head_dim);
// The first channels of a key's codes that stand as neighbouring rotary pairs, by kvcs.key_order
// and kvcs.rope_dim; 0: none. Invalid when they do not fit.
Result<uint64_t> paired_channels(const Metadata& metadata, uint64_t head_dim);
Rotation hadamard_for(uint64_t head_dim);  // The largest power of two that divides it.
// The largest that divides every head_dim, in blocks of one size for keys and one for values.
std::array<Rotation, 2> hadamard_for(const std::vector<LayerShape>& shapes);

class TileReader final {
 public:
  // Invalid when a head_dim is over kHeadDimMax.
  static Result<TileReader> create(const KvFile& file);
  // rows × head_dim floats of the part. `nonfinite` counts NaN and infinities of a plain file's
  // tile.
  Status read(const Tile& tile, float* out, uint64_t* nonfinite = nullptr);
  // The same as values of `dtype`. A plain file that has this dtype is read without any conversion.
  Status read_as(const Tile& tile, Dtype dtype, void* out, uint64_t* nonfinite = nullptr);

 private:
  explicit TileReader(const KvFile& file) : file_(&file) {}
  Status read_plain(const Tile& tile, Dtype dtype, void* out, uint64_t* nonfinite);
  Status read_int8(const Tile& tile, Dtype dtype, void* out);
  Status read_scaled(const Tile& tile, Dtype dtype, void* out);
  Status read_int4(const Tile& tile, float* out);
  Status read_codes(const Tile& tile, uint64_t first, uint64_t rows, uint64_t row_bytes);
  Result<const float*> read_factors(const Tensor& tensor, uint64_t offset, uint64_t count,
                                    std::vector<float>& to);

  const KvFile* file_;
  const PartShape* shape_ = nullptr;  // Of the tile that is being read.
  std::vector<char> raw_;
  std::vector<char> factor_bytes_;
  std::vector<uint8_t> codes_;
  std::vector<float> scales_, minima_, floats_;
};

// Losses of a tile beyond the scheme's own error.
struct EncodeCounts {
  uint64_t saturated = 0;  // Values beyond what the scheme can hold.
};

class TileWriter final {
 public:
  // The header of `writer` says how each part is kept.
  explicit TileWriter(KvWriter& writer);
  // `x` holds values of `dtype`. int8 needs the tensor's scale from set_scale() first. Values
  // beyond what the scheme holds are cut and counted.
  Status write(const Tile& tile, Dtype dtype, const void* x, EncodeCounts& counts);
  void set_scale(float scale) { tensor_scale_ = scale; }

 private:
  Status write_plain(const Tile& tile, Dtype dtype, const void* x, EncodeCounts& counts);
  Status write_int8(const Tile& tile, Dtype dtype, const void* x);
  Status write_int8c(const Tile& tile, Dtype dtype, const void* x);
  Status write_q8(const Tile& tile, Dtype dtype, const void* x, EncodeCounts& counts);
  Status write_int4(const Tile& tile, const float* x);
  Status write_int4_groups(const Tile& tile, const float* x, uint64_t from, uint64_t to);
  Status put_factors(const Tensor& tensor, uint64_t offset, const std::vector<float>& factors);

  KvWriter* writer_;
  const PartShape* shape_ = nullptr;  // Of the tile that is being written.
  float tensor_scale_ = 1;
  std::vector<char> raw_;
  std::vector<uint8_t> codes_, packed_;
  std::vector<float> scales_, minima_, inverses_, floats_;
};

// NaN becomes zero, an infinity the largest value of `dtype`.
void saturate_nonfinite(float* x, size_t n, Dtype dtype);
// The same of values of `dtype`, in place.
void saturate_values(Dtype dtype, void* x, size_t n);

// The scale of a kvcdn tensor whose largest magnitude is `max`.
float kvcdn_scale(float max);

}  // namespace kvcs::kvfile
