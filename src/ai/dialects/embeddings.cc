// Embeddings: text or ids of tokens in, vectors out; there is no output that costs.
#include <simdjson.h>

#include "ai/dialects/dialects.h"
#include "ai/dialects/json_members.h"
#include "ai/dialects/meter.h"
#include "ai/dialects/request_reader.h"

namespace kvcs::ai {
namespace {

constexpr MediaRule kMedia[] = {{"image_url", Media::kImage, "image_url", "url"},
                                {"image", Media::kImage, "", "image"}};
constexpr PartRule kParts[] = {{"text"}};
constexpr RequestRules kRules = {.messages = "input",
                                 .output_max = {"", ""},
                                 .tool_calls_max = "",
                                 .members = {},
                                 .tools = {},
                                 .media = kMedia,
                                 .parts = kParts,
                                 .tools_added_tokens = 0};
constexpr CountRule kCounts[] = {
    {"prompt_tokens_details", "cached_tokens", &TokenUsage::cache_read},
    {"prompt_tokens_details", "image_tokens", &TokenUsage::input_image},
};
constexpr UsageRules kUsage = {.input = "prompt_tokens",
                               .output = "completion_tokens",
                               .total = "",
                               .is_subsets = true,
                               .counts = kCounts};

class EmbeddingsMeter final : public Meter {
 public:
  EmbeddingsMeter() : Meter(kUsage) { noted().has_output = noted().output_is_final = true; }

  void on_json(std::string_view body) override {
    Meter::on_json(body);
    noted().output_bytes = 0;  // Vectors are not billed.
  }
  EventFate on_event(std::string_view, std::string_view data, std::string_view,
                     std::string&) override {
    on_json(data);
    return EventFate::kPass;
  }
  std::string error_event(const Status& failure) const override {
    return "data: {\"error\":" + openai_error(failure) + "}\n\n";
  }

 private:
  void read_whole_answer(const Members&) override {}
  // Some servers state the total alone, or zero beside it.
  void read_more_usage(const Members& usage) override {
    SeenUsage& seen = noted();
    seen.has_input |= read_count(usage, "total_tokens", raw().input, seen.input_is_absurd);
  }
};

class Embeddings final : public Dialect {
 public:
  ApiKind kind() const override { return ApiKind::kEmbeddings; }
  std::string_view path() const override { return "/embeddings"; }
  http::Dialect errors() const override { return http::Dialect::kOpenAi; }

  Result<ChatRequest> read_request(std::string body) const override {
    return read_by_rules(kRules, std::move(body), [](const Members& root, ChatRequest& request) {
      request.has_output = false;
      return read_tier(root, request);
    });
  }
  std::string upstream_body(const ChatRequest& request, const BodyEdits& edits) const override {
    std::string body = request.body;
    BodyEdits model_alone = edits;
    model_alone.output_tokens_max = -1;
    edit_common(request, model_alone, body);
    return body;
  }
  std::string_view output_member(bool) const override { return ""; }
  std::unique_ptr<UsageMeter> make_meter(const ChatRequest&) const override {
    return std::make_unique<EmbeddingsMeter>();
  }
};

}  // namespace

const Dialect& embeddings_dialect() {
  static const Embeddings one;
  return one;
}

}  // namespace kvcs::ai
