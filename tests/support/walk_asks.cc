// Draws requests from all that the APIs allow and that costs.
#include "support/walk_asks.h"

#include <nlohmann/json.hpp>

#include <vector>

#include "base/json.h"

namespace kvcs::test {
namespace {

std::string one_of(Random& random, const std::vector<std::string>& words) {
  return words[static_cast<size_t>(between(random, 0, static_cast<int64_t>(words.size()) - 1))];
}
std::string text(Random& random, int64_t most) {
  return std::string(static_cast<size_t>(between(random, 1, most)), 'a');
}

Json picture(Random& random, const std::string& api) {
  const std::string url = "https://a.example/b.png", inside(1'000, 'A');
  const bool is_inside = chance(random, 50);
  if (api == "messages") {
    return {{"type", "image"},
            {"source",
             {{"type", is_inside ? "base64" : "url"},
              {is_inside ? "data" : "url", is_inside ? inside : url}}}};
  }
  const std::string address = is_inside ? "data:image/png;base64," + inside : url;
  if (api == "responses") return {{"type", "input_image"}, {"image_url", address}};
  return {{"type", "image_url"}, {"image_url", {{"url", address}}}};
}

Json file(const std::string& api) {
  if (api == "messages") {
    return {{"type", "document"}, {"source", {{"type", "file"}, {"file_id", "file_1"}}}};
  }
  if (api == "responses") return {{"type", "input_file"}, {"file_id", "file_1"}};
  return {{"type", "file"}, {"file", {{"file_id", "file_1"}}}};
}

Json function_tool(const std::string& api) {
  const Json schema = {{"type", "object"}, {"properties", {{"city", {{"type", "string"}}}}}};
  if (api == "messages") return {{"name", "weather"}, {"input_schema", schema}};
  if (api == "responses") {
    return {{"type", "function"}, {"name", "weather"}, {"parameters", schema}};
  }
  return {{"type", "function"}, {"function", {{"name", "weather"}, {"parameters", schema}}}};
}

Json content(Random& random, const std::string& api, const std::string& model) {
  if (chance(random, 40)) return text(random, chance(random, 20) ? 6'000 : 400);
  Json parts = Json::array();
  parts.push_back(
      {{"type", api == "responses" ? "input_text" : "text"}, {"text", text(random, 300)}});
  if (chance(random, 20)) parts.push_back(picture(random, api));
  if (chance(random, 5)) parts.push_back(file(api));
  if (api == "chat" && model != "alpha/tre" && chance(random, 20)) {
    parts.push_back({{"type", "input_audio"},
                     {"input_audio", {{"data", std::string(400, 'A')}, {"format", "wav"}}}});
  }
  if (api == "messages" && chance(random, 40)) {
    parts[0]["cache_control"] = {{"type", "ephemeral"}};
    if (chance(random, 50)) parts[0]["cache_control"]["ttl"] = one_of(random, {"5m", "1h"});
  }
  return parts;
}

void add_chat(Random& random, const std::string& model, Json& body) {
  if (chance(random, 25)) body["n"] = between(random, 1, 3);
  if (chance(random, 70)) {
    body[one_of(random, {"max_tokens", "max_completion_tokens"})] = between(random, -1, 1'500);
  }
  if (chance(random, 10)) body["max_tokens"] = between(random, -1, 300);
  if (body.contains("stream") && chance(random, 40)) {
    body["stream_options"] = {{"include_usage", true}};
  }
  if (chance(random, 15)) body["reasoning_effort"] = one_of(random, {"low", "high"});
  if (chance(random, 10)) {
    body["prediction"] = {{"type", "content"}, {"content", text(random, 200)}};
  }
  if (model == "alpha/tre") return;
  if (chance(random, 15)) body["modalities"] = {"text", "audio"};
  if (chance(random, 15)) {
    body["web_search_options"] = Json::object();
    if (chance(random, 60)) {
      body["web_search_options"]["search_context_size"] = one_of(random, {"low", "high"});
    }
  }
}

void add_responses(Random& random, const std::string& model, Json& body) {
  if (chance(random, 70)) body["max_output_tokens"] = between(random, 0, 1'500);
  if (chance(random, 15)) body["reasoning"] = {{"effort", "low"}};
  if (chance(random, 15)) body["previous_response_id"] = "resp_0";
  if (model == "alpha/tre" || chance(random, 60)) return;
  Json& tools = body["tools"];
  tools.push_back({{"type", one_of(random, {"web_search", "file_search", "image_generation"})}});
  if (chance(random, 30) && tools[0]["type"] == "web_search") {
    tools[0]["search_context_size"] = one_of(random, {"low", "medium", "high"});
  }
  if (chance(random, 30)) {
    tools.push_back({{"type", "code_interpreter"}, {"container", {{"type", "auto"}}}});
  }
  if (chance(random, 50)) body["max_tool_calls"] = between(random, 0, 4);
}

void add_messages(Random& random, Json& body) {
  body["max_tokens"] = between(random, 1, 1'500);
  if (chance(random, 15)) {
    body["max_tokens"] = between(random, 600, 1'000);
    body["thinking"] = {{"type", "enabled"}, {"budget_tokens", between(random, 100, 500)}};
  }
  if (chance(random, 15)) body["speed"] = "fast";
  if (chance(random, 15)) body["inference_geo"] = "us";
  if (chance(random, 20)) body["service_tier"] = one_of(random, {"auto", "standard_only"});
  if (chance(random, 10))
    body["context_management"] = {{"edits", {{{"type", "compact_20260112"}}}}};
  if (chance(random, 20)) {
    Json tool = {{"type", "web_search_20250305"}, {"name", "web_search"}};
    if (chance(random, 60)) tool["max_uses"] = between(random, 1, 3);
    body["tools"].push_back(tool);
  } else if (chance(random, 10)) {
    body["tools"].push_back({{"type", "web_fetch_20250910"}, {"name", "web_fetch"}});
  }
}

}  // namespace

Ask make_ask(Random& random, const std::string& marker) {
  Ask ask{.path = {}, .body = {}, .marker = marker};
  if (chance(random, 25)) {
    ask.leave = static_cast<Leave>(between(random, 1, 3));
    if (ask.leave == Leave::kBeforeHead) ask.marker += "-held";
  }
  const std::string api = one_of(random, {"chat", "chat", "responses", "messages", "embeddings"});
  Json body;
  if (api == "messages") {
    body["metadata"] = {{"user_id", ask.marker}};
  } else {
    body["user"] = ask.marker;
  }
  if (api == "embeddings") {
    ask.path = "/v1/embeddings";
    body["model"] = "alpha/vec";
    for (int64_t i = between(random, 1, 4); i > 0; i--)
      body["input"].push_back(text(random, 5'000));
    ask.body = body.dump();
    return ask;
  }
  const std::string model = api == "messages" ? one_of(random, {"gamma/due", "pair"})
                                              : one_of(random, {"alpha/uno", "alpha/tre", "both"});
  body["model"] = model;
  if (chance(random, 60)) body["stream"] = true;
  const char* member = api == "responses" ? "input" : "messages";
  for (int64_t i = between(random, 1, 3); i > 0; i--) {
    body[member].push_back({{"role", "user"}, {"content", content(random, api, model)}});
  }
  if (chance(random, 15)) body["tools"].push_back(function_tool(api));
  if (api == "messages") {
    add_messages(random, body);
  } else if (api == "responses") {
    add_responses(random, model, body);
  } else {
    add_chat(random, model, body);
  }
  if (api != "messages" && model != "alpha/tre" && chance(random, 30)) {
    body["service_tier"] = one_of(random, {"auto", "default", "flex", "priority"});
  }
  ask.path = api == "chat" ? "/v1/chat/completions" : "/v1/" + api;
  ask.body = body.dump();
  return ask;
}

}  // namespace kvcs::test
