// The AI door of the whole daemon: its refusals in their dialects, what it passes on, what it
// charges, and what becomes of a request when provider, client or store fail.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>

#include "ai/budget/budget.h"
#include "support/ai_house.h"

using namespace kvcs;
using kvcs::ai::BudgetView;
using namespace kvcs::test;

TEST_CASE("ai: without a good key each dialect refuses in its own words", "[contract][ai]") {
  AiHouse house;
  const std::vector<TestApp::Headers> bad = {
      {}, {{"x-api-key", "gw_live_x"}}, {{"api-key", "no"}}, {{"Authorization", "Bearer no"}}};
  for (const TestApp::Headers& headers : bad) {
    const RawResponse openai = house.app.call("POST", "/v1/chat/completions", headers, kHello);
    CHECK(openai.status == 401);
    CHECK(openai.body.starts_with("{\"error\":{"));
    CHECK(has(openai.body, "\"type\":\"auth_error\""));
    const RawResponse anthropic = house.app.call("POST", "/v1/messages", headers, kHello);
    CHECK(anthropic.status == 401);
    INFO(anthropic.body);
    CHECK(anthropic.body.starts_with("{\"type\":\"error\""));
    CHECK(has(anthropic.body, "\"type\":\"authentication_error\""));
    CHECK((headers.empty() || has(anthropic.body, "\"code\":\"invalid_api_key\"")));
  }
  CHECK(house.provider.bodies().empty());
}

TEST_CASE("ai: what is not here is refused in the dialect of its neighbours", "[contract][ai]") {
  AiHouse house;
  for (const char* path : {"/v1/images/generations", "/v1/moderations", "/v1/nothing"}) {
    const RawResponse answer = house.app.as(house.key, "POST", path, "{}");
    INFO(path << " " << answer.body);
    CHECK(answer.status == 404);
    CHECK(has(answer.body, "\"type\":\"not_found\""));
    CHECK(answer.body.starts_with("{\"error\":{"));
  }
  const RawResponse batches = house.app.as(house.key, "POST", "/v1/messages/batches", "{}");
  CHECK(batches.status == 404);
  CHECK(batches.body.starts_with("{\"type\":\"error\""));
}

TEST_CASE("ai: a key is taken from any of its three headers", "[contract][ai]") {
  AiHouse house;
  const std::vector<TestApp::Headers> good = {{{"Authorization", "Bearer " + house.key}},
                                              {{"x-api-key", house.key}},
                                              {{"api-key", house.key}}};
  for (const TestApp::Headers& headers : good) {
    CHECK(house.app.call("POST", "/v1/chat/completions", headers, kHello).status == 200);
  }
}

TEST_CASE("ai: bad bodies are refused before anything is reserved or sent", "[contract][ai]") {
  AiHouse house([](Config& config) { config.ai.request_max_bytes = 256 << 10; });
  std::string deep = R"({"model":"gpt-4o-mini","messages":)";
  deep += std::string(200, '[') + std::string(200, ']') + "}";
  check_refused(house, "{", 400, "invalid_request_error");
  check_refused(house, "[]", 400, "invalid_request_error");
  check_refused(house, "\xff\xfe", 400, "invalid_request_error");
  check_refused(house, deep, 400, "levels");
  check_refused(house, R"({"messages":[]})", 400, "model");
  check_refused(house, R"({"model":"gpt-4o-mini","max_tokens":99999999999})", 400, "max_tokens");
  check_refused(house, R"({"model":"gpt-4o-mini","max_tokens":-2})", 400, "max_tokens");
  check_refused(house, R"({"model":"gpt-4o-mini","n":100000})", 400, "n: 100000");
  check_refused(house, R"({"model":"nobody/knows","messages":[]})", 404, "model_not_found");
  check_refused(house, R"({"model":"openai/unpriced","messages":[]})", 400, "model_not_priced");
  // Short enough to be read to its end after the answer: who sends more may be cut off.
  check_refused(house, std::string(512 << 10, ' '), 413, "error");
  CHECK(house.provider.bodies().empty());
  CHECK(has(house.usage(), "\"reserved_usd\":0.00,"));
}

