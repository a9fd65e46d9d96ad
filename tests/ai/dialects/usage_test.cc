// Metering: tokens by kind out of every shape in which providers report them.
#include "ai/dialects/usage.h"

#include <catch2/catch.hpp>

#include "ai/chat_request.h"

using namespace kvcs;
using namespace kvcs::ai;

namespace {

TokenUsage from_json(ApiKind api, std::string_view body) {
  const auto meter = make_usage_meter(api, false);
  meter->on_json(body);
  return meter->usage(7);
}

}  // namespace

TEST_CASE("usage: OpenAI's subsets are taken out of their totals", "[unit][ai]") {
  const TokenUsage usage = from_json(ApiKind::kChatCompletions, R"({"model":"gpt","usage":{
    "prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
    "prompt_tokens_details":{"cached_tokens":30,"audio_tokens":5,"cache_write_tokens":10},
    "completion_tokens_details":{"reasoning_tokens":20,"rejected_prediction_tokens":3}}})");
  CHECK(usage.input == 55);
  CHECK(usage.cache_read == 30);
  CHECK(usage.cache_write_5m == 10);
  CHECK(usage.input_audio == 5);
  CHECK(usage.output == 30);
  CHECK(usage.reasoning == 20);
  CHECK_FALSE(usage.estimated);
}

TEST_CASE("usage: Anthropic's kinds add up", "[unit][ai]") {
  const TokenUsage usage = from_json(ApiKind::kMessages, R"({"usage":{"input_tokens":10,
    "output_tokens":20,"cache_creation_input_tokens":30,"cache_read_input_tokens":40,
    "cache_creation":{"ephemeral_5m_input_tokens":12,"ephemeral_1h_input_tokens":18},
    "server_tool_use":{"web_search_requests":2}}})");
  CHECK(usage.input_total() == 80);
  CHECK(usage.cache_write_5m == 12);
  CHECK(usage.cache_write_1h == 18);
  CHECK(usage.output == 20);
  CHECK(usage.web_searches == 2);
}

TEST_CASE("usage: thinking that is only in the total is billed", "[unit][ai]") {
  const TokenUsage usage =
      from_json(ApiKind::kChatCompletions,
                R"({"usage":{"prompt_tokens":758,"completion_tokens":102,"total_tokens":1725}})");
  CHECK(usage.output_total() == 967);
}

TEST_CASE("usage: an answer without figures is counted by us and says so", "[unit][ai]") {
  for (const char* body : {"{}", "not json at all", R"({"usage":null})",
                           R"({"usage":{"prompt_tokens":-4,"completion_tokens":"x"}})"}) {
    INFO(body);
    const TokenUsage usage = from_json(ApiKind::kChatCompletions, body);
    CHECK(usage.estimated);
    CHECK(usage.input == 7);
  }
  const TokenUsage embedding =
      from_json(ApiKind::kEmbeddings, R"({"usage":{"prompt_tokens":8,"total_tokens":8}})");
  CHECK(embedding.input == 8);
  CHECK(embedding.output_total() == 0);
  CHECK_FALSE(embedding.estimated);
}

TEST_CASE("usage: the usage chunk that nobody asked for is swallowed, null usage cut",
          "[unit][ai]") {
  const auto meter = make_usage_meter(ApiKind::kChatCompletions, false);
  std::string rewritten;
  CHECK(meter->on_event("",
                        R"({"model":"m","choices":[{"delta":{"content":"Hello"}}],"usage":null})",
                        rewritten) == EventFate::kRewrite);
  CHECK(rewritten ==
        "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"Hello\"}}]}\n\n");
  CHECK(meter->usage(7).output == 2);
  CHECK(meter->usage(7).estimated);
  CHECK(meter->on_event("", R"({"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}})",
                        rewritten) == EventFate::kSwallow);
  CHECK_FALSE(meter->complete());
  CHECK(meter->on_event("", "[DONE]", rewritten) == EventFate::kPass);
  CHECK(meter->complete());
  CHECK(meter->usage(7).output == 4);
  CHECK_FALSE(meter->usage(7).estimated);
  CHECK(meter->response_model() == "m");
}

TEST_CASE("usage: a chunk of usage alone is swallowed without choices too, an error is not",
          "[unit][ai]") {
  const auto meter = make_usage_meter(ApiKind::kChatCompletions, false);
  std::string unused;
  CHECK(meter->on_event("", R"({"usage":{"prompt_tokens":3,"completion_tokens":4}})", unused) ==
        EventFate::kSwallow);
  CHECK(meter->on_event("", R"({"error":{"message":"x"},"usage":{"prompt_tokens":3}})", unused) ==
        EventFate::kPass);
}

