// The data plane: bytes come in by a presigned PUT and go out by a presigned GET or, if the
// artifact is public, to anyone. A worker of http receives a PUT; a download is sent by the
// connection itself, from the blob's descriptor where there is one.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <vector>

#include "artifacts/artifacts_api.h"
#include "artifacts/public_page.h"
#include "artifacts/rows.h"
#include "artifacts/slice_api.h"
#include "base/bytes.h"
#include "base/id.h"
#include "base/log.h"
#include "identity/access.h"

namespace kvcs {
namespace {

using http::Request;
using http::Response;

constexpr size_t kTransferBytes = 256 << 10;
// A cache may keep a public artifact, and asks before each use: the bytes never change under the
// id, but its owner may take them back.
constexpr std::string_view kPublicCache = "public, no-cache";
constexpr std::string_view kPrivateCache = "private, no-store";

std::string_view signed_method(const Request& request) {
  return request.method == http::Method::kHead ? "GET" : http::method_name(request.method);
}

Status size_mismatch(uint64_t expected, uint64_t actual) {
  return invalid("size mismatch")
      .with_reason("size_mismatch")
      .with_details_json("{\"expected\":" + std::to_string(expected) +
                         ",\"actual\":" + std::to_string(actual) + "}");
}

// An upload whose pace would outlast the row that it is for holds disk and worker in vain. Its
// beginning says little about its pace.
Status check_pace(uint64_t taken, uint64_t size_bytes, int64_t elapsed_us, int64_t lifetime_s) {
  constexpr int64_t kGraceUs = 60'000'000;
  if (elapsed_us < kGraceUs) return ok();
  const double due = static_cast<double>(size_bytes) * static_cast<double>(elapsed_us) /
                     (static_cast<double>(lifetime_s) * 1e6);
  if (static_cast<double>(taken) >= due) return ok();
  return invalid("The upload is too slow: at this pace its " + format_bytes(size_bytes) +
                 " take longer than the " + std::to_string(lifetime_s) +
                 " s that an upload may take. Send it in smaller artifacts, or have "
                 "artifacts.pending_lifetime_s raised.")
      .with_reason("upload_too_slow");
}

// A 304 repeats what the cache is to go on with (RFC 9110 §15.4.5); a refusal (412, 416) is of its
// request alone, and no cache may answer others with it.
void set_manners(Response& response, std::string_view cache_control,
                 const std::string& disposition) {
  const bool is_refusal = response.status >= 400;
  response.set("cache-control", std::string(is_refusal ? kPrivateCache : cache_control));
  if (!is_refusal) response.set("content-disposition", disposition);
}

// The body of a download from an engine that has no descriptor to send from.
std::function<Status(http::BodyWriter&)> stream_range(std::shared_ptr<const BlobReader> reader,
                                                      uint64_t offset, uint64_t size_bytes) {
  return [reader = std::move(reader), offset, size_bytes](http::BodyWriter& out) -> Status {
    std::vector<char> buffer(std::min<uint64_t>(kTransferBytes, size_bytes));
    for (uint64_t at = 0; at < size_bytes;) {
      const size_t want = std::min<uint64_t>(buffer.size(), size_bytes - at);
      const size_t n = KVCS_TRY(reader->read(offset + at, buffer.data(), want));
      if (n == 0) return internal("A blob is shorter than its row says.");
      KVCS_TRY(out.write({buffer.data(), n}));
      at += n;
    }
    return ok();
  };
}

// What a signed URL carries beside its signature, and what one for downloads takes besides.
constexpr std::string_view kSigned =
    "size!:integer(0..) sha256!:string(0..64) expires!:integer(1..)";
constexpr std::string_view kSignedDownload =
    "size!:integer(0..) sha256!:string(0..64) expires!:integer(1..) while tokens layers";

}  // namespace

void ArtifactsApi::add_byte_routes(std::vector<http::Row>& table) {
  using enum http::Method;
  using http::kNoBody;
  using http::OwnerFrom;
  const http::Need signature{.owner = OwnerFrom::kSignature};
  const http::Access url{presigned(presigner_), access::words(signature), http::Dialect::kPortal,
                         signature};
  http::Rows rows(table, *this);
  rows.add(kPut, "/blobs/{id}", url, service_.config().object_bytes_max, &ArtifactsApi::put_blob,
           "The bytes of an announced upload.",
           {.id = "putBlob", .query = kSigned, .body = "application/octet-stream", .also = "409"});
  rows.add(kGet, "/blobs/{id}", url, kNoBody, &ArtifactsApi::get_blob,
           "The bytes of an artifact; of ?tokens=a:b and ?layers=x:y alone, as a .kv file.",
           {.id = "getBlob",
            .query = kSignedDownload,
            .answer = "application/octet-stream",
            .in_parts = true});
  const http::Access anybody = with_owner(http::everyone(), OwnerFrom::kObject);
  rows.add(kGet, "/v1/artifacts/{id}", anybody, kNoBody, &ArtifactsApi::get_public,
           "The bytes of a public artifact, or a part: ?tokens=a:b, ?layers=x:y.",
           {.id = "downloadPublicArtifact",
            .query = "tokens layers",
            .answer = "application/octet-stream",
            .also = "403",
            .in_parts = true});
  rows.add(kGet, "/{org}/{project}/{artifact_id}", anybody, kNoBody, &ArtifactsApi::get_cdn,
           "The same, by names.",
           {.id = "downloadArtifactByName",
            .query = "tokens layers",
            .answer = "application/octet-stream text/html PublicArtifact",
            .also = "301 403",
            .in_parts = true});
}

http::Guard presigned(const Presigner& presigner) {
  return [&presigner](const Request& request) -> Result<Principal> {
    KVCS_TRY(presigner.verify(signed_method(request), request.param("id"), request.query));
    return Principal{};
  };
}

Result<std::string> ArtifactsApi::receive(Request& request, const PresignedClaim& claim,
                                          uint64_t size_bytes) {
  ArtifactPut put = KVCS_TRY(service_.begin_put(claim, size_bytes));
  const int64_t began_us = clock_.mono_us();
  // One byte more than announced is enough to see that a body is too long.
  const size_t buffer_bytes = std::min<uint64_t>(kTransferBytes, size_bytes + 1);
  for (uint64_t taken = 0;;) {
    KVCS_TRY(request.body->read({}));
    // Made anew once there are bytes for it: a client that is waited for holds none.
    const auto buffer = std::make_unique_for_overwrite<char[]>(buffer_bytes);
    const size_t n = KVCS_TRY(request.body->read({buffer.get(), buffer_bytes}));
    if (n == 0) break;
    taken += n;
    if (taken > size_bytes) return size_mismatch(size_bytes, taken);
    KVCS_TRY(check_pace(taken, size_bytes, clock_.mono_us() - began_us,
                        service_.config().pending_lifetime_s));
    KVCS_TRY(put.writer->append({buffer.get(), n}));
  }
  return service_.finish_put(put);
}

Result<Response> ArtifactsApi::put_blob(Request& request) {
  const PresignedClaim claim =
      KVCS_TRY(presigner_.verify("PUT", request.param("id"), request.query));
  const auto declared = request.body->declared_size_bytes();
  const Artifact row = KVCS_TRY(service_.find(claim.id));
  KVCS_TRY(check_active(row));
  if (!declared && claim.size_bytes == 0) {
    return invalid("Content-Length is required: the upload was announced without its size.");
  }
  auto digest = receive(request, claim, declared.value_or(claim.size_bytes));
  if (!digest.ok()) {
    // Only what the uploader did wrong is told again by confirm; a full disk is not his fault.
    const bool contract_fault = digest.code() == Code::kInvalid;
    if (contract_fault) service_.note_refused_put(claim.id, digest.status());
    return std::move(digest).status();
  }
  Response response = http::empty_response(200);
  response.set("etag", "\"" + *digest + "\"");
  return response;
}

Result<Response> ArtifactsApi::send_bytes(const Request& request, const Artifact& artifact,
                                          std::string_view cache_control) const {
  // Owners: the response's body, and nobody else once this function has returned.
  const std::shared_ptr<const BlobReader> reader = KVCS_TRY(service_.open_bytes(artifact));
  // The head is sent by then, so that the client sees a connection that is cut.
  const auto tell = [this, sha256 = artifact.sha256, id = artifact.id](const Status& sent,
                                                                       uint64_t) {
    if (sent.code() != Code::kInternal) return;
    service_.raise_alarm(sha256, "The blob of artifact " + id +
                                     " could not be read while it was sent: " + sent.to_string() +
                                     " Look at the disk, and restore the file.");
  };
  const std::string disposition = artifact_json::disposition(artifact.name);
  if (const auto slice = KVCS_TRY(asked_slice(request))) {
    const auto charge = [&](uint64_t header_bytes) {
      return config_.charge_slice ? config_.charge_slice(request, header_bytes) : ok();
    };
    Response response =
        KVCS_TRY(send_slice(request, artifact, *slice_cache_, reader, *slice, charge));
    set_manners(response, cache_control, disposition);
    response.finished = tell;
    return response;
  }
  Response response;
  response.finished = tell;
  const auto part = http::decide_range(request, reader->size_bytes(), artifact.sha256, response);
  set_manners(response, cache_control, disposition);
  if (part.status != 200 && part.status != 206) return response;
  response.set("content-type", "application/octet-stream");
  if (reader->descriptor() >= 0) {
    response.file = http::FileBody{reader->descriptor(), part.offset, part.size_bytes, reader};
  } else {
    response.stream = stream_range(reader, part.offset, part.size_bytes);
    response.stream_size_bytes = part.size_bytes;
  }
  return response;
}

Result<Response> ArtifactsApi::get_blob(Request& request) {
  const PresignedClaim claim =
      KVCS_TRY(presigner_.verify("GET", request.param("id"), request.query));
  const Artifact row = KVCS_TRY(service_.find(claim.id));
  // A URL that was signed for an unconfirmed upload must not open other bytes.
  if (!row.ready || row.sha256 != claim.sha256_hex) return artifact_rows::not_found_artifact();
  KVCS_TRY(claim.while_public ? check_public(row) : check_active(row));
  return send_bytes(request, row, kPrivateCache);
}

// A URL that was signed before its organization was suspended is no way around that.
Status ArtifactsApi::check_active(const Artifact& artifact) const {
  const Result<Holder> holder = holder_of_(artifact.organization_id);
  if (holder.code() == Code::kNotFound) return artifact_rows::not_found_artifact();
  if (!holder.ok()) return holder.status();
  if (holder->active) return ok();
  return forbidden("The organization is suspended.").with_reason("org_suspended");
}

namespace {

// Which ids there are is nobody's business but their owners'.
Status not_for_everybody() {
  return forbidden("There is no public artifact here: it is private, or does not exist.");
}

}  // namespace

Status ArtifactsApi::check_public(const Artifact& artifact) const {
  if (!artifact.is_public || !artifact.ready) return not_for_everybody();
  if (service_.config().serve_suspended) return ok();
  const Status active = check_active(artifact);
  return active.code() == Code::kForbidden || active.code() == Code::kNotFound ? not_for_everybody()
                                                                               : active;
}

// A download counts when its answer begins with the first byte: what goes on from the middle, and
// the further parts of a download in parts, do not count again. A count that cannot be written
// holds nobody up.
Result<Response> ArtifactsApi::send_public(const Request& request, const Artifact& artifact) {
  Response response = KVCS_TRY(send_bytes(request, artifact, kPublicCache));
  const std::string* const range = response.find("content-range");
  const bool begins =
      response.status == 200 || (range != nullptr && range->starts_with("bytes 0-"));
  if (request.method == http::Method::kHead || !begins) return response;
  if (const Status counted = service_.count_download(artifact.id); !counted.ok()) {
    log::warn("download.not_counted",
              {{"artifact_id", artifact.id}, {"reason", counted.to_string()}});
  }
  return response;
}

Result<Response> ArtifactsApi::get_public(Request& request) {
  const std::string id = lower_ascii(request.param("id"));
  if (!is_uuid(id)) return invalid("invalid artifact_id");
  const Result<Artifact> row = service_.find(id);
  if (row.code() == Code::kNotFound) return not_for_everybody();
  KVCS_TRY(row.status());
  KVCS_TRY(check_public(*row));
  return send_public(request, *row);
}

namespace {

// To where a rename or a move has brought it. Not kept by browsers, as the names may change back.
Response redirect(const Request& request, std::string url) {
  if (const size_t query = request.target.find('?'); query != std::string::npos) {
    url += request.target.substr(query);
  }
  Response response = http::empty_response(301);
  response.set("location", url);
  response.set("cache-control", "no-cache");
  return response;
}

}  // namespace

Result<Response> ArtifactsApi::get_cdn(Request& request) {
  const std::string id = lower_ascii(request.param("artifact_id"));
  // Any path of three segments leads here; one that is no artifact's is simply not found.
  if (!is_uuid(id)) return not_found("Not found.");
  const Result<Artifact> row = service_.find(id);
  if (row.code() == Code::kNotFound) return not_for_everybody();
  KVCS_TRY(row.status());
  KVCS_TRY(check_public(*row));
  const Holder holder = KVCS_TRY(holder_of_(row->organization_id));
  const std::string base = KVCS_TRY(base_url(request));
  const std::string vary = "Accept" + std::string(vary_by_place());
  const std::string_view org = request.param("org"), project = request.param("project");
  if (row->project != project || holder.slug != org) {
    const auto& others = holder.other_slugs;
    const bool is_org =
        holder.slug == org || std::find(others.begin(), others.end(), org) != others.end();
    // The id says which artifact it is, wherever it was before a move or a rename of its project.
    // Whatever project is named is answered alike, so that nobody learns which ones there are.
    if (!is_org) return not_for_everybody();
    Response moved =
        redirect(request, base + "/" + holder.slug + "/" + row->project + "/" + row->id);
    moved.set("vary", vary);
    return moved;
  }
  const std::string url = public_url(base, *row, holder.slug);
  Response response;
  if (public_page::wants_page(request)) {
    response = public_page::of_artifact(*row, holder.slug, url);
  } else if (public_page::wants_data(request)) {
    response =
        http::json_response(200, dump_json(artifact_json::to_public_json(*row, holder.slug, url)));
  } else {
    response = KVCS_TRY(send_public(request, *row));
  }
  if (response.status < 400) response.set("cache-control", std::string(kPublicCache));
  response.set("vary", vary);
  return response;
}

}  // namespace kvcs
