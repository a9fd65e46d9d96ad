// llama.cpp's state files as caches: rows are put in the order of positions, heads are cut out of
// them, values are transposed back, rotations are undone and rotary pairs are brought into
// transformers' order. The file says neither the number of heads nor the order of pairs nor whether
// it is rotated: the keys show it (rope_detect.h), or the model's description says it
// (model_facts.h), or the user does. Whatever is told and contradicted by the keys is refused.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/decimal.h"
#include "kvfile/convert/import.h"
#include "kvfile/convert/llama_reader.h"
#include "kvfile/format/hash_file.h"
#include "kvfile/format/tiles.h"
#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

// Values of repeated tokens that are looked at, so that 64 MiB are never passed.
constexpr uint64_t kDetectedValuesMax = 4 << 20;

std::string comma_list(const std::vector<uint32_t>& numbers) {
  std::string text;
  for (const uint32_t number : numbers) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
  }
  return text;
}

// What the keys of the file are, once everything is known.
struct KeyOrder {
  uint64_t heads = 0, head_dim = 0, rope_dim = 0;
  bool reorder = false;  // From neighbouring pairs to halves.
  uint64_t key_rotation = 0, value_rotation = 0;
};

class LlamaCache final : public CacheSource {
 public:
  LlamaCache(std::unique_ptr<SourceFile> source, LlamaFile file, std::vector<uint32_t> tokens)
      : source_(std::move(source)), file_(std::move(file)), tokens_(std::move(tokens)) {}

  const Geometry& geometry() const override { return geometry_; }
  Dtype dtype() const override { return Dtype::kF16; }
  const std::vector<uint32_t>& tokens() const override { return tokens_; }
  Status check_unchanged() const override { return source_->check_unchanged(); }
  const LlamaFile& file() const { return file_; }
  Metadata metadata() const override { return metadata_; }

  // Says what read() has to undo, and what is recorded about it.
  void set_order(const KeyOrder& order, const Geometry& geometry, Metadata metadata) {
    order_ = order;
    geometry_ = geometry;
    metadata_ = std::move(metadata);
  }

  Status read(Part part, uint64_t layer, uint64_t first, uint64_t rows, float* out) const override {
    const bool keys = part == Part::kKeys;
    const LlamaAttention& cache = file_.caches[0];
    const LlamaTensor& tensor = keys ? cache.keys[layer] : cache.values[layer];
    if (!keys && cache.values_transposed) {
      KVCS_TRY(read_transposed(cache, tensor, first, rows, out));
    } else {
      KVCS_TRY(read_rows(cache, tensor, first, rows, out));
    }
    const uint64_t rotation = keys ? order_.key_rotation : order_.value_rotation;
    const uint64_t count = rows * tensor.row_values;
    if (rotation > 0) kernels().hadamard(out, count / rotation, rotation);
    if (keys && order_.reorder) reorder(out, count);
    return ok();
  }

  // The blocks of q8_0 rows, by heads: nothing is undone.
  Status read_blocks(Part part, uint64_t layer, uint64_t first, uint64_t rows, int8_t* codes,
                     uint16_t* scales) const {
    const LlamaAttention& cache = file_.caches[0];
    const LlamaTensor& tensor = (part == Part::kKeys ? cache.keys : cache.values)[layer];
    const uint64_t block_bytes = tensor.type->block_bytes;
    const uint64_t per_head = geometry_.head_dim / kQ8Block;
    const uint64_t per_row = tensor.row_values / kQ8Block;
    std::string raw;
    for (uint64_t i = 0; i < rows;) {
      const uint64_t run = run_length(cache, first + i, rows - i);
      raw.resize(run * per_row * block_bytes);
      KVCS_TRY(source_->read(tensor.offset + cache.rows[first + i] * per_row * block_bytes,
                             raw.data(), raw.size()));
      for (uint64_t block = 0; block < run * per_row; block++) {
        const char* const from = raw.data() + block * block_bytes;
        const uint64_t row = i + block / per_row, head = block % per_row / per_head;
        const uint64_t to = (head * rows + row) * per_head + block % per_head;
        std::memcpy(scales + to, from, 2);
        std::memcpy(codes + to * kQ8Block, from + 2, kQ8Block);
      }
      i += run;
    }
    return ok();
  }

