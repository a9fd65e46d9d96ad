// State files of llama.cpp made by hand for tests: one attention cache whose keys turn with the
// position as a model's first layer turns them, in any shape, order and type.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "kvfile/convert/llama_blocks.h"
#include "kvfile/convert/rope_detect.h"
#include "kvfile/kernels/kernels.h"
#include "kvfile/support.h"

namespace kvcs::kvfile {

struct LlamaSample {
  uint32_t version = 3;
  std::vector<uint32_t> ids;  // Of the file; empty: none.
  uint64_t tokens = 96, distinct = 20, layers = 2, heads = 2, head_dim = 64;
  uint64_t rope_dim = 0;  // 0: the whole head; 1: none.
  RopePairing pairing = RopePairing::kNorm;
  double base = 10'000;
  std::string key_type = "f32", value_type = "f32";
  bool rotated = false;
  // Position and sequences of each cell, when not 0, 1, 2, … of sequence 0.
  std::vector<uint32_t> positions;
  std::vector<std::vector<uint32_t>> sequences;

  std::vector<uint32_t> token_ids() const {
    Noise noise(11);
    std::vector<uint32_t> out(tokens);
    for (uint32_t& id : out) id = static_cast<uint32_t>(noise.next() % distinct);
    return out;
  }
  // The key of a token at a position, in transformers' order of channels.
  std::vector<float> key(uint64_t layer, uint32_t id, uint32_t position) const {
    Noise noise(1000 * layer + id + 1);
    const uint64_t turned = rope_dim == 0 ? head_dim : rope_dim & ~uint64_t{1};
    std::vector<float> out(heads * head_dim);
    for (float& x : out) x = noise.value();
    for (uint64_t h = 0; h < heads; h++) {
      for (uint64_t j = 0; j < turned / 2; j++) {
        const double angle =
            position * std::pow(base, -2.0 * static_cast<double>(j) / static_cast<double>(turned));
        float& a = out[h * head_dim + j];
        float& b = out[h * head_dim + j + turned / 2];
        const double x = a, y = b;
        a = static_cast<float>(x * std::cos(angle) - y * std::sin(angle));
        b = static_cast<float>(x * std::sin(angle) + y * std::cos(angle));
      }
    }
    return out;
  }

  std::string bytes() const {
    const std::vector<uint32_t> all = token_ids();
    std::string out;
    const auto put = [&](uint64_t number) { append_u32le(out, static_cast<uint32_t>(number)); };
    put(0x67677371);
    put(version);
    put(ids.size());
    for (const uint32_t id : ids) put(id);
    put(1);
    const uint64_t cells = positions.empty() ? tokens : positions.size();
    const auto position_of = [&](uint64_t cell) {
      return positions.empty() ? static_cast<uint32_t>(cell) : positions[cell];
    };
    put(cells);
    for (uint64_t cell = 0; cell < cells; cell++) {
      put(position_of(cell));
      const std::vector<uint32_t> of =
          sequences.empty() ? std::vector<uint32_t>{0} : sequences[cell];
      put(of.size());
      for (const uint32_t one : of) put(one);
    }
    put(0);
    put(layers);
    for (const bool keys : {true, false}) {
      const LlamaType& type = *find_llama_type(keys ? key_type : value_type);
      const uint64_t width = heads * head_dim;
      for (uint64_t layer = 0; layer < layers; layer++) {
        put(type.number);
        const uint64_t row_bytes = width / type.block_values * type.block_bytes;
        append_u64le(out, row_bytes);
        for (uint64_t cell = 0; cell < cells; cell++) {
          const uint32_t position = position_of(cell);
          std::vector<float> row = key(layer + (keys ? 0 : 100), all[position], position);
          if (keys && pairing == RopePairing::kNorm) interleave(row);
          const uint64_t block =
              keys ? llama_key_rotation(head_dim) : llama_value_rotation(head_dim);
          if (rotated && type.quantized()) kernels().hadamard(row.data(), width / block, block);
          std::string raw(row_bytes, '\0');
          encode_llama(type, row.data(), raw.data(), width);
          out += raw;
        }
      }
    }
    return out;
  }

 private:
  void interleave(std::vector<float>& row) const {
    const uint64_t turned = rope_dim == 0 ? head_dim : rope_dim & ~uint64_t{1};
    for (uint64_t h = 0; h < heads; h++) {
      std::vector<float> head(row.begin() + static_cast<ptrdiff_t>(h * head_dim),
                              row.begin() + static_cast<ptrdiff_t>((h + 1) * head_dim));
      for (uint64_t j = 0; j < turned / 2; j++) {
        row[h * head_dim + 2 * j] = head[j];
        row[h * head_dim + 2 * j + 1] = head[j + turned / 2];
      }
    }
  }
};

}  // namespace kvcs::kvfile
