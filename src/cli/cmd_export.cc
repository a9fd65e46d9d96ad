// `kvcs export`: a .kv file in the form that llama.cpp, transformers or mlx-lm read; the work is in
// kvfile/convert/export.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/commands.h"
#include "kvfile/convert/export.h"

namespace kvcs::cli {
namespace {

int run_export(const Invocation& in, Console& console) {
  kvfile::ExportOptions options;
  options.input = in.text("file");
  options.output = in.text("output");
  options.transpose_values = in.flag("transpose-values");
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
            {.name = "--transpose-values",
             .kind = ValueKind::kFlag,
             .help = "llama: for a server without flash attention."}},
       .examples = {{"kvcs export a.kv --to llama --output state.bin",
                     "For llama-server; the order of keys is the one of the import."},
                    {"kvcs export a.kv --to safetensors --output cache.safetensors",
                     "For transformers' DynamicCache."},
                    {"kvcs export a.kv --to mlx --output prompt.safetensors",
                     "For mlx-lm's --prompt-cache-file."}},
       .run = run_export,
       .details = "Quantised files are decoded first. A cache that was imported from a "
                  "llama.cpp sequence file as F16 becomes the same bytes again."}};
}

}  // namespace kvcs::cli
