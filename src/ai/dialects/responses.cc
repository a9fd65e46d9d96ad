// Responses: OpenAI's API with tools that OpenAI runs itself and context that it keeps.
#include <simdjson.h>

#include <algorithm>
#include <set>
#include <string>

#include "ai/dialects/dialects.h"
#include "ai/dialects/json_members.h"
#include "ai/dialects/meter.h"
#include "ai/dialects/request_reader.h"
#include "base/json.h"
#include "base/json_cursor.h"

namespace kvcs::ai {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr MemberRule kMembers[] = {
    {"previous_response_id", Brings::kInput},
    {"conversation", Brings::kInput},
    {"prompt", Brings::kInput},
    {"context_management", Brings::kInput},
    {"search_parameters", Brings::kInput, &TokenUsage::web_searches},  // xAI
    {"plugins", Brings::kInput, &TokenUsage::web_searches},            // OpenRouter
};
constexpr ToolRule kTools[] = {
    {"function", Brings::kNothing},
    {"custom", Brings::kNothing},
    {"local_shell", Brings::kNothing},
    {"apply_patch", Brings::kNothing},
    {"computer", Brings::kNothing},
    {"namespace", Brings::kNothing},
    {"tool_search", Brings::kNothing},
    {"web_search", Brings::kInput, &TokenUsage::web_searches},  // And web_search_preview.
    {"file_search", Brings::kInput, &TokenUsage::file_searches},
    {"code_interpreter", Brings::kInput, &TokenUsage::code_sessions},
    {"shell", Brings::kInput, &TokenUsage::code_sessions},
    {"image_generation", Brings::kInput, &TokenUsage::images_made},
    {"openrouter:web_search", Brings::kInput, &TokenUsage::web_searches},
    {"openrouter:", Brings::kOtherModel},
    {"x_search", Brings::kInput, &TokenUsage::web_searches},             // xAI
    {"collections_search", Brings::kInput, &TokenUsage::file_searches},  // xAI
    {"live_search", Brings::kInput, &TokenUsage::web_searches},
};
// Items of calls that OpenAI's tools made, and reasoning, stand for what OpenAI has stored.
constexpr PartRule kParts[] = {
    {"message"},
    {"input_text"},
    {"output_text"},
    {"text"},
    {"refusal"},
    {"summary_text"},
    {"reasoning_text"},
    {"reasoning", "encrypted_content"},
    {"compaction", "encrypted_content"},
    {"function_call"},
    {"function_call_output"},
    {"custom_tool_call"},
    {"custom_tool_call_output"},
    {"local_shell_call"},
    {"local_shell_call_output"},
    {"shell_call"},
    {"shell_call_output"},
    {"apply_patch_call"},
    {"apply_patch_call_output"},
    {"computer_call"},
    {"computer_call_output"},
    {"mcp_approval_request"},
    {"mcp_approval_response"},
    {"mcp_call"},
    {"mcp_list_tools"},
};
constexpr MediaRule kMedia[] = {
    {"input_image", Media::kImage, "", "image_url"},
    {"computer_screenshot", Media::kImage, "", "image_url"},
    {"image_generation_call", Media::kImage, "", "result"},
    {"input_audio", Media::kAudio, "input_audio", "data"},
    {"input_file", Media::kFile, "", "file_data"},
    {"item_reference", Media::kFile, "", ""},
};
constexpr RequestRules kRules = {.messages = "input",
                                 .output_max = {"max_output_tokens", ""},
                                 .tool_calls_max = "max_tool_calls",
                                 .members = kMembers,
                                 .tools = kTools,
                                 .media = kMedia,
                                 .parts = kParts,
                                 .tools_added_tokens = 64};

Status read_more(const Members& root, ChatRequest& request) {
  KVCS_TRY(read_tier(root, request));
  request.cache_writes = CacheWrites::kShort;  // OpenAI writes to its caches by itself.
  KVCS_TRY(read_cache_control(root.object(), request.cache_writes));
  element value;
  bool found;
  KVCS_TRY(find_once(root, "reasoning", "", found, value));
  object reasoning;
  if (!found || value.get(reasoning) != simdjson::SUCCESS) return ok();
  std::string effort;
  KVCS_TRY(read_word(reasoning, "effort", "reasoning.", effort));
  request.asks_reasoning = effort != "none";
  return ok();
}

constexpr CountRule kCounts[] = {
    {"input_tokens_details", "cached_tokens", &TokenUsage::cache_read},
    {"input_tokens_details", "cache_write_tokens", &TokenUsage::cache_write_5m},
    {"input_tokens_details", "audio_tokens", &TokenUsage::input_audio},
    {"input_tokens_details", "image_tokens", &TokenUsage::input_image},
    {"output_tokens_details", "reasoning_tokens", &TokenUsage::reasoning},
    {"output_tokens_details", "audio_tokens", &TokenUsage::output_audio},
    {"output_tokens_details", "image_tokens", &TokenUsage::output_image},
};
constexpr UsageRules kUsage = {.input = "input_tokens",
                               .output = "output_tokens",
                               .total = "total_tokens",
                               .is_subsets = true,
                               .counts = kCounts};

// Calls that are billed stand among the items of the output, not in the usage.
struct ItemRule {
  std::string_view type;
  int64_t TokenUsage::*calls;
};
constexpr ItemRule kItems[] = {
    {"web_search_call", &TokenUsage::web_searches},
    {"file_search_call", &TokenUsage::file_searches},
    {"image_generation_call", &TokenUsage::images_made},
};

// The usage is in the body; of a stream in the object "response" of its last event.
class ResponsesMeter final : public Meter {
 public:
  ResponsesMeter() : Meter(kUsage) { noted().counts_calls = true; }

