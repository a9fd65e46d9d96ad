// Goal: a cached answer is given to nobody but the account that it was fetched for, and only to the
// same question. Method: the key over one change at a time; then two accounts of one tenant, and
// two tenants, over the pipeline.
#include "gateway/call/response_cache.h"

#include <functional>
#include <set>

#include "gateway/gateway_setup.h"

using namespace kvcs;
using namespace kvcs::gateway;
using kvcs::test::GatewaySetup;
using kvcs::test::json_answer;
using kvcs::test::SeenRequest;

namespace {

struct Question {
  AccountId account{"acme", "notion", "main"};
  ResponseCache::Authority authority{"given-1", "record-1"};
  OutboundRequest request{"GET",
                          "https://api.example.com",
                          "/v1/x",
                          {{"q", "1"}, {"r", "2"}},
                          {{"accept", "a"}, {"x-version", "1"}},
                          "body"};
  std::string key() const { return ResponseCache::key(account, authority, request); }
};

using Change = std::function<void(Question&)>;

}  // namespace

TEST_CASE("response cache: each part of a question is part of its key", "[unit][gateway]") {
  const std::vector<Change> changes = {
      [](Question&) {},
      [](Question& q) { q.account.tenant = "acme2"; },
      [](Question& q) { q.account.provider = "notion2"; },
      [](Question& q) { q.account.account = "other"; },
      [](Question& q) { q.authority.credential = "given-2"; },
      [](Question& q) { q.authority.provider = "record-2"; },
      [](Question& q) { q.request.method = "HEAD"; },
      [](Question& q) { q.request.origin = "https://api2.example.com"; },
      [](Question& q) { q.request.path = "/v1/y"; },
      [](Question& q) { q.request.body = "body2"; },
      [](Question& q) { q.request.query[0].second = "2"; },
      [](Question& q) { q.request.query[0].first = "p"; },
      [](Question& q) { q.request.query.pop_back(); },
      [](Question& q) { q.request.headers[0].second = "b"; },
      [](Question& q) { q.request.headers[1].first = "y-version"; },
      // The same letters, parted otherwise.
      [](Question& q) {
        q.account = {"acm", "enotion", "main"};
      },
      [](Question& q) {
        q.request.query = {{"q1", ""}, {"r", "2"}};
      },
      [](Question& q) {
        q.request.query = {{"q", "1"}};
        q.request.headers.insert(q.request.headers.begin(), {"r", "2"});
      },
  };
  std::set<std::string> keys;
  for (const Change& change : changes) {
    Question question;
    change(question);
    keys.insert(question.key());
  }
  CHECK(keys.size() == changes.size());
}

TEST_CASE("response cache: order and credentials are no part of a question", "[unit][gateway]") {
  const std::string key = Question().key();
  Question question;
  std::swap(question.request.query[0], question.request.query[1]);
  std::swap(question.request.headers[0], question.request.headers[1]);
  question.request.headers.push_back({"authorization", "Bearer t"});
  question.request.headers.push_back({"x-amz-date", "20260101T000000Z"});
  CHECK(question.key() == key);
}

TEST_CASE("response cache: no account is given what was fetched for another", "[unit][gateway]") {
  GatewaySetup gateway;
  gateway.put_provider("hubspot", R"({"cache":{"ttl_s":60}})");
  gateway.put_tenant("beta", "{}");
  for (const char* account : {"a", "b"}) {
    gateway.put_token("ascend", "hubspot", account, std::string("ascend-") + account);
    gateway.put_token("beta", "hubspot", account, std::string("beta-") + account);
  }
  gateway.upstream.set_handler([](const SeenRequest& request) {
    return json_answer(200, R"({"for":")" + request.header("authorization") + "\"}");
  });
  // Twice, so that the second answer is the cache's.
  for (const char* word : {"MISS", "HIT"}) {
    for (const std::string tenant : {"ascend", "beta"}) {
      for (const std::string account : {"a", "b"}) {
        INFO(word << " " << tenant << " " << account);
        const http::Response answer = gateway.call(
            "hubspot", R"({"path":"/crm/v3/objects/contacts","account_id":")" + account + "\"}",
            tenant);
        CHECK(*answer.find("x-gateway-cache") == word);
        CHECK(answer.body.find("\"Bearer " + tenant + "-" + account + "\"") != std::string::npos);
      }
    }
  }
  CHECK(gateway.upstream.seen_count() == 4);
}

TEST_CASE(
    "response cache: a provider over its count loses its own answer, the one used longest ago",
    "[unit][gateway]") {
  ManualClock clock;
  ResponseCache cache(clock, 1 << 20);
  const auto put = [&](const std::string& key, const std::string& provider) {
    cache.put(key, {"acme", provider, "main"},
              {200, "application/json", std::make_shared<const std::string>("{}")}, 60, 2,
              cache.generation());
  };
  const auto kept = [&](const std::string& key) { return cache.find(key).answer.has_value(); };
  put("of another", "slack");  // The oldest of all, but no answer of the provider.
  put("a", "hubspot");
  put("b", "hubspot");
  REQUIRE(kept("a"));
  put("c", "hubspot");
  CHECK(cache.entries() == 3);
  CHECK(kept("of another"));
  CHECK(kept("a"));
  CHECK_FALSE(kept("b"));
  CHECK(kept("c"));
}
