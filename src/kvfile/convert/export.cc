// llama.cpp's sequence file: the frame is written first, then the values, tile by tile, each to its
// place. The other exports are in export_safetensors.cc.
#include "kvfile/convert/export.h"

#include <algorithm>

#include "base/bytes.h"
#include "kvfile/convert/import.h"
#include "kvfile/convert/llama_reader.h"
#include "kvfile/format/finite.h"
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
  bool transposed = false, slot_frame = false;
  uint32_t streams = 1, stream = 0, type = 0;
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

Result<LlamaForm> llama_form(const KvFile& file, const ExportOptions& options) {
  const KvHeader& header = file.header();
  if (fact(header, "kvcs.position_offset", "0") != "0") {
    return invalid("the cache does not begin at position 0; llama.cpp's files must");
  }
  LlamaForm form;
  form.rope = KVCS_TRY(llama_order(header, options));
  const std::optional<Sidecar> sidecar = KVCS_TRY(read_sidecar(file.path()));
  form.tokens = KVCS_TRY(recorded_tokens(file, sidecar));
  if (form.tokens.size() != header.tokens) {
    return invalid("the cache has " + std::to_string(header.tokens) + " tokens and " +
                   std::to_string(form.tokens.size()) + " recorded ids; llama.cpp needs all");
  }
  form.transposed =
      options.transpose_values || fact(header, "kvcs.llama.values_transposed", "0") == "1";
  form.type = header.dtype == Dtype::kF32 ? 0 : header.dtype == Dtype::kF16 ? 1 : 30;
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
  put(3);
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
void interleave(std::vector<float>& x, uint64_t dim) {
  std::vector<float> head(dim);
  for (uint64_t start = 0; start < x.size(); start += dim) {
    for (uint64_t j = 0; j < dim / 2; j++) {
      head[2 * j] = x[start + j];
      head[2 * j + 1] = x[start + j + dim / 2];
    }
    std::copy(head.begin(), head.end(), x.begin() + static_cast<ptrdiff_t>(start));
  }
}

class LlamaWriter final {
 public:
  LlamaWriter(const KvFile& file, TileReader reader, AtomicFile& out, const LlamaForm& form)
      : header_(file.header()), reader_(std::move(reader)), out_(out), form_(form) {}

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
    const uint64_t width = header_.kv_heads * header_.head_dim;
    const uint64_t value_bytes = dtype_bytes(header_.dtype);
    const bool transposed = part == Part::kValues && form_.transposed;
    std::string head;
    append_u32le(head, form_.type);
    if (transposed) {
      append_u32le(head, static_cast<uint32_t>(value_bytes));
      append_u32le(head, static_cast<uint32_t>(width));
    } else {
      append_u64le(head, width * value_bytes);
    }
    KVCS_TRY(put(head));
    for (uint64_t first = 0; first < header_.tokens; first += kTileTokens) {
      const uint64_t rows = std::min(kTileTokens, header_.tokens - first);
      for (uint64_t h = 0; h < header_.kv_heads; h++) {
        std::vector<float> x(rows * header_.head_dim);
        KVCS_TRY(reader_.read({part, layer, h, first, rows}, x.data()));
        if (part == Part::kKeys && form_.rope == RopePairing::kNorm) {
          interleave(x, header_.head_dim);
        }
        gather(x, h, rows, transposed);
      }
      KVCS_TRY(encode_exported(header_, part, layer, block_, raw_));
      KVCS_TRY(write_rows(first, rows, transposed));
    }
    at_ += header_.tokens * width * value_bytes;
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

  Status write_rows(uint64_t first, uint64_t rows, bool transposed) {
    const uint64_t width = header_.kv_heads * header_.head_dim;
    const uint64_t value_bytes = dtype_bytes(header_.dtype);
    if (!transposed) {
      return out_.write(at_ + first * width * value_bytes, raw_.data(), raw_.size());
    }
    for (uint64_t c = 0; c < width; c++) {
      KVCS_TRY(out_.write(at_ + (c * header_.tokens + first) * value_bytes,
                          raw_.data() + c * rows * value_bytes, rows * value_bytes));
    }
    return ok();
  }

  const KvHeader& header_;
  TileReader reader_;
  AtomicFile& out_;
  const LlamaForm& form_;
  uint64_t at_ = 0;
  std::vector<float> block_;
  std::vector<char> raw_;
};

}  // namespace

Result<ExportReport> export_llama(const ExportOptions& options) {
  const auto file = KVCS_TRY(KvFile::open(options.input));
  if (file->header().head_dim % 2 != 0) return invalid("head_dim is odd: there are no pairs");
  KVCS_TRY(check_row_values(geometry_of(file->header())));
  const LlamaForm form = KVCS_TRY(llama_form(*file, options));
  TileReader reader = KVCS_TRY(TileReader::create(*file));
  auto out = KVCS_TRY(AtomicFile::create(options.output, {options.input}));
  LlamaWriter writer(*file, std::move(reader), *out, form);
  const uint64_t size_bytes = KVCS_TRY(writer.write());
  KVCS_TRY(file->check_unchanged());
  KVCS_TRY(out->publish());
  return ExportReport{size_bytes, "ggsq version 3, rope " + std::string(pairing_name(form.rope)) +
                                      ", " + std::string(dtype_name(file->header().dtype)) +
                                      (form.transposed ? ", values transposed" : "")};
}

}  // namespace kvcs::kvfile
