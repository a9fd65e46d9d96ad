// Reads GGUF metadata (github.com/ggml-org/ggml, docs/gguf.md) and config.json, and knows which
// order of rotary pairs each architecture has.
#include "kvfile/convert/model_facts.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/bytes.h"
#include "base/json.h"
#include "kvfile/convert/file_cursor.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kGgufEntriesMax = 1 << 16;
constexpr uint64_t kGgufTextMax = 1 << 20;
constexpr uint64_t kGgufListMax = 8192;  // Lists that are kept: one number per layer.
constexpr uint64_t kLayersMax = 8192;
constexpr uint64_t kConfigBytesMax = 1 << 20;

// GGUF's value types.
enum GgufType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kText,
  kList,
  kU64,
  kI64,
  kF64
};
constexpr uint64_t kGgufBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

// The metadata of a GGUF as far as it is numbers, short lists of numbers, and texts.
struct GgufValues {
  std::map<std::string, std::vector<double>> numbers;
  std::map<std::string, std::string> texts;
};

Result<std::string> read_text(FileCursor& in) {
  const uint64_t size = KVCS_TRY(in.u64("a text's length"));
  if (size > kGgufTextMax) {
    return in.fault("a text of " + std::to_string(size) + " bytes; the limit is " +
                    std::to_string(kGgufTextMax));
  }
  return in.bytes(size, "a text");
}

Result<double> read_number(FileCursor& in, uint32_t type) {
  const std::string bytes = KVCS_TRY(in.bytes(kGgufBytes[type], "a number"));
  uint64_t raw = 0;
  for (size_t i = 0; i < bytes.size(); i++) {
    raw |= uint64_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
  }
  switch (type) {
    case kI8:
      return static_cast<double>(static_cast<int8_t>(raw));
    case kI16:
      return static_cast<double>(static_cast<int16_t>(raw));
    case kI32:
      return static_cast<double>(static_cast<int32_t>(raw));
    case kI64:
      return static_cast<double>(static_cast<int64_t>(raw));
    case kF32: {
      const auto bits = static_cast<uint32_t>(raw);
      float value;
      std::memcpy(&value, &bits, 4);
      return static_cast<double>(value);
    }
    case kF64: {
      double value;
      std::memcpy(&value, &raw, 8);
      return value;
    }
    default:
      return static_cast<double>(raw);
  }
}

Status read_list(FileCursor& in, const std::string& key, GgufValues& out) {
  const uint32_t type = KVCS_TRY(in.u32("a list's type"));
  const uint64_t count = KVCS_TRY(in.u64("a list's length"));
  if (type == kText) {
    KVCS_TRY(in.need(count, "a list of texts", 8));
    for (uint64_t i = 0; i < count; i++) {
      const uint64_t size = KVCS_TRY(in.u64("a text's length"));
      KVCS_TRY(in.skip(size, "a text"));
    }
    return ok();
  }
  if (type > kF64 || type == kList) return in.fault("a list of type " + std::to_string(type));
  if (count > kGgufListMax) return in.skip(count, "a list", kGgufBytes[type]);
  std::vector<double> numbers(count);
  for (double& number : numbers) number = KVCS_TRY(read_number(in, type));
  out.numbers[key] = std::move(numbers);
  return ok();
}

Result<GgufValues> read_gguf(const std::string& path) {
  const auto source = KVCS_TRY(SourceFile::open(path));
  FileCursor in(*source);
  if (source->size_bytes() < 24 || KVCS_TRY(in.u32("the magic")) != kGgufMagic) {
    return invalid("not a GGUF file");
  }
  const uint32_t version = KVCS_TRY(in.u32("the version"));
  if (version != 2 && version != 3) {
    return invalid("GGUF version " + std::to_string(version) + "; 2 and 3 are known");
  }
  KVCS_TRY(in.u64("the tensor count"));
  const uint64_t entries = KVCS_TRY(in.u64("the entry count"));
  if (entries > kGgufEntriesMax) {
    return in.fault(std::to_string(entries) + " entries; the limit is " +
                    std::to_string(kGgufEntriesMax));
  }
  GgufValues values;
  for (uint64_t i = 0; i < entries; i++) {
    const std::string key = KVCS_TRY(read_text(in));
    const uint32_t type = KVCS_TRY(in.u32("a value's type"));
    if (type > kF64) return in.fault("a value of type " + std::to_string(type));
    if (type == kList) {
      KVCS_TRY(read_list(in, key, values));
    } else if (type == kText) {
      values.texts[key] = KVCS_TRY(read_text(in));
    } else {
      values.numbers[key] = {KVCS_TRY(read_number(in, type))};
    }
  }
  return values;
}

