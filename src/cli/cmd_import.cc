// `kvcs import`: a cache of llama.cpp, transformers, mlx-lm or vLLM as a .kv file, and what was
// found out about it; the work is in kvfile/convert.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/decimal.h"
#include "cli/commands.h"
#include "cli/kv_figures.h"
#include "kvfile/convert/import.h"

namespace kvcs::cli {
namespace {

using kvfile::CacheSource;
using kvfile::RopeOrder;
using kvfile::RotationChoice;

// Facts that a source does not state about its model: the option that gives each, and the metadata
// key under which it is recorded.
constexpr std::pair<const char*, const char*> kFactOptions[] = {
    {"model", "kvcs.model"},         {"revision", "kvcs.model_revision"},
    {"tokenizer", "kvcs.tokenizer"}, {"arch", "kvcs.arch"},
    {"rope-base", "kvcs.rope_base"}, {"rope-scaling", "kvcs.rope_scaling"}};

// An open source, what was found out about it in sentences for people, and the same as JSON
// members.
struct Opened {
  std::unique_ptr<CacheSource> cache;
  std::vector<std::string> findings;
  Json facts = Json::object();
};

// Names of options as the module's values; the choices of the option bound them.
RopeOrder rope_order(const std::string& name) {
  if (name == "norm") return RopeOrder::kNorm;
  if (name == "neox") return RopeOrder::kNeox;
  return name == "raw" ? RopeOrder::kRaw : RopeOrder::kAuto;
}
RotationChoice rotation_choice(const std::string& name) {
  if (name == "none") return RotationChoice::kNone;
  return name == "hadamard" ? RotationChoice::kHadamard : RotationChoice::kAuto;
}

// llama.cpp's files state neither shape nor order, so most of this is telling what was detected,
// and how sure it is (`spread`: near zero is sure).
Result<Opened> open_llama(const Invocation& in) {
  kvfile::LlamaImport options;
  options.kv_heads = static_cast<uint64_t>(in.number("heads"));
  options.head_dim = static_cast<uint64_t>(in.number("head-dim"));
  options.rope = rope_order(in.text("rope"));
  options.rotation = rotation_choice(in.text("rotation"));
  auto llama = KVCS_TRY(kvfile::open_llama_cache(in.text("file"), options));
  Opened opened;
  const std::string pairing(pairing_name(llama.rope.pairing));
  const bool raw = options.rope == RopeOrder::kRaw;
  std::string why = "as told";
  if (llama.rope.detected) {
    why = "detected: pair lengths of equal tokens differ by " +
          format_decimal(llama.rope.spread, 4) + " over " +
          counted(llama.rope.rows_compared, "place");
    opened.facts["spread"] = llama.rope.spread;
  }
  opened.findings = {llama.seen,
                     raw ? "keys left in their order"
                         : "rope " + pairing +
                               (llama.is_reordered ? ", keys brought into transformers' order"
                                                   : ", already transformers' order"),
                     std::string("rotation ") + (llama.rope.hadamard ? "hadamard, undone" : "none"),
                     why};
  opened.facts["seen"] = llama.seen;
  opened.facts["rope"] = raw ? "raw" : pairing;
  opened.facts["rotation"] = llama.rope.hadamard ? "hadamard" : "none";
  opened.facts["detected"] = llama.rope.detected;
  opened.cache = std::move(llama.cache);
  return opened;
}

// The other sources state their order: transformers' halves.
Result<Opened> open_source(const Invocation& in) {
  const std::string from = in.text("from"), path = in.text("file");
  if (from == "llama") return open_llama(in);
  Opened opened;
  if (from == "hf") {
    opened.cache = KVCS_TRY(kvfile::open_hf_cache(path));
  } else if (from == "mlx") {
    opened.cache = KVCS_TRY(kvfile::open_mlx_cache(path));
  } else {
    const auto heads = static_cast<uint64_t>(in.number("heads"));
    opened.cache = KVCS_TRY(kvfile::open_vllm_cache(path, heads));
  }
  return opened;
}

// Refuses options that the chosen source would ignore, and values that could not be true. A wrong
// option is a usage error (exit code 2).
Status check_options(const Invocation& in) {
  const bool llama = in.text("from") == "llama";
  for (const char* const name : {"rope", "rotation"}) {
    if (!llama && in.text(name) != "auto") {
      return invalid(std::string("--") + name + " is for --from llama; the others say or have one");
    }
  }
  if (const auto base = in.optional_text("rope-base")) {
    if (KVCS_TRY(parse_decimal(*base, "--rope-base")) <= 0) {
      return invalid("--rope-base: '" + printable(*base, kShownWord) + "' is not above zero");
    }
  }
  return ok();
}

// Sources that state their shape must agree with a shape that was typed: a difference means that
// the user has another file in mind.
Status check_shape(const Invocation& in, const kvfile::Geometry& geometry) {
  const std::pair<const char*, uint64_t> sizes[] = {{"heads", geometry.kv_heads},
                                                    {"head-dim", geometry.head_dim}};
  for (const auto& [name, found] : sizes) {
    const std::optional<int64_t> told = in.optional_number(name);
    if (told && static_cast<uint64_t>(*told) != found) {
      return invalid(std::string("--") + name + " " + std::to_string(*told) + ": " +
                     printable(in.text("file")) + " has " + std::to_string(found));
    }
  }
  return ok();
}

// A value that the target dtype cannot hold is saturated and counted, as the source may be F32.
Result<int> import(const Invocation& in, Console& console) {
  const Opened opened = KVCS_TRY(open_source(in));
  KVCS_TRY(check_shape(in, opened.cache->geometry()));
  kvfile::ImportOptions options;
  options.output = in.text("output");
  options.inputs = {in.text("file")};
  for (const auto& [option, key] : kFactOptions) {
    if (const auto value = in.optional_text(option)) options.facts.emplace_back(key, *value);
  }
  if (const auto dtype = in.optional_text("dtype")) options.dtype = kvfile::parse_dtype(*dtype);
  if (const auto path = in.optional_text("tokens")) {
    options.tokens = KVCS_TRY(kvfile::read_token_ids(*path));
  }
  const auto report = KVCS_TRY(kvfile::write_imported(*opened.cache, options));
  if (console.mode().json) {
    Json json{{"input", in.text("file")}, {"output", options.output}};
    json.update(geometry_json(report.header));
    json.update(opened.facts);
    json["saturated"] = report.saturated;
    console.print_json(json);
    return kExitOk;
  }
  console.print(
      printable(options.output) + ": " + counted(report.header.tokens, "token") + ", " +
      counted(report.header.layers, "layer") + ", " + counted(report.header.kv_heads, "head") +
      " × " + std::to_string(report.header.head_dim) + ", " +
      std::string(dtype_name(report.header.dtype)) + ", " + format_bytes(report.header.file_bytes));
  for (const std::string& line : opened.findings) console.print("  " + printable(line));
  if (report.saturated > 0) {
    console.note(counted(report.saturated, "value") +
                 " beyond the dtype became its largest; take --dtype F32");
  }
  return kExitOk;
}

int run_import(const Invocation& in, Console& console) {
  if (const Status usage = check_options(in); !usage.ok()) return console.misused(usage);
  const Result<int> code = import(in, console);
  return code.ok() ? *code : console.fail(code.status());
}

std::vector<Option> import_options() {
  return {{.name = "FILE", .help = "The foreign file, or vLLM's folder.", .required = true},
          {.name = "--from",
           .help = "The program that wrote it.",
           .required = true,
           .choices = {"llama", "hf", "mlx", "vllm"}},
          {.name = "--output", .help = "The file to write.", .value_name = "G", .required = true},
          {.name = "--heads",
           .kind = ValueKind::kNumber,
           .help = "Key-value heads; llama and vllm do not record them.",
           .value_name = "H",
           .min = 1,
           .max = 65'536},
          {.name = "--head-dim",
           .kind = ValueKind::kNumber,
           .help = "Channels per head; llama does not record them.",
           .value_name = "D",
           .min = 1,
           .max = 16'384},
          {.name = "--rope",
           .help = "llama: how keys pair their channels; raw leaves them in their order.",
           .fallback = "auto",
           .choices = {"auto", "norm", "neox", "raw"}},
          {.name = "--rotation",
           .help = "llama: whether quantised values are Hadamard-rotated.",
           .fallback = "auto",
           .choices = {"auto", "none", "hadamard"}},
          {.name = "--dtype",
           .help = "F16 from llama, else the source's, unless given.",
           .choices = {"F16", "BF16", "F32"}},
          {.name = "--tokens",
           .help = "A JSON array of the token ids, when the source has none.",
           .value_name = "IDS.json"},
          {.name = "--model", .help = "The model's name, to record.", .value_name = "NAME"},
          {.name = "--revision", .help = "Its revision or digest.", .value_name = "HASH"},
          {.name = "--tokenizer", .help = "Its tokenizer's digest.", .value_name = "HASH"},
          {.name = "--arch", .help = "Its architecture.", .value_name = "NAME"},
          {.name = "--rope-base", .help = "Its rotary base.", .value_name = "NUMBER"},
          {.name = "--rope-scaling", .help = "Its rotary scaling.", .value_name = "TEXT"}};
}

}  // namespace

std::vector<Command> import_commands() {
  return {{.name = "import",
           .summary = "Turn a cache of llama.cpp, transformers, mlx-lm or vLLM into a .kv file.",
           .options = import_options(),
           .examples = {{"kvcs import state.bin --from llama --heads 2 --head-dim 64 --output a.kv",
                         "A session, prompt cache or slot of llama.cpp."},
                        {"kvcs import cache.safetensors --from hf --tokens ids.json --output b.kv",
                         "A dump of transformers' DynamicCache."},
                        {"kvcs import prompt.safetensors --from mlx --output c.kv",
                         "A prompt cache of mlx-lm."},
                        {"kvcs import folder --from vllm --heads 2 --output d.kv",
                         "A folder of vLLM's example connector."}},
           .run = run_import,
           .details =
               "The rope order and rotation of a llama.cpp file are found from the lengths of "
               "rotary pairs over repeated tokens in layer 0; the result says which were chosen "
               "and why. When nothing repeats, --rope and --rotation must be given. Caches can "
               "stand for "
               "each other only when model and tokenizer are the same: record what you know."}};
}

}  // namespace kvcs::cli
