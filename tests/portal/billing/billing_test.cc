// Goal: an organization has the plan that Stripe's own object says, whatever comes in which order
// and fails in between. Method: the services over a store in memory, a Stripe that answers from a
// function, and a clock that is moved by hand.
#include "portal/billing/billing.h"

#include <nlohmann/json.hpp>

#include "kv/keyspace.h"
#include "portal/billing/billing_rig.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

namespace {

using Rig = BillingRig;

}  // namespace

TEST_CASE("billing: which states have the plan", "[unit][portal]") {
  const std::pair<const char*, const char*> rows[] = {{"trialing", "pro"},
                                                      {"active", "pro"},
                                                      {"past_due", "pro"},
                                                      {"incomplete", "default"},
                                                      {"incomplete_expired", "default"},
                                                      {"canceled", "default"},
                                                      {"unpaid", "default"},
                                                      {"paused", "default"},
                                                      {"something_new", "default"}};
  for (const auto& [status, plan] : rows) {
    INFO(status);
    Rig rig;
    rig.begin();
    rig.say(subscription("sub_1", status));
    REQUIRE(rig.billing.sync(rig.org.id, "sub_1", rig.who).ok());
    CHECK(rig.plan() == plan);
    CHECK(rig.billing.find(rig.org.id)->subscription.status == status);
  }
  // A price that no plan has is paid in vain, which an operator is told.
  Rig rig;
  rig.begin();
  rig.say(subscription("sub_1", "active", "price_other"));
  REQUIRE(rig.billing.sync(rig.org.id, "", rig.who).ok());
  CHECK(rig.plan() == "default");
  REQUIRE(rig.alerts.size() == 1);
  CHECK(rig.alerts[0].event == "billing.price_unknown");
}

TEST_CASE("billing: what was asked for before another's write is asked for again",
          "[fault][portal]") {
  Rig rig;
  rig.begin();
  rig.say(subscription("sub_1", "trialing"));
  REQUIRE(rig.billing.sync(rig.org.id, "", rig.who).ok());
  // The first to ask hears "active"; before he writes, the subscription ends, and another has asked
  // and written that.
  int asked = 0;
  rig.state = [&](const SeenRequest& request) {
    const bool is_list = request.url.find("/v1/subscriptions?") != std::string::npos;
    const std::string canceled = subscription("sub_1", "canceled");
    if (is_list) return json(list(canceled));
    if (++asked == 1) {
      REQUIRE(rig.billing.sync(rig.org.id, "sub_1", rig.who).ok());
      CHECK(rig.plan() == "default");
      return json(subscription("sub_1", "active"));
    }
    return json(canceled);
  };
  REQUIRE(rig.billing.sync(rig.org.id, "sub_1", rig.who).ok());
  CHECK(rig.plan() == "default");
  CHECK(asked == 3);
  // One that is overtaken for good says so, and writes nothing.
  int number = 0;
  bool within = false;
  rig.state = [&](const SeenRequest&) {
    if (!within) {
      within = true;
      (void)rig.billing.sync(rig.org.id, "sub_1", rig.who);
      within = false;
    }
    return json(subscription("sub_1", "active", "price_pro", number++));  // Never the same.
  };
  const Status busy = rig.billing.sync(rig.org.id, "sub_1", rig.who).status();
  CHECK(busy.code() == Code::kUnavailable);
  CHECK(busy.reason() == "billing_busy");
}

TEST_CASE("billing: of several subscriptions the one counts that has the plan", "[unit][portal]") {
  Rig rig;
  rig.begin();
  rig.say(subscription("sub_1", "canceled", "price_pro", 5) + "," +
          subscription("sub_2", "active", "price_max", 2) + "," +
          subscription("sub_3", "incomplete", "price_pro", 9));
  REQUIRE(rig.billing.sync(rig.org.id, "", rig.who).ok());
  CHECK(rig.billing.find(rig.org.id)->subscription.id == "sub_2");
  CHECK(rig.plan() == "max");
  // An event about another one than is known makes us look at all.
  REQUIRE(rig.billing.sync(rig.org.id, "sub_1", rig.who).ok());
  CHECK(rig.plan() == "max");
}

