// Goal: what a token endpoint says of a failure is kept without what was sent to it. Method: an
// exchange with a scripted endpoint that repeats it.
#include <catch2/catch.hpp>

#include "base/bytes.h"
#include "base/clock.h"
#include "oauth/oauth.h"
#include "support/scripted_upstream.h"

using namespace kvcs;

TEST_CASE("oauth: a secret that a token endpoint repeats is hidden whole, however long it is",
          "[unit][oauth]") {
  std::string secret;
  for (int i = 0; i < 100; i++) secret += "part" + std::to_string(1000 + i);
  test::ScriptedUpstream upstream;
  ManualClock clock;
  oauth::Client client;
  client.token_url = "https://idp.example/token";
  client.client_id = "kvcs-client";
  client.client_secret = Secret("client \"secret\" \x01 of old");
  oauth::Grant grant;
  grant.refresh_token = Secret(secret);
  // Cut within the secret, and escaped before it is looked for.
  for (const std::string& said :
       {"The token " + secret + " is not ours.",
        std::string(R"(The client client \"secret\" \u0001 of old is not ours.)")}) {
    test::ScriptedAnswer answer;
    answer.status = 400;
    answer.headers = {{"content-type", "application/json"}};
    answer.chunks = {R"({"error":"invalid_grant","error_description":")" + said + "\"}"};
    upstream.set_handler([answer](const test::SeenRequest&) { return answer; });
    const oauth::TokenOutcome outcome = oauth::refresh_token_grant(upstream, client, grant, clock);
    INFO(outcome.failure.message);
    CHECK_FALSE(outcome.answer);
    CHECK(outcome.failure.message.ends_with("*** is not ours."));
    CHECK(outcome.failure.message.find("part10") == std::string::npos);
  }
}
