// Writes a .kv file in a form that other programs read: safetensors with the names of transformers'
// DynamicCache, or llama.cpp's sequence file (the layout is in llama_reader.h). Quantised files are
// decoded to their value dtype. The output appears complete or not at all. One thread per call.
#pragma once
#include <optional>
#include <string>

#include "kvfile/convert/rope_detect.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct ExportOptions {
  std::string input, output;
  // llama: the order that the model's architecture wants; else what the import recorded.
  std::optional<RopePairing> rope;
  bool transpose_values = false;  // llama: as without flash attention; else as imported.
};
struct ExportReport {
  uint64_t size_bytes = 0;
  std::string form;  // "ggsq version 3, rope norm, …"
};
// Tensors key_cache.N and value_cache.N.
Result<ExportReport> export_safetensors(const ExportOptions& options);
// "ggsq" version 3. A file that was imported from one as F16 becomes the same bytes again. Invalid
// when token ids or the rope order are not recorded, or when tokens were cut off in front.
Result<ExportReport> export_llama(const ExportOptions& options);

}  // namespace kvcs::kvfile
