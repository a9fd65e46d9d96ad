// Stripe's events. One that is signed and about a customer of ours makes us ask Stripe what holds
// now (billing.h); it is answered 200 once that is on disk, and its id is kept so that a repeat
// does nothing. Types that are not known, and customers that are not ours, are taken and dropped.
// Thread-safe.
#pragma once
#include <atomic>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "base/status.h"
#include "kv/kv.h"
#include "ops/metrics.h"
#include "portal/billing/billing.h"

namespace kvcs::portal {

// How long the id of an event is kept: Stripe repeats one for three days, and people by hand for
// thirty.
inline constexpr int64_t kEventKeptS = int64_t{31} * 86'400;

class Webhooks final {
 public:
  // All outlive it.
  Webhooks(Billing& billing, const BillingConfig& config, KvStore& kv, Metrics& metrics,
           const Clock& clock, const Clock& latest,
           std::function<void(const AlertEvent& alert)> alert);

  // Ok: nothing need be sent again. Invalid with reason webhook_signature_invalid, or for what is
  // no event; Unavailable: Stripe or the store did not answer, and the event is to be sent again.
  Status take(std::string_view body, std::string_view signature);

 private:
  Status handle(std::string_view body);
  Status apply(std::string_view type, const Json& object, std::string_view event_id);
  Status take_for(const std::string& organization, const std::string& customer,
                  std::string_view type, const Json& object);
  void tell_refused(const Status& why);
  Counter& count(std::string_view outcome) const;

  Billing& billing_;
  const std::vector<Secret> secrets_;
  KvStore& kv_;
  Metrics& metrics_;
  const Clock& clock_;
  const Clock& latest_;
  const std::function<void(const AlertEvent& alert)> alert_;
  std::atomic<int64_t> told_ms_{0};  // When a refusal was told of.
};

// "whsec_1, whsec_2": during a rotation both are good.
std::vector<Secret> webhook_secrets(const Secret& list);

}  // namespace kvcs::portal
