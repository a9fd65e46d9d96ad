// What the AI door lets through and what it says when it does not: models, rates, budgets, content
// types, providers without a key, and providers that break their protocol.
#include "ai/budget/budget.h"
#include "support/ai_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kMessage =
    R"({"model":"claude-haiku-4-5","max_tokens":10,"messages":[{"role":"user","content":"Hi"}]})";

RawResponse count_tokens(const AiHouse& house) {
  return house.app.call("POST", "/v1/messages/count_tokens", {{"x-api-key", house.key}}, kMessage);
}

}  // namespace

TEST_CASE("ai: counting tokens is free, rate limited, and for allowed models only",
          "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(R"({"input_tokens":11})");
  const RawResponse counted = count_tokens(house);
  CHECK(counted.status == 200);
  CHECK(counted.body == R"({"input_tokens":11})");
  CHECK(has(house.usage(), "\"current_usage_usd\":0.00,"));
  CHECK(has(house.usage(), "\"request_count\":0"));

  house.change_user(R"({"allowed_models":["gpt-4o"]})");
  const size_t asked = house.provider.bodies().size();
  const RawResponse refused = count_tokens(house);
  CHECK(refused.status == 403);
  CHECK(has(refused.body, "model_not_allowed"));
  CHECK(refused.body.starts_with("{\"type\":\"error\""));
  CHECK(house.provider.bodies().size() == asked);

  // Of the rates only requests count.
  house.change_user(R"({"allowed_models":[],"requests_per_minute":2,"tokens_per_minute":1})");
  CHECK(count_tokens(house).status == 200);
  CHECK(count_tokens(house).header("ratelimit-remaining") == "0");
  const RawResponse limited = count_tokens(house);
  CHECK(limited.status == 429);
  CHECK(has(limited.body, "rate_limit_exceeded"));
  CHECK(limited.header("ratelimit-limit") == "2");
}

TEST_CASE("ai: whose budget is 0 or used up does not have tokens counted either",
          "[contract][ai]") {
  AiHouse house;
  REQUIRE(house.chat().status == 200);
  house.provider.answer_json(R"({"input_tokens":11})");
  const size_t asked = house.provider.bodies().size();
  // 100 tokens in and 50 out have cost 0.000045 USD.
  for (const char* limit : {"0", "0.000045"}) {
    house.change_user(R"({"monthly_limit_usd":)" + std::string(limit) + "}");
    const RawResponse refused = count_tokens(house);
    INFO(limit << " " << refused.body);
    CHECK(refused.status == 429);
    CHECK(has(refused.body, "user_quota_exceeded"));
    CHECK(refused.body.starts_with("{\"type\":\"error\""));
    CHECK(refused.header("x-should-retry") == "false");
    CHECK(refused.header("x-gateway-request-count") == "1");
  }
  CHECK(house.provider.bodies().size() == asked);
  house.change_user(R"({"monthly_limit_usd":0.000046})");
  CHECK(count_tokens(house).status == 200);
}

TEST_CASE("ai: a budget's refusal says in headers what is left", "[contract][ai]") {
  AiHouse house;
  REQUIRE(house.chat().status == 200);
  house.change_user(R"({"monthly_limit_usd":"0.00005","requests_per_minute":100})");
  const RawResponse refused = house.chat();
  CHECK(refused.status == 429);
  CHECK(has(refused.body, "user_quota_exceeded"));
  CHECK(refused.header("x-gateway-limit-usd") == "0.00005");
  CHECK(refused.header("x-gateway-usage-usd") == "0.0000");
  CHECK(refused.header("x-gateway-request-count") == "1");
  CHECK(refused.header("x-gateway-current-month").size() == 7);
  CHECK(refused.header("ratelimit-limit") == "100");
  CHECK(refused.header("x-gateway-cost-usd").empty());
}

TEST_CASE("ai: 128 choices reserve 128 times what one choice may cost", "[contract][ai]") {
  AiHouse house;
  const auto ask = [&](int choices) {
    std::string body = kHello;
    body.insert(body.size() - 1, ",\"n\":" + std::to_string(choices));
    return house.chat(body);
  };
  // A choice of 100 tokens at 600 nano-USD is 0.00006 USD, and the input less than 0.00001.
  house.change_user(R"({"monthly_limit_usd":"0.00767"})");
  const RawResponse refused = ask(128);
  INFO(refused.body);
  CHECK(refused.status == 429);
  CHECK(has(refused.body, "user_quota_exceeded"));
  CHECK(house.provider.bodies().empty());
  CHECK(ask(127).status == 200);
  // The answers say 150 tokens each, which is 0.000045 USD.
  house.change_user(R"({"monthly_limit_usd":"0.00775"})");
  CHECK(ask(128).status == 200);
  CHECK(house.provider.bodies().size() == 2);
}