// Parsers differ in which of two they take: the model that is allowed would not be the one that
// answers, nor the output that is reserved the one that is made.
TEST_CASE("ai: a member that matters is refused when it is given twice", "[contract][ai]") {
  AiHouse house;
  check_refused(house, R"({"model":"gpt-4o-mini","model":"gpt-4o","max_tokens":1})", 400,
                "model: is given twice");
  check_refused(house, R"({"model":"gpt-4o-mini","max_tokens":1,"max_tokens":100000})", 400,
                "max_tokens: is given twice");
  check_refused(house, R"({"model":"gpt-4o-mini","str\u0065am":false,"stream":true})", 400,
                "stream: is given twice");
  check_refused(house,
                R"({"model":"gpt-4o-mini","stream":true,"stream_options":)"
                R"({"include_usage":true,"include_usage":false}})",
                400, "include_usage: is given twice");
  CHECK(house.provider.bodies().empty());
  CHECK(house.chat(R"({"model":"gpt-4o-mini","max_tokens":1,"mine":1,"mine":2})").status == 200);
}

TEST_CASE("ai: a member whose name is written with escapes is edited like any other",
          "[contract][ai]") {
  AiHouse house;
  house.provider.answer_stream({chunk("Hi"), finish(), usage_chunk(), kDone});
  CHECK(house
            .chat(R"({"mod\u0065l":"openai/gpt-4o-mini","stream":true,"max_tokens":1,)"
                  R"("stre\u0061m_options":{"x":1}})")
            .status == 200);
  CHECK(house.provider.bodies().back() ==
        R"({"mod\u0065l":"gpt-4o-mini","stream":true,"max_tokens":1,)"
        R"("stre\u0061m_options":{"include_usage":true,"x":1}})");
}

TEST_CASE("ai: only what its own API has bounds an answer", "[contract][ai]") {
  AiHouse house;
  house.change_org(R"({"output_fit":false})");
  house.change_user(R"({"monthly_limit_usd":0.001})");
  for (const char* other : {"\"max_output_tokens\":1", "\"max_completion_tokens\":1"}) {
    check_refused(house,
                  std::string(R"({"model":"gpt-4o-mini","max_tokens":1000000,)") + other + "}", 429,
                  "user_quota_exceeded");
  }
  const RawResponse anthropic = house.message(
      R"({"model":"anthropic/claude-fable-5","max_tokens":1000000,"max_completion_tokens":1})");
  INFO(anthropic.body);
  CHECK(anthropic.status == 429);
  const RawResponse later =
      house.app.as(house.key, "POST", "/v1/responses",
                   R"({"model":"gpt-4o-mini","input":"x","background":true})");
  CHECK(later.status == 400);
  CHECK(has(later.body, "background"));
  CHECK(house.provider.bodies().empty());
}

TEST_CASE("ai: each request is charged by an id of its own, whatever id its client sends",
          "[contract][ai]") {
  AiHouse house;
  for (int i = 0; i < 3; i++) {
    const RawResponse answer =
        house.app.call("POST", "/v1/chat/completions",
                       {{"x-api-key", house.key}, {"X-Request-Id", "same"}}, kHello);
    CHECK(answer.status == 200);
    const RawResponse row =
        house.app.as(house.key, "GET", "/v1/usage/" + answer.header("x-request-id"));
    INFO(row.body);
    CHECK(row.status == 200);
  }
}

TEST_CASE("ai: only the models that key, user and organization allow", "[contract][ai]") {
  AiHouse house;
  house.change_user(R"({"allowed_models":["gpt-4o"]})");
  check_refused(house, kHello, 403, "model_not_allowed");
  house.change_user(R"({"allowed_models":["openai/gpt-4o-mini"]})");
  CHECK(house.chat().status == 200);
  house.change_org(R"({"allowed_models":["gpt-4o"]})");
  check_refused(house, kHello, 403, "model_not_allowed");
}

TEST_CASE("ai: a spent budget of key, user or organization answers 429 with its numbers",
          "[contract][ai]") {
  AiHouse house;
  const RawResponse made = house.admin("POST", "/admin/users/" + house.user + "/api-keys",
                                       R"({"name":"none","monthly_limit_usd":0})");
  const RawResponse by_key =
      house.app.as(json_text(made.body, "api_key"), "POST", "/v1/chat/completions", kHello);
  CHECK(by_key.status == 429);
  CHECK(has(by_key.body, "key_quota_exceeded"));
  house.change_org(R"({"monthly_budget_usd":0})");
  check_refused(house, kHello, 429, "organization_quota_exceeded");
  house.change_user(R"({"monthly_limit_usd":0})");
  check_refused(house, kHello, 429, "user_quota_exceeded");
  CHECK(has(house.chat().body, "\"limit_usd\":"));
  CHECK(house.provider.bodies().empty());
}