TEST_CASE("billing: each failure of Stripe is told apart, and none shows the key",
          "[fault][portal]") {
  Rig rig;
  rig.begin();
  struct Row {
    int status;
    std::string body, reason;
    Code code;
  };
  const std::string error =
      std::string(R"({"error":{"type":"x","code":"y","message":"bad key )") + kStripeKey + "\"}}";
  const Row rows[] = {{401, error, "stripe_refused", Code::kUpstream},
                      {400, error, "stripe_refused", Code::kUpstream},
                      {400, R"({"error":{"type":"idempotency_error","message":"other"}})",
                       "stripe_key_reused", Code::kConflict},
                      {402, error, "payment_failed", Code::kConflict},
                      {409, error, "stripe_conflict", Code::kConflict},
                      {429, error, "stripe_unavailable", Code::kUnavailable},
                      {500, "oops", "stripe_unavailable", Code::kUnavailable},
                      {200, "no json", "stripe_unavailable", Code::kUnavailable},
                      {200, "[]", "stripe_unavailable", Code::kUnavailable},
                      {200, "{}", "", Code::kUpstream},
                      {200, R"({"data":[{"id":"../x","status":"active"}]})", "", Code::kUpstream},
                      // Of another server, or of one on the way: it tells nothing of what is there.
                      {404, error, "stripe_unavailable", Code::kUnavailable},
                      {404, "<html>", "stripe_unavailable", Code::kUnavailable}};
  for (const Row& row : rows) {
    INFO(row.status << " " << row.body);
    rig.state = [&](const SeenRequest&) { return json(row.body, row.status); };
    const Status failed = rig.billing.sync(rig.org.id, "", rig.who).status();
    CHECK(failed.code() == row.code);
    CHECK(failed.reason() == row.reason);
    CHECK(failed.to_string().find(kStripeKey) == std::string::npos);
    CHECK(rig.plan() == "default");
  }
  rig.state = [](const SeenRequest&) {
    ScriptedAnswer answer;
    answer.open_failure = upstream_failed("no connection");
    return answer;
  };
  CHECK(rig.billing.sync(rig.org.id, "", rig.who).status().reason() == "stripe_unavailable");
}

TEST_CASE("billing: a wrong address is no customer without a subscription", "[fault][portal]") {
  Rig rig;
  rig.begin();
  const std::string object = subscription("sub_1", "active");
  rig.state = [](const SeenRequest&) { return json("<h1>Not Found</h1>", 404); };
  CHECK(rig.take("evt_1", "customer.subscription.created", object).code() == Code::kUnavailable);
  CHECK(rig.billing.reconcile([] { return false; }).code() == Code::kUnavailable);
  rig.give_up();
  CHECK(rig.billing.end_subscription(rig.org.id).code() == Code::kUnavailable);
  rig.take_back();
  // The event was not taken, and comes again.
  rig.say(object);
  REQUIRE(rig.take("evt_1", "customer.subscription.created", object).ok());
  CHECK(rig.plan() == "pro");
  // What Stripe itself does not know.
  rig.state = [&](const SeenRequest& request) {
    if (request.method == "GET") return json(list(object));
    return json(R"({"error":{"code":"resource_missing","message":"No such subscription"}})", 404);
  };
  CHECK(rig.billing.cancel(rig.ask(), true).status().reason() == "stripe_not_found");
}

