// llama.cpp's state files as caches: heads are cut out of rows, values are transposed back,
// rotations are undone and rotary pairs are brought into transformers' order. The file says neither
// the number of heads nor the order of pairs nor whether it is rotated; see rope_detect.h.
#include <algorithm>

#include "base/bytes.h"
#include "kvfile/convert/import.h"
#include "kvfile/convert/llama_reader.h"
#include "kvfile/format/hash_file.h"
#include "kvfile/kernels/kernels.h"

namespace kvcs::kvfile {
namespace {

std::string comma_list(const std::vector<uint32_t>& numbers) {
  std::string text;
  for (const uint32_t number : numbers) {
    text += (text.empty() ? "" : ",") + std::to_string(number);
  }
  return text;
}

class LlamaCache final : public CacheSource {
 public:
  LlamaCache(std::unique_ptr<SourceFile> source, LlamaFile file, const Geometry& geometry)
      : source_(std::move(source)), file_(std::move(file)), geometry_(geometry) {}

  const Geometry& geometry() const override { return geometry_; }
  Dtype dtype() const override { return Dtype::kF16; }
  const std::vector<uint32_t>& tokens() const override { return file_.tokens; }
  Status check_unchanged() const override { return source_->check_unchanged(); }
  const LlamaFile& file() const { return file_; }

  // Says what read() has to undo. llama.cpp rotates quantised keys and values alone.
  void set_order(bool reorder_keys, bool hadamard, std::string pairing) {
    reorder_keys_ = reorder_keys;
    key_rotation_ = value_rotation_ = 0;
    if (hadamard && file_.keys[0].type->quantized()) {
      key_rotation_ = llama_key_rotation(geometry_.head_dim);
    }
    if (hadamard && file_.values[0].type->quantized()) {
      value_rotation_ = llama_value_rotation(geometry_.head_dim);
    }
    pairing_ = std::move(pairing);
  }
  void set_digest(std::string sha256) { sha256_ = std::move(sha256); }

  Metadata metadata() const override {
    const bool turned = key_rotation_ + value_rotation_ > 0;
    Metadata metadata{
        {"kvcs.source_format", std::string(file_.is_context ? "llama ggsn " : "llama ggsq ") +
                                   std::to_string(file_.version)},
        {"kvcs.source_sha256", sha256_},
        {"kvcs.rope_layout", reorder_keys_ || pairing_ == "neox" ? "half" : "as stored"},
        {"kvcs.llama.rope", pairing_},
        {"kvcs.llama.rotation", turned ? "hadamard" : "none"},
        {"kvcs.llama.key_type", std::string(file_.keys[0].type->name)},
        {"kvcs.llama.value_type", std::string(file_.values[0].type->name)},
        {"kvcs.llama.values_transposed", file_.values_transposed ? "1" : "0"},
        {"kvcs.llama.streams", std::to_string(file_.streams)},
        {"kvcs.llama.stream", std::to_string(file_.stream)},
        {"kvcs.llama.sequences", comma_list(file_.sequences)},
        {"kvcs.llama.token_frame", file_.wrapped_tokens ? "slot" : "plain"},
        {"kvcs.llama.cells", std::to_string(file_.cells)}};
    if (!file_.architecture.empty() && is_valid_utf8(file_.architecture)) {
      metadata.emplace_back("kvcs.arch", file_.architecture);
    }
    if (!file_.extra_tokens.empty() && file_.extra_tokens.size() <= kExtraTokensKept) {
      metadata.emplace_back("kvcs.llama.extra_tokens", comma_list(file_.extra_tokens));
    }
    return metadata;
  }

  Status read(Part part, uint64_t layer, uint64_t first, uint64_t rows, float* out) const override {
    const bool keys = part == Part::kKeys;
    const LlamaTensor& tensor = keys ? file_.keys[layer] : file_.values[layer];
    if (!keys && file_.values_transposed) {
      KVCS_TRY(read_transposed(tensor, first, rows, out));
    } else {
      KVCS_TRY(read_rows(tensor, first, rows, out));
    }
    const uint64_t rotation = keys ? key_rotation_ : value_rotation_;
    const uint64_t count = rows * file_.row_values;
    if (rotation > 0) kernels().hadamard(out, count / rotation, rotation);
    if (keys && reorder_keys_) reorder(out, count);
    return ok();
  }

