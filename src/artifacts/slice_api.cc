// Some tokens and layers of an artifact as a .kv file of its own: GET …?tokens=a:b&layers=x:y. Only
// the header of the stored file is read before the answer begins, and its rows while it is sent, so
// that neither time to the first byte nor memory grows with the artifact.
#include "artifacts/slice_api.h"

#include <algorithm>

namespace kvcs {
namespace {

using http::Request;
using http::Response;
using kvfile::SlicePlan;
using kvfile::SliceSpec;

// Held while the client is waited for.
constexpr size_t kTransferBytes = 64 << 10;

// Sends `size_bytes` of the planned file from `offset` on, one buffer after the other.
Status send_plan(const SlicePlan& plan, const BlobReader& reader, uint64_t offset,
                 uint64_t size_bytes, http::BodyWriter& out) {
  const kvfile::ReadSource source = blob_source(reader);
  const size_t buffer_bytes = std::min<uint64_t>(kTransferBytes, size_bytes);
  const auto buffer = std::make_unique_for_overwrite<char[]>(buffer_bytes);
  for (uint64_t at = 0; at < size_bytes;) {
    const size_t n = std::min<uint64_t>(buffer_bytes, size_bytes - at);
    KVCS_TRY(kvfile::read_slice(plan, source, offset + at, buffer.get(), n));
    KVCS_TRY(out.write({buffer.get(), n}));
    at += n;
  }
  return ok();
}

}  // namespace

Result<std::optional<SliceSpec>> asked_slice(const Request& request) {
  const auto tokens = request.query_value("tokens"), layers = request.query_value("layers");
  if (!tokens && !layers) return std::optional<SliceSpec>();
  SliceSpec spec;
  if (tokens) spec.tokens = KVCS_TRY(kvfile::parse_index_range(*tokens, "tokens"));
  if (layers) spec.layers = KVCS_TRY(kvfile::parse_index_range(*layers, "layers"));
  return std::optional<SliceSpec>(spec);
}

Result<Response> send_slice(const Request& request, const Artifact& artifact, SliceCache& cache,
                            std::shared_ptr<const BlobReader> reader, const SliceSpec& spec,
                            const SliceCache::Charge& charge) {
  const SliceCache::File file = KVCS_TRY(cache.get(artifact.sha256, *reader, spec, charge));
  Response response;
  const auto part = http::decide_range(request, file->plan.size_bytes, file->tag, response);
  response.set("content-type", "application/octet-stream");
  if (part.status != 200 && part.status != 206) return response;
  // Others may send the same plan, and the cache may have dropped it: each counts all of it.
  if (request.method != http::Method::kHead) {
    KVCS_TRY(request.body->keep(file->memory_bytes() + kTransferBytes));
  }
  response.stream_size_bytes = part.size_bytes;
  response.stream = [file, reader = std::move(reader), part](http::BodyWriter& out) {
    return send_plan(file->plan, *reader, part.offset, part.size_bytes, out);
  };
  return response;
}

}  // namespace kvcs
