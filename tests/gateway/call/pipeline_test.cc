// Goal: a call takes its stages in order, answers as the contract documents, byte for byte, and
// every documented code comes with its status and one row in the error ledger. Method: the real
// parts over the memory store and a scripted upstream.
#include <nlohmann/json.hpp>

#include "gateway/gateway_setup.h"
#include "support/deflate.h"

using namespace kvcs;
using namespace kvcs::gateway;
using kvcs::test::GatewaySetup;
using kvcs::test::json_answer;
using kvcs::test::kList;
using kvcs::test::ScriptedAnswer;

namespace {

constexpr const char* kContacts =
    R"({"results":[{"id":"123","properties":{"email":"alice@example.com","firstname":"Alice"},)"
    R"("archived":false}],"paging":{"next":{"after":"124"}}})";

}  // namespace

TEST_CASE("pipeline: the documented answers come out byte for byte", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "default", "tok-secret-1");
  gateway.upstream.set_handler([](const auto&) { return json_answer(200, kContacts); });

  const auto full = gateway.call("hubspot", kList);
  CHECK(full.status == 200);
  CHECK(full.body ==
        std::string(R"({"success":true,"status":200,"data":)") + kContacts + R"(,"cache":"MISS"})");
  CHECK(gateway.call("hubspot", R"({"path":"/crm/v3/objects/contacts","format":"compact"})").body ==
        kContacts);
  CHECK(gateway
            .call("hubspot", R"({"action":"list","object_type":"contacts","limit":2,)"
                             R"("fields":["id","properties.email"],"format":"compact"})")
            .body == R"({"results":[{"id":"123","properties":{"email":"alice@example.com"}}],)"
                     R"("paging":{"next":{"after":"124"}}})");
  const auto seen = gateway.upstream.last_seen();
  CHECK(seen.url == "https://api.hubapi.com/crm/v3/objects/contacts?limit=2");
  CHECK(seen.header("authorization") == "Bearer tok-secret-1");
  CHECK_FALSE(seen.allow_private_addresses);
  CHECK(gateway.errors.empty());
}

TEST_CASE("pipeline: several accounts need a choice, in the documented words", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "kahuna_prod", "tok-b");
  gateway.put_token("ascend", "hubspot", "default", "tok-a");
  const auto refused = gateway.call("hubspot", kList);
  CHECK(refused.status == 400);
  CHECK(refused.body ==
        R"({"error":"Tenant ascend has multiple hubspot accounts. Pass account_id explicitly. )"
        R"(Available: default, kahuna_prod.","code":"VALIDATION_ERROR","status":400,)"
        R"("request_id":"req-1"})");
  gateway.upstream.push_json(200, "{}");
  CHECK(gateway
            .call("hubspot", R"({"domain":"hubspot","path":"/crm/v3/objects/contacts",)"
                             R"("account_id":"kahuna_prod"})")
            .status == 200);
  CHECK(gateway.upstream.last_seen().header("authorization") == "Bearer tok-b");
  const auto unknown =
      gateway.call("hubspot", R"({"path":"/crm/v3/objects/contacts","account_id":"nope"})");
  CHECK(unknown.status == 404);
  CHECK(GatewaySetup::code(unknown) == "TOKEN_MISSING");
  CHECK(unknown.body.find("Available: default, kahuna_prod.") != std::string::npos);
}

