// Reads the structure of llama.cpp's state files without their values: counts, ids, cells and the
// offset of each layer. Every layout that is possible is tried from the same place of the file.
#include "kvfile/convert/llama_reader.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/bytes.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr uint32_t kArchitectureBytesMax = 256;

// Reads forward through a file with a small buffer, and never past its end. A copy of a cursor
// reads on from the same place, which is how several layouts are tried.
class Cursor final {
 public:
  explicit Cursor(const SourceFile& file) : file_(file) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return file_.size_bytes() - at_; }

  Result<uint32_t> u32(const char* what) {
    KVCS_TRY(need(4, what));
    KVCS_TRY(fill(4));
    const uint32_t value = load_u32le(buffer_.data() + (at_ - buffer_at_));
    at_ += 4;
    return value;
  }
  Result<uint64_t> u64(const char* what) {
    const uint64_t low = KVCS_TRY(u32(what));
    const uint64_t high = KVCS_TRY(u32(what));
    return low | high << 32U;
  }
  // Invalid unless `count` things of `each` bytes are still left in the file. Divides instead of
  // multiplying, so that no count can overflow.
  Status need(uint64_t count, const char* what, uint64_t each = 1) const {
    if (each == 0 || count <= left() / each) return ok();
    return invalid(std::string(what) + " at byte " + std::to_string(at_) + ": needs " +
                   std::to_string(count) + (each == 1 ? "" : " × " + std::to_string(each)) +
                   " bytes, " + std::to_string(left()) + " are left");
  }
  Status skip(uint64_t count, const char* what, uint64_t each = 1) {
    KVCS_TRY(need(count, what, each));
    at_ += count * each;
    return ok();
  }
  Result<std::string> bytes(uint64_t count, const char* what) {
    KVCS_TRY(need(count, what));
    std::string out(count, '\0');
    KVCS_TRY(file_.read(at_, out.data(), out.size()));
    at_ += count;
    return out;
  }
  Status fault(const std::string& why) const {
    return invalid(why + " at byte " + std::to_string(at_));
  }

 private:
  Status fill(size_t count) {
    if (at_ >= buffer_at_ && at_ + count <= buffer_at_ + buffer_.size()) return ok();
    buffer_.resize(std::min<uint64_t>(kBufferBytes, left()));
    buffer_at_ = at_;
    return file_.read(at_, buffer_.data(), buffer_.size());
  }

  const SourceFile& file_;
  uint64_t at_ = 0, buffer_at_ = 0;
  std::string buffer_;
};

// The optional parts that a body has.
struct Layout {
  bool outputs, streams, cell_extra;
};

// Reads the token ids. llama-server's slot files put a frame around them, which is known by its
// first id, -1.
Status read_tokens(Cursor& in, LlamaFile& file, std::vector<uint32_t>& ids) {
  const uint32_t count = KVCS_TRY(in.u32("the token count"));
  if (count > kTokensMax) {
    return in.fault(std::to_string(count) + " token ids; the limit is " +
                    std::to_string(kTokensMax));
  }
  KVCS_TRY(in.need(count, "the token ids", 4));
  ids.resize(count);
  for (uint32_t& id : ids) id = KVCS_TRY(in.u32("a token id"));
  if (count == 0 || ids[0] != UINT32_MAX) return ok();
  file.wrapped_tokens = true;
  if (count < 4 || ids[1] != 1) return in.fault("a slot's token section of an unknown kind");
  const uint32_t wrapped = ids[2];
  if (wrapped > count - 4) return in.fault("a slot's token section that is cut");
  if (ids[3 + wrapped] != 0 || count != wrapped + 4) {
    return in.fault("a slot with images or audio, which this version does not import,");
  }
  ids = std::vector<uint32_t>(ids.begin() + 3, ids.begin() + 3 + wrapped);
  return ok();
}

// Logits and embeddings of the last batch, which a cache does not need.
Status skip_outputs(Cursor& in) {
  const uint64_t outputs = KVCS_TRY(in.u32("the output count"));
  KVCS_TRY(in.skip(outputs, "the output ids", 4));
  for (const char* const what : {"the logits", "the embeddings"}) {
    const uint64_t count = KVCS_TRY(in.u64(what));
    KVCS_TRY(in.skip(count, what, 4));
  }
  return ok();
}