  EventFate on_event(std::string_view event, std::string_view data, std::string_view,
                     std::string&) override {
    object parsed;
    if (event == "error") set_error();
    if (!parse(data, parsed)) return EventFate::kPass;
    const Members root(parsed);
    std::string_view type;
    if (root["type"].get(type) != simdjson::SUCCESS) type = event;
    int64_t sequence;
    if (root["sequence_number"].get(sequence) == simdjson::SUCCESS && sequence >= 0) {
      sequence_ = std::max(sequence_, sequence);
    }
    if (says_error(root)) set_error();
    if (type.ends_with(".delta")) count_text(root, "delta");
    object part;
    if (type.starts_with("response.output_item.") && root["item"].get(part) == simdjson::SUCCESS) {
      note_item(part);
      if (type == "response.output_item.done") {
        read_item(part, from_events_);
        take_items(from_events_);
      }
    }
    if (root["response"].get(part) == simdjson::SUCCESS && read_response(part)) {
      if (type != "response.created" && type != "response.in_progress") set_final();
    }
    if (type == "response.completed" || type == "response.incomplete") set_complete();
    if (type == "response.failed") {
      set_complete();
      set_error();
    }
    return EventFate::kPass;
  }

  // OpenAI's SDKs and Codex take an answer for failed at this event; Codex passes over it when the
  // connection breaks behind it.
  bool error_event_ends_stream() const override { return true; }
  std::string error_event(const Status& failure) const override {
    std::string id, text, code;
    append_json_string(id, id_.empty() ? "resp_unknown" : id_);
    append_json_string(text, failure.message());
    append_json_string(code, failure.reason().empty() ? "proxy_error" : failure.reason());
    return "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":" +
           std::to_string(sequence_ + 1) + ",\"response\":{\"id\":" + id +
           ",\"object\":\"response\",\"status\":\"failed\",\"error\":{\"code\":" + code +
           ",\"message\":" + text +
           "},\"incomplete_details\":null,\"output\":[],\"usage\":null}}\n\n";
  }

 protected:
  // The writes that are kept for twelve hours are a part of all writes, stated one level deeper.
  void read_more_usage(const Members& usage) override {
    Meter::read_more_usage(usage);
    object details, writes;
    if (usage["input_tokens_details"].get(details) != simdjson::SUCCESS ||
        details["cache_write_tokens_details"].get(writes) != simdjson::SUCCESS) {
      return;
    }
    noted().splits_cache_writes = true;
    read_count(writes, "ttl_12h_tokens", raw().cache_write_1h, noted().input_is_absurd);
  }

 private:
  struct Items {
    TokenUsage calls;
    std::set<std::string, std::less<>> containers;
  };

  void read_whole_answer(const Members& root) override {
    note_id(root);
    read_output(root);
    read_tool_usage(root);
    std::string_view status;
    if (root["status"].get(status) == simdjson::SUCCESS && status == "failed") set_error();
    array output;
    if (root["output"].get(output) == simdjson::SUCCESS) {
      for (const element item : output) count_bytes(text_bytes(item));
    }
  }

  // Whether it states the usage.
  bool read_response(const Members& response) {
    note_answer(response);
    note_id(response);
    read_output(response);
    read_tool_usage(response);
    return read_usage(response);
  }

