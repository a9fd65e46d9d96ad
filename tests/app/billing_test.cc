// Goal: owners pay for their organization through Stripe, nobody else's word changes a plan, and
// what was answered holds. Method: a whole daemon with Stripe's API on loopback.
#include "portal/billing/billing.h"

#include <nlohmann/json.hpp>

#include <atomic>
#include <fstream>
#include <thread>

#include "app/owner_deletion.h"
#include "support/ai_house.h"
#include "support/fake_stripe.h"
#include "support/json_answer.h"
#include "support/people.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kPlans =
    "plans:\n"
    "  default: {artifacts: 2}\n"
    "  pro: {artifacts: 20, stripe_prices: [price_pro, price_pro_year]}\n"
    "  max: {stripe_prices: [price_max]}\n";

struct House {
  House()
      : app([this](Config& config) {
          config.auth.plans.file = config.data_dir + ".plans.yaml";
          std::ofstream(config.auth.plans.file) << kPlans;
          config.auth.billing = stripe.config(std::string("whsec_old, ") + kWebhookSecret);
          config.http.public_url = "https://kvcs.example.com/";
        }),
        owner(app) {
    org = app.credential("organization_id");
    // The origin of the pages is that of public_url; a bearer needs none.
    const RawResponse begun = app.call(
        "POST", "/auth/setup", {{"Origin", "https://kvcs.example.com"}},
        R"({"token":")" + setup_token(app) +
            R"(","email":"ada@example.com","name":"Ada","password":")" + kGoodPassword + "\"}");
    INFO(begun.body);
    REQUIRE(begun.status == 201);
    const std::string set(begun.header("set-cookie"));
    owner.cookie = set.substr(0, set.find(';'));
    owner.csrf = json_text(begun.body, "csrf_token");
  }
  RawResponse send(const std::string& method, const std::string& path, const std::string& body = {},
                   TestApp::Headers more = {}) const {
    TestApp::Headers headers = {{"Cookie", owner.cookie},
                                {"Origin", "https://kvcs.example.com"},
                                {"X-CSRF-Token", owner.csrf}};
    headers.insert(headers.end(), more.begin(), more.end());
    return app.call(method, "/api/v1/billing" + path, headers, body);
  }
  RawResponse event(const std::string& id, const std::string& type,
                    const std::string& object) const {
    const std::string body = FakeStripe::event(id, type, object);
    return app.call("POST", "/api/v1/billing/webhook",
                    {{"Stripe-Signature", FakeStripe::sign(body, app_clock(), kWebhookSecret)}},
                    body);
  }
  static int64_t app_clock() { return make_system_clock()->unix_s(); }
  std::string plan() const {
    const RawResponse plan = app.as_owner("GET", "/admin/organizations/" + org + "/plan");
    return json_text(plan.body, "plan");
  }
  // The customer of the organization, after a checkout.
  std::string customer() const {
    REQUIRE(send("POST", "/checkout", R"({"plan":"pro"})").status == 200);
    return stripe.customers().at(0);
  }
  std::string metrics() const { return app.call("GET", "/metrics").body; }

  FakeStripe stripe;
  TestApp app;
  Browser owner;
  std::string org;
};

std::string object_of(const std::string& customer, const std::string& id) {
  return R"({"id":")" + id + R"(","customer":")" + customer + R"(","subscription":")" + id + "\"}";
}

}  // namespace

