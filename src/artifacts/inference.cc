// One question to the inference engine, and what its answer may be.
#include "artifacts/inference.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json.h"

namespace kvcs {
namespace {

constexpr size_t kAnswerMaxBytes = 1 << 20;
constexpr int kConnectMs = 5000;

// Takes one of the places, until it ends.
class Place final {
 public:
  explicit Place(std::atomic<int>& taken) : taken_(taken), number_(++taken) {}
  ~Place() { --taken_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool is_one_too_many() const { return number_ > InferenceEngine::kAtOnceMax; }

 private:
  std::atomic<int>& taken_;
  const int number_;
};

// What went wrong on the way, in the words of the contract; a timeout stays one.
Status not_reached(const Status& failed) {
  if (failed.code() == Code::kTimeout) {
    return timed_out("Inference engine unavailable: it did not answer in time.");
  }
  return upstream_failed("Inference engine unavailable", failed.to_string());
}

Status refused(int status, std::string_view words) {
  const Json details{
      {"details", "HTTP " + std::to_string(status) + ": " + printable(trim(words), kShownText)}};
  return upstream_failed("Inference failed").with_details_json(dump_json(details));
}

Result<std::vector<int64_t>> read_tokens(std::string_view text, int64_t max) {
  const Status malformed =
      upstream_failed("Inference failed")
          .with_details_json(R"({"details":"The engine's answer is no {\"tokens\": [id, …]}."})");
  const auto body = parse_json(text);
  if (!body.ok() || !body->is_object()) return malformed;
  const auto list = body->find("tokens");
  if (list == body->end() || !list->is_array()) return malformed;
  std::vector<int64_t> tokens;
  for (const Json& id : *list) {
    if (!id.is_number_integer()) return malformed;
    if (static_cast<int64_t>(tokens.size()) == max) break;
    tokens.push_back(id.get<int64_t>());
  }
  return tokens;
}

}  // namespace

Result<std::string> InferenceEngine::send(const InferenceAsk& ask) {
  const Artifact& artifact = ask.artifact;
  http::UpstreamRequest request;
  request.method = "POST";
  request.url = config_.engine_url;
  request.headers = {{"content-type", "application/json"}, {"accept", "application/json"}};
  request.body = dump_json(Json{{"artifact_id", artifact.id},
                                {"model", artifact.model_name},
                                {"download_url", ask.download_url},
                                {"size_bytes", artifact.size_bytes},
                                {"sha256", artifact.sha256},
                                {"question", ask.question},
                                {"n", ask.n}});
  request.connect_timeout_ms = kConnectMs;
  request.deadline_ms = request.idle_timeout_ms = config_.timeout_s * 1000;
  request.stop_if_client_leaves = true;
  // The operator names the engine, and most stand beside this daemon.
  request.allow_private_addresses = true;
  const auto response = upstream_.open(request);
  if (!response.ok()) return not_reached(response.status());
  auto text = (*response)->read_all(kAnswerMaxBytes);
  if (!text.ok()) return not_reached(text.status());
  if ((*response)->status() / 100 != 2) return refused((*response)->status(), *text);
  return text;
}

Result<std::vector<int64_t>> InferenceEngine::ask(const InferenceAsk& ask) {
  const Place place(under_way_);
  if (place.is_one_too_many()) {
    return unavailable("The inference engine has " + std::to_string(kAtOnceMax) +
                       " questions under way, as many as may be. Repeat this one later.")
        .with_reason("engine_busy");
  }
  const std::string text = KVCS_TRY(send(ask));
  return read_tokens(text, ask.n);
}

}  // namespace kvcs
