// Goal: the record under an idempotency key says the same to the next process: the marker, and the
// answer with every member. Method: two objects over one store, the second of which knows nothing.
#include <catch2/catch.hpp>

#include "kv/keyspace.h"
#include "ops/idempotency.h"

using namespace kvcs;

namespace {

struct Fixture {
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(7);
  std::unique_ptr<KvStore> kv = make_memory_kv(clock);
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};

  using Effect = std::function<Result<http::Response>()>;
  Result<http::Response> once(std::string_view body, std::string_view request_id,
                              const Effect& effect) {
    const Idempotency process(*kv, sealer, clock);
    return process.once({.name = "Idempotency-Key",
                         .key = "key",
                         .owner = "owner",
                         .target = "POST /v1/things",
                         .body = body,
                         .request_id = request_id},
                        {}, effect);
  }
};

Result<http::Response> never() {
  FAIL_CHECK("the effect happened twice");
  return internal("twice");
}

}  // namespace

TEST_CASE("records: a kept answer is given again by the next process with every member",
          "[unit][ops][records]") {
  Fixture f;
  http::Response answer;
  answer.status = 201;
  answer.set("content-type", "application/json");
  answer.set("x-made", "once \"quoted\"");
  answer.body = "{\"key\":\"secret\"}\n";
  REQUIRE(f.once("body", "first", [&] { return Result<http::Response>(answer); }).ok());
  const Result<http::Response> again = f.once("body", "second", never);
  INFO(again.status().to_string());
  REQUIRE(again.ok());
  CHECK(again->status == 201);
  CHECK(again->body == answer.body);
  // Two headers say that it is a replay, and of which request; all others are those of the answer.
  std::vector<std::pair<std::string, std::string>> headers = answer.headers;
  headers.emplace_back("idempotent-replay", "true");
  headers.emplace_back("idempotent-replay-of", "first");
  CHECK(again->headers == headers);
  CHECK(f.once("other body", "third", never).status().reason() == "idempotency_key_reused");
}

TEST_CASE("records: a marker tells the next process which request may have acted",
          "[unit][ops][records]") {
  Fixture f;
  const Result<http::Response> broken = f.once("body", "first", []() -> Result<http::Response> {
    return upstream_failed("The answer broke off.");
  });
  CHECK(broken.code() == Code::kUpstream);
  const Result<http::Response> again = f.once("body", "second", never);
  CHECK(again.status().reason() == "idempotency_outcome_unknown");
  CHECK(again.status().message().find("(first)") != std::string::npos);
  CHECK(f.once("other body", "third", never).status().reason() == "idempotency_key_reused");
}
