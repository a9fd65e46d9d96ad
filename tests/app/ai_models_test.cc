// Goal: GET /v1/models and GET /v1/models/{id} answer what an SDK of OpenAI or Anthropic reads, and
// what is listed can be called. Method: two providers, and a model that an admin alone has priced.
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

Json read(const RawResponse& answer, int status = 200) {
  INFO(answer.body);
  REQUIRE(answer.status == status);
  return parse_json(answer.body).value();
}

RawResponse as_anthropic(const AiHouse& house, const std::string& path) {
  return house.app.call("GET", path,
                        {{"x-api-key", house.key}, {"anthropic-version", "2023-06-01"}}, "");
}

}  // namespace

TEST_CASE("ai models: a model is found by every name that a request may use", "[contract][ai]") {
  AiHouse house;
  for (const char* id : {"gpt-4o-mini", "openai/gpt-4o-mini", "openai%2Fgpt-4o-mini",
                         "gpt-4o-mini-2024-07-18", "claude-opus-4-8"}) {
    INFO(id);
    const Json model = read(house.app.as(house.key, "GET", std::string("/v1/models/") + id));
    CHECK(model["object"] == "model");
    CHECK(model["created"] > 1'700'000'000);
    CHECK(model["context_window"] > 0);
    CHECK(model["pricing"]["input_cost_per_token"] > 0);
    const Json other = read(as_anthropic(house, std::string("/v1/models/") + id));
    CHECK(other["type"] == "model");
    CHECK(other["id"] == model["id"]);
    CHECK(other["created_at"] > "2026-01-01T00:00:00Z");
    CHECK(other["max_tokens"] == model["max_output_tokens"]);
  }
  house.put_provider("groq", "openai_compatible", house.provider.url());
  CHECK(read(house.app.as(house.key, "GET", "/v1/models/groq/openai/gpt-oss-20b"))["id"] ==
        "groq/openai/gpt-oss-20b");
}

TEST_CASE("ai models: one that is not there is 404 in the dialect that was asked",
          "[contract][ai]") {
  AiHouse house;
  const Json openai = read(house.app.as(house.key, "GET", "/v1/models/gpt-99"), 404);
  CHECK(openai["error"]["code"] == "model_not_found");
  CHECK(openai["error"]["type"] == "invalid_request_error");
  const Json anthropic = read(as_anthropic(house, "/v1/models/gpt-99"), 404);
  CHECK(anthropic["type"] == "error");
  CHECK(anthropic["error"]["type"] == "not_found_error");
}

TEST_CASE("ai models: what is listed can be called, and what cannot be called is not listed",
          "[contract][ai]") {
  AiHouse house;
  const std::string mine = "ft:gpt-4o-mini-2024-07-18:my-org::abc";
  const std::string ask = R"({"model":")" + mine + R"(","messages":[]})";
  CHECK(has(house.chat(ask).body, "model_not_priced"));
  REQUIRE(house
              .admin("PUT", "/admin/ai/prices/" + mine,
                     R"({"input_cost_per_token":3e-7,"output_cost_per_token":1.2e-6,)"
                     R"("max_output_tokens":100})")
              .status == 200);
  CHECK(house.chat(ask).status == 200);
  const Json list = read(house.app.as(house.key, "GET", "/v1/models"));
  CHECK(list["object"] == "list");
  bool has_mine = false;
  for (const Json& model : list["data"]) {
    has_mine = has_mine || model["id"] == "openai/" + mine;
    CHECK(model["owned_by"] != "groq");
  }
  CHECK(has_mine);
  const Json shown = read(house.admin("GET", "/admin/ai/prices/" + mine));
  CHECK(shown["source"] == "set by an admin");
  CHECK(shown["date"].get<std::string>().size() == 10);
  const Json page = read(as_anthropic(house, "/v1/models"));
  CHECK(page["has_more"] == false);
  CHECK(page["data"].size() == list["data"].size());
  CHECK(page["first_id"] == page["data"].front()["id"]);
}

TEST_CASE("ai models: one past its end is not listed, is told to admins, and is served",
          "[contract][ai]") {
  AiHouse house;
  const auto set = [&](const char* end) {
    const std::string body = std::string(R"({"input_cost_per_token":1e-6,)") +
                             R"("output_cost_per_token":1e-6,"max_output_tokens":100)" + end + "}";
    REQUIRE(house.admin("PUT", "/admin/ai/prices/openai/gpt-old", body).status == 200);
  };
  const auto is_listed = [&] {
    return has(house.app.as(house.key, "GET", "/v1/models").body, "\"openai/gpt-old\"");
  };
  set("");
  CHECK(is_listed());
  set(R"(,"deprecation_date":"2025-12-31")");
  CHECK_FALSE(is_listed());
  const Json model = read(house.app.as(house.key, "GET", "/v1/models/openai/gpt-old"));
  CHECK(model["deprecation_date"] == "2025-12-31");
  const Json shown = read(house.admin("GET", "/admin/ai/prices"));
  CHECK(shown["overrides"][0]["has_ended"] == true);
  for (const Json& row : shown["prices"]) {
    if (row["model"] != "google/gemini-3.8-flash") continue;
    CHECK(row["later"]["from"] == "2027-01-01");
    CHECK(row["later"]["output_cost_per_token"] == 7.5e-6);
  }
  CHECK(house.chat(R"({"model":"openai/gpt-old","messages":[]})").status == 200);
}
