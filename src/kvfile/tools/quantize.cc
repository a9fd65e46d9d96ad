// Quantises and dequantises: the layers are jobs for a few threads, each of which reads tiles,
// encodes them and writes them to their places; then the output is judged, and appears.
#include "kvfile/tools/quantize.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstdio>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/json.h"
#include "kvfile/format/hash_file.h"
#include "kvfile/format/parallel.h"
#include "kvfile/format/publish.h"
#include "kvfile/format/tiles.h"
#include "kvfile/tools/verify.h"

namespace kvcs::kvfile {
namespace {

// A smaller tensor is not worth a call to the kernel of its own.
constexpr uint64_t kWritebackBytes = 1 << 20;
constexpr std::string_view kSourceDigest = "kvcs.source_sha256";

// Added to by all workers.
struct Counts {
  std::atomic<uint64_t> nonfinite{0}, saturated{0};
};

Status nonfinite_fault(const Tile& tile, uint64_t count) {
  return invalid("tensor \"" + tensor_name(tile.part, tile.layer) + "\": " + std::to_string(count) +
                 " values are NaN or infinite; --nonfinite saturate replaces them");
}

// The largest magnitude of one tensor, for schemes with one scale per tensor.
Status find_tensor_scale(TileReader& reader, const std::vector<Tile>& tiles, uint64_t dim,
                         Dtype dtype, std::vector<char>& x, float& scale) {
  float max = 0;
  for (const Tile& tile : tiles) {
    uint64_t bad = 0;
    KVCS_TRY(reader.read_as(tile, dtype, x.data(), &bad));
    if (bad > 0) saturate_values(dtype, x.data(), tile.rows * dim);
    max = std::max(max, kernels().absolute_max(dtype, x.data(), tile.rows * dim));
  }
  scale = kvcdn_scale(max);
  return ok();
}

// The state of one conversion that all its workers share.
struct Conversion {
  const KvFile& input;
  KvWriter& output;
  bool saturate_nonfinite;
  Counts& counts;
  std::string* source_sha256;  // Where the digest of the whole input goes, when it is wanted.
};

// The dtype in which values go from the reader to the writer: that of the plain side, so that
// floats exist within the kernels alone.
Dtype travelling_dtype(const PartShape& from, const PartShape& to) {
  return stored_dtype(from.quantized() ? to : from);
}

Status out_of_range(const Conversion& c, const Tile& tile, uint64_t count) {
  const PartShape& to = c.output.header().shape(tile.part, tile.layer);
  const bool plain = to.scheme == Scheme::kPlain;
  return invalid("tensor \"" + tensor_name(tile.part, tile.layer) + "\": " + std::to_string(count) +
                 " values are out of the range of " +
                 std::string(plain ? dtype_name(to.dtype) : scheme_name(to.scheme)) +
                 "; --nonfinite saturate cuts them, " + (plain ? "--dtype F32" : "int8c") +
                 " holds them");
}

// Converts one layer's keys or values. int8 needs two passes, since one scale serves the whole
// tensor.
Status convert_part(const Conversion& c, TileReader& reader, TileWriter& writer, Part part,
                    uint64_t layer, std::vector<char>& x) {
  const PartShape& from = c.input.header().shape(part, layer);
  const PartShape& to = c.output.header().shape(part, layer);
  const Dtype dtype = travelling_dtype(from, to);
  const uint64_t dim = from.head_dim;
  const std::vector<Tile> tiles = tiles_of(from, part, layer);
  if (to.scheme == Scheme::kInt8) {
    float scale = 0;
    KVCS_TRY(find_tensor_scale(reader, tiles, dim, dtype, x, scale));
    writer.set_scale(scale);
  }
  EncodeCounts encoded;
  for (const Tile& tile : tiles) {
    uint64_t bad = 0;
    KVCS_TRY(reader.read_as(tile, dtype, x.data(), &bad));
    if (bad > 0) {
      if (!c.saturate_nonfinite) return nonfinite_fault(tile, bad);
      saturate_values(dtype, x.data(), tile.rows * dim);
      c.counts.nonfinite += bad;
    }
    KVCS_TRY(writer.write(tile, dtype, x.data(), encoded));
    if (encoded.saturated > 0 && !c.saturate_nonfinite) {
      return out_of_range(c, tile, encoded.saturated);
    }
  }
  c.counts.saturated += encoded.saturated;
  const KvHeader& out = c.output.header();
  const Tensor* const codes = out.find(tensor_name(part, layer, to.quantized() ? "_q" : ""));
  if (codes->size_bytes() >= kWritebackBytes) {
    c.output.file().start_writeback(out.data_start + codes->begin, codes->size_bytes());
  }
  return ok();
}

// Keys or values of a layer.
struct Job {
  Part part;
  uint64_t layer;
};
// The jobs in the order of the file, so that it is read from its disk in one sweep, and the output
// is written in one.
std::vector<Job> jobs_of(const KvHeader& header) {
  std::vector<std::pair<uint64_t, Job>> found;
  for (uint64_t layer = 0; layer < header.layers; layer++) {
    for (const Part part : {Part::kKeys, Part::kValues}) {
      const PartShape& shape = header.shape(part, layer);
      if (!shape.exists()) continue;
      const Tensor& main = header.get(part, layer, shape.quantized() ? "_q" : "");
      found.push_back({main.begin, {part, layer}});
    }
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Job> jobs;
  for (const auto& [begin, job] : found) jobs.push_back(job);
  return jobs;
}

// Hashing the source is one job among the others. It comes first because it is the longest by far:
// so there are no more threads than cores, and the thread that hashed helps with what is left.
Status convert_all(const Conversion& c) {
  const KvHeader& header = c.input.header();
  const std::vector<Job> jobs = jobs_of(header);
  const size_t before = c.source_sha256 != nullptr ? 1 : 0;
  Status ran = run_parallel(before + jobs.size(), [&](TakeJob& take) -> Status {
    TileReader reader = KVCS_TRY(TileReader::create(c.input));
    TileWriter writer(c.output);
    std::vector<char> x(tile_values_max(header) * sizeof(float));
    for (size_t i = 0; take(i);) {
      if (i < before) {
        *c.source_sha256 = KVCS_TRY(hash_file(c.input.source(), [&] { return take.failed(); }));
      } else {
        const Job& job = jobs[i - before];
        KVCS_TRY(convert_part(c, reader, writer, job.part, job.layer, x));
      }
    }
    return ok();
  });
  KVCS_TRY(std::move(ran));
  for (const Tensor& tensor : carried_tensors(header)) {
    KVCS_TRY(copy_tensor(c.input, tensor, c.output, *c.output.header().find(tensor.name)));
  }
  return ok();
}

// The digest of the source is known only at the end; zeros of the same length hold its place.
Metadata output_metadata(const KvHeader& input, const std::vector<LayerShape>& to,
                         const std::vector<Tensor>& tensors,
                         const std::array<Rotation, 2>& rotation) {
  const Scheme scheme = common_scheme(to);
  if (scheme == Scheme::kInt8) {
    // kvcdn writes no metadata; what the source recorded about itself is kept all the same.
    Metadata kept;
    for (const auto& [key, value] : input.metadata) {
      if (key.starts_with("kvcs.") && key != "kvcs.scheme" && key != "kvcs.dtype") {
        kept.emplace_back(key, value);
      }
    }
    return kept;
  }
  Metadata metadata = input.metadata;
  set_metadata(metadata, "kvcs.version", "1");
  set_metadata(metadata, "kvcs.scheme", std::string(scheme_name(scheme)));
  set_metadata(metadata, "kvcs.dtype", std::string(dtype_name(input.dtype)));
  set_metadata(metadata, "kvcs.rotation", rotation_name(rotation));
  set_shape_metadata(metadata, to, tensors);
  set_metadata(metadata, kSourceDigest, std::string(64, '0'));
  return metadata;
}

Result<KvHeader> output_header(const KvHeader& input, const QuantizeOptions& options) {
  std::vector<LayerShape> to = input.shapes;
  const std::array<Rotation, 2> rotation =
      options.rotate_hadamard ? hadamard_for(to) : std::array<Rotation, 2>{};
  for (uint64_t layer = 0; layer < input.layers; layer++) {
    for (const Part which : {Part::kKeys, Part::kValues}) {
      PartShape& part = to[layer].part(which);
      if (!part.exists()) continue;
      part.scheme = options.scheme;
      part.rotation = rotation[which == Part::kKeys ? 0 : 1].block;
      if (part.scheme == Scheme::kInt4c) choose_kept_tokens(part);
      Status fits = check_scheme_fits(part.scheme, part);
      if (!fits.ok()) {
        if (input.is_uniform) return fits;
        return std::move(fits).with_context("tensor \"" + tensor_name(which, layer) + "\"");
      }
    }
  }
  std::vector<Tensor> tensors = layout_tensors(to);
  for (Tensor& tensor : carried_tensors(input)) tensors.push_back(std::move(tensor));
  Metadata metadata = output_metadata(input, to, tensors, rotation);
  return make_header(std::move(tensors), std::move(metadata));
}

// "+00:00" instead of "Z", as kvcdn writes times.
std::string timestamp(int64_t unix_ms) {
  std::string text = format_iso8601_ms(unix_ms);
  text.pop_back();  // "Z"
  return text + "+00:00";
}

// kvcdn's quant event, member by member in its order; it has no infinity, for JSON has none.
std::string event_json(const QuantizeOptions& options, const QuantizeReport& report,
                       const Sidecar& sidecar) {
  std::string out = "{\n";
  const auto raw = [&out](std::string_view name, std::string_view value) {
    if (out.size() > 2) out += ",\n";
    out += "  \"" + std::string(name) + "\": " + std::string(value);
  };
  const auto text = [&](std::string_view name, std::string_view value) {
    std::string quoted;
    append_json_string(quoted, value);
    raw(name, quoted);
  };
  double error_max = 0;
  if (report.errors) {
    error_max = std::max(report.errors->keys.error_max, report.errors->values.error_max);
  }
  text("input_path", options.input);
  text("output_path", options.output);
  text("model", sidecar.model_name);
  text("target_dtype", sidecar.dtype);
  text("storage_dtype", dtype_name(report.header.storage_dtype));
  raw("num_tokens", std::to_string(report.header.tokens));
  raw("num_layers", std::to_string(report.header.layers));
  raw("original_nbytes", std::to_string(report.original_bytes));
  raw("quantized_nbytes", std::to_string(report.quantized_bytes));
  raw("compression_ratio", format_shortest(static_cast<double>(report.original_bytes) /
                                           static_cast<double>(report.quantized_bytes)));
  // JSON has no infinity.
  raw("max_quant_error", format_shortest(std::min(error_max, DBL_MAX)));
  raw("verify_enabled", options.verify ? "true" : "false");
  text("verification_result", options.verify ? "Match" : "Skipped");
  raw("mismatch_indices", "[]");
  text("timestamp", timestamp(options.now_unix_ms));
  return out + "\n}";
}

// The refusal of a gate: what did not pass, in which tensor, and what would pass.
Status gate_fault(const QuantizeOptions& options, const std::string& found,
                  const std::string& where) {
  std::string advice = "; nothing was written, ";
  if (options.scheme != Scheme::kInt8c && options.scheme != Scheme::kQ8) {
    advice += "--scheme int8c loses less";
  } else {
    advice += "a looser gate would let it pass";
  }
  return invalid(found + " (" + where + ")" + advice).with_reason("gate_failed");
}

Status check_gates(const QuantizeOptions& options, const CompareReport& errors) {
  char found[160];
  for (size_t i = 0; i < errors.layers.size(); i++) {
    const LayerError& layer = errors.layers[i];
    const double snr_db = std::min(layer.keys.snr_db, layer.values.snr_db);
    if (options.min_snr_db && snr_db == errors.snr_min_db && snr_db < *options.min_snr_db) {
      std::snprintf(found, sizeof found, "the worst SNR is %.2f dB, the gate is %.2f dB", snr_db,
                    *options.min_snr_db);
      const Part part = snr_db == layer.keys.snr_db ? Part::kKeys : Part::kValues;
      return gate_fault(options, found, tensor_name(part, i));
    }
  }
  for (size_t i = 0; i < errors.layers.size(); i++) {
    const std::optional<double>& error = errors.layers[i].attention_error;
    if (options.max_attention_error && error && error == errors.attention_error_max &&
        *error > *options.max_attention_error) {
      std::snprintf(found, sizeof found, "the worst attention error is %.3g, the gate is %.3g",
                    *error, *options.max_attention_error);
      return gate_fault(options, found, "layer " + std::to_string(i));
    }
  }
  return ok();
}

// The sidecar of the output: that of the input, with the members that the conversion changes.
Result<Sidecar> output_sidecar(const KvFile& input, const KvHeader& header,
                               const std::string& target) {
  std::optional<Sidecar> given = KVCS_TRY(read_sidecar(input.path()));
  if (given) KVCS_TRY(check_sidecar(*given, input.header()));
  const Sidecar described = describe_header(header);
  Sidecar sidecar = given.value_or(described);
  sidecar.dtype = target.empty() ? described.dtype : target;
  sidecar.storage_dtype = described.storage_dtype;
  sidecar.nbytes = described.nbytes;
  sidecar.quantized = described.quantized;
  return sidecar;
}

Status check_options(const QuantizeOptions& options, const KvHeader& header) {
  if (header.scheme != Scheme::kPlain) {
    return invalid("the input is already " + std::string(scheme_name(header.scheme)) +
                   "; `kvcs dequant` it first");
  }
  if (options.scheme == Scheme::kPlain) return invalid("plain is no quantising scheme");
  const bool groups = options.scheme == Scheme::kQ8 || options.scheme == Scheme::kInt4c;
  if (options.rotate_hadamard && !groups) {
    return invalid("--rotate is for q8_0 and int4c; " + std::string(scheme_name(options.scheme)) +
                   " gains nothing from it");
  }
  return ok();
}

// Compares the output with the input, checks the gates, and verifies it on demand. The output is
// still without its name, so a refusal leaves no file.
Status judge_output(const QuantizeOptions& options, const KvFile& input, const std::string& path,
                    QuantizeReport& report) {
  const bool gated = options.min_snr_db || options.max_attention_error;
  if (options.report || gated || options.scheme == Scheme::kInt8) {
    const auto output = KVCS_TRY(KvFile::open(path));
    CompareOptions compared;
    compared.attention_layers = options.max_attention_error ? input.header().layers
                                : options.report            ? options.attention_layers
                                                            : 0;
    compared.round_to_dtype = options.scheme == Scheme::kInt8;
    report.errors = KVCS_TRY(compare(input, *output, compared));
    KVCS_TRY(check_gates(options, *report.errors));
  }
  if (options.verify) {
    VerifyOptions wanted;
    wanted.path = path;
    const VerifyReport proof = KVCS_TRY(verify(wanted));
    if (proof.verdict != Verdict::kVerified) return internal("output refused: " + proof.why);
    report.verified = true;
  }
  return ok();
}

// Writes the header with the source's digest, and then judges the whole.
Status finish_output(const QuantizeOptions& options, const KvFile& input, KvWriter& writer,
                     const Counts& counts, QuantizeReport& report) {
  if (options.scheme != Scheme::kInt8) {
    writer.replace_metadata(kSourceDigest, report.source_sha256);
  }
  KVCS_TRY(writer.write_header());
  report.header = writer.header();
  report.original_bytes = input.size_bytes();
  report.quantized_bytes = report.header.file_bytes;
  report.nonfinite = counts.nonfinite;
  report.saturated = counts.saturated;
  return judge_output(options, input, writer.file().open_path(), report);
}

}  // namespace

Result<std::string> parse_target_dtype(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kTargets = {
      {{"F16", "F16"},
       {"F32", "F32"},
       {"BF16", "BF16"},
       {"FP8", "FP8"},
       {"F8", "FP8"},
       {"F8E4M3", "FP8"},
       {"I8", "I8"}}};
  for (const auto& [given, meant] : kTargets) {
    if (equal_ignore_case(name, given)) return std::string(meant);
  }
  return invalid(
      "target dtype \"" + printable(name, kShownWord) + "\" is not one of F16, F32, BF16, FP8, I8" +
      (name.find('4') != std::string_view::npos ? "; for 4 bits take --scheme int4c" : ""));
}

Result<QuantizeReport> quantize(const QuantizeOptions& options) {
  const auto input = KVCS_TRY(KvFile::open(options.input));
  KVCS_TRY(check_options(options, input->header()));
  std::string target;
  if (!options.target_dtype.empty()) target = KVCS_TRY(parse_target_dtype(options.target_dtype));
  if (target.empty() && options.scheme == Scheme::kInt8) target = "F16";
  KvHeader planned = KVCS_TRY(output_header(input->header(), options));
  const auto writer = KVCS_TRY(KvWriter::create(options.output, std::move(planned),
                                                {options.input, sidecar_path(options.input)}));
  const Sidecar sidecar = KVCS_TRY(output_sidecar(*input, writer->header(), target));
  Counts counts;
  QuantizeReport report;
  KVCS_TRY(
      convert_all({*input, *writer, options.saturate_nonfinite, counts, &report.source_sha256}));
  // The sync needs the disk and the judgement needs the processor, so they run side by side.
  // Publishing syncs once more, for the header that is written meanwhile.
  KVCS_TRY(run_beside(
      "kv-sync", [&] { return writer->file().sync(); },
      [&] { return finish_output(options, *input, *writer, counts, report); }));
  KVCS_TRY(input->check_unchanged());
  std::vector<Companion> companions = {KVCS_TRY(sidecar_companion(options.output, sidecar))};
  if (options.scheme == Scheme::kInt8) {
    companions.push_back({quant_event_path(options.output), event_json(options, report, sidecar)});
  }
  KVCS_TRY(publish_together(writer->file(), companions));
  return report;
}

Result<DequantizeReport> dequantize(const DequantizeOptions& options) {
  const auto input = KVCS_TRY(KvFile::open(options.input));
  const KvHeader& from = input->header();
  const Dtype dtype = options.dtype.value_or(from.dtype);
  if (!is_float16_or_32(dtype)) return invalid("--dtype is one of F16, BF16, F32");
  Geometry geometry = geometry_of(from);
  set_scheme(geometry, Scheme::kPlain, dtype);
  std::vector<Tensor> tensors = layout_tensors(Scheme::kPlain, dtype, geometry);
  for (Tensor& tensor : carried_tensors(from)) tensors.push_back(std::move(tensor));
  Metadata metadata;
  for (const auto& [key, value] : from.metadata) {
    if (key != "kvcs.rotation" && key != "kvcs.key_order" && key != "kvcs.kept_first" &&
        key != kSourceDigest) {
      metadata.emplace_back(key, value);
    }
  }
  if (from.metadata_value("kvcs.scheme") != nullptr) {
    set_metadata(metadata, "kvcs.scheme", "plain");
    set_metadata(metadata, "kvcs.dtype", std::string(dtype_name(dtype)));
  }
  KvHeader planned = KVCS_TRY(make_header(std::move(tensors), std::move(metadata)));
  const auto writer = KVCS_TRY(KvWriter::create(options.output, std::move(planned),
                                                {options.input, sidecar_path(options.input)}));
  const Sidecar sidecar =
      KVCS_TRY(output_sidecar(*input, writer->header(), std::string(dtype_name(dtype))));
  Counts counts;
  KVCS_TRY(convert_all({*input, *writer, options.saturate_nonfinite, counts, nullptr}));
  KVCS_TRY(input->check_unchanged());
  KVCS_TRY(writer->write_header());
  Companion companion = KVCS_TRY(sidecar_companion(options.output, sidecar));
  KVCS_TRY(publish_together(writer->file(), {std::move(companion)}));
  return DequantizeReport{writer->header(), input->size_bytes(), counts.saturated};
}

}  // namespace kvcs::kvfile
