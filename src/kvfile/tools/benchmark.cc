// Runs the operations on one artifact, one after the other, and puts the machine's limit beside
// each: what the slowest of its necessary stages would take alone.
#include "kvfile/tools/benchmark.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/decimal.h"
#include "kvfile/tools/compare.h"
#include "kvfile/tools/machine.h"
#include "kvfile/tools/quantize.h"
#include "kvfile/tools/slice.h"
#include "kvfile/tools/verify.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kLoadBytes = 4 << 20;
// Enough to see the disk behind its cache, and no more than a run should take.
constexpr uint64_t kLimitRepetitions = 5;
constexpr uint64_t kLimitFileMin = 16 << 20, kLimitFileMax = 256 << 20;

class Runner {
 public:
  Runner(const BenchmarkOptions& options, const KvFile& file, BenchmarkReport& report)
      : options_(options), file_(file), report_(report), buffer_(kLoadBytes) {}

  Status run() {
    const KvHeader& header = file_.header();
    options_.progress("limits of this machine");
    report_.machine = machine_facts(options_.scratch);
    report_.artifact = artifact_facts();
    report_.limits = KVCS_TRY(measure_limits(
        options_.scratch, std::clamp(header.file_bytes, kLimitFileMin, kLimitFileMax),
        std::max(options_.repetitions, kLimitRepetitions), report_.notes));
    KVCS_TRY(measure_loads());
    KVCS_TRY(measure_verify());
    KVCS_TRY(measure_schemes());
    KVCS_TRY(measure_slice());
    KVCS_TRY(measure_reuse());
    settle_limits(report_);
    return file_.check_unchanged();
  }

 private:
  std::vector<Fact> artifact_facts() const {
    const KvHeader& header = file_.header();
    return {{"file", file_.path()},
            {"size_bytes", std::to_string(header.file_bytes)},
            {"scheme", std::string(scheme_name(header.scheme))},
            {"dtype", std::string(dtype_name(header.dtype))},
            {"layers", std::to_string(header.layers)},
            {"kv_heads", std::to_string(header.kv_heads)},
            {"tokens", std::to_string(header.tokens)},
            {"head_dim", std::to_string(header.head_dim)}};
  }

  std::string own_scheme() const { return std::string(scheme_name(file_.header().scheme)); }
  Status measure(const OperationSpec& spec) {
    options_.progress(spec.name + " " + spec.scheme);
    return measure_operation(spec, options_.repetitions, report_);
  }

  // Opens a file anew, checks its header and reads every byte into one buffer.
  Status load(const std::string& path) {
    const auto file = KVCS_TRY(KvFile::open(path));
    for (uint64_t at = 0; at < file->size_bytes();) {
      const size_t n = std::min<uint64_t>(buffer_.size(), file->size_bytes() - at);
      KVCS_TRY(file->read(at, buffer_.data(), n));
      at += n;
    }
    return ok();
  }

  Status drop_cache() {
    kept_share_ = std::max(kept_share_, KVCS_TRY(drop_file_cache(options_.path)));
    return ok();
  }

  // A cold load asks the kernel to forget the file's pages before each run. How many it kept all
  // the same is told in a note, for caches of the disk are not emptied.
  Status measure_loads() {
    const uint64_t bytes = file_.size_bytes();
    const auto load_once = [this] { return load(options_.path); };
    KVCS_TRY(measure({.name = "load_cold",
                      .scheme = own_scheme(),
                      .bytes = bytes,
                      .stages = {{"disk_read", bytes}},
                      .work = load_once,
                      .before = [this] { return drop_cache(); }}));
    report_.notes.push_back(
        "load_cold: the kernel was asked to forget the file's pages before each run (kept " +
        format_decimal(kept_share_ * 100, 1) +
        " %); caches of the disk or of a hypervisor are not emptied");
    KVCS_TRY(load(options_.path));
    return measure({.name = "load_warm",
                    .scheme = own_scheme(),
                    .bytes = bytes,
                    .stages = {{"cache_read", bytes}},
                    .work = load_once});
  }

  Status measure_verify() {
    const auto prove = [this]() -> Status {
      const VerifyReport proof = KVCS_TRY(verify({.path = options_.path}));
      if (proof.verdict == Verdict::kVerified) return ok();
      return invalid("the artifact does not verify: " + proof.why);
    };
    const uint64_t bytes = file_.size_bytes();
    return measure({.name = "verify",
                    .scheme = own_scheme(),
                    .bytes = bytes,
                    .stages = {{"sha256", bytes}},
                    .work = prove});
  }

