// Walks a request's body once and notes what may cost money. Only the conversation is looked at for
// media: the same words in the schema of a tool are text that the model reads.
#include "ai/dialects/request_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>

#include "ai/dialects/json_members.h"
#include "ai/dialects/stored_ids.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/json_cursor.h"
#include "base/quick_json.h"

namespace kvcs::ai {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr size_t kDepthMax = 64;
constexpr int64_t kOutputTokensMax = 10'000'000;
constexpr size_t kModelMaxBytes = 200;
// What a provider wraps around each message and each part of one, beside the text.
constexpr int64_t kMessageAddedTokens = 8;

// A value that asks for nothing, as if its member were absent.
bool is_empty(const element& value) {
  if (value.is_null()) return true;
  bool flag;
  if (value.get(flag) == simdjson::SUCCESS) return !flag;
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return text.empty();
  array list;
  return value.get(list) == simdjson::SUCCESS && list.size() == 0;
}

int64_t size_of(std::string_view text) {
  return static_cast<int64_t>(text.size());
}

// The reading of one body.
class Reader final {
 public:
  Reader(const RequestRules& rules, ChatRequest& request) : rules_(rules), request_(request) {}

  Status read(const Members& root) {
    request_.asked.input = 1;
    KVCS_TRY(read_model(root));
    KVCS_TRY(refuse_other_models(root));
    KVCS_TRY(refuse_later_answers(root));
    KVCS_TRY(read_flag(root, "stream", "", request_.stream));
    KVCS_TRY(read_bounds(root));
    KVCS_TRY(read_members(root));
    KVCS_TRY(read_tools(root));
    request_.text_bytes = size_of(request_.body);
    KVCS_TRY(read_stored_ids(root.object(), request_.stored_ids));
    return read_conversation(root);
  }

 private:
  Status read_model(const Members& root) {
    element value;
    bool found;
    KVCS_TRY(find_once(root, "model", "", found, value));
    std::string_view model;
    if (!found || value.get(model) != simdjson::SUCCESS) {
      return bad_member("model", "required; a string like \"gpt-6-luna\" or \"provider/model\".");
    }
    if (model.empty() || model.size() > kModelMaxBytes) {
      return bad_member("model", "must have 1 to " + std::to_string(kModelMaxBytes) + " bytes.");
    }
    request_.model = model;
    return ok();
  }

  // Members by which a provider may go over to models whose cost is not known here. (Messages has
  // "fallbacks": "default", after which the answer names its model, whose price counts.)
  static Status refuse_other_models(const Members& root) {
    for (const std::string_view name :
         {"models", "fallbacks", "preset", "providerOptions", "compound_custom", "safety_model"}) {
      element value;
      bool found;
      KVCS_TRY(find_once(root, name, "", found, value));
      std::string_view word;
      const bool is_default = found && value.get(word) == simdjson::SUCCESS && word == "default";
      if (!found || is_empty(value) || (is_default && name == "fallbacks")) continue;
      return bad_member(name,
                        "is not possible here, for another model has another price; an alias "
                        "(ai.aliases) lists models that are tried in turn.");
    }
    return ok();
  }

  static Status refuse_later_answers(const Members& root) {
    for (const std::string_view name : {"background", "deferred"}) {
      bool is_later = false;
      KVCS_TRY(read_flag(root, name, "", is_later));
      if (is_later) {
        return bad_member(name, "is not possible here: its cost would show only after the answer.");
      }
    }
    return ok();
  }

  // Of two bounds on an output that both stand in a request, the provider may follow either: the
  // larger counts. -1 (llama.cpp, LM Studio) and 0 (which providers pass over) state no bound, and
  // beside another bound they undo it.
  Status read_bounds(const Members& root) {
    bool is_open = false;
    for (const std::string_view name : rules_.output_max) {
      if (name.empty()) continue;
      int64_t bound = INT64_MIN;
      KVCS_TRY(read_whole(root, name, "", -1, kOutputTokensMax, bound));
      if (bound == INT64_MIN) continue;
      request_.output_members.push_back(name);
      is_open = is_open || bound <= 0;
      request_.output_tokens_max = std::max(request_.output_tokens_max, bound);
    }
    if (is_open) request_.output_tokens_max = -1;
    return ok();
  }

