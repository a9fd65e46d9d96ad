// The container: parses, checks, builds and prints the safetensors header of a .kv file. What the
// tensors mean is layout.cc's part. The source of the format is the README of
// github.com/huggingface/safetensors; where its library is more lenient, this parser is not.
#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/json.h"
#include "kvfile/format/json_scanner.h"
#include "kvfile/format/layout.h"
#include "kvfile/kvfile.h"

namespace kvcs::kvfile {
namespace {

// A header is an object of objects of arrays: three levels and one to spare.
constexpr size_t kHeaderDepthMax = 4;
constexpr size_t kRankMax = 4, kForeignRankMax = 8;
constexpr size_t kMetadataEntriesMax = 4096;

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  size_t size_bytes;
};
// In the order of Dtype, which is the order in which the safetensors library writes tensors: wide
// types first, so that every tensor is aligned to its width.
constexpr std::array kDtypes = {
    DtypeRow{Dtype::kF32, "F32", 4},        DtypeRow{Dtype::kU32, "U32", 4},
    DtypeRow{Dtype::kBf16, "BF16", 2},      DtypeRow{Dtype::kF16, "F16", 2},
    DtypeRow{Dtype::kF8E4m3, "F8_E4M3", 1}, DtypeRow{Dtype::kF8E5m2, "F8_E5M2", 1},
    DtypeRow{Dtype::kI8, "I8", 1},          DtypeRow{Dtype::kU8, "U8", 1},
};

// What else the container knows; other programs keep masks and counters so.
constexpr std::pair<std::string_view, size_t> kForeignDtypes[] = {
    {"BOOL", 1}, {"F8_E8M0", 1}, {"I16", 2}, {"U16", 2}, {"I32", 4},
    {"I64", 8},  {"U64", 8},     {"F64", 8}, {"C64", 8}};

size_t foreign_bytes(std::string_view dtype) {
  for (const auto& [name, size_bytes] : kForeignDtypes) {
    if (name == dtype) return size_bytes;
  }
  return 0;
}

std::string quoted(std::string_view name) {
  return "\"" + printable(name, kShownName) + "\"";
}

Status tensor_fault(const Tensor& tensor, std::string_view why) {
  return invalid("tensor " + quoted(tensor.name) + ": " + std::string(why));
}

Result<std::vector<uint64_t>> parse_numbers(JsonScanner& scanner, size_t count_max) {
  std::vector<uint64_t> numbers;
  KVCS_TRY(scanner.begin_array());
  while (KVCS_TRY(scanner.next_element())) {
    if (numbers.size() == count_max) {
      return scanner.fault("more than " + std::to_string(count_max) + " numbers");
    }
    numbers.push_back(KVCS_TRY(scanner.integer()));
  }
  return numbers;
}

// {"dtype": …, "shape": […], "data_offsets": [begin, end]}, in any order, and nothing else.
Result<Tensor> parse_tensor(JsonScanner& scanner, std::string name, bool foreign) {
  Tensor tensor;
  tensor.name = std::move(name);
  bool has_dtype = false, has_shape = false, has_offsets = false;
  KVCS_TRY(scanner.begin_object());
  std::string member;
  while (KVCS_TRY(scanner.next_member(member))) {
    if (member == "dtype") {
      const std::string text = KVCS_TRY(scanner.string());
      const std::optional<Dtype> dtype = parse_dtype(text);
      if (!dtype && foreign && foreign_bytes(text) > 0) {
        tensor.foreign_dtype = text;
      } else if (!dtype) {
        return tensor_fault(tensor, "dtype " + quoted(text) + " is not one of a .kv");
      }
      tensor.dtype = dtype.value_or(Dtype::kU8);
      has_dtype = true;
    } else if (member == "shape") {
      tensor.shape = KVCS_TRY(parse_numbers(scanner, foreign ? kForeignRankMax : kRankMax));
      has_shape = true;
    } else if (member == "data_offsets") {
      const auto offsets = KVCS_TRY(parse_numbers(scanner, 2));
      if (offsets.size() != 2) return tensor_fault(tensor, "data_offsets needs two numbers");
      tensor.begin = offsets[0];
      tensor.end = offsets[1];
      has_offsets = true;
    } else {
      return tensor_fault(tensor, "unknown member " + quoted(member));
    }
  }
  if (!has_dtype) return tensor_fault(tensor, "dtype is missing");
  if (!has_shape) return tensor_fault(tensor, "shape is missing");
  if (!has_offsets) return tensor_fault(tensor, "data_offsets is missing");
  return tensor;
}

Result<Metadata> parse_metadata(JsonScanner& scanner) {
  Metadata metadata;
  KVCS_TRY(scanner.begin_object());
  std::string key;
  while (KVCS_TRY(scanner.next_member(key))) {
    if (metadata.size() == kMetadataEntriesMax) {
      return scanner.fault("__metadata__ has more than " + std::to_string(kMetadataEntriesMax) +
                           " entries");
    }
    if (scanner.peek() != '"') {
      return scanner.fault("__metadata__ " + quoted(key) + " is not a string");
    }
    metadata.emplace_back(key, KVCS_TRY(scanner.string()));
  }
  return metadata;
}

// Elements × width. Every factor is checked, also those behind a zero: a shape like [0, 2^62, 2^62]
// has no bytes, but a reader that multiplies it out would overflow.
Result<uint64_t> tensor_bytes(const Tensor& tensor) {
  uint64_t product = tensor.foreign_dtype.empty() ? dtype_bytes(tensor.dtype)
                                                  : foreign_bytes(tensor.foreign_dtype);
  bool zero = false;
  for (const uint64_t dimension : tensor.shape) {
    if (dimension == 0) {
      zero = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return tensor_fault(tensor, "its shape overflows 64 bits");
    }
  }
  if (product > static_cast<uint64_t>(INT64_MAX)) {
    return tensor_fault(tensor, "its shape overflows 63 bits");
  }
  return zero ? 0 : product;
}

// The tensors in the order of their offsets must begin at 0, follow one another without gap or
// overlap, and end with the file. So no byte of a file is without a meaning, and none has two.
Status check_cover(std::vector<Tensor>& tensors, uint64_t data_bytes) {
  std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t expected = 0;
  for (const Tensor& tensor : tensors) {
    const uint64_t size = KVCS_TRY(tensor_bytes(tensor));
    if (tensor.end < tensor.begin) return tensor_fault(tensor, "data_offsets run backwards");
    if (tensor.end - tensor.begin != size) {
      return tensor_fault(tensor, "its shape needs " + std::to_string(size) +
                                      " bytes, data_offsets give " +
                                      std::to_string(tensor.end - tensor.begin));
    }
    if (tensor.begin != expected) {
      return tensor_fault(tensor, tensor.begin < expected ? "overlaps the tensor before it"
                                                          : "a hole in the data before it");
    }
    expected = tensor.end;
  }
  if (expected > data_bytes) {
    return invalid("the file is cut: the tensors need " + std::to_string(expected) +
                   " bytes of data, " + std::to_string(data_bytes) + " are there");
  }
  if (expected < data_bytes) {
    return invalid(std::to_string(data_bytes - expected) + " bytes behind the last tensor");
  }
  return ok();
}

}  // namespace

