// Goal: each first step counts as done when what it is about is there, and not before. Method: a
// whole daemon with a scripted model provider, in which one step after the other is taken.
#include <nlohmann/json.hpp>

#include <atomic>

#include "identity/identity.h"
#include "identity/users.h"
#include "support/ai_house.h"
#include "support/json_answer.h"
#include "support/people.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// The names of the steps that are done, in their order. That a key was used is written each minute.
std::string done(TestApp& app, Browser& browser) {
  REQUIRE(app.parts().auth->flush_last_used().ok());
  Json answer = json_of(browser.send("GET", "/api/v1/first-steps"));
  std::string names;
  for (const Json& step : answer["steps"]) {
    if (step["done"] == true) names += step["name"].get<std::string>() + " ";
  }
  return names;
}

std::string upload(TestApp& app, const std::string& visibility) {
  const std::string bearer = app.credential("api_key");
  const RawResponse made =
      app.as(bearer, "POST", "/api/v1/artifacts/upload-url",
             R"({"name":"n","dtype":"F16","visibility":")" + visibility + "\"}");
  const std::string url = json_text(made.body, "url"), id = json_text(made.body, "artifact_id");
  REQUIRE(app.call("PUT", url.substr(url.find("/blobs/")), {}, "bytes").status == 200);
  return id;
}

}  // namespace

TEST_CASE("first steps: each is done by what it is about", "[contract][app]") {
  FakeProvider provider;
  TestApp app;
  Browser ada = set_up(app);
  const std::string org = app.credential("organization_id");
  CHECK(done(app, ada) == "");
  // A user alone has no budget, where the organization has none, and another's tenant is nobody's.
  REQUIRE(
      app.as_owner("PATCH", "/admin/organizations/" + org, R"({"monthly_budget_usd":0})").status ==
      200);
  const RawResponse user =
      app.as_owner("POST", "/admin/users", R"({"email":"u@example.com","org_id":")" + org + "\"}");
  REQUIRE(app.as_owner("PUT", "/admin/tenants/default", R"({"name":"Ours"})").status == 200);
  REQUIRE(app.as_owner("PUT", "/admin/tenants/theirs", R"({"name":"Theirs"})").status == 200);
  CHECK(done(app, ada) == "");

  const std::string id = upload(app, "private");
  CHECK(done(app, ada) == "api_key ");  // The key of the first start, now that it is used.
  REQUIRE(app.as(app.credential("api_key"), "POST", "/api/v1/artifacts/" + id + "/confirm-upload")
              .status == 200);
  CHECK(done(app, ada) == "artifact api_key ");
  REQUIRE(ada.send("POST", "/api/v1/artifacts/" + id + "/shares", "{}").status == 201);
  CHECK(done(app, ada) == "artifact share api_key ");

  const std::string openai = "/admin/ai/providers/openai";
  REQUIRE(app.as_owner("PUT", openai, R"({"kind":"openai"})").status == 200);
  CHECK(done(app, ada) == "artifact share api_key ");  // The vendor's address without a key.
  REQUIRE(app.as_owner("PUT", openai,
                       R"({"kind":"openai","api_key":"sk-1","base_url":")" + provider.url() + "\"}")
              .status == 200);
  CHECK(done(app, ada) == "artifact share api_key ai_provider ");
  REQUIRE(
      app.as_owner("PATCH", "/admin/organizations/" + org, R"({"monthly_budget_usd":5})").status ==
      200);
  CHECK(done(app, ada) == "artifact share api_key ai_provider ai_user ");

  const std::string key = json_text(
      app.as_owner("POST", "/admin/users/" + json_text(user.body, "user_id") + "/api-keys",
                   R"({"name":"k"})")
          .body,
      "api_key");
  provider.answer_json(R"({"error":{"message":"no"}})", "400 Bad Request");
  CHECK(app.as(key, "POST", "/v1/chat/completions", kHello).status == 400);
  CHECK(done(app, ada) == "artifact share api_key ai_provider ai_user ");
  provider.answer_json(R"({"id":"c","choices":[],)" + kUsage + "}");
  CHECK(app.as(key, "POST", "/v1/chat/completions", kHello).status == 200);
  CHECK(done(app, ada) == "artifact share api_key ai_provider ai_user chat ");

  REQUIRE(app.as_owner("PUT", "/admin/providers/shop",
                       R"({"base_url":"https://api.example.com","auth_type":"bearer"})")
              .status == 200);
  const std::string account = "/providers/shop/accounts/main", token = R"({"access_token":"t"})";
  REQUIRE(app.as_owner("PUT", "/admin/tenants/theirs" + account, token).status == 201);
  CHECK(done(app, ada) == "artifact share api_key ai_provider ai_user chat ");
  REQUIRE(app.as_owner("PUT", "/admin/tenants/default" + account, token).status == 201);
  CHECK(done(app, ada) == "artifact share api_key ai_provider ai_user chat account ");
}

TEST_CASE("first steps: a public artifact is shared, and a key of one's own is made",
          "[contract][app]") {
  TestApp app;
  Browser ada = set_up(app);
  const RawResponse key = ada.send("POST", "/api/v1/api-keys", R"({"name":"laptop"})");
  REQUIRE(key.status == 201);
  CHECK(done(app, ada) == "api_key ");
  REQUIRE(ada.send("DELETE", "/api/v1/api-keys/" + json_text(key.body, "id")).status == 204);
  CHECK(done(app, ada) == "");
  const std::string id = upload(app, "public");
  REQUIRE(app.as(app.credential("api_key"), "POST", "/api/v1/artifacts/" + id + "/confirm-upload")
              .status == 200);
  CHECK(done(app, ada) == "artifact share api_key ");
}

TEST_CASE("first steps: who asks waits for no walk over all users and accounts",
          "[contract][app]") {
  std::atomic<int> records{0};
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) {
    const bool is_read = op == "get" || op == "scan";
    records += is_read && (key.starts_with("user:") || key.starts_with("tokens:"));
    return ok();
  };
  TestApp app(options);
  Browser ada = set_up(app);
  const std::string org = app.credential("organization_id");
  REQUIRE(
      app.as_owner("PATCH", "/admin/organizations/" + org, R"({"monthly_budget_usd":5})").status ==
      200);
  for (int i = 0; i < 300; i++) {
    User user;
    user.organization_id = org;
    user.email = "u" + std::to_string(i) + "@example.com";
    user.monthly_limit_nano_usd = 1;
    REQUIRE(app.parts().users->create(user, {"test", "test", ""}).ok());
  }
  records = 0;
  CHECK(done(app, ada) == "ai_user ");
  CHECK(records < 30);
}