  void note_input(std::string_view what) {
    if (request_.unbounded_by.empty()) request_.unbounded_by = what;
  }

  // `max` < 0: the request does not bound the calls.
  void ask_calls(int64_t TokenUsage::*kind, int64_t max) {
    if (kind == nullptr) return;
    int64_t& calls = request_.asked.*kind;
    calls = std::max<int64_t>(calls, 1);
    if (max < 0) {
      request_.calls_unbounded = true;
      (request_.open_calls.*kind)++;
    } else {
      calls = std::max(calls, max);
    }
  }

  Status read_members(const Members& root) {
    for (const MemberRule& rule : rules_.members) {
      element value;
      bool found;
      KVCS_TRY(find_once(root, rule.name, "", found, value));
      if (!found || is_empty(value)) continue;
      if (rule.brings == Brings::kInput) note_input(rule.name);
      ask_calls(rule.calls, rule.calls_max);
    }
    return ok();
  }

  Status read_tools(const Members& root) {
    element value;
    bool found;
    KVCS_TRY(find_once(root, "tools", "", found, value));
    array tools;
    if (!found) return ok();
    if (value.get(tools) != simdjson::SUCCESS) return bad_member("tools", "must be an array.");
    if (tools.size() > 0) request_.added_tokens += rules_.tools_added_tokens;
    int64_t calls_max = -1;
    if (!rules_.tool_calls_max.empty()) {
      KVCS_TRY(read_whole(root, rules_.tool_calls_max, "", 0, 1'000'000, calls_max));
    }
    for (const element one : tools) {
      object tool;
      if (one.get(tool) == simdjson::SUCCESS) KVCS_TRY(read_tool(tool, calls_max));
    }
    return ok();
  }

  Status read_tool(const Members& tool, int64_t calls_max) {
    std::string type;
    KVCS_TRY(read_word(tool, "type", "tools[].", type));
    // Anthropic's tools of the client have no type, and some servers take functions without one.
    const bool is_plain =
        tool["function"].error() == simdjson::SUCCESS || tool["name"].error() == simdjson::SUCCESS;
    if (type.empty() && is_plain) return ok();
    // Gemini's tools have a member of their name.
    if (type.empty() && !tool.empty()) type = (*tool.begin()).key.substr(0, kModelMaxBytes);
    const std::string lower = lower_ascii(type);
    for (const ToolRule& rule : rules_.tools) {
      if (type.empty() || !lower.starts_with(rule.type)) continue;
      if (rule.brings == Brings::kInput) note_input("tools[].type " + type);
      if (rule.brings == Brings::kOtherModel) {
        return bad_member("tools[].type", type +
                                              " is not possible here, for it is billed at "
                                              "another model's price.");
      }
      if (type != "custom" && type != "function") request_.added_tokens += rules_.tool_added_tokens;
      KVCS_TRY(read_uses(tool, rule, calls_max));
      KVCS_TRY(refuse_large_containers(tool));
      return read_search_size(tool, lower);
    }
    note_input(type.empty() ? "tools[]" : "tools[].type " + type);
    return ok();
  }

  // The uses of several tools of one kind add up.
  Status read_uses(const Members& tool, const ToolRule& rule, int64_t calls_max) {
    if (rule.calls == nullptr) return ok();
    int64_t uses = -1;
    KVCS_TRY(read_whole(tool, "max_uses", "tools[].", 0, 1'000'000, uses));
    int64_t& asked = request_.asked.*rule.calls;
    if (uses >= 0) {
      asked += std::max<int64_t>(uses, 1);
    } else if (calls_max >= 0) {
      asked = std::max({asked, calls_max, int64_t{1}});
    } else {
      asked++;
      request_.calls_unbounded = true;
      (request_.open_calls.*rule.calls)++;
    }
    return ok();
  }

