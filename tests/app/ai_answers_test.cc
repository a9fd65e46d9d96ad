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
  CHECK(has(house.usage(), "\"current_usage_usd\":0.00"));
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
  CHECK(has(house.usage(), "\"reserved_usd\":0.00"));
  // An answer that says no costs nothing, and leaves no row.
  for (const char* status : {"401 No", "402 Pay", "403 No", "404 Gone", "408 Late", "429 Slow"}) {
    backup.answer_json("{}", status);
    REQUIRE(house.chat(ask).status == 200);
  }
  const std::string after = house.admin("GET", "/admin/usage/requests").body;
  CHECK(count_of(after, "\"request_id\"") == 2 + 6);
  CHECK(count_of(after, "\"estimated\":true") == 1);
}