TEST_CASE("billing: a checkout says what Stripe's API asks for, and its return is ours",
          "[contract][app][portal]") {
  House house;
  const RawResponse begun = house.send("POST", "/checkout", R"({"plan":"pro"})");
  INFO(begun.body);
  REQUIRE(begun.status == 200);
  CHECK(json_text(begun.body, "kind") == "checkout");
  CHECK(json_text(begun.body, "url") == "https://checkout/cs_2");
  CHECK(house.stripe.faults().empty());
  const auto asked = house.stripe.asked();
  REQUIRE(asked.size() == 3);
  CHECK(asked[0].path == "/v1/customers");
  CHECK(asked[0].form == "description=kvcs%20organization%20" + house.org +
                             "&metadata%5Borganization_id%5D=" + house.org);
  CHECK(asked[0].key.starts_with("kvcs-customer-" + house.org));
  CHECK(asked[1].path == "/v1/subscriptions?customer=cus_1&status=all&limit=100");
  CHECK(asked[2].form ==
        "mode=subscription&customer=cus_1&client_reference_id=" + house.org +
            "&line_items%5B0%5D%5Bprice%5D=price_pro&line_items%5B0%5D%5Bquantity%5D=1"
            "&allow_promotion_codes=true&tax_id_collection%5Benabled%5D=true"
            "&customer_update%5Bname%5D=auto&customer_update%5Baddress%5D=auto"
            "&metadata%5Borganization_id%5D=" +
            house.org + "&subscription_data%5Bmetadata%5D%5Borganization_id%5D=" + house.org +
            "&success_url=https%3A%2F%2Fkvcs.example.com%2F%23%2Fbilling%3Fcheckout%3Ddone"
            "&cancel_url=https%3A%2F%2Fkvcs.example.com%2F%23%2Fbilling%3Fcheckout%3Dcanceled");
  // Paid is nothing yet.
  CHECK(house.plan() == "default");
  CHECK(json_of(house.send("GET", "/subscription"))["status"].is_null());
  // Reasons plan_unknown and price_unknown.
  CHECK(has(house.send("POST", "/checkout", R"({"plan":"default"})").body, "cannot be bought"));
  CHECK(has(house.send("POST", "/checkout", R"({"plan":"pro","price":"price_max"})").body,
            "'price_max' is none of plan 'pro': price_pro, price_pro_year."));
}

