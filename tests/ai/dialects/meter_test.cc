// Metering: the use by kind, the end and the failure of an answer, out of every shape in which
// providers report them.
#include <catch2/catch.hpp>

#include <random>

#include "ai/dialects/dialect.h"
#include "ai/prices/pricing.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

// A meter, and the stream that it is fed.
class Fed final {
 public:
  explicit Fed(ApiKind api, bool client_wants_usage = false, int64_t choices = 1) {
    ChatRequest request;
    request.client_wants_usage = client_wants_usage;
    request.choices = choices;
    meter_ = dialect(api).make_meter(request);
  }
  EventFate event(const std::string& data, const std::string& name = "") {
    const std::string raw =
        (name.empty() ? "" : "event: " + name + "\n") + "data: " + data + "\n\n";
    return meter_->on_event(name, data, raw, rewritten);
  }
  Fed& feed(const std::string& data, const std::string& name = "") {
    event(data, name);
    return *this;
  }
  Fed& json(std::string_view body) {
    meter_->on_json(body);
    return *this;
  }
  const UsageMeter& meter() const { return *meter_; }
  const SeenUsage& seen() const { return meter_->seen(); }
  std::vector<std::string> made() const {
    return {meter_->made_ids().begin(), meter_->made_ids().end()};
  }
  const TokenUsage& usage() const { return meter_->seen().stated; }
  std::string rewritten;

 private:
  std::unique_ptr<UsageMeter> meter_;
};

constexpr ApiKind kChat = ApiKind::kChatCompletions, kMessages = ApiKind::kMessages;
constexpr ApiKind kResponses = ApiKind::kResponses;

}  // namespace

TEST_CASE("meter: OpenAI's subsets are taken out of their totals", "[unit][ai]") {
  Fed fed(kChat);
  const TokenUsage& usage = fed.json(R"({"model":"gpt","usage":{
    "prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
    "prompt_tokens_details":{"cached_tokens":30,"audio_tokens":5,"cache_write_tokens":10},
    "completion_tokens_details":{"reasoning_tokens":20,"rejected_prediction_tokens":3}}})")
                                .usage();
  CHECK(usage.input == 55);
  CHECK(usage.cache_read == 30);
  CHECK(usage.cache_write_5m == 10);
  CHECK(usage.input_audio == 5);
  CHECK(usage.output == 30);
  CHECK(usage.reasoning == 20);
  CHECK(fed.seen().has_input);
  CHECK(fed.seen().has_output);
  CHECK(fed.meter().response_model() == "gpt");
}

TEST_CASE("meter: cache writes for twelve hours are a part of all writes", "[unit][ai]") {
  Fed fed(kResponses);
  const TokenUsage& usage = fed.json(R"({"usage":{
    "input_tokens":1000,"output_tokens":50,"total_tokens":1050,
    "input_tokens_details":{"cached_tokens":100,"cache_write_tokens":800,
      "cache_write_tokens_details":{"ttl_12h_tokens":500,"ttl_30m_tokens":300}}}})")
                                .usage();
  CHECK(usage.input == 100);
  CHECK(usage.cache_read == 100);
  CHECK(usage.cache_write_5m == 300);
  CHECK(usage.cache_write_1h == 500);
  CHECK(usage.input_total() == 1000);
  CHECK(fed.seen().splits_cache_writes);
  // Without the split nobody knows, and the request decides.
  Fed plain(kResponses);
  CHECK(plain
            .json(R"({"usage":{"input_tokens":1000,"output_tokens":1,
    "input_tokens_details":{"cache_write_tokens":800}}})")
            .usage()
            .cache_write_5m == 800);
  CHECK_FALSE(plain.seen().splits_cache_writes);
}

