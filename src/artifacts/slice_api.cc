// Some tokens and layers of an artifact as a .kv file of its own: GET …?tokens=a:b&layers=x:y. Only
// the header of the stored file is read before the answer begins, and its rows while it is sent, so
// that neither time to the first byte nor memory grows with the artifact.
#include "artifacts/slice_api.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "kvfile/tools/slice.h"

namespace kvcs {
namespace {

using http::Request;
using http::Response;
using kvfile::SlicePlan;
using kvfile::SliceSpec;

constexpr size_t kTransferBytes = 256 << 10;

// Reads the stored file's header and lays the smaller file out.
Result<SlicePlan> plan_of(const BlobReader& reader, const SliceSpec& spec) {
  auto header = kvfile::read_header(blob_source(reader), reader.size_bytes());
  if (header.code() == Code::kInvalid) {
    return invalid("Only .kv artifacts have tokens and layers to choose from; this one is none: " +
                   header.status().message() + ".")
        .with_reason("not_a_kv_file");
  }
  KVCS_TRY(header.status());
  return kvfile::plan_slice(*header, spec);
}

// Changes with the stored bytes, with what is taken of them, and with how a slice is laid out.
std::string slice_tag(const Artifact& artifact, const SlicePlan& plan) {
  std::string text = "kvcs-slice-v1\n" + artifact.sha256 + "\n";
  append_u64le(text, plan.pieces.empty() ? 0 : plan.pieces.front().source_offset);
  return sha256_hex(text + plan.header_bytes);
}

// Sends `size_bytes` of the planned file from `offset` on, one buffer after the other.
Status send_plan(const SlicePlan& plan, const BlobReader& reader, uint64_t offset,
                 uint64_t size_bytes, http::BodyWriter& out) {
  const kvfile::ReadSource source = blob_source(reader);
  std::vector<char> buffer(std::min<uint64_t>(kTransferBytes, size_bytes));
  for (uint64_t at = 0; at < size_bytes;) {
    const size_t n = std::min<uint64_t>(buffer.size(), size_bytes - at);
    KVCS_TRY(kvfile::read_slice(plan, source, offset + at, buffer.data(), n));
    KVCS_TRY(out.write({buffer.data(), n}));
    at += n;
  }
  return ok();
}

}  // namespace

kvfile::ReadSource blob_source(const BlobReader& reader) {
  return [&reader](uint64_t offset, void* out, size_t size_bytes) -> Status {
    const size_t n = KVCS_TRY(reader.read(offset, static_cast<char*>(out), size_bytes));
    return n == size_bytes ? ok() : internal("A blob is shorter than its row says.");
  };
}

Result<std::optional<SliceSpec>> asked_slice(const Request& request) {
  const auto tokens = request.query_value("tokens"), layers = request.query_value("layers");
  if (!tokens && !layers) return std::optional<SliceSpec>();
  SliceSpec spec;
  if (tokens) spec.tokens = KVCS_TRY(kvfile::parse_index_range(*tokens, "tokens"));
  if (layers) spec.layers = KVCS_TRY(kvfile::parse_index_range(*layers, "layers"));
  return std::optional<SliceSpec>(spec);
}

Result<Response> send_slice(const Request& request, const Artifact& artifact,
                            std::shared_ptr<const BlobReader> reader, const SliceSpec& spec) {
  // Owners: the response's body, and nobody else once this function has returned.
  const auto plan = std::make_shared<const SlicePlan>(KVCS_TRY(plan_of(*reader, spec)));
  Response response;
  const auto part =
      http::decide_range(request, plan->size_bytes, slice_tag(artifact, *plan), response);
  response.set("content-type", "application/octet-stream");
  if (part.status != 200 && part.status != 206) return response;
  response.stream_size_bytes = part.size_bytes;
  response.stream = [plan, reader = std::move(reader), part](http::BodyWriter& out) {
    return send_plan(*plan, *reader, part.offset, part.size_bytes, out);
  };
  return response;
}

}  // namespace kvcs