TEST_CASE("pipeline: each code comes with its status and one row of the ledger",
          "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_tenant("frosty", R"({"status":"suspended"})");
  gateway.put_token("ascend", "hubspot", "default", "tok-secret-1");
  gateway.put_token("ascend", "slack", "default", "old", gateway.clock.unix_s());
  struct Row {
    const char* tenant;
    const char* provider;
    const char* body;
    int status;
    const char* code;
  };
  const Row rows[] = {
      {"nobody", "hubspot", kList, 404, "TENANT_NOT_FOUND"},
      {"frosty", "hubspot", kList, 403, "TENANT_SUSPENDED"},
      {"ascend", "nothing", kList, 404, "CONFIG_MISSING"},
      {"ascend", "a:b", kList, 404, "CONFIG_MISSING"},
      {"ascend", "github", R"({"path":"/user"})", 404, "TOKEN_MISSING"},
      {"ascend", "slack", R"({"path":"/chat.postMessage"})", 401, "TOKEN_EXPIRED"},
      {"ascend", "hubspot", "{", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", "[]", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", "", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","colour":1})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/../x"})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/admin/x"})", 403, "PATH_NOT_ALLOWED"},
      {"ascend", "hubspot", R"({"path":"/crm/x","headers":{"Host":"x"}})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","timeout_ms":30001})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","fields":"id"})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","fields":[1]})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","domain":"slack"})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","account_id":"a:b"})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","method":"TRACE"})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"path":"/crm/x","method":"GET","body":{}})", 400,
       "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"action":"explode"})", 400, "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"action":"get","object_type":"contacts"})", 400,
       "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"action":"get","object_type":"../x","id":"1"})", 400,
       "VALIDATION_ERROR"},
      {"ascend", "hubspot", R"({"action":"list","object_type":"contacts","id":"1"})", 400,
       "VALIDATION_ERROR"},
  };
  size_t count = 0;
  for (const Row& row : rows) {
    INFO(row.provider << " " << row.body);
    const auto response = gateway.call(row.provider, row.body, row.tenant);
    CHECK(response.status == row.status);
    CHECK(GatewaySetup::code(response) == row.code);
    CHECK(GatewaySetup::json(response)["status"] == row.status);
    CHECK(response.find("www-authenticate") == nullptr);
    REQUIRE(gateway.errors.size() == ++count);
    CHECK(gateway.errors.back().code == row.code);
    CHECK(gateway.errors.back().ip_hash.size() == 16);
    CHECK(gateway.errors.back().message.find("tok-secret") == std::string::npos);
  }
  CHECK(gateway.upstream.seen_count() == 0);
}

TEST_CASE("pipeline: an unknown member is named", "[unit][gateway]") {
  GatewaySetup gateway;
  const auto response = gateway.call("hubspot", R"({"path":"/crm/x","colour":1})");
  CHECK(response.body.find("colour") != std::string::npos);
}

TEST_CASE("pipeline: an expired token says whether consent is needed", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-1", gateway.clock.unix_s());
  auto waiting = GatewaySetup::json(gateway.call("hubspot", kList));
  CHECK(waiting["details"]["reauth_required"] == false);
  REQUIRE(gateway.tokens
              .set_health({"ascend", "hubspot", "main"},
                          {TokenState::kReauthRequired, 1, 0, "invalid_grant"}, gateway.who)
              .ok());
  auto gone = GatewaySetup::json(gateway.call("hubspot", kList));
  CHECK(gone["code"] == "TOKEN_EXPIRED");
  CHECK(gone["details"]["reauth_required"] == true);
}

TEST_CASE("pipeline: upstream errors are mirrored without secrets", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-secret-1");
  for (const int status : {400, 401, 403, 404, 409, 422, 429, 500, 503}) {
    INFO(status);
    gateway.upstream.push(
        json_answer(status, R"({"message":"bad key tok-secret-1","n":12345678901234567890123})",
                    {{"retry-after", "17"}, {"www-authenticate", "Bearer"}}));
    const auto response = gateway.call("hubspot", kList);
    CHECK(response.status == status);
    CHECK(GatewaySetup::code(response) == "UPSTREAM_ERROR");
    CHECK(response.find("www-authenticate") == nullptr);
    REQUIRE(response.find("retry-after") != nullptr);
    CHECK(*response.find("retry-after") == "17");
    CHECK(response.body.find("tok-secret") == std::string::npos);
    CHECK(response.body.find("hubspot answered " + std::to_string(status) + ": bad key ***") !=
          std::string::npos);
    CHECK(response.body.find("12345678901234567890123") != std::string::npos);
    CHECK(gateway.errors.back().upstream_status == status);
    CHECK(gateway.errors.back().message.find("tok-secret") == std::string::npos);
  }
  gateway.upstream.push(json_answer(302, "", {{"location", "https://evil.example/"}}));
  const auto redirect = gateway.call("hubspot", kList);
  CHECK(redirect.status == 502);
  CHECK(gateway.upstream.seen_count() == 10);
}