TEST_CASE("meter: searches that OpenAI counts itself are more than one a call", "[unit][ai]") {
  const std::string call = R"({"type":"web_search_call","action":{"type":"search"}})";
  const auto searches = [&](const std::string& output, const std::string& requests) {
    const std::string answer = R"({"output":[)" + output + R"(],"tool_usage":{"web_search":{)" +
                               R"("num_requests":)" + requests + R"(}},"usage":{)" +
                               R"("input_tokens":1,"output_tokens":1}})";
    Fed stream(kResponses);
    stream.feed(R"({"type":"response.completed","response":)" + answer + "}");
    const int64_t streamed = stream.usage().web_searches;
    const int64_t whole = Fed(kResponses).json(answer).usage().web_searches;
    CHECK(streamed == whole);
    return whole;
  };
  CHECK(searches(call, "3") == 3);
  CHECK(searches("", "2") == 2);
  CHECK(searches(call, "0") == 1);  // At a discount, or not counted.
  CHECK(searches(call, "null") == 1);
}

TEST_CASE("meter: ids of what an answer has made are taken where the provider itself names them",
          "[unit][ai]") {
  using Ids = std::vector<std::string>;
  const std::string items =
      R"({"type":"reasoning","id":"rs_1","summary":[]},)"
      R"({"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1"},)"
      R"({"type":"shell_call","id":"sh_1","environment":{"container_id":"cntr_1"}},)"
      R"({"type":"function_call","id":"fc_1","arguments":"{\"file_id\":\"of another\"}"},)"
      R"({"type":"local_shell_call","id":"ls_1","action":{"env":{"file_id":"of another"}}},)"
      R"({"type":"message","id":"msg_1","content":[{"type":"output_text","annotations":[)"
      R"({"type":"container_file_citation","container_id":"cntr_1","file_id":"cfile_1"}]}]})";
  const Ids all = {"resp_1", "rs_1", "ci_1", "cntr_1", "sh_1", "fc_1", "ls_1", "msg_1", "cfile_1"};
  CHECK(Fed(kResponses).json(R"({"id":"resp_1","output":[)" + items + "]}").made() == all);
  Fed stream(kResponses);
  stream.feed(R"({"type":"response.created","response":{"id":"resp_1","output":[]}})");
  CHECK(stream.made() == Ids{"resp_1"});
  stream.feed(R"({"type":"response.output_item.added","item":{"type":"message","id":"msg_1"}})");
  CHECK(stream.made() == Ids{"resp_1", "msg_1"});
  stream.feed(R"({"type":"response.output_item.done","item":{"type":"message","id":"msg_1",)"
              R"("content":[{"annotations":[{"type":"file_citation","file_id":"file_1"}]}]}})");
  CHECK(stream.made() == Ids{"resp_1", "msg_1", "file_1"});

  const std::string block =
      R"({"type":"bash_code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{)"
      R"("type":"bash_code_execution_result","content":[{"file_id":"file_2"}]}})";
  const std::string asked = R"({"type":"server_tool_use","input":{"container":{"id":"foreign"}}})";
  CHECK(Fed(kMessages)
            .json(R"({"container":{"id":"container_1","expires_at":"t"},"content":[)" + asked +
                  "," + block + "]}")
            .made() == Ids{"container_1", "file_2"});
  Fed messages(kMessages);
  messages.feed(R"({"type":"content_block_start","index":0,"content_block":)" + block + "}");
  messages.feed(R"({"type":"message_delta","delta":{"container":{"id":"container_1"}}})");
  CHECK(messages.made() == Ids{"file_2", "container_1"});
}

TEST_CASE("meter: cached tokens are found under the names of every provider", "[unit][ai]") {
  const auto cached = [](const std::string& members) {
    return Fed(kChat)
        .json(R"({"usage":{"prompt_tokens":10000,"completion_tokens":1,)" + members + "}}")
        .usage()
        .cache_read;
  };
  CHECK(cached(R"("prompt_cache_hit_tokens":9000,"prompt_cache_miss_tokens":1000)") == 9000);
  CHECK(cached(R"("cached_tokens":7000)") == 7000);
  CHECK(cached(R"("prompt_tokens_details":{"cached_tokens":5},"cached_tokens":5)") == 5);
  CHECK(cached(R"("prompt_tokens_details":{"cached_tokens":20000})") == 10000);
  CHECK(cached(R"("prompt_tokens_details":null)") == 0);
}