  // Reads whole rows as they are stored: all heads of a token side by side, rotations and order of
  // pairs as they are.
  Status read_stored(const LlamaTensor& tensor, uint64_t first, uint64_t rows, float* out) const {
    const uint64_t blocks = file_.row_values / tensor.type->block_values;
    const uint64_t row_bytes = blocks * tensor.type->block_bytes;
    std::string raw(rows * row_bytes, '\0');
    KVCS_TRY(source_->read(tensor.offset + first * row_bytes, raw.data(), raw.size()));
    decode_llama(*tensor.type, raw.data(), out, rows * file_.row_values);
    return ok();
  }

 private:
  static constexpr size_t kExtraTokensKept = 4096;

  Status read_rows(const LlamaTensor& tensor, uint64_t first, uint64_t rows, float* out) const {
    std::vector<float> stored(rows * file_.row_values);
    KVCS_TRY(read_stored(tensor, first, rows, stored.data()));
    const uint64_t dim = geometry_.head_dim;
    for (uint64_t head = 0; head < geometry_.kv_heads; head++) {
      for (uint64_t row = 0; row < rows; row++) {
        const float* const from = stored.data() + row * file_.row_values + head * dim;
        std::copy(from, from + dim, out + (head * rows + row) * dim);
      }
    }
    return ok();
  }

  // Without flash attention llama.cpp keeps values as one run of all tokens per channel, so each
  // channel is a read of its own.
  Status read_transposed(const LlamaTensor& tensor, uint64_t first, uint64_t rows,
                         float* out) const {
    const uint64_t value_bytes = tensor.type->block_bytes, dim = geometry_.head_dim;
    std::string raw(rows * value_bytes, '\0');
    std::vector<float> channel(rows);
    for (uint64_t c = 0; c < file_.row_values; c++) {
      KVCS_TRY(source_->read(tensor.offset + (c * file_.cells + first) * value_bytes, raw.data(),
                             raw.size()));
      decode_llama(*tensor.type, raw.data(), channel.data(), rows);
      float* const to = out + c / dim * rows * dim + c % dim;
      for (uint64_t row = 0; row < rows; row++) to[row * dim] = channel[row];
    }
    return ok();
  }

  // From NORM order to transformers': out[j] = in[2j], out[j + dim/2] = in[2j + 1]. llama.cpp's
  // converter permutes the key weights of these models, so their caches have pairs side by side.
  void reorder(float* x, uint64_t count) const {
    const uint64_t dim = geometry_.head_dim;
    std::vector<float> row(dim);
    for (float* head = x; head < x + count; head += dim) {
      for (uint64_t j = 0; j < dim / 2; j++) {
        row[j] = head[2 * j];
        row[j + dim / 2] = head[2 * j + 1];
      }
      std::copy(row.begin(), row.end(), head);
    }
  }

