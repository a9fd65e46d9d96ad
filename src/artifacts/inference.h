// Asks the server of artifacts.engine_url to go on from an artifact: one POST with the question and
// a URL to the bytes, answered with token ids. As many questions at once as kAtOnceMax, each within
// its time and its bytes. Thread-safe; references outlive it.
//
//   POST <engine_url>  {"artifact_id","model","download_url","size_bytes","sha256","question","n"}
//   200                {"tokens": [id, …]}   at most n are taken
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "artifacts/artifacts.h"
#include "http/client/upstream.h"

namespace kvcs {

struct InferenceConfig {
  std::string engine_url;  // "" = there is none.
  int timeout_s = 120;     // Of one question, from its first byte to the answer's last.
};

struct InferenceAsk {
  const Artifact& artifact;
  std::string download_url;
  std::string question;
  int64_t n = 32;
};

class InferenceEngine final {
 public:
  static constexpr int kAtOnceMax = 8;
  InferenceEngine(InferenceConfig config, http::HttpUpstream& upstream)
      : config_(std::move(config)), upstream_(upstream) {}

  bool is_there() const { return !config_.engine_url.empty(); }
  // Unavailable with reason engine_busy. Upstream: the engine cannot be reached ("Inference engine
  // unavailable"), refuses ("Inference failed") or does not answer with token ids. Timeout.
  Result<std::vector<int64_t>> ask(const InferenceAsk& ask);

 private:
  Result<std::string> send(const InferenceAsk& ask);

  const InferenceConfig config_;
  http::HttpUpstream& upstream_;
  std::atomic<int> under_way_{0};
};

}  // namespace kvcs
