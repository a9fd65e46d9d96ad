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

TEST_CASE("idempotency: what a handler keeps of a body counts as without a key", "[unit][ops]") {
  struct Counted final : http::BodyReader {
    std::string left = "0123456789";
    uint64_t kept = 0;
    Result<size_t> read(std::span<char> out) override {
      const size_t n = left.copy(out.data(), out.size());
      left.erase(0, n);
      return n;
    }
    std::optional<uint64_t> declared_size_bytes() const override { return 10; }
    Status keep(uint64_t bytes) override {
      kept += bytes;
      return kept > 1000 ? rate_limited("Enough.", 1) : ok();
    }
  };
  Fixture f;
  const Idempotency process(*f.kv, f.sealer, f.clock);
  const http::Handler handler = process.wrap([](http::Request& request) -> Result<http::Response> {
    CHECK(KVCS_TRY(request.body->read_all()) == "0123456789");
    KVCS_TRY(request.body->keep(1000));
    return http::empty_response(204);
  });
  Counted body;
  http::Request request;
  request.method = http::Method::kPost;
  request.headers = {{"idempotency-key", "key"}};
  request.principal.key_id = "key-1";
  request.body = &body;
  CHECK(handler(request).code() == Code::kRateLimited);
  CHECK(body.kept == 1020);  // The body, the handler's copy, and what it made of it.
}

TEST_CASE("idempotency: an answer whose marker is gone is not kept, as its owner is gone too",
          "[unit][ops]") {
  Fixture f;
  const auto keys = [&] {
    size_t count = 0;
    REQUIRE(kv_for_each(*f.kv, KvFamily::kSystem, "idempotency:", [&](const KvItem&) -> Status {
              ++count;
              return ok();
            }).ok());
    return count;
  };
  const auto answered = f.once("body", "first", [&]() -> Result<http::Response> {
    KvBatch batch;
    REQUIRE(
        kv_for_each(*f.kv, KvFamily::kSystem, "idempotency:", [&](const KvItem& item) -> Status {
          batch.remove(KvFamily::kSystem, item.key);
          return ok();
        }).ok());
    REQUIRE(batch.ops().size() == 1);
    REQUIRE(f.kv->write(batch, KvDurability::kSynced).ok());
    return http::Response{};
  });
  CHECK(answered.ok());
  CHECK(keys() == 0);
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

TEST_CASE("idempotency: after which failures the outcome is unknown", "[unit][ops]") {
  const auto with = [](Status status, std::string_view reason) {
    return std::move(status).with_reason(reason);
  };
  // As a door words it: the exchange's reason is among the details.
  const auto worded = [](Status status, std::string_view reason) {
    return std::move(status)
        .with_reason("proxy_error")
        .with_details_json("{\"reason\":\"" + std::string(reason) + "\"}");
  };
  const Status broken = upstream_failed("broken"), late = timed_out("late");
  for (const std::string_view reason : {"truncated", "not_http", "deadline", "idle"}) {
    INFO(reason);
    CHECK(may_have_acted(with(broken, reason)));
    CHECK(may_have_acted(worded(late, reason)));
  }
  CHECK(may_have_acted(broken));
  CHECK(may_have_acted(with(unavailable("gone"), "client_gone")));
  CHECK(may_have_acted(worded(unavailable("gone"), "client_gone")));
  for (const std::string_view reason :
       {"dns_failed", "connect_failed", "connect_timeout", "tls_failed", "private_address",
        "upstream_busy", "client_gone_unsent"}) {
    INFO(reason);
    for (const Status& status : {broken, late, unavailable("busy"), forbidden("private")}) {
      CHECK_FALSE(may_have_acted(with(status, reason)));
      CHECK_FALSE(may_have_acted(worded(status, reason)));
    }
  }
  CHECK_FALSE(may_have_acted(invalid("no URL")));
  CHECK_FALSE(may_have_acted(unavailable("the store is busy")));
  const auto answer = [](int status) {
    return Result<http::Response>(http::empty_response(status));
  };
  CHECK(may_have_acted(answer(502)));
  CHECK(may_have_acted(answer(504)));
  CHECK_FALSE(may_have_acted(answer(500)));
  CHECK_FALSE(may_have_acted(answer(429)));
}

namespace {

struct Shares : Fixture {
  static constexpr size_t kAnswer = 1000;  // Sealed, about a third more.
  std::unique_ptr<Idempotency> process;
  void start(size_t kept_max_bytes) {
    process = std::make_unique<Idempotency>(*kv, sealer, clock, kept_max_bytes);
  }
  Result<http::Response> ask(const std::string& key, std::string_view owner,
                             std::string_view organization, const Effect& effect) {
    return process->once({.name = "Idempotency-Key",
                          .key = key,
                          .owner = owner,
                          .organization = organization,
                          .target = "POST /v1/things",
                          .body = "body",
                          .request_id = "r"},
                         {}, effect);
  }
  // How many of `number` answers of an owner are given again.
  int fill(int number, const std::string& owner, const std::string& organization) {
    int replayed = 0;
    for (int i = 0; i < number; i++) {
      const std::string key = "k" + std::to_string(i);
      REQUIRE(ask(key, owner, organization, [] {
                http::Response answer;
                answer.body = std::string(kAnswer, 'x');
                return Result<http::Response>(answer);
              }).ok());
      const auto again = ask(key, owner, organization, never);
      if (!again.ok()) CHECK(again.status().reason() == "idempotency_answer_not_kept");
      replayed += again.ok() ? 1 : 0;
    }
    return replayed;
  }
};

}  // namespace

TEST_CASE("idempotency: a key has a quarter of what is kept, and an organization half",
          "[unit][ops]") {
  Shares f;
  f.start(40 * 1400);
  const int of_key = f.fill(20, "key-1", "acme");
  CHECK(of_key >= 9);
  CHECK(of_key <= 10);
  const auto refused = f.ask("k19", "key-1", "acme", never);
  CHECK(refused.code() == Code::kConflict);
  CHECK(refused.status().message().find("of this key fill its share") != std::string::npos);
  CHECK(f.fill(20, "key-2", "acme") >= 9);
  CHECK(f.fill(20, "key-3", "acme") <= 1);
  CHECK(f.ask("k19", "key-3", "acme", never)
            .status()
            .message()
            .find("of this organization fill its share") != std::string::npos);
  CHECK(f.fill(5, "key-4", "globex") == 5);
}

TEST_CASE("idempotency: the next process counts what is kept, until it expires", "[unit][ops]") {
  Shares f;
  f.start(40 * 1400);
  REQUIRE(f.fill(20, "key-1", "acme") >= 9);
  REQUIRE(f.fill(20, "key-2", "acme") >= 9);
  f.start(40 * 1400);
  for (const char* owner : {"key-1", "key-3"}) {
    INFO(owner);
    http::Response answer;
    answer.body = std::string(Shares::kAnswer * 4, 'x');
    REQUIRE(f.ask("after", owner, "acme", [&] { return Result<http::Response>(answer); }).ok());
    CHECK(f.ask("after", owner, "acme", never).status().reason() == "idempotency_answer_not_kept");
  }
  CHECK(f.fill(5, "key-4", "globex") == 5);
  f.clock.advance_ms(86'400'000 + 1000);
  CHECK(f.fill(5, "key-1", "acme") == 5);
}
