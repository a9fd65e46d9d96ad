// Some tokens and layers of an artifact, cut out while they are sent. Thread-safe.
#pragma once
#include <memory>
#include <optional>

#include "artifacts/slice_cache.h"
#include "http/http.h"

namespace kvcs {

// ?tokens=a:b and ?layers=x:y; without a value when neither is there. Invalid: not such ranges.
Result<std::optional<kvfile::SliceSpec>> asked_slice(const http::Request& request);

// 200, 206, 304, 412 or 416 over the planned file, with its exact length and a strong ETag. Its
// plan counts as memory of the caller's. Invalid when the artifact is no .kv file (reason
// not_a_kv_file), or has no such tokens or layers; or as `charge`.
Result<http::Response> send_slice(const http::Request& request, const Artifact& artifact,
                                  SliceCache& cache, std::shared_ptr<const BlobReader> reader,
                                  const kvfile::SliceSpec& spec, const SliceCache::Charge& charge);

}  // namespace kvcs