  // Reads rows as they are stored: all heads of a token side by side, rotations and order of pairs
  // as they are. Rows that lie one after the other in the file are one read.
  Status read_stored(const LlamaAttention& cache, const LlamaTensor& tensor, uint64_t first,
                     uint64_t rows, float* out) const {
    const uint64_t row_bytes =
        tensor.row_values / tensor.type->block_values * tensor.type->block_bytes;
    std::string raw;
    for (uint64_t i = 0; i < rows;) {
      const uint64_t run = run_length(cache, first + i, rows - i);
      raw.resize(run * row_bytes);
      KVCS_TRY(
          source_->read(tensor.offset + cache.rows[first + i] * row_bytes, raw.data(), raw.size()));
      decode_llama(*tensor.type, raw.data(), out + i * tensor.row_values, run * tensor.row_values);
      i += run;
    }
    return ok();
  }

 private:
  // How many of the `rows` positions from `first` on lie side by side in the file.
  static uint64_t run_length(const LlamaAttention& cache, uint64_t first, uint64_t rows) {
    uint64_t run = 1;
    while (run < rows && cache.rows[first + run] == cache.rows[first] + run) run++;
    return run;
  }

  Status read_rows(const LlamaAttention& cache, const LlamaTensor& tensor, uint64_t first,
                   uint64_t rows, float* out) const {
    std::vector<float> stored(rows * tensor.row_values);
    KVCS_TRY(read_stored(cache, tensor, first, rows, stored.data()));
    const uint64_t dim = geometry_.head_dim;
    for (uint64_t head = 0; head < geometry_.kv_heads; head++) {
      for (uint64_t row = 0; row < rows; row++) {
        const float* const from = stored.data() + row * tensor.row_values + head * dim;
        std::copy(from, from + dim, out + (head * rows + row) * dim);
      }
    }
    return ok();
  }

  // Without flash attention llama.cpp keeps values as one run of all tokens per channel, so each
  // channel is a read of its own.
  Status read_transposed(const LlamaAttention& cache, const LlamaTensor& tensor, uint64_t first,
                         uint64_t rows, float* out) const {
    const uint64_t value_bytes = tensor.type->block_bytes, dim = geometry_.head_dim;
    std::string raw;
    std::vector<float> channel(rows);
    for (uint64_t c = 0; c < tensor.row_values; c++) {
      for (uint64_t i = 0; i < rows;) {
        const uint64_t run = run_length(cache, first + i, rows - i);
        raw.resize(run * value_bytes);
        KVCS_TRY(
            source_->read(tensor.offset + (c * cache.cells + cache.rows[first + i]) * value_bytes,
                          raw.data(), raw.size()));
        decode_llama(*tensor.type, raw.data(), channel.data() + i, run);
        i += run;
      }
      float* const to = out + c / dim * rows * dim + c % dim;
      for (uint64_t row = 0; row < rows; row++) to[row * dim] = channel[row];
    }
    return ok();
  }

  // From NORM order to transformers': out[j] = in[2j], out[j + half] = in[2j + 1] over the channels
  // that are turned. llama.cpp's converter permutes the key weights of these models, so their
  // caches have pairs side by side.
  void reorder(float* x, uint64_t count) const {
    const uint64_t dim = geometry_.head_dim, half = order_.rope_dim / 2;
    std::vector<float> row(order_.rope_dim);
    for (float* head = x; head < x + count; head += dim) {
      for (uint64_t j = 0; j < half; j++) {
        row[j] = head[2 * j];
        row[j + half] = head[2 * j + 1];
      }
      std::copy(row.begin(), row.end(), head);
    }
  }

