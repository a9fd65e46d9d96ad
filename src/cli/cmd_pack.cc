// `kvcs pack` and `kvcs unpack`: a .kv file with its sidecar, compressed without loss and back; the
// work is in kvfile/tools/pack.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/decimal.h"
#include "cli/commands.h"
#include "cli/kv_figures.h"
#include "kvfile/tools/pack.h"

namespace kvcs::cli {
namespace {

// Both directions report the same figures; the ratio is original to packed in either.
int print_report(const Result<kvfile::PackReport>& report, const Invocation& in, Console& console) {
  if (!report.ok()) return console.fail(report.status());
  if (console.mode().json) {
    console.print_json(Json{{"input", in.text("file")},
                            {"output", in.text("output")},
                            {"original_bytes", report->original_bytes},
                            {"packed_bytes", report->packed_bytes},
                            {"chunks", report->chunks},
                            {"sidecar_bytes", report->sidecar_bytes},
                            {"sha256", report->sha256}});
    return kExitOk;
  }
  console.print(printable(in.text("output")) + ": " + format_bytes(report->original_bytes) +
                " original, " + format_bytes(report->packed_bytes) + " packed (" +
                format_decimal(static_cast<double>(report->original_bytes) /
                                   static_cast<double>(report->packed_bytes),
                               3) +
                "x)" + (report->sidecar_bytes > 0 ? ", with its sidecar" : ""));
  return kExitOk;
}

std::vector<Option> pack_options(const char* file_help) {
  return {
      {.name = "FILE", .help = file_help, .required = true},
      {.name = "--output", .help = "The file to write.", .value_name = "FILE", .required = true}};
}

}  // namespace

std::vector<Command> pack_commands() {
  return {{.name = "pack",
           .summary = "Pack a .kv file and its sidecar without loss.",
           .options = pack_options("The .kv file."),
           .examples = {{"kvcs pack context.kv --output context.kvz", "BF16 shrinks most."}},
           .run =
               [](const Invocation& in, Console& console) {
                 return print_report(kvfile::pack_file(in.text("file"), in.text("output")), in,
                                     console);
               }},
          {.name = "unpack",
           .summary = "Bring a packed .kv file and its sidecar back, byte for byte.",
           .options = pack_options("The packed file."),
           .examples = {{"kvcs unpack context.kvz --output context.kv", "The digest is checked."}},
           .run = [](const Invocation& in, Console& console) {
             return print_report(kvfile::unpack_file(in.text("file"), in.text("output")), in,
                                 console);
           }}};
}

}  // namespace kvcs::cli
