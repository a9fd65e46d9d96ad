// `kvcs slice`: some tokens and layers of a .kv file as a file of its own; the work is in
// kvfile/tools/slice.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/counted.h"
#include "cli/commands.h"
#include "cli/kv_figures.h"
#include "kvfile/tools/slice.h"

namespace kvcs::cli {
namespace {

// A range is "a:b" with b excluded, as in Python; what was not given is all of it. A range that
// cannot be read is a usage error; one that lies outside of the file is a failure.
Result<kvfile::SliceSpec> read_spec(const Invocation& in) {
  kvfile::SliceSpec spec;
  if (const auto tokens = in.optional_text("tokens")) {
    spec.tokens = KVCS_TRY(kvfile::parse_index_range(*tokens, "tokens"));
  }
  if (const auto layers = in.optional_text("layers")) {
    spec.layers = KVCS_TRY(kvfile::parse_index_range(*layers, "layers"));
  }
  return spec;
}

int run_slice(const Invocation& in, Console& console) {
  const auto spec = read_spec(in);
  if (!spec.ok()) return console.misused(spec.status());
  const auto report = kvfile::slice_file({in.text("file"), in.text("output"), *spec});
  if (!report.ok()) return console.fail(report.status());
  const kvfile::KvHeader& header = report->header;
  if (console.mode().json) {
    Json json{{"input", in.text("file")}, {"output", in.text("output")}};
    json.update(geometry_json(header));
    json["taken"] = {{"tokens", {report->tokens.begin, report->tokens.end}},
                     {"layers", {report->layers.begin, report->layers.end}}};
    json["shortened"] = !report->shortened.empty();
    console.print_json(json);
  } else {
    // A range that reaches beyond the end is cut there, and the user is told.
    if (!report->shortened.empty()) console.note("The file's " + report->shortened + ".");
    console.print(printable(in.text("output")) + ": " + counted(header.tokens, "token") + ", " +
                  counted(header.layers, "layer") + ", " + format_bytes(header.file_bytes));
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> slice_commands() {
  return {{.name = "slice",
           .summary = "Cut tokens and layers out of a .kv file.",
           .options = {{.name = "FILE", .help = "The .kv file.", .required = true},
                       {.name = "--tokens",
                        .help = "From token a up to, not including, b; either may be left out.",
                        .value_name = "a:b"},
                       {.name = "--layers", .help = "The same for layers.", .value_name = "x:y"},
                       {.name = "--output",
                        .help = "The file to write.",
                        .value_name = "FILE",
                        .required = true}},
           .examples = {{"kvcs slice context.kv --tokens 0:1024 --output prefix.kv",
                         "The first 1024 tokens; their positions stay right."},
                        {"kvcs slice context.kv --tokens 512: --layers 0:4 --output part.kv",
                         "Keys keep their absolute positions; the offset is recorded."}},
           .run = run_slice,
           .details = "Quantised files that share scales over tokens begin at a multiple of 256 "
                      "(int8c) or 64 (int4c)."}};
}

}  // namespace kvcs::cli
