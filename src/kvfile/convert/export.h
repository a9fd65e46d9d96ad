// Writes a .kv file in a form that other programs read: safetensors with the names of transformers'
// DynamicCache or of mlx-lm, or llama.cpp's sequence file (the layout is in llama_reader.h).
// Quantised files are decoded to their value dtype. The output appears complete or not at all. One
// thread per call.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "kvfile/convert/import.h"
#include "kvfile/convert/rope_detect.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct ExportOptions {
  std::string input, output;
  // llama: the order that the model's architecture wants; else what the import recorded.
  std::optional<RopePairing> rope;
  // llama: transposed as without flash attention, or in rows as with it; else as imported.
  std::optional<bool> transpose_values;
  std::optional<uint32_t> llama_version;  // Of ggsq; each engine takes its own alone.
  std::string key_type, value_type;       // llama: "q8_0", …; empty: as imported, else the dtype.
  RotationChoice rotation = RotationChoice::kAuto;
};
struct ExportReport {
  uint64_t size_bytes = 0;
  std::string form;  // "ggsq version 3, rope norm, …"
};
// Invalid when the layers are not alike: none of these forms is written of such a cache.
Status check_exportable(const KvHeader& header);
// Tensors key_cache.N and value_cache.N. What is recorded of model, rotary pairs, text and token
// ids stands in the metadata, under the keys of a .kv, and an import takes it back.
Result<ExportReport> export_safetensors(const ExportOptions& options);
// A prompt cache of mlx-lm, of its class KVCache; the same facts are the user's metadata there.
Result<ExportReport> export_mlx(const ExportOptions& options);
// "ggsq", in the version, types, rotation and layout that the engine has which is to read it. A
// file that was imported from one becomes the same bytes again: F16, BF16 and F32 always, the
// blocks of quantised types when it was imported as F32, and as F16 but for blocks whose values are
// lost in the rounding. Invalid when token ids or the rope order are not recorded, or when tokens
// or layers were cut off.
Result<ExportReport> export_llama(const ExportOptions& options);

// Values of one tensor in the dtype that they had. A quantised file may decode to values beyond
// that dtype, which is Invalid; the values of a plain file are in it already.
Status encode_exported(const KvHeader& from, Part part, uint64_t layer, const std::vector<float>& x,
                       std::vector<char>& raw);

}  // namespace kvcs::kvfile