TEST_CASE("billing: two checkouts at once make one customer and one page", "[fault][app][portal]") {
  House house;
  std::vector<std::string> urls(4);
  std::vector<std::thread> clients;
  for (size_t i = 0; i < urls.size(); i++) {
    clients.emplace_back([&, i] {
      urls[i] = json_text(house.send("POST", "/checkout", R"({"plan":"pro"})").body, "url");
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(house.stripe.customers().size() == 1);
  for (const std::string& url : urls) CHECK(url == urls[0]);
  CHECK_FALSE(urls[0].empty());
  // Another price closes the page that waits: nobody pays for both.
  const std::string other =
      json_text(house.send("POST", "/checkout", R"({"plan":"max"})").body, "url");
  CHECK(other != urls[0]);
  CHECK(house.stripe.asked_count("POST", "/v1/checkout/sessions/" + urls[0].substr(17)) == 1);
  CHECK(house.stripe.customers().size() == 1);
  CHECK(house.stripe.faults().empty());
}

TEST_CASE("billing: an event makes us ask, and the order of events does not matter",
          "[contract][app][portal]") {
  House house;
  const std::string customer = house.customer();
  const std::string sub = house.stripe.subscribe(customer, "price_pro", "active");
  CHECK(house.event("evt_1", "checkout.session.completed", object_of(customer, sub)).status == 200);
  CHECK(house.plan() == "pro");
  const Json state = json_of(house.send("GET", "/subscription"));
  CHECK(state["status"] == "active");
  CHECK(state["plan"] == "pro");
  CHECK(state["current_period_end"] == "2026-02-01T00:00:00.000Z");
  house.stripe.set_status(sub, "canceled");
  CHECK(house.event("evt_3", "customer.subscription.deleted", object_of(customer, sub)).status ==
        200);
  CHECK(house.plan() == "default");
  // The one that was sent before comes after.
  CHECK(house.event("evt_2", "customer.subscription.created", object_of(customer, sub)).status ==
        200);
  CHECK(house.plan() == "default");
  CHECK(house.event("evt_2", "customer.subscription.created", object_of(customer, sub)).body ==
        R"({"received":true})");
  CHECK(house.event("evt_4", "payment_intent.created", R"({"id":"pi_1"})").status == 200);
  CHECK(has(house.metrics(), "kvcs_billing_webhooks_total{outcome=\"taken\"} 3"));
  CHECK(has(house.metrics(), "kvcs_billing_webhooks_total{outcome=\"repeated\"} 1"));
  CHECK(has(house.metrics(), "kvcs_billing_webhooks_total{outcome=\"ignored\"} 1"));
}

TEST_CASE("billing: an event that nobody signed changes nothing", "[contract][app][portal]") {
  House house;
  const std::string customer = house.customer();
  const std::string sub = house.stripe.subscribe(customer, "price_pro", "active");
  const std::string body =
      FakeStripe::event("evt_1", "customer.subscription.created", object_of(customer, sub));
  const auto post = [&](const std::string& signature) {
    TestApp::Headers headers;
    if (!signature.empty()) headers.emplace_back("Stripe-Signature", signature);
    return house.app.call("POST", "/api/v1/billing/webhook", headers, body);
  };
  const int64_t now_s = House::app_clock();
  for (const std::string& signature :
       {std::string(), std::string("t=1,v1=00"), FakeStripe::sign(body + " ", now_s),
        FakeStripe::sign(body, now_s - 400), FakeStripe::sign(body, now_s, "whsec_other")}) {
    const RawResponse refused = post(signature);
    CHECK(refused.status == 400);
    CHECK(has(refused.body, "Stripe-Signature"));
  }
  CHECK(house.plan() == "default");
  CHECK(post(FakeStripe::sign(body, now_s, "whsec_old")).status == 200);  // Of the rotation.
  CHECK(house.plan() == "pro");
  CHECK(has(house.app.as_owner("GET", "/admin/alerts").body, "billing.webhook_refused"));
}

TEST_CASE("billing: what was answered 200 holds after a restart, and Stripe's failures come again",
          "[fault][app][portal]") {
  House house;
  const std::string customer = house.customer();
  const std::string sub = house.stripe.subscribe(customer, "price_max", "trialing");
  house.stripe.fail_with(500);
  const RawResponse away =
      house.event("evt_1", "customer.subscription.created", object_of(customer, sub));
  CHECK(away.status == 503);
  CHECK_FALSE(away.header("retry-after").empty());
  CHECK(house.plan() == "default");
  house.stripe.fail_with(0);
  CHECK(house.event("evt_1", "customer.subscription.created", object_of(customer, sub)).status ==
        200);
  house.app.restart();
  CHECK(house.plan() == "max");
  // A payment that failed is told; the plan stays while Stripe tries again.
  house.stripe.set_status(sub, "past_due");
  for (int i = 0; i < 2; i++) {
    CHECK(house
              .event("evt_2", "invoice.payment_failed",
                     R"({"id":"in_7","customer":")" + customer +
                         R"(","parent":{"subscription_details":{"subscription":")" + sub + "\"}}}")
              .status == 200);
  }
  CHECK(house.plan() == "max");
  CHECK(has(house.metrics(), "kvcs_billing_payments_failed_total 1"));
  CHECK(has(house.app.as_owner("GET", "/admin/alerts").body, "billing.payment_failed"));
  house.stripe.set_status(sub, "unpaid");
  CHECK(house.event("evt_5", "customer.subscription.updated", object_of(customer, sub)).status ==
        200);
  CHECK(house.plan() == "default");
}

TEST_CASE("billing: a subscription is changed with a preview, canceled and taken up again",
          "[contract][app][portal]") {
  House house;
  // Reasons nothing_paid and no_subscription.
  CHECK(house.send("POST", "/portal").status == 409);
  CHECK(house.send("POST", "/cancel").status == 409);
  CHECK(json_of(house.send("GET", "/invoices"))["invoices"].empty());
  const std::string customer = house.customer();
  CHECK(house.send("PATCH", "/subscription", R"({"plan":"max"})").status == 409);
  const std::string sub = house.stripe.subscribe(customer, "price_pro", "active");
  // With a subscription a checkout leads to where that is changed.
  const RawResponse again = house.send("POST", "/checkout", R"({"plan":"max"})");
  CHECK(json_text(again.body, "kind") == "portal");
  CHECK(json_text(again.body, "url") == "https://portal/" + customer);
  CHECK(json_text(house.send("POST", "/portal").body, "url") == "https://portal/" + customer);

  const Json preview =
      json_of(house.send("PATCH", "/subscription", R"({"plan":"max","preview":true})"));
  CHECK(preview["amount_due"] == 1234);
  CHECK(preview["currency"] == "usd");
  CHECK(house.stripe.subscription(sub).price == "price_pro");
  CHECK(house.plan() == "pro");
  const std::string at = std::to_string(preview["at"].get<int64_t>());
  house.stripe.decline_payments(true);
  const Json waits = json_of(house.send("PATCH", "/subscription", R"({"plan":"max"})"));
  CHECK(waits["waits_for_payment"] == true);
  CHECK(house.plan() == "pro");
  house.stripe.decline_payments(false);
  // Charged as of a preview of the same change, and of no moment that somebody chose.
  for (const std::string& ask :
       {R"({"plan":"max","at":)" + std::to_string(preview["at"].get<int64_t>() + 86'400) + "}",
        R"({"plan":"max","price":"price_max","at":)" + at + "}",
        std::string(R"({"plan":"max","at":1})")}) {
    const RawResponse chosen = house.send("PATCH", "/subscription", ask);
    CHECK(chosen.status == 409);  // Reason preview_unknown.
    CHECK(has(chosen.body, "no preview of this change"));
  }
  const Json changed =
      json_of(house.send("PATCH", "/subscription", R"({"plan":"max","at":)" + at + "}"));
  CHECK(changed["waits_for_payment"] == false);
  CHECK(changed["amount_due"] == 1500);
  CHECK(house.plan() == "max");
  const auto asked = house.stripe.asked();
  bool found = false;
  for (const auto& one : asked) found = found || has(one.form, "proration_date=" + at);
  CHECK(found);

  CHECK(json_of(house.send("POST", "/cancel"))["cancels"] == true);
  CHECK(house.plan() == "max");  // Until the period ends.
  CHECK(json_of(house.send("DELETE", "/cancel"))["cancels"] == false);
  // An end that was set to a time, in Stripe's dashboard, is taken back too.
  house.stripe.set_cancel_at(sub, 1'775'000'000);
  CHECK(json_of(house.send("DELETE", "/cancel"))["cancels"] == false);
  CHECK(house.stripe.subscription(sub).cancel_at == 0);
  const Json invoices = json_of(house.send("GET", "/invoices?limit=1"));
  REQUIRE(invoices["invoices"].size() == 1);
  CHECK(invoices["invoices"][0]["total"] == 900);
  const Json next =
      json_of(house.send("GET", "/invoices?cursor=" + invoices["cursor"].get<std::string>()));
  CHECK(next["invoices"][0]["id"] == "in_1");
  CHECK(next["cursor"].is_null());
  CHECK(house.stripe.faults().empty());
}

TEST_CASE("billing: the same Idempotency-Key is the same deed", "[contract][app][portal]") {
  House house;
  const TestApp::Headers once = {{"Idempotency-Key", "tuesday"}};
  const std::string body = R"({"plan":"pro"})";
  const std::string url = json_text(house.send("POST", "/checkout", body, once).body, "url");
  std::vector<std::string> keys;
  for (const auto& one : house.stripe.asked()) {
    if (one.path == "/v1/checkout/sessions") keys.push_back(one.key);
  }
  CHECK(json_text(house.send("POST", "/checkout", body, once).body, "url") == url);
  REQUIRE(keys.size() == 1);
  CHECK(keys[0].starts_with("kvcs-checkout-"));
  CHECK_FALSE(has(keys[0], "tuesday"));
  CHECK(
      house.send("POST", "/checkout", body, {{"Idempotency-Key", std::string(300, 'x')}}).status ==
      400);
}

TEST_CASE("billing: a key of the caller's with another body is another deed at Stripe",
          "[contract][app][portal]") {
  House house;
  const TestApp::Headers once = {{"Idempotency-Key", "tuesday"}};
  CHECK(house.send("POST", "/checkout", R"({"plan":"pro"})", once).status == 200);
  // Of a deed that was done before, whose answer was kept here, the key is refused at the door.
  const std::string customer = house.stripe.customers().at(0);
  house.stripe.subscribe(customer, "price_pro", "active");
  CHECK(house.send("POST", "/cancel", "", {{"Idempotency-Key", "first"}}).status == 200);
  const TestApp::Headers change = {{"Idempotency-Key", "wednesday"}};
  CHECK(house.send("PATCH", "/subscription", R"({"plan":"max"})", change).status == 200);
  (void)house.send("PATCH", "/subscription", R"({"plan":"pro"})", change);
  CHECK(house.stripe.faults().empty());
  // Stripe's own time is taken where the caller names none.
  for (const auto& one : house.stripe.asked()) {
    if (one.path.starts_with("/v1/subscriptions/")) CHECK_FALSE(has(one.form, "proration_date"));
  }
}

TEST_CASE("billing: a customer who was deleted at Stripe is made anew at the next checkout",
          "[contract][app][portal]") {
  House house;
  const std::string gone = house.customer();
  const std::string sub = house.stripe.subscribe(gone, "price_pro", "active");
  REQUIRE(house.send("POST", "/checkout", R"({"plan":"pro"})").status == 200);
  REQUIRE(house.plan() == "pro");
  house.stripe.delete_customer(gone, true);
  house.stripe.set_status(sub, "canceled");
  CHECK(has(house.send("POST", "/portal").body, "has paid nothing yet"));
  CHECK(json_of(house.send("GET", "/invoices"))["invoices"].empty());
  CHECK(house.send("POST", "/cancel").status == 409);
  CHECK(house.plan() == "default");
  const RawResponse again = house.send("POST", "/checkout", R"({"plan":"pro"})");
  INFO(again.body);
  CHECK(json_text(again.body, "kind") == "checkout");
  REQUIRE(house.stripe.customers().size() == 2);
  const std::string fresh = house.stripe.customers().at(1);
  house.stripe.subscribe(fresh, "price_max", "active");
  CHECK(json_text(house.send("POST", "/checkout", R"({"plan":"max"})").body, "url") ==
        "https://portal/" + fresh);
  CHECK(house.plan() == "max");
  CHECK(house.stripe.customers().size() == 2);
  CHECK(house.stripe.faults().empty());
}

TEST_CASE("billing: a customer whom Stripe does not know is forgotten only where nothing is paid",
          "[fault][app][portal]") {
  House house;
  const std::string customer = house.customer();
  house.stripe.delete_customer(customer, false);
  // As with a key of another account or mode, before anything is paid.
  CHECK(house.send("POST", "/checkout", R"({"plan":"pro"})").status == 200);
  REQUIRE(house.stripe.customers().size() == 2);
  const std::string paying = house.stripe.customers().at(1);
  house.stripe.subscribe(paying, "price_pro", "active");
  REQUIRE(house.send("POST", "/checkout", R"({"plan":"pro"})").status == 200);
  REQUIRE(house.plan() == "pro");
  house.stripe.delete_customer(paying, false);
  const RawResponse refused = house.send("POST", "/checkout", R"({"plan":"max"})");
  CHECK(refused.status == 502);  // Reason stripe_customer_unknown.
  CHECK(has(refused.body, "STRIPE_SECRET_KEY"));
  CHECK_FALSE(house.app.parts().portal.billing->reconcile([] { return false; }).ok());
  CHECK(house.plan() == "pro");
  CHECK(house.stripe.customers().size() == 2);
  // With the right key again all is as it was.
  house.stripe.restore_customer(paying);
  CHECK(house.app.parts().portal.billing->reconcile([] { return false; }).ok());
  CHECK(house.plan() == "pro");
}

TEST_CASE("billing: an organization that is deleted pays no longer", "[contract][app][portal]") {
  House house;
  const std::string customer = house.customer();
  const std::string sub = house.stripe.subscribe(customer, "price_pro", "active");
  const std::string second = house.stripe.subscribe(customer, "price_max", "past_due");
  REQUIRE(house.event("evt_1", "customer.subscription.created", object_of(customer, sub)).status ==
          200);
  // While Stripe is away the deletion goes no further than its beginning, for whom to charge no
  // longer is in the organization's records.
  house.stripe.fail_with(500);
  const std::string path = "/admin/organizations/" + house.org + "?force=true";
  CHECK(house.app.as_owner("DELETE", path).status == 202);
  wait_until([&] { return !house.app.parts().deletions->run([] { return false; }).ok(); },
             "the job says that something is paid for still");
  CHECK(house.stripe.subscription(sub).status == "active");
  CHECK(house.app.parts().portal.billing->find(house.org)->customer_id == customer);
  house.stripe.fail_with(0);
  CHECK(house.app.as_owner("DELETE", path).status / 100 == 2);
  CHECK(house.app.as_owner("GET", "/admin/organizations/" + house.org).status == 404);
  const auto is_empty = [&](const std::string& prefix) {
    return has(house.app.as_owner("GET", "/admin/kv?prefix=" + prefix).body, "\"keys\":[]");
  };
  wait_until(
      [&] {
        (void)house.app.as_owner("POST", "/admin/jobs/owner-deletion/run");
        return is_empty("deletion:");
      },
      "the organization is gone");
  CHECK(is_empty("billing_customer:"));
  CHECK(house.stripe.subscription(sub).status == "canceled");
  CHECK(house.stripe.subscription(second).status == "canceled");
  CHECK(house.event("evt_2", "customer.subscription.deleted", object_of(customer, sub)).status ==
        200);
}

TEST_CASE("billing: who takes an organization back hears what became of its subscription",
          "[contract][app][portal]") {
  House house;
  const std::string path = "/api/v1/organizations/" + house.org;
  const TestApp::Headers headers = {{"Cookie", house.owner.cookie},
                                    {"Origin", "https://kvcs.example.com"},
                                    {"X-CSRF-Token", house.owner.csrf}};
  const auto call = [&](const char* method, const std::string& of) {
    const RawResponse answer = house.app.call(method, path + of, headers);
    INFO(answer.body);
    REQUIRE(answer.status / 100 == 2);
    return json_of(answer);
  };
  CHECK_FALSE(call("DELETE", "").contains("subscription"));
  CHECK_FALSE(call("POST", "/restore").contains("subscription"));
  const std::string customer = house.customer();
  const std::string sub = house.stripe.subscribe(customer, "price_pro", "active");
  REQUIRE(house.event("evt_1", "customer.subscription.created", object_of(customer, sub)).status ==
          200);
  house.stripe.fail_with(500);
  CHECK(call("DELETE", "")["subscription"] == "ending");
  CHECK(call("POST", "/restore")["subscription"] == "live");
  CHECK(house.plan() == "pro");
  house.stripe.fail_with(0);
  CHECK(call("DELETE", "")["subscription"] == "ended");
  CHECK(call("POST", "/restore")["subscription"] == "ended");
  CHECK(house.plan() == "default");
  CHECK(house.stripe.subscription(sub).status == "canceled");
}

TEST_CASE("billing: what is paid for an organization that is gone is ended and told",
          "[contract][app][portal]") {
  House house;
  const std::string customer = house.customer();  // With a checkout that is open.
  const std::string path = "/admin/organizations/" + house.org + "?force=true";
  REQUIRE(house.app.as_owner("DELETE", path).status / 100 == 2);
  CHECK(house.stripe.asked_count("POST", "/v1/checkout/sessions/cs_2/expire") == 1);
  wait_until(
      [&] {
        (void)house.app.as_owner("POST", "/admin/jobs/owner-deletion/run");
        return has(house.app.as_owner("GET", "/admin/kv?prefix=billing_customer:").body,
                   "\"keys\":[]");
      },
      "the organization is gone");
  const std::string late = house.stripe.subscribe(customer, "price_pro", "active");
  const std::string foreign = house.stripe.subscribe("cus_other", "price_pro", "active");
  CHECK(house.event("evt_1", "customer.subscription.created", object_of(customer, late)).status ==
        200);
  CHECK(house.event("evt_2", "customer.subscription.created", object_of("cus_other", foreign))
            .status == 200);
  CHECK(house.stripe.subscription(late).status == "canceled");
  // Another server's customer is not ours to end.
  CHECK(house.stripe.subscription(foreign).status == "active");
  CHECK(has(house.app.as_owner("GET", "/admin/alerts").body, "billing.paid_for_nobody"));
}

TEST_CASE("billing: owners pay, and without Stripe's keys it is off before any right is asked for",
          "[contract][app][portal]") {
  const std::pair<const char*, const char*> rows[] = {
      {"POST", "/checkout"},      {"POST", "/portal"}, {"GET", "/subscription"},
      {"PATCH", "/subscription"}, {"POST", "/cancel"}, {"DELETE", "/cancel"},
      {"GET", "/invoices"},       {"POST", "/webhook"}};
  TestApp off;
  Browser owner = set_up(off);
  Browser viewer = join(off, owner, "viewer@example.com", "viewer");
  for (const auto& [method, path] : rows) {
    INFO(method << " " << path);
    const std::string target = std::string("/api/v1/billing") + path;
    CHECK(off.call(method, target).status == 401);
    CHECK(off.as("kv_" + std::string(64, '0'), method, target).status == 401);
    for (const RawResponse& answer :
         {owner.send(method, target), viewer.send(method, target),
          off.as(off.credential("api_key"), method, target), off.as_owner(method, target)}) {
      CHECK(answer.status == 501);
      CHECK(json_text(answer.body, "code") == "billing_disabled");
    }
  }
  House on;
  for (const auto& [method, path] : rows) {
    if (std::string(path) == "/webhook") continue;
    INFO(method << " " << path);
    const std::string target = std::string("/api/v1/billing") + path;
    CHECK(on.app.call(method, target).status == 401);
    CHECK(on.app.as(on.app.credential("api_key"), method, target).status == 403);
    CHECK(on.app.as_owner(method, target).status == 403);
  }
}
