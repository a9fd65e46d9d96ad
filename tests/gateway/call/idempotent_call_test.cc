// Goal: a call with an idempotency_key has one effect, however often it is sent, and whoever
// repeats it learns what became of it. Method: the pipeline over the memory store and a scripted
// upstream.
#include "gateway/gateway_setup.h"

using namespace kvcs;
using kvcs::test::GatewaySetup;
using kvcs::test::json_answer;
using kvcs::test::kList;
using kvcs::test::ScriptedAnswer;

TEST_CASE("pipeline: a repeat with the same idempotency_key gets the first answer, marked",
          "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "default", "tok-1");
  const std::string create = R"({"action":"create","object_type":"deals","properties":{"a":1},)"
                             R"("idempotency_key":"deal-1"})";
  gateway.upstream.push(json_answer(201, R"({"id":"7"})"));
  const auto first = gateway.call("hubspot", create);
  REQUIRE(first.status == 201);
  CHECK(first.find("idempotent-replay") == nullptr);
  // A provider that honours keys is told it, too.
  CHECK(gateway.upstream.last_seen().header("idempotency-key") == "deal-1");

  const auto again = gateway.call("hubspot", create);
  CHECK(again.status == 201);
  CHECK(again.body == first.body);
  REQUIRE(again.find("idempotent-replay") != nullptr);
  CHECK(*again.find("idempotent-replay") == "true");
  CHECK(*again.find("idempotent-replay-of") == "req-1");
  CHECK(gateway.upstream.seen_count() == 1);
  CHECK(gateway.errors.empty());

  const auto other = gateway.call("hubspot", create + " ");
  CHECK(other.status == 409);
  CHECK(GatewaySetup::code(other) == "IDEMPOTENCY_KEY_REUSED");
  CHECK(gateway.errors.back().code == "IDEMPOTENCY_KEY_REUSED");
  // Whoever is refused is refused with a key as well, and a dry run uses none up.
  CHECK(gateway.call("hubspot", create, "nobody").status == 404);
  CHECK(gateway.call("hubspot", R"({"path":"/crm/x","dry_run":true,"idempotency_key":"dry"})")
            .status == 200);
  CHECK(gateway.upstream.seen_count() == 1);

  gateway.clock.advance_ms(86'401'000);
  gateway.upstream.push(json_answer(201, R"({"id":"8"})"));
  CHECK(gateway.call("hubspot", create).find("idempotent-replay") == nullptr);
  CHECK(gateway.upstream.seen_count() == 2);
}

TEST_CASE("pipeline: a duplicate in flight waits, a failure may be tried again",
          "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "default", "tok-1");
  const std::string send = R"({"path":"/crm/x","body":{},"idempotency_key":"k"})";
  gateway.upstream.set_handler([&](const auto&) {
    gateway.upstream.set_handler({});
    const auto duplicate = gateway.call("hubspot", send);
    CHECK(duplicate.status == 409);
    CHECK(GatewaySetup::code(duplicate) == "IDEMPOTENCY_IN_PROGRESS");
    CHECK(*duplicate.find("retry-after") == "1");
    return json_answer(503, "{}");
  });
  CHECK(gateway.call("hubspot", send).status == 503);
  gateway.upstream.push(json_answer(200, "{}"));
  CHECK(gateway.call("hubspot", send).status == 200);
  CHECK(gateway.call("hubspot", send).find("idempotent-replay") != nullptr);
  CHECK(gateway.upstream.seen_count() == 2);
}

