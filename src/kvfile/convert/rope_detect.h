// Finds out the shape and the order of a cache's keys from the keys themselves: llama.cpp's files
// state neither the size of a head, nor which two channels are a rotary pair, nor whether quantised
// keys were Hadamard-rotated. In the first layer a key depends on the token id and the position
// only, and rotary embedding turns pair j by position · base^(-2j / rope_dim). So between two
// places of one token every pair must have turned by exactly the distance of the places times its
// frequency. Pair 0 turns by one radian a token, so it shows where each head begins. A choice is
// taken only when all pairs agree with it. Pure functions.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs::kvfile {

// NORM: the channels 2j and 2j+1 are a pair. NEOX: j and j + rope_dim/2, as transformers has it.
enum class RopePairing : uint8_t { kNorm, kNeox };
std::string_view pairing_name(RopePairing pairing);  // "norm", "neox"

struct RopeChoice {
  RopePairing pairing = RopePairing::kNeox;
  bool hadamard = false;
  bool detected = false;  // From the data, not by order.
  uint64_t head_dim = 0;
  uint64_t rope_dim = 0;  // Channels of a head that are turned, the first ones; 0: not known.
  // The mean of cos(angle - expected angle) over all pairs, weighted by their lengths: 1 in exact
  // arithmetic, about 0 for a wrong choice.
  double agreement = 0;
  double other_agreement = 0;  // Of the next best choice.
  // Frequencies that are no plain geometric row (scaled rotary embedding) give no base.
  std::optional<double> base;
  double linear_scaling = 1;    // Positions are divided by it.
  bool by_length_only = false;  // Angles fit no known row, only lengths of pairs stay equal.
  uint64_t rows_compared = 0;
};

// The places to look at: the rows of token ids that occur more than once, grouped by id.
struct RepeatedTokens {
  std::vector<std::vector<uint64_t>> places;  // Per token id, the places in `tokens`.
  uint64_t rows = 0;
};
// At most `rows_max` rows, so that memory stays bounded for wide rows.
RepeatedTokens find_repeated_tokens(const std::vector<uint32_t>& tokens,
                                    uint64_t rows_max = UINT64_MAX);

// The block of llama.cpp's Hadamard rotation, 0 when heads of this size are never rotated: for keys
// the largest power of two that divides head_dim, for values 64, and both only when head_dim is a
// multiple of 64.
uint64_t llama_key_rotation(uint64_t head_dim);
uint64_t llama_value_rotation(uint64_t head_dim);

// Facts that the form of the file or its model has decided already; absent ones are detected.
struct RopeQuestion {
  std::optional<bool> hadamard;
  std::optional<uint64_t> head_dim;  // Used when angles decide nothing, for lengths of pairs.
  // What rounding changes at most, relative to the values: a pair that turned by less looks at
  // rest.
  double precision = 1e-6;
};
// `keys` holds the rows of `repeated`, group after group, each `width` values as stored; a place is
// a position. Invalid when nothing repeats or no choice stands out: the user must be asked.
Result<RopeChoice> detect_rope(const RepeatedTokens& repeated, const std::vector<float>& keys,
                               uint64_t width, const RopeQuestion& question);

}  // namespace kvcs::kvfile
