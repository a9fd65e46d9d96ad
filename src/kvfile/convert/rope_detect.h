// Finds out in which order a cache keeps the two channels of a rotary pair, and whether its
// quantised keys were Hadamard-rotated: llama.cpp's files say neither. In layer 0 a key depends on
// the token id and the position only, and rotary embedding turns pairs of channels without changing
// their length. So over the places of one repeated token the lengths of the right pairs stay equal,
// and those of wrong ones do not. Pure functions.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace kvcs::kvfile {

// NORM: the channels 2j and 2j+1 are a pair. NEOX: j and j + head_dim/2, as transformers has it.
enum class RopePairing : uint8_t { kNorm, kNeox };
std::string_view pairing_name(RopePairing pairing);  // "norm", "neox"

struct RopeChoice {
  RopePairing pairing = RopePairing::kNeox;
  bool hadamard = false;
  bool detected = false;    // From the data, not by order.
  double spread = 0;        // Of the pair lengths under this choice: near zero.
  double other_spread = 0;  // Of the next best.
  uint64_t rows_compared = 0;
};

// The places to look at: the rows of token ids that occur more than once, grouped by id.
struct RepeatedTokens {
  std::vector<std::vector<uint64_t>> places;  // Per token id, the rows in the cache.
  uint64_t rows = 0;
};
RepeatedTokens find_repeated_tokens(const std::vector<uint32_t>& tokens);

// The block of llama.cpp's Hadamard rotation, 0 when heads of this size are never rotated: for keys
// the largest power of two that divides head_dim, for values 64, and both only when head_dim is a
// multiple of 64.
uint64_t llama_key_rotation(uint64_t head_dim);
uint64_t llama_value_rotation(uint64_t head_dim);

// Facts that the user or the form of the file has decided already; absent ones are detected.
struct RopeQuestion {
  std::optional<RopePairing> pairing;
  std::optional<bool> hadamard;
};
// `keys` holds the rows of `repeated`, group after group, each heads × head_dim values as stored.
// Invalid when nothing repeats or no choice stands out: the caller must be told by its user.
Result<RopeChoice> detect_rope(const RepeatedTokens& repeated, const std::vector<float>& keys,
                               uint64_t heads, uint64_t head_dim, const RopeQuestion& question);

}  // namespace kvcs::kvfile
