// Lossless packing for cold storage: bytes of like significance stand together and are coded by
// zstd with its Huffman stage alone, because key and value mantissas have nothing to match. The
// original comes back byte for byte, by its digest. Layout: web/docs/formats.md.
//
// A packed file is a skippable zstd frame (magic, sizes, digest, index of chunks) and then one
// plain zstd frame per byte plane of every chunk, so any zstd checks and reads the frames; another
// skippable frame at the end holds the sidecar.
// Limits: chunks of at most kPackChunkBytes, kPackChunksMax of them.
#pragma once
#include <string>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

inline constexpr uint64_t kPackChunkBytes = 1 << 20;
inline constexpr uint64_t kPackChunksMax = 64 << 20 >> 4;  // The index stays under 64 MiB.

struct PackReport {
  uint64_t original_bytes = 0, packed_bytes = 0, chunks = 0;
  std::string sha256;          // Of the original.
  uint64_t sidecar_bytes = 0;  // Before it was packed; 0: there is none.
};
// Packs a valid .kv file and its sidecar, which must agree with it. Conflict when the output is the
// input or the input changed.
Result<PackReport> pack_file(const std::string& input, const std::string& output);
// Both come back byte for byte. Invalid when the packed file is damaged: no output then.
Result<PackReport> unpack_file(const std::string& input, const std::string& output);

}  // namespace kvcs::kvfile