  const std::unique_ptr<SourceFile> source_;
  const LlamaFile file_;
  const std::vector<uint32_t> tokens_;
  Geometry geometry_;
  KeyOrder order_;
  Metadata metadata_;
};

// What this version does not bring into a .kv file, said as what it is.
Status check_is_plain(const LlamaFile& file) {
  if (file.caches.empty()) {
    return invalid("a recurrent model's state (" + file.describe() +
                   "): it has no keys and values; this version imports attention caches alone");
  }
  const LlamaAttention& cache = file.caches[0];
  const std::string what = file.describe();
  if (file.recurrent) {
    return invalid("a hybrid model's state (" + what +
                   "): this version imports attention caches alone");
  }
  if (file.caches.size() > 1) {
    return invalid("a sliding-window model's state (" + what +
                   "): this version imports caches of one length alone");
  }
  if (cache.values.empty()) {
    return invalid("latent attention (" + what + "): keys of " +
                   std::to_string(cache.keys[0].row_values) +
                   " values and no values, which this version does not import; if the model has "
                   "values the file was cut");
  }
  for (size_t i = 0; i < cache.keys.size(); i++) {
    for (const auto* const tensors : {&cache.keys, &cache.values}) {
      const LlamaTensor& tensor = (*tensors)[i];
      if (tensor.row_values != cache.keys[0].row_values) {
        return invalid("a layer " + std::to_string(tensor.row_values) +
                       " values wide beside one of " + std::to_string(cache.keys[0].row_values) +
                       ": this version imports layers of one shape alone");
      }
      if (tensor.type != (*tensors)[0].type) {
        return invalid("layer " + std::to_string(i) + " has another value type than layer 0");
      }
    }
  }
  return ok();
}

// Whether the file is rotated, as far as its form decides it; without a value when the keys must
// show it. llama.cpp rotates quantised keys and values since March 2026 (pull request 21038), and
// nothing in the file says so.
std::optional<bool> known_rotation(const LlamaFile& file) {
  const LlamaAttention& cache = file.caches[0];
  const bool keys = cache.keys[0].type->quantized();
  // Files with an outputs block, or without streams, were written before there was a rotation.
  if (!keys || file.has_outputs || !file.has_streams) return false;
  return std::nullopt;
}

// Rows of repeated tokens in the first layer.
struct RepeatedRows {
  RepeatedTokens repeated;
  std::vector<float> keys;
};
Result<RepeatedRows> read_repeated(const LlamaCache& source) {
  const LlamaAttention& cache = source.file().caches[0];
  const LlamaTensor& tensor = cache.keys[0];
  RepeatedRows rows;
  rows.repeated = find_repeated_tokens(source.tokens(), kDetectedValuesMax / tensor.row_values);
  rows.keys.resize(rows.repeated.rows * tensor.row_values);
  float* to = rows.keys.data();
  for (const auto& places : rows.repeated.places) {
    for (const uint64_t place : places) {
      KVCS_TRY(source.read_stored(cache, tensor, place, 1, to));
      to += tensor.row_values;
    }
  }
  return rows;
}

// One fact from whoever states it, with the name of who does.
template <typename Value>
struct Told {
  std::optional<Value> value;
  std::string by;
  void offer(std::optional<Value> other, const std::string& name) {
    if (value || !other) return;
    value = other;
    by = name;
  }
};

// What the user, the model's description and the architecture say, in this order.
struct ToldFacts {
  Told<uint64_t> heads, head_dim, rope_dim;
  Told<RopePairing> pairing;
  Told<bool> hadamard;
  Told<double> base;
  std::string architecture;
  // Of the architecture that the file itself names: used where the keys show nothing.
  std::optional<RopePairing> likely_pairing;
};