TEST_CASE("usage: Anthropic's cache buckets count without their sum", "[unit][ai]") {
  const TokenUsage usage = from_json(ApiKind::kMessages, R"({"usage":{"input_tokens":1,
      "output_tokens":2,"cache_creation":{"ephemeral_5m_input_tokens":60,
      "ephemeral_1h_input_tokens":40}}})");
  CHECK(usage.cache_write_5m == 60);
  CHECK(usage.cache_write_1h == 40);
}

TEST_CASE("usage: a client that asked for usage gets every chunk as it came", "[unit][ai]") {
  const auto meter = make_usage_meter(ApiKind::kChatCompletions, true);
  std::string rewritten;
  CHECK(meter->on_event("", R"({"choices":[{"delta":{}}],"usage":null})", rewritten) ==
        EventFate::kPass);
  CHECK(meter->on_event("", R"({"choices":[],"usage":{"prompt_tokens":3}})", rewritten) ==
        EventFate::kPass);
}

TEST_CASE("usage: Anthropic's stream totals are cumulative, null keeps the last", "[unit][ai]") {
  const auto meter = make_usage_meter(ApiKind::kMessages, false);
  std::string unused;
  const auto feed = [&](std::string_view data) { meter->on_event("", data, unused); };
  feed(R"({"type":"message_start","message":{"model":"claude","usage":{"input_tokens":25,
          "output_tokens":1,"cache_read_input_tokens":5}}})");
  feed(R"({"type":"content_block_delta","delta":{"type":"text_delta","text":"abcdefghij"}})");
  CHECK(meter->usage(0).output == 3);
  CHECK(meter->usage(0).estimated);
  feed(R"({"type":"message_delta","usage":{"output_tokens":10,"input_tokens":null}})");
  feed(R"({"type":"message_delta","usage":{"output_tokens":15}})");
  feed(R"({"type":"message_stop"})");
  CHECK(meter->complete());
  CHECK(meter->usage(0).output == 15);
  CHECK(meter->usage(0).input == 25);
  CHECK(meter->usage(0).cache_read == 5);
  CHECK_FALSE(meter->usage(0).estimated);
}

TEST_CASE("usage: the Responses stream ends with its figures", "[unit][ai]") {
  const auto meter = make_usage_meter(ApiKind::kResponses, false);
  std::string unused;
  meter->on_event("response.output_text.delta",
                  R"({"type":"response.output_text.delta","delta":"12345678"})", unused);
  CHECK(meter->usage(9).output == 2);
  meter->on_event("response.completed", R"({"type":"response.completed","response":{"model":"o",
      "usage":{"input_tokens":11,"output_tokens":12,"input_tokens_details":{"cached_tokens":1},
      "output_tokens_details":{"reasoning_tokens":2}}}})",
                  unused);
  CHECK(meter->complete());
  CHECK(meter->usage(9).input == 10);
  CHECK(meter->usage(9).reasoning == 2);
}

TEST_CASE("usage: errors inside a stream are seen", "[unit][ai]") {
  std::string unused;
  const auto chat = make_usage_meter(ApiKind::kChatCompletions, false);
  chat->on_event("", R"({"error":{"message":"overloaded"}})", unused);
  CHECK(chat->has_error());
  const auto messages = make_usage_meter(ApiKind::kMessages, false);
  messages->on_event("error", R"({"type":"error","error":{"type":"overloaded_error"}})", unused);
  CHECK(messages->has_error());
}

TEST_CASE("usage: the guess of an input errs upwards, pictures are not billed by their bytes",
          "[unit][ai]") {
  const std::string words(3000, 'a');
  const auto guess_for = [](const std::string& members) {
    const auto read = parse_chat_request(ApiKind::kChatCompletions,
                                         R"({"model":"m","messages":)" + members + "}");
    REQUIRE(read.ok());
    return read->input_guess;
  };
  const int64_t text = guess_for(R"([{"content":")" + words + "\"}]");
  CHECK(text >= 1000);
  CHECK(text < 1100);
  const std::string picture(400'000, 'A');
  const int64_t image =
      guess_for(R"([{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
                picture + "\"}}]}]");
  CHECK(image >= 1600);
  CHECK(image < 2000);
}