TEST_CASE("ai: a request over the rate says when to come back", "[contract][ai]") {
  AiHouse house;
  house.change_user(R"({"requests_per_minute":1})");
  const RawResponse first = house.chat();
  CHECK(first.status == 200);
  CHECK(first.header("ratelimit-limit") == "1");
  const RawResponse second = house.chat();
  CHECK(second.status == 429);
  CHECK(has(second.body, "rate_limit_exceeded"));
  CHECK(std::atoi(second.header("retry-after").c_str()) > 0);
  CHECK(second.header("ratelimit-remaining") == "0");
}

TEST_CASE("ai: a request that the budget refuses gives its tokens back to the rate",
          "[contract][ai]") {
  AiHouse house;
  house.change_user(R"({"tokens_per_minute":60,"monthly_limit_usd":0})");
  for (int i = 0; i < 8; i++) check_refused(house, kHello, 429, "user_quota_exceeded");
}

TEST_CASE("ai: suspended users and organizations are refused at once", "[contract][ai]") {
  AiHouse house;
  house.change_user(R"({"status":"suspended"})");
  check_refused(house, kHello, 403, "user_suspended");
  house.change_user(R"({"status":"active"})");
  house.admin("POST", "/admin/organizations/" + house.org + "/suspend");
  check_refused(house, kHello, 403, "org_suspended");
  house.admin("POST", "/admin/organizations/" + house.org + "/resume");
  CHECK(house.chat().status == 200);
}

TEST_CASE("ai: what a provider refuses is passed on and costs nothing", "[contract][ai]") {
  AiHouse house;
  house.provider.set([](LoopbackPeer& peer) {
    return peer.send("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 6\r\n\r\n{\"a\":1");
  });
  const RawResponse slow = house.chat();
  CHECK(slow.status == 429);
  CHECK(slow.header("retry-after") == "7");
  CHECK(slow.body == "{\"a\":1");
  for (const char* status : {"400 Bad", "500 Oops", "529 Overloaded"}) {
    house.provider.answer_json("{\"error\":\"theirs\"}", status);
    const RawResponse passed = house.chat();
    CHECK(passed.status == std::atoi(status));
    CHECK(passed.body == "{\"error\":\"theirs\"}");
  }
  CHECK(has(house.usage(), "\"current_usage_usd\":0.00,"));
}

TEST_CASE("ai: a provider's error that quotes our key does not give it away", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json("{\"error\":\"sk-secret: no; sk-secret\"}", "401 No");
  CHECK(house.chat().body == "{\"error\":\"***: no; ***\"}");
}

