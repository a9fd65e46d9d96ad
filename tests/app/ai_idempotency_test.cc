// Idempotency-Key on the AI door: a client that asks again gets the first answer and pays once.
#include <atomic>

#include "base/bytes.h"
#include "base/crypto.h"
#include "support/ai_house.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

RawResponse ask(const AiHouse& house, const std::string& name, const std::string& body = kHello) {
  return house.app.call("POST", "/v1/chat/completions",
                        {{"api-key", house.key}, {"Idempotency-Key", name}}, body);
}

}  // namespace

TEST_CASE("ai: a repeat with the same Idempotency-Key is answered again and not billed",
          "[contract][ai]") {
  AiHouse house;
  const RawResponse first = ask(house, "one");
  REQUIRE(first.status == 200);
  const std::string used = house.usage();
  const RawResponse second = ask(house, "one");
  CHECK(second.status == 200);
  CHECK(second.body == first.body);
  CHECK(second.header("content-type") == first.header("content-type"));
  CHECK(second.header("x-gateway-cost-usd") == first.header("x-gateway-cost-usd"));
  CHECK(second.header("idempotent-replay") == "true");
  CHECK(second.header("idempotent-replay-of") == first.header("x-request-id"));
  CHECK(house.provider.bodies().size() == 1);
  CHECK(house.usage() == used);
  // The provider never sees the header: its account is shared.
  CHECK_FALSE(has(lower_ascii(house.provider.heads().back()), "idempotency-key"));

  const RawResponse other = ask(house, "one", kHello + " ");
  CHECK(other.status == 409);
  CHECK(has(other.body, "idempotency_key_reused"));
  CHECK(other.body.starts_with("{\"error\":{"));
  CHECK(ask(house, "two").status == 200);
  CHECK(house.provider.bodies().size() == 2);
  const RawResponse bad = ask(house, "has space");
  CHECK(bad.status == 400);
}

TEST_CASE("ai: another caller's Idempotency-Key is another one", "[contract][ai]") {
  AiHouse house;
  REQUIRE(ask(house, "one").status == 200);
  const RawResponse made =
      house.admin("POST", "/admin/users/" + house.user + "/api-keys", R"({"name":"k2"})");
  const RawResponse answer = house.app.call(
      "POST", "/v1/chat/completions",
      {{"api-key", json_text(made.body, "api_key")}, {"Idempotency-Key", "one"}}, kHello);
  CHECK(answer.status == 200);
  CHECK(answer.header("idempotent-replay").empty());
  CHECK(house.provider.bodies().size() == 2);
}

TEST_CASE("ai: a duplicate in flight is told to wait; a client that left finds its answer",
          "[contract][ai]") {
  AiHouse house;
  RawClient leaving(house.app.port());
  std::atomic<int> duplicate_status = 0;
  house.provider.set([&](LoopbackPeer& peer) {
    if (duplicate_status == 0) {
      const RawResponse duplicate = ask(house, "one");
      CHECK(has(duplicate.body, "idempotency_in_progress"));
      CHECK(duplicate.header("retry-after") == "1");
      duplicate_status = duplicate.status;
      leaving.reset();
    }
    return peer.answer("{\"choices\":[]," + kUsage + "}");
  });
  leaving.send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\napi-key: " + house.key +
               "\r\nIdempotency-Key: one\r\nContent-Length: " + std::to_string(kHello.size()) +
               "\r\n\r\n" + kHello);
  wait_until([&] { return !house.provider.bodies().empty(); }, "the provider was asked");
  RawResponse again;
  wait_until(
      [&] {
        again = ask(house, "one");
        return again.status != 409;
      },
      "the first request had ended");
  CHECK(duplicate_status == 409);
  CHECK(again.status == 200);
  CHECK(again.header("idempotent-replay") == "true");
  CHECK(house.provider.bodies().size() == 1);
  CHECK(has(house.usage(), "\"request_count\":1"));
}

