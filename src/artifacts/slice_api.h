// Some tokens and layers of an artifact, cut out while they are sent. Thread-safe.
#pragma once
#include <memory>
#include <optional>

#include "artifacts/artifacts.h"
#include "http/http.h"
#include "kvfile/tools/slice.h"

namespace kvcs {

// `reader` outlives it.
kvfile::ReadSource blob_source(const BlobReader& reader);

// ?tokens=a:b and ?layers=x:y; without a value when neither is there. Invalid: not such ranges.
Result<std::optional<kvfile::SliceSpec>> asked_slice(const http::Request& request);

// 200, 206, 304, 412 or 416 over the planned file, with its exact length and a strong ETag. Invalid
// when the artifact is no .kv file (reason not_a_kv_file), or has no such tokens or layers.
Result<http::Response> send_slice(const http::Request& request, const Artifact& artifact,
                                  std::shared_ptr<const BlobReader> reader,
                                  const kvfile::SliceSpec& spec);

}  // namespace kvcs