ToldFacts collect_facts(const LlamaFile& file, const LlamaImport& options) {
  ToldFacts told;
  if (options.kv_heads > 0) told.heads.offer(options.kv_heads, "--heads");
  if (options.head_dim > 0) told.head_dim.offer(options.head_dim, "--head-dim");
  if (options.rope == RopeOrder::kNorm) told.pairing.offer(RopePairing::kNorm, "--rope norm");
  if (options.rope == RopeOrder::kNeox) told.pairing.offer(RopePairing::kNeox, "--rope neox");
  if (options.rotation == RotationChoice::kNone) told.hadamard.offer(false, "--rotation none");
  if (options.rotation == RotationChoice::kHadamard) {
    told.hadamard.offer(true, "--rotation hadamard");
  }
  if (options.rope_base) told.base.offer(options.rope_base, "--rope-base");
  told.architecture = options.architecture;
  std::string by = "--arch " + printable(options.architecture, kShownWord);
  if (options.model) {
    const ModelFacts& model = *options.model;
    for (const uint64_t heads : model.kv_heads) {
      if (heads > 0) {
        told.heads.offer(heads, model.source);
        break;
      }
    }
    if (model.key_dim > 0) told.head_dim.offer(model.key_dim, model.source);
    if (model.rope_dim > 0) told.rope_dim.offer(model.rope_dim, model.source);
    if (model.rope_base && model.rope_scaling.empty()) {
      told.base.offer(model.rope_base, model.source);
    }
    if (told.architecture.empty()) {
      told.architecture = model.architecture;
      by = model.source + " (" + printable(model.architecture, kShownWord) + ")";
    }
  }
  told.pairing.offer(llama_pairing(told.architecture), by);
  told.likely_pairing = llama_pairing(file.architecture);
  if (told.architecture.empty()) told.architecture = file.architecture;
  return told;
}

// A base as people write it: the measured one where no round number is near.
std::string base_text(double base) {
  const double unit = std::pow(10, std::floor(std::log10(base)) - 1);
  const double round = std::round(base / unit) * unit;
  return format_decimal(std::fabs(round / base - 1) < 0.005 ? round : std::round(base), 0);
}

// "heads of 64, rope neox, …, by 432 places of equal tokens (agreement 0.9998)"
std::string seen_in_keys(const RopeChoice& choice, uint64_t width) {
  std::string text = counted(width / choice.head_dim, "head") + " × " +
                     std::to_string(choice.head_dim) + ", rope " +
                     std::string(pairing_name(choice.pairing));
  if (choice.rope_dim > 0 && choice.rope_dim != choice.head_dim) {
    text += " over " + std::to_string(choice.rope_dim) + " channels";
  }
  if (choice.base) text += ", base " + base_text(*choice.base);
  return text + (choice.hadamard ? ", rotated" : "") + ", by " +
         counted(choice.rows_compared, "place") + " of equal tokens (agreement " +
         format_decimal(choice.agreement, 4) + ")";
}

// Refuses what is told and contradicted by the keys.
Status check_told(const ToldFacts& told, const RopeChoice& choice, uint64_t width) {
  const auto refuse = [&](const std::string& by) {
    return invalid(by + " contradicts the keys: they are " + seen_in_keys(choice, width));
  };
  if (!choice.by_length_only) {
    if (told.head_dim.value && *told.head_dim.value != choice.head_dim) {
      return refuse(told.head_dim.by + " " + std::to_string(*told.head_dim.value));
    }
    if (told.heads.value && *told.heads.value * choice.head_dim != width) {
      return refuse(told.heads.by + " " + std::to_string(*told.heads.value));
    }
    if (told.base.value && choice.base &&
        std::fabs(std::log(*told.base.value / *choice.base)) > 0.1) {
      return refuse(told.base.by + " " + format_decimal(*told.base.value, 0));
    }
  }
  if (told.pairing.value && *told.pairing.value != choice.pairing) return refuse(told.pairing.by);
  if (told.hadamard.value && *told.hadamard.value != choice.hadamard) {
    return refuse(told.hadamard.by);
  }
  return ok();
}

