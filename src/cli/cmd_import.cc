// `kvcs import`: a cache of llama.cpp, transformers, mlx-lm or vLLM as a .kv file, and what was
// found out about it; the work is in kvfile/convert.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/decimal.h"
#include "cli/commands.h"
#include "cli/fact_options.h"
#include "cli/kv_figures.h"
#include "kvfile/convert/import.h"

namespace kvcs::cli {
namespace {

using kvfile::CacheSource;
using kvfile::RopeOrder;
using kvfile::RotationChoice;

// An open source, what was found out about it in sentences for people, and the same as JSON
// members.
struct Opened {
  std::unique_ptr<CacheSource> cache;
  kvfile::ReadBlocks blocks;
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

// What the model's description says, of whichever form was given.
Result<std::optional<kvfile::ModelFacts>> read_model(const Invocation& in) {
  std::optional<kvfile::ModelFacts> model;
  if (const auto path = in.optional_text("gguf")) {
    model = KVCS_TRY(kvfile::read_gguf_facts(*path));
  } else if (const auto config = in.optional_text("config")) {
    model = KVCS_TRY(kvfile::read_config_facts(*config));
  }
  return model;
}

// llama.cpp's files state neither shape nor order, so most of this is telling what was detected,
// and how sure it is (`agreement`: near one is sure).
Result<Opened> open_llama(const Invocation& in, const std::optional<std::vector<uint32_t>>& ids) {
  kvfile::LlamaImport options;
  options.kv_heads = static_cast<uint64_t>(in.optional_number("heads").value_or(0));
  options.head_dim = static_cast<uint64_t>(in.optional_number("head-dim").value_or(0));
  options.rope = rope_order(in.text("rope"));
  options.rotation = rotation_choice(in.text("rotation"));
  options.architecture = in.optional_text("arch").value_or("");
  options.model = KVCS_TRY(read_model(in));
  if (const auto base = in.optional_text("rope-base")) {
    options.rope_base = KVCS_TRY(parse_decimal(*base, "--rope-base"));
  }
  if (const auto sequence = in.optional_number("sequence")) {
    options.sequence = static_cast<uint32_t>(*sequence);
  }
  options.tokens = ids;
  auto llama = KVCS_TRY(kvfile::open_llama_cache(in.text("file"), options));
  Opened opened;
  const std::string pairing(pairing_name(llama.rope.pairing));
  const bool raw = options.rope == RopeOrder::kRaw;
  std::string order = "rope " + pairing;
  if (llama.is_reordered) {
    order += ", keys brought into transformers' order";
  } else if (llama.is_adjacent) {
    order += ", which is transformers' order for this architecture";
  } else {
    order += ", already transformers' order";
  }
  if (raw) order = "keys left in their order";
  if (llama.rope.detected) {
    opened.facts["agreement"] = llama.rope.agreement;
    if (llama.rope.base) opened.facts["rope_base"] = *llama.rope.base;
  }
  opened.findings = {llama.seen, order,
                     std::string("rotation ") + (llama.rope.hadamard ? "hadamard, undone" : "none"),
                     llama.rope.detected ? "the keys show: " + llama.evidence : "as told"};
  if (llama.is_reordered && options.architecture.empty() && !options.model) {
    opened.findings.push_back(
        "of Command-R, Cohere, GLM-4, ERNIE or Llama 4? say --arch: their order is another");
  }
  opened.facts["seen"] = llama.seen;
  opened.facts["rope"] = raw ? "raw" : pairing;
  opened.facts["rotation"] = llama.rope.hadamard ? "hadamard" : "none";
  opened.facts["detected"] = llama.rope.detected;
  opened.blocks = std::move(llama.blocks);
  opened.cache = std::move(llama.cache);
  return opened;
}

std::optional<float> scale_of(const Invocation& in, const char* option) {
  const auto text = in.optional_text(option);
  if (!text) return std::nullopt;
  return static_cast<float>(
      parse_decimal(*text, option).value());  // check_options() has parsed it.
}

// The other sources state their order: transformers' halves.
Result<kvfile::ImportedTensors> open_tensors(const Invocation& in,
                                             const std::optional<std::vector<uint32_t>>& ids) {
  const std::string from = in.text("from"), path = in.text("file");
  if (from == "mlx") return kvfile::open_mlx_cache(path);
  if (from == "pages") return kvfile::open_page_cache(path);
  if (from == "vllm") {
    kvfile::VllmImport options;
    options.kv_heads = static_cast<uint64_t>(in.number("heads"));
    if (in.text("fp8") == "e5m2") options.narrow = kvfile::Dtype::kF8E5m2;
    options.key_scale = scale_of(in, "key-scale");
    options.value_scale = scale_of(in, "value-scale");
    return kvfile::open_vllm_cache(path, options);
  }
  kvfile::HfImport options;
  options.key_name = in.text("key-name");
  options.value_name = in.text("value-name");
  if (in.text("layout") == "nhd") options.layout = kvfile::TensorLayout::kNhd;
  if (ids) options.tokens = ids->size();
  return kvfile::open_hf_cache(path, options);
}

Result<Opened> open_source(const Invocation& in, const std::optional<std::vector<uint32_t>>& ids) {
  if (in.text("from") == "llama") return open_llama(in, ids);
  auto tensors = KVCS_TRY(open_tensors(in, ids));
  Opened opened;
  opened.cache = std::move(tensors.cache);
  opened.findings = std::move(tensors.seen);
  if (!opened.findings.empty()) opened.facts["seen"] = opened.findings;
  return opened;
}

// Refuses options that the chosen source would ignore, and values that could not be true. A wrong
// option is a usage error (exit code 2).
Status check_options(const Invocation& in) {
  const std::string from = in.text("from");
  for (const char* const name : {"rope", "rotation"}) {
    if (from != "llama" && in.text(name) != "auto") {
      return invalid(std::string("--") + name + " is for --from llama; the others say or have one");
    }
  }
  if (from != "llama" && in.optional_number("sequence")) {
    return invalid("--sequence is for --from llama; the others hold one");
  }
  if (in.optional_text("gguf") && in.optional_text("config")) {
    return invalid("--gguf and --config both describe the model; give one");
  }
  static constexpr std::pair<const char*, const char*> kOwners[] = {
      {"key-name", "hf"},    {"value-name", "hf"},    {"layout", "hf"},  {"fp8", "vllm"},
      {"key-scale", "vllm"}, {"value-scale", "vllm"}, {"gguf", "llama"}, {"config", "llama"}};
  for (const auto& [name, owner] : kOwners) {
    if (from != owner && in.optional_text(name)) {
      return invalid(std::string("--") + name + " is for --from " + owner);
    }
  }
  for (const char* const name : {"rope-base", "key-scale", "value-scale"}) {
    const auto number = in.optional_text(name);
    if (number && KVCS_TRY(parse_decimal(*number, std::string("--") + name)) <= 0) {
      return invalid(std::string("--") + name + ": '" + printable(*number, kShownWord) +
                     "' is not above zero");
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
  kvfile::ImportOptions options;
  if (const auto path = in.optional_text("tokens")) {
    options.tokens = KVCS_TRY(kvfile::read_token_ids(*path));
  }
  const Opened opened = KVCS_TRY(open_source(in, options.tokens));
  KVCS_TRY(check_shape(in, opened.cache->geometry()));
  options.output = in.text("output");
  options.inputs = {in.text("file")};
  for (const auto& [option, key] : kFactOptions) {
    if (const auto value = in.optional_text(option)) options.facts.emplace_back(key, *value);
  }
  if (const auto dtype = in.optional_text("dtype")) {
    options.dtype = kvfile::parse_dtype(*dtype);
  } else {
    options.blocks = opened.blocks;
  }
  if (const auto path = in.optional_text("text-file")) {
    options.prompt = KVCS_TRY(kvfile::read_small_file(*path, kvfile::kSidecarBytesMax));
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
  console.print(printable(options.output) + ": " + counted(report.header.tokens, "token") + ", " +
                counted(report.header.layers, "layer") + ", " +
                counted(report.header.kv_heads, "head") + " × " +
                std::to_string(report.header.head_dim) + ", " +
                std::string(report.header.quantized() ? scheme_name(report.header.scheme)
                                                      : dtype_name(report.header.dtype)) +
                ", " + format_bytes(report.header.file_bytes));
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
  return {{.name = "FILE", .help = "The foreign file, or its folder.", .required = true},
          {.name = "--from",
           .help = "The program that wrote it.",
           .required = true,
           .choices = {"llama", "hf", "mlx", "vllm", "pages"}},
          {.name = "--output", .help = "The file to write.", .value_name = "G", .required = true},
          {.name = "--heads",
           .kind = ValueKind::kNumber,
           .help = "Key-value heads; vllm does not record them, llama's keys show them.",
           .value_name = "H",
           .min = 1,
           .max = 65'536},
          {.name = "--head-dim",
           .kind = ValueKind::kNumber,
           .help = "Channels per head; llama's keys show them when tokens repeat.",
           .value_name = "D",
           .min = 1,
           .max = 16'384},
          {.name = "--gguf",
           .help = "llama: the model, which says heads, layers and rope.",
           .value_name = "MODEL.gguf"},
          {.name = "--config",
           .help = "llama: the model's config.json, for the same.",
           .value_name = "FILE"},
          {.name = "--sequence",
           .kind = ValueKind::kNumber,
           .help = "llama: which of several sequences to take.",
           .value_name = "N",
           .min = 0,
           .max = 2'147'483'647},
          {.name = "--rope",
           .help = "llama: how keys pair their channels; raw leaves them in their order.",
           .fallback = "auto",
           .choices = {"auto", "norm", "neox", "raw"}},
          {.name = "--rotation",
           .help = "llama: whether quantised values are Hadamard-rotated.",
           .fallback = "auto",
           .choices = {"auto", "none", "hadamard"}},
          {.name = "--key-name",
           .help = "hf: the keys' tensors, when their names are not known.",
           .value_name = "'layers.{}.k'"},
          {.name = "--value-name", .help = "hf: the values'.", .value_name = "'layers.{}.v'"},
          {.name = "--layout",
           .help = "hf: heads before tokens (hnd, as transformers) or after.",
           .choices = {"hnd", "nhd"}},
          {.name = "--fp8",
           .help = "vllm: what bytes without a type are; e4m3 unless given.",
           .choices = {"e4m3", "e5m2"}},
          {.name = "--key-scale",
           .help = "vllm: the factor of fp8 keys, which the folder does not record.",
           .value_name = "NUMBER"},
          {.name = "--value-scale", .help = "vllm: of fp8 values.", .value_name = "NUMBER"},
          {.name = "--dtype",
           .help = "Plain values; else llama's q8_0 stays, its other types become F16.",
           .choices = {"F16", "BF16", "F32"}},
          {.name = "--tokens",
           .help = "The token ids, when the source has none: JSON or numbers; - is stdin.",
           .value_name = "IDS"},
          {.name = "--text-file",
           .help = "The text that was cached, to record in the sidecar.",
           .value_name = "TEXT"},
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
           .examples = {{"kvcs import state.bin --from llama --output a.kv",
                         "A session, prompt cache or slot of llama.cpp."},
                        {"kvcs import state.bin --from llama --gguf model.gguf --output a.kv",
                         "The same, of a text without repeated tokens."},
                        {"kvcs import cache.safetensors --from hf --tokens ids.json --output b.kv",
                         "A dump of transformers' DynamicCache."},
                        {"kvcs import prompt.safetensors --from mlx --output c.kv",
                         "A prompt cache of mlx-lm."},
                        {"kvcs import folder --from vllm --heads 2 --output d.kv",
                         "A folder of vLLM's example connector."}},
           .run = run_import,
           .details =
               "The heads, the rope order, its base and the rotation of a llama.cpp file are found "
               "from the angles between equal tokens in the first layer; the result says which "
               "were chosen and why, and what was told and is contradicted by the keys is "
               "refused. When too little repeats, --gguf, --config or --head-dim with --arch, "
               "--rope and --rotation say it. Caches can stand for each other only when model "
               "and tokenizer are the same: record what you know."}};
}

}  // namespace kvcs::cli