TEST_CASE("meter: Anthropic's kinds add up", "[unit][ai]") {
  const TokenUsage usage = Fed(kMessages)
                               .json(R"({"usage":{"input_tokens":10,
    "output_tokens":20,"cache_creation_input_tokens":30,"cache_read_input_tokens":40,
    "cache_creation":{"ephemeral_5m_input_tokens":12,"ephemeral_1h_input_tokens":18},
    "server_tool_use":{"web_search_requests":2},"speed":"fast","inference_geo":"us",
    "service_tier":"priority"}})")
                               .usage();
  CHECK(usage.input_total() == 80);
  CHECK(usage.cache_write_5m == 12);
  CHECK(usage.cache_write_1h == 18);
  CHECK(usage.output == 20);
  CHECK(usage.web_searches == 2);
  CHECK(usage.speed == "fast");
  CHECK(usage.region == "us");
  CHECK(usage.service_tier == "priority");
}

TEST_CASE("meter: Anthropic's cache buckets count without their sum", "[unit][ai]") {
  const TokenUsage usage = Fed(kMessages)
                               .json(R"({"usage":{"input_tokens":1,
      "output_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":60,
      "ephemeral_1h_input_tokens":40}}})")
                               .usage();
  CHECK(usage.cache_write_5m == 60);
  CHECK(usage.cache_write_1h == 40);
}

TEST_CASE("meter: compaction is in the samplings and not in the totals", "[unit][ai]") {
  Fed fed(kMessages);
  fed.json(R"({"usage":{"input_tokens":23000,"output_tokens":1000,"iterations":[
      {"type":"compaction","input_tokens":180000,"output_tokens":3500},
      {"type":"message","input_tokens":23000,"output_tokens":1000}]}})");
  CHECK(fed.usage().input == 203'000);
  CHECK(fed.usage().output == 4'500);
  CHECK(fed.seen().samplings == 2);
}

TEST_CASE("meter: thinking that is only in the total is billed", "[unit][ai]") {
  const TokenUsage usage =
      Fed(kChat)
          .json(R"({"usage":{"prompt_tokens":758,"completion_tokens":102,"total_tokens":1725}})")
          .usage();
  CHECK(usage.output_total() == 967);
  // More thinking than output is no part of the output.
  const TokenUsage beside = Fed(kChat)
                                .json(R"({"usage":{"prompt_tokens":10,"completion_tokens":9,
      "completion_tokens_details":{"reasoning_tokens":400}}})")
                                .usage();
  CHECK(beside.output == 9);
  CHECK(beside.reasoning == 400);
  // A total that has no room for it says that it is.
  const TokenUsage part = Fed(kChat)
                              .json(R"({"usage":{"prompt_tokens":5,"completion_tokens":1000,
      "total_tokens":1010,"completion_tokens_details":{"reasoning_tokens":1005}}})")
                              .usage();
  CHECK(part.output_total() == 1005);
}