// A count of layers, heads or channels; 0 when it is absent or could not be one.
uint64_t as_count(double number) {
  return number >= 0 && number <= static_cast<double>(kTokensMax) ? static_cast<uint64_t>(number)
                                                                  : 0;
}

// A layer has a sliding window unless it is the last of every `period`.
std::vector<bool> window_pattern(uint64_t layers, uint64_t period) {
  std::vector<bool> is_window(layers);
  for (uint64_t i = 0; i < layers; i++) is_window[i] = period > 0 && i % period != period - 1;
  return is_window;
}

// The periods that llama.cpp has built in for architectures whose files do not state one.
uint64_t built_in_period(std::string_view architecture) {
  constexpr std::pair<std::string_view, uint64_t> kPeriods[] = {
      {"gemma2", 2},  {"gemma3", 6}, {"gemma3n", 5}, {"gpt-oss", 2},
      {"cohere2", 4}, {"llama4", 4}, {"exaone4", 4}, {"olmo2", 4}};
  for (const auto& [name, period] : kPeriods) {
    if (name == architecture) return period;
  }
  return 0;
}

// transformers' model_type as llama.cpp's architecture, where they differ.
std::string architecture_of(const std::string& model_type) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"mistral", "llama"},         {"mixtral", "llama"},
      {"cohere", "command-r"},      {"deepseek_v2", "deepseek2"},
      {"deepseek_v3", "deepseek2"}, {"kimi_k2", "deepseek2"},
      {"gemma3_text", "gemma3"},    {"gpt_oss", "gpt-oss"},
      {"llama4_text", "llama4"},    {"glm", "chatglm"},
      {"qwen2_moe", "qwen2moe"},    {"qwen3_moe", "qwen3moe"},
      {"qwen3_next", "qwen3next"},  {"phi", "phi2"},
      {"falcon_h1", "falcon-h1"},   {"granitemoehybrid", "granitehybrid"},
      {"gpt_neox", "gptneox"}};
  for (const auto& [type, name] : kNames) {
    if (type == model_type) return std::string(name);
  }
  return model_type;
}

constexpr std::string_view kNormArchitectures[] = {
    "llama",     "llama4",     "mllama",        "deci",      "baichuan",   "internlm2",
    "minicpm",   "minicpm3",   "xverse",        "command-r", "cohere2",    "olmo",
    "arctic",    "deepseek",   "deepseek2",     "plm",       "chatglm",    "glm4",
    "granite",   "granitemoe", "granitehybrid", "chameleon", "bailingmoe", "smollm3",
    "arcee",     "ernie4_5",   "ernie4_5-moe",  "mistral3",  "orion",      "solar",
    "starcoder", "refact",     "neo-bert",      "llada",     "nanbeige",   "maincoder"};
constexpr std::string_view kNeoxArchitectures[] = {
    "falcon",        "falcon-h1", "grok",       "dbrx",       "stablelm", "bitnet",
    "qwen",          "qwen2",     "qwen2moe",   "qwen3",      "qwen3moe", "qwen3next",
    "qwen35",        "qwen35moe", "olmo2",      "olmoe",      "phi2",     "phi3",
    "phimoe",        "plamo",     "plamo2",     "gemma",      "gemma2",   "gemma3",
    "gemma3n",       "gemma4",    "starcoder2", "openelm",    "gptneox",  "codeshell",
    "nemotron",      "exaone",    "exaone4",    "minicpm5",   "glm4moe",  "hunyuan-moe",
    "hunyuan-dense", "gpt-oss",   "openai-moe", "lfm2",       "lfm2moe",  "smallthinker",
    "seed_oss",      "dots1",     "apertus",    "minimax-m2", "afmoe",    "bailingmoe2"};
