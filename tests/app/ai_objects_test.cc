// Goal: what lives at a provider under a key that organizations share belongs to the one that made
// it; an id of another's, and one that nobody has, are the same to everybody else. Method: two
// organizations at one provider on loopback, with a shared key and with one of their own.
#include <nlohmann/json.hpp>

#include "support/ai_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kAnswer =
    R"({"id":"resp_1","object":"response","status":"completed","model":"gpt-4o-mini",)"
    R"("output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],)"
    R"("usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}})";

std::string ask(const std::string& more) {
  return R"({"model":"gpt-4o-mini","input":"Hello","max_output_tokens":50)" + more + "}";
}

struct TwoHouses {
  TwoHouses() {
    house.provider.answer_json(kAnswer);
    other_org = json_text(
        house.admin("POST", "/admin/organizations", R"({"name":"Other","slug":"other"})").body,
        "org_id");
    const std::string user =
        json_text(house
                      .admin("POST", "/admin/users",
                             R"({"email":"bob@example.com","monthly_limit_usd":5,"org_id":")" +
                                 other_org + "\"}")
                      .body,
                  "user_id");
    other =
        json_text(house.admin("POST", "/admin/users/" + user + "/api-keys", R"({"name":"k"})").body,
                  "api_key");
    REQUIRE_FALSE(other.empty());
    house.change_org(R"({"monthly_budget_usd":100})");
    REQUIRE(
        house.admin("PATCH", "/admin/organizations/" + other_org, R"({"monthly_budget_usd":100})")
            .status == 200);
  }
  RawResponse respond(const std::string& key, const std::string& more) const {
    return house.app.as(key, "POST", "/v1/responses", ask(more));
  }
  std::string path(const std::string& org, const std::string& id) const {
    return "/admin/organizations/" + org + "/ai-objects/openai/" + id;
  }
  AiHouse house;
  std::string other_org, other;
};

}  // namespace

TEST_CASE("ai objects: a response belongs to the organization that made it", "[e2e][ai]") {
  TwoHouses two;
  const std::string next = R"(,"previous_response_id":"resp_1")";
  CHECK(two.respond(two.house.key, next).status == 404);  // Not yet.
  CHECK(two.respond(two.house.key, "").status == 200);
  CHECK(two.respond(two.house.key, next).status == 200);
  const size_t asked = two.house.provider.bodies().size();
  const RawResponse foreign = two.respond(two.other, next);
  const RawResponse unknown = two.respond(two.other, R"(,"previous_response_id":"resp_2")");
  for (const RawResponse& refused : {foreign, unknown}) {
    INFO(refused.body);
    CHECK(refused.status == 404);
    CHECK(has(refused.body, "object_not_found"));
  }
  CHECK(two.respond(two.other, R"(,"Previous_Response_Id":"resp_1")").status == 400);
  // In a list, deep inside, in another case: it is the same.
  for (const char* more : {R"(,"include":[{"File_Id":"file-1"}])",
                           R"(,"conversation":{"id":"conv_1"})", R"(,"conversation":"conv_1")",
                           R"(,"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}])",
                           R"(,"include":[{"x":[{"file_id":"file-1"}]}])",
                           R"(,"include":[{"type":"tool_use","input":{"file_id":"file-1"}}])",
                           R"(,"previous_response_id":"../x")"}) {
    INFO(more);
    CHECK(two.respond(two.house.key, more).status == 404);
  }
  CHECK(two.house.provider.bodies().size() == asked);
  // A client's own data may be called what it likes.
  // A body is no call of a tool, whatever it calls itself.
  CHECK(two.house.app
            .as(two.house.key, "POST", "/v1/responses",
                R"({"model":"gpt-4o-mini","max_output_tokens":50,"type":"x_tool_use","input":[{)"
                R"("role":"user","content":[{"type":"input_file","file_id":"file-1"}]}]})")
            .status == 404);
  CHECK(two.respond(two.house.key, R"(,"metadata":{"file_id":"mine"},"tools":[{"type":"function",)"
                                   R"("name":"f","parameters":{"file_id":"x"}}])")
            .status == 200);
}

TEST_CASE("ai objects: the id of a streamed response is noted before the client has it",
          "[e2e][ai]") {
  TwoHouses two;
  two.house.provider.answer_stream(
      {"event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":"
       "\"resp_s\",\"status\":\"in_progress\",\"output\":[]}}\n\n",
       "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":"
       "\"resp_s\",\"status\":\"completed\",\"output\":[],\"usage\":{\"input_tokens\":1,"
       "\"output_tokens\":1,\"total_tokens\":2}}}\n\n"});
  CHECK(has(two.respond(two.house.key, R"(,"stream":true)").body, "resp_s"));
  two.house.provider.answer_json(kAnswer);
  CHECK(two.respond(two.house.key, R"(,"previous_response_id":"resp_s")").status == 200);
  CHECK(two.respond(two.other, R"(,"previous_response_id":"resp_s")").status == 404);
}

