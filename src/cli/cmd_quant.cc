// `kvcs quant`, `dequant` and `compare`: a smaller .kv file, the way back, and how far two files
// are apart; the work is in kvfile/tools.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/counted.h"
#include "base/decimal.h"
#include "cli/commands.h"
#include "cli/kv_figures.h"
#include "kvfile/tools/quantize.h"

namespace kvcs::cli {
namespace {

using kvfile::Scheme;

// A decimal number, by our own parser: that of the C library obeys the locale.
Result<std::optional<double>> read_decimal(const Invocation& in, std::string_view name) {
  const std::optional<std::string> text = in.optional_text(name);
  if (!text) return std::optional<double>();
  return std::optional<double>(KVCS_TRY(parse_decimal(*text, "--" + std::string(name))));
}

// The input is an argument, or the value of --input, as kvcdn's command line has it.
Result<std::string> input_of(const Invocation& in) {
  const std::string argument = in.text("file"), option = in.text("input");
  if (!argument.empty() && !option.empty()) return invalid("name the input once");
  if (argument.empty() && option.empty()) return invalid("which file? Name it, or --input FILE");
  return argument.empty() ? option : argument;
}

// The output beside the input, as kvcdn names it: "a.kv" becomes "a.q8.kv".
std::string default_output(const std::string& input, std::string_view infix) {
  const std::string stem = input.ends_with(".kv") ? input.substr(0, input.size() - 3) : input;
  return stem + "." + std::string(infix) + ".kv";
}

// Every failure in here is a usage error.
Result<kvfile::QuantizeOptions> read_quant(const Invocation& in) {
  kvfile::QuantizeOptions options;
  options.input = KVCS_TRY(input_of(in));
  const std::optional<std::string> scheme = in.optional_text("scheme");
  options.target_dtype = in.text("target-dtype");
  if (!options.target_dtype.empty()) {
    KVCS_TRY(kvfile::parse_target_dtype(options.target_dtype).status());
  }
  // kvcdn's command line names no scheme, only the target.
  const bool as_kvcdn = !scheme && !options.target_dtype.empty();
  options.scheme =
      scheme ? *kvfile::parse_scheme(*scheme) : (as_kvcdn ? Scheme::kInt8 : Scheme::kInt8c);
  options.output = in.optional_text("output").value_or(default_output(
      options.input, options.scheme == Scheme::kInt8 ? "q8" : scheme_name(options.scheme)));
  options.rotate_hadamard = in.text("rotate") == "hadamard";
  options.saturate_nonfinite = in.text("nonfinite") == "saturate";
  options.verify = in.flag("verify");
  options.report = !in.flag("no-report");
  options.min_snr_db = KVCS_TRY(read_decimal(in, "min-snr"));
  options.max_attention_error = KVCS_TRY(read_decimal(in, "max-attn-err"));
  if (options.max_attention_error.value_or(0) < 0) {
    return invalid("--max-attn-err: no error is below 0; 0.05 would be one of five percent");
  }
  // The time stands in the event file of kvcdn's layout; nothing else depends on it.
  options.now_unix_ms = make_system_clock()->unix_ms();
  return options;
}

// Gates (--min-snr, --max-attn-err) are checked before the output appears; a file that fails one is
// not left behind.
int run_quant(const Invocation& in, Console& console) {
  const auto options = read_quant(in);
  if (!options.ok()) return console.misused(options.status());
  const auto report = kvfile::quantize(*options);
  if (!report.ok()) return console.fail(report.status());
  // Original to quantised bytes of the whole files, headers included.
  const double ratio =
      static_cast<double>(report->original_bytes) / static_cast<double>(report->quantized_bytes);
  if (console.mode().json) {
    Json json{{"input", options->input}, {"output", options->output}};
    json.update(geometry_json(report->header));
    json["original_bytes"] = report->original_bytes;
    json["quantized_bytes"] = report->quantized_bytes;
    json["compression_ratio"] = ratio;
    json["source_sha256"] = report->source_sha256;
    json["nonfinite"] = report->nonfinite;
    json["saturated"] = report->saturated;
    json["verified"] = report->verified;
    if (report->errors) json["errors"] = compare_json(*report->errors);
    console.print_json(json);
    return kExitOk;
  }
  console.print(
      printable(options->output) + ": " + std::string(scheme_name(report->header.scheme)) + ", " +
      format_bytes(report->original_bytes) + " to " + format_bytes(report->quantized_bytes) + " (" +
      format_decimal(ratio, 2) + "x)" + (report->verified ? ", verified" : ""));
  if (report->nonfinite + report->saturated > 0) {
    console.print("Replaced " + counted(report->nonfinite, "value") + " of NaN or infinity, cut " +
                  std::to_string(report->saturated) + " out of range.");
  }
  if (report->errors && !console.mode().quiet) {
    print_compare(*report->errors, in.flag("layers"), console);
  }
  return kExitOk;
}

// Values of a quantised file as plain ones; the loss of the quantising stays.
int run_dequant(const Invocation& in, Console& console) {
  kvfile::DequantizeOptions options;
  const auto input = input_of(in);
  if (!input.ok()) return console.misused(input.status());
  options.input = *input;
  if (const auto dtype = in.optional_text("dtype")) options.dtype = kvfile::parse_dtype(*dtype);
  options.output = in.text("output");
  options.saturate_nonfinite = in.text("nonfinite") == "saturate";
  const auto report = kvfile::dequantize(options);
  if (!report.ok()) return console.fail(report.status());
  if (console.mode().json) {
    Json json{{"input", options.input}, {"output", options.output}};
    json.update(geometry_json(report->header));
    json["original_bytes"] = report->original_bytes;
    json["saturated"] = report->saturated;
    console.print_json(json);
    return kExitOk;
  }
  console.print(printable(options.output) + ": " + std::string(dtype_name(report->header.dtype)) +
                ", " + format_bytes(report->original_bytes) + " to " +
                format_bytes(report->header.file_bytes));
  return kExitOk;
}

// By default attention is compared in a sample of the layers, since each layer costs a pass over
// all of its keys and values.
int run_compare(const Invocation& in, Console& console) {
  kvfile::CompareOptions options;
  if (in.text("attention") == "all") options.attention_layers = UINT64_MAX;
  if (in.text("attention") == "none") options.attention_layers = 0;
  const auto a = kvfile::KvFile::open(in.text("a"));
  if (!a.ok()) return console.fail(a.status());
  const auto b = kvfile::KvFile::open(in.text("b"));
  if (!b.ok()) return console.fail(b.status());
  const auto report = kvfile::compare(**a, **b, options);
  if (!report.ok()) return console.fail(report.status());
  if (console.mode().json) {
    Json json{{"a", in.text("a")}, {"b", in.text("b")}};
    json.update(compare_json(*report));
    console.print_json(json);
  } else {
    print_compare(*report, !console.mode().quiet, console);
  }
  return kExitOk;
}

// quant and dequant share it: a scale can bring values beyond F16 too.
Option nonfinite_option() {
  return {.name = "--nonfinite",
          .help = "NaN, infinities and values out of range: refuse them, or saturate and count.",
          .value_name = "fail|saturate",
          .fallback = "fail",
          .choices = {"fail", "saturate"}};
}

Command quant_command() {
  return {
      .name = "quant",
      .summary = "Make a .kv file smaller by quantising it, and say what was lost.",
      .options = {{.name = "FILE", .help = "The plain .kv file (F16, BF16 or F32)."},
                  {.name = "--input", .help = "The same, as kvcdn names it.", .value_name = "FILE"},
                  {.name = "--output",
                   .help = "The file to write; by default beside the input.",
                   .value_name = "FILE"},
                  {.name = "--scheme",
                   .help = "How values are kept; int8c unless --target-dtype is given alone.",
                   .value_name = "SCHEME",
                   .choices = {"int8", "int8c", "q8_0", "int4c", "fp8_e4m3", "fp8_e5m2"}},
                  {.name = "--target-dtype,--dtype",
                   .help = "What readers shall dequantise to: F16, F32, BF16, FP8, I8.",
                   .value_name = "DTYPE"},
                  {.name = "--rotate",
                   .help = "Transform channels first (q8_0, int4c).",
                   .value_name = "none|hadamard",
                   .fallback = "none",
                   .choices = {"none", "hadamard"}},
                  nonfinite_option(),
                  {.name = "--min-snr",
                   .help = "Fail, and write nothing, when a layer's SNR is below so many dB.",
                   .value_name = "DB"},
                  {.name = "--max-attn-err",
                   .help = "Fail when a layer's relative attention-output error is above this.",
                   .value_name = "X"},
                  {.name = "--verify",
                   .kind = ValueKind::kFlag,
                   .help = "Verify the output before it appears."},
                  {.name = "--layers",
                   .kind = ValueKind::kFlag,
                   .help = "Show the figures of every layer."},
                  {.name = "--no-report",
                   .kind = ValueKind::kFlag,
                   .help = "Do not measure the error."}},
      .examples = {{"kvcs quant context.kv --scheme int8c --output small.kv", "Half the size."},
                   {"kvcs quant context.kv --scheme int4c --rotate hadamard --min-snr 20",
                    "A quarter, if it is good enough."},
                   {"kvcs quant --input context.kv --target-dtype F16", "kvcdn's int8 layout."}},
      .run = run_quant,
      .details =
          "Schemes: int8 (kvcdn's), int8c (keys per channel in tiles of 256 tokens, values "
          "per token; the default), q8_0 (blocks of 32), int4c (groups of 64, first and "
          "last tokens kept), fp8_e4m3, fp8_e5m2. A failed gate exits 1."};
}

}  // namespace

std::vector<Command> quant_commands() {
  return {quant_command(),
          {.name = "dequant",
           .summary = "Turn a quantised .kv file back into plain values.",
           .options = {{.name = "FILE", .help = "The quantised .kv file."},
                       {.name = "--input", .help = "The same.", .value_name = "FILE"},
                       {.name = "--output",
                        .help = "The file to write.",
                        .value_name = "FILE",
                        .required = true},
                       {.name = "--dtype",
                        .help = "The dtype to write; the file's own by default.",
                        .value_name = "DTYPE",
                        .choices = {"F16", "BF16", "F32"}},
                       nonfinite_option()},
           .examples = {{"kvcs dequant small.kv --dtype F16 --output context.kv", ""}},
           .run = run_dequant},
          {.name = "compare",
           .summary = "Say how far two .kv files of one cache are apart.",
           .options = {{.name = "A", .help = "The original.", .required = true},
                       {.name = "B", .help = "The other, of any scheme.", .required = true},
                       {.name = "--attention",
                        .help = "Layers whose attention output is compared.",
                        .value_name = "sample|all|none",
                        .fallback = "sample",
                        .choices = {"sample", "all", "none"}}},
           .examples = {{"kvcs compare context.kv small.kv", "Error, SNR, cosine, attention."},
                        {"kvcs compare context.kv small.kv --attention all --json", ""}},
           .run = run_compare}};
}

}  // namespace kvcs::cli
