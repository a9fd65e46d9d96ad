// Measures the cost of an artifact on this machine: loading, verifying, quantising, slicing; with
// the machine's own limits, measured in the same run, beside every figure. What is written goes to
// a scratch folder that is removed. One thread calls; the operations use their own.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

struct Timing {
  uint64_t bytes = 0;  // Handled by one run.
  uint64_t repetitions = 0;
  double min_s = 0, median_s = 0;
  double bytes_per_s() const { return median_s > 0 ? static_cast<double>(bytes) / median_s : 0; }
  double best_bytes_per_s() const { return min_s > 0 ? static_cast<double>(bytes) / min_s : 0; }
};

// The best that one thread of this machine can do: "memcpy", "sha256", "cache_read" (a file that is
// in the page cache), "disk_read", "disk_write". The fastest of several runs counts, by whichever
// method is the fastest; and an operation that is faster still becomes the limit itself.
struct Limit {
  std::string name;
  Timing timing;
};

// `bytes` at a limit, as one of the things that an operation must do.
struct Stage {
  std::string limit;
  uint64_t bytes = 0;
};

struct Operation {
  std::string name;    // "load_cold", "load_warm", "verify", "quantise", "dequantise", "slice", …
  std::string scheme;  // Of quantise and dequantise; else that of the artifact.
  Timing timing;
  std::string limit;               // The limit that is reached first; "" when none applies.
  double limit_s = 0;              // What the run would take at that limit.
  uint64_t memory_bytes = 0;       // The process's peak while it ran; 0: the kernel does not say.
  std::vector<Stage> stages = {};  // While it is measured; no file has them.
};

// The loss of exactness by a scheme. A scheme "cast BF16" or "cast F16" is no scheme: its loss is
// what everybody takes for none, and stands beside the others as a measure.
struct SchemeError {
  std::string scheme;
  uint64_t bytes = 0, original_bytes = 0;
  double keys_snr_db = 0, values_snr_db = 0;  // Infinite when nothing was lost.
  std::optional<double> attention_error;
  std::string note = {};  // Why it is so large: "132 tokens kept as they were".
  bool is_reference() const { return scheme.starts_with("cast "); }
};

// The same of one layer.
struct LayerLoss {
  std::string scheme;
  uint64_t layer = 0;
  double keys_snr_db = 0, values_snr_db = 0;
};

// kvcdn's row: a prefill that the user timed against loading so many tokens from this disk.
struct ReuseRow {
  uint64_t tokens = 0;
  double prefill_s = 0, kv_attn_s = 0, kv_mb = 0;
  std::optional<double> prefill_gflops = {};  // As the user's file says.
  // The artifact has fewer tokens: the load was not measured but scaled from all of them.
  uint64_t scaled_from = 0;
  double speedup() const { return kv_attn_s > 0 ? prefill_s / kv_attn_s : 0; }
};

struct Fact {
  std::string name, text;
};

struct BenchmarkReport {
  std::vector<Fact> machine, artifact;
  std::vector<Limit> limits;
  std::vector<Operation> operations;
  std::vector<SchemeError> errors;
  std::vector<LayerLoss> layers;
  std::vector<ReuseRow> reuse;
  std::vector<std::string> notes;  // What was left out, and why.
};

// One line of the user's prefill file.
struct PrefillRow {
  uint64_t tokens = 0;
  double prefill_s = 0;
  std::optional<double> prefill_gflops;
};

struct BenchmarkOptions {
  std::string path;
  std::string scratch;  // An existing folder, on the disk that is to be measured.
  uint64_t repetitions = 3;
  std::vector<Scheme> schemes;
  std::vector<PrefillRow> prefill;
  std::function<void(const std::string& what)> progress = [](const std::string&) {};
};

// Invalid when the artifact is no .kv file; what one scheme refuses becomes a note.
Result<BenchmarkReport> run_benchmark(const BenchmarkOptions& options);

// Runs `work` so many times, `before` untimed each time, and adds the operation to the report
// with the slowest of its stages.
struct OperationSpec {
  std::string name, scheme;
  uint64_t bytes = 0;
  std::vector<Stage> stages;
  std::function<Status()> work;
  std::function<Status()> before = [] { return ok(); };
};
Status measure_operation(const OperationSpec& spec, uint64_t repetitions, BenchmarkReport& report);
// Raises each limit that an operation has beaten to what that operation did, with a note, and sets
// the operations' limits anew. Whoever adds operations calls it behind the last.
void settle_limits(BenchmarkReport& report);

}  // namespace kvcs::kvfile