TEST_CASE("ai: a provider's own error carries the gateway's headers too", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(R"({"error":"theirs"})", "400 Bad");
  const RawResponse passed = house.chat();
  CHECK(passed.status == 400);
  CHECK(passed.header("x-gateway-cost-usd") == "0.000000");
  CHECK(passed.header("x-gateway-limit-usd") == "5.00");
}

TEST_CASE("ai: a request refused by one rate uses nothing of the others", "[contract][ai]") {
  AiHouse house;
  house.change_user(R"({"requests_per_minute":2})");
  house.change_org(R"({"tokens_per_minute":1})");
  for (int i = 0; i < 5; i++) check_refused(house, kHello, 429, "this request alone is about");
  house.change_org(R"({"tokens_per_minute":null})");
  CHECK(house.chat().status == 200);
  CHECK(house.chat().status == 200);
  check_refused(house, kHello, 429, "2 requests per minute");
}

TEST_CASE("ai: a key's own models and rates hold beside its user's", "[contract][ai]") {
  AiHouse house;
  const RawResponse made =
      house.admin("POST", "/admin/users/" + house.user + "/api-keys",
                  R"({"name":"narrow","allowed_models":["gpt-4o-m*"],"requests_per_minute":2})");
  const std::string key = json_text(made.body, "api_key");
  const auto chat = [&](const std::string& body) {
    return house.app.as(key, "POST", "/v1/chat/completions", body);
  };
  CHECK(has(chat(R"({"model":"gpt-4o","messages":[]})").body, "model_not_allowed"));
  CHECK(chat(kHello).status == 200);
  CHECK(chat(kHello).header("ratelimit-remaining") == "0");
  const RawResponse limited = chat(kHello);
  CHECK(limited.status == 429);
  CHECK(has(limited.body, "This API key may use 2 requests per minute"));
  CHECK(house.chat().status == 200);  // The user's other key.
  const std::string listed = house.app.as(key, "GET", "/v1/models").body;
  CHECK(has(listed, "openai/gpt-4o-mini"));
  CHECK_FALSE(has(listed, "claude"));
}

TEST_CASE("ai: what the door does is in the metrics", "[contract][ai]") {
  AiHouse house;
  REQUIRE(house.chat().status == 200);
  house.provider.answer_json("{}", "500 Oops");
  REQUIRE(house.chat().status == 500);
  REQUIRE(house.app.parts().ai.budgets->reconcile().ok());
  const std::string metrics = house.app.call("GET", "/metrics").body;
  CHECK(has(metrics, "\nkvcs_ai_upstream_errors_total 1\n"));
  CHECK(has(metrics, "\nkvcs_ai_open_reservations 0\n"));
  CHECK(has(metrics, "\nkvcs_ai_unwritten_charges 0\n"));
}

TEST_CASE("ai: the metrics tell an open stream from a client that left", "[contract][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.read_on_ms = 50; });
  house.provider.say_hello_for_good();
  const auto page_has = [&](const std::string& line) {
    return has(house.app.call("GET", "/metrics").body, "\n" + line + "\n");
  };
  house.leave_stream([&] {
    CHECK(page_has("kvcs_ai_open_streams 1"));
    CHECK(page_has("kvcs_ai_client_gone_total 0"));
  });
  wait_until([&] { return page_has("kvcs_ai_open_streams 0"); }, "the stream has ended");
  CHECK(page_has("kvcs_ai_client_gone_total 1"));
  CHECK(page_has("kvcs_ai_upstream_errors_total 0"));
}

TEST_CASE("ai: a provider's host takes as many requests as the door lets in", "[contract][ai]") {
  AiHouse house([](Config& config) { config.upstream.connections_per_host_max = 1; });
  house.provider.say_hello_for_good();
  house.leave_stream([&] { house.leave_stream(); });
  CHECK(house.provider.bodies().size() == 2);
}

