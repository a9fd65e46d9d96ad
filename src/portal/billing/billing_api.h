// /api/v1/billing: what the active organization pays, for its owners, and Stripe's events.
// Without Stripe's keys every row answers 501 to whoever is known. Thread-safe.
#pragma once
#include <span>
#include <vector>

#include "http/http.h"
#include "http/route_rows.h"
#include "portal/billing/billing.h"
#include "portal/billing/preview_times.h"
#include "portal/billing/webhooks.h"

namespace kvcs::portal {

inline constexpr uint64_t kWebhookBodyMaxBytes = 1u << 20;

class BillingApi final {
 public:
  // All outlive it.
  BillingApi(Billing& billing, Webhooks& webhooks, const Clock& clock)
      : billing_(billing), webhooks_(webhooks), previews_(clock) {}

  // `owner`: of the active organization. `known`: whoever has a key or a session of any kind.
  void add_routes(std::vector<http::Row>& table, const http::Access& owner,
                  const http::Access& known);
  static std::span<const http::ApiType> types();

  Result<http::Response> checkout(http::Request& request);
  Result<http::Response> portal(http::Request& request);
  Result<http::Response> subscription(http::Request& request);
  Result<http::Response> change(http::Request& request);
  Result<http::Response> cancel(http::Request& request);
  Result<http::Response> resume(http::Request& request);
  Result<http::Response> invoices(http::Request& request);
  Result<http::Response> take_event(http::Request& request);  // POST …/webhook

 private:
  http::Response state(const BillingRecord& record) const;

  Billing& billing_;
  Webhooks& webhooks_;
  PreviewTimes previews_;
};

}  // namespace kvcs::portal
