// What is kept of an organization's payments: who it is at Stripe, and what Stripe last said of its
// subscription. Values; pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "portal/plans.h"

namespace kvcs::portal {

// A subscription, as Stripe states it.
struct Subscription {
  std::string id;      // "" = none.
  std::string status;  // Stripe's word.
  std::string item_id, price_id;
  bool cancels = false;          // At the end of the period, or at a time that was set.
  bool cancels_at_time = false;  // At a time that was set, which ends otherwise than the other.
  int64_t period_end_ms = 0, created_ms = 0;

  bool operator==(const Subscription&) const = default;
};

struct BillingRecord {
  std::string customer_id;                  // "" until the first checkout.
  std::string checkout_id, checkout_price;  // The last checkout that was begun.
  Subscription subscription;

  bool operator==(const BillingRecord&) const = default;
};

std::string billing_to_json(const BillingRecord& record);
Result<BillingRecord> parse_billing(std::string_view json);  // Internal when it is damaged.

// Whether the plan is had: trialing, active, past_due. All else has the default plan.
bool keeps_plan(std::string_view status);
// Whether there is something to change or to cancel: all but none, canceled, incomplete_expired.
bool is_live(std::string_view status);

// Of Stripe's object; of several items the one counts whose price is a plan's. Upstream when it
// lacks what must be there.
Result<Subscription> read_subscription(const Json& json, const Plans& plans);
// The one that counts of several: one that keeps the plan before one that is live before the rest,
// and the newest of these. Nothing of none.
Subscription choose_subscription(const std::vector<Subscription>& all);
// The member when it is an object; null otherwise.
const Json* object_member(const Json& value, std::string_view name);
// The id in a member that is an id or the object itself.
std::string id_member(const Json& value, std::string_view name);

}  // namespace kvcs::portal
