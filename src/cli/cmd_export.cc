// `kvcs export`: a .kv file in the form that llama.cpp, transformers or mlx-lm read; the work is in
// kvfile/convert/export.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/commands.h"
#include "kvfile/convert/export.h"

namespace kvcs::cli {
namespace {

const std::vector<std::string> kLlamaTypes = {"f16",  "bf16", "f32",  "q8_0",  "q4_0",
                                              "q4_1", "q5_0", "q5_1", "iq4_nl"};

int run_export(const Invocation& in, Console& console) {
  kvfile::ExportOptions options;
  options.input = in.text("file");
  options.output = in.text("output");
  if (const auto values = in.optional_text("values")) options.transpose_values = *values != "rows";
  if (in.flag("transpose-values")) options.transpose_values = true;
  if (const auto version = in.optional_number("llama-version")) {
    options.llama_version = static_cast<uint32_t>(*version);
  }
  options.key_type = in.optional_text("key-type").value_or("");
  options.value_type = in.optional_text("value-type").value_or("");
  if (const std::string rotation = in.text("rotation"); rotation != "auto") {
    options.rotation =
        rotation == "none" ? kvfile::RotationChoice::kNone : kvfile::RotationChoice::kHadamard;
  }
  // Without --rope the order that the import recorded is written again; the export asks for it when
  // none is recorded.
  if (const auto rope = in.optional_text("rope")) {
    options.rope = *rope == "norm" ? kvfile::RopePairing::kNorm : kvfile::RopePairing::kNeox;
  }
  const std::string to = in.text("to");
  const auto report = to == "llama" ? kvfile::export_llama(options)
                      : to == "mlx" ? kvfile::export_mlx(options)
                                    : kvfile::export_safetensors(options);
  if (!report.ok()) return console.fail(report.status());
  if (console.mode().json) {
    console.print_json(Json{{"input", options.input},
                            {"output", options.output},
                            {"form", report->form},
                            {"size_bytes", report->size_bytes}});
  } else {
    console.print(printable(options.output) + ": " + report->form + ", " +
                  format_bytes(report->size_bytes));
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> export_commands() {
  return {
      {.name = "export",
       .summary = "Write a .kv file as llama.cpp, transformers or mlx-lm read it.",
       .options =
           {{.name = "FILE", .help = "The .kv file.", .required = true},
            {.name = "--to",
             .help =
                 "safetensors: key_cache.N, value_cache.N; mlx: a prompt cache; llama: a sequence.",
             .required = true,
             .choices = {"safetensors", "mlx", "llama"}},
            {.name = "--output", .help = "The file to write.", .value_name = "G", .required = true},
            {.name = "--rope",
             .help = "llama: how the model pairs channels there; else as imported.",
             .choices = {"norm", "neox"}},
            {.name = "--key-type",
             .help = "llama: the engine's --cache-type-k; else as imported, or the dtype.",
             .choices = kLlamaTypes},
            {.name = "--value-type",
             .help = "llama: the same of --cache-type-v.",
             .choices = kLlamaTypes},
            {.name = "--rotation",
             .help = "llama: of quantised types; auto: as imported, or as the version does.",
             .fallback = "auto",
             .choices = {"auto", "none", "hadamard"}},
            {.name = "--llama-version",
             .kind = ValueKind::kNumber,
             .help = "llama: the version of ggsq that the engine takes; 3 unless given.",
             .value_name = "N",
             .min = 2,
             .max = 4},
            {.name = "--values",
             .help = "llama: rows with flash attention, else transposed; else as imported.",
             .choices = {"rows", "transposed"}},
            {.name = "--transpose-values",
             .kind = ValueKind::kFlag,
             .help = "llama: the same as --values transposed."}},
       .examples = {{"kvcs export a.kv --to llama --output state.bin",
                     "For llama-server; the order of keys is the one of the import."},
                    {"kvcs export a.kv --to safetensors --output cache.safetensors",
                     "For transformers' DynamicCache."},
                    {"kvcs export a.kv --to mlx --output prompt.safetensors",
                     "For mlx-lm's --prompt-cache-file."}},
       .run = run_export,
       .details = "An engine takes a file only when it was started with these types, and with or "
                  "without flash attention as the result line says. Version 2 is of llama.cpp "
                  "before September 2026, 3 of v0.5.0; the body of 4 (v0.6.0) was not seen and is "
                  "written as that of 3. Quantised files are decoded first. A cache that was "
                  "imported from a llama.cpp sequence file becomes the same bytes again."}};
}

}  // namespace kvcs::cli
