// POST /admin/ai/providers/{name}/test against a provider on loopback: what it is asked, how its
// answer is worded, and that nothing is counted.
#include "ai/provider_check.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "support/ai_house.h"
#include "support/json_answer.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr const char* kTest = "/admin/ai/providers/openai/test";

}  // namespace

TEST_CASE("provider check: the stored key is tried on the list of models", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(R"({"object":"list","data":[{"id":"a"},{"id":"b"}]})");
  const RawResponse response = house.admin("POST", kTest);
  INFO(response.body);
  REQUIRE(response.status == 200);
  const Json shown = json_of(response);
  CHECK(shown["provider"] == "openai");
  CHECK(shown["ok"] == true);
  CHECK(shown["status"] == 200);
  CHECK(shown["models"] == 2);
  CHECK(shown["error"].is_null());
  CHECK(shown["duration_ms"].get<int64_t>() >= 0);
  const std::string head = house.provider.heads().back();
  CHECK(head.starts_with("GET /v1/models "));
  CHECK(has(lower_ascii(head), "authorization: bearer sk-secret"));
  // Anthropic's server reads another header.
  CHECK(json_of(house.admin("POST", "/admin/ai/providers/anthropic/test"))["ok"] == true);
  CHECK(has(lower_ascii(house.provider.heads().back()), "x-api-key: sk-secret"));
  CHECK(has(lower_ascii(house.provider.heads().back()), "anthropic-version: "));
  CHECK(json_of(house.admin("GET", "/admin/usage/requests"))["requests"].empty());
  CHECK(json_of(house.admin("GET", "/admin/usage"))["usage"].empty());
}

TEST_CASE("provider check: what is wrong is worded, without the key", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(R"({"error":{"message":"Incorrect API key: sk-secret."}})",
                             "401 Unauthorized");
  Json shown = json_of(house.admin("POST", kTest));
  CHECK(shown["ok"] == false);
  CHECK(shown["status"] == 401);
  CHECK(shown["models"].is_null());
  CHECK(shown["error"] ==
        "The provider does not take the key: it answered 401: Incorrect API key: ***.");
  house.provider.answer_json("<html>", "503 Service Unavailable");
  CHECK(json_of(house.admin("POST", kTest))["error"] ==
        "The provider did not list its models: it answered 503.");
  house.provider.answer_json("[]");
  CHECK(json_of(house.admin("POST", kTest))["error"] == "The answer is no list of models.");
  house.provider.set([](LoopbackPeer&) { return false; });
  shown = json_of(house.admin("POST", kTest));
  CHECK(shown["ok"] == false);
  CHECK(shown["status"].is_null());
  CHECK_FALSE(shown["error"].get<std::string>().empty());
}

TEST_CASE("provider check: for admins, of providers that are there, six times a minute",
          "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json(R"({"data":[]})");
  const RawResponse unknown = house.admin("POST", "/admin/ai/providers/nobody/test");
  CHECK(unknown.status == 404);
  CHECK(has(unknown.body, "provider_not_found"));
  CHECK(house.app.as(house.key, "POST", kTest).status == 403);
  for (int64_t i = 0; i < ai::kProviderChecksPerMinute; i++) {
    CHECK(house.admin("POST", kTest).status == 200);
  }
  const RawResponse refused = house.admin("POST", kTest);
  CHECK(refused.status == 429);
  CHECK(has(refused.body, "rate_limited"));
  CHECK(house.admin("POST", "/admin/ai/providers/anthropic/test").status == 200);
}
