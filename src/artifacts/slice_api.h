// Some tokens and layers of an artifact, cut out while they are sent. Thread-safe.
#pragma once
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "artifacts/artifacts.h"
#include "base/mutex.h"
#include "http/http.h"
#include "kvfile/tools/slice.h"

namespace kvcs {

// `reader` outlives it.
kvfile::ReadSource blob_source(const BlobReader& reader);

// ?tokens=a:b and ?layers=x:y; without a value when neither is there. Invalid: not such ranges.
Result<std::optional<kvfile::SliceSpec>> asked_slice(const http::Request& request);

// A header is read into memory for every request, and anybody may ask for slices of what is public.
inline constexpr uint64_t kSliceHeaderMaxBytes = 1 << 20;

// The parsed headers of the artifacts that were cut last, by digest: bytes under a digest never
// change. Bounded by number and by the bytes of the headers. Thread-safe.
class SliceHeaders final {
 public:
  using Pointer = std::shared_ptr<const kvfile::KvHeader>;
  // Invalid with reason not_a_kv_file, or slice_header_too_large.
  Result<Pointer> get(const std::string& sha256, const BlobReader& reader);

 private:
  struct Entry {
    std::string sha256;
    Pointer header;
    uint64_t size_bytes;
  };
  Pointer find(const std::string& sha256);
  void keep(Entry entry);

  Mutex mutex_;
  std::list<Entry> entries_ KVCS_GUARDED_BY(mutex_);  // Last used first; a few dozen.
  uint64_t kept_bytes_ KVCS_GUARDED_BY(mutex_) = 0;
};

// 200, 206, 304, 412 or 416 over the planned file, with its exact length and a strong ETag. Invalid
// when the artifact is no .kv file (reason not_a_kv_file), or has no such tokens or layers.
Result<http::Response> send_slice(const http::Request& request, const Artifact& artifact,
                                  SliceHeaders& headers, std::shared_ptr<const BlobReader> reader,
                                  const kvfile::SliceSpec& spec);

}  // namespace kvcs
