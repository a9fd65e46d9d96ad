// Foreign safetensors files for tests: any names, shapes and dtypes, with values that are told
// apart by layer, part, head, token and channel.
#pragma once
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "kvfile/support.h"

namespace kvcs::kvfile {

struct ForeignTensor {
  std::string name, dtype;
  std::vector<uint64_t> shape;
  std::string bytes;
};

inline void write_safetensors(const std::string& path, const std::vector<ForeignTensor>& tensors,
                              const Metadata& metadata = {}) {
  std::string head = "{\"__metadata__\":{", data;
  for (size_t i = 0; i < metadata.size(); i++) {
    if (i > 0) head += ",";
    append_json_string(head, metadata[i].first);
    head += ":";
    append_json_string(head, metadata[i].second);
  }
  head += "}";
  for (const ForeignTensor& tensor : tensors) {
    head += ",";
    append_json_string(head, tensor.name);
    head += ":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":[";
    for (size_t i = 0; i < tensor.shape.size(); i++) {
      head += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
    }
    head += "],\"data_offsets\":[" + std::to_string(data.size()) + ",";
    data += tensor.bytes;
    head += std::to_string(data.size()) + "]}";
  }
  head += "}";
  head.resize((head.size() + 7) / 8 * 8, ' ');
  std::string file;
  append_u64le(file, head.size());
  write_bytes(path, file + head + data);
}

// A value that F16 and BF16 hold exactly and that no two places of a small cache share.
struct Place {
  uint64_t layer = 0, head = 0, token = 0, channel = 0;
  bool keys = true;
};
inline float value_at(const Place& at) {
  const uint64_t number =
      (((at.layer * 2 + (at.keys ? 0 : 1)) * 4 + at.head) * 20 + at.token) * 8 + at.channel;
  return static_cast<float>(static_cast<int>(number % 2003) + 1) / 2;
}

// The F32 values of a part of a layer: for each row the places that `order` gives it.
template <class Order>
std::string fill(const std::vector<uint64_t>& shape, Order&& place_of) {
  std::string bytes;
  std::vector<uint64_t> at(shape.size(), 0);
  uint64_t count = 1;
  for (const uint64_t n : shape) count *= n;
  for (uint64_t i = 0; i < count; i++) {
    uint64_t rest = i;
    for (size_t axis = shape.size(); axis-- > 0;) {
      at[axis] = rest % shape[axis];
      rest /= shape[axis];
    }
    const float value = place_of(at);
    char raw[4];
    std::memcpy(raw, &value, 4);
    bytes.append(raw, 4);
  }
  return bytes;
}

}  // namespace kvcs::kvfile
