// Goal: nobody pays for an organization that is gone, whatever was paid when and wherever it was
// cut off, and nobody's subscription is ended that lives. Method: the services over a store that
// fails by plan, and a Stripe that does something while it is asked.
#include <nlohmann/json.hpp>

#include <set>

#include "kv/keyspace.h"
#include "portal/billing/billing_rig.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

namespace {

// Stripe has these live subscriptions; one that is ended is so at once.
struct Ending : BillingRig {
  Ending() {
    begin();
    state = [this](const SeenRequest& request) { return answer(request); };
  }
  ScriptedAnswer answer(const SeenRequest& request) {
    if (request.method == "DELETE") {
      const std::string id = request.url.substr(request.url.rfind('/') + 1);
      if (on_end) on_end();
      if (status != 200) return json("{}", status);
      ended += live.erase(id);
      canceled.insert(id);
      return json(subscription(id, "canceled"));
    }
    if (request.url.find("/v1/checkout/sessions/cs_1") != std::string::npos) {
      if (!request.url.ends_with("/expire")) return json(R"({"id":"cs_1","status":"open"})");
      closed++;
      return json("{}", closing_status);
    }
    if (on_look) on_look();
    std::string all;
    for (const std::string& id : live) all += (all.empty() ? "" : ",") + subscription(id, "active");
    for (const std::string& id : canceled) {
      all += (all.empty() ? "" : ",") + subscription(id, "canceled");
    }
    return json(list(all));
  }
  // As the deletion does once it has looked for the last time.
  void remove_record() {
    take_away(org);
    if (!keeps_customer) {
      KvBatch batch;
      batch.remove(KvFamily::kConfig, keyspace::billing_customer("cus_1"));
      batch.remove(KvFamily::kConfig, keyspace::org_billing(org.id));
      REQUIRE(kv->write(batch, KvDurability::kSynced).ok());
    }
  }
  Status pay(const std::string& event) {
    return take(event, "customer.subscription.created", subscription("sub_1", "active"));
  }

  std::set<std::string> live, canceled;
  size_t ended = 0;
  int closed = 0, status = 200, closing_status = 200;
  bool keeps_customer = false;
  std::function<void()> on_end, on_look;
};

}  // namespace

TEST_CASE("billing: what is paid after the last look is told, ended and noted, in this order",
          "[fault][portal]") {
  const bool keeps_customer = GENERATE(true, false);
  INFO(keeps_customer);
  Ending f;
  f.keeps_customer = keeps_customer;
  f.give_up();
  REQUIRE(f.billing.end_subscription(f.org.id).ok());
  f.remove_record();
  f.live = {"sub_1"};
  std::string fails = "billing-nobody-";
  f.fault = [&](std::string_view op, std::string_view key) -> Status {
    const bool is_it = op == "write" && !fails.empty() && key.find(fails) != key.npos;
    return is_it ? unavailable("The disk is full.") : ok();
  };
  // Whoever cannot be told of it is not ended in silence.
  CHECK(f.pay("evt_1").reason() == "webhook_failed");
  CHECK(f.ended == 0);
  fails.clear();
  f.status = 500;
  CHECK(f.pay("evt_1").reason() == "webhook_failed");
  CHECK(f.alerts_stored("billing.paid_for_nobody") == 1);
  f.status = 200;
  fails = keyspace::billing_event("evt_1");
  CHECK(f.pay("evt_1").reason() == "webhook_failed");
  CHECK(f.ended == 1);
  // It comes again, and once more.
  fails.clear();
  CHECK(f.pay("evt_1").ok());
  const size_t asked = f.stripe.seen_count();
  CHECK(f.pay("evt_1").ok());
  CHECK(f.stripe.seen_count() == asked);
  CHECK(f.ended == 1);
  CHECK(f.alerts_stored("billing.paid_for_nobody") == 1);
}