TEST_CASE("ai: a provider that redirects, breaks, hangs or is away is 502 or 504",
          "[contract][fault][ai]") {
  AiHouse house;
  house.provider.set([](LoopbackPeer& peer) {
    return peer.send(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n");
  });
  check_refused(house, kHello, 502, "proxy_error");
  house.provider.set([](LoopbackPeer& peer) {
    peer.reset();
    return false;
  });
  check_refused(house, kHello, 502, "proxy_error");
  house.put_provider("openai", "openai", "http://127.0.0.1:1");
  check_refused(house, kHello, 502, "proxy_error");
  house.provider.set([](LoopbackPeer& peer) { return !peer.wait_closed(); });
  house.put_provider("openai", "openai", house.provider.url(), ",\"timeout_ms\":100");
  CHECK(house.chat().status == 504);
  CHECK(has(house.usage(), "\"reserved_usd\":0.00,"));
}

TEST_CASE("ai: a stream is relayed, and the usage chunk swallowed unless it was wanted",
          "[contract][ai]") {
  AiHouse house;
  house.provider.answer_stream({chunk("Hel"), chunk("lo"), finish(), usage_chunk(), kDone});
  const RawResponse plain = house.chat(kHelloStream);
  CHECK(plain.status == 200);
  CHECK(plain.complete);
  CHECK(plain.body == chunk("Hel") + chunk("lo") + finish() + kDone);
  CHECK(has(house.provider.bodies().back(), "\"include_usage\":true"));
  std::string wanted = kHelloStream;
  wanted.insert(1, "\"stream_options\":{\"include_usage\":true},");
  CHECK(has(house.chat(wanted).body, usage_chunk()));
  CHECK(house.provider.bodies().back() == wanted);
}

TEST_CASE("ai: a stream cut short ends as an error and never cleanly", "[contract][fault][ai]") {
  AiHouse house;
  for (const bool clean : {false, true}) {
    house.provider.answer_stream({chunk("Hel")}, clean);
    const RawResponse cut = house.chat(kHelloStream);
    INFO(cut.body);
    CHECK(has(cut.body, "data: {\"error\":{"));
    CHECK_FALSE(has(cut.body, "[DONE]"));
    CHECK_FALSE(cut.complete);
  }
}

TEST_CASE("ai: an event without end is refused at its limit", "[contract][fault][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.event_max_bytes = 64 << 10; });
  house.provider.set([](LoopbackPeer& peer) {
    FakeProvider::begin_stream(peer);
    const std::string block(64 << 10, 'x');
    peer.send_chunk("data: ");
    for (int i = 0; i < 1600 && peer.send_chunk(block); i++) continue;
    peer.reset();
    return false;
  });
  const RawResponse cut = house.chat(kHelloStream);
  CHECK(has(cut.body, "\"error\""));
  CHECK(cut.body.size() < 4096);
  CHECK_FALSE(cut.complete);
}

TEST_CASE("ai: a provider is read on for a while without its client, which is billed by estimate",
          "[contract][fault][ai]") {
  AiHouse house([](Config& config) { config.ai.proxy.read_on_ms = 50; });
  house.provider.say_hello_for_good();
  house.leave_stream();
  REQUIRE(house.provider.server().wait_client_closed_count(1));
  std::string rows;
  for (int i = 0; i < 2000 && !has(rows, "499"); i++) {
    rows = house.admin("GET", "/admin/usage/requests").body;
  }
  INFO(rows);
  CHECK(has(rows, "\"estimated\":true"));
}

TEST_CASE("ai: a key revoked during a stream ends with it, not before", "[contract][ai]") {
  AiHouse house;
  house.provider.set([&house](LoopbackPeer& peer) {
    FakeProvider::begin_stream(peer);
    peer.send_chunk(chunk("Hel"));
    const std::string path = "/admin/users/" + house.user + "/api-keys/" + house.key_id;
    const int revoked = house.admin("DELETE", path).status;
    peer.send_chunk(chunk(revoked == 200 ? "lo" : "?"));
    peer.send_chunk(finish() + usage_chunk() + kDone);
    return peer.send("0\r\n\r\n");
  });
  const RawResponse answer = house.chat(kHelloStream);
  CHECK(answer.complete);
  CHECK(has(answer.body, "\"lo\""));
  CHECK(house.chat().status == 401);
  CHECK(has(house.usage(), "\"request_count\":1"));
}

TEST_CASE("ai: an alias tries its models in order, before the first byte only", "[contract][ai]") {
  AiHouse house(
      [](Config& config) { config.ai.aliases = "fast: [backup/gpt-4o, openai/gpt-4o-mini]"; });
  FakeProvider backup;
  house.put_provider("backup", "openai_compatible", backup.url(), R"(,"models":["gpt-4o"])");
  const std::string ask = R"({"model":"fast","messages":[],"max_tokens":10})";
  house.change_org(
      R"({"unknown_input_cost_per_token":"0.000001","unknown_output_cost_per_token":"0.000001"})");
  CHECK(house.chat(ask).status == 200);
  CHECK(house.provider.bodies().empty());
  CHECK(has(backup.bodies().back(), "\"gpt-4o\""));
  for (const char* status : {"429 Slow", "500 Oops"}) {
    backup.answer_json("{}", status);
    CHECK(house.chat(ask).status == 200);
    CHECK(has(house.provider.bodies().back(), "\"gpt-4o-mini\""));
  }
  const size_t before = house.provider.bodies().size();
  backup.answer_json("{}", "400 Bad");
  CHECK(house.chat(ask).status == 400);
  CHECK(house.provider.bodies().size() == before);
}

TEST_CASE("ai: a price stated for unknown models can be taken back", "[contract][ai]") {
  AiHouse house;
  const std::string ask = R"({"model":"openai/unpriced","messages":[],"max_tokens":10})";
  check_refused(house, ask, 400, "model_not_priced");
  house.change_org(
      R"({"unknown_input_cost_per_token":"0.000001","unknown_output_cost_per_token":"0.000001"})");
  CHECK(house.chat(ask).status == 200);
  house.change_org(R"({"unknown_input_cost_per_token":null,"unknown_output_cost_per_token":null})");
  check_refused(house, ask, 400, "model_not_priced");
  const RawResponse half = house.admin(
      "PATCH", "/admin/organizations/" + house.org,
      R"({"unknown_input_cost_per_token":null,"unknown_output_cost_per_token":"0.000001"})");
  CHECK(half.status == 400);
}

TEST_CASE("ai: an organization's own price is what it pays", "[contract][ai]") {
  AiHouse house;
  CHECK(house.chat().header("x-gateway-cost-usd") == "0.000045");
  const RawResponse put =
      house.admin("PUT", "/admin/ai/prices/openai%2Fgpt-4o-mini?org_id=" + house.org,
                  R"({"input_cost_per_token":"0.00001","output_cost_per_token":0.00002})");
  INFO(put.body);
  REQUIRE(put.status == 200);
  CHECK(house.chat().header("x-gateway-cost-usd") == "0.002000");
}

TEST_CASE("ai: members that the gateway does not know pass byte for byte", "[contract][ai]") {
  AiHouse house;
  const std::string body =
      "{ \"x\" : [1, 2.50,1e3],\t\"model\":\"gpt-4o-mini\", \"messages\":[{\"role\":\"user\","
      "\"content\":\"\\u00e9\"}],\"max_tokens\":5 }";
  CHECK(house.chat(body).status == 200);
  CHECK(house.provider.bodies().back() == body);
}

TEST_CASE("ai: creating a user twice with one idempotency key makes one user", "[contract][ai]") {
  AiHouse house;
  const TestApp::Headers headers = {
      {"Authorization", "Bearer " + house.app.credential("admin_key")},
      {"Idempotency-Key", "once"}};
  const std::string body = R"({"email":"b@example.com","org_id":")" + house.org + "\"}";
  const RawResponse first = house.app.call("POST", "/admin/users", headers, body);
  const RawResponse second = house.app.call("POST", "/admin/users", headers, body);
  CHECK(first.status == 201);
  CHECK(second.status == 201);
  CHECK(first.body == second.body);
}