// Their transformers code turns neighbouring channels itself, and their weights are not permuted.
constexpr std::string_view kAdjacentArchitectures[] = {
    "command-r", "cohere2", "chatglm", "glm4", "llama4", "ernie4_5", "ernie4_5-moe", "deepseek2"};

template <size_t n>
bool is_among(const std::string_view (&names)[n], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// The members of config.json, or of its part about text in a model that sees pictures.
const Json& text_part(const Json& config) {
  for (const char* const name : {"text_config", "llm_config", "language_config"}) {
    const auto part = config.find(name);
    if (part != config.end() && part->is_object()) return *part;
  }
  return config;
}

double number_member(const Json& value, std::string_view name) {
  const auto member = value.find(name);
  return member != value.end() && member->is_number() ? member->get<double>() : 0;
}

Status check_layers(uint64_t layers) {
  if (layers > 0 && layers <= kLayersMax) return ok();
  return invalid(std::to_string(layers) + " layers; a model has 1 to " +
                 std::to_string(kLayersMax));
}

}  // namespace

Result<ModelFacts> read_gguf_facts(const std::string& path) {
  Result<GgufValues> read = read_gguf(path);
  if (!read.ok()) return Status(read.status()).with_context("--gguf " + printable(path));
  const GgufValues& values = *read;
  ModelFacts facts;
  facts.source = "--gguf " + printable(path);
  const auto text = [&](const std::string& key) {
    const auto it = values.texts.find(key);
    return it == values.texts.end() ? std::string() : it->second;
  };
  facts.architecture = text("general.architecture");
  facts.name = text("general.name");
  const std::string prefix = facts.architecture + ".";
  const auto list = [&](const std::string& key) {
    const auto it = values.numbers.find(prefix + key);
    return it == values.numbers.end() ? std::vector<double>() : it->second;
  };
  const auto number = [&](const std::string& key) {
    const std::vector<double> numbers = list(key);
    return numbers.empty() ? 0 : numbers.front();
  };
  const uint64_t layers = as_count(number("block_count"));
  KVCS_TRY(check_layers(layers));
  std::vector<double> heads = list("attention.head_count_kv");
  if (heads.empty()) heads = list("attention.head_count");
  for (uint64_t i = 0; i < layers && !heads.empty(); i++) {
    facts.kv_heads.push_back(as_count(heads.size() == 1  ? heads[0]
                                      : i < heads.size() ? heads[i]
                                                         : 0));
  }
  const uint64_t interval = as_count(number("full_attention_interval"));
  for (uint64_t i = 0; i < facts.kv_heads.size() && interval > 0; i++) {
    if ((i + 1) % interval != 0) facts.kv_heads[i] = 0;
  }
  const uint64_t shared = as_count(number("attention.shared_kv_layers"));
  for (uint64_t i = layers - std::min(shared, layers); i < facts.kv_heads.size(); i++) {
    facts.kv_heads[i] = 0;
  }
  const double query_heads = number("attention.head_count");
  facts.key_dim = as_count(number("attention.key_length"));
  facts.value_dim = as_count(number("attention.value_length"));
  if (facts.key_dim == 0 && query_heads > 0) {
    facts.key_dim = as_count(number("embedding_length") / query_heads);
  }
  if (facts.value_dim == 0) facts.value_dim = facts.key_dim;
  facts.window_key_dim = as_count(number("attention.key_length_swa"));
  facts.window_value_dim = as_count(number("attention.value_length_swa"));
  facts.is_latent = number("attention.key_length_mla") > 0;
  facts.rope_dim = as_count(number("rope.dimension_count"));
  if (const double base = number("rope.freq_base"); base > 0) facts.rope_base = base;
  facts.rope_scaling = text(prefix + "rope.scaling.type");
  if (facts.rope_scaling == "none") facts.rope_scaling.clear();
  if (number("attention.sliding_window") > 0) {
    const std::vector<double> pattern = list("attention.sliding_window_pattern");
    if (pattern.size() == layers && layers > 1) {
      for (const double one : pattern) facts.is_window.push_back(one != 0);
    } else {
      const uint64_t period =
          pattern.empty() ? built_in_period(facts.architecture) : as_count(pattern[0]);
      if (period > 0) facts.is_window = window_pattern(layers, period);
    }
  }
  return facts;
}

