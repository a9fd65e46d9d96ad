// Takes events: checks who sent them, asks Stripe what holds, and keeps the event's id.
#include "portal/billing/webhooks.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "base/log.h"
#include "kv/keyspace.h"
#include "portal/billing/webhook_signature.h"

namespace kvcs::portal {
namespace {

// An alert for each would let anybody who reaches the port fill the list of alerts.
constexpr int64_t kTellEveryMs = 3'600'000;
constexpr int kRetryAfterS = 5;

constexpr std::string_view kPaymentFailed = "invoice.payment_failed";
constexpr std::array<std::string_view, 8> kTypes = {"checkout.session.completed",
                                                    "customer.subscription.created",
                                                    "customer.subscription.updated",
                                                    "customer.subscription.deleted",
                                                    "customer.subscription.paused",
                                                    "invoice.paid",
                                                    kPaymentFailed,
                                                    "invoice.finalized"};

// The subscription that an event is about; "" when it names none.
std::string subscription_of(std::string_view type, const Json& object) {
  if (type.starts_with("customer.subscription.")) return text_member(object, "id");
  std::string id = id_member(object, "subscription");
  if (!id.empty()) return id;
  // Invoices of the pinned version say it one level deeper.
  const Json* const parent = object_member(object, "parent");
  const Json* const details =
      parent == nullptr ? nullptr : object_member(*parent, "subscription_details");
  return details == nullptr ? "" : id_member(*details, "subscription");
}

}  // namespace

std::vector<Secret> webhook_secrets(const Secret& list) {
  std::vector<Secret> secrets;
  for (const std::string_view word : split(list.reveal(), ',')) {
    if (!trim(word).empty()) secrets.emplace_back(std::string(trim(word)));
  }
  return secrets;
}

Webhooks::Webhooks(Billing& billing, const BillingConfig& config, KvStore& kv, Metrics& metrics,
                   const Clock& clock, const Clock& latest,
                   std::function<void(const AlertEvent& alert)> alert)
    : billing_(billing),
      secrets_(webhook_secrets(config.webhook_secret)),
      kv_(kv),
      metrics_(metrics),
      clock_(clock),
      latest_(latest),
      alert_(std::move(alert)) {}

Counter& Webhooks::count(std::string_view outcome) const {
  return metrics_.counter("kvcs_billing_webhooks_total", "Events of the payment provider.",
                          "outcome=\"" + std::string(outcome) + "\"");
}

void Webhooks::tell_refused(const Status& why) {
  count("refused").add();
  int64_t last_ms = told_ms_.load();
  const int64_t now_ms = clock_.unix_ms();
  if (last_ms != 0 && now_ms - last_ms < kTellEveryMs) return;
  if (!told_ms_.compare_exchange_strong(last_ms, now_ms)) return;
  alert_({"billing.webhook_refused", "webhook",
          "An event at /api/v1/billing/webhook was refused: " + why.message() +
              " If it was Stripe's, payments do not reach this server; compare "
              "STRIPE_WEBHOOK_SECRET with the endpoint's secret there."});
}

Status Webhooks::take(std::string_view body, std::string_view signature) {
  const Status signed_by = check_webhook_signature(signature, body, secrets_, clock_.unix_s());
  if (!signed_by.ok()) {
    if (!signature.empty()) tell_refused(signed_by);
    return signed_by;
  }
  Status handled = handle(body);
  if (handled.ok() || handled.code() == Code::kInvalid) return handled;
  count("failed").add();
  log::warn("billing.webhook_failed", {{"error", handled.to_string()}});
  // Whatever it was, Stripe is to send the event again.
  return unavailable("The event could not be taken; send it again.", handled.to_string())
      .with_reason("webhook_failed")
      .with_retry_after_s(kRetryAfterS);
}

Status Webhooks::handle(std::string_view body) {
  const Result<Json> event = parse_json_exact(body);
  if (!event.ok() || !event->is_object()) return invalid("The body is no event of Stripe.");
  const std::string id = text_member(*event, "id"), type = text_member(*event, "type");
  const Json* const data = object_member(*event, "data");
  const Json* const object = data == nullptr ? nullptr : object_member(*data, "object");
  if (!is_stripe_id(id) || type.empty()) {
    return invalid("The body is no event of Stripe: id and type are needed.");
  }
  // Kinds of later days may have another shape.
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
    count("ignored").add();
    return ok();
  }
  if (object == nullptr) return invalid("The body is no event of Stripe: data.object is needed.");
  const Status known = kv_.get(KvFamily::kSystem, keyspace::billing_event(id)).status();
  if (known.ok()) {
    count("repeated").add();
    return ok();
  }
  if (known.code() != Code::kNotFound) return known;
  return apply(type, *object, id);
}

// What an organization pays for that is to go, or is gone but for its records, is ended here: the
// deletion may have looked for the last time before it was paid.
Status Webhooks::take_for(const std::string& organization, const std::string& customer,
                          std::string_view type, const Json& object) {
  const Result<Billing::Synced> synced =
      billing_.sync(organization, subscription_of(type, object), {"stripe", "webhook", ""});
  if (is_organization_gone(synced.status())) return billing_.end_of_nobody(customer).status();
  KVCS_TRY(synced.status());
  if (!is_live(synced->record.subscription.status)) return ok();
  return billing_.end_subscription(organization);  // Of one that is to go alone.
}

// The event's id is written last: one that is cut off before comes again, and each step bears it.
Status Webhooks::apply(std::string_view type, const Json& object, std::string_view event_id) {
  const std::string customer = id_member(object, "customer");
  const std::string organization = KVCS_TRY(billing_.organization_of(customer));
  if (!organization.empty()) {
    KVCS_TRY(take_for(organization, customer, type, object));
  } else if (!KVCS_TRY(billing_.end_of_nobody(customer))) {
    count("ignored").add();
    return ok();
  }
  KvBatch batch;
  batch.put(KvFamily::kSystem, keyspace::billing_event(event_id),
            KvEntry{std::string(type), {}, latest_.unix_s() + kEventKeptS});
  if (type == kPaymentFailed && !organization.empty()) {
    metrics_
        .counter("kvcs_billing_payments_failed_total",
                 "Payments that the payment provider could not collect.")
        .add();
    add_alert(
        batch,
        {"billing.payment_failed", organization,
         "A payment of the organization failed (invoice " +
             printable(text_member(object, "id"), kShownName) +
             "). Stripe tries again; when it gives up, the organization has the default plan."},
        "billing-" + std::string(event_id), clock_.unix_ms());
  }
  KVCS_TRY(kv_.write(batch, KvDurability::kSynced));
  count("taken").add();
  return ok();
}

}  // namespace kvcs::portal
