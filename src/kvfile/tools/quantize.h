// Makes a cache smaller, and back: plain files to a quantising scheme, any scheme to plain values.
// Streams tile by tile on a few threads, one of which hashes the source first; memory stays bounded
// for any size. The output appears complete or not at all and never replaces the input.
#pragma once
#include <optional>
#include <string>

#include "kvfile/kvfile.h"
#include "kvfile/tools/compare.h"

namespace kvcs::kvfile {

struct QuantizeOptions {
  std::string input, output;
  Scheme scheme = Scheme::kInt8c;
  // The dtype that dequantising gives later: "F16", "F32", "BF16", "FP8", "I8" (kvcdn's targets);
  // empty: the input's dtype, and F16 for int8.
  std::string target_dtype;
  bool rotate_hadamard = false;     // q8_0 and int4c only.
  bool saturate_nonfinite = false;  // Else NaN, infinities and values out of range are refused.
  bool verify = false;              // The output is verified before it appears.
  bool report = true;               // Figures of the error; the gates below need them.
  uint64_t attention_layers = 4;
  std::optional<double> min_snr_db;           // Of every layer's keys and values.
  std::optional<double> max_attention_error;  // Of every sampled layer.
  int64_t now_unix_ms = 0;                    // For the quant event.
};
struct QuantizeReport {
  KvHeader header;  // Of the output.
  uint64_t original_bytes = 0, quantized_bytes = 0;
  uint64_t nonfinite = 0, saturated = 0;
  std::string source_sha256;
  bool verified = false;
  std::optional<CompareReport> errors;
};
// Invalid: the input is not plain, the scheme does not fit it, values are not finite, or a gate
// failed (reason "gate_failed"); Conflict: the output is the input, or the input changed.
Result<QuantizeReport> quantize(const QuantizeOptions& options);

struct DequantizeOptions {
  std::string input, output;
  std::optional<Dtype> dtype;       // The file's own when absent.
  bool saturate_nonfinite = false;  // Values beyond the range of `dtype`.
};
struct DequantizeReport {
  KvHeader header;
  uint64_t original_bytes = 0;
  uint64_t saturated = 0;
};
Result<DequantizeReport> dequantize(const DequantizeOptions& options);

// The dtype of the sidecar for one of kvcdn's target names; Invalid with what to take instead.
Result<std::string> parse_target_dtype(std::string_view name);

}  // namespace kvcs::kvfile