TEST_CASE("ai: failures and streams are not kept under an Idempotency-Key", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json("{}", "500 Oops");
  CHECK(ask(house, "one").status == 500);
  house.provider.answer_stream({chunk("Hello"), finish(), kDone});
  for (int i = 0; i < 2; i++) {
    const RawResponse streamed = ask(house, "two", kHelloStream);
    CHECK(streamed.status == 200);
    CHECK(streamed.header("idempotent-replay").empty());
  }
  house.provider.answer_json("{\"choices\":[]," + kUsage + "}");
  CHECK(ask(house, "one").status == 200);
  CHECK(house.provider.bodies().size() == 4);
}

TEST_CASE("ai: an answer too large to keep is not paid for twice", "[contract][ai]") {
  AiHouse house;
  house.provider.answer_json("{\"x\":\"" + std::string(2 << 20, 'x') + "\"," + kUsage + "}");
  const RawResponse first = ask(house, "one");
  CHECK(first.status == 200);
  const RawResponse second = ask(house, "one");
  CHECK(second.status == 409);
  CHECK(has(second.body, "idempotency_answer_too_large"));
  CHECK(has(second.body, first.header("x-request-id")));
  CHECK(house.provider.bodies().size() == 1);
}

TEST_CASE("ai: a kept answer expires, outlives a restart, and is sealed", "[contract][ai]") {
  ManualClock clock(1'769'903'000'000);
  AppOptions options;
  options.clock = &clock;
  AiHouse house([](Config& config) { config.ai.idempotency_kept_s = 100; }, options);
  house.provider.answer_json("{\"choices\":\"a secret plan\"," + kUsage + "}");
  REQUIRE(ask(house, "one").status == 200);
  const auto page = house.app.parts().kv->scan(KvFamily::kSystem, "idempotency:", "", 10);
  REQUIRE(page.ok());
  REQUIRE(page->items.size() == 1);
  CHECK_FALSE(has(page->items[0].entry.value, "secret plan"));
  house.app.restart();
  CHECK(ask(house, "one").header("idempotent-replay") == "true");
  clock.advance_ms(101'000);
  CHECK(ask(house, "one").header("idempotent-replay").empty());
  CHECK(house.provider.bodies().size() == 2);
}

TEST_CASE("ai: the marker of a request outlives the longest call, however short answers are kept",
          "[contract][ai]") {
  ManualClock clock(1'769'903'000'000);
  AppOptions options;
  options.clock = &clock;
  AiHouse house([](Config& config) { config.ai.idempotency_kept_s = 100; }, options);
  // Looked at while the provider is asked: without the marker a repeat would be sent as well.
  std::atomic<int64_t> expires_at_s = 0;
  house.provider.set([&](LoopbackPeer& peer) {
    const auto page = house.app.parts().kv->scan(KvFamily::kSystem, "idempotency:", "", 10);
    if (page.ok() && page->items.size() == 1) expires_at_s = page->items[0].entry.expires_at_s;
    return peer.answer("{\"choices\":[]," + kUsage + "}");
  });
  REQUIRE(ask(house, "one").status == 200);
  CHECK(expires_at_s > clock.unix_s() + 3600);  // A provider may take an hour.
}

namespace {

// What every repeat hears when nobody knows how the first request ended.
void check_unknown(const AiHouse& house, const std::string& first_request_id) {
  for (int i = 0; i < 2; i++) {
    const RawResponse again = ask(house, "one");
    INFO(again.body);
    CHECK(again.status == 409);
    CHECK(has(again.body, "idempotency_outcome_unknown"));
    CHECK(has(again.body, first_request_id));
    CHECK(again.header("retry-after").empty());
  }
}

}  // namespace

TEST_CASE("ai: a store that fails once the provider was paid does not free the Idempotency-Key",
          "[fault][ai]") {
  std::atomic<bool> answered = false;
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    const bool answer = (op == "write" || op == "cas") && key.starts_with("idempotency:");
    return answered && answer ? unavailable("The store is away.") : ok();
  };
  AiHouse house([](Config&) {}, options);
  house.provider.set([&](LoopbackPeer& peer) {
    answered = true;
    return peer.answer("{\"choices\":[]," + kUsage + "}");
  });
  const RawResponse first = ask(house, "one");
  CHECK(first.status == 200);  // The caller has its answer.
  answered = false;
  const std::string used = house.usage();
  check_unknown(house, first.header("x-request-id"));
  house.app.restart();
  check_unknown(house, first.header("x-request-id"));
  CHECK(house.provider.bodies().size() == 1);
  CHECK(house.usage() == used);
  CHECK(has(house.app.as(house.key, "GET", "/v1/usage/" + first.header("x-request-id")).body,
            "\"status\":200"));
  // Another key asks anew.
  house.provider.answer_json("{\"choices\":[]," + kUsage + "}");
  CHECK(ask(house, "two").status == 200);
}