TEST_CASE("billing: of two checkouts under one key the page that both got stays open",
          "[fault][portal]") {
  Rig rig;
  std::string inner;
  int made = 0, expired = 0;
  rig.stripe.set_handler([&](const SeenRequest& request) {
    expired += request.url.ends_with("/expire");
    if (request.url.ends_with("/v1/customers")) return json(R"({"id":"cus_1"})");
    if (!request.url.ends_with("/v1/checkout/sessions")) return json(list(""));
    // While the first waits for its page the second gets the same one, and is through.
    if (made++ == 0) inner = rig.billing.checkout(rig.ask(), "pro", "")->url;
    return json(R"({"id":"cs_1","status":"open","url":"https://checkout/cs_1"})");
  });
  CHECK(rig.billing.checkout(rig.ask(), "pro", "")->url == "https://checkout/cs_1");
  CHECK(inner == "https://checkout/cs_1");
  CHECK(made == 2);
  CHECK(expired == 0);
}

TEST_CASE("billing: a silent Stripe keeps no customer from its turn", "[fault][portal]") {
  Rig rig;
  constexpr int kCustomers = 8;
  for (int i = 0; i < kCustomers; i++) {
    Organization wanted;
    wanted.name = "Org " + std::to_string(i);
    const std::string id = rig.organizations.create(wanted, rig.who)->id;
    BillingRecord record;
    record.customer_id = "cus_" + std::to_string(i);
    KvBatch batch;
    batch.put(KvFamily::kConfig, keyspace::org_billing(id), billing_to_json(record));
    batch.put(KvFamily::kConfig, keyspace::billing_customer(record.customer_id), id);
    REQUIRE(rig.kv->write(batch, KvDurability::kSynced).ok());
  }
  std::string asked;  // A digit for each customer.
  int status = 500;
  rig.state = [&](const SeenRequest& request) {
    asked += request.url[request.url.find("customer=cus_") + 13];
    return json(status == 200 ? list("") : "{}", status);
  };
  const auto never = [] { return false; };
  const Status first = rig.billing.reconcile(never).status();
  CHECK(first.code() == Code::kUnavailable);
  CHECK(first.to_string().find("3 were not asked for") != std::string::npos);
  CHECK(asked == "01234");
  CHECK_FALSE(rig.billing.reconcile(never).ok());
  CHECK(asked == "0123456701");
  status = 200;
  CHECK(rig.billing.reconcile(never).value() == R"({"asked":8,"changed":0})");
  CHECK(asked == "012345670123456701");
  CHECK(rig.billing.reconcile(never).ok());
  CHECK(asked == "01234567012345670101234567");
}

TEST_CASE("billing: an event is taken once, and when the store or Stripe fails it comes again",
          "[fault][portal]") {
  Rig rig;
  rig.begin();
  rig.say(subscription("sub_1", "active"));
  const std::string object = subscription("sub_1", "canceled");  // What it says does not matter.
  rig.down = true;
  CHECK(rig.take("evt_1", "customer.subscription.updated", object).code() == Code::kUnavailable);
  rig.down = false;
  const auto answers = rig.state;
  rig.state = [](const SeenRequest&) { return json("{}", 503); };
  const Status failed = rig.take("evt_1", "customer.subscription.updated", object);
  CHECK(failed.reason() == "webhook_failed");
  CHECK(failed.retry_after_s() > 0);
  rig.state = answers;
  CHECK(rig.plan() == "default");
  REQUIRE(rig.take("evt_1", "customer.subscription.updated", object).ok());
  CHECK(rig.plan() == "pro");
  const size_t asked = rig.stripe.seen_count();
  REQUIRE(rig.take("evt_1", "customer.subscription.updated", object).ok());
  CHECK(rig.stripe.seen_count() == asked);
  // The id is kept for a month, and not for ever.
  rig.pass(kEventKeptS + 1);
  REQUIRE(rig.take("evt_1", "customer.subscription.updated", object).ok());
  CHECK(rig.stripe.seen_count() == asked + 1);
}

TEST_CASE("billing: events that are not ours or not known are dropped, and garbage is refused",
          "[unit][portal]") {
  Rig rig;
  rig.begin();
  const size_t asked = rig.stripe.seen_count();
  CHECK(rig.take("evt_1", "customer.created", R"({"id":"cus_1"})").ok());
  CHECK(rig.take("evt_2", "invoice.paid", R"({"id":"in_1","customer":"cus_other"})").ok());
  CHECK(rig.take("evt_3", "invoice.paid", R"({"id":"in_1","customer":null})").ok());
  CHECK(rig.take("evt_4", "invoice.paid", R"({"id":"in_1"})").ok());
  CHECK(rig.stripe.seen_count() == asked);
  for (const std::string body : {"", "[]", "{}", R"({"id":"evt_5","type":"invoice.paid"})",
                                 R"({"id":"evt_5","type":"invoice.paid","data":{}})",
                                 R"({"id":"evt_5","type":"invoice.paid","data":{"object":5}})",
                                 R"({"id":"../5","type":"invoice.paid","data":{"object":{}}})"}) {
    INFO(body);
    CHECK(rig.webhooks.take(body, FakeStripe::sign(body, rig.clock.unix_s())).code() ==
          Code::kInvalid);
  }
  // Anybody may send what is not signed: one alert an hour tells of all.
  rig.alerts.clear();
  for (int i = 0; i < 5; i++) CHECK_FALSE(rig.webhooks.take("{}", "t=1,v1=00").ok());
  CHECK(rig.alerts.size() == 1);
  CHECK(rig.alerts[0].event == "billing.webhook_refused");
  rig.pass(3601);
  CHECK_FALSE(rig.webhooks.take("{}", "t=1,v1=00").ok());
  CHECK(rig.alerts.size() == 2);
}

TEST_CASE("billing: what events did not tell the job finds, once", "[unit][portal]") {
  Rig rig;
  const auto never = [] { return false; };
  CHECK(rig.billing.reconcile(never).value() == "");
  rig.begin();
  CHECK(rig.billing.reconcile(never).value() == R"({"asked":1,"changed":0})");
  rig.say(subscription("sub_1", "active"));
  CHECK(rig.billing.reconcile(never).value() == R"({"asked":1,"changed":1})");
  CHECK(rig.plan() == "pro");
  REQUIRE(rig.alerts.size() == 1);
  CHECK(rig.alerts[0].event == "billing.difference");
  CHECK(rig.billing.reconcile(never).value() == R"({"asked":1,"changed":0})");
  CHECK(rig.metrics.print().find("kvcs_billing_differences_total 1") != std::string::npos);
  rig.state = [](const SeenRequest&) { return json("{}", 500); };
  CHECK(rig.billing.reconcile(never).code() == Code::kUnavailable);
  CHECK(rig.plan() == "pro");
  CHECK(rig.billing.reconcile([] { return true; }).code() == Code::kTimeout);
}

TEST_CASE("billing: an operator's plan stands above what is paid for", "[unit][portal]") {
  Rig rig;
  rig.begin();
  rig.say(subscription("sub_1", "active"));
  REQUIRE(rig.billing.sync(rig.org.id, "", rig.who).ok());
  const auto give = [&](const std::string& plan) {
    const auto edit = [&](Organization& organization) -> Status {
      organization.plan = plan;
      return ok();
    };
    REQUIRE(rig.organizations.update(rig.org.id, edit, rig.who).ok());
  };
  give("max");
  CHECK(rig.plan() == "max");
  rig.say(subscription("sub_1", "canceled"));
  REQUIRE(rig.billing.sync(rig.org.id, "", rig.who).ok());
  CHECK(rig.plan() == "max");
  give("");
  CHECK(rig.plan() == "default");
}

TEST_CASE("billing: the end of the subscription that is known is not the end of another",
          "[unit][portal]") {
  Rig rig;
  rig.begin();
  const std::string older = subscription("sub_1", "active", "price_max", 1);
  const auto say = [&](const std::string& status) {
    const std::string newer = subscription("sub_2", status, "price_pro", 2);
    rig.state = [=](const SeenRequest& request) {
      const bool is_list = request.url.find("/v1/subscriptions?") != std::string::npos;
      return json(is_list ? list(older + "," + newer) : newer);
    };
  };
  say("active");
  REQUIRE(rig.billing.sync(rig.org.id, "", rig.who).ok());
  CHECK(rig.billing.find(rig.org.id)->subscription.id == "sub_2");
  say("canceled");
  const std::string ended = R"({"id":"sub_2","customer":"cus_1"})";
  REQUIRE(rig.take("evt_1", "customer.subscription.deleted", ended).ok());
  CHECK(rig.billing.find(rig.org.id)->subscription.id == "sub_1");
  CHECK(rig.plan() == "max");
}

TEST_CASE("billing: what is paid on a page of before is not sold again", "[fault][portal]") {
  for (const bool is_other_price : {false, true}) {
    INFO(is_other_price);
    Rig rig;
    rig.begin();
    int looks = 0, pages = 0;
    rig.stripe.set_handler([&](const SeenRequest& request) {
      const auto is = [&](const char* part) { return request.url.find(part) != std::string::npos; };
      if (request.url.ends_with("/v1/checkout/sessions")) pages++;
      if (is("/v1/billing_portal")) return json(R"({"url":"https://portal/cus_1"})");
      // Between the look at the subscriptions and the one at the page somebody pays there; of the
      // page for another price it is only seen when that is closed.
      if (request.url.ends_with("/expire")) return json(R"({"error":{"message":"no"}})", 400);
      if (is("/v1/checkout/sessions/cs_1")) {
        return json(is_other_price
                        ? R"({"id":"cs_1","status":"open","url":"https://checkout/cs_1"})"
                        : R"({"id":"cs_1","status":"complete","url":null})");
      }
      if (!is("/v1/subscriptions")) return json(R"({"id":"cus_1"})");
      return json(list(++looks == 1 ? "" : subscription("sub_1", "active")));
    });
    const auto place = rig.billing.checkout(rig.ask(), is_other_price ? "max" : "pro", "");
    REQUIRE(place.ok());
    CHECK_FALSE(place->is_new);
    CHECK(place->url == "https://portal/cus_1");
    CHECK(pages == 0);
    CHECK(rig.plan() == "pro");
  }
}

TEST_CASE("billing: a page that ended unpaid gives way to another", "[unit][portal]") {
  Rig rig;
  rig.begin();
  int pages = 0;
  rig.stripe.set_handler([&](const SeenRequest& request) {
    if (request.url.ends_with("/v1/checkout/sessions")) {
      pages++;
      return json(R"({"id":"cs_2","status":"open","url":"https://checkout/cs_2"})");
    }
    if (request.url.ends_with("cs_1")) return json(R"({"id":"cs_1","status":"expired"})");
    const bool is_list = request.url.find("/v1/subscriptions?") != std::string::npos;
    return json(is_list ? list("") : R"({"id":"cus_1"})");
  });
  const auto place = rig.billing.checkout(rig.ask(), "pro", "");
  REQUIRE(place.ok());
  CHECK(place->url == "https://checkout/cs_2");
  CHECK(place->is_new);
  CHECK(pages == 1);
}

TEST_CASE(
    "billing: a preview and the change say the same, whatever the customer has to their credit",
    "[unit][portal]") {
  Rig rig;
  rig.begin();
  struct Row {
    int total, amount_due, told;
  };
  // All of it is paid; a credit pays a part, or all of it; and what is given back.
  for (const Row& row : {Row{1500, 1500, 1500}, Row{1500, 500, 500}, Row{1500, 0, 0},
                         Row{-700, 0, -700}, Row{0, 0, 0}}) {
    INFO(row.total << " " << row.amount_due);
    const std::string invoice = R"({"currency":"usd","total":)" + std::to_string(row.total) +
                                R"(,"amount_due":)" + std::to_string(row.amount_due) + "}";
    rig.state = [=](const SeenRequest& request) {
      const std::string one = subscription("sub_1", "active");
      if (request.url.ends_with("/create_preview")) return json(invoice);
      if (request.url.find("/v1/subscriptions?") != std::string::npos) return json(list(one));
      return json(one.substr(0, one.size() - 1) + R"(,"latest_invoice":)" + invoice + "}");
    };
    CHECK(rig.billing.preview(rig.ask(), "max", "")->amount_due == row.told);
    CHECK(rig.billing.change(rig.ask(), "max", "", 0)->amount_due == row.told);
  }
}
