// What a request may cost, read from every spelling of it: bounds, media, context that is not in
// the body, tools of the provider, cache writes; and the edits of a body on its way out.
#include <catch2/catch.hpp>

#include <tuple>

#include "ai/dialects/dialect.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

constexpr ApiKind kChat = ApiKind::kChatCompletions, kMessages = ApiKind::kMessages;
constexpr ApiKind kResponses = ApiKind::kResponses;

ChatRequest read(ApiKind api, const std::string& members) {
  Result<ChatRequest> request = dialect(api).read_request(R"({"model":"m",)" + members + "}");
  INFO(members.substr(0, 300) << " " << request.status().to_string());
  REQUIRE(request.ok());
  return std::move(request).value();
}
std::string refusal(ApiKind api, const std::string& members) {
  return dialect(api).read_request(R"({"model":"m",)" + members + "}").status().message();
}
bool has(const std::string& text, std::string_view word) {
  return text.find(word) != text.npos;
}

}  // namespace

TEST_CASE("request: whole numbers may be written with a point or an exponent", "[unit][ai]") {
  CHECK(read(kChat, "\"max_tokens\":100.0").output_tokens_max == 100);
  CHECK(read(kChat, "\"max_tokens\":1e3").output_tokens_max == 1000);
  CHECK(read(kChat, "\"n\":1.0").choices == 1);
  CHECK(has(refusal(kChat, "\"max_tokens\":1.5"), "max_tokens"));
  CHECK(has(refusal(kChat, "\"max_tokens\":\"5\""), "max_tokens"));
  CHECK(has(refusal(kChat, "\"max_tokens\":-2"), "max_tokens"));
  CHECK(has(refusal(kChat, "\"n\":0"), "n: 0"));
}

TEST_CASE("request: 0 and -1 state no bound on the output, also beside another", "[unit][ai]") {
  CHECK(read(kChat, "\"max_tokens\":0").output_tokens_max == -1);
  CHECK(read(kChat, "\"max_tokens\":-1").output_tokens_max == -1);
  CHECK(read(kChat, "\"max_tokens\":5,\"max_completion_tokens\":0").output_tokens_max == -1);
  CHECK(read(kChat, "\"max_tokens\":5,\"max_completion_tokens\":7").output_tokens_max == 7);
  // Only what its own API has bounds an answer.
  CHECK(read(kResponses, "\"max_tokens\":5").output_tokens_max == -1);
  CHECK(read(kMessages, "\"max_completion_tokens\":5").output_tokens_max == -1);
}

TEST_CASE("request: another spelling of a member that costs is refused", "[unit][ai]") {
  CHECK(has(refusal(kChat, R"("Model":"gpt-4o")"), "model: is given twice"));
  CHECK(has(refusal(kChat, R"("max_tokens":1,"MAX_TOKENS":100000)"), "max_tokens: is given twice"));
  CHECK(has(refusal(kChat, R"("Service_Tier":"priority")"), "service_tier: is written"));
  CHECK(has(refusal(kMessages, R"("thinking":{"budget_tokens":1,"Budget_Tokens":9})"),
            "budget_tokens: is given twice"));
  CHECK(has(refusal(kResponses, R"("tools":[{"type":"function","type":"web_search"}])"),
            "tools[].type: is given twice"));
  CHECK(has(refusal(kMessages, R"("messages":[{"content":[{"type":"image","type":"text"}]}])"),
            "type: is given twice"));
}

TEST_CASE("request: half a surrogate pair passes as it came", "[unit][ai]") {
  const ChatRequest request = read(kChat, R"("messages":[{"content":"cut \ud83d"}])");
  CHECK(has(request.body, "\\ud83d"));
  const BodyEdits edits{.model = "m"};
  CHECK(dialect(kChat).upstream_body(request, edits) == request.body);
}