TEST_CASE("ai: what a dead process had begun is not sent a second time", "[fault][ai]") {
  AiHouse house;
  REQUIRE(ask(house, "one").status == 200);
  KvStore& kv = *house.app.parts().kv;
  const KvItem item = kv.scan(KvFamily::kSystem, "idempotency:", "", 10)->items.at(0);
  // As a process that was killed in the middle would have left it.
  KvBatch batch;
  const std::string left = "{\"body_hash\":\"" + sha256_hex(kHello) +
                           "\",\"request_id\":\"0123456789abcdef\",\"status\":0}";
  batch.put(KvFamily::kSystem, item.key, KvEntry{left, {}, item.entry.expires_at_s});
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  check_unknown(house, "0123456789abcdef");
  CHECK(house.provider.bodies().size() == 1);
}

TEST_CASE("ai: a failure whose marker the store keeps is on the safe side", "[fault][ai]") {
  std::atomic<bool> answered = false;
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view key) -> Status {
    const bool removal = op == "write" && key.starts_with("idempotency:");
    return answered && removal ? unavailable("The store is away.") : ok();
  };
  AiHouse house([](Config&) {}, options);
  house.provider.set([&](LoopbackPeer& peer) {
    answered = true;
    return peer.answer("{}", "500 Oops");
  });
  const RawResponse first = ask(house, "one");
  CHECK(first.status == 500);
  answered = false;
  check_unknown(house, first.header("x-request-id"));
}

TEST_CASE("ai: without the store an Idempotency-Key is not taken", "[fault][ai]") {
  std::atomic<bool> down = false;
  AppOptions options;
  options.kv_faults = [&down](std::string_view, std::string_view) -> Status {
    return down ? unavailable("The store is away.") : ok();
  };
  AiHouse house([](Config&) {}, options);
  house.change_org(R"({"failure_mode":"fail_open","fallback_daily_limit":1})");
  REQUIRE(house.chat().status == 200);
  down = true;
  const RawResponse refused = ask(house, "one");
  CHECK(refused.status == 503);
  CHECK(has(refused.body, "idempotency_unavailable"));
  CHECK(is_spread(refused.header("retry-after"), 5));
  down = false;
}

TEST_CASE("ai: a damaged record of an Idempotency-Key is our fault and stays so", "[fault][ai]") {
  AiHouse house;
  REQUIRE(ask(house, "one").status == 200);
  KvStore& kv = *house.app.parts().kv;
  const KvPage kept = kv.scan(KvFamily::kSystem, "idempotency:", "", 10).value();
  REQUIRE(kept.items.size() == 1);
  KvBatch batch;
  batch.put(KvFamily::kSystem, kept.items[0].key, "{not json");
  REQUIRE(kv.write(batch, KvDurability::kSynced).ok());
  const RawResponse refused = ask(house, "one");
  INFO(refused.body);
  CHECK(refused.status == 500);
  CHECK(has(refused.body, "idempotency_unreadable"));
  CHECK(has(refused.body, "trying again does not help"));
  CHECK(house.provider.bodies().size() == 1);
}

TEST_CASE("ai: a provider that breaks off may have been paid: the Idempotency-Key stays taken",
          "[fault][ai]") {
  AiHouse house;
  house.provider.set([](LoopbackPeer&) { return false; });
  const RawResponse first = ask(house, "one");
  CHECK(first.status == 502);
  CHECK(has(first.body, "truncated"));
  check_unknown(house, first.header("x-request-id"));
  CHECK(house.provider.bodies().size() == 1);
}