std::string_view dtype_name(Dtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)].name;
}
size_t dtype_bytes(Dtype dtype) {
  return kDtypes[static_cast<size_t>(dtype)].size_bytes;
}
std::optional<Dtype> parse_dtype(std::string_view name) {
  for (const DtypeRow& row : kDtypes) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}
bool is_float16_or_32(Dtype dtype) {
  return dtype == Dtype::kF32 || dtype == Dtype::kF16 || dtype == Dtype::kBf16;
}

void KvHeader::index_tensors() {
  by_name_.clear();
  for (size_t i = 0; i < tensors.size(); i++) by_name_.emplace(tensors[i].name, i);
}

const Tensor* KvHeader::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors[it->second];
}

const Tensor& KvHeader::get(Part part, uint64_t layer, std::string_view suffix) const {
  const Tensor* const tensor = find(tensor_name(part, layer, suffix));
  KVCS_ASSERT(tensor != nullptr);
  return *tensor;
}

bool KvHeader::quantized() const {
  return std::any_of(shapes.begin(), shapes.end(), [](const LayerShape& shape) {
    return shape.keys.quantized() || shape.values.quantized();
  });
}

uint64_t KvHeader::values() const {
  uint64_t all = 0;
  for (const LayerShape& shape : shapes) all += shape.keys.values() + shape.values.values();
  return all;
}

std::vector<const Tensor*> KvHeader::states(uint64_t layer) const {
  const std::string prefix = state_name(layer, "");
  std::vector<const Tensor*> found;
  for (auto it = by_name_.lower_bound(prefix); it != by_name_.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    found.push_back(&tensors[it->second]);
  }
  return found;
}

bool KvHeader::has_states() const {
  return by_name_.lower_bound("state_") != by_name_.lower_bound("state`");
}

