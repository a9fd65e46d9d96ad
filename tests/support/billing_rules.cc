// Prices, the reading of requests, and amounts, as providers document them.
#include "support/billing_rules.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <utility>

namespace kvcs::test {
namespace {

Sheet uno(const std::string& provider, int64_t times) {
  Sheet sheet{.provider = provider, .model = "uno", .mode = "chat"};
  const std::map<std::string, int64_t> tokens = {{"input_cost_per_token", 150'017},
                                                 {"output_cost_per_token", 600'011},
                                                 {"cache_read_input_token_cost", 75'003},
                                                 {"cache_creation_input_token_cost", 187'523},
                                                 {"output_cost_per_reasoning_token", 700'009},
                                                 {"input_cost_per_audio_token", 2'000'003},
                                                 {"output_cost_per_audio_token", 4'000'037}};
  for (const auto& [member, pico] : tokens) {
    sheet.pico[member] = pico * times;
    sheet.pico[member + "_priority"] = pico * times * 2 + 1;
    sheet.pico[member + "_flex"] = pico * times / 2;
  }
  sheet.by_size = {{"low", 300'000'007}, {"medium", 400'000'009}, {"high", 500'000'011}};
  sheet.pico["file_search_cost_per_call"] = 100'000'003;
  sheet.pico["code_interpreter_cost_per_session"] = 700'000'001;
  sheet.pico["image_generation_cost_per_call"] = 900'000'007;
  sheet.image_tokens = 800;
  return sheet;
}

// Dearer above 4,000 tokens of input, and thinks unasked.
Sheet tre() {
  Sheet sheet{.provider = "alpha", .model = "tre", .mode = "chat"};
  const std::map<std::string, int64_t> tokens = {{"input_cost_per_token", 90'001},
                                                 {"output_cost_per_token", 400'003},
                                                 {"cache_read_input_token_cost", 45'007},
                                                 {"cache_creation_input_token_cost", 112'501}};
  for (const auto& [member, pico] : tokens) {
    sheet.pico[member] = pico;
    sheet.pico[member + "_above_4k_tokens"] = pico * 2 + 3;
  }
  sheet.long_above = 4'000;
  sheet.reasons = true;
  return sheet;
}

// Its prices end in 0, for a region makes them a tenth dearer.
Sheet due(const std::string& provider, int64_t times) {
  Sheet sheet{.provider = provider, .model = "due", .mode = "chat"};
  sheet.pico = {{"input_cost_per_token", 300'020 * times},
                {"output_cost_per_token", 1'500'010 * times},
                {"cache_read_input_token_cost", 30'010 * times},
                {"cache_creation_input_token_cost", 375'030 * times},
                {"cache_creation_input_token_cost_above_1hr", 600'040 * times}};
  sheet.by_size = {{"low", 400'000'021}, {"medium", 400'000'021}, {"high", 400'000'021}};
  sheet.has_factors = true;
  return sheet;
}

}  // namespace

const std::vector<Sheet>& sheets() {
  static const std::vector<Sheet> all = [] {
    Sheet vec{.provider = "alpha", .model = "vec", .mode = "embedding"};
    vec.pico["input_cost_per_token"] = 20'003;
    return std::vector<Sheet>{uno("alpha", 1), uno("beta", 3),  tre(),
                              due("gamma", 1), due("delta", 2), vec};
  }();
  return all;
}

int64_t amount_nano_usd(const Sheet& sheet, const Use& use) {
  std::string suffix;
  if (!use.tier.empty()) {
    suffix = "_" + use.tier;
  } else if (sheet.long_above > 0 && use.input() > sheet.long_above) {
    suffix = "_above_4k_tokens";
  }
  __int128 pico = 0;
  const auto add = [&](int64_t count, const std::string& member, const std::string& otherwise) {
    if (count == 0) return;
    pico += static_cast<__int128>(count) *
            sheet.pico.at((sheet.pico.contains(member) ? member : otherwise) + suffix);
  };
  add(use.plain, "input_cost_per_token", "");
  add(use.cached, "cache_read_input_token_cost", "input_cost_per_token");
  add(use.written, "cache_creation_input_token_cost", "input_cost_per_token");
  add(use.written_1h, "cache_creation_input_token_cost_above_1hr", "");
  add(use.heard, "input_cost_per_audio_token", "");
  add(use.text, "output_cost_per_token", "");
  add(use.reasoning, "output_cost_per_reasoning_token", "output_cost_per_token");
  add(use.spoken, "output_cost_per_audio_token", "");
  if (use.is_fast) pico *= 6;
  if (use.is_us) pico = pico * 11 / 10;
  suffix.clear();
  add(use.files, "file_search_cost_per_call", "");
  add(use.sessions, "code_interpreter_cost_per_session", "");
  add(use.images, "image_generation_cost_per_call", "");
  if (use.searches > 0) pico += static_cast<__int128>(use.searches) * sheet.by_size.at(use.size);
  return static_cast<int64_t>((pico + 999) / 1000);
}

std::string shown(const Use& use) {
  return Json{{"plain", use.plain},         {"cached", use.cached},
              {"written", use.written},     {"1h", use.written_1h},
              {"heard", use.heard},         {"text", use.text},
              {"reasoning", use.reasoning}, {"spoken", use.spoken},
              {"searches", use.searches},   {"files", use.files},
              {"sessions", use.sessions},   {"images", use.images},
              {"tier", use.tier},           {"size", use.size},
              {"fast", use.is_fast},        {"us", use.is_us}}
      .dump();
}

namespace {

// All text below `value`, media apart.
int64_t text_bytes(const Json& value) {
  if (value.is_string()) return static_cast<int64_t>(value.get_ref<const std::string&>().size());
  int64_t bytes = 0;
  for (const auto& [name, member] : value.items()) {
    if (name == "url" || name == "data" || name == "file_data" || name == "image_url") {
      if (member.is_string()) continue;
    }
    if (member.is_string() || member.is_structured()) bytes += text_bytes(member);
  }
  return bytes;
}

// Parts of a type anywhere in the body.
void each_part(const Json& value, const std::function<void(const Json&)>& look) {
  if (!value.is_structured()) return;
  if (value.is_object() && value.contains("type")) look(value);
  for (const Json& member : value) each_part(member, look);
}

struct Prompt {
  int64_t bytes = 0, heard_max = 0;
  bool is_open = false;  // Something comes in from elsewhere.
};

Prompt prompt_of(const Reading& reading) {
  Prompt prompt;
  const Json& body = *reading.body;
  for (const char* name : {"messages", "input", "system", "instructions"}) {
    if (!body.contains(name)) continue;
    prompt.bytes += text_bytes(body[name]);
    if (body[name].is_array()) prompt.bytes += 3 * static_cast<int64_t>(body[name].size()) + 3;
  }
  if (body.contains("tools")) {
    prompt.bytes += static_cast<int64_t>(body["tools"].dump().size());
    prompt.bytes += reading.api == "messages" ? 804 : 12;
  }
  for (const char* name : {"previous_response_id", "web_search_options"}) {
    prompt.is_open = prompt.is_open || body.contains(name);
  }
  each_part(body, [&](const Json& part) {
    const std::string type = text_member(part, "type");
    if (type == "image_url" || type == "input_image" || type == "image") {
      prompt.bytes += reading.sheet->image_tokens;
      prompt.is_open = prompt.is_open || reading.sheet->image_tokens == 0;
    } else if (type == "file" || type == "input_file" || type == "document") {
      prompt.is_open = true;
    } else if (type.starts_with("web_") || type == "file_search" || type == "code_interpreter" ||
               type == "image_generation") {
      prompt.is_open = true;
    } else if (type == "input_audio") {
      const auto size = text_member(part["input_audio"], "data").size();
      prompt.heard_max += static_cast<int64_t>(size) * 3 / 4;
    }
  });
  return prompt;
}

// A part of `left`, taken out of it.
int64_t take_part(Random& random, int64_t& left) {
  const int64_t part = left > 0 ? between(random, 0, left) : 0;
  left -= part;
  return part;
}

// Likes the largest that is possible.
int64_t up_to(Random& random, int64_t most) {
  return chance(random, 40) ? most : between(random, 1, std::max<int64_t>(most, 1));
}

void use_input(Reading& reading, Use& use) {
  Random& random = reading.random;
  const Prompt prompt = prompt_of(reading);
  const Json& body = *reading.body;
  int64_t most = prompt.is_open ? reading.sheet->context : prompt.bytes;
  // Each input of embeddings may be as long as the context; a conversation is one.
  if (reading.api != "embeddings") most = std::min(most, reading.sheet->context);
  int64_t left = up_to(random, most);
  if (prompt.heard_max > 0 && left < reading.sheet->context) {
    use.heard = std::min(up_to(random, prompt.heard_max), reading.sheet->context - left);
  }
  if (reading.api == "messages") {
    bool writes = false, hour = false;
    each_part(body["messages"], [&](const Json& part) {
      if (!part.contains("cache_control")) return;
      writes = true;
      hour = hour || text_member(part["cache_control"], "ttl") == "1h";
    });
    if (writes) use.cached = take_part(random, left);
    if (writes && chance(random, 70)) use.written = take_part(random, left);
    if (hour) use.written_1h = take_part(random, left);
  } else if (reading.api != "embeddings" && chance(random, 60)) {
    use.cached = take_part(random, left);
    use.written = take_part(random, left);
  }
  use.plain = left;
}

void use_output(Reading& reading, Use& use) {
  if (reading.api == "embeddings") return;
  Random& random = reading.random;
  const Json& body = *reading.body;
  int64_t bound = 0;
  for (const char* name : {"max_tokens", "max_completion_tokens", "max_output_tokens"}) {
    bound = std::max(bound, integer_member(body, name));
  }
  if (bound <= 0 || bound > reading.sheet->output_max) bound = reading.sheet->output_max;
  int64_t most = bound * reading.choices;
  if (body.contains("prediction")) {
    most += static_cast<int64_t>(text_member(body["prediction"], "content").size());
  }
  int64_t left = up_to(random, most);
  const bool asks =
      body.contains("reasoning_effort") || body.contains("reasoning") || body.contains("thinking");
  if (reading.sheet->reasons || asks) {
    use.reasoning = chance(random, 20) ? std::exchange(left, 0) : take_part(random, left);
  }
  if (body.contains("modalities")) use.spoken = take_part(random, left);
  use.text = left;
}

void use_calls(Reading& reading, Use& use) {
  Random& random = reading.random;
  const Json& body = *reading.body;
  if (body.contains("web_search_options")) {
    use.searches = 1;
    const std::string size = text_member(body["web_search_options"], "search_context_size");
    if (!size.empty()) use.size = size;
  }
  if (!body.contains("tools")) return;
  // A provider that nobody holds back calls its tools as often as it likes.
  int64_t left = body.contains("max_tool_calls") ? integer_member(body, "max_tool_calls") : 40;
  for (const Json& tool : body["tools"]) {
    const std::string type = text_member(tool, "type");
    if (type.starts_with("web_search")) {
      if (tool.contains("max_uses")) left = integer_member(tool, "max_uses");
      const std::string size = text_member(tool, "search_context_size");
      if (!size.empty()) use.size = size;
      use.searches = take_part(random, left);
    } else if (type == "file_search") {
      use.files = take_part(random, left);
    } else if (type == "image_generation") {
      use.images = take_part(random, left);
    } else if (type == "code_interpreter" && left > 0) {
      use.sessions = between(random, 0, 1);
      left -= use.sessions;
    }
  }
}

void use_conditions(Reading& reading, Use& use) {
  const std::string tier = text_member(*reading.body, "service_tier");
  // Priority may be served as the standard, at its price.
  if (tier == "flex" || (tier == "priority" && chance(reading.random, 80))) use.tier = tier;
  use.is_fast = text_member(*reading.body, "speed") == "fast" && chance(reading.random, 80);
  use.is_us = text_member(*reading.body, "inference_geo") == "us";
}

}  // namespace

void draw_use(Reading& reading) {
  Use& use = reading.use;
  use_conditions(reading, use);
  use_input(reading, use);
  use_output(reading, use);
  use_calls(reading, use);
  reading.first_input = use.plain;
  // What the provider's tools find comes in after the answer has begun.
  each_part(reading.body->value("tools", Json::array()), [&](const Json& tool) {
    if (reading.api != "messages" || !text_member(tool, "type").starts_with("web_")) return;
    int64_t left = use.plain;
    reading.first_input = take_part(reading.random, left);
  });
  if (!reading.body->contains("context_management") || !chance(reading.random, 60)) return;
  reading.is_compacted = true;
  use_conditions(reading, reading.compaction);
  use_input(reading, reading.compaction);
  use_output(reading, reading.compaction);
}

Use billed_use(const Reading& reading) {
  Use sum = reading.use;
  if (!reading.is_compacted) return sum;
  for (int64_t Use::*count : {&Use::plain, &Use::cached, &Use::written, &Use::written_1h,
                              &Use::heard, &Use::text, &Use::reasoning}) {
    sum.*count += reading.compaction.*count;
  }
  return sum;
}

}  // namespace kvcs::test