// Reads the cells. `in_order` becomes false when the positions are not 0, 1, 2, …: that is a fault
// of the file only if this layout turns out to be the right one, so it is not an error here.
Status read_cells(Cursor& in, bool extra, LlamaFile& file, bool& in_order) {
  KVCS_TRY(in.need(file.cells, "the cells", 8));
  std::vector<uint32_t> sequences;
  bool same = true;
  for (uint64_t i = 0; i < file.cells; i++) {
    in_order &= KVCS_TRY(in.u32("a cell's position")) == i;
    const uint32_t count = KVCS_TRY(in.u32("a cell's sequence count"));
    if (count > kLlamaSequencesMax) {
      return in.fault("cell " + std::to_string(i) + " has " + std::to_string(count) +
                      " sequences; the limit is " + std::to_string(kLlamaSequencesMax));
    }
    if (extra) KVCS_TRY(in.skip(3, "a cell's coordinates", 4));
    sequences.clear();
    for (uint32_t k = 0; k < count; k++) {
      sequences.push_back(KVCS_TRY(in.u32("a cell's sequence")));
    }
    if (i == 0) file.sequences = sequences;
    same = same && sequences == file.sequences;
  }
  if (!same) file.sequences.clear();
  return ok();
}

// One layer's keys or values: the type and the size of a row, and then the rows, which are skipped.
Result<LlamaTensor> read_rows(Cursor& in, bool transposed, LlamaFile& file) {
  const uint32_t number = KVCS_TRY(in.u32("a tensor's type"));
  const LlamaType* const type = find_llama_type(number);
  if (type == nullptr) return in.fault("unknown value type " + std::to_string(number));
  uint64_t width = 0, row_bytes = 0, rows = file.cells;
  if (transposed) {
    const uint32_t value_bytes = KVCS_TRY(in.u32("the bytes of a value"));
    width = KVCS_TRY(in.u32("the width of the values"));
    if (type->quantized() || value_bytes != type->block_bytes) {
      return in.fault("transposed values of type " + std::string(type->name) + " with " +
                      std::to_string(value_bytes) + " bytes each");
    }
    row_bytes = file.cells * value_bytes;
    rows = width;
  } else {
    row_bytes = KVCS_TRY(in.u64("the bytes of a row"));
    if (row_bytes % type->block_bytes != 0) {
      return in.fault("rows of " + std::to_string(row_bytes) + " bytes, not whole blocks of " +
                      std::string(type->name));
    }
    width = row_bytes / type->block_bytes * type->block_values;
  }
  if (width == 0 || (file.row_values != 0 && width != file.row_values)) {
    return in.fault("a layer " + std::to_string(width) + " values wide beside one of " +
                    std::to_string(file.row_values));
  }
  file.row_values = width;
  const LlamaTensor tensor{type, in.at()};
  KVCS_TRY(in.skip(rows, "the rows of a layer", row_bytes));
  return tensor;
}

// First the keys of every layer, then the values of every layer.
Status read_stream(Cursor& in, LlamaFile& file) {
  const uint32_t transposed = KVCS_TRY(in.u32("the layout of the values"));
  if (transposed > 1) return in.fault("a value layout of " + std::to_string(transposed));
  file.values_transposed = transposed == 1;
  const uint32_t layers = KVCS_TRY(in.u32("the layer count"));
  if (layers == 0 || layers > kLlamaLayersMax) {
    return in.fault(std::to_string(layers) + " layers; the limit is " +
                    std::to_string(kLlamaLayersMax));
  }
  for (uint32_t i = 0; i < layers; i++) {
    file.keys.push_back(KVCS_TRY(read_rows(in, false, file)));
  }
  for (uint32_t i = 0; i < layers; i++) {
    file.values.push_back(KVCS_TRY(read_rows(in, file.values_transposed, file)));
  }
  return ok();
}

// Only one stream may have cells, and the body must end with the file: that is what tells the
// layouts apart.
Status read_body(Cursor& in, const Layout& layout, LlamaFile& file, bool& in_order) {
  if (layout.outputs) KVCS_TRY(skip_outputs(in));
  if (layout.streams) file.streams = KVCS_TRY(in.u32("the stream count"));
  if (file.streams == 0 || file.streams > kLlamaSequencesMax) {
    return in.fault(std::to_string(file.streams) + " streams; the limit is " +
                    std::to_string(kLlamaSequencesMax));
  }
  for (uint32_t i = 0; i < file.streams; i++) {
    const uint32_t cells = KVCS_TRY(in.u32("the cell count"));
    if (cells == 0) continue;
    if (file.cells > 0) return in.fault("a second stream with cells; one sequence is imported");
    file.cells = cells;
    file.stream = i;
    KVCS_TRY(read_cells(in, layout.cell_extra, file, in_order));
    KVCS_TRY(read_stream(in, file));
  }
  if (in.left() > 0) return in.fault(std::to_string(in.left()) + " bytes too many");
  file.has_outputs = layout.outputs;
  file.has_streams = layout.streams;
  file.has_cell_extra = layout.cell_extra;
  return ok();
}

