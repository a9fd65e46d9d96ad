// Chat completions: OpenAI's API, which most providers speak, each with members of its own.
#include <simdjson.h>

#include <algorithm>
#include <vector>

#include "ai/dialects/dialects.h"
#include "ai/dialects/json_members.h"
#include "ai/dialects/meter.h"
#include "ai/dialects/request_reader.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/json_cursor.h"

namespace kvcs::ai {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr MemberRule kMembers[] = {
    {"web_search_options", Brings::kInput, &TokenUsage::web_searches, 1},
    {"search_parameters", Brings::kInput, &TokenUsage::web_searches},  // xAI
    {"plugins", Brings::kInput, &TokenUsage::web_searches},            // OpenRouter
    {"enable_search", Brings::kInput, &TokenUsage::web_searches},      // Qwen
    {"conversation_id", Brings::kInput},
    {"cached_content", Brings::kInput},  // Gemini
    {"data_sources", Brings::kInput},    // Azure
};
// A type that is not here is a tool of the provider.
constexpr ToolRule kTools[] = {
    {"function", Brings::kNothing},
    {"custom", Brings::kNothing},
    {"web_search", Brings::kInput, &TokenUsage::web_searches},
    {"openrouter:web_search", Brings::kInput, &TokenUsage::web_searches},
    {"openrouter:", Brings::kOtherModel},
    {"google_search", Brings::kInput, &TokenUsage::web_searches},        // Gemini
    {"finance_search", Brings::kInput, &TokenUsage::web_searches},       // Perplexity
    {"collections_search", Brings::kInput, &TokenUsage::file_searches},  // xAI
    {"browser_search", Brings::kInput, &TokenUsage::web_searches},       // Groq
    {"live_search", Brings::kInput, &TokenUsage::web_searches},          // xAI
    {"x_search", Brings::kInput, &TokenUsage::web_searches},             // xAI
    {"builtin_function", Brings::kInput, &TokenUsage::web_searches},     // Moonshot
    {"code_interpreter", Brings::kInput, &TokenUsage::code_sessions},
};
constexpr PartRule kParts[] = {{"text"},     {"input_text"}, {"output_text"}, {"refusal"},
                               {"thinking"}, {"function"},   {"tool_result"}};
constexpr MediaRule kMedia[] = {
    {"image_url", Media::kImage, "image_url", "url"},
    {"input_audio", Media::kAudio, "input_audio", "data"},
    {"file", Media::kFile, "file", "file_data"},
    {"video_url", Media::kFile, "video_url", "url"},
    {"input_video", Media::kFile, "input_video", "data"},
};
constexpr RequestRules kRules = {.messages = "messages",
                                 .output_max = {"max_tokens", "max_completion_tokens"},
                                 .tool_calls_max = "",
                                 .members = kMembers,
                                 .tools = kTools,
                                 .media = kMedia,
                                 .parts = kParts,
                                 .tools_added_tokens = 1'000};  // Of Claude, as in messages.cc.

Status read_stream_options(const Members& root, ChatRequest& request) {
  element value;
  bool found;
  KVCS_TRY(find_once(root, "stream_options", "", found, value));
  if (!found) return ok();
  object options;
  if (value.get(options) != simdjson::SUCCESS) {
    return bad_member("stream_options", "must be an object.");
  }
  return read_flag(options, "include_usage", "stream_options.", request.client_wants_usage);
}

// "audio" and "image" are outputs that cost more than text.
void note_modality(std::string_view name, ChatRequest& request) {
  if (equal_ignore_case(name, "audio")) request.asked.output_audio = 1;
  if (equal_ignore_case(name, "image")) request.asked.output_image = 1;
}

Status read_modalities(const Members& root, ChatRequest& request) {
  element value;
  bool found;
  KVCS_TRY(find_once(root, "modalities", "", found, value));
  std::string_view name;
  if (found && value.get(name) == simdjson::SUCCESS) note_modality(name, request);
  array list;
  if (!found || value.get(list) != simdjson::SUCCESS) return ok();
  for (const element one : list) {
    if (one.get(name) == simdjson::SUCCESS) note_modality(name, request);
  }
  return ok();
}

// Reasoning is asked for in many words.
Status read_reasoning(const Members& root, ChatRequest& request) {
  std::string effort;
  KVCS_TRY(read_word(root, "reasoning_effort", "", effort));
  request.asks_reasoning = !effort.empty() && effort != "none";
  bool enabled = false;
  KVCS_TRY(read_flag(root, "enable_thinking", "", enabled));
  element value;
  bool found;
  KVCS_TRY(find_once(root, "reasoning", "", found, value));
  const bool asked = request.asks_reasoning || enabled || (found && value.is_object());
  KVCS_TRY(read_thinking(root, request));
  request.asks_reasoning = request.asks_reasoning || asked;
  return ok();
}

Status read_prediction(const Members& root, ChatRequest& request) {
  element value;
  bool found;
  KVCS_TRY(find_once(root, "prediction", "", found, value));
  if (!found || value.is_null()) return ok();
  request.prediction_bytes = static_cast<int64_t>(simdjson::minify(value).size());
  return ok();
}

Status read_search_options(const Members& root, ChatRequest& request) {
  object options;
  if (root["web_search_options"].get(options) != simdjson::SUCCESS) return ok();
  std::string size;
  KVCS_TRY(read_word(options, "search_context_size", "web_search_options.", size));
  // Perplexity's Pro Search has prices of its own.
  std::string kind;
  KVCS_TRY(read_word(options, "search_type", "web_search_options.", kind));
  if (!kind.empty() && kind != "fast") {
    return bad_member("web_search_options.search_type",
                      "'" + printable(kind, kShownName) + "' has no price here; 'fast' has.");
  }
  return note_search_size(size, request);
}

// What Gemini's own API has beside OpenAI's: thinking, and a cache or tools of its own. SDKs may
// put what they call extra_body into the body itself.
Status read_google_members(const Members& root, ChatRequest& request) {
  element value;
  bool found;
  object inner;
  KVCS_TRY(find_once(root, "extra_body", "", found, value));
  if (found && value.get(inner) == simdjson::SUCCESS) {
    KVCS_TRY(read_google_members(inner, request));
  }
  KVCS_TRY(find_once(root, "google", "", found, value));
  if (!found || value.get(inner) != simdjson::SUCCESS) return ok();
  for (const auto& [name, unused] : inner) {
    if (name == "thinking_config") {
      request.asks_reasoning = true;
    } else if (request.unbounded_by.empty()) {
      request.unbounded_by = "google." + std::string(name);
    }
  }
  return ok();
}

Status read_more(const Members& root, ChatRequest& request) {
  KVCS_TRY(read_stream_options(root, request));
  KVCS_TRY(read_whole(root, "n", "", 1, 128, request.choices));
  KVCS_TRY(read_tier(root, request));
  KVCS_TRY(read_modalities(root, request));
  KVCS_TRY(read_prediction(root, request));
  KVCS_TRY(read_reasoning(root, request));
  KVCS_TRY(read_google_members(root, request));
  // Some providers write to their caches by themselves and bill it.
  request.cache_writes = CacheWrites::kShort;
  KVCS_TRY(read_cache_control(root.object(), request.cache_writes));
  // Qwen-Long takes files by a line of text.
  if (request.unbounded_by.empty() && request.body.find("fileid://") != std::string::npos) {
    request.unbounded_by = "fileid://";
  }
  return read_search_options(root, request);
}

// Where a provider states each count; the first name that is there counts. cached, cache_write and
// audio are subsets of the input, reasoning and audio of the output.
constexpr CountRule kCounts[] = {
    {"prompt_tokens_details", "cached_tokens", &TokenUsage::cache_read},
    {"", "prompt_cache_hit_tokens", &TokenUsage::cache_read},  // DeepSeek
    {"", "cached_tokens", &TokenUsage::cache_read},            // Moonshot
    {"", "cache_read_input_tokens", &TokenUsage::cache_read},  // Portkey, LiteLLM
    {"prompt_tokens_details", "cache_write_tokens", &TokenUsage::cache_write_5m},
    {"prompt_tokens_details", "cache_creation_tokens", &TokenUsage::cache_write_5m},  // LiteLLM
    {"", "cache_creation_input_tokens", &TokenUsage::cache_write_5m},
    {"prompt_tokens_details", "audio_tokens", &TokenUsage::input_audio},
    {"prompt_tokens_details", "image_tokens", &TokenUsage::input_image},
    {"completion_tokens_details", "reasoning_tokens", &TokenUsage::reasoning},
    {"completion_tokens_details", "audio_tokens", &TokenUsage::output_audio},
    {"completion_tokens_details", "image_tokens", &TokenUsage::output_image},
    {"", "num_search_queries", &TokenUsage::web_searches},  // Perplexity
    {"server_tool_use", "web_search_requests", &TokenUsage::web_searches},
    {"", "num_sources_used", &TokenUsage::web_searches},  // xAI
};
constexpr UsageRules kUsage = {.input = "prompt_tokens",
                               .output = "completion_tokens",
                               .total = "total_tokens",
                               .is_subsets = true,
                               .counts = kCounts};

// The usage of a stream stands in the last chunk before [DONE], whose choices are empty; it is sent
// only when stream_options.include_usage was set, which upstream_body() does. Some servers state it
// in every chunk, or in the last one that has choices.
class ChatMeter final : public Meter {
 public:
  explicit ChatMeter(const ChatRequest& request)
      : Meter(kUsage),
        client_wants_usage_(request.client_wants_usage),
        finished_(static_cast<size_t>(request.choices), false) {}

  EventFate on_event(std::string_view event, std::string_view data, std::string_view raw,
                     std::string& rewritten) override {
    if (trim(data) == "[DONE]") {
      is_done_ = true;
      if (seen().has_output) set_final();
      return EventFate::kPass;
    }
    object parsed;
    if (event == "error") set_error();
    if (!parse(data, parsed)) return EventFate::kPass;
    const Members root(parsed);
    if (says_error(root)) set_error();
    note_answer(root);
    object beside;
    bool has_usage = read_usage(root);
    if (root["x_groq"].get(beside) == simdjson::SUCCESS) has_usage |= read_usage(beside);
    array choices;
    const bool has_choices = root["choices"].get(choices) == simdjson::SUCCESS;
    if (has_choices) read_choices(choices);
    // A server that states the usage in every chunk states it last with the reason to finish.
    if (seen().has_output && (complete() || (has_usage && choices_are_empty(root)))) set_final();
    if (client_wants_usage_) return EventFate::kPass;
    const bool for_us = has_usage && (!has_choices || choices.size() == 0);
    if (for_us && !root["error"].is_object()) return EventFate::kSwallow;
    if (root["usage"].is_null() && cut_null_usage(raw, rewritten)) return EventFate::kRewrite;
    return EventFate::kPass;
  }

  bool complete() const override { return Meter::complete() || is_done_ || all_finished(); }
  std::string error_event(const Status& failure) const override {
    return "data: {\"error\":" + openai_error(failure) + "}\n\n";
  }

 private:
  void read_whole_answer(const Members& root) override {
    array choices;
    if (root["choices"].get(choices) == simdjson::SUCCESS) read_choices(choices);
  }

  static bool choices_are_empty(const Members& root) {
    array choices;
    return root["choices"].get(choices) != simdjson::SUCCESS || choices.size() == 0;
  }

  bool all_finished() const {
    return std::find(finished_.begin(), finished_.end(), false) == finished_.end();
  }

  void read_choices(const array& choices) {
    for (const element one : choices) {
      object whole;
      if (one.get(whole) != simdjson::SUCCESS) continue;
      const Members choice(whole);
      int64_t index = 0;
      if (choice["index"].get(index) != simdjson::SUCCESS) index = 0;
      index = std::clamp<int64_t>(index, 0, 1023);
      if (static_cast<size_t>(index) >= finished_.size()) {
        finished_.resize(static_cast<size_t>(index) + 1, true);
        finished_[static_cast<size_t>(index)] = false;
      }
      object text;
      if (choice["error"].is_object()) set_error();
      read_usage(choice);  // Moonshot
      if (choice["delta"].get(text) == simdjson::SUCCESS) count_message(text);
      if (choice["message"].get(text) == simdjson::SUCCESS) count_message(text);
      std::string_view reason;
      if (choice["finish_reason"].get(reason) != simdjson::SUCCESS || reason.empty()) continue;
      finished_[static_cast<size_t>(index)] = true;
      if (reason == "error") set_error();
    }
  }

  // Text of a choice: its content, its reasoning under the names that servers have for it, and
  // calls of functions.
  void count_message(const Members& message) {
    for (const std::string_view name : {"content", "reasoning_content", "reasoning", "refusal"}) {
      count_text(message, name);
    }
    object function;
    if (message["function_call"].get(function) == simdjson::SUCCESS) count_function(function);
    object audio;
    if (message["audio"].get(audio) == simdjson::SUCCESS) count_text(audio, "transcript");
    array calls;
    if (message["tool_calls"].get(calls) != simdjson::SUCCESS) return;
    for (const element call : calls) {
      if (call["function"].get(function) == simdjson::SUCCESS) count_function(function);
      object custom;
      if (call["custom"].get(custom) == simdjson::SUCCESS) count_text(custom, "input");
    }
  }
  void count_function(const Members& function) {
    count_text(function, "name");
    count_text(function, "arguments");
  }

  const bool client_wants_usage_;
  bool is_done_ = false;
  // By choice: all that were asked for, and others once a chunk has named them.
  std::vector<bool> finished_;
};

class ChatCompletions final : public Dialect {
 public:
  ApiKind kind() const override { return ApiKind::kChatCompletions; }
  std::string_view path() const override { return "/chat/completions"; }
  http::Dialect errors() const override { return http::Dialect::kOpenAi; }

  Result<ChatRequest> read_request(std::string body) const override {
    return read_by_rules(kRules, std::move(body), read_more);
  }

  std::string upstream_body(const ChatRequest& request, const BodyEdits& edits) const override {
    std::string body = request.body;
    edit_common(request, edits, body);
    // A stream states its usage only when asked to. The meter needs that, and takes the event out
    // again for a client that did not ask.
    if (!request.stream || request.client_wants_usage || !edits.ask_for_usage) return body;
    const auto span = find_json_member(body, "stream_options");
    std::string options =
        span ? body.substr(span->begin, span->end - span->begin) : std::string("{}");
    if (options.empty() || options.front() != '{') options = "{}";
    set_json_member(options, "include_usage", "true");
    set_json_member(body, "stream_options", options);
    return body;
  }

  std::string_view output_member(bool at_openai) const override {
    return at_openai ? "max_completion_tokens" : "max_tokens";
  }

  std::unique_ptr<UsageMeter> make_meter(const ChatRequest& request) const override {
    return std::make_unique<ChatMeter>(request);
  }
};

}  // namespace

const Dialect& chat_completions_dialect() {
  static const ChatCompletions one;
  return one;
}

}  // namespace kvcs::ai