TEST_CASE("ai: usage and providers outlive a restart", "[contract][ai]") {
  AiHouse house;
  CHECK(house.chat().status == 200);
  house.app.restart();
  CHECK(has(house.usage(), "\"request_count\":1"));
  CHECK(house.chat().status == 200);
  CHECK(has(house.usage(), "\"request_count\":2"));
}

TEST_CASE("ai: a thousand requests at once never pass a limit of a cent", "[slow][ai]") {
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  files.rlim_cur = files.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  AiHouse house([](Config& config) { config.http.server.workers_min = 16; });
  house.change_user(R"({"monthly_limit_usd":"0.01"})");
  // The provider answers nobody until all have asked.
  std::atomic<bool> all_asked = false;
  house.provider.set([&](LoopbackPeer& peer) {
    all_asked.wait(false);
    return peer.answer("{\"choices\":[]," + kUsage + "}");
  });
  const std::string request =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\napi-key: " +
      house.key + "\r\nContent-Length: " + std::to_string(kHello.size()) + "\r\n\r\n" + kHello;
  std::vector<RawClient> clients;
  for (int i = 0; i < 1000; i++) {
    clients.emplace_back(house.app.port());
    REQUIRE(clients.back().send(request));
  }
  const BudgetView during = *house.app.parts().ai.budgets->view("user", house.user, "");
  CHECK(during.used_nano_usd + during.reserved_nano_usd <= 10'000'000);
  all_asked = true;
  all_asked.notify_all();
  int served = 0, refused = 0;
  for (RawClient& client : clients) {
    const int status = client.read_response().status;
    CHECK((status == 200 || status == 429));
    (status == 200 ? served : refused)++;
  }
  CHECK(served > 0);
  CHECK(refused > 0);
  // Each is charged 0.000045 USD.
  const BudgetView after = *house.app.parts().ai.budgets->view("user", house.user, "");
  CHECK(after.used_nano_usd == served * 45'000);
  CHECK(after.used_nano_usd <= 10'000'000);
  CHECK(after.reserved_nano_usd == 0);
  CHECK(after.request_count == served);
}