Status check_shape(const ToldFacts& told, uint64_t heads, uint64_t dim, uint64_t width) {
  if (heads > width || dim > width || heads * dim != width) {
    return invalid(std::to_string(heads) + " heads × " + std::to_string(dim) + " (" +
                   (told.heads.value ? told.heads.by : told.head_dim.by) + ") are not the " +
                   std::to_string(width) + " values of a row");
  }
  if (dim % 2 != 0) return invalid("head_dim " + std::to_string(dim) + " is odd");
  return ok();
}

// Whether quantised values beside plain keys are rotated, or keys that show nothing: as told, and
// else by the version, since every llama.cpp that writes the newest one rotates.
Result<bool> choose_rotation(const ToldFacts& told, const LlamaFile& file, uint64_t head_dim) {
  const LlamaAttention& cache = file.caches[0];
  const bool quantised = cache.keys[0].type->quantized() || cache.values[0].type->quantized();
  if (told.hadamard.value) return *told.hadamard.value;
  if (!quantised || llama_key_rotation(head_dim) == 0) return false;
  if (file.has_outputs || !file.has_streams) return false;
  const uint32_t rotating = file.is_context ? kLlamaContextVersion : kLlamaSequenceVersion;
  if (file.version >= rotating) return true;
  return invalid(
      "nothing shows whether the quantised values are rotated; say --rotation hadamard "
      "(llama.cpp since March 2026) or none");
}

// Everything from what was told, when the keys show nothing; `why` says why they do not.
Result<RopeChoice> choose_told(const ToldFacts& told, const LlamaFile& file, uint64_t width,
                               bool raw, const Status& why) {
  RopeChoice choice;
  if (!told.heads.value && !told.head_dim.value) {
    return Status(why).with_context("the file does not say its shape: give --head-dim (a row has " +
                                    std::to_string(width) +
                                    " values), --gguf MODEL.gguf or --config config.json");
  }
  const uint64_t dim = told.head_dim.value ? *told.head_dim.value : width / *told.heads.value;
  const uint64_t heads = told.heads.value ? *told.heads.value : dim > 0 ? width / dim : 0;
  KVCS_TRY(check_shape(told, heads, dim, width));
  choice.head_dim = dim;
  choice.rope_dim = std::min(told.rope_dim.value.value_or(dim), dim);
  if (told.pairing.value) {
    choice.pairing = *told.pairing.value;
  } else if (told.likely_pairing) {
    choice.pairing = *told.likely_pairing;
  } else if (!raw) {
    return invalid(why.message() +
                   "; say --arch, or --rope norm (llama, mistral, granite, …) or --rope neox "
                   "(qwen, phi3, gemma, …)");
  }
  choice.hadamard = KVCS_TRY(choose_rotation(told, file, dim));
  return choice;
}

// A model with another number of layers is not the one that wrote the file.
Status check_model(const LlamaFile& file, const LlamaImport& options) {
  if (!options.model || options.model->kv_heads.empty()) return ok();
  const ModelFacts& model = *options.model;
  const auto layers = static_cast<size_t>(std::count_if(
      model.kv_heads.begin(), model.kv_heads.end(), [](uint64_t heads) { return heads > 0; }));
  if (layers == file.caches[0].keys.size()) return ok();
  return invalid(model.source + ": the model has " + counted(layers, "layer") +
                 " with a cache, the file has " + std::to_string(file.caches[0].keys.size()));
}

double precision_of(const LlamaType& type) {
  if (type.name == "f32") return 1e-6;
  if (type.name == "f16") return 1e-3;
  return type.name == "bf16" ? 8e-3 : type.name == "q8_0" ? 0.02 : 0.3;
}