TEST_CASE("meter: caches that are only in the total are input", "[unit][ai]") {
  const TokenUsage usage = Fed(kChat)
                               .json(R"({"usage":{"prompt_tokens":368,"completion_tokens":19,
      "total_tokens":10923,"cache_read_input_tokens":10536}})")
                               .usage();
  CHECK(usage.input == 368);
  CHECK(usage.cache_read == 10'536);
  CHECK(usage.output_total() == 19);
  const TokenUsage written = Fed(kChat)
                                 .json(R"({"usage":{"prompt_tokens":20000,"completion_tokens":1,
      "prompt_tokens_details":{"cache_creation_tokens":19000}}})")
                                 .usage();
  CHECK(written.cache_write_5m == 19'000);
  CHECK(written.input == 1'000);
}

TEST_CASE("meter: calls of xAI's tools are counted in every API", "[unit][ai]") {
  const std::string details = R"("server_side_tool_usage_details":{"web_search_calls":3,)"
                              R"("x_search_calls":7,"collections_search_calls":2}}})";
  Fed chat(kChat), response(kResponses);
  for (const TokenUsage& usage :
       {chat.json(R"({"usage":{"prompt_tokens":1,"completion_tokens":1,)" + details).usage(),
        response.json(R"({"usage":{"input_tokens":1,"output_tokens":1,)" + details).usage()}) {
    CHECK(usage.web_searches == 10);
    CHECK(usage.file_searches == 2);
  }
}

TEST_CASE("meter: a tier that was stated is not forgotten for the word auto", "[unit][ai]") {
  Fed fed(kChat);
  fed.feed(R"({"service_tier":"priority","choices":[]})");
  fed.feed(R"({"service_tier":"auto","choices":[]})");
  CHECK(fed.usage().service_tier == "priority");
  CHECK(fed.seen().has_tier);
}

TEST_CASE("meter: what is not stated is told apart from what is no count", "[unit][ai]") {
  for (const char* body :
       {"{}", "not json at all", R"({"usage":null})", R"({"usage":{"prompt_tokens":null}})"}) {
    Fed fed(kChat);
    fed.json(body);
    INFO(body);
    CHECK_FALSE(fed.seen().has_input);
    CHECK_FALSE(fed.seen().input_is_absurd);
  }
  for (const char* count : {"-4", "\"x\"", "10.5", "1e300", "{}"}) {
    Fed fed(kChat);
    fed.json(R"({"usage":{"prompt_tokens":)" + std::string(count) + ",\"completion_tokens\":2}}");
    INFO(count);
    CHECK(fed.seen().input_is_absurd);
    CHECK_FALSE(fed.seen().output_is_absurd);
    CHECK(fed.usage().output == 2);
  }
  Fed whole(kChat);
  whole.json(R"({"usage":{"prompt_tokens":1000.0,"completion_tokens":1e2}})");
  CHECK(whole.usage().input == 1000);
  CHECK(whole.usage().output == 100);
}

TEST_CASE("meter: half a surrogate pair in the text does not hide the usage", "[unit][ai]") {
  Fed fed(kChat);
  fed.json(R"({"choices":[{"message":{"content":"cut \ud83d"}}],"usage":{"prompt_tokens":7,
      "completion_tokens":9}})");
  CHECK(fed.usage().input == 7);
  CHECK(fed.usage().output == 9);
}

TEST_CASE("meter: a text that is no JSON hides no usage", "[unit][ai]") {
  const std::string usage = R"("usage":{"prompt_tokens":7,"completion_tokens":9})";
  for (const std::string& body :
       {"\xEF\xBB\xBF{" + usage + "}",
        R"({"choices":[{"logprobs":{"content":[{"logprob":NaN}]}}],)" + usage + "}",
        R"({"choices":[{"logprobs":[-Infinity,1e400,18446744073709551616]}],)" + usage + "}",
        "{\"choices\":[{\"message\":{\"content\":\"cut \xC3\"}}]," + usage + "}",
        R"({"choices":[{"message":{"content":"\"usage\":{\"prompt_tokens\":1}"}}],"a":NaN,)" +
            usage + "}",
        "{\"choices\":[NaN]," + usage + R"(,"b":"\"usage\":{\"prompt_tokens\":1}"})"}) {
    INFO(body);
    Fed fed(kChat);
    fed.json(body);
    CHECK(fed.usage().input == 7);
    CHECK(fed.usage().output == 9);
    CHECK(fed.seen().output_is_final);
    Fed streamed(kChat);
    CHECK(streamed.feed(body).feed("[DONE]").usage().output == 9);
    CHECK(streamed.seen().output_is_final);
  }
  for (const std::string body : {R"({"a":NaN,"usage":)", R"({"a":NaN,"usage":[1]})", "\"usage\"",
                                 R"({"a":NaN,"usage":{"prompt_tokens":)"}) {
    INFO(body);
    CHECK_FALSE(Fed(kChat).json(body).seen().has_input);
  }
  // An object of the same name inside another member is none.
  Fed nested(kChat);
  nested.json(R"({"logprobs":NaN,)" + usage + R"(,"metadata":{"usage":{"prompt_tokens":1}}})");
  CHECK(nested.usage().input == 7);
  Fed odd(kChat);
  odd.json(R"({"a":{"usage":{"prompt_tokens":1}},"usage":{"prompt_tokens":NaN,)"
           R"("completion_tokens":9,"queue_time":-Infinity}})");
  CHECK(odd.seen().input_is_absurd);
  CHECK(odd.usage().output == 9);
  Fed response(kResponses);
  response.feed(R"({"type":"response.completed","response":{"top_p":NaN,"usage":)"
                R"({"input_tokens":7,"output_tokens":9}}})");
  CHECK(response.usage().output == 9);
  CHECK(response.meter().complete());
  Fed text(kChat);
  text.feed(R"({"choices":[{"index":0,"logprobs":NaN,"delta":{"content":"Hello"}}]})");
  CHECK(text.seen().output_bytes == 5);
  text.feed(R"({"choices":[{"index":0,"logprobs":NaN,"delta":{},"finish_reason":"stop"}]})");
  CHECK(text.meter().complete());
  CHECK(Fed(kChat).json(R"({"error":{"message":"no","code":NaN}})").meter().has_error());
}

