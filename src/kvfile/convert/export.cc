// llama.cpp's sequence file: the frame is written first, then the values, tile by tile, each to its
// place. The other exports are in export_safetensors.cc.
#include "kvfile/convert/export.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/bytes.h"
#include "kvfile/convert/import.h"
#include "kvfile/convert/llama_reader.h"
#include "kvfile/format/tiles.h"

namespace kvcs::kvfile {
namespace {

constexpr uint64_t kNumbersMax = 4096;

// A fact of the metadata as text, or `fallback` where it is not recorded.
std::string fact(const KvHeader& header, std::string_view key, std::string_view fallback) {
  const std::string* const value = header.metadata_value(key);
  return value == nullptr ? std::string(fallback) : *value;
}

// A list of numbers, "0,1,2". The metadata may come from anybody, so the list is bounded.
Result<std::vector<uint32_t>> fact_numbers(const KvHeader& header, std::string_view key,
                                           std::string_view fallback) {
  std::vector<uint32_t> numbers;
  const std::string text = fact(header, key, fallback);
  if (text.empty()) return numbers;
  for (const std::string_view word : split(text, ',')) {
    const uint64_t number = KVCS_TRY(parse_u64(word, key));
    if (number > UINT32_MAX || numbers.size() == kNumbersMax) {
      return invalid(std::string(key) + " " + printable(text, kShownWord) +
                     " is not a list of u32");
    }
    numbers.push_back(static_cast<uint32_t>(number));
  }
  return numbers;
}

// The bytes around the values in llama.cpp's file. An import records all of it as kvcs.llama.…,
// so that the file can be made again byte for byte.
struct LlamaForm {
  RopePairing rope = RopePairing::kNeox;
  bool interleave = false;  // From halves to neighbouring pairs, over rope_dim channels.
  uint64_t rope_dim = 0;
  bool transposed = false, slot_frame = false;
  uint32_t version = kLlamaSequenceVersion, streams = 1, stream = 0;
  const LlamaType* key_type = nullptr;
  const LlamaType* value_type = nullptr;
  uint64_t key_rotation = 0, value_rotation = 0;
  // The values were decoded from blocks of this type and rotation.
  bool keys_were_blocks = false, values_were_blocks = false;
  std::vector<uint32_t> sequences, tokens, extra_tokens;
};

// Keys that were imported raw never left llama.cpp's order. Otherwise the user's word counts, then
// what the import has found out.
Result<RopePairing> llama_order(const KvHeader& header, const ExportOptions& options) {
  const std::string recorded = fact(header, "kvcs.llama.rope", "");
  if (recorded == "raw") return RopePairing::kNeox;  // Never brought into another order.
  if (options.rope) return *options.rope;
  if (recorded == "norm") return RopePairing::kNorm;
  if (recorded == "neox") return RopePairing::kNeox;
  return invalid(
      "the file does not say which order of rotary pairs its model has in llama.cpp; "
      "say --rope norm (llama, mistral, granite, …) or --rope neox (qwen, phi3, …)");
}

// An engine takes every layer of its model and every position, or nothing.
Status check_is_whole(const KvHeader& header) {
  if (fact(header, "kvcs.position_offset", "0") != "0") {
    return invalid("the cache does not begin at position 0; llama.cpp's files must");
  }
  const std::string layers = std::to_string(header.layers);
  const std::string of = fact(header, "kvcs.llama.layers", layers);
  if (fact(header, "kvcs.first_layer", "0") == "0" && of == layers) return ok();
  return invalid("the cache has " + layers + " layers from layer " +
                 fact(header, "kvcs.first_layer", "0") + " on" +
                 (of == layers ? "" : ", of " + printable(of, kShownWord)) +
                 "; llama.cpp takes all layers of a model alone");
}

// The type of keys or values: as told, else as the engine had it that wrote the imported file, else
// the file's own.
Result<const LlamaType*> choose_type(const KvHeader& header, const std::string& told,
                                     std::string_view recorded_as) {
  std::string name = told;
  if (name.empty()) name = fact(header, recorded_as, "");
  if (name.empty()) name = lower_ascii(dtype_name(header.dtype));
  const LlamaType* const type = find_llama_type(name);
  if (type == nullptr) {
    return invalid("llama.cpp has no cache of type " + printable(name, kShownWord));
  }
  if (header.head_dim % type->block_values == 0) return type;
  return invalid(name + " needs a head_dim that is a multiple of " +
                 std::to_string(type->block_values) + ", this one is " +
                 std::to_string(header.head_dim));
}

// llama.cpp rotates what it quantises since March 2026. Its files do not say so: an import records
// what it found, and every engine of version 3 rotates.
bool is_rotated(const KvHeader& header, const LlamaForm& form, const ExportOptions& options) {
  if (options.rotation != RotationChoice::kAuto) {
    return options.rotation == RotationChoice::kHadamard;
  }
  for (const std::string_view key : {"kvcs.llama.key_type", "kvcs.llama.value_type"}) {
    const LlamaType* const recorded = find_llama_type(fact(header, key, "f16"));
    if (recorded != nullptr && recorded->quantized()) {
      return fact(header, "kvcs.llama.rotation", "none") == "hadamard";
    }
  }
  return form.version >= kLlamaSequenceVersion;
}

Status choose_types(const KvHeader& header, const ExportOptions& options, LlamaForm& form) {
  form.key_type = KVCS_TRY(choose_type(header, options.key_type, "kvcs.llama.key_type"));
  form.value_type = KVCS_TRY(choose_type(header, options.value_type, "kvcs.llama.value_type"));
  form.transposed =
      options.transpose_values.value_or(fact(header, "kvcs.llama.values_transposed", "0") == "1");
  if (form.transposed && form.value_type->quantized()) {
    if (options.transpose_values) {
      return invalid("--values transposed: only f16, bf16 and f32 values can be; " +
                     std::string(form.value_type->name) + " needs flash attention");
    }
    form.transposed = false;
  }
  const bool can = llama_key_rotation(header.head_dim) > 0;
  const bool quantised = form.key_type->quantized() || form.value_type->quantized();
  if (options.rotation == RotationChoice::kHadamard && !(can && quantised)) {
    return invalid(
        "--rotation hadamard: only quantised keys and values with a head_dim that is a multiple of "
        "64 are ever rotated");
  }
  const bool rotated = can && is_rotated(header, form, options);
  const bool alike = rotated == (fact(header, "kvcs.llama.rotation", "none") == "hadamard");
  form.keys_were_blocks = alike && form.key_type->name == fact(header, "kvcs.llama.key_type", "");
  form.values_were_blocks =
      alike && form.value_type->name == fact(header, "kvcs.llama.value_type", "");
  if (!rotated) return ok();
  if (form.key_type->quantized()) form.key_rotation = llama_key_rotation(header.head_dim);
  if (form.value_type->quantized()) form.value_rotation = llama_value_rotation(header.head_dim);
  return ok();
}

// Keys of a file in transformers' order become neighbouring pairs again where llama.cpp has these.
Status choose_order(const KvHeader& header, const ExportOptions& options, LlamaForm& form) {
  form.rope = KVCS_TRY(llama_order(header, options));
  form.interleave =
      form.rope == RopePairing::kNorm && fact(header, "kvcs.rope_layout", "half") != "pair";
  form.rope_dim = header.head_dim;
  const std::string told = fact(header, "kvcs.rope_dim", "");
  if (!told.empty()) form.rope_dim = KVCS_TRY(parse_u64(told, "kvcs.rope_dim"));
  if (form.rope_dim <= header.head_dim && form.rope_dim % 2 == 0) return ok();
  return invalid("kvcs.rope_dim " + printable(told, kShownWord) + " does not fit head_dim " +
                 std::to_string(header.head_dim));
}

Result<LlamaForm> llama_form(const KvFile& file, const ExportOptions& options) {
  const KvHeader& header = file.header();
  KVCS_TRY(check_is_whole(header));
  LlamaForm form;
  form.version = options.llama_version.value_or(kLlamaSequenceVersion);
  KVCS_TRY(choose_order(header, options, form));
  KVCS_TRY(choose_types(header, options, form));
  const std::optional<Sidecar> sidecar = KVCS_TRY(read_sidecar(file.path()));
  form.tokens = KVCS_TRY(recorded_tokens(file, sidecar));
  if (form.tokens.size() != header.tokens) {
    return invalid("the cache has " + std::to_string(header.tokens) + " tokens and " +
                   std::to_string(form.tokens.size()) + " recorded ids; llama.cpp needs all");
  }
  form.sequences = KVCS_TRY(fact_numbers(header, "kvcs.llama.sequences", "0"));
  // The rest describes the whole imported file; a slice of it has a plain frame.
  if (fact(header, "kvcs.llama.cells", "") != std::to_string(header.tokens)) return form;
  form.slot_frame = fact(header, "kvcs.llama.token_frame", "plain") == "slot";
  form.extra_tokens = KVCS_TRY(fact_numbers(header, "kvcs.llama.extra_tokens", ""));
  const auto streams = KVCS_TRY(fact_numbers(header, "kvcs.llama.streams", "1"));
  const auto stream = KVCS_TRY(fact_numbers(header, "kvcs.llama.stream", "0"));
  if (streams.size() != 1 || stream.size() != 1 || stream[0] >= streams[0] ||
      streams[0] > kLlamaSequencesMax) {
    return invalid("kvcs.llama.stream is not one of kvcs.llama.streams");
  }
  form.streams = streams[0];
  form.stream = stream[0];
  return form;
}

// Magic, version, ids, cells: all that stands before the layers. A slot of llama-server has a frame
// around its ids: -1, 1, the number of ids, the ids, and 0 for no media.
std::string llama_head(const LlamaForm& form) {
  std::string out;
  const auto put = [&out](uint64_t number) { append_u32le(out, static_cast<uint32_t>(number)); };
  put(kLlamaSequenceMagic);
  put(form.version);
  const uint64_t ids = form.tokens.size() + form.extra_tokens.size();
  put(form.slot_frame ? ids + 4 : ids);
  if (form.slot_frame) {
    put(UINT32_MAX);
    put(1);
    put(ids);
  }
  for (const uint32_t id : form.tokens) put(id);
  for (const uint32_t id : form.extra_tokens) put(id);
  if (form.slot_frame) put(0);
  put(form.streams);
  for (uint32_t i = 0; i < form.stream; i++) put(0);
  put(form.tokens.size());
  for (uint64_t position = 0; position < form.tokens.size(); position++) {
    put(position);
    put(form.sequences.size());
    for (const uint32_t sequence : form.sequences) put(sequence);
  }
  put(form.transposed ? 1 : 0);
  return out;
}

// Brings the channels of every head from transformers' order (the two of a rotary pair half a head
// apart) to llama.cpp's NORM order (side by side). reorder() of import_llama.cc is its inverse.
void interleave(std::vector<float>& x, uint64_t dim, uint64_t turned) {
  std::vector<float> head(turned);
  for (uint64_t start = 0; start < x.size(); start += dim) {
    for (uint64_t j = 0; j < turned / 2; j++) {
      head[2 * j] = x[start + j];
      head[2 * j + 1] = x[start + j + turned / 2];
    }
    std::copy(head.begin(), head.end(), x.begin() + static_cast<ptrdiff_t>(start));
  }
}

// Values that a type of llama.cpp cannot hold would become others without a word.
Status check_range(const LlamaType& type, const std::string& tensor, const std::vector<float>& x) {
  if (type.name == "f32") return ok();
  constexpr float kHalfMax = 65'504;
  const float limit = type.name == "bf16" ? std::numeric_limits<float>::max() : kHalfMax;
  const auto bad =
      std::count_if(x.begin(), x.end(), [&](float value) { return !(std::fabs(value) <= limit); });
  if (bad == 0) return ok();
  return invalid("tensor \"" + tensor + "\": " + std::to_string(bad) +
                 " values are out of the range of " + std::string(type.name) +
                 "; say --key-type f32 --value-type f32");
}

class LlamaWriter final {
 public:
  LlamaWriter(const KvFile& file, TileReader reader, AtomicFile& out, const LlamaForm& form)
      : file_(file), header_(file.header()), reader_(std::move(reader)), out_(out), form_(form) {}

