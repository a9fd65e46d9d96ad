// Goal: what a provider says of its failures, of its key and of its use reaches the client and the
// ledger as what it is. Method: a whole daemon whose provider answers from a script.
#include <catch2/catch.hpp>

#include "support/ai_house.h"
#include "support/raw_client.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) count++;
  return count;
}

std::string answer_of(const std::string& text) {
  return R"({"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":")" + text +
         R"("},"finish_reason":"stop"}],)" + kUsage + "}";
}

}  // namespace

TEST_CASE("ai answers: a provider's key is cut out of good answers and streams too",
          "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(answer_of("It is sk-secret."));
  CHECK(has(house.chat().body, "It is ***."));
  house.provider.answer_stream({chunk("It is sk-secret."), finish(), usage_chunk(), kDone});
  const RawResponse streamed = house.chat(kHelloStream);
  CHECK(streamed.complete);
  CHECK(has(streamed.body, "It is ***."));
  CHECK_FALSE(has(streamed.body, "sk-secret"));
}

TEST_CASE("ai answers: a provider is asked for answers without a coding", "[contract][ai]") {
  AiHouse house;
  REQUIRE(house.chat().status == 200);
  CHECK(has(house.provider.heads().back(), "accept-encoding: identity\r\n"));
}

TEST_CASE("ai answers: an error under status 200 passes as it came, is free and counts as failed",
          "[contract][ai]") {
  AiHouse house;
  const std::string error = R"({"error":{"message":"Overloaded","code":529}})";
  house.provider.answer_json(error);
  const RawResponse passed = house.chat();
  CHECK(passed.status == 200);
  CHECK(passed.body == error);
  CHECK(has(house.usage(), "\"current_usage_usd\":0.00,"));
  const std::string rows = house.admin("GET", "/admin/usage/requests").body;
  INFO(rows);
  CHECK(has(rows, "\"status\":502"));
  CHECK(has(rows, "\"estimated\":false"));
}

TEST_CASE("ai answers: a try that may have acted is charged beside the one that answered",
          "[contract][fault][ai]") {
  AiHouse house(
      [](Config& config) { config.ai.aliases = "fast: [backup/gpt-4o-mini, openai/gpt-4o-mini]"; });
  FakeProvider backup;
  house.put_provider("backup", "openai_compatible", backup.url(), R"(,"models":["gpt-4o-mini"])");
  house.change_org(
      R"({"unknown_input_cost_per_token":"0.000001","unknown_output_cost_per_token":"0.000001"})");
  backup.set([](LoopbackPeer& peer) {
    peer.reset();
    return false;
  });
  const std::string ask = R"({"model":"fast","messages":[],"max_tokens":10})";
  REQUIRE(house.chat(ask).status == 200);
  const std::string rows = house.admin("GET", "/admin/usage/requests").body;
  INFO(rows);
  CHECK(count_of(rows, "\"request_id\"") == 2);
  CHECK(count_of(rows, "\"estimated\":true") == 1);
  CHECK(count_of(rows, "\"attempt\":1") == 1);
  CHECK(has(house.usage(), "\"request_count\":1"));
  CHECK(has(house.usage(), "\"reserved_usd\":0.00,"));
  // An answer that says no costs nothing, and leaves no row.
  for (const char* status : {"401 No", "402 Pay", "403 No", "404 Gone", "408 Late", "429 Slow"}) {
    backup.answer_json("{}", status);
    REQUIRE(house.chat(ask).status == 200);
  }
  const std::string after = house.admin("GET", "/admin/usage/requests").body;
  CHECK(count_of(after, "\"request_id\"") == 2 + 6);
  CHECK(count_of(after, "\"estimated\":true") == 1);
}