TEST_CASE("ai: a body that says it is not JSON is refused as such", "[contract][ai]") {
  AiHouse house;
  const auto send = [&](const std::string& type) {
    return house.app.call("POST", "/v1/chat/completions",
                          {{"api-key", house.key}, {"Content-Type", type}}, kHello);
  };
  for (const char* type : {"text/plain", "multipart/form-data; boundary=x", "json"}) {
    const RawResponse refused = send(type);
    CHECK(refused.status == 415);
    CHECK(has(refused.body, "unsupported_media_type"));
  }
  for (const char* type : {"application/json; charset=utf-8", "Application/JSON", "text/x+json"}) {
    CHECK(send(type).status == 200);
  }
}

TEST_CASE("ai: at a vendor's own address a missing key is told before anything is sent",
          "[contract][ai]") {
  AiHouse house;
  const RawResponse put =
      house.admin("PUT", "/admin/ai/providers/mistral", R"({"kind":"openai","models":["m"]})");
  REQUIRE(put.status == 200);
  check_refused(house, R"({"model":"mistral/gpt-4o-mini","messages":[]})", 401,
                "provider_key_missing");
  for (const std::string same : {"https://api.openai.com", "https://api.openai.com/v1/"}) {
    INFO(same);
    REQUIRE(house
                .admin("PUT", "/admin/ai/providers/mistral",
                       R"({"kind":"openai","models":["m"],"base_url":")" + same + "\"}")
                .status == 200);
    check_refused(house, R"({"model":"mistral/gpt-4o-mini","messages":[]})", 401,
                  "provider_key_missing");
  }
  CHECK(has(house.usage(), "\"reserved_usd\":0.00,"));
  const std::string credential = "/admin/organizations/" + house.org + "/ai-credentials/";
  const RawResponse folded =
      house.admin("PUT", credential + "mistral", "{\"api_key\":\"sk-1\\r\\nx-evil: 1\"}");
  CHECK(folded.status == 400);
  const RawResponse none = house.admin("DELETE", credential + "mistral");
  CHECK(none.status == 404);
  CHECK(has(none.body, "no key of its own"));
}

TEST_CASE("ai: an organization's own key is the one that its requests carry", "[contract][ai]") {
  AiHouse house;
  house.provider.set([](LoopbackPeer& peer) { return peer.answer("{}"); });
  const std::string path = "/admin/organizations/" + house.org + "/ai-credentials/openai";
  REQUIRE(house.chat().status == 200);
  CHECK(has(house.provider.heads().back(), "Bearer sk-secret"));
  const RawResponse put = house.admin("PUT", path, R"({"api_key":"sk-their-own"})");
  CHECK(put.status == 200);
  CHECK_FALSE(has(put.body, "sk-their-own"));
  REQUIRE(house.chat().status == 200);
  CHECK(has(house.provider.heads().back(), "Bearer sk-their-own"));
  CHECK(house.admin("DELETE", path).status == 204);
  REQUIRE(house.chat().status == 200);
  CHECK(has(house.provider.heads().back(), "Bearer sk-secret"));
}

TEST_CASE("ai: what GET shows of a provider may be PUT back, and its key stays", "[contract][ai]") {
  AiHouse house([](Config& config) {
    config.ai.providers = "fixed: {kind: openai_compatible, base_url: 'http://127.0.0.1:9/v1'}";
  });
  const std::string path = "/admin/ai/providers/openai";
  const RawResponse got = house.admin("GET", path);
  CHECK_FALSE(has(got.body, "sk-secret"));
  const RawResponse put = house.admin("PUT", path, got.body);
  INFO(put.body);
  CHECK(put.status == 200);
  CHECK(put.body == got.body);
  CHECK(house.chat().status == 200);
  CHECK(has(house.admin("GET", "/admin/ai/providers").body, "\"fixed\""));
  const RawResponse fixed = house.admin("DELETE", "/admin/ai/providers/fixed");
  CHECK(fixed.status == 409);
  CHECK(has(fixed.body, "configuration file"));
  CHECK(house.admin("DELETE", "/admin/ai/providers/nobody").status == 404);
  CHECK(house.admin("DELETE", path).status == 204);
}