TEST_CASE("pipeline: a provider's 401 alone becomes 502 where it is not to be mirrored",
          "[unit][gateway]") {
  PipelineLimits limits = GatewaySetup::unlimited();
  limits.mirror_upstream_401 = false;
  GatewaySetup gateway(limits);
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  for (const auto& [said, shown] : {std::pair{401, 502}, std::pair{403, 403}}) {
    gateway.upstream.push(json_answer(said, "{}"));
    const auto response = gateway.call("hubspot", kList);
    CHECK(response.status == shown);
    CHECK(GatewaySetup::code(response) == "UPSTREAM_ERROR");
    CHECK(GatewaySetup::json(response)["details"]["upstream_status"] == said);
  }
}

TEST_CASE("pipeline: exchanges that fail are told apart", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  const auto fails = [&](Status failure) {
    ScriptedAnswer answer;
    answer.open_failure = std::move(failure);
    gateway.upstream.push(std::move(answer));
    return gateway.call("hubspot", kList);
  };
  const auto unreachable = fails(upstream_failed("no route").with_reason("connect_failed"));
  CHECK(unreachable.status == 502);
  CHECK(GatewaySetup::code(unreachable) == "UPSTREAM_UNREACHABLE");
  const auto late = fails(timed_out("30 s").with_reason("deadline"));
  CHECK(late.status == 504);
  CHECK(GatewaySetup::code(late) == "TIMEOUT");
  const auto busy = fails(unavailable("busy").with_reason("upstream_busy"));
  CHECK(busy.status == 503);
  const auto private_address = fails(forbidden("private").with_reason("private_address"));
  CHECK(private_address.status == 403);
  ScriptedAnswer hang;
  hang.hang_before_head = true;
  hang.latency_ms = 40'000;
  gateway.upstream.push(std::move(hang));
  const auto hung = gateway.call("hubspot", R"({"path":"/crm/x","timeout_ms":2000})");
  CHECK(hung.status == 504);
  CHECK(gateway.upstream.last_seen().deadline_ms == 2000);
  ScriptedAnswer cut = json_answer(200, "{\"a\":");
  cut.end = ScriptedAnswer::End::kTruncated;
  gateway.upstream.push(std::move(cut));
  CHECK(gateway.call("hubspot", kList).status == 502);
  gateway.upstream.push(json_answer(200, "<html>"));
  const auto not_json = gateway.call("hubspot", kList);
  CHECK(not_json.status == 502);
  CHECK(GatewaySetup::code(not_json) == "UPSTREAM_ERROR");
  // What went wrong here, before the provider was asked, is not its fault; nor is what it refuses.
  gateway.upstream.push_json(404, "{}");
  CHECK(gateway.call("hubspot", kList).status == 404);
  CHECK(gateway.call("no-such-provider", kList).status == 404);
  const auto counts = gateway.pipeline.provider_counts().all();
  REQUIRE(counts.size() == 1);
  CHECK((counts[0].name == "hubspot" && counts[0].requests == 8 && counts[0].failures == 5));
}