TEST_CASE("ai objects: items and containers of an answer belong to whom it was made for",
          "[e2e][ai]") {
  TwoHouses two;
  const std::vector<std::string> all = {
      R"(,"tools":[{"type":"code_interpreter","container":"cntr_1"}])",
      R"(,"tools":[{"type":"code_interpreter","container":{"id":"cntr_1"}}])",
      R"(,"tools":[{"type":"shell","environment":{"type":"container_reference",)"
      R"("container_id":"cntr_1"}}])",
      R"(,"metadata":{},"include":[{"type":"x","file_id":"cfile_1"}])"};
  const auto refer = [&](const std::string& key, const std::string& item) {
    return two.house.app.as(
        key, "POST", "/v1/responses",
        R"({"model":"gpt-4o-mini","max_output_tokens":50,"input":[)" + item + "]}");
  };
  const std::string reference = R"({"type":"item_reference","id":"msg_1"})";
  for (const std::string& key : {two.house.key, two.other}) {
    for (const std::string& more : all) CHECK(two.respond(key, more).status == 404);
    CHECK(refer(key, reference).status == 404);
    CHECK(refer(key, R"({"id":"msg_1"})").status == 404);
    CHECK(refer(key, R"({"type":"reasoning","id":"rs_1","summary":[]})").status == 404);
  }
  CHECK(two.house.provider.bodies().empty());
  two.house.provider.answer_json(
      R"({"id":"resp_1","object":"response","status":"completed","model":"gpt-4o-mini","output":[)"
      R"({"type":"reasoning","id":"rs_1","summary":[]},)"
      R"({"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1"},)"
      R"({"type":"message","id":"msg_1","content":[{"type":"output_text","annotations":)"
      R"([{"type":"container_file_citation","container_id":"cntr_1","file_id":"cfile_1"}]}]}],)"
      R"("usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}})");
  REQUIRE(two.respond(two.house.key, "").status == 200);
  for (const std::string& more : all) {
    INFO(more);
    CHECK(two.respond(two.house.key, more).status == 200);
    CHECK(two.respond(two.other, more).status == 404);
  }
  for (const std::string& item : std::vector<std::string>{
           reference, R"({"id":"msg_1"})", R"({"type":"reasoning","id":"rs_1","summary":[]})"}) {
    INFO(item);
    CHECK(refer(two.house.key, item).status == 200);
    CHECK(refer(two.other, item).status == 404);
  }
}

TEST_CASE("ai objects: what an admin assigned stays assigned when an answer names it",
          "[e2e][ai]") {
  TwoHouses two;
  REQUIRE(two.house.admin("PUT", two.path(two.other_org, "resp_1"), "{}").status == 200);
  REQUIRE(two.respond(two.other, "").status == 200);
  const std::string listed =
      two.house.admin("GET", "/admin/organizations/" + two.other_org + "/ai-objects").body;
  CHECK(has(listed, R"("assigned":true)"));
  CHECK(has(listed, R"("expires_at":null)"));
}

TEST_CASE("ai objects: an admin assigns what was made elsewhere, and takes it away", "[e2e][ai]") {
  TwoHouses two;
  const std::string files = R"(,"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}])";
  CHECK(two.respond(two.other, files).status == 404);
  CHECK(two.house.admin("PUT", two.path(two.other_org, "vs_1"), "{}").status == 200);
  CHECK(two.house.admin("PUT", two.path("nobody", "vs_1"), "{}").status == 404);
  CHECK(two.respond(two.other, files).status != 404);
  CHECK(two.respond(two.house.key, files).status == 404);
  const std::string listed =
      two.house.admin("GET", "/admin/organizations/" + two.other_org + "/ai-objects").body;
  CHECK(has(listed, R"("id":"vs_1")"));
  CHECK(has(listed, R"("assigned":true)"));
  CHECK(two.house.admin("DELETE", two.path(two.other_org, "vs_1")).status == 204);
  CHECK(two.house.admin("DELETE", two.path(two.other_org, "vs_1")).status == 404);
  CHECK(two.respond(two.other, files).status == 404);
}

TEST_CASE("ai objects: an organization with a key of its own has its own things", "[e2e][ai]") {
  TwoHouses two;
  REQUIRE(two.house
              .admin("PUT", "/admin/organizations/" + two.other_org + "/ai-credentials/openai",
                     R"({"api_key":"sk-own"})")
              .status == 200);
  CHECK(two.respond(two.other, R"(,"previous_response_id":"resp_never_seen")").status == 200);
}
