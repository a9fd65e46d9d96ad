// Handlers of the nested routes, …/orgs/{org}/projects/{project}/artifacts, as earlier clients of
// the public contract use them. {org} and {project} are labels in the caller's own space: any
// words, nothing has to be made for them, and the same words of another caller are other labels.
// Their artifacts are those of the flat routes (artifacts_api.h), which label theirs
// default/default. Thread-safe; references outlive it.
#pragma once
#include <functional>
#include <string>

#include "artifacts/artifact_json.h"
#include "artifacts/artifacts.h"
#include "artifacts/inference.h"
#include "http/route_rows.h"

namespace kvcs {

class ArtifactsApi;
class ArtifactSearch;

inline constexpr size_t kLabelMaxChars = 100;
inline constexpr uint64_t kInferBodyMaxBytes = 256 << 10;

class NestedArtifactsApi final {
 public:
  struct Services {
    ArtifactService& service;
    ArtifactSearch& search;
    ArtifactsApi& api;
    InferenceEngine& engine;
    // Takes a question of somebody without a key; RateLimited when that address asks too often.
    std::function<Status(const http::Request& request)> take_question;
  };
  explicit NestedArtifactsApi(const Services& services) : s_(services) {}

  // `anybody`: callers with a good key as who they are, all others as nobody.
  void add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access,
                  const http::Access& anybody);
  static std::span<const http::ApiType> types();

  Result<http::Response> create(http::Request& request);
  Result<http::Response> list(http::Request& request);
  Result<http::Response> download(http::Request& request);
  Result<http::Response> complete(http::Request& request);
  Result<http::Response> remove(http::Request& request);
  Result<http::Response> infer(http::Request& request);

 private:
  // Under the labels of the path. NotFound "Artifact not found".
  Result<Artifact> find_own(const http::Request& request) const;
  // The caller's own, or everybody's. Unauthenticated when nobody asks for what is not everybody's.
  Result<Artifact> find_readable(const http::Request& request) const;

  const Services s_;
};

}  // namespace kvcs
