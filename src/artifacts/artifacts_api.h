// Handlers of the artifact doors: the portal's JSON API, the presigned data plane, the Worker's
// routes and the public CDN form. Order of checks: guard → body and ids → lookup → state.
// Thread-safe; references outlive it.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "artifacts/artifact_json.h"
#include "artifacts/artifacts.h"
#include "http/route_rows.h"

namespace kvcs {

class ArtifactSearch;
class SliceCache;

inline constexpr uint64_t kUploadUrlBodyMaxBytes = 256 << 10;
inline constexpr uint64_t kSmallBodyMaxBytes = 4 << 10;
inline constexpr std::string_view kArtifactSearchPath = "/api/v1/artifacts/search";
inline constexpr uint64_t kSearchBodyMaxBytes = 4 << 20;  // Some 400,000 token ids.

struct ArtifactsApiConfig {
  // JSON of what an organization has used of its plan, for /api/v1/quota. Empty: not told.
  std::function<Result<std::string>(std::string_view organization_id)> describe_use;
  std::string public_url;  // What returned URLs begin with; "" = the request's own Host.
  // http.public_url, or else where this server listens: for a request without a Host, and for the
  // engine. Required; asked per request, as a port of 0 is another one once the server listens.
  std::function<std::string()> own_url;
  // Asked before so many ids are looked up, for which a search takes more of its key's rate.
  std::function<Status(const http::Request&, size_t ids)> charge_search;
  // Asked before a slice is planned with a header of so many bytes, which takes processor time and
  // needs no key; a failure is the answer. Empty: no limit.
  std::function<Status(const http::Request&, uint64_t header_bytes)> charge_slice;
  // Asked before a list looks through up to so many rows for what no index has. Empty: no limit.
  std::function<Status(const http::Request&, uint64_t rows)> charge_rows;
};

// The right to one PUT or GET, taken from the signature in the query, before one byte of the body
// is read. HEAD needs the right to GET.
http::Guard presigned(const Presigner& presigner);

// Says whose an announced artifact is to be: the caller's, in the project that it names or else the
// caller's own. Invalid when there is neither; NotFound for a project that the caller does not
// reach.
Status take_owner(const Principal& who, Artifact& wanted);

class ArtifactsApi final {
 public:
  // What the doors without a key ask about an organization.
  struct Holder {
    std::string slug;  // That public URLs show.
    bool active = true;
    std::vector<std::string> other_slugs;  // Of before, which redirect.
  };
  using HolderOf = std::function<Result<Holder>(std::string_view organization_id)>;
  ArtifactsApi(ArtifactService& service, ArtifactSearch& search, const Presigner& presigner,
               const Clock& clock, ArtifactsApiConfig config, HolderOf holder_of);
  ~ArtifactsApi();

  // NotFound when there is no such organization.
  Result<Holder> holder(std::string_view organization_id) const {
    return holder_of_(organization_id);
  }

  // The rows of these handlers, and the types that they read and answer.
  void add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access);
  static std::span<const http::ApiType> types();

  // POST /api/v1/artifacts/upload-url and /v1/artifacts/upload-url
  Result<http::Response> create_upload(http::Request& request);
  Result<http::Response> put_blob(http::Request& request);      // PUT /blobs/{id}
  Result<http::Response> get_blob(http::Request& request);      // GET /blobs/{id}
  Result<http::Response> confirm(http::Request& request);       // POST …/{id}/confirm-upload
  Result<http::Response> list(http::Request& request);          // GET /api/v1/artifacts
  Result<http::Response> search(http::Request& request);        // POST /api/v1/artifacts/search
  Result<http::Response> get(http::Request& request);           // GET /api/v1/artifacts/{id}
  Result<http::Response> download_url(http::Request& request);  // POST …/{id}/download-url
  // POST /api/v1/artifacts/{id}/visibility and /v1/artifacts/{id}/visibility
  Result<http::Response> set_visibility(http::Request& request);
  Result<http::Response> move(http::Request& request);        // POST …/{id}/move
  Result<http::Response> remove(http::Request& request);      // DELETE /api/v1/artifacts/{id}
  Result<http::Response> get_public(http::Request& request);  // GET /v1/artifacts/{id}
  Result<http::Response> get_cdn(http::Request& request);     // GET /{org}/{project}/{artifact_id}
  Result<http::Response> verify_key(http::Request& request);  // POST|GET /api/v1/api-keys/verify
  Result<http::Response> quota(http::Request& request);       // GET /api/v1/quota
  Result<http::Response> take_telemetry(http::Request& request);  // POST /api/v1/telemetry
  Result<http::Response> edit(http::Request& request);            // PATCH /api/v1/artifacts/{id}

  // For the other handlers of artifacts. A URL that opens the bytes for `method` alone; `base` as
  // base_url().
  std::string signed_url(const std::string& base, const Principal& who, const char* method,
                         const Artifact& artifact) const;
  // The same for somebody else than the caller, who chooses the Host of the request.
  std::string own_signed_url(const Principal& who, const char* method,
                             const Artifact& artifact) const;
  // Where URLs for this caller begin: http.public_url, else as the caller reaches this server.
  // Invalid with reason host_unusable.
  Result<std::string> base_url(const http::Request& request) const;
  // ", X-Forwarded-Host, …": for Vary of public answers with such URLs; "" with http.public_url.
  std::string_view vary_by_place() const;
  std::string shown_organization(const http::Request& request) const;
  // "" for one that is not everybody's.
  std::string public_url(const std::string& base, const Artifact& artifact,
                         std::string_view organization) const;
  // Forbidden in the same words for every artifact that is not for everybody, and for none.
  Status check_public(const Artifact& artifact) const;
  // NotFound, or Forbidden with reason org_suspended.
  Status check_active(const Artifact& artifact) const;
  // The bytes, or the part or slice of them that is asked for; who may have them is decided.
  Result<http::Response> send_bytes(const http::Request& request, const Artifact& artifact,
                                    std::string_view cache_control) const;

 private:
  Status charge_look(const http::Request& request, ArtifactFilter filter) const;
  void add_byte_routes(std::vector<http::Row>& table);
  // The bytes of a public artifact, counted.
  Result<http::Response> send_public(const http::Request& request, const Artifact& artifact);
  http::Response about(const http::Request& request, const std::string& base, const Artifact& row,
                       artifact_json::Shape shape) const;
  Result<http::Response> list_everything(const http::Request& request, ArtifactFilter filter,
                                         artifact_json::Shape shape);
  Result<std::string> receive(http::Request& request, const PresignedClaim& claim,
                              uint64_t size_bytes);

  ArtifactService& service_;
  ArtifactSearch& search_;
  const Presigner& presigner_;
  const Clock& clock_;
  const ArtifactsApiConfig config_;
  const HolderOf holder_of_;
  const std::unique_ptr<SliceCache> slice_cache_;
};

}  // namespace kvcs