// Tries the layouts, those of newer versions first, and returns the file as read by the one that
// consumes it exactly; `head` holds what stands before the body. When none does, the fault of the
// layout that came furthest is the most useful one to tell.
Result<LlamaFile> find_layout(const Cursor& body, const LlamaFile& head) {
  Status best;
  uint64_t best_at = 0;
  for (const Layout& layout :
       {Layout{false, true, false}, Layout{true, true, false}, Layout{true, false, false},
        Layout{false, false, false}, Layout{false, true, true}, Layout{true, true, true}}) {
    if (layout.outputs && !head.is_context) continue;
    Cursor in = body;
    LlamaFile file = head;
    bool in_order = true;
    Status read = read_body(in, layout, file, in_order);
    if (!read.ok()) {
      if (read.code() != Code::kInvalid) return read;
      if (best.ok() || in.at() > best_at) best = std::move(read);
      best_at = std::max(best_at, in.at());
      continue;
    }
    if (file.cells == 0) return invalid("the cache is empty: no cells");
    if (!in_order) {
      return invalid("the cells are not one sequence at the positions 0 to " +
                     std::to_string(file.cells - 1) + "; save a single, unshifted sequence");
    }
    return file;
  }
  return std::move(best).with_context("no known layout of version " + std::to_string(head.version) +
                                      " fits");
}

}  // namespace

std::string LlamaFile::describe() const {
  std::string text = std::string(is_context ? "ggsn" : "ggsq") + " version " +
                     std::to_string(version) + ", " + std::to_string(cells) + " cells, keys " +
                     std::string(keys[0].type->name) + ", values " +
                     std::string(values[0].type->name);
  if (values_transposed) text += " transposed";
  if (!extra_tokens.empty()) {
    text += ", " + std::to_string(extra_tokens.size()) + " more token ids than cells";
  }
  return text;
}

Result<LlamaFile> parse_llama(const SourceFile& source) {
  Cursor in(source);
  LlamaFile head;
  if (source.size_bytes() < 8) return invalid("not a llama.cpp state file: shorter than 8 bytes");
  const uint32_t magic = KVCS_TRY(in.u32("the magic"));
  head.version = KVCS_TRY(in.u32("the version"));
  head.is_context = magic == kLlamaContextMagic;
  if (!head.is_context && magic != kLlamaSequenceMagic) {
    std::string seen;
    append_u32le(seen, magic);
    return invalid("not a llama.cpp state file: it begins with \"" + printable(seen) +
                   "\", not with ggsn or ggsq");
  }
  // Versions 9 and 10 of ggsn and 2 and 3 of ggsq. They do not tell the layouts apart.
  const uint32_t newest = head.is_context ? 10 : 3;
  if (head.version != newest && head.version != newest - 1) {
    return invalid(std::string(head.is_context ? "ggsn" : "ggsq") + " version " +
                   std::to_string(head.version) + " is unknown; " + std::to_string(newest - 1) +
                   " and " + std::to_string(newest) + " are known");
  }
  std::vector<uint32_t> ids;
  KVCS_TRY(read_tokens(in, head, ids));
  if (head.is_context) {
    const uint32_t size = KVCS_TRY(in.u32("the architecture's length"));
    if (size == 0 || size > kArchitectureBytesMax) {
      return in.fault("an architecture name of " + std::to_string(size) + " bytes; the limit is " +
                      std::to_string(kArchitectureBytesMax));
    }
    head.architecture = KVCS_TRY(in.bytes(size, "the architecture"));
  }
  LlamaFile file = KVCS_TRY(find_layout(in, head));
  if (ids.size() < file.cells) {
    return invalid("the file has " + std::to_string(file.cells) + " cells and only " +
                   std::to_string(ids.size()) + " token ids");
  }
  // The ids behind the last cell were sampled, or are the beginning of the next prompt; they have
  // no keys yet.
  const auto middle = ids.begin() + static_cast<ptrdiff_t>(file.cells);
  file.extra_tokens.assign(middle, ids.end());
  file.tokens.assign(ids.begin(), middle);
  return file;
}

}  // namespace kvcs::kvfile
