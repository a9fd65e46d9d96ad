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
constexpr size_t kHeadersMax = 64;
constexpr uint64_t kHeadersMaxBytes = 4 << 20;  // Of JSON; parsed they take some times more.

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

Status no_kv_file(const Status& why) {
  return invalid("Only .kv artifacts have tokens and layers to choose from; this one is none: " +
                 why.message() + ".")
      .with_reason("not_a_kv_file");
}

// The bytes of the stored file's header, from its first eight.
Result<uint64_t> header_size(const BlobReader& reader) {
  char first[8];
  const size_t n = KVCS_TRY(reader.read(0, first, sizeof first));
  auto size_bytes = kvfile::parse_header_size({first, n}, reader.size_bytes());
  if (size_bytes.code() == Code::kInvalid) return no_kv_file(size_bytes.status());
  return size_bytes;
}

}  // namespace

SliceHeaders::Pointer SliceHeaders::find(const std::string& sha256) {
  MutexLock lock(mutex_);
  const auto it = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& entry) { return entry.sha256 == sha256; });
  if (it == entries_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it);
  return entries_.front().header;
}

// Two requests may have parsed the same header; one of them is kept.
void SliceHeaders::keep(Entry entry) {
  MutexLock lock(mutex_);
  for (const Entry& other : entries_) {
    if (other.sha256 == entry.sha256) return;
  }
  kept_bytes_ += entry.size_bytes;
  entries_.push_front(std::move(entry));
  while (entries_.size() > kHeadersMax || kept_bytes_ > kHeadersMaxBytes) {
    kept_bytes_ -= entries_.back().size_bytes;
    entries_.pop_back();
  }
}

Result<SliceHeaders::Pointer> SliceHeaders::get(const std::string& sha256,
                                                const BlobReader& reader) {
  if (Pointer found = find(sha256)) return found;
  const uint64_t size_bytes = KVCS_TRY(header_size(reader));
  if (size_bytes > kSliceHeaderMaxBytes) {
    return invalid("The header of this artifact has " + format_bytes(size_bytes) +
                   "; slices are made of files with up to " + format_bytes(kSliceHeaderMaxBytes) +
                   ". Download it whole, and cut it with kvcs slice.")
        .with_reason("slice_header_too_large");
  }
  auto parsed = kvfile::read_header(blob_source(reader), reader.size_bytes());
  if (parsed.code() == Code::kInvalid) return no_kv_file(parsed.status());
  KVCS_TRY(parsed.status());
  auto header = std::make_shared<const kvfile::KvHeader>(std::move(parsed).value());
  keep({sha256, header, size_bytes});
  return Pointer(std::move(header));
}

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

Result<Response> send_slice(const Request& request, const Artifact& artifact, SliceHeaders& headers,
                            std::shared_ptr<const BlobReader> reader, const SliceSpec& spec) {
  const SliceHeaders::Pointer header = KVCS_TRY(headers.get(artifact.sha256, *reader));
  // Owners: the response's body, and nobody else once this function has returned.
  const auto plan = std::make_shared<const SlicePlan>(KVCS_TRY(kvfile::plan_slice(*header, spec)));
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