  // A scheme that does not fit the artifact (q8_0 needs a head_dim that is a multiple of 32)
  // becomes a note.
  Status measure_schemes() {
    if (file_.header().scheme != Scheme::kPlain) {
      report_.notes.push_back("the artifact is already " + own_scheme() +
                              ": quantise and error figures need the plain one");
      return measure_dequantise(options_.path, file_.header());
    }
    KVCS_TRY(measure_casts());
    for (const Scheme scheme : options_.schemes) {
      const Status done = measure_scheme(scheme);
      if (done.code() == Code::kInvalid) {
        report_.notes.push_back(std::string(scheme_name(scheme)) + ": " + done.message());
      } else {
        KVCS_TRY(Status(done));
      }
    }
    return ok();
  }

  SchemeError error_of(std::string name, uint64_t bytes, uint64_t original_bytes,
                       const CompareReport& judged) {
    SchemeError error;
    error.scheme = std::move(name);
    error.bytes = bytes;
    error.original_bytes = original_bytes;
    error.keys_snr_db = judged.keys.snr_db;
    error.values_snr_db = judged.values.snr_db;
    error.attention_error = judged.attention_error_mean;
    for (size_t layer = 0; layer < judged.layers.size(); layer++) {
      report_.layers.push_back({error.scheme, layer, judged.layers[layer].keys.snr_db,
                                judged.layers[layer].values.snr_db});
    }
    return error;
  }

  // What a cast to each 16-bit dtype loses, where the artifact is of another. Values beyond F16
  // make that cast a note.
  Status measure_casts() {
    for (const Dtype dtype : {Dtype::kBf16, Dtype::kF16}) {
      if (dtype == file_.header().dtype) continue;
      const std::string name(dtype_name(dtype)), output = options_.scratch + "/cast.kv";
      options_.progress("error of a cast to " + name);
      auto cast = dequantize({options_.path, output, dtype, false});
      if (cast.code() == Code::kInvalid) {
        report_.notes.push_back("cast to " + name + ": " + cast.status().message());
        continue;
      }
      const uint64_t bytes = KVCS_TRY(std::move(cast)).header.file_bytes;
      const auto other = KVCS_TRY(KvFile::open(output));
      const CompareReport judged = KVCS_TRY(compare(file_, *other));
      report_.errors.push_back(error_of("cast " + name, bytes, file_.size_bytes(), judged));
    }
    return ok();
  }

  Status measure_scheme(Scheme scheme) {
    QuantizeOptions quant;
    quant.input = options_.path;
    quant.output = options_.scratch + "/quantised.kv";
    quant.scheme = scheme;
    options_.progress("error " + std::string(scheme_name(scheme)));
    // Once for the figures; it also shows whether the scheme fits.
    const QuantizeReport judged = KVCS_TRY(quantize(quant));
    SchemeError error = error_of(std::string(scheme_name(scheme)), judged.quantized_bytes,
                                 judged.original_bytes, *judged.errors);
    const uint64_t kept = judged.header.kept_first + judged.header.kept_last;
    if (kept > 0) error.note = std::to_string(kept) + " tokens kept as they were";
    report_.errors.push_back(error);
    quant.report = false;
    KVCS_TRY(measure({.name = "quantise",
                      .scheme = error.scheme,
                      .bytes = error.original_bytes,
                      .stages = {{"memcpy", error.original_bytes},
                                 {"sha256", error.original_bytes},
                                 {"disk_write", error.bytes}},
                      .work = [&] { return quantize(quant).status(); }}));
    return measure_dequantise(quant.output, judged.header);
  }

  // The bytes are those of the output.
  Status measure_dequantise(const std::string& input, const KvHeader& header) {
    const DequantizeOptions options{input, options_.scratch + "/plain.kv", {}, false};
    const uint64_t bytes = header.values() * dtype_bytes(header.dtype);
    return measure({.name = "dequantise",
                    .scheme = std::string(scheme_name(header.scheme)),
                    .bytes = bytes,
                    .stages = {{"memcpy", bytes}, {"disk_write", bytes}},
                    .work = [&] { return dequantize(options).status(); }});
  }

  // Cuts the first half of the tokens out of the artifact.
  Status measure_slice() {
    SliceOptions slice{options_.path, options_.scratch + "/slice.kv", {}};
    slice.spec.tokens.end = std::max<uint64_t>(1, file_.header().tokens / 2);
    const Result<SlicePlan> planned = plan_slice(file_.header(), slice.spec);
    if (planned.code() == Code::kInvalid) {
      report_.notes.push_back("slice: " + planned.status().message());
      return ok();
    }
    const SlicePlan& plan = KVCS_TRY(planned);
    return measure({.name = "slice",
                    .scheme = own_scheme(),
                    .bytes = plan.size_bytes,
                    .stages = {{"memcpy", plan.size_bytes}, {"disk_write", plan.size_bytes}},
                    .work = [&] { return slice_file(slice).status(); }});
  }