// The keys decide; what is told fills in and is checked.
Result<RopeChoice> choose_rope(const LlamaCache& source, const ToldFacts& told, bool raw) {
  const LlamaFile& file = source.file();
  const LlamaAttention& cache = file.caches[0];
  const uint64_t width = cache.keys[0].row_values;
  RopeQuestion question;
  question.hadamard = known_rotation(file);
  question.precision = precision_of(*cache.keys[0].type);
  question.head_dim = told.head_dim.value;
  if (!question.head_dim && told.heads.value && *told.heads.value <= width) {
    question.head_dim = width / *told.heads.value;
  }
  if (question.head_dim) {
    KVCS_TRY(check_shape(told, told.heads.value.value_or(width / *question.head_dim),
                         *question.head_dim, width));
  }
  const bool quantised = cache.keys[0].type->quantized() || cache.values[0].type->quantized();
  if (told.hadamard.value && *told.hadamard.value && !quantised) {
    return invalid(told.hadamard.by + ": only quantised keys and values are ever rotated");
  }
  const RepeatedRows rows = KVCS_TRY(read_repeated(source));
  Result<RopeChoice> seen = detect_rope(rows.repeated, rows.keys, width, question);
  if (!seen.ok()) return choose_told(told, file, width, raw, seen.status());
  RopeChoice choice = *seen;
  if (cache.keys[0].type->quantized()) {
    KVCS_TRY(check_told(told, choice, width));
    return choice;
  }
  // Keys that are not quantised are never rotated, and say nothing about the values beside them.
  ToldFacts others = told;
  others.hadamard.value.reset();
  KVCS_TRY(check_told(others, choice, width));
  choice.hadamard = KVCS_TRY(choose_rotation(told, file, choice.head_dim));
  return choice;
}

Metadata describe(const LlamaFile& file, const ToldFacts& told, const KeyOrder& order,
                  const RopeChoice& choice, const std::string& pairing, const std::string& layout,
                  std::string digest) {
  constexpr size_t kExtraTokensKept = 4096;
  const LlamaAttention& cache = file.caches[0];
  const bool turned = order.key_rotation + order.value_rotation > 0;
  Metadata metadata{
      {"kvcs.source_format",
       std::string(file.is_context ? "llama ggsn " : "llama ggsq ") + std::to_string(file.version)},
      {"kvcs.source_sha256", std::move(digest)},
      {"kvcs.rope_layout", layout},
      {"kvcs.llama.rope", pairing},
      {"kvcs.llama.rotation", turned ? "hadamard" : "none"},
      {"kvcs.llama.key_type", std::string(cache.keys[0].type->name)},
      {"kvcs.llama.value_type", std::string(cache.values[0].type->name)},
      {"kvcs.llama.values_transposed", cache.values_transposed ? "1" : "0"},
      {"kvcs.llama.streams", std::to_string(cache.streams)},
      {"kvcs.llama.stream", std::to_string(cache.stream)},
      {"kvcs.llama.sequences", comma_list(cache.sequences)},
      {"kvcs.llama.token_frame", file.wrapped_tokens ? "slot" : "plain"},
      {"kvcs.llama.layers", std::to_string(cache.keys.size())},
      {"kvcs.llama.cells", std::to_string(cache.positions.size())}};
  if (order.rope_dim > 0) metadata.emplace_back("kvcs.rope_dim", std::to_string(order.rope_dim));
  if (choice.detected) {
    if (choice.base) metadata.emplace_back("kvcs.rope_base", base_text(*choice.base));
    if (choice.linear_scaling != 1) {
      metadata.emplace_back("kvcs.rope_scaling",
                            "linear " + format_decimal(choice.linear_scaling, 0));
    }
    metadata.emplace_back("kvcs.rope_confidence", format_decimal(choice.agreement, 4) + " over " +
                                                      counted(choice.rows_compared, "place"));
  }
  // How codes stand when they are kept; an import of values takes this out.
  const std::array rotations{Rotation{order.key_rotation}, Rotation{order.value_rotation}};
  metadata.emplace_back("kvcs.rotation", rotation_name(rotations));
  if (order.reorder) metadata.emplace_back("kvcs.key_order", "pair");
  if (!told.architecture.empty() && is_valid_utf8(told.architecture)) {
    metadata.emplace_back("kvcs.arch", told.architecture);
  }
  if (!choice.detected && told.base.value) {
    metadata.emplace_back("kvcs.rope_base", base_text(*told.base.value));
  }
  if (!file.extra_tokens.empty() && file.extra_tokens.size() <= kExtraTokensKept) {
    metadata.emplace_back("kvcs.llama.extra_tokens", comma_list(file.extra_tokens));
  }
  return metadata;
}

