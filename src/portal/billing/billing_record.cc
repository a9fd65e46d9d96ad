// The record of an organization's payments as JSON, and Stripe's objects as far as they count here.
#include "portal/billing/billing_record.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/clock.h"
#include "identity/records.h"
#include "portal/billing/stripe.h"

namespace kvcs::portal {
namespace {

bool flag_member(const Json& value, std::string_view name) {
  const auto member = value.find(name);
  return member != value.end() && member->is_boolean() && member->get<bool>();
}

int rank(const Subscription& subscription) {
  return keeps_plan(subscription.status) ? 2 : is_live(subscription.status) ? 1 : 0;
}

}  // namespace

std::string billing_to_json(const BillingRecord& record) {
  const Subscription& s = record.subscription;
  return dump_json(Json{{"customer_id", record.customer_id},
                        {"checkout_id", record.checkout_id},
                        {"checkout_price", record.checkout_price},
                        {"subscription_id", s.id},
                        {"status", s.status},
                        {"item_id", s.item_id},
                        {"price_id", s.price_id},
                        {"cancels", s.cancels},
                        {"cancels_at_time", s.cancels_at_time},
                        {"period_end", time_json(s.period_end_ms)},
                        {"subscribed_at", time_json(s.created_ms)}});
}

Result<BillingRecord> parse_billing(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json.ok() || !json->is_object()) return internal("damaged record of billing");
  const auto time = [&](const char* name) -> int64_t {
    return parse_iso8601_ms(text_member(*json, name)).value_or(0);
  };
  BillingRecord record;
  record.customer_id = text_member(*json, "customer_id");
  record.checkout_id = text_member(*json, "checkout_id");
  record.checkout_price = text_member(*json, "checkout_price");
  Subscription& s = record.subscription;
  s.id = text_member(*json, "subscription_id");
  s.status = text_member(*json, "status");
  s.item_id = text_member(*json, "item_id");
  s.price_id = text_member(*json, "price_id");
  s.cancels = flag_member(*json, "cancels");
  s.cancels_at_time = flag_member(*json, "cancels_at_time");
  s.period_end_ms = time("period_end");
  s.created_ms = time("subscribed_at");
  return record;
}

bool keeps_plan(std::string_view status) {
  return status == "trialing" || status == "active" || status == "past_due";
}

bool is_live(std::string_view status) {
  return !status.empty() && status != "canceled" && status != "incomplete_expired";
}

const Json* object_member(const Json& value, std::string_view name) {
  if (!value.is_object()) return nullptr;
  const auto member = value.find(name);
  return member == value.end() || !member->is_object() ? nullptr : &*member;
}

std::string id_member(const Json& value, std::string_view name) {
  const Json* const object = object_member(value, name);
  return object != nullptr ? text_member(*object, "id") : text_member(value, name);
}

Result<Subscription> read_subscription(const Json& json, const Plans& plans) {
  Subscription s;
  s.id = text_member(json, "id");
  s.status = text_member(json, "status");
  if (!is_stripe_id(s.id) || s.status.empty() || s.status.size() > kShownName) {
    return upstream_failed("The payment provider's answer makes no sense.",
                           "a subscription without id or status");
  }
  s.created_ms = integer_member(json, "created") * 1000;
  // A subscription that cancels at the end of its period has that end as its cancel_at, too.
  const bool at_period_end = flag_member(json, "cancel_at_period_end");
  s.cancels_at_time = !at_period_end && integer_member(json, "cancel_at") > 0;
  s.cancels = at_period_end || s.cancels_at_time;
  int64_t period_end_s = integer_member(json, "current_period_end");  // Of older versions.
  const Json* const items = object_member(json, "items");
  const auto list = items == nullptr ? json.end() : items->find("data");
  if (items != nullptr && list != items->end() && list->is_array()) {
    for (const Json& item : *list) {
      const std::string price = id_member(item, "price");
      if (!s.item_id.empty() && plans.find_by_price(price) == nullptr) continue;
      s.item_id = text_member(item, "id");
      s.price_id = price;
      const int64_t end_s = integer_member(item, "current_period_end");
      if (end_s > 0) period_end_s = end_s;
      if (plans.find_by_price(price) != nullptr) break;
    }
  }
  s.period_end_ms = period_end_s * 1000;
  return s;
}

Subscription choose_subscription(const std::vector<Subscription>& all) {
  const auto best = std::max_element(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::make_pair(rank(a), a.created_ms) < std::make_pair(rank(b), b.created_ms);
  });
  return best == all.end() ? Subscription{} : *best;
}

}  // namespace kvcs::portal
