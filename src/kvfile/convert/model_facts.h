// What a model says about the shape of its cache, read from the file that describes it: llama.cpp's
// GGUF or transformers' config.json. The files of a cache do not repeat it. Only the description is
// read, never weights. Pure; values.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kvfile/convert/rope_detect.h"

namespace kvcs::kvfile {

// Facts that are zero or absent are not stated.
struct ModelFacts {
  std::string source;        // "--gguf model.gguf", for messages.
  std::string architecture;  // llama.cpp's name: "llama", "qwen3", "command-r".
  std::string name;
  std::vector<uint64_t> kv_heads;  // Per layer; 0: the layer has no attention cache.
  std::vector<bool> is_window;     // Per layer; empty: no layer has a sliding window.
  uint64_t key_dim = 0, value_dim = 0;
  uint64_t window_key_dim = 0, window_value_dim = 0;  // Where they differ from the others.
  bool is_latent = false;                             // MLA: one head of keys, no values.
  uint64_t rope_dim = 0;
  std::optional<double> rope_base;
  std::string rope_scaling;
};
// Invalid when the file is no GGUF or does not describe a model with a cache.
Result<ModelFacts> read_gguf_facts(const std::string& path);
Result<ModelFacts> read_config_facts(const std::string& path);

// How llama.cpp pairs the channels of an architecture's keys; absent for unknown ones.
std::optional<RopePairing> llama_pairing(std::string_view architecture);
// Whether transformers, too, has the pairs of this NORM architecture side by side. For the others
// llama.cpp's converter permutes the weights, so that its keys must be brought into another order.
bool is_adjacent_in_transformers(std::string_view architecture);

}  // namespace kvcs::kvfile
