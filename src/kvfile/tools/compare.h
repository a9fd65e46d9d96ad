// How far two caches are apart: the figures by which a quantisation is judged. Both files are
// decoded tile by tile whatever their schemes, so memory does not grow with their size.
#pragma once
#include <optional>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

// Keys or values, of one layer or of all.
struct PartError {
  uint64_t values = 0;
  double error_max = 0;  // max |a-b|
  double mse = 0;
  double snr_db = 0;                       // 10·log10(Σa² / Σ(a-b)²); infinite when equal.
  double cosine_mean = 1, cosine_min = 1;  // Over the rows (token, head).
};
struct LayerError {
  PartError keys, values;  // No values: the layer has no such part.
  // ‖softmax(q·Kᵀ/√d)·V − the same of b‖ / ‖…a‖ over seeded queries; absent when not sampled.
  std::optional<double> attention_error;
};
struct CompareReport {
  std::vector<LayerError> layers;
  PartError keys, values;
  std::optional<double> attention_error_mean, attention_error_max;
  double snr_min_db = 0;      // The worst layer's.
  uint64_t other_states = 0;  // Of recurrent layers: those that are not byte for byte the same.
};

struct CompareOptions {
  // Attention costs as much as the rest together: so many layers, evenly spread, are sampled.
  uint64_t attention_layers = 4;
  uint64_t seed = 1;
  bool round_to_dtype = false;  // b rounded to its dtype first, as dequantising would.
};

// Invalid when layers, heads, tokens, head_dim or positions differ; Conflict when a file changed
// meanwhile.
Result<CompareReport> compare(const KvFile& a, const KvFile& b, const CompareOptions& options = {});

}  // namespace kvcs::kvfile