  const std::unique_ptr<SourceFile> source_;
  const LlamaFile file_;
  const Geometry geometry_;
  bool reorder_keys_ = false;
  uint64_t key_rotation_ = 0, value_rotation_ = 0;
  std::string pairing_, sha256_;
};

// The user gives heads and head_dim; their product must be the width of a row, which the file says.
Result<Geometry> check_geometry(const LlamaFile& file, const LlamaImport& options) {
  const uint64_t heads = options.kv_heads, dim = options.head_dim;
  if (heads == 0 || dim == 0) {
    return invalid("the file does not say its shape: give --heads and --head-dim; a row has " +
                   std::to_string(file.row_values) + " values");
  }
  if (heads > file.row_values || dim > file.row_values || heads * dim != file.row_values) {
    return invalid(std::to_string(heads) + " heads × " + std::to_string(dim) + " are not the " +
                   std::to_string(file.row_values) + " values of a row");
  }
  if (dim % 2 != 0) return invalid("head_dim " + std::to_string(dim) + " is odd");
  for (size_t i = 0; i < file.keys.size(); i++) {
    if (file.keys[i].type != file.keys[0].type || file.values[i].type != file.values[0].type) {
      return invalid("layer " + std::to_string(i) + " has another value type than layer 0");
    }
  }
  Geometry geometry;
  geometry.layers = file.keys.size();
  geometry.kv_heads = heads;
  geometry.tokens = file.cells;
  geometry.head_dim = dim;
  KVCS_TRY(check_row_values(geometry));
  return geometry;
}

// Whether the file is rotated, as far as its form decides it; without a value when the data must
// decide. llama.cpp rotates since March 2026 (pull request 21038), and nothing in the file says so.
Result<std::optional<bool>> known_rotation(const LlamaFile& file, uint64_t head_dim,
                                           RotationChoice choice) {
  const bool keys = file.keys[0].type->quantized(), values = file.values[0].type->quantized();
  const bool possible = (keys || values) && llama_key_rotation(head_dim) > 0;
  if (choice == RotationChoice::kNone) return std::optional<bool>(false);
  if (choice == RotationChoice::kHadamard) {
    if (!possible) {
      return invalid(
          "--rotation hadamard: only quantised keys and values with a head_dim that "
          "is a multiple of 64 are ever rotated");
    }
    return std::optional<bool>(true);
  }
  // Files with an outputs block, or without streams, were written before there was a rotation.
  if (!possible || file.has_outputs || !file.has_streams) return std::optional<bool>(false);
  if (!keys) {
    return invalid(
        "the values are quantised and the keys are not, so nothing shows whether they "
        "are rotated; say --rotation hadamard (llama.cpp since March 2026) or none");
  }
  return std::optional<bool>();
}

// Reads the rows of repeated tokens in layer 0 and lets detect_rope() compare the possible choices.
// Nothing is read when the user has said everything.
Result<RopeChoice> choose_rope(const LlamaCache& cache, const LlamaImport& options) {
  const Geometry& geometry = cache.geometry();
  RopeQuestion question;
  question.hadamard = KVCS_TRY(known_rotation(cache.file(), geometry.head_dim, options.rotation));
  if (options.rope == RopeOrder::kNorm) question.pairing = RopePairing::kNorm;
  if (options.rope == RopeOrder::kNeox) question.pairing = RopePairing::kNeox;
  const bool is_open = !question.pairing && options.rope == RopeOrder::kAuto;
  if (question.hadamard && !is_open) {
    RopeChoice told;
    told.pairing = question.pairing.value_or(RopePairing::kNeox);
    told.hadamard = *question.hadamard;
    return told;
  }
  // Keys that are not quantised are never rotated, so they are compared as they are, even when the
  // values beside them may be rotated.
  if (!cache.file().keys[0].type->quantized()) question.hadamard = false;
  const RepeatedTokens repeated = find_repeated_tokens(cache.tokens());
  std::vector<float> keys(repeated.rows * cache.file().row_values);
  float* to = keys.data();
  for (const auto& places : repeated.places) {
    for (const uint64_t place : places) {
      KVCS_TRY(cache.read_stored(cache.file().keys[0], place, 1, to));
      to += cache.file().row_values;
    }
  }
  RopeChoice choice =
      KVCS_TRY(detect_rope(repeated, keys, geometry.kv_heads, geometry.head_dim, question));
  if (options.rotation == RotationChoice::kHadamard) choice.hadamard = true;
  return choice;
}

}  // namespace

Result<ImportedLlama> open_llama_cache(const std::string& path, const LlamaImport& options) {
  auto source = KVCS_TRY(SourceFile::open(path));
  LlamaFile file = KVCS_TRY(parse_llama(*source));
  const Geometry geometry = KVCS_TRY(check_geometry(file, options));
  std::string digest = KVCS_TRY(hash_file(*source));
  ImportedLlama imported;
  imported.seen = file.describe();
  auto cache = std::make_unique<LlamaCache>(std::move(source), std::move(file), geometry);
  imported.rope = KVCS_TRY(choose_rope(*cache, options));
  const bool raw = options.rope == RopeOrder::kRaw;
  imported.is_reordered = !raw && imported.rope.pairing == RopePairing::kNorm;
  cache->set_order(imported.is_reordered, imported.rope.hadamard,
                   raw ? "raw" : std::string(pairing_name(imported.rope.pairing)));
  cache->set_digest(std::move(digest));
  imported.cache = std::move(cache);
  return imported;
}

}  // namespace kvcs::kvfile