TEST_CASE("meter: whatever the bytes of an answer, reading it ends", "[unit][ai]") {
  const std::string pieces[] = {"\"",
                                "\\",
                                "{",
                                "}",
                                "[",
                                "]",
                                ",",
                                ":",
                                "NaN",
                                "-Infinity",
                                "1e400",
                                "0.5",
                                "\xF0",
                                "\x80",
                                "\xC3",
                                "é",
                                "\n",
                                " ",
                                "n",
                                "-",
                                R"("usage":{"prompt_tokens":7})",
                                "\xEF\xBB\xBF",
                                R"(\ud83d)"};
  for (unsigned seed = 1; seed <= 3'000; seed++) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    std::string text = random() % 2 == 0 ? "{" : "";
    for (unsigned i = random() % 40; i > 0; i--) text += pieces[random() % std::size(pieces)];
    Fed fed(kChat);
    fed.json(text).feed(text);
    CHECK(fed.usage().input <= 7);
  }
}

TEST_CASE("meter: embeddings have an input alone", "[unit][ai]") {
  Fed fed(ApiKind::kEmbeddings);
  fed.json(R"({"data":[{"embedding":"AAAA"}],"usage":{"prompt_tokens":8,"total_tokens":8}})");
  CHECK(fed.usage().input == 8);
  CHECK(fed.usage().output_total() == 0);
  Fed total(ApiKind::kEmbeddings);
  CHECK(total.json(R"({"data":[],"usage":{"total_tokens":12}})").usage().input == 12);
  CHECK(total.seen().has_input);
  Fed zero(ApiKind::kEmbeddings);
  CHECK(zero.json(R"({"usage":{"prompt_tokens":0,"total_tokens":12}})").usage().input == 12);
  Fed silent(ApiKind::kEmbeddings);
  silent.json(R"({"data":[{"embedding":[1,2,3,4,5,6,7,8]}]})");
  CHECK_FALSE(silent.seen().has_input);
  CHECK(silent.seen().output_bytes == 0);
}

TEST_CASE("meter: the usage chunk that nobody asked for is swallowed, null usage cut",
          "[unit][ai]") {
  Fed fed(kChat);
  CHECK(fed.event(R"({"model":"m","choices":[{"delta":{"content":"Hello"}}],"usage":null})") ==
        EventFate::kRewrite);
  CHECK(fed.rewritten ==
        "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n");
  CHECK(fed.seen().output_bytes == 5);
  CHECK_FALSE(fed.seen().has_output);
  CHECK(fed.event(R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}})") ==
        EventFate::kSwallow);
  CHECK_FALSE(fed.meter().complete());
  CHECK(fed.event("[DONE]") == EventFate::kPass);
  CHECK(fed.meter().complete());
  CHECK(fed.usage().output == 4);
  CHECK(fed.meter().response_model() == "m");
}

