// How RocksKv stores an entry: format byte 1 | expiry, 8 bytes | length of the metadata, 2 bytes |
// metadata | value; numbers are little-endian. Pure functions; internal to kv/.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "kv/kv.h"

namespace kvcs {

// Points into the bytes that it was decoded from.
struct StoredValue {
  int64_t expires_at_s;
  std::string_view metadata, value;
  KvEntry entry() const { return {std::string(value), std::string(metadata), expires_at_s}; }
};

std::string encode_value(const KvEntry& entry);
// False when the bytes are not of the format above.
bool decode_value(std::string_view stored, StoredValue& out);

}  // namespace kvcs
