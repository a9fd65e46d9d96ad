// The bytes under a key of the RocksDB engine: a header of fixed size, the metadata, the value.
#include "kv/stored_value.h"

#include "base/bytes.h"

namespace kvcs {
namespace {

constexpr char kFormat = 1;
constexpr size_t kHeaderBytes = 1 + 8 + 2;

}  // namespace

std::string encode_value(const KvEntry& entry) {
  std::string out;
  out.reserve(kHeaderBytes + entry.metadata.size() + entry.value.size());
  out += kFormat;
  append_u64le(out, static_cast<uint64_t>(entry.expires_at_s));
  static_assert(kKvMetadataMaxBytes <= 0xffff);
  out += static_cast<char>(entry.metadata.size() & 0xff);
  out += static_cast<char>(entry.metadata.size() >> 8);
  return out.append(entry.metadata).append(entry.value);
}

bool decode_value(std::string_view stored, StoredValue& out) {
  if (stored.size() < kHeaderBytes || stored[0] != kFormat) return false;
  out.expires_at_s = static_cast<int64_t>(load_u64le(stored.data() + 1));
  const size_t metadata_bytes = static_cast<unsigned char>(stored[9]) |
                                static_cast<size_t>(static_cast<unsigned char>(stored[10])) << 8;
  if (stored.size() - kHeaderBytes < metadata_bytes) return false;
  out.metadata = stored.substr(kHeaderBytes, metadata_bytes);
  out.value = stored.substr(kHeaderBytes + metadata_bytes);
  return true;
}

}  // namespace kvcs
