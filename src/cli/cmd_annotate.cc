// `kvcs annotate`: adds or corrects what a .kv file records of its text, its ids and its model; the
// work is in kvfile/tools/annotate.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/decimal.h"
#include "cli/commands.h"
#include "cli/fact_options.h"
#include "cli/kv_figures.h"
#include "kvfile/tools/annotate.h"

namespace kvcs::cli {
namespace {

// Both are checked before the file is opened; a wrong option is a usage error.
Status check_options(const Invocation& in) {
  if (const auto base = in.optional_text("rope-base"); base && !base->empty()) {
    if (KVCS_TRY(parse_decimal(*base, "--rope-base")) <= 0) {
      return invalid("--rope-base: '" + printable(*base, kShownWord) + "' is not above zero");
    }
  }
  for (const auto& [option, key] : kFactOptions) {
    if (in.optional_text(option)) return ok();
  }
  if (in.optional_text("tokens") || in.optional_text("text-file")) return ok();
  return invalid("give what is to be recorded: --text-file, --tokens, --model, …");
}

Result<kvfile::AnnotateReport> annotate(const Invocation& in) {
  kvfile::AnnotateOptions options;
  options.input = in.text("file");
  options.output = in.text("output");
  for (const auto& [option, key] : kFactOptions) {
    if (const auto value = in.optional_text(option)) options.facts.emplace_back(key, *value);
  }
  if (const auto path = in.optional_text("tokens")) {
    options.tokens = KVCS_TRY(kvfile::read_token_ids(*path));
  }
  if (const auto path = in.optional_text("text-file")) {
    options.text = KVCS_TRY(kvfile::read_small_file(*path, kvfile::kSidecarBytesMax));
  }
  return kvfile::annotate(options);
}

int run_annotate(const Invocation& in, Console& console) {
  if (const Status usage = check_options(in); !usage.ok()) return console.misused(usage);
  const auto report = annotate(in);
  if (!report.ok()) return console.fail(report.status());
  if (console.mode().json) {
    Json json{{"input", in.text("file")}, {"output", report->path}, {"changed", report->changed}};
    json.update(geometry_json(report->header));
    console.print_json(json);
    return kExitOk;
  }
  std::string changed;
  for (const std::string& what : report->changed) changed += (changed.empty() ? "" : ", ") + what;
  console.print(printable(report->path) + ": " +
                (changed.empty() ? "all of it was recorded already" : changed));
  return kExitOk;
}

}  // namespace

std::vector<Command> annotate_commands() {
  return {
      {.name = "annotate",
       .summary = "Record a .kv file's text, token ids or model afterwards.",
       .options = {{.name = "FILE", .help = "The .kv file.", .required = true},
                   {.name = "--text-file",
                    .help = "The text that it was made from.",
                    .value_name = "TEXT"},
                   {.name = "--tokens",
                    .help = "Its token ids: JSON or numbers; - is stdin.",
                    .value_name = "IDS"},
                   {.name = "--model", .help = "The model's name.", .value_name = "NAME"},
                   {.name = "--revision", .help = "Its revision or digest.", .value_name = "HASH"},
                   {.name = "--tokenizer", .help = "Its tokenizer's digest.", .value_name = "HASH"},
                   {.name = "--arch", .help = "Its architecture.", .value_name = "NAME"},
                   {.name = "--rope-base", .help = "Its rotary base.", .value_name = "NUMBER"},
                   {.name = "--rope-scaling", .help = "Its rotary scaling.", .value_name = "TEXT"},
                   {.name = "--output",
                    .help = "Write here, and leave FILE as it is.",
                    .value_name = "G"}},
       .examples = {{"kvcs annotate context.kv --text-file prompt.txt --tokens ids.json",
                     "So that verify and search know its context."},
                    {"kvcs annotate context.kv --model m --arch qwen3 --output named.kv",
                     "A copy that says which model it belongs to."}},
       .run = run_annotate,
       .details = "The values stay as they are. Without --output the file is replaced at once, "
                  "together with its sidecar. An empty value takes a fact out."}};
}

}  // namespace kvcs::cli
