// `kvcs verify`: whether a .kv file is what it claims, as sentences, JSON and exit code; the proof
// itself is in kvfile/tools/verify.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/counted.h"
#include "cli/commands.h"
#include "kvfile/tools/figures.h"
#include "kvfile/tools/verify.h"

namespace kvcs::cli {
namespace {

using kvfile::Verdict;

// Exit codes beside 0 (verified), 1 (the file cannot be read) and 2 (usage).
constexpr int kExitMismatch = 3;
constexpr int kExitUnverifiable = 4;

// How far two contexts agree: a length in tokens or bytes, and where they part.
Json comparison_json(const kvfile::ContextComparison& context) {
  Json json{{"recorded", context.recorded},
            {"given", context.given},
            {"common_prefix", context.common_prefix}};
  if (context.recorded_token) json["recorded_token"] = *context.recorded_token;
  if (context.given_token) json["given_token"] = *context.given_token;
  if (context.line > 0) {
    json["line"] = context.line;
    json["column"] = context.column;
  }
  return json;
}

// Facts of the header are missing when the container itself is refused.
Json report_json(const std::string& path, const kvfile::VerifyReport& report) {
  Json json{{"path", path}, {"verdict", std::string(verdict_name(report.verdict))}};
  if (!report.why.empty()) json["why"] = report.why;
  if (report.header) {
    const kvfile::KvHeader& header = *report.header;
    json.update(geometry_json(header));
    json["sha256"] = report.sha256;
    json["values"] = report.values;
    json["nonfinite"] = report.nonfinite;
    json["sidecar"] = report.has_sidecar;
  }
  if (report.sidecar) json["model"] = report.sidecar->model_name;
  if (report.tokens_context) {
    json["context"]["tokens"] = comparison_json(*report.tokens_context);
  }
  if (report.text_context) json["context"]["text"] = comparison_json(*report.text_context);
  json["proved"] = report.proved;
  return json;
}

int exit_code(Verdict verdict) {
  switch (verdict) {
    case Verdict::kVerified:
      return kExitOk;
    case Verdict::kMismatch:
      return kExitMismatch;
    case Verdict::kUnverifiable:
      break;
  }
  return kExitUnverifiable;
}

// The verdict first, then one line for each thing that was proved; with --quiet the verdict alone.
void print_report(const std::string& path, const kvfile::VerifyReport& report, Console& console) {
  const std::string verdict(verdict_name(report.verdict));
  const bool good = report.verdict == Verdict::kVerified;
  console.print((good ? console.green(verdict) : console.red(verdict)) + " " + printable(path) +
                (report.why.empty() ? "" : ": " + printable(report.why, kShownText)));
  if (!report.header || console.mode().quiet) return;
  for (const std::string& line : report.proved) console.print("  " + line);
  if (report.sidecar) {
    console.print("  Model " + printable(report.sidecar->model_name, kShownValue) + ", " +
                  counted(report.header->tokens, "token") + ".");
  }
  if (!report.sha256.empty()) console.print("  SHA-256 " + report.sha256);
}

// A file that is not what it claims is no failure of the command: the report goes to stdout in any
// case.
int run_verify(const Invocation& in, Console& console) {
  kvfile::VerifyOptions options;
  options.path = in.text("file");
  if (const auto digest = in.optional_text("sha256")) {
    options.sha256 = lower_ascii(*digest);
    if (!is_hex(*digest, 64)) {
      return console.misused(
          invalid("--sha256: '" + printable(*digest, kShownName) + "' is not 64 hex digits"));
    }
  }
  if (const auto path = in.optional_text("tokens")) {
    auto ids = kvfile::read_token_ids(*path);
    if (!ids.ok()) return console.fail(ids.status());
    options.tokens = std::move(*ids);
  }
  if (const auto path = in.optional_text("context-file")) {
    auto text = kvfile::read_small_file(*path, kvfile::kSidecarBytesMax);
    if (!text.ok()) return console.fail(text.status());
    options.context_text = std::move(*text);
  }
  const auto report = kvfile::verify(options);
  if (!report.ok()) return console.fail(report.status());
  if (console.mode().json) {
    console.print_json(report_json(options.path, *report));
  } else {
    print_report(options.path, *report, console);
  }
  return exit_code(report->verdict);
}

}  // namespace

std::vector<Command> verify_commands() {
  return {{.name = "verify",
           .summary = "Prove that a .kv file is what it claims.",
           .options = {{.name = "FILE", .help = "The .kv file.", .required = true},
                       {.name = "--context-file",
                        .help = "A text that must be the one the artifact was made from.",
                        .value_name = "TEXT"},
                       {.name = "--tokens",
                        .help = "The token ids that it must hold: JSON or numbers; - is stdin.",
                        .value_name = "IDS"},
                       {.name = "--sha256",
                        .help = "The digest that the whole file must have.",
                        .value_name = "HEX"}},
           .examples = {{"kvcs verify context.kv", "Container, values, sidecar, digest."},
                        {"kvcs verify context.kv --tokens ids.json", "And its token ids."},
                        {"kvcs verify context.kv --context-file text.txt --json",
                         "And its text, for scripts."}},
           .run = run_verify,
           .details =
               "Exit codes: 0 verified, 3 not what it claims, 4 nothing recorded to compare "
               "with. The file is never written. That a model continues from it exactly as from "
               "the text can only be shown by running the model."}};
}

}  // namespace kvcs::cli