TEST_CASE("meter: what stands beside the data of an event stays when null usage is cut",
          "[unit][ai]") {
  Fed fed(kChat);
  CHECK(fed.event(R"({"choices":[],"usage":null})", "x") == EventFate::kRewrite);
  CHECK(fed.rewritten == "event: x\ndata: {\"choices\":[]}\n\n");
}

TEST_CASE("meter: a chunk of usage alone is swallowed without choices too, an error is not",
          "[unit][ai]") {
  Fed fed(kChat);
  CHECK(fed.event(R"({"usage":{"prompt_tokens":3,"completion_tokens":4}})") == EventFate::kSwallow);
  CHECK(fed.event(R"({"error":{"message":"x"},"usage":{"prompt_tokens":3}})") == EventFate::kPass);
}

TEST_CASE("meter: a client that asked for usage gets every chunk as it came", "[unit][ai]") {
  Fed fed(kChat, true);
  CHECK(fed.event(R"({"choices":[{"delta":{}}],"usage":null})") == EventFate::kPass);
  CHECK(fed.event(R"({"choices":[],"usage":{"prompt_tokens":3}})") == EventFate::kPass);
}

TEST_CASE("meter: a stream ends by a reason to finish for every choice", "[unit][ai]") {
  Fed fed(kChat);
  fed.feed(R"({"choices":[{"index":0,"delta":{"content":"a"}}]})");
  fed.feed(R"({"choices":[{"index":1,"delta":{"content":"b"}}]})");
  CHECK_FALSE(fed.meter().complete());
  fed.feed(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})");
  CHECK_FALSE(fed.meter().complete());
  fed.feed(R"({"choices":[{"index":1,"delta":{},"finish_reason":"length"}]})");
  CHECK(fed.meter().complete());
  // A choice that was asked for and never came is missing, until the stream says that it ends.
  Fed asked(kChat, false, 2);
  asked.feed(R"({"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]})");
  CHECK_FALSE(asked.meter().complete());
  CHECK(asked.feed("[DONE]").meter().complete());
  // Whatever came or did not: what was stated before [DONE] is of the whole answer.
  for (const int64_t choices : {1, 2}) {
    Fed ignored(kChat, false, choices);
    ignored.feed(R"({"choices":[{"index":0,"delta":{"content":"a"}}],)"
                 R"("usage":{"prompt_tokens":7,"completion_tokens":9}})");
    CHECK_FALSE(ignored.seen().output_is_final);
    CHECK(ignored.feed("[DONE]").seen().output_is_final);
  }
  Fed message(kMessages);
  message.feed(R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{}})");
  CHECK(message.meter().complete());
}

TEST_CASE("meter: Anthropic's stream totals are cumulative, and the largest counts", "[unit][ai]") {
  Fed fed(kMessages);
  fed.feed(R"({"type":"message_start","message":{"model":"claude","usage":{"input_tokens":50000,
          "output_tokens":1,"cache_read_input_tokens":5}}})");
  fed.feed(R"({"type":"content_block_delta","delta":{"type":"text_delta","text":"abcdefghij"}})");
  CHECK(fed.seen().output_bytes == 10);
  CHECK(fed.meter().output_so_far() == 10);
  fed.feed(R"({"type":"message_delta","usage":{"output_tokens":10,"input_tokens":null}})");
  fed.feed(R"({"type":"message_delta","usage":{"output_tokens":15,"input_tokens":0}})");
  fed.feed(R"({"type":"message_stop"})");
  CHECK(fed.meter().complete());
  CHECK(fed.usage().output == 15);
  CHECK(fed.usage().input == 50'000);
  CHECK(fed.usage().cache_read == 5);
}

