// A .kv file of one layer, small enough to be written out: values of F16 in [1, heads, tokens, 8],
// with token ids. `values` are the halves of the keys, repeated; the values of the layer are zeros.
#pragma once
#include <string>
#include <vector>

#include "base/bytes.h"

namespace kvcs::test {

inline std::string tiny_kv(const std::vector<uint16_t>& values, uint64_t tokens = 4) {
  const uint64_t numbers = tokens * 8, part = numbers * 2;
  const auto tensor = [&](const char* name, const char* dtype, const std::string& shape,
                          uint64_t begin, uint64_t end) {
    return "\"" + std::string(name) + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
           ",\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  const std::string shape = "[1,1," + std::to_string(tokens) + ",8]";
  std::string header = R"({"__metadata__":{"kvcs.model":"test/tiny"},)" +
                       tensor("tokens", "U32", "[" + std::to_string(tokens) + "]", 0, 4 * tokens) +
                       "," + tensor("k_0", "F16", shape, 4 * tokens, 4 * tokens + part) + "," +
                       tensor("v_0", "F16", shape, 4 * tokens + part, 4 * tokens + 2 * part) + "}";
  while (header.size() % 8 != 0) header += ' ';
  std::string file;
  append_u64le(file, header.size());
  file += header;
  for (uint64_t token = 0; token < tokens; token++) {
    file += static_cast<char>(token + 7);
    file += std::string(3, '\0');
  }
  for (uint64_t i = 0; i < numbers; i++) {
    const uint16_t half = values[i % values.size()];
    file += static_cast<char>(half & 0xff);
    file += static_cast<char>(half >> 8);
  }
  return file + std::string(part, '\0');
}

}  // namespace kvcs::test