  // Returns the size of the file.
  Result<uint64_t> write() {
    std::string head = llama_head(form_);
    append_u32le(head, static_cast<uint32_t>(header_.layers));
    KVCS_TRY(put(head));
    for (const Part part : {Part::kKeys, Part::kValues}) {
      for (uint64_t layer = 0; layer < header_.layers; layer++) {
        KVCS_TRY(write_layer(part, layer));
      }
    }
    std::string tail;
    for (uint32_t i = form_.stream + 1; i < form_.streams; i++) append_u32le(tail, 0);
    KVCS_TRY(put(tail));
    return at_;
  }

 private:
  Status put(const std::string& bytes) {
    KVCS_TRY(out_.write(at_, bytes.data(), bytes.size()));
    at_ += bytes.size();
    return ok();
  }

  // Rows of a token side by side are the heads of a tile interleaved; transposed values are one run
  // per channel, so each tile goes to as many places as there are channels.
  Status write_layer(Part part, uint64_t layer) {
    const bool keys = part == Part::kKeys;
    const LlamaType& type = keys ? *form_.key_type : *form_.value_type;
    const uint64_t width = header_.kv_heads * header_.head_dim;
    const uint64_t row_bytes = width / type.block_values * type.block_bytes;
    const bool transposed = !keys && form_.transposed;
    std::string head;
    append_u32le(head, type.number);
    if (transposed) {
      append_u32le(head, type.block_bytes);
      append_u32le(head, static_cast<uint32_t>(width));
    } else {
      append_u64le(head, row_bytes);
    }
    KVCS_TRY(put(head));
    for (uint64_t first = 0; first < header_.tokens; first += kTileTokens) {
      const uint64_t rows = std::min(kTileTokens, header_.tokens - first);
      if (has_blocks_of(part, type)) {
        KVCS_TRY(copy_blocks(part, layer, first, rows));
        KVCS_TRY(write_rows(first, rows, type, false));
        continue;
      }
      for (uint64_t h = 0; h < header_.kv_heads; h++) {
        std::vector<float> x(rows * header_.head_dim);
        KVCS_TRY(reader_.read({part, layer, h, first, rows}, x.data()));
        if (keys && form_.interleave) interleave(x, header_.head_dim, form_.rope_dim);
        gather(x, h, rows, transposed);
      }
      const uint64_t rotation = keys ? form_.key_rotation : form_.value_rotation;
      if (rotation > 0) {
        kernels().hadamard(block_.data(), block_.size() / rotation, rotation);
      }
      KVCS_TRY(check_range(type, tensor_name(part, layer, ""), block_));
      raw_.resize(rows * row_bytes);
      encode_llama(type, block_.data(), raw_.data(), block_.size(),
                   keys ? form_.keys_were_blocks : form_.values_were_blocks);
      KVCS_TRY(write_rows(first, rows, type, transposed));
    }
    at_ += header_.tokens * row_bytes;
    return ok();
  }

