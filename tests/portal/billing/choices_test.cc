// Goal: of what a customer has the right thing counts, and who is no customer any more is none.
// Method: the services over a store in memory, and a Stripe that answers from a function.
#include "portal/billing/billing_rig.h"

using namespace kvcs;
using namespace kvcs::portal;
using namespace kvcs::test;

TEST_CASE("billing: of subscriptions of one rank the newest counts, in whatever order they come",
          "[unit][portal]") {
  Subscription older, newer;
  older.status = newer.status = "active";
  older.id = "sub_1";
  older.created_ms = 1000;
  newer.id = "sub_2";
  newer.created_ms = 2000;
  CHECK(choose_subscription({older, newer}).id == "sub_2");
  CHECK(choose_subscription({newer, older}).id == "sub_2");
  newer.status = "paused";
  CHECK(choose_subscription({newer, older}).id == "sub_1");
}

TEST_CASE("billing: each event that may change a plan makes us ask", "[unit][portal]") {
  for (const char* type : {"checkout.session.completed", "customer.subscription.created",
                           "customer.subscription.updated", "customer.subscription.deleted",
                           "customer.subscription.paused", "invoice.paid", "invoice.payment_failed",
                           "invoice.finalized"}) {
    INFO(type);
    BillingRig rig;
    rig.begin();
    rig.say(subscription("sub_1", "active"));
    REQUIRE(rig.billing.sync(rig.org.id, "", rig.who).ok());
    REQUIRE(rig.plan() == "pro");
    rig.say(subscription("sub_1", "paused"));
    REQUIRE(rig.take("evt_1", type, R"({"id":"x_1","customer":"cus_1"})").ok());
    CHECK(rig.plan() == "default");
  }
}

TEST_CASE("billing: a customer who is gone there is no organization's here", "[unit][portal]") {
  BillingRig rig;
  rig.begin();
  CHECK(rig.billing.organization_of("cus_1").value() == rig.org.id);
  rig.stripe.set_handler([](const SeenRequest& request) {
    if (request.url.ends_with("/v1/customers")) return json(R"({"id":"cus_2"})");
    if (request.url.ends_with("/v1/customers/cus_1")) return json(R"({"deleted":true})");
    if (request.url.ends_with("/v1/checkout/sessions")) {
      return json(R"({"id":"cs_2","status":"open","url":"https://checkout/cs_2"})");
    }
    return json(list(""));
  });
  REQUIRE(rig.billing.checkout(rig.ask("other"), "pro", "").ok());
  CHECK(rig.billing.organization_of("cus_2").value() == rig.org.id);
  CHECK(rig.billing.organization_of("cus_1").value().empty());
}