  // A container with more memory than the smallest costs a multiple of it.
  static Status refuse_large_containers(const Members& tool) {
    for (const std::string_view name : {"container", "environment"}) {
      const std::string path = "tools[]." + std::string(name) + ".";
      element value;
      bool found;
      KVCS_TRY(find_once(tool, name, "tools[].", found, value));
      object container;
      if (!found || value.get(container) != simdjson::SUCCESS) continue;
      std::string memory;
      KVCS_TRY(read_word(container, "memory_limit", path, memory));
      if (memory.empty() || memory == "1g") continue;
      return bad_member(path + "memory_limit", "'" + printable(memory, kShownName) +
                                                   "' has no price here; a container of 1g has.");
    }
    return ok();
  }

  // Of several tools the dearest size counts.
  Status read_search_size(const Members& tool, std::string_view type) {
    if (!type.starts_with("web_search")) return ok();
    std::string size;
    KVCS_TRY(read_word(tool, "search_context_size", "tools[].", size));
    return note_search_size(type.starts_with("web_search_preview") ? "preview" : size, request_);
  }

  Status read_conversation(const Members& root) {
    element value;
    bool found;
    KVCS_TRY(find_once(root, rules_.messages, "", found, value));
    array messages;
    if (!found || value.get(messages) != simdjson::SUCCESS) return ok();
    for (const element one : messages) {
      request_.added_tokens += kMessageAddedTokens;
      object message;
      if (one.get(message) == simdjson::SUCCESS) KVCS_TRY(read_part(message, 0));
    }
    return ok();
  }

  // A message, an item of input or a part of either: media, or something that has parts itself.
  Status read_part(const Members& part, size_t depth) {
    if (depth > kDepthMax) return ok();
    std::string type;
    KVCS_TRY(read_word(part, "type", "content[].", type));
    for (const MediaRule& rule : rules_.media) {
      if (type == rule.type || has_untyped(rule, part)) return read_media(rule, part, depth);
    }
    KVCS_TRY(read_stored(part, type));
    return read_inner_parts(part, depth);
  }

  // Some servers (vLLM, Jina) know media by its member and look at no type.
  static bool has_untyped(const MediaRule& rule, const Members& part) {
    const bool is_named = rule.type == (rule.holder.empty() ? rule.data : rule.holder);
    element value;
    return is_named && part[rule.type].get(value) == simdjson::SUCCESS && !value.is_null();
  }

  // A part that names what the provider has stored, or that nothing is known of.
  Status read_stored(const Members& part, std::string_view type) {
    if (part["audio"]["id"].is_string()) {
      request_.asked.input_audio = 1;
      note_input("messages[].audio.id");
    }
    if (type.empty()) {
      const bool has_words =
          part["role"].error() == simdjson::SUCCESS || part["content"].error() == simdjson::SUCCESS;
      if (!has_words && part["id"].is_string()) note_input(std::string(rules_.messages) + "[].id");
      return ok();
    }
    for (const PartRule& rule : rules_.parts) {
      if (type != rule.type) continue;
      const bool is_here = rule.content.empty() || part[rule.content].is_string();
      if (!is_here) note_input(type);
      return ok();
    }
    note_input("content[].type " + std::string(type));
    return ok();
  }

  Status read_inner_parts(const Members& part, size_t depth) {
    for (const auto& [name, value] : part) {
      static constexpr std::string_view kInner[] = {"content", "output", "source"};
      const auto inner_name =
          std::find_if(std::begin(kInner), std::end(kInner),
                       [&name = name](auto one) { return equal_ignore_case(name, one); });
      if (inner_name == std::end(kInner)) continue;
      if (name != *inner_name) {
        return bad_member(*inner_name, "is written '" + printable(name, kShownName) + "'.");
      }
      array list;
      object inner;
      if (value.get(list) == simdjson::SUCCESS) {
        for (const element one : list) {
          if (one.get(inner) == simdjson::SUCCESS) KVCS_TRY(read_part(inner, depth + 1));
        }
      } else if (value.get(inner) == simdjson::SUCCESS) {
        KVCS_TRY(read_part(inner, depth + 1));
      }
    }
    return ok();
  }