TEST_CASE("pipeline: an answer that cannot be kept is not asked for twice", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "default", "tok-1");
  const std::string send =
      R"({"path":"/crm/x","body":{},"format":"compact","idempotency_key":"k"})";
  gateway.upstream.push(json_answer(200, "[\"" + std::string(400'000, 'x') + "\"]"));
  CHECK(gateway.call("hubspot", send).stream);
  const auto again = gateway.call("hubspot", send);
  CHECK(again.status == 409);
  CHECK(GatewaySetup::code(again) == "IDEMPOTENCY_ANSWER_NOT_KEPT");
  CHECK(gateway.upstream.seen_count() == 1);

  // Text is kept like JSON: a mail that was sent, say, in XML.
  ScriptedAnswer xml;
  xml.headers = {{"content-type", "text/xml"}};
  xml.chunks = {"<ok/>"};
  gateway.upstream.push(xml);
  const std::string mail = R"({"path":"/crm/mail","body":{},"idempotency_key":"m"})";
  CHECK(gateway.call("hubspot", mail).body == "<ok/>");
  const auto kept = gateway.call("hubspot", mail);
  CHECK(kept.body == "<ok/>");
  CHECK(*kept.find("content-type") == "text/xml");
  CHECK(gateway.upstream.seen_count() == 2);
}

TEST_CASE("pipeline: without the store an idempotency_key is not taken", "[fault][gateway]") {
  bool down = false;
  GatewaySetup gateway(GatewaySetup::unlimited(), [&](std::string_view, std::string_view) {
    return down ? unavailable("The store is away.") : ok();
  });
  gateway.put_token("ascend", "hubspot", "default", "tok-1");
  gateway.upstream.push_json(200, "{}");
  REQUIRE(gateway.call("hubspot", kList).status == 200);  // Its records are in memory now.
  down = true;
  const auto refused = gateway.call("hubspot", R"({"path":"/crm/x","idempotency_key":"k"})");
  CHECK(refused.status == 503);
  CHECK(GatewaySetup::code(refused) == "UNAVAILABLE");
  CHECK(std::atoi(refused.find("retry-after")->c_str()) >= 5);
  CHECK(gateway.upstream.seen_count() == 1);
}

TEST_CASE("pipeline: a store that fails after the call does not let a repeat call again",
          "[fault][gateway]") {
  bool down = false;
  GatewaySetup gateway(GatewaySetup::unlimited(), [&](std::string_view, std::string_view) {
    return down ? unavailable("The store is away.") : ok();
  });
  gateway.put_token("ascend", "hubspot", "default", "tok-1");
  gateway.upstream.set_handler([&](const auto&) {
    down = true;
    return json_answer(201, R"({"id":"7"})");
  });
  const std::string send = R"({"path":"/crm/x","body":{},"idempotency_key":"k"})";
  CHECK(gateway.call("hubspot", send).status == 201);
  down = false;
  const auto again = gateway.call("hubspot", send);
  CHECK(again.status == 409);
  CHECK(GatewaySetup::code(again) == "IDEMPOTENCY_OUTCOME_UNKNOWN");
  CHECK(again.body.find("req-1") != std::string::npos);
  CHECK(gateway.upstream.seen_count() == 1);
  CHECK(gateway.errors.back().code == "IDEMPOTENCY_OUTCOME_UNKNOWN");
}

TEST_CASE("pipeline: what may have taken effect is not sent twice under one key",
          "[fault][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "default", "tok-1");
  size_t asked = 0;
  const auto call = [&](const std::string& method, const std::string& key, ScriptedAnswer answer) {
    gateway.upstream.set_handler([&, answer = std::move(answer)](const auto&) {
      asked++;
      return answer;
    });
    return gateway.call("hubspot", R"({"path":"/crm/x","method":")" + method +
                                       R"(","idempotency_key":")" + key + "\"}");
  };
  const auto open_failure = [](Status why) {
    ScriptedAnswer answer;
    answer.open_failure = std::move(why);
    return answer;
  };
  ScriptedAnswer cut = json_answer(200, "{\"id\":");
  cut.end = ScriptedAnswer::End::kTruncated;
  struct Row {
    const char* name;
    ScriptedAnswer first;
    int status;
    bool unknown;
  };
  const Row rows[] = {
      {"broken", open_failure(upstream_failed("broke off").with_reason("truncated")), 502, true},
      {"noise", open_failure(upstream_failed("not HTTP").with_reason("not_http")), 502, true},
      {"late", open_failure(timed_out("too late").with_reason("deadline")), 504, true},
      {"cut", cut, 502, true},
      {"their-proxy", json_answer(502, "{}"), 502, true},
      {"their-timeout", json_answer(504, "{}"), 504, true},
      {"moved", json_answer(303, "{}"), 502, true},
      {"no-name", open_failure(upstream_failed("no DNS").with_reason("dns_failed")), 502, false},
      {"closed", open_failure(upstream_failed("refused").with_reason("connect_failed")), 502,
       false},
      {"far", open_failure(timed_out("no connection").with_reason("connect_timeout")), 504, false},
      {"tls", open_failure(upstream_failed("bad name").with_reason("tls_failed")), 502, false},
      {"their-fault", json_answer(500, "{}"), 500, false},
      {"their-no", json_answer(422, "{}"), 422, false}};
  for (const Row& row : rows) {
    INFO(row.name);
    CHECK(call("POST", row.name, row.first).status == row.status);
    const size_t before = asked;
    const auto again = call("POST", row.name, json_answer(201, R"({"id":"7"})"));
    CHECK(again.status == (row.unknown ? 409 : 201));
    if (row.unknown) CHECK(GatewaySetup::code(again) == "IDEMPOTENCY_OUTCOME_UNKNOWN");
    CHECK(asked == before + (row.unknown ? 0 : 1));
    // What only reads may be asked again.
    CHECK(call("GET", std::string("get-") + row.name, row.first).status == row.status);
    CHECK(call("GET", std::string("get-") + row.name, json_answer(200, "{}")).status == 200);
  }
}