  // Whether the file holds the very blocks that the engine has: q8_0, rotated and ordered alike.
  bool has_blocks_of(Part part, const LlamaType& type) const {
    if (header_.scheme != Scheme::kQ8 || type.name != "q8_0") return false;
    const LayerShape& stored = header_.shapes[0];
    if (part == Part::kValues) return stored.values.rotation == form_.value_rotation;
    return stored.keys.rotation == form_.key_rotation &&
           stored.keys.paired == (form_.interleave ? form_.rope_dim : 0);
  }
  // Blocks of all heads of a token side by side, into raw_.
  Status copy_blocks(Part part, uint64_t layer, uint64_t first, uint64_t rows) {
    constexpr uint64_t kBlockBytes = 2 + kQ8Block;
    const uint64_t per_head = header_.head_dim / kQ8Block;
    std::vector<char> codes(rows * header_.head_dim), scales(rows * per_head * 2);
    raw_.resize(rows * header_.kv_heads * per_head * kBlockBytes);
    for (uint64_t head = 0; head < header_.kv_heads; head++) {
      const uint64_t row = head * header_.tokens + first;
      KVCS_TRY(file_.read(header_.get(part, layer, "_q"), row * header_.head_dim, codes.data(),
                          codes.size()));
      KVCS_TRY(file_.read(header_.get(part, layer, "_s"), row * per_head * 2, scales.data(),
                          scales.size()));
      for (uint64_t block = 0; block < rows * per_head; block++) {
        const uint64_t to =
            block / per_head * header_.kv_heads * per_head + head * per_head + block % per_head;
        char* const out = raw_.data() + to * kBlockBytes;
        const char* const from = codes.data() + block * kQ8Block;
        std::memcpy(out + 2, from, kQ8Block);
        // A block of zeros has the scale 0 in ggml.
        const bool zeros = std::all_of(from, from + kQ8Block, [](char code) { return code == 0; });
        std::memset(out, 0, 2);
        if (!zeros) std::memcpy(out, scales.data() + block * 2, 2);
      }
    }
    return ok();
  }