TEST_CASE("pipeline: of a provider counts what it was asked, and not what is answered here",
          "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_provider("hubspot", R"({"cache":{"ttl_s":60}})");
  const auto is = [&](int64_t requests, int64_t failures) {
    const auto counts = gateway.pipeline.provider_counts().all();
    return counts.size() == 1 && counts[0].requests == requests && counts[0].failures == failures;
  };
  // Without a token nothing goes out, with an idempotency key neither.
  const char* create = R"({"path":"/crm/x","body":{},"idempotency_key":"k"})";
  CHECK(gateway.call("hubspot", create).status == 404);
  CHECK(gateway.pipeline.provider_counts().all().empty());
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  gateway.upstream.push_json(201, "{}");
  for (int i = 0; i < 2; i++) CHECK(gateway.call("hubspot", create).status == 201);
  CHECK(is(1, 0));
  gateway.upstream.push_json(200, "{}");
  for (int i = 0; i < 2; i++) CHECK(gateway.call("hubspot", kList).status == 200);
  CHECK(is(2, 0));
  // The caller gets what was kept; the provider has failed all the same.
  gateway.clock.advance_ms(61'000);
  ScriptedAnswer down;
  down.open_failure = upstream_failed("no route").with_reason("connect_failed");
  gateway.upstream.push(std::move(down));
  CHECK(*gateway.call("hubspot", kList).find("x-gateway-cache") == "STALE");
  CHECK(is(3, 1));
}

TEST_CASE("provider counts: beyond so many providers the rest is one", "[unit][gateway]") {
  ProviderCounts counts;
  for (size_t i = 0; i < ProviderCounts::kProvidersMax + 10; i++) {
    counts.record("api" + std::to_string(i), i % 2 == 0);
  }
  const auto all = counts.all();
  CHECK(all.size() == ProviderCounts::kProvidersMax + 1);
  CHECK((all.back().name == "other" && all.back().requests == 10 && all.back().failures == 5));
}

TEST_CASE("pipeline: frozen mode refuses until it is lifted", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  REQUIRE(gateway.tenants.set_frozen(true, gateway.who).ok());
  const auto frozen = gateway.call("hubspot", kList);
  CHECK(frozen.status == 503);
  CHECK(GatewaySetup::code(frozen) == "FROZEN_GATEWAY");
  CHECK(frozen.find("retry-after") != nullptr);
  REQUIRE(gateway.tenants.set_frozen(false, gateway.who).ok());
  gateway.upstream.push_json(200, "{}");
  CHECK(gateway.call("hubspot", kList).status == 200);
}

TEST_CASE("pipeline: what a rate refuses is counted and has no row, and a tenant so many rows",
          "[unit][gateway]") {
  PipelineLimits limits = GatewaySetup::unlimited();
  limits.token_requests_per_minute = 300;
  GatewaySetup gateway(limits);
  int refused = 0;
  for (int i = 0; i < 5000; i++) {
    refused += gateway.call("no-such-provider", kList).status == 429 ? 1 : 0;
  }
  CHECK(refused == 4700);
  REQUIRE(gateway.errors.size() == 100);
  CHECK(gateway.errors.front().status == 404);
  CHECK(gateway.errors.back().message.find("the last row of this tenant in this minute") !=
        std::string::npos);
  gateway.clock.advance_ms(60'000);
  CHECK(gateway.call("no-such-provider", kList).status == 404);
  REQUIRE(gateway.errors.size() == 101);
  CHECK(gateway.errors.back().message.find(" 200 more calls failed") != std::string::npos);
}

TEST_CASE("pipeline: limits of address, token, tenant and provider hold", "[unit][gateway]") {
  const auto refused_at = [](PipelineLimits limits, const char* tenant, const char* provider) {
    GatewaySetup gateway(limits);
    gateway.put_tenant("ascend", tenant);
    gateway.put_provider("hubspot", provider);
    gateway.put_token("ascend", "hubspot", "main", "tok-1");
    gateway.upstream.set_handler([](const auto&) { return json_answer(200, "{}"); });
    for (int i = 1; i < 10; ++i) {
      const auto response = gateway.call("hubspot", kList);
      if (response.status == 200) continue;
      CHECK(response.status == 429);
      CHECK(GatewaySetup::code(response) == "RATE_LIMITED");
      CHECK(response.find("retry-after") != nullptr);
      REQUIRE(response.find("ratelimit-remaining") != nullptr);
      CHECK(*response.find("ratelimit-remaining") == "0");
      gateway.clock.advance_ms(60'000);
      CHECK(gateway.call("hubspot", kList).status == 200);
      return i;
    }
    return 0;
  };
  PipelineLimits limits = GatewaySetup::unlimited();
  CHECK(refused_at(limits, "{}", "{}") == 0);
  limits.ip_requests_per_minute = 2;
  CHECK(refused_at(limits, "{}", "{}") == 3);
  limits = GatewaySetup::unlimited();
  limits.token_requests_per_minute = 3;
  CHECK(refused_at(limits, "{}", "{}") == 4);
  limits = GatewaySetup::unlimited();
  limits.tenant_requests_per_minute = 4;
  CHECK(refused_at(limits, "{}", "{}") == 5);
  CHECK(refused_at(limits, R"({"limits":{"requests_per_minute":2}})", "{}") == 3);
  limits = GatewaySetup::unlimited();
  CHECK(refused_at(limits, "{}", R"({"rate_limit":{"requests_per_minute":5}})") == 6);
}

TEST_CASE("pipeline: JSON and errors are read without their content codings", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-secret-1");
  const auto coded = [](int status, std::string_view body, const char* coding) {
    return json_answer(status, test::deflated(body), {{"content-encoding", coding}});
  };
  gateway.upstream.push(coded(200, R"({"n":1})", "deflate"));
  CHECK(GatewaySetup::json(gateway.call("hubspot", kList))["data"]["n"] == 1);
  const char* compact = R"({"path":"/crm/x","format":"compact"})";
  gateway.upstream.push(coded(200, R"({"n":2})", "Deflate"));
  CHECK(gateway.call("hubspot", compact).body == R"({"n":2})");
  gateway.upstream.push(coded(200, R"({"n":3})", "snappy"));
  const auto unknown = gateway.call("hubspot", kList);
  CHECK(unknown.status == 502);
  CHECK(unknown.body.find("snappy") != std::string::npos);

  gateway.upstream.push(coded(401, R"({"message":"bad key tok-secret-1"})", "deflate"));
  const auto refused = gateway.call("hubspot", kList);
  CHECK(refused.status == 401);
  CHECK(refused.body.find("bad key ***") != std::string::npos);
  gateway.upstream.push(coded(403, "", "snappy"));
  CHECK(gateway.call("hubspot", kList).status == 403);

  // What is passed on and not read keeps its coding.
  ScriptedAnswer csv;
  csv.headers = {{"content-type", "text/csv"}, {"content-encoding", "deflate"}};
  csv.chunks = {test::deflated("a,b\n")};
  gateway.upstream.push(csv);
  const auto passed = gateway.call("hubspot", kList);
  CHECK(*passed.find("content-encoding") == "deflate");
  CHECK(passed.body == csv.chunks[0]);
}

TEST_CASE("pipeline: answers that are not JSON come as they are, large ones streamed",
          "[unit][gateway]") {
  struct Sink : http::BodyWriter {
    std::string text;
    Status write(std::string_view bytes) override {
      text += bytes;
      return ok();
    }
    bool client_gone() const override { return false; }
  };
  PipelineLimits limits = GatewaySetup::unlimited();
  limits.stream_answer_max_bytes = 600'000;
  GatewaySetup gateway(limits);
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  ScriptedAnswer csv;
  csv.headers = {{"content-type", "text/csv"}, {"set-cookie", "a=b"}};
  csv.chunks = {"a,b\n", "1,2\n"};
  gateway.upstream.push(csv);
  const auto response = gateway.call("hubspot", kList);
  CHECK(*response.find("content-type") == "text/csv");
  CHECK(response.find("set-cookie") == nullptr);
  CHECK_FALSE(response.stream);
  CHECK(response.body == "a,b\n1,2\n");
  ScriptedAnswer large = json_answer(200, "");
  large.chunks = {"[\"" + std::string(400'000, 'x'), std::string(100'000, 'y') + "\"]"};
  gateway.upstream.push(large);
  const auto streamed = gateway.call("hubspot", R"({"path":"/crm/x","format":"compact"})");
  REQUIRE(streamed.stream);
  Sink all;
  CHECK(streamed.stream(all).ok());
  CHECK(all.text.size() == 500'004);
  large.chunks.push_back(std::string(200'000, 'z'));
  gateway.upstream.push(large);
  const auto endless = gateway.call("hubspot", R"({"path":"/crm/x","format":"compact"})");
  Sink cut;
  CHECK(endless.stream(cut).code() == Code::kTooLarge);
}

TEST_CASE("pipeline: a JSON answer over the cap is refused, an empty one is null",
          "[unit][gateway]") {
  PipelineLimits limits = GatewaySetup::unlimited();
  limits.json_answer_max_bytes = 1000;
  GatewaySetup gateway(limits);
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  gateway.upstream.push(json_answer(200, "[\"" + std::string(2000, 'x') + "\"]"));
  CHECK(gateway.call("hubspot", kList).status == 502);
  ScriptedAnswer nothing;
  nothing.status = 204;
  gateway.upstream.push(nothing);
  const auto deleted =
      gateway.call("hubspot", R"({"action":"delete","object_type":"deals","id":5})");
  CHECK(deleted.status == 200);
  CHECK(deleted.body == R"({"success":true,"status":204,"data":null,"cache":"MISS"})");
  CHECK(gateway.upstream.last_seen().method == "DELETE");
}

TEST_CASE("pipeline: verbs of HubSpot become its requests", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  gateway.upstream.set_handler([](const auto&) { return json_answer(200, "{}"); });
  struct Row {
    const char* body;
    const char* method;
    const char* url;
    const char* sent;
  };
  const Row rows[] = {
      {R"({"action":"list","object_type":"contacts","limit":2,"properties":["email","firstname"]})",
       "GET",
       "https://api.hubapi.com/crm/v3/objects/contacts?limit=2&properties=email&"
       "properties=firstname",
       ""},
      {R"({"action":"search","object_type":"deals","filters":[{"propertyName":"dealstage",)"
       R"("operator":"EQ","value":"closedwon"}]})",
       "POST", "https://api.hubapi.com/crm/v3/objects/deals/search",
       R"({"filterGroups":[{"filters":[{"propertyName":"dealstage","operator":"EQ",)"
       R"("value":"closedwon"}]}]})"},
      {R"({"action":"create","object_type":"contacts","properties":{"amount":1.10,)"
       R"("big":12345678901234567890123}})",
       "POST", "https://api.hubapi.com/crm/v3/objects/contacts",
       R"({"properties":{"amount":1.10,"big":12345678901234567890123}})"},
      {R"({"action":"update","object_type":"contacts","id":"7","properties":{"a":"b"}})", "PATCH",
       "https://api.hubapi.com/crm/v3/objects/contacts/7", R"({"properties":{"a":"b"}})"},
      {R"({"path":"/crm/v3/x","query":{"q":"a b","n":[1,2],"z":null},"body":null})", "GET",
       "https://api.hubapi.com/crm/v3/x?q=a%20b&n=1&n=2", ""},
      {R"({"path":"/crm/v3/x","body":{"a":"b c","n":2},)"
       R"("headers":{"content-type":"application/x-www-form-urlencoded"}})",
       "POST", "https://api.hubapi.com/crm/v3/x", "a=b%20c&n=2"},
  };
  for (const Row& row : rows) {
    INFO(row.body);
    const auto response = gateway.call("hubspot", row.body);
    INFO(response.body);
    CHECK(response.status == 200);
    const auto seen = gateway.upstream.last_seen();
    CHECK(seen.method == row.method);
    CHECK(seen.url == row.url);
    CHECK(seen.body == row.sent);
  }
}

TEST_CASE("pipeline: a dry run shows the request with its secrets hidden", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-secret-1");
  gateway.put_provider("byquery", R"({"base_url":"https://q.example","auth_type":"api_key_query",)"
                                  R"("auth":{"query_param":"key"}})");
  gateway.put_token("ascend", "byquery", "main", "tok-secret-2");
  const auto shown =
      gateway.call("hubspot", R"({"path":"/crm/x","query":{"a":"tok-secret-1"},"dry_run":true})");
  CHECK(shown.status == 200);
  CHECK(shown.body.find("tok-secret") == std::string::npos);
  CHECK(GatewaySetup::json(shown)["request"]["headers"]["authorization"] == "***");
  const auto query = gateway.call("byquery", R"({"path":"/x","dry_run":true})");
  CHECK(GatewaySetup::json(query)["request"]["url"] == "https://q.example/x?key=***");
  CHECK(gateway.upstream.seen_count() == 0);
}

TEST_CASE("pipeline: Google Ads gets its manager account from the tenant", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_tenant("ascend", R"({"google_ads":{"login_customer_id":"111"}})");
  gateway.put_token("ascend", "google_ads", "main", "tok-1", 0, {{"developer_token", "dev-1"}});
  gateway.upstream.push_json(200, "{}");
  const auto response =
      gateway.call("google_ads", R"({"path":"/v21/customers/{customer_id}/googleAds:search",)"
                                 R"("customer_id":"222","body":{}})");
  CHECK(response.status == 200);
  const auto seen = gateway.upstream.last_seen();
  CHECK(seen.header("login-customer-id") == "111");
  CHECK(seen.header("developer-token") == "dev-1");
  CHECK(seen.url == "https://googleads.googleapis.com/v21/customers/222/googleAds:search");
  gateway.put_token("ascend", "google_ads", "main", "tok-1");
  CHECK(GatewaySetup::code(gateway.call("google_ads", R"({"path":"/v21/x"})")) == "CONFIG_MISSING");
}

TEST_CASE("pipeline: cached answers stay with their account and go stale gracefully",
          "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_provider("hubspot", R"({"cache":{"ttl_s":60}})");
  gateway.put_tenant("other", "{}");
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  gateway.put_token("other", "hubspot", "main", "tok-2");
  int calls = 0;
  bool broken = false;
  gateway.upstream.set_handler([&](const auto&) {
    return broken ? json_answer(500, "{}") : json_answer(200, std::to_string(++calls));
  });
  const auto ask = [&](const char* tenant, const char* body = kList) {
    const auto answer = GatewaySetup::json(gateway.call("hubspot", body, tenant));
    return answer.value("cache", std::string("-")) + dump_json(answer.value("data", Json()));
  };
  CHECK(ask("ascend") == "MISS1");
  CHECK(ask("ascend") == "HIT1");
  CHECK(ask("other") == "MISS2");
  CHECK(ask("ascend", R"({"path":"/crm/v3/objects/contacts","cache":false})") == "BYPASS3");
  CHECK(ask("ascend") == "HIT3");
  gateway.clock.advance_ms(61'000);
  broken = true;
  CHECK(ask("ascend") == "STALE3");
  gateway.clock.advance_ms(61'000);
  CHECK(ask("ascend") == "-null");
  broken = false;
  CHECK(ask("ascend") == "MISS4");
  CHECK(ask("ascend", R"({"path":"/crm/v3/objects/contacts","body":{}})") == "MISS5");
  CHECK(ask("ascend") == "MISS6");
  CHECK(gateway.cache.purge("ascend", "hubspot", "") == 1);
  CHECK(ask("ascend") == "MISS7");
}

TEST_CASE("pipeline: a stale answer does not repeat the failed provider's Retry-After",
          "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_provider("hubspot", R"({"cache":{"ttl_s":60}})");
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  gateway.upstream.push_json(200, "{}");
  REQUIRE(gateway.call("hubspot", kList).status == 200);
  gateway.clock.advance_ms(61'000);
  gateway.upstream.push(json_answer(503, "{}", {{"retry-after", "17"}}));
  const auto stale = gateway.call("hubspot", kList);
  CHECK(stale.status == 200);
  REQUIRE(stale.find("x-gateway-cache") != nullptr);
  CHECK(*stale.find("x-gateway-cache") == "STALE");
  CHECK(stale.find("retry-after") == nullptr);
  CHECK(gateway.errors.empty());
}

TEST_CASE("pipeline: what is cached still answers while the store is down, the rest is 503",
          "[fault][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  gateway.upstream.set_handler([](const auto&) { return json_answer(200, "{}"); });
  REQUIRE(gateway.call("hubspot", kList).status == 200);
  gateway.plan = [](std::string_view, std::string_view) { return unavailable("disk", "EIO"); };
  CHECK(gateway.call("hubspot", kList).status == 200);
  const auto down = gateway.call("slack", R"({"path":"/auth.test"})");
  CHECK(down.status == 503);
  CHECK(down.body.find("EIO") == std::string::npos);
}

TEST_CASE("pipeline: timings are told when asked and always measured", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_token("ascend", "hubspot", "main", "tok-1");
  gateway.upstream.push_json(200, "{}");
  Caller caller{"ascend", "key-1", "", "::1", "r", "", gateway.clock.mono_us(), true};
  const auto response = gateway.pipeline.call(caller, "hubspot", kList);
  REQUIRE(response.find("server-timing") != nullptr);
  CHECK(*response.find("server-timing") ==
        "auth;dur=0.000, token;dur=0.000, route;dur=0.000, execute;dur=0.000");
  const std::string page = gateway.metrics.print();
  CHECK(page.find("kvcs_gateway_stage_seconds") != std::string::npos);
  CHECK(page.find("tok-1") == std::string::npos);
}