TEST_CASE("meter: the Responses stream ends with its figures", "[unit][ai]") {
  Fed fed(kResponses);
  fed.feed(R"({"type":"response.output_text.delta","delta":"12345678"})");
  CHECK(fed.seen().output_bytes == 8);
  fed.feed(R"({"type":"response.completed","response":{"model":"o",
      "usage":{"input_tokens":11,"output_tokens":12,"input_tokens_details":{"cached_tokens":1},
      "output_tokens_details":{"reasoning_tokens":2}}}})");
  CHECK(fed.meter().complete());
  CHECK(fed.usage().input == 10);
  CHECK(fed.usage().reasoning == 2);
}

TEST_CASE("meter: calls of the provider's tools are counted among the items of the output",
          "[unit][ai]") {
  const std::string search = R"({"type":"web_search_call","action":{"type":"search"}})";
  const std::string page = R"({"type":"web_search_call","action":{"type":"open_page"}})";
  const std::string code = R"({"type":"code_interpreter_call","container_id":"c1"})";
  const std::string output = "[" + search + "," + page + "," + search + "," + code + "," + code +
                             R"(,{"type":"file_search_call"},{"type":"message"}])";
  Fed whole(kResponses);
  whole.json(R"({"output":)" + output + R"(,"usage":{"input_tokens":1,"output_tokens":1}})");
  CHECK(whole.usage().web_searches == 2);
  CHECK(whole.usage().code_sessions == 1);
  CHECK(whole.usage().file_searches == 1);
  Fed stream(kResponses);
  for (const std::string& item : {search, page, search, code, code}) {
    stream.feed(R"({"type":"response.output_item.done","item":)" + item + "}");
  }
  CHECK(stream.usage().web_searches == 2);
  stream.feed(R"({"type":"response.completed","response":{"output":)" + output + "}}");
  CHECK(stream.usage().web_searches == 2);
  CHECK(stream.usage().code_sessions == 1);
}

TEST_CASE("meter: errors inside an answer are seen", "[unit][ai]") {
  CHECK(Fed(kChat).feed(R"({"error":{"message":"overloaded"}})").meter().has_error());
  CHECK(Fed(kChat)
            .json(R"({"error":{"message":"Provider returned error","code":502}})")
            .meter()
            .has_error());
  CHECK(Fed(kChat)
            .json(R"({"choices":[{"finish_reason":"error","message":{}}]})")
            .meter()
            .has_error());
  CHECK(Fed(kMessages)
            .feed(R"({"type":"error","error":{"type":"overloaded_error"}})", "error")
            .meter()
            .has_error());
  CHECK(Fed(kMessages)
            .json(R"({"type":"error","error":{"type":"overloaded_error"}})")
            .meter()
            .has_error());
  CHECK(Fed(kResponses).feed(R"({"type":"response.failed","response":{}})").meter().has_error());
  CHECK(Fed(kResponses).json(R"({"status":"failed","error":{"code":"x"}})").meter().has_error());
  CHECK_FALSE(Fed(kResponses).json(R"({"status":"completed","error":null})").meter().has_error());
}

TEST_CASE("meter: a broken stream is told in the words of its API", "[unit][ai]") {
  const Status failure = upstream_failed("It \"broke\".").with_reason("proxy_error");
  Fed responses(kResponses);
  responses.feed(R"({"type":"response.created","sequence_number":4,"response":{"id":"resp_7"}})");
  const std::string event = responses.meter().error_event(failure);
  CHECK(event.starts_with("event: response.failed\ndata: {\"type\":\"response.failed\""));
  CHECK(event.find("\"sequence_number\":5") != event.npos);
  CHECK(event.find("\"id\":\"resp_7\"") != event.npos);
  CHECK(event.find("It \\\"broke\\\".") != event.npos);
  CHECK(Fed(kChat).meter().error_event(failure).starts_with("data: {\"error\":{\"message\":"));
  CHECK(Fed(kMessages).meter().error_event(failure).starts_with("event: error\n"));
}