  // One head's rows into block_: [rows][width], or [width][rows] when transposed.
  void gather(const std::vector<float>& x, uint64_t head, uint64_t rows, bool transposed) {
    const uint64_t dim = header_.head_dim, width = header_.kv_heads * dim;
    block_.resize(rows * width);
    for (uint64_t row = 0; row < rows; row++) {
      for (uint64_t c = 0; c < dim; c++) {
        const uint64_t channel = head * dim + c;
        block_[transposed ? channel * rows + row : row * width + channel] = x[row * dim + c];
      }
    }
  }

  Status write_rows(uint64_t first, uint64_t rows, const LlamaType& type, bool transposed) {
    const uint64_t width = header_.kv_heads * header_.head_dim;
    if (!transposed) {
      return out_.write(at_ + raw_.size() / rows * first, raw_.data(), raw_.size());
    }
    const uint64_t value_bytes = type.block_bytes;
    for (uint64_t c = 0; c < width; c++) {
      KVCS_TRY(out_.write(at_ + (c * header_.tokens + first) * value_bytes,
                          raw_.data() + c * rows * value_bytes, rows * value_bytes));
    }
    return ok();
  }

  const KvFile& file_;
  const KvHeader& header_;
  TileReader reader_;
  AtomicFile& out_;
  const LlamaForm& form_;
  uint64_t at_ = 0;
  std::vector<float> block_;
  std::vector<char> raw_;
};

// "ggsq version 3, rope norm, keys q8_0, values q8_0, rotated": an engine takes the file only when
// it was started alike.
std::string describe(const LlamaForm& form) {
  const bool quantised = form.key_type->quantized() || form.value_type->quantized();
  const std::string rotation =
      form.key_rotation + form.value_rotation > 0 ? ", rotated" : ", not rotated";
  return "ggsq version " + std::to_string(form.version) + ", rope " +
         std::string(pairing_name(form.rope)) + ", keys " + std::string(form.key_type->name) +
         ", values " + std::string(form.value_type->name) +
         (form.transposed ? " transposed (no flash attention)" : " in rows (flash attention)") +
         (quantised ? rotation : "");
}

}  // namespace

Status check_exportable(const KvHeader& header) {
  if (header.is_uniform) return ok();
  return invalid("the layers of the file are not alike, and such a cache is not exported");
}

Result<ExportReport> export_llama(const ExportOptions& options) {
  const auto file = KVCS_TRY(KvFile::open(options.input));
  KVCS_TRY(check_exportable(file->header()));
  if (file->header().head_dim % 2 != 0) return invalid("head_dim is odd: there are no pairs");
  KVCS_TRY(check_row_values(geometry_of(file->header())));
  const LlamaForm form = KVCS_TRY(llama_form(*file, options));
  TileReader reader = KVCS_TRY(TileReader::create(*file));
  auto out = KVCS_TRY(AtomicFile::create(options.output, {options.input}));
  LlamaWriter writer(*file, std::move(reader), *out, form);
  const uint64_t size_bytes = KVCS_TRY(writer.write());
  KVCS_TRY(file->check_unchanged());
  KVCS_TRY(out->publish());
  return ExportReport{size_bytes, describe(form)};
}

}  // namespace kvcs::kvfile
