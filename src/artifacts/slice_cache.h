// What slices of artifacts are planned with, kept for the artifacts and ranges that were asked for
// last: the parsed headers of the stored files, and the plans. Bytes under a digest never change.
// Both are bounded by number and bytes. Thread-safe.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "artifacts/artifacts.h"
#include "artifacts/recent_values.h"
#include "kvfile/tools/slice.h"

namespace kvcs {

// A header is parsed for a slice, and anybody may ask for slices of what is public.
inline constexpr uint64_t kSliceHeaderMaxBytes = 1 << 20;

// `reader` outlives it.
kvfile::ReadSource blob_source(const BlobReader& reader);

// A plan without the parts that sending it does not need.
struct SlicedFile {
  kvfile::SlicePlan plan;  // Its header is empty.
  std::string tag;         // Of the ETag.
  uint64_t memory_bytes() const {
    return plan.header_bytes.capacity() + plan.pieces.capacity() * sizeof(plan.pieces[0]);
  }
};

class SliceCache final {
 public:
  using Header = std::shared_ptr<const kvfile::KvHeader>;
  using File = std::shared_ptr<const SlicedFile>;
  // Asked before a header of so many bytes is parsed or planned with; a failure ends the request.
  using Charge = std::function<Status(uint64_t header_bytes)>;

  // Invalid with reason not_a_kv_file or slice_header_too_large, or because the file has no such
  // tokens or layers; or as `charge`.
  Result<File> get(const std::string& sha256, const BlobReader& reader,
                   const kvfile::SliceSpec& spec, const Charge& charge);

 private:
  struct ParsedHeader {
    kvfile::KvHeader header;
    uint64_t size_bytes = 0;
  };
  Result<std::shared_ptr<const ParsedHeader>> header_of(const std::string& sha256,
                                                        const BlobReader& reader,
                                                        const Charge& charge);

  RecentValues<ParsedHeader> headers_{64, 4 << 20};  // Of JSON; parsed they take some times more.
  RecentValues<SlicedFile> files_{256, 8 << 20};
};

}  // namespace kvcs
