// What owners do at Stripe: begin to pay, change, cancel, and read what they have paid.
#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "portal/billing/billing.h"

namespace kvcs::portal {
namespace {

Status no_subscription() {
  return conflict(
             "The organization has no subscription. Begin one with POST /api/v1/billing/checkout.")
      .with_reason("no_subscription");
}

Status nothing_paid() {
  return conflict(
             "The organization has paid nothing yet. Begin with POST /api/v1/billing/checkout.")
      .with_reason("nothing_paid");
}

std::string subscription_path(const Subscription& subscription) {
  return "/v1/subscriptions/" + subscription.id;
}

// Of an answer that has to have it.
Result<std::string> url_of(const Json& answer) {
  std::string url = text_member(answer, "url");
  if (url.starts_with("https://") || url.starts_with("http://")) return url;
  return upstream_failed("The payment provider's answer makes no sense.", "a page without url");
}

// What an invoice takes, after what the customer has to their credit; what it gives stands in the
// total alone.
int64_t due_of(const Json& invoice) {
  const int64_t total = integer_member(invoice, "total");
  return total < 0 ? total : integer_member(invoice, "amount_due");
}

}  // namespace

Result<std::string> Billing::price_of(std::string_view plan, std::string_view price) const {
  const Plan* const found = s_.plans.find(plan);
  if (found == nullptr || found->stripe_prices.empty()) {
    return invalid("plan: '" + printable(plan, kShownName) +
                   "' cannot be bought. GET /api/v1/plans lists those with a price.")
        .with_reason("plan_unknown");
  }
  if (price.empty()) return found->stripe_prices.front();
  if (s_.plans.find_by_price(price) == found) return std::string(price);
  return invalid("price: '" + printable(price, kShownName) + "' is none of plan '" + found->name +
                 "': " + join(found->stripe_prices, ", ") + ".")
      .with_reason("price_unknown");
}

// Ok when it was paid, or has ended by itself, since it was looked at.
Status Billing::expire_checkout(const std::string& id) const {
  const Status closed =
      stripe_.post("/v1/checkout/sessions/" + id + "/expire", {}, "kvcs-expire-" + id).status();
  return closed.code() == Code::kUnavailable ? closed : ok();
}

// The page of the last checkout, if it is for this price and waits still; one for another price is
// closed, so that nobody pays twice. "" when there is none.
Result<std::string> Billing::open_checkout(const BillingRecord& record,
                                           std::string_view price) const {
  if (record.checkout_id.empty()) return std::string();
  const std::string path = "/v1/checkout/sessions/" + record.checkout_id;
  const Result<Json> session = stripe_.get(path);
  if (session.code() == Code::kNotFound) return std::string();
  KVCS_TRY(session.status());
  if (text_member(*session, "status") != "open") return std::string();
  if (record.checkout_price == price) return url_of(*session);
  KVCS_TRY(expire_checkout(record.checkout_id));
  return std::string();
}

// It may be paid in the same moment: who closes it looks at the subscriptions afterwards.
Status Billing::close_checkout(const BillingRecord& record) const {
  if (record.checkout_id.empty()) return ok();
  const std::string path = "/v1/checkout/sessions/" + record.checkout_id;
  const Result<Json> session = stripe_.get(path);
  if (session.code() == Code::kNotFound) return ok();
  KVCS_TRY(session.status());
  if (text_member(*session, "status") != "open") return ok();
  return expire_checkout(record.checkout_id);
}

// A key names the try, too: what a try before it made is closed.
Result<Json> Billing::begin_checkout(const BillingAsk& ask, const BillingRecord& record,
                                     std::string_view price, int attempt) const {
  const std::string page = s_.public_url() + "/#/billing";
  return stripe_.post("/v1/checkout/sessions",
                      {{"mode", "subscription"},
                       {"customer", record.customer_id},
                       {"client_reference_id", ask.organization_id},
                       {"line_items[0][price]", std::string(price)},
                       {"line_items[0][quantity]", "1"},
                       {"allow_promotion_codes", "true"},
                       {"tax_id_collection[enabled]", "true"},
                       {"customer_update[name]", "auto"},
                       {"customer_update[address]", "auto"},
                       {"metadata[organization_id]", ask.organization_id},
                       {"subscription_data[metadata][organization_id]", ask.organization_id},
                       {"success_url", page + "?checkout=done"},
                       {"cancel_url", page + "?checkout=canceled"}},
                      "kvcs-checkout-" + ask.repeat_key + "-" + std::to_string(attempt));
}

Result<std::string> Billing::portal_url(const BillingAsk& ask, const BillingRecord& record) const {
  const Json session = KVCS_TRY(stripe_.post(
      "/v1/billing_portal/sessions",
      {{"customer", record.customer_id}, {"return_url", s_.public_url() + "/#/billing"}},
      "kvcs-portal-" + ask.repeat_key));
  return url_of(session);
}

// Of two that begin at once, the one that is written second finds the first one's page. A page that
// is open no longer may have been paid, perhaps since the look at the subscriptions.
Result<Billing::Place> Billing::checkout(const BillingAsk& ask, std::string_view plan,
                                         std::string_view price) {
  const std::string wanted = KVCS_TRY(price_of(plan, price));
  KVCS_TRY(ensure_customer(ask).status());
  const BillingRecord now = KVCS_TRY(sync(ask.organization_id, "", ask.who)).record;
  if (is_live(now.subscription.status)) return Place{KVCS_TRY(portal_url(ask, now)), false};
  for (int attempt = 0; attempt < kBillingAttemptsMax; attempt++) {
    const Stored before = KVCS_TRY(read(ask.organization_id));
    std::string url = KVCS_TRY(open_checkout(before.record, wanted));
    if (!url.empty()) return Place{std::move(url)};
    if (!before.record.checkout_id.empty()) {
      const BillingRecord paid = KVCS_TRY(sync(ask.organization_id, "", ask.who)).record;
      if (is_live(paid.subscription.status)) return Place{KVCS_TRY(portal_url(ask, paid)), false};
      if (paid != before.record) continue;
    }
    const Json made = KVCS_TRY(begin_checkout(ask, before.record, wanted, attempt));
    BillingRecord after = before.record;
    after.checkout_id = text_member(made, "id");
    after.checkout_price = wanted;
    url = KVCS_TRY(url_of(made));
    if (!is_stripe_id(after.checkout_id)) {
      return upstream_failed("The payment provider's answer makes no sense.",
                             "a checkout without id");
    }
    if (after == before.record) return Place{std::move(url)};  // A repeat under the same key.
    const Status written = write(ask.organization_id, before, after, ask.who);
    if (written.ok()) return Place{std::move(url)};
    // Under one key Stripe gives one page: the other request's is this one, and stays open.
    if (KVCS_TRY(find(ask.organization_id)).checkout_id == after.checkout_id) {
      return Place{std::move(url)};
    }
    (void)expire_checkout(after.checkout_id);
    if (written.reason() != kBillingChanged) return written;
  }
  return billing_busy();
}

Result<std::string> Billing::portal(const BillingAsk& ask) {
  const BillingRecord record = KVCS_TRY(find(ask.organization_id));
  if (record.customer_id.empty()) return nothing_paid();
  Result<std::string> url = portal_url(ask, record);
  return url.code() == Code::kNotFound ? Result<std::string>(nothing_paid()) : std::move(url);
}

Result<BillingRecord> Billing::live(const BillingAsk& ask) {
  const BillingRecord now = KVCS_TRY(sync(ask.organization_id, "", ask.who)).record;
  if (!is_live(now.subscription.status)) return no_subscription();
  return now;
}

Result<Billing::Change> Billing::preview(const BillingAsk& ask, std::string_view plan,
                                         std::string_view price) {
  const std::string wanted = KVCS_TRY(price_of(plan, price));
  const BillingRecord now = KVCS_TRY(live(ask));
  Change change;
  change.at_s = s_.clock.unix_s();
  const Json invoice =
      KVCS_TRY(stripe_.post("/v1/invoices/create_preview",
                            {{"customer", now.customer_id},
                             {"subscription", now.subscription.id},
                             {"subscription_details[items][0][id]", now.subscription.item_id},
                             {"subscription_details[items][0][price]", wanted},
                             {"subscription_details[proration_behavior]", "always_invoice"},
                             {"subscription_details[proration_date]", std::to_string(change.at_s)}},
                            "kvcs-preview-" + ask.repeat_key));
  change.amount_due = due_of(invoice);
  change.currency = text_member(invoice, "currency");
  return change;
}

// The difference is paid at once, and until it is the plan stays as it was. Without a time of the
// caller's the body says the same whenever it is sent, so that a repeat is one.
Result<Billing::Change> Billing::change(const BillingAsk& ask, std::string_view plan,
                                        std::string_view price, int64_t at_s) {
  const std::string wanted = KVCS_TRY(price_of(plan, price));
  const BillingRecord now = KVCS_TRY(live(ask));
  Change change;
  change.at_s = at_s > 0 ? at_s : s_.clock.unix_s();
  if (now.subscription.price_id == wanted) return change;
  oauth::FormPairs form = {{"items[0][id]", now.subscription.item_id},
                           {"items[0][price]", wanted},
                           {"proration_behavior", "always_invoice"},
                           {"payment_behavior", "pending_if_incomplete"},
                           {"expand[0]", "latest_invoice"}};
  if (at_s > 0) form.emplace_back("proration_date", std::to_string(at_s));
  const Json answer = KVCS_TRY(
      stripe_.post(subscription_path(now.subscription), form, "kvcs-change-" + ask.repeat_key));
  change.waits_for_payment = object_member(answer, "pending_update") != nullptr;
  if (const Json* const invoice = object_member(answer, "latest_invoice")) {
    change.amount_due = due_of(*invoice);
    change.currency = text_member(*invoice, "currency");
  }
  KVCS_TRY(sync(ask.organization_id, now.subscription.id, ask.who).status());
  return change;
}

Result<BillingRecord> Billing::cancel(const BillingAsk& ask, bool cancels) {
  const BillingRecord now = KVCS_TRY(live(ask));
  if (now.subscription.cancels != cancels) {
    // A time that was set for the end (in Stripe's dashboard) is taken back by an empty one; Stripe
    // takes one of the two members in a request.
    oauth::FormPairs form = {{"cancel_at_period_end", cancels ? "true" : "false"}};
    if (!cancels && now.subscription.cancels_at_time) form = {{"cancel_at", ""}};
    KVCS_TRY(stripe_
                 .post(subscription_path(now.subscription), form,
                       (cancels ? "kvcs-cancel-" : "kvcs-resume-") + ask.repeat_key)
                 .status());
  }
  return KVCS_TRY(sync(ask.organization_id, now.subscription.id, ask.who)).record;
}

Result<Json> Billing::list_invoices(std::string_view organization_id, std::string_view cursor,
                                    size_t limit) const {
  const BillingRecord record = KVCS_TRY(find(organization_id));
  const Json none{{"data", Json::array()}, {"has_more", false}};
  if (record.customer_id.empty()) return none;
  oauth::FormPairs query = {{"customer", record.customer_id}, {"limit", std::to_string(limit)}};
  if (!cursor.empty()) query.emplace_back("starting_after", std::string(cursor));
  Result<Json> page = stripe_.get("/v1/invoices", query);
  // Of a customer who was deleted there, or after an invoice that is not there.
  return page.code() == Code::kNotFound ? Result<Json>(none) : std::move(page);
}

}  // namespace kvcs::portal