  // The data of a part in the body: "" when it is elsewhere, by URL or id.
  Status find_data(const MediaRule& rule, const Members& part, std::string_view& data) {
    Members holder = part;
    element value;
    bool found;
    if (!rule.holder.empty()) {
      KVCS_TRY(find_once(part, rule.holder, "content[].", found, value));
      // "image_url" may be the URL itself.
      if (found && value.get(data) == simdjson::SUCCESS) return ok();
      object inner;
      if (!found || value.get(inner) != simdjson::SUCCESS) return ok();
      holder = inner;
    }
    KVCS_TRY(find_once(holder, rule.data, "content[].", found, value));
    if (found && value.get(data) != simdjson::SUCCESS) data = {};
    return ok();
  }

  // A document whose source is text, or parts, is read as those.
  static bool is_text_source(const Members& part) {
    object source;
    std::string_view kind;
    return part["source"].get(source) == simdjson::SUCCESS &&
           source["type"].get(kind) == simdjson::SUCCESS && (kind == "text" || kind == "content");
  }

  Status read_media(const MediaRule& rule, const Members& part, size_t depth) {
    if (rule.media == Media::kFile && is_text_source(part)) return read_inner_parts(part, depth);
    std::string_view data;
    KVCS_TRY(find_data(rule, part, data));
    const bool is_url = data.starts_with("http://") || data.starts_with("https://");
    if (!is_url) request_.text_bytes -= size_of(data);
    switch (rule.media) {
      case Media::kImage:
        request_.images++;
        return ok();
      case Media::kAudio:
        request_.asked.input_audio = 1;
        request_.audio_bytes += size_of(data) * 3 / 4;
        if (is_url || data.empty()) note_input(rule.type);
        return ok();
      case Media::kFile:
        note_input(rule.type);
        return ok();
    }
    return ok();
  }

  const RequestRules& rules_;
  ChatRequest& request_;
};

}  // namespace

Result<ChatRequest> read_by_rules(const RequestRules& rules, std::string body,
                                  const ReadMore& more) {
  // The parser's buffers grow with the body and are used again, so a large body gets a parser of
  // its own that goes with it.
  thread_local QuickParser kept(kDepthMax);
  std::optional<QuickParser> large;
  if (body.size() > QuickParser::kKeptMaxBytes) large.emplace(kDepthMax);
  QuickParser& parser = large ? *large : kept;
  object parsed;
  if (!parser.parse_lenient(body, parsed)) {
    const std::string why =
        parser.too_deep() ? "The body nests deeper than " + std::to_string(kDepthMax) + " levels."
                          : "The body must be a JSON object: " + std::string(parser.fault());
    return invalid(why).with_reason("invalid_request_error");
  }
  ChatRequest request;
  request.body = std::move(body);
  const Members root(parsed);
  Reader reader(rules, request);
  KVCS_TRY(reader.read(root));
  KVCS_TRY(more(root, request));
  request.asked.output = request.has_output ? 1 : 0;
  // A negative figure would come of data that stands in the body in fewer bytes than it has
  // (escapes only add to them), hence never.
  request.text_bytes = std::max<int64_t>(request.text_bytes, 0);
  return request;
}

void edit_common(const ChatRequest& request, const BodyEdits& edits, std::string& body) {
  if (edits.model != request.model) {
    std::string text;
    append_json_string(text, edits.model);
    set_json_member(body, "model", text);
  }
  if (edits.output_tokens_max < 0) return;
  const std::string bound = std::to_string(edits.output_tokens_max);
  for (const std::string_view member : request.output_members) {
    set_json_member(body, member, bound);
  }
  if (request.output_members.empty()) set_json_member(body, edits.output_member, bound);
}

}  // namespace kvcs::ai
