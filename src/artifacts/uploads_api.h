// Handlers of /api/v1/uploads: the tus protocol 1.0.0 onto artifacts, with the extensions creation,
// creation-with-upload, creation-defer-length, expiration, checksum, termination and concatenation.
// An upload's id is that of its artifact. A client that holds all bytes may say so, Upload-Have: 1,
// and gets an Upload-Challenge, to be answered by POST …/{id} with Upload-Proof (upload_proof.h).
// What Upload-Metadata says may also be a JSON body. Order
// of checks: guard → Tus-Resumable → headers → lookup → state. Thread-safe; references outlive it.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifacts/tus_headers.h"
#include "artifacts/uploads.h"
#include "http/route_rows.h"

namespace kvcs {

class ArtifactSearch;
class Checksum;

inline constexpr std::string_view kUploadsPath = "/api/v1/uploads";

class UploadsApi final {
 public:
  UploadsApi(UploadService& uploads, const ArtifactConfig& config, ArtifactSearch& search,
             const Clock& clock);

  void add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access);

  Result<http::Response> options(http::Request& request);  // OPTIONS /api/v1/uploads
  Result<http::Response> create(http::Request& request);   // POST /api/v1/uploads
  Result<http::Response> look(http::Request& request);     // HEAD …/{id}
  Result<http::Response> append(http::Request& request);   // PATCH …/{id}
  Result<http::Response> remove(http::Request& request);   // DELETE …/{id}
  Result<http::Response> instead(http::Request& request);  // POST …/{id}, for clients without PATCH

 private:
  using Step = Result<http::Response> (UploadsApi::*)(http::Request&);
  Result<http::Response> run(http::Request& request, Step step);
  Result<http::Response> create_step(http::Request& request);
  Result<http::Response> look_step(http::Request& request);
  Result<http::Response> append_step(http::Request& request);
  Result<http::Response> remove_step(http::Request& request);
  Result<http::Response> join_parts(http::Request& request, const std::vector<std::string>& parts,
                                    const std::string& metadata);
  Result<http::Response> prove_step(http::Request& request);
  Result<UploadState> create_upload(http::Request& request, const std::string& metadata,
                                    UploadKind kind);
  Result<UploadState> write(http::Request& request, std::string_view id, WriteAsk ask);
  Result<uint64_t> take_body(http::Request& request, UploadWrite& write);
  Status receive(http::Request& request, UploadWrite& write, Checksum* checksum);
  http::Response answer(int status, const UploadState& state);

  UploadService& uploads_;
  const ArtifactConfig config_;
  ArtifactSearch& search_;
  const Clock& clock_;
};

}  // namespace kvcs
