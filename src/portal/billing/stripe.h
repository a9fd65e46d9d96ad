// Stripe's API, as far as billing needs it: forms out, JSON in, over HTTPS. The version of the API
// is pinned, so that what Stripe changes later changes nothing here. Nothing is repeated by itself:
// a POST has an Idempotency-Key, so that whoever asks may ask again. Thread-safe.
//
// Failures: NotFound with reason stripe_not_found, also for what a form names; Conflict with reason
// payment_failed (the card was declined) or stripe_conflict (the same key for something else, or at
// the same time); Unavailable with reason stripe_unavailable; Upstream with reason stripe_refused,
// whose words are in the log.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/secret.h"
#include "base/status.h"
#include "http/client/upstream.h"
#include "oauth/oauth.h"
#include "portal/portal.h"

namespace kvcs::portal {

inline constexpr std::string_view kStripeVersion = "2025-03-31.basil";

// What may stand in a path: letters, digits and '_', at most 255.
bool is_stripe_id(std::string_view text);

class Stripe final {
 public:
  // The client outlives it.
  Stripe(const BillingConfig& config, http::HttpUpstream& upstream);

  // `path` begins with "/v1/". Query and form in the order given; "a[0][b]" names a member within.
  // An idempotency key names the deed; what tells the body from others is added to it here.
  Result<Json> get(std::string_view path, const oauth::FormPairs& query = {}) const;
  Result<Json> post(std::string_view path, const oauth::FormPairs& form,
                    std::string_view idempotency_key) const;
  Result<Json> remove(std::string_view path, std::string_view idempotency_key) const;

 private:
  Result<Json> ask(http::UpstreamRequest request, std::string_view path) const;

  const std::string base_url_;
  const Secret key_;
  http::HttpUpstream& upstream_;
};

}  // namespace kvcs::portal
