// Messages: Anthropic's API, with prompt caches that the request writes and tools that Anthropic
// runs itself.
#include <simdjson.h>

#include <algorithm>
#include <iterator>
#include <vector>

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
    {"container", Brings::kInput},
    {"mcp_servers", Brings::kInput},
};
constexpr ToolRule kTools[] = {
    {"custom", Brings::kNothing},
    {"function", Brings::kNothing},
    {"bash_", Brings::kNothing},
    {"text_editor_", Brings::kNothing},
    {"computer_", Brings::kNothing},
    {"memory_", Brings::kNothing},
    {"tool_search_tool_", Brings::kNothing},
    {"web_search_", Brings::kInput, &TokenUsage::web_searches},
    {"web_fetch_", Brings::kInput},
    {"code_execution_", Brings::kInput, &TokenUsage::code_sessions},
    {"mcp_toolset", Brings::kInput},
    {"advisor_", Brings::kOtherModel},
};
constexpr MediaRule kMedia[] = {
    {"image", Media::kImage, "source", "data"},
    {"document", Media::kFile, "source", "data"},
    {"container_upload", Media::kFile, "", ""},
};
constexpr PartRule kParts[] = {
    {"text"},
    {"content"},
    {"thinking"},
    {"redacted_thinking"},
    {"tool_use"},
    {"tool_result"},
    {"tool_reference"},
    {"server_tool_use"},
    {"web_search_tool_result"},
    {"web_search_result"},
    {"web_search_tool_result_error"},
    {"web_fetch_tool_result"},
    {"web_fetch_result"},
    {"web_fetch_tool_result_error"},
    {"code_execution_tool_result"},
    {"code_execution_result"},
    {"code_execution_output"},
    {"bash_code_execution_tool_result"},
    {"bash_code_execution_result"},
    {"text_editor_code_execution_tool_result"},
    {"tool_search_tool_result"},
    {"tool_search_tool_search_result"},
    {"mcp_tool_use"},
    {"mcp_tool_result"},
    {"search_result"},
    {"compaction"},
};
// Tools add a prompt of their own: 313 to 804 tokens by model and tool_choice, and those of
// Anthropic's own schema up to some 740 more each (Anthropic, "Tool use with Claude", pricing,
// 2026-11).
constexpr RequestRules kRules = {.messages = "messages",
                                 .output_max = {"max_tokens", ""},
                                 .tool_calls_max = "",
                                 .members = kMembers,
                                 .tools = kTools,
                                 .media = kMedia,
                                 .parts = kParts,
                                 .tools_added_tokens = 1'000,
                                 .tool_added_tokens = 1'000};

// Compaction reads the whole input once more, writes a summary, and then answers.
Status read_compaction(const Members& root, ChatRequest& request) {
  element value;
  bool found;
  KVCS_TRY(find_once(root, "context_management", "", found, value));
  object management;
  if (!found || value.get(management) != simdjson::SUCCESS) return ok();
  KVCS_TRY(find_once(management, "edits", "context_management.", found, value));
  array edits;
  if (!found || value.get(edits) != simdjson::SUCCESS) return ok();
  for (const element one : edits) {
    object edit;
    std::string type;
    if (one.get(edit) != simdjson::SUCCESS) continue;
    KVCS_TRY(read_word(edit, "type", "context_management.edits[].", type));
    if (type.starts_with("compact")) request.samplings = 2;
  }
  return ok();
}

// "" for the places that cost nothing more.
std::string_view region(std::string_view geo) {
  return geo == "global" || geo == "not_available" ? std::string_view() : geo;
}

Status read_more(const Members& root, ChatRequest& request) {
  KVCS_TRY(read_tier(root, request));
  KVCS_TRY(read_word(root, "speed", "", request.asked.speed));
  if (request.asked.speed == "standard") request.asked.speed.clear();
  std::string geo;
  KVCS_TRY(read_word(root, "inference_geo", "", geo));
  request.asked.region = region(geo);
  KVCS_TRY(read_thinking(root, request));
  KVCS_TRY(read_compaction(root, request));
  return read_cache_control(root.object(), request.cache_writes);
}

// The kinds add up; every event repeats cumulative totals. Cache writes are in read_more_usage().
constexpr CountRule kCounts[] = {
    {"", "cache_read_input_tokens", &TokenUsage::cache_read},
    {"server_tool_use", "web_search_requests", &TokenUsage::web_searches},
};
constexpr UsageRules kUsage = {.input = "input_tokens",
                               .output = "output_tokens",
                               .total = "",
                               .is_subsets = false,
                               .counts = kCounts};

// The usage is in the body; of a stream the input is in message_start, and the output in every
// message_delta.
class MessagesMeter final : public Meter {
 public:
  MessagesMeter() : Meter(kUsage) { noted().counts_calls = noted().splits_cache_writes = true; }

  EventFate on_event(std::string_view event, std::string_view data, std::string_view,
                     std::string&) override {
    object parsed;
    if (event == "error") set_error();
    if (!parse(data, parsed)) return EventFate::kPass;
    const Members root(parsed);
    std::string_view type;
    if (root["type"].get(type) != simdjson::SUCCESS) type = event;
    object part;
    if (type == "message_start" && root["message"].get(part) == simdjson::SUCCESS) {
      note_answer(part);
      note_container(part);
      read_usage(part);
    } else if (type == "content_block_start") {
      if (root["content_block"].get(part) == simdjson::SUCCESS) note_files(part);
    } else if (type == "message_delta") {
      if (root["delta"].get(part) == simdjson::SUCCESS) note_container(part);
      if (read_usage(root) && root["usage"]["output_tokens"].is_number()) set_final();
      if (root["delta"]["stop_reason"].is_string()) set_complete();
    } else if (type == "content_block_delta" && root["delta"].get(part) == simdjson::SUCCESS) {
      for (const std::string_view name : {"text", "partial_json", "thinking"}) {
        count_text(part, name);
      }
    } else if (type == "message_stop") {
      set_complete();
    } else if (says_error(root)) {
      set_error();
    }
    return EventFate::kPass;
  }

  std::string error_event(const Status& failure) const override {
    std::string text;
    append_json_string(text, failure.message());
    return "event: error\ndata: "
           "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":" +
           text + "}}\n\n";
  }

 private:
  // What a request with "container" or with a file that was made there may name.
  void note_container(const Members& from) {
    object container;
    if (from["container"].get(container) == simdjson::SUCCESS) note_made(container, "id");
  }

  // Files that code has made in the container stand in the result of its run.
  void note_files(const Members& block) {
    std::string_view type;
    object result;
    array outputs;
    if (block["type"].get(type) != simdjson::SUCCESS ||
        !type.ends_with("code_execution_tool_result") ||
        block["content"].get(result) != simdjson::SUCCESS ||
        Members(result)["content"].get(outputs) != simdjson::SUCCESS) {
      return;
    }
    for (const element one : outputs) {
      object output;
      if (one.get(output) == simdjson::SUCCESS) note_made(output, "file_id");
    }
  }

  void read_whole_answer(const Members& root) override {
    note_container(root);
    array content;
    if (root["content"].get(content) != simdjson::SUCCESS) return;
    for (const element one : content) {
      object block;
      if (one.get(block) != simdjson::SUCCESS) continue;
      note_files(block);
      for (const std::string_view name : {"text", "thinking", "name"}) count_text(block, name);
      object input;
      if (block["input"].get(input) == simdjson::SUCCESS)
        count_bytes(simdjson::minify(input).size());
    }
  }

  // Both buckets are the sum that is stated beside them, mostly.
  void read_cache_writes(const Members& usage, TokenUsage& out) {
    bool& absurd = noted().input_is_absurd;
    int64_t all = 0, five_minutes = 0, hour = 0;
    read_count(usage, "cache_creation_input_tokens", all, absurd);
    object part;
    if (usage["cache_creation"].get(part) == simdjson::SUCCESS) {
      read_count(part, "ephemeral_5m_input_tokens", five_minutes, absurd);
      read_count(part, "ephemeral_1h_input_tokens", hour, absurd);
    }
    out.cache_write_1h = std::max(out.cache_write_1h, hour);
    out.cache_write_5m = std::max(out.cache_write_5m, std::max(all - hour, five_minutes));
  }

  // The totals leave out what compaction used; the samplings that are listed beside them do not.
  void read_iterations(const array& iterations) {
    TokenUsage sum;
    bool& absurd = noted().input_is_absurd;
    for (const element one : iterations) {
      object usage;
      if (one.get(usage) != simdjson::SUCCESS) continue;
      TokenUsage part;
      read_count(usage, "input_tokens", part.input, absurd);
      read_count(usage, "output_tokens", part.output, noted().output_is_absurd);
      read_count(usage, "cache_read_input_tokens", part.cache_read, absurd);
      read_cache_writes(usage, part);
      sum.input += part.input;
      sum.output += part.output;
      sum.cache_read += part.cache_read;
      sum.cache_write_5m += part.cache_write_5m;
      sum.cache_write_1h += part.cache_write_1h;
    }
    for (int64_t TokenUsage::*count :
         {&TokenUsage::input, &TokenUsage::output, &TokenUsage::cache_read,
          &TokenUsage::cache_write_5m, &TokenUsage::cache_write_1h}) {
      raw().*count = std::max(raw().*count, sum.*count);
    }
    noted().samplings =
        std::max<int64_t>(noted().samplings, static_cast<int64_t>(iterations.size()));
  }

  void read_more_usage(const Members& usage) override {
    read_cache_writes(usage, raw());
    array iterations;
    if (usage["iterations"].get(iterations) == simdjson::SUCCESS) read_iterations(iterations);
    int64_t runs = 0;
    bool absurd = false;
    read_count(usage, "code_execution_requests", runs, absurd);
    object tools;
    if (usage["server_tool_use"].get(tools) == simdjson::SUCCESS) {
      read_count(tools, "code_execution_requests", runs, absurd);
    }
    if (runs > 0) raw().code_sessions = 1;  // One container serves a request.
    std::string_view word;
    if (usage["speed"].get(word) == simdjson::SUCCESS) {
      noted().stated.speed = word == "standard" ? std::string_view() : word.substr(0, 64);
      noted().has_speed = true;
    }
    if (usage["inference_geo"].get(word) == simdjson::SUCCESS) {
      noted().stated.region = region(word.substr(0, 64));
      noted().has_region = true;
    }
  }
};

bool has_uses(const std::string& tool) {
  const auto uses = find_json_member(tool, "max_uses");
  return uses && tool.compare(uses->begin, uses->end - uses->begin, "null") != 0;
}

// Sets max_uses of the tools that the provider runs and whose uses nothing bounds.
void bound_uses(std::string& body, int64_t calls_max) {
  const auto tools = find_json_member(body, "tools");
  if (!tools) return;
  std::string edited = "[";
  JsonCursor cursor(std::string_view(body).substr(tools->begin, tools->end - tools->begin));
  cursor.enter();
  while (cursor.next()) {
    std::string tool(cursor.value());
    const auto type = find_json_member(tool, "type");
    const std::string_view name =
        type ? std::string_view(tool).substr(type->begin, type->end - type->begin)
             : std::string_view();
    const auto is_counted = [&](const ToolRule& rule) {
      return rule.calls == &TokenUsage::web_searches &&
             name.starts_with("\"" + std::string(rule.type));
    };
    if (std::any_of(std::begin(kTools), std::end(kTools), is_counted) && !has_uses(tool)) {
      set_json_member(tool, "max_uses", std::to_string(calls_max));
    }
    edited.append(edited.size() > 1 ? "," : "").append(tool);
  }
  if (!cursor.ok()) return;
  body.replace(tools->begin, tools->end - tools->begin, edited + "]");
}

class Messages final : public Dialect {
 public:
  ApiKind kind() const override { return ApiKind::kMessages; }
  std::string_view path() const override { return "/messages"; }
  http::Dialect errors() const override { return http::Dialect::kAnthropic; }

  Result<ChatRequest> read_request(std::string body) const override {
    return read_by_rules(kRules, std::move(body), read_more);
  }
  std::string upstream_body(const ChatRequest& request, const BodyEdits& edits) const override {
    std::string body = request.body;
    edit_common(request, edits, body);
    if (edits.calls_max >= 0 && request.calls_unbounded) bound_uses(body, edits.calls_max);
    return body;
  }
  std::string_view output_member(bool) const override { return "max_tokens"; }
  std::unique_ptr<UsageMeter> make_meter(const ChatRequest&) const override {
    return std::make_unique<MessagesMeter>();
  }
};

}  // namespace

const Dialect& messages_dialect() {
  static const Messages one;
  return one;
}

}  // namespace kvcs::ai
