// The services of billing over a store in memory, a Stripe that answers from a function, and a
// clock that is moved by hand.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "identity/people_rig.h"
#include "portal/billing/billing.h"
#include "portal/billing/webhooks.h"
#include "support/fake_stripe.h"
#include "support/scripted_upstream.h"

namespace kvcs::test {

inline const std::string kBillingPlans =
    "plans:\n"
    "  default: {artifacts: 2}\n"
    "  pro: {artifacts: 20, stripe_prices: [price_pro, price_pro_year]}\n"
    "  max: {stripe_prices: [price_max]}\n";

inline std::string subscription(const std::string& id, const std::string& status,
                                const std::string& price = "price_pro", int created = 1) {
  return R"({"id":")" + id + R"(","customer":"cus_1","status":")" + status + R"(","created":)" +
         std::to_string(created) +
         R"(,"cancel_at_period_end":false,"items":{"data":[{"id":"si_1",)" +
         R"("current_period_end":1769904000,"price":{"id":")" + price + R"("}}]}})";
}

inline std::string list(const std::string& subscriptions) {
  return R"({"data":[)" + subscriptions + "]}";
}

inline ScriptedAnswer json(const std::string& body, int status = 200) {
  ScriptedAnswer answer;
  answer.status = status;
  answer.chunks = {body};
  return answer;
}

struct BillingRig : PeopleRig {
  BillingRig() {
    stripe.set_handler([this](const SeenRequest& request) {
      if (request.url.ends_with("/v1/customers")) return json(R"({"id":"cus_1"})");
      if (request.url.ends_with("/v1/checkout/sessions")) {
        return json(R"({"id":"cs_1","status":"open","url":"https://checkout/cs_1"})");
      }
      return state ? state(request) : json(list(""));
    });
  }
  std::string plan() { return plans.of(*directory.organization(org.id).value()).name; }
  // The customer is there after a checkout.
  void begin() { REQUIRE(billing.checkout(ask(), "pro", "").ok()); }
  portal::BillingAsk ask(const std::string& repeat = "r") { return {org.id, repeat, who}; }
  void say(const std::string& subscriptions) {
    state = [=](const SeenRequest& request) {
      const bool is_list = request.url.find("/v1/subscriptions?") != std::string::npos;
      return json(is_list ? list(subscriptions) : subscriptions);
    };
  }
  Status take(const std::string& id, const std::string& type, const std::string& object) {
    const std::string body = FakeStripe::event(id, type, object);
    return webhooks.take(body, FakeStripe::sign(body, clock.unix_s()));
  }

  void give_up() { REQUIRE(organizations.plan_deletion(org.id, 1'900'000'000'000, who).ok()); }
  void take_back() { REQUIRE(organizations.withdraw_deletion(org.id, who).ok()); }
  size_t alerts_of(const std::string& event) const {
    const auto is_it = [&](const AlertEvent& alert) { return alert.event == event; };
    return static_cast<size_t>(std::count_if(alerts.begin(), alerts.end(), is_it));
  }
  // In the outbox, whole.
  size_t alerts_stored(const std::string& event) const {
    size_t found = 0;
    for (const KvItem& item : memory->scan(KvFamily::kOutbox, "", "", 1000)->items) {
      found += item.entry.value.find(event) != std::string::npos;
    }
    return found;
  }

  Organization org = organization();
  const portal::BillingConfig config{.secret_key = Secret(kStripeKey),
                                     .webhook_secret = Secret(kWebhookSecret)};
  portal::Plans plans = portal::Plans::parse(kBillingPlans, "plans.yaml", {}).value();
  Metrics metrics;
  ScriptedUpstream stripe;
  std::function<ScriptedAnswer(const SeenRequest&)> state;
  std::vector<AlertEvent> alerts;
  portal::Billing billing{{config, plans, organizations, *kv, stripe, metrics, clock, clock,
                           [] { return std::string("https://kvcs.example.com"); },
                           [this](const AlertEvent& alert) { alerts.push_back(alert); }}};
  portal::Webhooks webhooks{
      billing, config, *kv, metrics, clock, clock, [this](const AlertEvent& alert) {
        alerts.push_back(alert);
      }};
};

}  // namespace kvcs::test
