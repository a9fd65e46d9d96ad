// A part of a cache as a valid, smaller .kv file: some tokens, some layers. The plan says which
// bytes of the source make up the new file, so that a server can answer with Content-Length and
// byte ranges of a file that exists nowhere. Keys keep their absolute positions: what is cut off
// in front is recorded as kvcs.position_offset.
//
// Plain, fp8, int8 and q8_0 files can be cut at any token. Where scales are shared by groups of
// tokens the first token must begin a group: a multiple of 256 (int8c) or of 64 (int4c).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "kvfile/kvfile.h"

namespace kvcs::kvfile {

// "a:b", "a:", ":b"; the end is cut to what there is. Invalid otherwise or when empty. `what` names
// it in messages.
Result<IndexRange> parse_index_range(std::string_view text, std::string_view what);

struct SliceSpec {
  IndexRange tokens, layers;
};
// "tokens end at 512, not 9999", of a slice that has less than was asked for; else empty.
std::string shortened(const SliceSpec& asked, const KvHeader& slice);

struct SlicePlan {
  struct Piece {
    uint64_t offset = 0;         // In the new file.
    uint64_t source_offset = 0;  // In the source file.
    uint64_t size_bytes = 0;
  };
  KvHeader header;            // Of the new file.
  std::string header_bytes;   // Its first header.data_start bytes.
  std::vector<Piece> pieces;  // Then these, in order.
  uint64_t size_bytes = 0;
};

// Invalid when nothing is left, a range starts beyond the end or inside a group of tokens.
Result<SlicePlan> plan_slice(const KvHeader& source, const SliceSpec& spec);

// Bytes [offset, offset + size_bytes) of the planned file, O(log pieces) to find the first.
// Precondition: within plan.size_bytes.
Status read_slice(const SlicePlan& plan, const ReadSource& source, uint64_t offset, void* out,
                  size_t size_bytes);

// The source's sidecar for the slice: its own tokens, no prompt when tokens were cut.
Sidecar slice_sidecar(const Sidecar& source, const KvHeader& slice, const SliceSpec& spec);

struct SliceOptions {
  std::string input, output;
  SliceSpec spec;
};
struct SliceReport {
  KvHeader header;            // Of the output.
  IndexRange tokens, layers;  // What was taken.
  // One line that says how much there is, when the specification asked for more; else empty.
  std::string shortened;
};
Result<SliceReport> slice_file(const SliceOptions& options);

}  // namespace kvcs::kvfile