TEST_CASE("ai answers: a try that failed at its beginning is charged what it stated, and no calls",
          "[contract][fault][ai]") {
  AiHouse house(
      [](Config& config) { config.ai.aliases = "clever: [second/claude-x, anthropic/claude-x]"; });
  FakeProvider second;
  house.put_provider("second", "anthropic", second.url(), R"(,"models":["claude-x"])");
  for (const char* name : {"second", "anthropic"}) {
    const RawResponse put = house.admin(
        "PUT", "/admin/ai/prices/" + std::string(name) + "/claude-x",
        R"({"input_cost_per_token":"0.000001","output_cost_per_token":"0.000001",)"
        R"("web_search_cost_per_call":"0.01","max_input_tokens":5000,"max_output_tokens":100})");
    REQUIRE(put.status == 200);
  }
  second.answer_stream(
      {"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"
       "{\"input_tokens\":300,\"output_tokens\":0}}}\n\n",
       "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"});
  house.provider.answer_stream(
      {"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":"
       "{\"input_tokens\":200,\"output_tokens\":1}}}\n\n",
       "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":"
       "\"end_turn\"},\"usage\":{\"output_tokens\":50}}\n\n",
       "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"});
  const RawResponse answer =
      house.message(R"({"model":"clever","stream":true,"max_tokens":100,"messages":[],)"
                    R"("tools":[{"type":"web_search_20250305","name":"s","max_uses":3}]})");
  INFO(answer.body);
  CHECK(answer.status == 200);
  CHECK_FALSE(has(answer.body, "overloaded"));
  const std::string rows = house.admin("GET", "/admin/usage/requests").body;
  INFO(rows);
  CHECK(has(rows, "\"cost_usd\":0.0003,"));
  CHECK(has(rows, "\"cost_usd\":0.00025,"));
  CHECK_FALSE(has(rows, "\"estimated\":true"));
}

TEST_CASE("ai answers: a try without money for the next one is the request's last",
          "[contract][fault][ai]") {
  AiHouse house(
      [](Config& config) { config.ai.aliases = "fast: [backup/gpt-4o-mini, openai/gpt-4o-mini]"; });
  FakeProvider backup;
  house.put_provider("backup", "openai_compatible", backup.url(), R"(,"models":["gpt-4o-mini"])");
  backup.set([](LoopbackPeer& peer) {
    peer.reset();
    return false;
  });
  house.change_org(R"({"output_fit":false,"log_bodies":true})");
  // Once the bound of the request, and not twice: 100,000 bytes at 0.15 USD a million.
  house.change_user(R"({"monthly_limit_usd":"0.02"})");
  const RawResponse refused =
      house.chat(R"({"model":"fast","max_tokens":1,"messages":[{"role":"user","content":")" +
                 std::string(100'000, 'x') + "\"}]}");
  CHECK(refused.status == 429);
  CHECK(house.provider.bodies().empty());
  const std::string rows = house.admin("GET", "/admin/usage/requests").body;
  INFO(rows);
  CHECK(count_of(rows, "\"request_id\"") == 1);
  CHECK(has(rows, "\"estimated\":true"));
  CHECK(has(house.usage(), "\"request_count\":1"));
  CHECK(has(house.usage(), "\"reserved_usd\":0.00,"));
  // All that is done at the end of a request was done: its bodies are kept.
  const std::string id = json_text(rows, "request_id");
  CHECK(house.admin("GET", "/admin/ai/bodies/" + id).status == 200);
}

TEST_CASE("ai answers: what came of an event that never ended counts as output", "[contract][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.event_max_bytes = 64 << 10; });
  const std::string bounded =
      R"({"model":"gpt-4o-mini","stream":true,"max_tokens":2000,"messages":[]})";
  // Too large an event, and one that is cut off: the row has the bound, or the bytes that came.
  house.provider.answer_stream({chunk("Hello"), chunk(std::string(100'000, 'x')), kDone});
  (void)house.chat(bounded);
  std::string rows = house.admin("GET", "/admin/usage/requests").body;
  INFO(rows);
  CHECK(has(rows, "\"status\":502"));
  CHECK(has(rows, "\"output_tokens\":2000"));
  house.provider.answer_stream(
      {"data: {\"choices\":[{\"delta\":{\"content\":\"" + std::string(900, 'x')}, false);
  (void)house.chat(bounded);
  rows = house.admin("GET", "/admin/usage/requests?limit=1").body;
  INFO(rows);
  CHECK(has(rows, "\"output_tokens\":9"));  // 900 and what stands around them.
}

TEST_CASE("ai answers: bytes behind an error in a stream are no output", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_stream({"data: {\"error\":{\"message\":\"no\"}}\n\ndata: [DO"}, false);
  (void)house.chat(kHelloStream);
  CHECK(has(house.usage(), "\"current_usage_usd\":0.00,"));
}

TEST_CASE("ai answers: an error that says what it used costs that", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(R"({"error":{"message":"no"},)" + kUsage + "}", "500 Oops");
  REQUIRE(house.chat().status == 500);
  // 100 tokens at 150 nano-USD and 50 at 600.
  CHECK(has(house.admin("GET", "/admin/usage/requests").body, "\"cost_usd\":0.000045,"));
}
