// Makes .kv files of other programs' caches, in the layout that transformers has: keys and values
// [1, kv_heads, tokens, head_dim], the two channels of a rotary pair half a head apart. Reads by
// tiles; memory does not grow with the input. What was found out about the source, and how, is in
// the report and in the metadata. One thread per call.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvfile/convert/model_facts.h"
#include "kvfile/convert/rope_detect.h"
#include "kvfile/format/layout.h"
#include "kvfile/format/publish.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

// kv_heads · head_dim of what is imported or exported. It bounds memory: 256 rows are 16 MiB, and
// the rows that the order of rotary pairs is read from 128 MiB.
inline constexpr uint64_t kRowValuesMax = 16 << 10;
Status check_row_values(const Geometry& geometry);  // Invalid names both numbers.

// A foreign cache that can be read in pieces.
class CacheSource {
 public:
  virtual ~CacheSource() = default;
  // Layers that differ have `shapes`, each part with its size and each window with its positions;
  // how the parts are kept is the writer's part.
  virtual const Geometry& geometry() const = 0;
  virtual Dtype dtype() const = 0;  // What an import writes unless told otherwise.
  virtual const std::vector<uint32_t>& tokens() const = 0;  // Empty when not recorded.
  virtual Metadata metadata() const = 0;
  // heads × rows × head_dim values of a part; rows ≤ kTileTokens.
  virtual Status read(Part part, uint64_t layer, uint64_t first, uint64_t rows,
                      float* out) const = 0;
  // The states of recurrent layers, by state_name(), in the bytes that they are carried along as.
  virtual std::vector<Tensor> states() const { return {}; }
  virtual Status read_state(const Tensor& /*state*/, uint64_t /*offset*/, void* /*out*/,
                            size_t /*size_bytes*/) const {
    return internal("a source without states was asked for one");
  }
  virtual Status check_unchanged() const = 0;
};

enum class RopeOrder : uint8_t { kAuto, kNorm, kNeox, kRaw };  // Raw: keys stay as they are.
enum class RotationChoice : uint8_t { kAuto, kNone, kHadamard };

// Reads q8_0 blocks of a source as they are, by heads: heads × rows × head_dim codes, and a F16
// scale for each 32 of them.
using ReadBlocks = std::function<Status(Part part, uint64_t layer, uint64_t first, uint64_t rows,
                                        int8_t* codes, uint16_t* scales)>;

// What the user knows; the file itself says little. Whatever the keys contradict is refused.
struct LlamaImport {
  uint64_t kv_heads = 0, head_dim = 0;  // 0: the keys or the model show it.
  RopeOrder rope = RopeOrder::kAuto;
  RotationChoice rotation = RotationChoice::kAuto;
  std::optional<double> rope_base;
  std::string architecture;         // llama.cpp's name; empty: the model's or the file's.
  std::optional<ModelFacts> model;  // Of --gguf or --config.
  std::optional<uint32_t> sequence;
  std::optional<std::vector<uint32_t>> tokens;  // Instead of the file's.
};
struct ImportedLlama {
  std::unique_ptr<CacheSource> cache;
  std::string seen;      // "ggsn version 10, …"
  std::string evidence;  // What the keys show; empty when they decided nothing.
  RopeChoice rope;
  uint64_t heads = 0;
  bool is_reordered = false;  // NORM keys brought into transformers' order.
  bool is_adjacent = false;   // NORM keys that transformers keeps in this order.
  // Keys and values that are both q8_0 can be imported as their blocks. Lives as long as `cache`.
  ReadBlocks blocks;
};
Result<ImportedLlama> open_llama_cache(const std::string& path, const LlamaImport& options);

// The other sources. `seen` says in sentences what was found out about them.
struct ImportedTensors {
  std::unique_ptr<CacheSource> cache;
  std::vector<std::string> seen;
};
enum class TensorLayout : uint8_t { kHnd, kNhd };  // [heads, tokens, …] or [tokens, heads, …].
struct HfImport {
  std::string key_name, value_name;  // "layers.{}.k"; empty: one of the known names.
  TensorLayout layout = TensorLayout::kHnd;
  std::optional<uint64_t> tokens;  // How many the user knows of; what is behind them is padding.
};
// safetensors with the keys and values of transformers' caches, by whatever names. Rows of zeros at
// the end are left out.
Result<ImportedTensors> open_hf_cache(const std::string& path, const HfImport& options = {});
// mlx-lm's prompt cache: plain and quantised ones, and ring buffers that have dropped nothing.
Result<ImportedTensors> open_mlx_cache(const std::string& path);
struct VllmImport {
  uint64_t kv_heads = 0;                        // Where the file does not tell them.
  Dtype narrow = Dtype::kF8E4m3;                // What bytes without a type are.
  std::optional<float> key_scale, value_scale;  // Of narrow values; else those of the file, or 1.
};
// A folder of vLLM's example connector, of any of its versions.
Result<ImportedTensors> open_vllm_cache(const std::string& folder, const VllmImport& options = {});
// Raw pages of LMCache or SGLang that a geometry.json in the same folder describes (formats.md).
Result<ImportedTensors> open_page_cache(const std::string& folder);

struct ImportOptions {
  std::string output;
  std::vector<std::string> inputs;  // Never overwritten.
  std::optional<Dtype> dtype;       // F16, BF16 or F32.
  ReadBlocks blocks;                // Of ImportedLlama: writes a q8_0 file, without any rounding.
  Metadata facts;                   // Recorded as they are; they stand before what the source says.
  std::optional<std::vector<uint32_t>> tokens;  // When the source does not record them.
  std::optional<std::string> prompt;            // The text, for the sidecar.
  std::vector<Companion> companions;            // More small files that appear with the artifact.
};
struct ImportReport {
  KvHeader header;
  uint64_t saturated = 0;  // Values beyond what the dtype can hold.
};
// Writes the file and its sidecar. Invalid when the token ids are not as many as the tokens.
Result<ImportReport> write_imported(const CacheSource& source, const ImportOptions& options);

}  // namespace kvcs::kvfile
