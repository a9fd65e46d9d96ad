// The meter of all four APIs, and the guess of a request's input before it is sent.
#include "ai/dialects/usage.h"

#include <simdjson.h>

#include <algorithm>
#include <array>

#include "base/quick_json.h"

namespace kvcs::ai {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

// The counts that a provider has stated so far. A later statement replaces an earlier one, for
// streams repeat totals that grow; null, or a member that is absent, keeps what was known. Input
// and output are optional, since "not stated" and "0" are charged differently.
struct Counts {
  std::optional<int64_t> input, output;
  int64_t total = 0, cached = 0, cache_write = 0, audio_in = 0, reasoning = 0, audio_out = 0;
  int64_t cache_write_1h = 0, web_searches = 0;
};

// False when absent, null or not a whole number that makes sense as a count.
bool read_count(const object& from, std::string_view name, int64_t& out) {
  int64_t value;
  if (from[name].get_int64().get(value) != simdjson::SUCCESS || value < 0) return false;
  out = std::min<int64_t>(value, 1'000'000'000'000);
  return true;
}
void read_count(const object& from, std::string_view name, std::optional<int64_t>& out) {
  int64_t value;
  if (read_count(from, name, value)) out = value;
}

// OpenAI's usage object in both its spellings: cached, cache_write and audio are subsets of the
// input, reasoning and audio of the output.
void read_openai(const object& usage, Counts& counts) {
  const bool responses_spelling = usage["input_tokens"].error() == simdjson::SUCCESS;
  read_count(usage, responses_spelling ? "input_tokens" : "prompt_tokens", counts.input);
  read_count(usage, responses_spelling ? "output_tokens" : "completion_tokens", counts.output);
  read_count(usage, "total_tokens", counts.total);
  object details;
  if (usage[responses_spelling ? "input_tokens_details" : "prompt_tokens_details"].get(details) ==
      simdjson::SUCCESS) {
    read_count(details, "cached_tokens", counts.cached);
    read_count(details, "cache_write_tokens", counts.cache_write);
    read_count(details, "audio_tokens", counts.audio_in);
  }
  if (usage[responses_spelling ? "output_tokens_details" : "completion_tokens_details"].get(
          details) == simdjson::SUCCESS) {
    read_count(details, "reasoning_tokens", counts.reasoning);
    read_count(details, "audio_tokens", counts.audio_out);
  }
}

// Anthropic's usage object: the kinds add up, and every event repeats cumulative totals.
void read_anthropic(const object& usage, Counts& counts) {
  read_count(usage, "input_tokens", counts.input);
  read_count(usage, "output_tokens", counts.output);
  read_count(usage, "cache_read_input_tokens", counts.cached);
  read_count(usage, "cache_creation_input_tokens", counts.cache_write);
  object part;
  if (usage["cache_creation"].get(part) == simdjson::SUCCESS) {
    int64_t five_minutes = 0;
    read_count(part, "ephemeral_5m_input_tokens", five_minutes);
    read_count(part, "ephemeral_1h_input_tokens", counts.cache_write_1h);
    // Both buckets are the sum that is stated beside them, mostly.
    counts.cache_write = std::max(counts.cache_write, five_minutes + counts.cache_write_1h);
  }
  if (usage["server_tool_use"].get(part) == simdjson::SUCCESS) {
    read_count(part, "web_search_requests", counts.web_searches);
  }
}

// Takes the subsets out of their totals, so that the kinds of TokenUsage do not overlap. A subset
// that is larger than what is left of its total is cut: the sum must stay what was billed.
TokenUsage from_openai(const Counts& counts) {
  TokenUsage usage;
  const int64_t prompt = counts.input.value_or(0);
  // Some OpenAI-compatible servers leave thinking out of completion but count it in total.
  const int64_t completion = std::max(counts.output.value_or(0), counts.total - prompt);
  usage.cache_read = std::min(counts.cached, prompt);
  usage.cache_write_5m = std::min(counts.cache_write, prompt - usage.cache_read);
  usage.input_audio = std::min(counts.audio_in, prompt - usage.cache_read - usage.cache_write_5m);
  usage.input = prompt - usage.cache_read - usage.cache_write_5m - usage.input_audio;
  usage.reasoning = std::min(counts.reasoning, completion);
  usage.output_audio = std::min(counts.audio_out, completion - usage.reasoning);
  usage.output = completion - usage.reasoning - usage.output_audio;
  return usage;
}

// The kinds come apart already, but for the one-hour writes, which the stated sum of writes
// includes.
TokenUsage from_anthropic(const Counts& counts) {
  TokenUsage usage;
  usage.input = counts.input.value_or(0);
  usage.output = counts.output.value_or(0);
  usage.cache_read = counts.cached;
  usage.cache_write_1h = std::min(counts.cache_write_1h, counts.cache_write);
  usage.cache_write_5m = counts.cache_write - usage.cache_write_1h;
  usage.web_searches = counts.web_searches;
  return usage;
}

// Takes `"usage":null` and one comma beside it out of a JSON text; false when it is not there in
// the one spelling that OpenAI sends (anything else passes unchanged, which clients accept too).
bool cut_null_usage(std::string_view data, std::string& out) {
  constexpr std::string_view kMember = "\"usage\":null";
  const size_t at = data.rfind(kMember);
  if (at == data.npos) return false;
  size_t from = at, to = at + kMember.size();
  if (from > 0 && data[from - 1] == ',') {
    from--;
  } else if (to < data.size() && data[to] == ',') {
    to++;
  }
  out.assign("data: ").append(data.substr(0, from)).append(data.substr(to)).append("\n\n");
  return true;
}

// Reads an answer as it passes. Where the APIs state their usage:
//
//   chat completions  the body; of a stream the last chunk before [DONE], whose choices are empty
//                     (only when stream_options.include_usage was set, which upstream_body() does)
//   responses         the body; of a stream the object "response" of its last event
//   embeddings        the body; there is no output
//   messages          the body; of a stream the input in message_start, and the output in every
//                     message_delta, cumulative
//
// Beside that the meter counts the bytes of text that the model wrote, for a stream that breaks
// before its usage comes; and it notes whether the stream said that it is complete.
class Meter : public UsageMeter {
 public:
  Meter(ApiKind api, bool client_wants_usage)
      : api_(api), client_wants_usage_(client_wants_usage) {}

