// tus requests: what their headers ask is read here, and done by UploadService. A worker of http
// receives a body, and writes and hashes it as it comes.
#include "artifacts/uploads_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>

#include "artifacts/artifact_json.h"
#include "artifacts/artifact_search.h"
#include "artifacts/artifacts_api.h"
#include "base/bytes.h"
#include "base/checksum.h"
#include "base/crypto.h"
#include "base/http_date.h"
#include "base/id.h"
#include "http/json_api.h"
#include "http/problem.h"
#include "identity/access.h"

namespace kvcs {
namespace {

using http::Request;
using http::Response;

constexpr size_t kTransferBytes = 256 << 10;
constexpr size_t kIdempotencyKeyMaxBytes = 255;
constexpr int64_t kTouchUs = int64_t{60} * 1'000'000;
constexpr std::string_view kExtensions =
    "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination,"
    "concatenation";
constexpr int kPreconditionFailed = 412, kUnsupportedType = 415, kLocked = 423,
              kChecksumMismatch = 460, kNoRoom = 507;

// The statuses that the protocol has for failures, beside those of http/problem.
int status_of(const Status& failed) {
  const std::string& reason = failed.reason();
  if (reason == "tus_version") return kPreconditionFailed;
  if (reason == "body_type") return kUnsupportedType;
  if (reason == "upload_locked") return kLocked;
  if (reason == "checksum_mismatch") return kChecksumMismatch;
  if (reason == "disk_full") return kNoRoom;
  return http::http_status(failed);
}

Status check_version(const Request& request) {
  const auto version = request.header("tus-resumable");
  if (version && *version == tus::kVersion) return ok();
  return invalid("Tus-Resumable: " +
                 (version ? "'" + printable(*version, kShownWord) + "' is not spoken here"
                          : std::string("required")) +
                 "; send " + std::string(tus::kVersion) + ".")
      .with_reason("tus_version");
}

std::string_view media_type(const Request& request) {
  const std::string_view type = request.header("content-type").value_or("");
  return trim(type.substr(0, type.find(';')));
}

Status check_body_type(const Request& request) {
  if (equal_ignore_case(media_type(request), tus::kBodyType)) return ok();
  return invalid("Content-Type: the bytes of an upload are " + std::string(tus::kBodyType) + ".")
      .with_reason("body_type");
}

Result<std::string> upload_id(const Request& request) {
  std::string id = lower_ascii(request.param("id"));
  if (!is_uuid(id)) return upload_rows::not_found_upload();
  return id;
}

std::string path_of(std::string_view id) {
  return std::string(kUploadsPath) + "/" + std::string(id);
}

// As Upload-Concat was sent, by the paths of the parts.
std::string concat_of(const Upload& upload) {
  if (upload.kind == UploadKind::kPart) return "partial";
  std::string text = "final;";
  for (const std::string& part : upload.parts) {
    if (text.back() != ';') text += ' ';
    text += path_of(part);
  }
  return text;
}

bool has_body(const Request& request) {
  return request.body->declared_size_bytes().value_or(1) > 0;
}

bool is_announcement(const Request& request) {
  return has_body(request) && equal_ignore_case(media_type(request), "application/json");
}

// What the upload is to be: Upload-Metadata, or, as a head has little room, a JSON body with the
// same members.
Result<Json> read_announcement(Request& request) {
  if (!is_announcement(request)) {
    return tus::read_metadata(request.header("upload-metadata").value_or(""));
  }
  // The route's limit is that of an upload's bytes.
  std::string text(kUploadUrlBodyMaxBytes + 1, '\0');
  size_t size = 0;
  for (size_t n = 1; n > 0 && size < text.size(); size += n) {
    n = KVCS_TRY(request.body->read(std::span(text).subspan(size)));
  }
  if (size == text.size()) {
    return too_large("The announcement of an upload has at most " +
                     format_bytes(kUploadUrlBodyMaxBytes) + ".");
  }
  text.resize(size);
  KVCS_TRY(http::keep_tree(request, text));
  Json body = KVCS_TRY(parse_json(text));
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  return body;
}

// Names all that a creation with an Idempotency-Key asks for, and who asks. Bytes that come with a
// creation are not kept to be compared, so that such a one has no name.
Result<std::string> creation_sha256(const Request& request, const Artifact& wanted, UploadKind kind,
                                    std::optional<uint64_t> length, const Json& body) {
  const auto key = request.header("idempotency-key");
  if (!key || (has_body(request) && !is_announcement(request))) return std::string();
  const bool is_visible =
      std::all_of(key->begin(), key->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (key->empty() || key->size() > kIdempotencyKeyMaxBytes || !is_visible) {
    return invalid("Idempotency-Key: it must have 1 to " + std::to_string(kIdempotencyKeyMaxBytes) +
                   " visible ASCII characters.");
  }
  const Principal& who = request.principal;
  return sha256_hex(
      dump_json(Json{*key, who.key_id, who.person_id, wanted.organization_id, wanted.project_id,
                     static_cast<int>(kind), length ? Json(*length) : Json(nullptr), body}));
}

}  // namespace

UploadsApi::UploadsApi(UploadService& uploads, const ArtifactConfig& config, ArtifactSearch& search,
                       const Clock& clock)
    : uploads_(uploads), config_(config), search_(search), clock_(clock) {}

void UploadsApi::add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access) {
  using enum http::Method;
  const http::Access one = with_owner(access.write, http::OwnerFrom::kObject);
  const uint64_t max = config_.object_bytes_max;
  http::Rows rows(table, *this, std::string(kUploadsPath));
  rows.add(kOptions, "", http::everyone(), http::kNoBody, &UploadsApi::options,
           "What of the tus protocol is spoken here.", {.id = "getUploadOptions", .status = 204});
  rows.add(
      kPost, "", access.write, max, &UploadsApi::create,
      "Begin an upload that can be resumed (tus 1.0.0): Upload-Length, Upload-Metadata. One of "
      "which no byte comes within an hour is removed. Repeated with its Idempotency-Key, a "
      "creation without bytes is answered with the same upload.",
      {.id = "createUpload",
       .body = "application/offset+octet-stream UploadAsk?",
       .status = 201,
       .also = "404 409 412 423 460 507"});
  rows.add(kHead, "/{id}", one, http::kNoBody, &UploadsApi::look,
           "How many bytes have come: Upload-Offset.",
           {.id = "getUploadOffset", .also = "409 410 412 423"});
  rows.add(kPatch, "/{id}", one, max, &UploadsApi::append,
           "More bytes, from Upload-Offset on; the last one makes the artifact ready.",
           {.id = "appendToUpload",
            .body = tus::kBodyType,
            .status = 204,
            .also = "409 410 412 423 460 507"});
  rows.add(kDelete, "/{id}", one, kSmallBodyMaxBytes, &UploadsApi::remove, "Give an upload up.",
           {.id = "deleteUpload", .status = 204, .also = "409 412 423"});
  rows.add(kPost, "/{id}", one, max, &UploadsApi::instead,
           "PATCH, DELETE or HEAD as X-HTTP-Method-Override says; or Upload-Proof.",
           {.id = "overrideUpload",
            .body = "application/offset+octet-stream?",
            .status = 204,
            .also = "200 405 409 410 412 423 460 507"});
}

// Failures that only this protocol words get their answer here; the others are told, and logged, as
// everybody's.
Result<Response> UploadsApi::run(Request& request, Step step) {
  Status failed = check_version(request);
  if (failed.ok()) {
    Result<Response> made = (this->*step)(request);
    if (made.ok()) {
      made->set("cache-control", "no-store");
      return made;
    }
    failed = std::move(made).status();
  }
  const int status = status_of(failed);
  if (status == http::http_status(failed)) return failed;
  Response response =
      http::problem_response(status, failed, http::Dialect::kPortal, request.request_id);
  if (status == kPreconditionFailed) response.set("tus-version", std::string(tus::kVersion));
  return response;
}

Result<Response> UploadsApi::options(Request&) {
  Response response = http::empty_response(204);
  response.set("tus-version", std::string(tus::kVersion));
  response.set("tus-extension", std::string(kExtensions));
  response.set("tus-max-size", std::to_string(config_.object_bytes_max));
  response.set("tus-checksum-algorithm", std::string(kChecksumAlgorithms));
  return response;
}

Result<Response> UploadsApi::create(Request& request) {
  return run(request, &UploadsApi::create_step);
}
Result<Response> UploadsApi::look(Request& request) {
  return run(request, &UploadsApi::look_step);
}
Result<Response> UploadsApi::append(Request& request) {
  return run(request, &UploadsApi::append_step);
}
Result<Response> UploadsApi::remove(Request& request) {
  return run(request, &UploadsApi::remove_step);
}

Result<Response> UploadsApi::instead(Request& request) {
  if (request.header("upload-proof")) return run(request, &UploadsApi::prove_step);
  const std::string_view method = request.header("x-http-method-override").value_or("");
  if (method == "PATCH") return append(request);
  if (method == "DELETE") return remove(request);
  if (method == "HEAD") return look(request);
  return std::move(
      http::problem_response(405,
                             invalid("POST is possible here with Upload-Proof, or with "
                                     "X-HTTP-Method-Override: PATCH, DELETE or HEAD."),
                             http::Dialect::kPortal, request.request_id)
          .set("allow", "HEAD, POST, PATCH, DELETE"));
}

// The headers by which every answer says how far the upload is.
Response UploadsApi::answer(int status, const UploadState& state) {
  Response response = http::empty_response(status);
  const Upload& upload = state.upload;
  if (state.offset) response.set("upload-offset", std::to_string(*state.offset));
  if (!upload.done) response.set("upload-expires", write_http_date(upload.expires_ms / 1000));
  if (upload.kind != UploadKind::kPart) response.set("x-artifact-id", upload.id);
  // From now on the artifact is found by its first tokens. A failure here takes nothing from the
  // upload: the job "artifact-index" tries again.
  if (state.ready) (void)search_.index(*state.ready);
  return response;
}

Result<UploadState> UploadsApi::create_upload(Request& request, const std::string& metadata,
                                              UploadKind kind) {
  UploadAsk ask{KVCS_TRY(tus::read_number(request, "upload-length")),
                metadata,
                request.header("upload-have") == "1",
                {}};
  const auto deferred = request.header("upload-defer-length");
  if (deferred && *deferred != "1") return invalid("Upload-Defer-Length: 1 is expected.");
  if (ask.length.has_value() == deferred.has_value()) {
    return invalid("Upload-Length or Upload-Defer-Length: one of them is required.");
  }
  if (kind == UploadKind::kPart && !ask.length) {
    return invalid("Upload-Length: required for a part.");
  }
  const Json body = KVCS_TRY(read_announcement(request));
  Artifact wanted;
  if (kind == UploadKind::kPart) {
    wanted.project_id = text_member(body, "project_id");
  } else {
    wanted = KVCS_TRY(artifact_json::parse_upload(body));
  }
  KVCS_TRY(take_owner(request.principal, wanted));
  ask.creation_sha256 = KVCS_TRY(creation_sha256(request, wanted, kind, ask.length, body));
  return uploads_.create(request.principal, std::move(wanted), ask, kind, request.request_id);
}

Result<Response> UploadsApi::create_step(Request& request) {
  const auto concat = KVCS_TRY(tus::read_concat(request));
  const std::string metadata(request.header("upload-metadata").value_or(""));
  if (concat && concat->is_final) return join_parts(request, concat->parts, metadata);
  const bool brings_bytes = has_body(request) && !is_announcement(request);
  if (brings_bytes) KVCS_TRY(check_body_type(request));
  UploadState state =
      KVCS_TRY(create_upload(request, metadata, concat ? UploadKind::kPart : UploadKind::kWhole));
  const std::string id = state.upload.id;
  const bool has_bytes = request.header("upload-have") == "1";
  const auto challenge = has_bytes ? KVCS_TRY(uploads_.challenge(state.upload)) : std::nullopt;
  if (state.upload.done) {
    // Its bytes are there; what the request brings of them is left.
  } else if (brings_bytes) {
    state = KVCS_TRY(write(request, id, {.body_bytes = request.body->declared_size_bytes()}));
  } else if (state.upload.length == uint64_t{0} && !concat) {
    state = KVCS_TRY(uploads_.look(request.principal, id, request.request_id));
  }
  Response response = answer(201, state);
  response.set("location", path_of(id));
  if (challenge) response.set("upload-challenge", challenge->text());
  return response;
}

Result<Response> UploadsApi::prove_step(Request& request) {
  const std::string id = KVCS_TRY(upload_id(request));
  const std::string_view proof = request.header("upload-proof").value_or("");
  if (!is_hex(proof, 64)) return invalid("Upload-Proof: a SHA-256 in hex is expected.");
  return answer(204, KVCS_TRY(uploads_.prove(request.principal, id, proof, request.request_id)));
}

Result<Response> UploadsApi::join_parts(Request& request, const std::vector<std::string>& parts,
                                        const std::string& metadata) {
  if (request.header("upload-length") || (has_body(request) && !is_announcement(request))) {
    return invalid("A final upload has the length and the bytes of its parts, and no others.");
  }
  const Json body = KVCS_TRY(read_announcement(request));
  Artifact wanted = KVCS_TRY(artifact_json::parse_upload(body));
  KVCS_TRY(take_owner(request.principal, wanted));
  UploadState state;
  state.upload = KVCS_TRY(uploads_.concatenate(request.principal, std::move(wanted),
                                               {std::nullopt, metadata, false, {}}, parts,
                                               request.request_id, state.ready));
  state.offset = state.upload.length;
  Response response = answer(201, state);
  response.set("location", path_of(state.upload.id));
  return response;
}

Result<Response> UploadsApi::look_step(Request& request) {
  const std::string id = KVCS_TRY(upload_id(request));
  const UploadState state = KVCS_TRY(uploads_.look(request.principal, id, request.request_id));
  const Upload& upload = state.upload;
  Response response = answer(200, state);
  if (upload.length) {
    response.set("upload-length", std::to_string(*upload.length));
  } else {
    response.set("upload-defer-length", "1");
  }
  if (!upload.metadata.empty()) response.set("upload-metadata", upload.metadata);
  if (upload.kind != UploadKind::kWhole) response.set("upload-concat", concat_of(upload));
  return response;
}

Result<Response> UploadsApi::append_step(Request& request) {
  const std::string id = KVCS_TRY(upload_id(request));
  KVCS_TRY(check_body_type(request));
  const auto offset = KVCS_TRY(tus::read_number(request, "upload-offset"));
  if (!offset) return invalid("Upload-Offset: required; where these bytes begin.");
  const auto length = KVCS_TRY(tus::read_number(request, "upload-length"));
  return answer(204, KVCS_TRY(write(request, id,
                                    {.offset = *offset,
                                     .body_bytes = request.body->declared_size_bytes(),
                                     .length = length})));
}

Result<UploadState> UploadsApi::write(Request& request, std::string_view id, WriteAsk ask) {
  const auto checksum = KVCS_TRY(tus::read_checksum(request));
  if (checksum) ask.mode = StagedMode::kAllOrNothing;
  UploadWrite write = KVCS_TRY(uploads_.begin_write(request.principal, id, ask));
  UploadState state;
  state.offset = write.writer ? KVCS_TRY(take_body(request, write)) : ask.offset;
  const Upload& upload = write.upload;
  const bool ends = upload.kind == UploadKind::kWhole && state.offset == upload.length;
  if (ends && !upload.done) {
    state.ready = KVCS_TRY(uploads_.finish(request.principal, upload, request.request_id));
    write.upload.done = true;
  }
  state.upload = std::move(write.upload);
  return state;
}

// What has come is kept, whatever ended it; under a checksum all of it or nothing.
Result<uint64_t> UploadsApi::take_body(Request& request, UploadWrite& write) {
  const auto asked = KVCS_TRY(tus::read_checksum(request));
  const auto checksum = asked ? Checksum::make(asked->algorithm) : nullptr;
  const Status got = receive(request, write, checksum.get());
  if (checksum) {
    KVCS_TRY(got);
    if (!constant_time_equal(checksum->finish(), asked->digest)) {
      return invalid("Upload-Checksum: the bytes have another " + asked->algorithm +
                     "; none of them was kept. Send them again.")
          .with_reason("checksum_mismatch");
    }
  }
  const Status kept = write.writer->keep();
  KVCS_TRY(got);
  KVCS_TRY(kept);
  return write.writer->size_bytes();
}

Status UploadsApi::receive(Request& request, UploadWrite& write, Checksum* checksum) {
  int64_t touched_us = clock_.mono_us();
  for (;;) {
    KVCS_TRY(request.body->read({}));
    // Made anew once there are bytes for it: a client that is waited for holds none.
    const auto buffer = std::make_unique_for_overwrite<char[]>(kTransferBytes);
    const size_t n = KVCS_TRY(request.body->read({buffer.get(), kTransferBytes}));
    if (n == 0) return ok();
    if (checksum != nullptr) checksum->update({buffer.get(), n});
    KVCS_TRY(write.writer->append({buffer.get(), n}));
    if (clock_.mono_us() - touched_us < kTouchUs) continue;
    touched_us = clock_.mono_us();
    KVCS_TRY(uploads_.check_there(write.upload));
    KVCS_TRY(uploads_.touch(write.upload));
  }
}

Result<Response> UploadsApi::remove_step(Request& request) {
  const std::string id = KVCS_TRY(upload_id(request));
  KVCS_TRY(uploads_.terminate(request.principal, id, request.request_id));
  return http::empty_response(204);
}

}  // namespace kvcs
