// What slices of artifacts are planned with, kept for the artifacts and ranges that were asked for
// last: the parsed headers of the stored files, and the plans. Bytes under a digest never change.
// Both are bounded by number and bytes. Thread-safe.
#pragma once
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "artifacts/artifacts.h"
#include "base/mutex.h"
#include "kvfile/tools/slice.h"

namespace kvcs {

// A header is parsed for a slice, and anybody may ask for slices of what is public.
inline constexpr uint64_t kSliceHeaderMaxBytes = 1 << 20;

// `reader` outlives it.
kvfile::ReadSource blob_source(const BlobReader& reader);

// Values by key, the last used first. One more than there is room for drops the last.
template <typename Value>
class LastUsed final {
 public:
  using Pointer = std::shared_ptr<const Value>;
  LastUsed(size_t entries_max, uint64_t bytes_max)
      : entries_max_(entries_max), bytes_max_(bytes_max) {}
  Pointer find(const std::string& key);
  // Two requests may have made the same value; one of them is kept.
  void keep(const std::string& key, Pointer value, uint64_t size_bytes);

 private:
  struct Entry {
    std::string key;
    Pointer value;
    uint64_t size_bytes;
  };
  const size_t entries_max_;
  const uint64_t bytes_max_;
  Mutex mutex_;
  std::list<Entry> entries_ KVCS_GUARDED_BY(mutex_);  // A few dozen.
  uint64_t kept_bytes_ KVCS_GUARDED_BY(mutex_) = 0;
};

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

  LastUsed<ParsedHeader> headers_{64, 4 << 20};  // Of JSON; parsed they take some times more.
  LastUsed<SlicedFile> files_{256, 8 << 20};
};

}  // namespace kvcs