  void on_json(std::string_view body) override {
    complete_ = true;
    object root;
    if (!parse(body, root)) {
      relayed_bytes_ += static_cast<int64_t>(body.size());
      return;
    }
    note_answer(root);
    if (root["error"].is_object()) has_error_ = true;
    read_usage(root);
    if (!counts_.output) relayed_bytes_ += static_cast<int64_t>(body.size());
  }

  EventFate on_event(std::string_view event, std::string_view data,
                     std::string& rewritten) override {
    if (data == "[DONE]") {
      complete_ = true;
      return EventFate::kPass;
    }
    object root;
    if (!parse(data, root)) return EventFate::kPass;
    if (event == "error" || root["error"].is_object()) has_error_ = true;
    switch (api_) {
      case ApiKind::kMessages:
        on_messages_event(root);
        return EventFate::kPass;
      case ApiKind::kResponses:
        on_responses_event(root);
        return EventFate::kPass;
      default:
        return on_chat_event(root, data, rewritten);
    }
  }

  bool complete() const override { return complete_; }
  bool has_error() const override { return has_error_; }
  int64_t output_so_far() const override {
    return std::max(counts_.output.value_or(0), (relayed_bytes_ + 3) / 4);
  }
  std::string_view response_model() const override { return model_; }

  TokenUsage usage(int64_t input_guess) const override {
    Counts counts = counts_;
    const bool no_input = !counts.input;
    // Anthropic states a first output count at the start of a stream. Until the end says more, the
    // text that was relayed may be worth more than that count.
    const bool no_output = !counts.output || (!complete_ && api_ != ApiKind::kEmbeddings);
    if (no_input) counts.input = input_guess;
    if (no_output) counts.output = std::max(counts.output.value_or(0), (relayed_bytes_ + 3) / 4);
    TokenUsage usage = api_ == ApiKind::kMessages ? from_anthropic(counts) : from_openai(counts);
    usage.service_tier = tier_;
    usage.estimated = no_input || (no_output && api_ != ApiKind::kEmbeddings);
    return usage;
  }

 private:
  // `root` is valid until the next call. The parser is shared by all meters of the thread, so a
  // meter whose stream pauses keeps no memory, unless something large came: that gets a parser of
  // its own, lest the shared one stay as large.
  bool parse(std::string_view text, object& root) {
    thread_local QuickParser kept;
    if (text.size() <= QuickParser::kKeptMaxBytes) {
      return kept.parse(text, root);
    }
    large_ = std::make_unique<QuickParser>();
    return large_->parse(text, root);
  }

  // Notes the model that answered and its service tier: both may differ from those asked for.
  void note_answer(const object& from) {
    std::string_view model;
    if (model_.empty() && from["model"].get(model) == simdjson::SUCCESS) {
      model_ = model.substr(0, 200);
    }
    std::string_view tier;
    if (from["service_tier"].get(tier) == simdjson::SUCCESS) tier_ = service_tier(tier);
  }

  bool read_usage(const object& from) {
    object usage;
    if (from["usage"].get(usage) != simdjson::SUCCESS) return false;
    if (api_ == ApiKind::kMessages) {
      read_anthropic(usage, counts_);
    } else {
      read_openai(usage, counts_);
      if (api_ == ApiKind::kEmbeddings && !counts_.output) counts_.output = 0;
    }
    return true;
  }

  void count_text(const object& from, std::string_view name) {
    std::string_view text;
    if (from[name].get(text) == simdjson::SUCCESS) {
      relayed_bytes_ += static_cast<int64_t>(text.size());
    }
  }