const std::string* KvHeader::metadata_value(std::string_view key) const {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

void set_metadata(Metadata& metadata, std::string_view key, std::string value) {
  for (auto& [name, old] : metadata) {
    if (name == key) {
      old = std::move(value);
      return;
    }
  }
  metadata.emplace_back(key, std::move(value));
}

namespace {

// A hint for files of a known other kind, by their first bytes: the four bytes of a packed file's
// first zstd frame, and the two magics of llama.cpp.
std::string_view known_format(std::string_view first_8_bytes) {
  const std::string_view magic = first_8_bytes.substr(0, 4);
  if (magic == "\x5b\x2a\x4d\x18") return "; it is packed: `kvcs unpack` it first";
  if (magic == "nsgg" || magic == "qsgg") {
    return "; it is a state of llama.cpp: `kvcs import --from llama` takes it";
  }
  return "";
}

}  // namespace

// The length is compared and never added to anything before it is known to be small.
Result<uint64_t> parse_header_size(std::string_view first_8_bytes, uint64_t file_bytes) {
  if (first_8_bytes.size() < 8 || file_bytes < 8) {
    return invalid("the file is shorter than the eight bytes of the length field");
  }
  const uint64_t size = load_u64le(first_8_bytes.data());
  if (size > file_bytes - 8) {
    return invalid("the header's length " + std::to_string(size) + " is more than the " +
                   std::to_string(file_bytes - 8) + " bytes behind it" +
                   std::string(known_format(first_8_bytes)));
  }
  if (size > kHeaderBytesMax) {
    return invalid("the header's length " + std::to_string(size) + " is over the limit of " +
                   std::to_string(kHeaderBytesMax));
  }
  if (size < 2) return invalid("the header is empty");
  return size;
}

namespace {

Result<KvHeader> parse_tensors(std::string_view json, uint64_t file_bytes, bool any_name) {
  KvHeader header;
  header.file_bytes = file_bytes;
  header.data_start = 8 + json.size();
  if (header.data_start > file_bytes) return invalid("the file is cut inside its header");
  // White space before the brace would be JSON, but the format forbids it.
  if (json.empty() || json[0] != '{') return invalid("header: does not begin with '{'");
  JsonScanner scanner(json, kHeaderDepthMax, "header");
  KVCS_TRY(scanner.begin_object());
  std::string name;
  while (KVCS_TRY(scanner.next_member(name))) {
    if (name == "__metadata__") {
      header.metadata = KVCS_TRY(parse_metadata(scanner));
      continue;
    }
    if (!any_name && !is_tensor_name(name)) {
      return invalid("header: " + quoted(name) + " is not a tensor name of a .kv file");
    }
    if (header.tensors.size() == kTensorsMax) {
      return invalid("header: more than " + std::to_string(kTensorsMax) + " tensors");
    }
    header.tensors.push_back(KVCS_TRY(parse_tensor(scanner, name, any_name)));
  }
  KVCS_TRY(scanner.finish(" "));
  KVCS_TRY(scanner.check_utf8());
  KVCS_TRY(check_cover(header.tensors, file_bytes - header.data_start));
  header.index_tensors();
  return header;
}

}  // namespace

Result<KvHeader> parse_header(std::string_view json, uint64_t file_bytes) {
  KvHeader header = KVCS_TRY(parse_tensors(json, file_bytes, false));
  KVCS_TRY(detect_layout(header));
  return header;
}

Result<KvHeader> parse_safetensors(std::string_view json, uint64_t file_bytes) {
  return parse_tensors(json, file_bytes, true);
}

// The offsets follow from order and shapes. The header is printed and parsed again, so that nothing
// can be written that a reader would refuse.
Result<KvHeader> make_header(std::vector<Tensor> tensors, Metadata metadata) {
  std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    return std::pair(a.dtype, std::string_view(a.name)) <
           std::pair(b.dtype, std::string_view(b.name));
  });
  uint64_t offset = 0;
  for (Tensor& tensor : tensors) {
    const uint64_t size = KVCS_TRY(tensor_bytes(tensor));
    tensor.begin = offset;
    if (__builtin_add_overflow(offset, size, &offset) || offset > INT64_MAX) {
      return tensor_fault(tensor, "the file would pass 2^63 bytes");
    }
    tensor.end = offset;
  }
  KvHeader draft;
  draft.tensors = std::move(tensors);
  draft.metadata = std::move(metadata);
  const std::string bytes = dump_header(draft);
  if (bytes.size() - 8 > kHeaderBytesMax) return too_large("the header would pass 16 MiB");
  return parse_header(std::string_view(bytes).substr(8), bytes.size() + offset);
}

std::string dump_header(const KvHeader& header) {
  std::string json = "{";
  if (!header.metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : header.metadata) {
      if (json.back() != '{') json += ',';
      append_json_string(json, key);
      json += ':';
      append_json_string(json, value);
    }
    json += '}';
  }
  for (const Tensor& tensor : header.tensors) {
    if (json.size() > 1) json += ',';
    append_json_string(json, tensor.name);
    json += ":{\"dtype\":\"" + std::string(dtype_name(tensor.dtype)) + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); i++) {
      if (i > 0) json += ',';
      json += std::to_string(tensor.shape[i]);
    }
    json += "],\"data_offsets\":[" + std::to_string(tensor.begin) + "," +
            std::to_string(tensor.end) + "]}";
  }
  json += '}';
  // Spaces at the end keep the data aligned to eight bytes; the format allows them there.
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string out;
  append_u64le(out, json.size());
  return out + json;
}

}  // namespace kvcs::kvfile