// Ids that were told stand for those of the file, which must not contradict them.
Result<std::vector<uint32_t>> choose_tokens(const LlamaFile& file, const LlamaImport& options) {
  if (!options.tokens) return file.tokens;
  const uint64_t count = file.token_count();
  if (options.tokens->size() != count) {
    return invalid(std::to_string(options.tokens->size()) + " token ids for a cache of " +
                   std::to_string(count) + " tokens");
  }
  return *options.tokens;
}

}  // namespace

Result<ImportedLlama> open_llama_cache(const std::string& path, const LlamaImport& options) {
  auto source = KVCS_TRY(SourceFile::open(path));
  LlamaFile file = KVCS_TRY(parse_llama(*source, options.sequence));
  KVCS_TRY(check_is_plain(file));
  KVCS_TRY(check_model(file, options));
  std::string digest = KVCS_TRY(hash_file(*source));
  ImportedLlama imported;
  imported.seen = file.describe();
  const ToldFacts told = collect_facts(file, options);
  std::vector<uint32_t> tokens = KVCS_TRY(choose_tokens(file, options));
  const uint64_t width = file.caches[0].keys[0].row_values;
  auto cache = std::make_unique<LlamaCache>(std::move(source), std::move(file), std::move(tokens));
  const bool raw = options.rope == RopeOrder::kRaw;
  imported.rope = KVCS_TRY(choose_rope(*cache, told, raw));
  const RopeChoice& rope = imported.rope;
  const LlamaAttention& attention = cache->file().caches[0];
  KeyOrder order;
  order.head_dim = rope.head_dim;
  order.heads = width / rope.head_dim;
  order.rope_dim = rope.rope_dim > 0
                       ? rope.rope_dim
                       : std::min(told.rope_dim.value.value_or(rope.head_dim), rope.head_dim);
  imported.is_adjacent =
      rope.pairing == RopePairing::kNorm && is_adjacent_in_transformers(told.architecture);
  imported.is_reordered = !raw && rope.pairing == RopePairing::kNorm && !imported.is_adjacent;
  order.reorder = imported.is_reordered;
  if (rope.hadamard && attention.keys[0].type->quantized()) {
    order.key_rotation = llama_key_rotation(rope.head_dim);
  }
  if (rope.hadamard && attention.values[0].type->quantized()) {
    order.value_rotation = llama_value_rotation(rope.head_dim);
  }
  Geometry geometry;
  geometry.layers = attention.keys.size();
  geometry.kv_heads = order.heads;
  geometry.tokens = attention.positions.size();
  geometry.head_dim = order.head_dim;
  KVCS_TRY(check_row_values(geometry));
  const std::string pairing = raw ? "raw" : std::string(pairing_name(rope.pairing));
  const std::string layout = raw ? "as stored" : imported.is_adjacent ? "pair" : "half";
  imported.heads = order.heads;
  if (rope.detected) imported.evidence = seen_in_keys(rope, width);
  cache->set_order(order, geometry,
                   describe(cache->file(), told, order, rope, pairing, layout, std::move(digest)));
  if (attention.keys[0].type->name == "q8_0" && attention.values[0].type->name == "q8_0" &&
      geometry.head_dim % kQ8Block == 0) {
    const LlamaCache* const blocks = cache.get();
    imported.blocks = [blocks](Part part, uint64_t layer, uint64_t first, uint64_t rows,
                               int8_t* codes, uint16_t* scales) {
      return blocks->read_blocks(part, layer, first, rows, codes, scales);
    };
  }
  imported.cache = std::move(cache);
  return imported;
}

}  // namespace kvcs::kvfile