TEST_CASE("ai: a provider's key goes to no other host, and is no header that can be read",
          "[contract][ai]") {
  AiHouse house;
  const std::string path = "/admin/ai/providers/openai";
  const RawResponse moved =
      house.admin("PUT", path, R"({"kind":"openai","base_url":"http://127.0.0.1:1/v1"})");
  CHECK(moved.status == 409);
  CHECK(has(moved.body, "secret_origin_changed"));
  CHECK(house.chat().status == 200);
  const std::string same_host = house.provider.url() + "/other";
  CHECK(house.admin("PUT", path, R"({"kind":"openai","base_url":")" + same_host + "\"}").status ==
        200);
  for (const char* name : {"Authorization", "x-api-key", "Cookie", "x-goog-api-key", "X-Auth-Token",
                           "ocp-apim-subscription-key"}) {
    const RawResponse refused = house.admin(
        "PUT", path, std::string(R"({"kind":"openai","headers":{")") + name + R"(":"secret"}})");
    CHECK(refused.status == 400);
    CHECK(has(refused.body, "holds a credential"));
  }
}

TEST_CASE("ai: a model that several providers list is asked of one that speaks the API",
          "[contract][ai]") {
  AiHouse house;
  const std::string listed = R"(,"models":["both"])";
  house.put_provider("aaa", "openai_compatible", house.provider.url(), listed);
  house.put_provider("anthropic", "anthropic", house.provider.url(), listed);
  for (const char* provider : {"aaa", "anthropic"}) {
    house.admin("PUT", std::string("/admin/ai/prices/") + provider + "/both",
                R"({"input_cost_per_token":0,"output_cost_per_token":0})");
  }
  CHECK(house.message(R"({"model":"both","max_tokens":1,"messages":[]})").status == 200);
  CHECK(house.chat(R"({"model":"both","max_tokens":1,"messages":[]})").status == 200);
  CHECK(has(house.provider.heads().front(), "POST /v1/messages"));
  CHECK(has(house.provider.heads().back(), "POST /v1/chat/completions"));
}

TEST_CASE("ai: a provider that breaks its protocol costs at most what was asked", "[fault][ai]") {
  AiHouse house;
  struct Fault {
    const char* what;
    const char* bytes;
    int status;
  };
  // The first two are answers that end before their length; nobody can tell what was done.
  const Fault faults[] = {
      {"short body", "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{\"id\":1", 502},
      {"cut chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"id\":1", 502},
      {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 502},
      {"no HTTP", "220 smtp.example.com ready\r\n", 502},
      {"endless head", "HTTP/1.1 200 OK\r\nX: ", 502},
  };
  for (const Fault& fault : faults) {
    INFO(fault.what);
    house.provider.set([&fault](LoopbackPeer& peer) {
      peer.send(fault.bytes);
      return false;
    });
    const RawResponse answer = house.chat();
    INFO(answer.body);
    CHECK(answer.status == fault.status);
    CHECK(answer.body.starts_with("{\"error\":{"));
    CHECK(has(house.usage(), "\"reserved_usd\":0.00,"));
  }
}

TEST_CASE("ai: bytes that are no UTF-8 pass, and are billed by their number", "[fault][ai]") {
  AiHouse house;
  const std::string body = "{\"choices\":[{\"message\":{\"content\":\"\xff\xfe\"}}]}";
  house.provider.answer_json(body);
  const RawResponse answer = house.chat();
  CHECK(answer.status == 200);
  CHECK(answer.body == body);
  CHECK(has(house.admin("GET", "/admin/usage/requests").body, "\"estimated\":true"));
}

TEST_CASE("ai: an answer over its limit is the provider's fault, not the client's", "[fault][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.answer_max_bytes = 4096; });
  house.provider.answer_json("{\"x\":\"" + std::string(10'000, 'x') + "\"}");
  check_refused(house, kHello, 502, "answer");
}

TEST_CASE("ai: a target that gave no answer is charged, whatever the one before it said",
          "[contract][ai]") {
  AiHouse house(
      [](Config& config) { config.ai.aliases = "two: [openai/gpt-4o-mini, openai/gpt-4o]"; });
  house.provider.set([&house](LoopbackPeer& peer) {
    if (house.provider.bodies().size() == 2) return false;
    return peer.answer(R"({"error":{"message":"no"}})");
  });
  CHECK(house.chat(R"({"model":"two","messages":[],"max_tokens":100})").status == 502);
  const std::string rows = house.admin("GET", "/admin/usage/requests").body;
  INFO(rows);
  CHECK(has(rows, "\"model\":\"gpt-4o\""));
  CHECK(has(rows, "\"output_tokens\":100"));
  CHECK(has(rows, "\"estimated\":true"));
}
