// `kvcs sample`: a small artifact to try the other commands with, made on the spot.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/counted.h"
#include "cli/commands.h"
#include "cli/kv_figures.h"
#include "kvfile/convert/sample.h"

namespace kvcs::cli {
namespace {

// Prints the four files that it made, because the next command wants their names.
int run_sample(const Invocation& in, Console& console) {
  kvfile::SampleOptions options;
  options.output = in.text("file");
  options.seed = static_cast<uint64_t>(in.number("seed"));
  options.tokens = static_cast<uint64_t>(in.number("tokens"));
  options.replace = in.flag("force");
  const auto report = kvfile::write_sample(options);
  if (!report.ok()) return console.fail(report.status());
  const kvfile::KvHeader& header = report->header;
  const kvfile::SamplePaths& paths = report->paths;
  if (console.mode().json) {
    Json json{{"output", paths.artifact},
              {"sidecar", paths.sidecar},
              {"token_ids", paths.token_ids},
              {"text", paths.text},
              {"seed", options.seed}};
    json.update(geometry_json(header));
    console.print_json(json);
    return kExitOk;
  }
  console.print(printable(paths.artifact) + ": " + counted(header.tokens, "token") + ", " +
                counted(header.layers, "layer") + ", " + counted(header.kv_heads, "head") + " × " +
                std::to_string(header.head_dim) + ", " + std::string(dtype_name(header.dtype)) +
                ", " + format_bytes(header.file_bytes));
  console.print("  " + printable(paths.sidecar) + ": its sidecar");
  console.print("  " + printable(paths.token_ids) + ": its token ids, for --tokens");
  console.print("  " + printable(paths.text) + ": its text, for --text and --context-file");
  return kExitOk;
}

}  // namespace

std::vector<Command> sample_commands() {
  return {{.name = "sample",
           .summary = "Make a small .kv file to try the other commands with.",
           .options = {{.name = "FILE", .help = "The .kv file to write.", .required = true},
                       {.name = "--seed",
                        .kind = ValueKind::kNumber,
                        .help = "The same number, the same bytes, on every machine.",
                        .value_name = "N",
                        .fallback = "1",
                        .min = 0},
                       {.name = "--tokens",
                        .kind = ValueKind::kNumber,
                        .help = "How long; each has 2 KiB, so 32768 are 64 MiB.",
                        .value_name = "N",
                        .fallback = std::to_string(kvfile::kSampleTokens),
                        .min = 1,
                        .max = kvfile::kSampleTokensMax},
                       {.name = "--force", .kind = ValueKind::kFlag, .help = "Replace files."}},
           .examples = {{"kvcs sample demo.kv", "And demo.kv.json, demo.ids.json, demo.txt."},
                        {"kvcs sample other.kv --seed 2",
                         "Its text begins as that of any seed and ends in its own way."},
                        {"kvcs sample large.kv --tokens 32768", "64 MiB: uploaded in parts."}},
           .run = run_sample,
           .details = "The file is a valid artifact, of less than 1 MiB unless --tokens asks for "
                      "more, with its text, token ids "
                      "and model facts. Its keys and values are made up, with the statistics of "
                      "real ones; no model can continue from it."}};
}

}  // namespace kvcs::cli