  void note_id(const Members& response) {
    std::string_view id;
    if (response["id"].get(id) == simdjson::SUCCESS) id_ = id.substr(0, kMadeIdMaxBytes);
    note_made(response, "id");
  }

  // The item, the container that a tool ran in, and the files that a text cites.
  void note_item(const Members& item) {
    note_made(item, "id");
    note_made(item, "container_id");
    object inner;
    if (item["environment"].get(inner) == simdjson::SUCCESS) note_made(inner, "container_id");
    array content, cited;
    if (item["content"].get(content) != simdjson::SUCCESS) return;
    for (const element part : content) {
      if (part["annotations"].get(cited) != simdjson::SUCCESS) continue;
      for (const element one : cited) {
        if (one.get(inner) != simdjson::SUCCESS) continue;
        note_made(inner, "container_id");
        note_made(inner, "file_id");
      }
    }
  }

  void read_output(const Members& response) {
    array output;
    if (response["output"].get(output) != simdjson::SUCCESS) return;
    Items items;
    for (const element one : output) {
      object item;
      if (one.get(item) != simdjson::SUCCESS) continue;
      note_item(item);
      read_item(item, items);
    }
    take_items(items);
  }

  // OpenAI counts the searches that it bills beside the usage: one call may search several times.
  // The count leaves out searches at a discount, so that it never takes away from the calls seen.
  void read_tool_usage(const Members& response) {
    object search;
    if (response["tool_usage"]["web_search"].get(search) != simdjson::SUCCESS) return;
    bool is_absurd = false;
    read_count(search, "num_requests", raw().web_searches, is_absurd);
  }

  static void read_item(const Members& item, Items& items) {
    std::string_view type, action;
    if (item["type"].get(type) != simdjson::SUCCESS) return;
    // Opening a page that was found, or looking for something in it, is not billed as a search.
    if (item["action"]["type"].get(action) == simdjson::SUCCESS && type == "web_search_call" &&
        action != "search") {
      return;
    }
    for (const ItemRule& rule : kItems) {
      if (type == rule.type) (items.calls.*rule.calls)++;
    }
    if (type != "code_interpreter_call" && type != "shell_call") return;
    std::string_view container;
    if (item["container_id"].get(container) != simdjson::SUCCESS) container = {};
    items.containers.emplace(container.substr(0, 200));
    items.calls.code_sessions = static_cast<int64_t>(items.containers.size());
  }

  void take_items(const Items& items) {
    for (int64_t TokenUsage::*calls : {&TokenUsage::web_searches, &TokenUsage::file_searches,
                                       &TokenUsage::images_made, &TokenUsage::code_sessions}) {
      raw().*calls = std::max(raw().*calls, items.calls.*calls);
    }
  }

  static size_t text_bytes(const element& item) {
    size_t bytes = 0;
    array content;
    if (item["content"].get(content) == simdjson::SUCCESS) {
      for (const element part : content) {
        std::string_view text;
        if (part["text"].get(text) == simdjson::SUCCESS) bytes += text.size();
      }
    }
    for (const char* name : {"name", "arguments", "input"}) {
      std::string_view text;
      if (item[name].get(text) == simdjson::SUCCESS) bytes += text.size();
    }
    return bytes;
  }

  std::string id_;
  int64_t sequence_ = -1;
  Items from_events_;
};

class Responses final : public Dialect {
 public:
  ApiKind kind() const override { return ApiKind::kResponses; }
  std::string_view path() const override { return "/responses"; }
  http::Dialect errors() const override { return http::Dialect::kOpenAi; }

  Result<ChatRequest> read_request(std::string body) const override {
    return read_by_rules(kRules, std::move(body), read_more);
  }
  std::string upstream_body(const ChatRequest& request, const BodyEdits& edits) const override {
    std::string body = request.body;
    edit_common(request, edits, body);
    if (edits.calls_max >= 0 && request.calls_unbounded) {
      set_json_member(body, "max_tool_calls", std::to_string(edits.calls_max));
    }
    return body;
  }
  std::string_view output_member(bool) const override { return "max_output_tokens"; }
  std::unique_ptr<UsageMeter> make_meter(const ChatRequest&) const override {
    return std::make_unique<ResponsesMeter>();
  }
};

}  // namespace

const Dialect& responses_dialect() {
  static const Responses one;
  return one;
}

}  // namespace kvcs::ai