  // Text that a chunk adds to a choice: its content, its reasoning under the names that servers
  // have for it, and the calls of functions.
  void count_delta(const object& delta) {
    for (const std::string_view name : {"content", "reasoning_content", "reasoning", "refusal"}) {
      count_text(delta, name);
    }
    simdjson::dom::array calls;
    if (delta["tool_calls"].get(calls) != simdjson::SUCCESS) return;
    for (const element call : calls) {
      object function;
      if (call["function"].get(function) != simdjson::SUCCESS) continue;
      count_text(function, "name");
      count_text(function, "arguments");
    }
  }

  // OpenAI puts "usage":null into every chunk of a stream that was asked for usage. A client that
  // did not ask gets neither that member nor the last chunk.
  EventFate on_chat_event(const object& root, std::string_view data, std::string& rewritten) {
    note_answer(root);
    const bool has_usage = read_usage(root);
    simdjson::dom::array choices;
    const bool has_choices = root["choices"].get(choices) == simdjson::SUCCESS;
    if (has_choices) {
      for (const element choice : choices) {
        object delta;
        if (choice["delta"].get(delta) == simdjson::SUCCESS) count_delta(delta);
      }
    }
    if (client_wants_usage_) return EventFate::kPass;
    const bool for_us = has_usage && (!has_choices || choices.size() == 0);
    if (for_us && !root["error"].is_object()) return EventFate::kSwallow;
    if (root["usage"].is_null() && cut_null_usage(data, rewritten)) return EventFate::kRewrite;
    return EventFate::kPass;
  }

  void on_responses_event(const object& root) {
    std::string_view type;
    if (root["type"].get(type) != simdjson::SUCCESS) return;
    if (type.ends_with(".delta")) count_text(root, "delta");
    object response;
    if (root["response"].get(response) == simdjson::SUCCESS) {
      note_answer(response);
      read_usage(response);
    }
    if (type == "response.completed" || type == "response.incomplete") complete_ = true;
    if (type == "response.failed") complete_ = has_error_ = true;
  }

  void on_messages_event(const object& root) {
    std::string_view type;
    if (root["type"].get(type) != simdjson::SUCCESS) return;
    object part;
    if (type == "message_start" && root["message"].get(part) == simdjson::SUCCESS) {
      note_answer(part);
      read_usage(part);
    } else if (type == "message_delta") {
      read_usage(root);
    } else if (type == "content_block_delta" && root["delta"].get(part) == simdjson::SUCCESS) {
      for (const std::string_view name : {"text", "partial_json", "thinking"}) {
        count_text(part, name);
      }
    } else if (type == "message_stop") {
      complete_ = true;
    } else if (type == "error") {
      has_error_ = true;
    }
  }

  const ApiKind api_;
  const bool client_wants_usage_;
  std::unique_ptr<QuickParser> large_;
  std::string model_;
  Counts counts_;
  int64_t relayed_bytes_ = 0;  // Of text that the model wrote; 4 bytes are about a token.
  std::string tier_;
  bool complete_ = false, has_error_ = false;
};

// Adds up the guess for one request: text by its bytes, pictures and sound by a flat figure. Names
// of members and punctuation count as text, for templates of chats and tools add about as much.
struct InputGuess {
  int64_t text_bytes = 0;
  int64_t media_tokens = 0;

  void add(const element& value, std::string_view name) {
    // A high-detail picture is at most about 1,600 tokens with every provider served here; a minute
    // of sound about 600, and base64 of it is about 160 KiB at speech quality.
    constexpr int64_t kImageTokens = 1'600, kAudioBytesPerToken = 250;
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) {
      const bool image = name == "image_url" || text.starts_with("data:image/");
      if (image || (name == "data" && text.size() > 1024)) {
        media_tokens +=
            image ? kImageTokens
                  : std::max(kImageTokens, static_cast<int64_t>(text.size()) / kAudioBytesPerToken);
      } else {
        text_bytes += static_cast<int64_t>(text.size()) + 4;
      }
      return;
    }
    object members;
    simdjson::dom::array elements;
    if (value.get(members) == simdjson::SUCCESS) {
      add_members(members, name);
    } else if (value.get(elements) == simdjson::SUCCESS) {
      for (const element item : elements) {
        text_bytes += 2;
        add(item, {});
      }
    } else {
      text_bytes += 6;
    }
  }
  void add_members(const object& members, std::string_view name) {
    for (const auto& [key, member] : members) {
      text_bytes += static_cast<int64_t>(key.size()) + 4;
      const bool is_image = name == "image_url" && key == "url";
      add(member, is_image ? std::string_view("image_url") : key);
    }
  }
};

}  // namespace

std::string_view service_tier(std::string_view name) {
  return name == "priority" || name == "flex" ? name : std::string_view();
}

int64_t estimate_input_tokens(const object& body) {
  InputGuess guess;
  guess.add_members(body, {});
  return (guess.text_bytes + 2) / 3 + guess.media_tokens;
}

std::unique_ptr<UsageMeter> make_usage_meter(ApiKind api, bool client_wants_usage) {
  return std::make_unique<Meter>(api, client_wants_usage);
}

}  // namespace kvcs::ai