TEST_CASE("request: text counts by its bytes wherever it stands", "[unit][ai]") {
  const std::string text(10'000, 'x');
  const auto bytes = [&](ApiKind api, const std::string& members) {
    return read(api, members).text_bytes;
  };
  CHECK(bytes(kChat, R"("messages":[{"content":")" + text + "\"}]") >= 10'000);
  // A text that looks like media, and media where no media can stand, are text.
  CHECK(bytes(kChat, R"("messages":[{"content":"data:image/ )" + text + "\"}]") >= 10'000);
  CHECK(bytes(kChat, R"("messages":[{"role":"tool","content":"{\"data\":\")" + text +
                         "\\\"}\"}]") >= 10'000);
  CHECK(bytes(kChat, R"("tools":[{"type":"function","function":{"parameters":{"type":"image_url",)"
                     R"("image_url":{"url":"data:image/png;base64,)" +
                         text + "\"}}}}]") >= 10'000);
  CHECK(bytes(kMessages, R"("messages":[{"content":[{"type":"tool_use","input":{"type":"image",)"
                         R"("source":{"data":")" +
                             text + "\"}}}]}]") >= 10'000);
}

TEST_CASE("request: media is counted apart from text, and by its kind", "[unit][ai]") {
  const std::string data(40'000, 'A');
  const ChatRequest picture =
      read(kChat, R"("messages":[{"content":[{"type":"image_url","image_url":{"url":)"
                  R"("data:image/png;base64,)" +
                      data + "\"}}]}]");
  CHECK(picture.images == 1);
  CHECK(picture.text_bytes < 1'000);
  // Some servers look at the member alone.
  for (const std::string untyped : {R"({"image_url":"https://x/y"})",
                                    R"({"type":"text","text":"x","image_url":"https://x/y"})"}) {
    INFO(untyped);
    CHECK(read(kChat, R"("messages":[{"content":[)" + untyped + "]}]").images == 1);
  }
  CHECK(read(ApiKind::kEmbeddings, R"("input":[{"image":"https://x/y"}])").images == 1);
  CHECK(read(kChat, R"("messages":[{"content":[{"type":"image_url","image_url":"https://x/y"}]}])")
            .images == 1);
  const ChatRequest nested =
      read(kMessages, R"("messages":[{"content":[{"type":"tool_result","content":[{"type":"image",)"
                      R"("source":{"type":"base64","data":")" +
                          data + "\"}}]}]}]");
  CHECK(nested.images == 1);
  CHECK(nested.text_bytes < 1'000);
  const ChatRequest sound =
      read(kChat, R"("messages":[{"content":[{"type":"input_audio","input_audio":{"data":")" +
                      data + "\"}}]}]");
  CHECK(sound.audio_bytes == 30'000);
  CHECK(sound.asked.input_audio > 0);
}

TEST_CASE("request: what is not in the body makes its input unbounded", "[unit][ai]") {
  const std::string pdf(1'000, 'A');
  const std::vector<std::pair<ApiKind, std::string>> all = {
      {kResponses, R"("previous_response_id":"resp_1")"},
      {kResponses, R"("conversation":"conv_1")"},
      {kResponses, R"("prompt":{"id":"pmpt_1"})"},
      {kResponses, R"("input":[{"type":"item_reference","id":"x"}])"},
      {kResponses, R"("input":[{"content":[{"type":"input_file","file_id":"f"}]}])"},
      {kResponses, R"("input":[{"content":[{"type":"input_file","file_data":")" + pdf + "\"}]}]"},
      {kResponses, R"("tools":[{"type":"mcp","server_url":"https://x"}])"},
      {kResponses, R"("tools":[{"type":"something_new"}])"},
      {kChat, R"("messages":[{"content":[{"type":"file","file":{"file_data":")" + pdf + "\"}}]}]"},
      {kChat, R"("messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}])"},
      {kChat, R"("web_search_options":{})"},
      {kChat, R"("extra_body":{"google":{"cached_content":"cachedContents/1"}})"},
      {kChat, R"("extra_body":{"extra_body":{"google":{"cached_content":"c"}}})"},
      {kChat, R"("google":{"cached_content":"cachedContents/1"})"},
      {kChat, R"("cached_content":"cachedContents/1")"},
      {kChat, R"("data_sources":[{"type":"azure_search"}])"},
      {kChat, R"("messages":[{"role":"system","content":"fileid://file-fe-1"}])"},
      {kChat, R"("messages":[{"content":[{"video_url":{"url":"https://x/y"}}]}])"},
      {kResponses, R"("plugins":[{"id":"web"}])"},
      {kChat, R"("extra_body":{"google":{"thinking_config":{},"tools":[{"google_search":{}}]}})"},
      {kMessages, R"("messages":[{"content":[{"type":"document","source":{"type":"url",)"
                  R"("url":"https://x/y.pdf"}}]}])"},
      {kMessages, R"("container":"c1")"},
      {kMessages, R"("mcp_servers":[{"url":"https://x"}])"},
      {kMessages, R"("tools":[{"type":"web_fetch_20250910"}])"},
  };
  for (const auto& [api, members] : all) {
    INFO(members.substr(0, 200));
    CHECK_FALSE(read(api, members).unbounded_by.empty());
  }
  for (const auto& [api, members] : std::vector<std::pair<ApiKind, std::string>>{
           {kResponses, R"("previous_response_id":null,"tools":[{"type":"function"}])"},
           {kChat, R"("tools":[{"type":"function"}],"web_search_options":null)"},
           {kChat, R"("messages":[{"content":[{"type":"text","text":"x","file":null}]}])"},
           {kChat, R"("extra_body":{"google":{"thinking_config":{"thinking_budget":800}}})"},
           {kMessages, R"("tools":[{"name":"mine"},{"type":"bash_20250124"}],"mcp_servers":[])"},
           {kMessages, R"("messages":[{"content":[{"type":"document","source":{"type":"text",)"
                       R"("data":"words"}}]}])"}}) {
    INFO(members);
    CHECK(read(api, members).unbounded_by.empty());
  }
}

TEST_CASE("request: calls of the provider's tools are asked for with their bound", "[unit][ai]") {
  const ChatRequest bounded =
      read(kMessages, R"("tools":[{"type":"web_search_20250305","max_uses":10},{"name":"mine"}])");
  CHECK(bounded.asked.web_searches == 10);
  CHECK_FALSE(bounded.calls_unbounded);
  const ChatRequest open = read(kMessages, R"("tools":[{"type":"web_search_20250305"}])");
  CHECK(open.asked.web_searches > 0);
  CHECK(open.calls_unbounded);
  CHECK(read(kResponses, R"("tools":[{"type":"web_search_preview"}],"max_tool_calls":4)")
            .asked.web_searches == 4);
  CHECK(read(kResponses, R"("tools":[{"type":"code_interpreter"}])").asked.code_sessions > 0);
  CHECK(read(kChat, R"("web_search_options":{"search_context_size":"high"})").asked.search_size ==
        "high");
  CHECK(has(refusal(kMessages, R"("tools":[{"type":"advisor_20260301"}])"), "another model"));
  CHECK(has(refusal(kChat, R"("web_search_options":{"search_type":"pro"})"), "search_type"));
  CHECK(refusal(kChat, R"("web_search_options":{"search_type":"fast"})").empty());
  CHECK(read(kChat, R"("tools":[{"google_search":{}}])").asked.web_searches > 0);
  CHECK(read(kChat, R"("tools":[{"type":"openrouter:web_search"}])").asked.web_searches > 0);
}

TEST_CASE("request: ids of what the provider has stored are found by every member that names them",
          "[unit][ai]") {
  using Ids = std::vector<std::string>;
  const std::vector<std::tuple<ApiKind, std::string, Ids>> all = {
      {kResponses, R"("input":[{"type":"item_reference","id":"msg_1"}])", {"msg_1"}},
      {kResponses, R"("input":[{"type":"item_reference","ID":"msg_1"}])", {"msg_1"}},
      {kResponses, R"("input":[{"id":"msg_1"},{"id":"msg_2","type":null}])", {"msg_1", "msg_2"}},
      {kResponses, R"("input":[{"id":"mine","type":"message","role":"user","content":"x"}])", {}},
      {kResponses, R"("input":[{"id":"mine","role":"user","content":"x"}])", {}},
      {kResponses, R"("input":[{"type":"reasoning","id":"rs_1","summary":[]}])", {"rs_1"}},
      {kResponses,
       R"("input":[{"type":"reasoning","id":"rs_1","encrypted_content":""}])",
       {"rs_1"}},
      {kResponses, R"("input":[{"type":"reasoning","id":"rs_1","encrypted_content":"x"}])", {}},
      {kResponses, R"("input":[{"type":"image_generation_call","id":"ig_1"}])", {"ig_1"}},
      {kResponses, R"("tools":[{"type":"code_interpreter","container":"cntr_1"}])", {"cntr_1"}},
      {kResponses, R"("tools":[{"type":"code_interpreter","container":{"type":"auto"}}])", {}},
      {kResponses,
       R"("tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["f1"]}}])",
       {"f1"}},
      {kResponses,
       R"("tools":[{"type":"shell","environment":{"type":"container_reference",)"
       R"("container_id":"cntr_2"}}])",
       {"cntr_2"}},
      {kResponses,
       R"("input":[{"type":"code_interpreter_call","container_id":"cntr_3"}])",
       {"cntr_3"}},
      {kResponses, R"("prompt":{"id":"pmpt_1","version":"2"})", {"pmpt_1"}},
      {kResponses,
       R"("tools":[{"type":"shell","environment":{"type":"container_auto","skills":[)"
       R"({"type":"skill_reference","skill_id":"openai-spreadsheets"},)"
       R"({"type":"skill_reference","skill_id":"skill_1"}]}}])",
       {"skill_1"}},
      {kMessages, R"("container":"container_1")", {"container_1"}},
      {kMessages,
       R"("container":{"id":"container_1","skills":[{"type":"anthropic","skill_id":"pptx"},)"
       R"({"type":"custom","skill_id":"skill_2"}]})",
       {"container_1", "skill_2"}},
      {kMessages, R"("container":null)", {}},
      {kMessages,
       R"("messages":[{"content":[{"type":"tool_use","input":{"container":"x"}}]}])",
       {}},
      {kMessages,
       R"("messages":[{"content":[{"type":"container_upload","file_id":"file_1"}]}])",
       {"file_1"}},
      {kChat, R"("cached_content":"cachedContents/c1")", {"c1"}},
      {kChat, R"("extra_body":{"google":{"cached_content":"c1"}})", {"c1"}},
      {kChat, R"("prompt":"words")", {}},
  };
  for (const auto& [api, members, ids] : all) {
    INFO(members);
    CHECK(read(api, members).stored_ids == ids);
  }
}

TEST_CASE("request: what may go over to another model is refused by every API", "[unit][ai]") {
  for (const ApiKind api : {kChat, kMessages, kResponses, ApiKind::kEmbeddings}) {
    for (const std::string member :
         {"models", "fallbacks", "preset", "providerOptions", "compound_custom", "safety_model"}) {
      for (const std::string value : {R"(["a","b"])", R"("a")", R"({"a":["b"]})"}) {
        INFO(member << value);
        CHECK(has(refusal(api, "\"" + member + "\":" + value), member + ": is not possible here"));
      }
      CHECK(refusal(api, "\"" + member + "\":null").empty());
      CHECK(refusal(api, "\"" + member + "\":[]").empty());
    }
    CHECK(has(refusal(api, R"("background":true)"), "background"));
    CHECK(has(refusal(api, R"("deferred":true)"), "deferred"));
  }
  CHECK(refusal(kMessages, R"("fallbacks":"default")").empty());
  CHECK(has(refusal(kChat, R"("tools":[{"type":"openrouter:advisor"}])"), "another model"));
}

TEST_CASE("request: a large container is refused wherever it is asked for", "[unit][ai]") {
  for (const std::string tool :
       {R"({"type":"code_interpreter","container":{"type":"auto","memory_limit":"64g"}})",
        R"({"type":"shell","environment":{"type":"container_auto","memory_limit":"64g"}})"}) {
    INFO(tool);
    CHECK(has(refusal(kResponses, R"("tools":[)" + tool + "]"), "memory_limit"));
  }
  CHECK(has(refusal(kResponses, R"("tools":[{"type":"code_interpreter","container":{},)"
                                R"("container":{"memory_limit":"64g"}}])"),
            "twice"));
}

TEST_CASE("request: cache writes are found wherever they stand, and the longest counts",
          "[unit][ai]") {
  CHECK(read(kMessages, R"("messages":[{"content":"x"}])").cache_writes == CacheWrites::kNone);
  CHECK(read(kMessages, R"("system":[{"type":"text","cache_control":{"type":"ephemeral"}}])")
            .cache_writes == CacheWrites::kShort);
  CHECK(read(kMessages, R"("system":[{"cache_control":{"type":"ephemeral"}}],"messages":[{)"
                        R"("content":[{"cache_control":{"type":"ephemeral","ttl":"1h"}}]}])")
            .cache_writes == CacheWrites::kLong);
  CHECK(read(kMessages, R"("tools":[{"cache_control":{"ttl":"1h"}}])").cache_writes ==
        CacheWrites::kLong);
  for (const ApiKind api : {kResponses, kChat}) {
    const auto writes = [&](const char* members) { return read(api, members).cache_writes; };
    CHECK(writes(R"("prompt_cache_options":{"ttl":"30m"})") == CacheWrites::kShort);
    CHECK(writes(R"("prompt_cache_options":{"ttl":"12h"})") == CacheWrites::kLong);
    CHECK(writes(R"("x":[{"content":[{"prompt_cache_breakpoint":{"ttl":"12h"}}]}])") ==
          CacheWrites::kLong);
    CHECK(has(refusal(api, R"("Prompt_Cache_Options":{"ttl":"12h"})"), "prompt_cache_options"));
  }
}

TEST_CASE("request: a bound that is sent along takes the client's own member, or the API's",
          "[unit][ai]") {
  const auto sent = [](ApiKind api, const std::string& members, bool at_openai) {
    const ChatRequest request = read(api, members);
    const BodyEdits edits{.model = "m",
                          .output_tokens_max = 77,
                          .output_member = dialect(api).output_member(at_openai),
                          .ask_for_usage = false};
    return dialect(api).upstream_body(request, edits);
  };
  CHECK(has(sent(kChat, "\"a\":1", true), "\"max_completion_tokens\":77"));
  CHECK(has(sent(kChat, "\"a\":1", false), "\"max_tokens\":77"));
  CHECK(has(sent(kChat, "\"max_tokens\":0", true), "\"max_tokens\":77"));
  CHECK_FALSE(has(sent(kChat, "\"max_tokens\":0", true), "max_completion_tokens"));
  CHECK(has(sent(kResponses, "\"a\":1", true), "\"max_output_tokens\":77"));
  CHECK(has(sent(kMessages, "\"max_tokens\":5", true), "\"max_tokens\":77"));
}

TEST_CASE("request: calls without a bound get one in the words of the API", "[unit][ai]") {
  const BodyEdits edits{.model = "m", .calls_max = 10};
  const ChatRequest messages =
      read(kMessages, R"("tools":[{"name":"mine"},{"type":"web_search_20250305","name":"s"},)"
                      R"({"type":"web_search_20250305","max_uses":2}])");
  const std::string body = dialect(kMessages).upstream_body(messages, edits);
  CHECK(has(body, R"({"name":"mine"},{"max_uses":10,"type":"web_search_20250305","name":"s"})"));
  CHECK(has(body, R"("max_uses":2)"));
  const ChatRequest responses = read(kResponses, R"("tools":[{"type":"web_search"}])");
  CHECK(has(dialect(kResponses).upstream_body(responses, edits), "\"max_tool_calls\":10"));
}

TEST_CASE("request: a stream is asked for its usage unless the provider does not take that",
          "[unit][ai]") {
  const ChatRequest request = read(kChat, R"("stream":true)");
  BodyEdits edits{.model = "m"};
  CHECK(has(dialect(kChat).upstream_body(request, edits), "include_usage"));
  edits.ask_for_usage = false;
  CHECK(dialect(kChat).upstream_body(request, edits) == request.body);
}