Result<ModelFacts> read_config_facts(const std::string& path) {
  const std::string text = KVCS_TRY(read_small_file(path, kConfigBytesMax));
  Result<Json> parsed = parse_json(text);
  if (!parsed.ok()) return Status(parsed.status()).with_context("--config " + printable(path));
  if (!parsed->is_object()) return invalid("--config " + printable(path) + ": not an object");
  const Json& config = text_part(*parsed);
  ModelFacts facts;
  facts.source = "--config " + printable(path);
  facts.architecture = architecture_of(text_member(config, "model_type"));
  facts.name = text_member(*parsed, "_name_or_path");
  const uint64_t layers = as_count(number_member(config, "num_hidden_layers"));
  KVCS_TRY(check_layers(layers).with_context(facts.source));
  const double query_heads = number_member(config, "num_attention_heads");
  double heads = number_member(config, "num_key_value_heads");
  if (heads == 0) heads = query_heads;
  facts.key_dim = as_count(number_member(config, "head_dim"));
  if (facts.key_dim == 0 && query_heads > 0) {
    facts.key_dim = as_count(number_member(config, "hidden_size") / query_heads);
  }
  facts.value_dim = facts.key_dim;
  double share = number_member(config, "partial_rotary_factor");
  double base = number_member(config, "rope_theta");
  for (const char* const name : {"rope_parameters", "rope_scaling"}) {
    const auto rope = config.find(name);
    if (rope == config.end() || !rope->is_object()) continue;
    if (base == 0) base = number_member(*rope, "rope_theta");
    if (share == 0) share = number_member(*rope, "partial_rotary_factor");
    facts.rope_scaling = text_member(*rope, "rope_type");
    if (facts.rope_scaling.empty()) facts.rope_scaling = text_member(*rope, "type");
    if (facts.rope_scaling == "default") facts.rope_scaling.clear();
  }
  if (base > 0) facts.rope_base = base;
  facts.rope_dim = share > 0 ? as_count(share * static_cast<double>(facts.key_dim)) : facts.key_dim;
  if (const double rank = number_member(config, "kv_lora_rank"); rank > 0) {
    facts.is_latent = true;
    heads = 1;
    facts.rope_dim = as_count(number_member(config, "qk_rope_head_dim"));
    facts.key_dim = as_count(rank) + facts.rope_dim;
    facts.value_dim = as_count(rank);
  }
  facts.kv_heads.assign(layers, as_count(heads));
  const auto types = config.find("layer_types");
  if (types != config.end() && types->is_array() && types->size() == layers) {
    facts.is_window.assign(layers, false);
    for (uint64_t i = 0; i < layers; i++) {
      const std::string type = (*types)[i].is_string() ? (*types)[i].get<std::string>() : "";
      facts.is_window[i] = type == "sliding_attention" || type == "chunked_attention";
      const bool attends = type.ends_with("attention") && type != "linear_attention";
      if (!type.empty() && !attends) facts.kv_heads[i] = 0;
    }
  } else if (number_member(config, "sliding_window") > 0) {
    double period = number_member(config, "sliding_window_pattern");
    if (period == 0) period = static_cast<double>(built_in_period(facts.architecture));
    if (period > 0) facts.is_window = window_pattern(layers, as_count(period));
  }
  return facts;
}

std::optional<RopePairing> llama_pairing(std::string_view architecture) {
  if (is_among(kNormArchitectures, architecture)) return RopePairing::kNorm;
  if (is_among(kNeoxArchitectures, architecture)) return RopePairing::kNeox;
  return std::nullopt;
}

bool is_adjacent_in_transformers(std::string_view architecture) {
  return is_among(kAdjacentArchitectures, architecture);
}

}  // namespace kvcs::kvfile