  struct Load {
    double seconds;
    uint64_t tokens;  // Of what was measured; `seconds` are scaled from those.
  };
  // To load a file of so many tokens from the disk. Its first tokens are cut out of the artifact
  // and loaded as any other file is; for more than it has, its own load is scaled.
  Result<Load> load_seconds(uint64_t tokens) {
    const KvHeader& header = file_.header();
    std::string path = options_.path;
    Load done{0, header.tokens};
    if (tokens < header.tokens) {
      SliceOptions slice{options_.path, options_.scratch + "/prefix.kv", {}};
      slice.spec.tokens.end = tokens;
      const Status cut = slice_file(slice).status();
      if (cut.ok()) {
        path = slice.output;
        done.tokens = tokens;
      } else if (cut.code() != Code::kInvalid) {  // One that cannot be cut is loaded whole.
        return cut;
      }
    }
    const uint64_t bytes = KVCS_TRY(KvFile::open(path))->size_bytes();
    const auto drop = [&] { return drop_file_cache(path).status(); };
    const Timing timing =
        KVCS_TRY(time_runs(options_.repetitions, bytes, drop, [&] { return load(path); }));
    done.seconds = timing.median_s;
    if (done.tokens != tokens) {
      done.seconds *= static_cast<double>(tokens) / static_cast<double>(done.tokens);
    }
    return done;
  }

  Status measure_reuse() {
    const KvHeader& header = file_.header();
    for (const PrefillRow& prefill : options_.prefill) {
      options_.progress("load of " + std::to_string(prefill.tokens) + " tokens");
      ReuseRow row;
      row.tokens = prefill.tokens;
      row.prefill_s = prefill.prefill_s;
      row.prefill_gflops = prefill.prefill_gflops;
      const Load measured = KVCS_TRY(load_seconds(prefill.tokens));
      row.kv_attn_s = measured.seconds;
      if (prefill.tokens != measured.tokens) {
        row.scaled_from = measured.tokens;
        report_.notes.push_back(std::to_string(prefill.tokens) +
                                " tokens: the load is scaled from the artifact's " +
                                std::to_string(header.tokens));
      }
      // kvcdn's formula: two bytes a value, whatever the artifact holds.
      const double values_per_token =
          static_cast<double>(header.values()) / static_cast<double>(header.tokens);
      row.kv_mb = static_cast<double>(prefill.tokens) * 2 * values_per_token / 1e6;
      report_.reuse.push_back(row);
    }
    return ok();
  }

  const BenchmarkOptions& options_;
  const KvFile& file_;
  BenchmarkReport& report_;
  std::vector<char> buffer_;
  double kept_share_ = 0;
};

// The slowest of the operation's stages, each at its limit.
void set_limit(const BenchmarkReport& report, Operation& operation) {
  operation.limit.clear();
  operation.limit_s = 0;
  for (const Stage& stage : operation.stages) {
    for (const Limit& limit : report.limits) {
      if (limit.name != stage.limit || limit.timing.best_bytes_per_s() <= 0) continue;
      const double seconds = static_cast<double>(stage.bytes) / limit.timing.best_bytes_per_s();
      if (seconds <= operation.limit_s) continue;
      operation.limit_s = seconds;
      operation.limit = limit.name;
    }
  }
}

}  // namespace

Status measure_operation(const OperationSpec& spec, uint64_t repetitions, BenchmarkReport& report) {
  Operation operation;
  operation.name = spec.name;
  operation.scheme = spec.scheme;
  reset_peak_memory();
  operation.timing = KVCS_TRY(time_runs(repetitions, spec.bytes, spec.before, spec.work));
  operation.memory_bytes = peak_memory_bytes();
  operation.stages = spec.stages;
  set_limit(report, operation);
  report.operations.push_back(std::move(operation));
  return ok();
}

void settle_limits(BenchmarkReport& report) {
  // Of an operation of several stages nobody knows which of them took how long, but each took less
  // than all of it.
  for (Limit& limit : report.limits) {
    const std::string before = format_bytes(static_cast<uint64_t>(limit.timing.best_bytes_per_s()));
    std::string faster;
    for (const Operation& operation : report.operations) {
      for (const Stage& stage : operation.stages) {
        if (stage.limit != limit.name || operation.timing.min_s <= 0) continue;
        Timing timing = operation.timing;
        timing.bytes = stage.bytes;
        if (timing.best_bytes_per_s() <= limit.timing.best_bytes_per_s()) continue;
        limit.timing = timing;
        faster = operation.name;
      }
    }
    if (faster.empty()) continue;
    report.notes.push_back(limit.name + ": measured alone it was " + before + "/s; " + faster +
                           " was faster and is taken for the limit");
  }
  for (Operation& operation : report.operations) set_limit(report, operation);
}

Result<BenchmarkReport> run_benchmark(const BenchmarkOptions& options) {
  const auto file = KVCS_TRY(KvFile::open(options.path));
  BenchmarkReport report;
  KVCS_TRY(Runner(options, *file, report).run());
  return report;
}

}  // namespace kvcs::kvfile