TEST_CASE("billing: a customer is known for two months after the organization's end",
          "[unit][portal]") {
  const auto [days, is_known] = GENERATE(table<int, bool>({{59, true}, {61, false}}));
  Ending f;
  f.give_up();
  REQUIRE(f.billing.end_subscription(f.org.id).ok());
  f.remove_record();
  f.live = {"sub_1"};
  f.pass(int64_t{days} * 86'400);
  CHECK(f.pay("evt_1").ok());
  CHECK(f.ended == (is_known ? 1u : 0u));
}

TEST_CASE("billing: what is paid for an organization that is to go is ended when it is paid",
          "[unit][portal]") {
  Ending f;
  f.give_up();
  f.live = {"sub_1"};
  CHECK(f.pay("evt_1").ok());
  CHECK(f.ended == 1);
  CHECK(f.plan() == "default");
  CHECK(*f.billing.standing(f.org.id) == "ended");
  f.take_back();
  f.live = {"sub_2"};
  CHECK(f.pay("evt_2").ok());
  CHECK(f.ended == 1);
  CHECK(f.plan() == "pro");
  CHECK(*f.billing.standing(f.org.id) == "live");
}

TEST_CASE("billing: an organization that was taken back while Stripe was asked pays on",
          "[fault][portal]") {
  Ending f;
  CHECK(f.billing.standing(f.org.id)->empty());
  f.live = {"sub_1", "sub_2"};
  REQUIRE(f.pay("evt_1").ok());
  CHECK(*f.billing.standing(f.org.id) == "live");
  // Nothing is ended of one that nobody has given up.
  REQUIRE(f.billing.end_subscription(f.org.id).ok());
  CHECK(f.closed == 0);
  f.give_up();
  CHECK(*f.billing.standing(f.org.id) == "ending");
  bool is_back = false;
  const auto come_back = [&] {
    if (is_back) return;
    is_back = true;
    f.take_back();
  };
  SECTION("before Stripe is told to end it") {
    f.on_look = come_back;
    REQUIRE(f.billing.end_subscription(f.org.id).ok());
    CHECK(f.ended == 0);
    CHECK(f.plan() == "pro");
    CHECK(*f.billing.standing(f.org.id) == "live");
    CHECK(f.alerts_of("billing.ended_while_restored") == 0);
  }
  SECTION("while Stripe ends the first of two") {
    std::string meanwhile;
    f.on_end = [&] {
      come_back();
      meanwhile = *f.billing.standing(f.org.id);
    };
    REQUIRE(f.billing.end_subscription(f.org.id).ok());
    CHECK(meanwhile == "ending");
    CHECK(f.ended == 1);
    // The other one is what the organization pays for.
    CHECK(f.plan() == "pro");
    CHECK(f.alerts_of("billing.ended_while_restored") == 1);
  }
  SECTION("while Stripe is told, and does not answer") {
    f.status = 500;
    f.on_end = come_back;
    CHECK(f.billing.end_subscription(f.org.id).code() == Code::kUnavailable);
    CHECK(f.plan() == "pro");
    CHECK(f.alerts_of("billing.ended_while_restored") == 1);
  }
  SECTION("while Stripe ends the only one") {
    f.live = {"sub_1"};
    f.on_end = come_back;
    REQUIRE(f.billing.end_subscription(f.org.id).ok());
    CHECK(f.plan() == "default");
    CHECK(*f.billing.standing(f.org.id) == "ended");
    CHECK(f.alerts_of("billing.ended_while_restored") == 1);
  }
}

TEST_CASE("billing: a page that Stripe does not close keeps the subscription from being ended",
          "[fault][portal]") {
  Ending f;
  f.live = {"sub_1"};
  f.give_up();
  f.closing_status = 500;
  CHECK(f.billing.end_subscription(f.org.id).code() == Code::kUnavailable);
  CHECK(f.ended == 0);
  // One that was paid, or has ended by itself, meanwhile cannot be closed, and need not be.
  f.closing_status = 400;
  CHECK(f.billing.end_subscription(f.org.id).ok());
  CHECK(f.ended == 1);
  // Another price's page is closed before the next is opened, likewise.
  f.take_back();
  f.closing_status = 500;
  CHECK(f.billing.checkout(f.ask("s"), "max", "").code() == Code::kUnavailable);
  f.closing_status = 400;
  CHECK(f.billing.checkout(f.ask("t"), "max", "").ok());
}
