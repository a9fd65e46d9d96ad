#include "ai/chat_request.h"

#include "ai/json_edit.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/quick_json.h"

namespace kvcs::ai {
namespace {

constexpr size_t kDepthMax = 64;
constexpr int64_t kOutputTokensMax = 10'000'000, kChoicesMax = 128;
constexpr size_t kModelMaxBytes = 200;

using simdjson::dom::object;

Status bad(std::string_view member, std::string why) {
  return invalid(std::string(member) + ": " + std::move(why)).with_reason("invalid_request_error");
}

Status read_bounded(const object& root, std::string_view name, int64_t min, int64_t max,
                    int64_t& out) {
  simdjson::dom::element value;
  if (root[name].get(value) != simdjson::SUCCESS || value.is_null()) return ok();
  int64_t number;
  if (value.get(number) != simdjson::SUCCESS) {
    return bad(name, "must be a whole number from " + std::to_string(min) + " to " +
                         std::to_string(max) + ".");
  }
  if (number < min || number > max) {
    return bad(name, std::to_string(number) + " is outside " + std::to_string(min) + " to " +
                         std::to_string(max) + ".");
  }
  out = number;
  return ok();
}

Status read_flag(const object& root, std::string_view name, bool& out) {
  simdjson::dom::element value;
  if (root[name].get(value) != simdjson::SUCCESS || value.is_null()) return ok();
  if (value.get(out) != simdjson::SUCCESS) return bad(name, "must be true or false.");
  return ok();
}

Status read_model(const object& root, std::string& out) {
  std::string_view model;
  if (root["model"].get(model) != simdjson::SUCCESS) {
    return bad("model", "required; a string like \"gpt-4o-mini\" or \"provider/model\".");
  }
  if (model.empty() || model.size() > kModelMaxBytes) {
    return bad("model", "must have 1 to " + std::to_string(kModelMaxBytes) + " bytes.");
  }
  out = model;
  return ok();
}

Status read_stream_options(const object& root, bool& include_usage) {
  simdjson::dom::element options;
  if (root["stream_options"].get(options) != simdjson::SUCCESS || options.is_null()) return ok();
  object members;
  if (options.get(members) != simdjson::SUCCESS) return bad("stream_options", "must be an object.");
  return read_flag(members, "include_usage", include_usage);
}

}  // namespace

Result<ChatRequest> parse_chat_request(ApiKind api, std::string body) {
  thread_local QuickParser parser(kDepthMax);
  object root;
  const auto error = parser.parse(body, root);
  if (error == simdjson::DEPTH_ERROR) {
    return invalid("The body nests deeper than " + std::to_string(kDepthMax) + " levels.")
        .with_reason("invalid_request_error");
  }
  if (error != simdjson::SUCCESS) {
    return invalid(std::string("The body must be a JSON object: ") + simdjson::error_message(error))
        .with_reason("invalid_request_error");
  }
  ChatRequest request;
  request.api = api;
  KVCS_TRY(read_model(root, request.model));
  KVCS_TRY(read_flag(root, "stream", request.stream));
  KVCS_TRY(read_stream_options(root, request.client_wants_usage));
  KVCS_TRY(read_bounded(root, "n", 1, kChoicesMax, request.choices));
  KVCS_TRY(read_bounded(root, "max_tokens", 0, kOutputTokensMax, request.output_tokens_max));
  KVCS_TRY(
      read_bounded(root, "max_completion_tokens", 0, kOutputTokensMax, request.output_tokens_max));
  KVCS_TRY(read_bounded(root, "max_output_tokens", 0, kOutputTokensMax, request.output_tokens_max));
  std::string_view tier;
  if (root["service_tier"].get(tier) == simdjson::SUCCESS) request.tier = service_tier(tier);
  request.input_guess = estimate_input_tokens(root);
  request.body = std::move(body);
  return request;
}

namespace {

std::string_view cap_member(ApiKind api, bool openai) {
  if (api == ApiKind::kResponses) return "max_output_tokens";
  return api == ApiKind::kChatCompletions && openai ? "max_completion_tokens" : "max_tokens";
}

}  // namespace

std::string upstream_body(const ChatRequest& request, std::string_view model, bool openai) {
  std::string body = request.body;
  if (model != request.model) {
    std::string text;
    append_json_string(text, model);
    set_member(body, "model", text);
  }
  if (request.output_tokens_cap >= 0) {
    set_member(body, cap_member(request.api, openai), std::to_string(request.output_tokens_cap));
  }
  const bool add_usage =
      request.stream && request.api == ApiKind::kChatCompletions && !request.client_wants_usage;
  if (add_usage) {
    const auto span = find_member(body, "stream_options");
    std::string options =
        span ? body.substr(span->begin, span->end - span->begin) : std::string("{}");
    if (options.empty() || options.front() != '{') options = "{}";
    set_member(options, "include_usage", "true");
    set_member(body, "stream_options", options);
  }
  return body;
}

}  // namespace kvcs::ai
