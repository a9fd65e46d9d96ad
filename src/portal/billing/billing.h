// What organizations pay for, through Stripe. An organization is one customer there, made at its
// first checkout, and again at the next one where that one was deleted there, and has at most one
// subscription that counts. Its record (org:{org_id}:billing) and the plan that it pays for
// (Organization::paid_plan) are written by one batch, and only by what Stripe's own object says
// when it is asked: events tell that there is something to ask, in whatever order they come. A
// write that another came before is made again from the asking on, so that of two states the later
// one stays.
//
// trialing, active and past_due have the plan of their price; all other states the default one.
// Thread-safe; what asks Stripe waits for it without a thread.
#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/mutex.h"
#include "base/status.h"
#include "identity/orgs.h"
#include "kv/audited_kv.h"
#include "ledger/alerts.h"
#include "ops/metrics.h"
#include "portal/billing/billing_record.h"
#include "portal/billing/stripe.h"

namespace kvcs::portal {

// Who asks, and what tells a repeat of the same from another.
struct BillingAsk {
  std::string organization_id;
  std::string repeat_key;  // Of the caller's Idempotency-Key, or of this request alone.
  AuditContext who;
};

// Between the files of Billing: how often a write is tried that others come before, why it was not
// made, and what is answered then.
inline constexpr int kBillingAttemptsMax = 4;
inline constexpr std::string_view kBillingChanged = "billing_changed";
Status billing_busy();
// How long a customer is known whose organization is gone: Stripe's checkouts end within a day, and
// its payments within some weeks.
inline constexpr int64_t kEndedCustomerKeptS = int64_t{60} * 86'400;
// Of sync(): that the organization is not there, and not that Stripe does not know something.
bool is_organization_gone(const Status& failure);

class Billing final {
 public:
  struct Services {
    const BillingConfig& config;
    const Plans& plans;
    OrganizationService& organizations;
    KvStore& kv;
    http::HttpUpstream& upstream;
    Metrics& metrics;
    const Clock& clock;   // The wall clock, as Stripe's.
    const Clock& latest;  // Never behind the store's (base/kept_clock.h), for what is kept a while.
    // What Stripe sends people back to begins with it.
    std::function<std::string()> public_url;
    std::function<void(const AlertEvent& alert)> alert;
  };
  explicit Billing(Services services);

  bool enabled() const { return !s_.config.secret_key.empty(); }
  const Plans& plans() const { return s_.plans; }
  Result<BillingRecord> find(std::string_view organization_id) const;  // Empty when there is none.

  // Where to pay: Stripe's page for a plan that is begun (`is_new`), or the one where what is paid
  // for already is changed. Invalid with reason plan_unknown or price_unknown.
  struct Place {
    std::string url;
    bool is_new = true;
  };
  Result<Place> checkout(const BillingAsk& ask, std::string_view plan, std::string_view price);
  // Where the payment method, the address and the tax id are changed. Conflict with reason
  // nothing_paid before the first checkout.
  Result<std::string> portal(const BillingAsk& ask);

  // What a change costs now, and the change. `at_s`: of the preview, so that the amounts agree; 0:
  // now. Conflict with reason no_subscription; payment_failed as Stripe's failures.
  struct Change {
    int64_t amount_due = 0;  // In the currency's smallest unit; negative: credited.
    std::string currency;
    int64_t at_s = 0;
    bool waits_for_payment = false;  // The plan changes when the invoice is paid.
  };
  Result<Change> preview(const BillingAsk& ask, std::string_view plan, std::string_view price);
  Result<Change> change(const BillingAsk& ask, std::string_view plan, std::string_view price,
                        int64_t at_s);
  // At the end of the period, or not at it after all. Conflict with reason no_subscription.
  Result<BillingRecord> cancel(const BillingAsk& ask, bool cancels);
  // One page of Stripe's list of invoices.
  Result<Json> list_invoices(std::string_view organization_id, std::string_view cursor,
                             size_t limit) const;

  // Asks Stripe, and writes what it says. `subscription_id`: what an event was about, or "".
  // `changed`: it said something that was not known.
  struct Synced {
    BillingRecord record;
    bool changed = false;
  };
  Result<Synced> sync(std::string_view organization_id, std::string_view subscription_id,
                      const AuditContext& who);
  // "" when the customer is none of ours.
  Result<std::string> organization_of(std::string_view customer_id) const;

  // The job: asks for all, and tells what events should have told. Its report. Fails where Stripe
  // did, and where it was cut off; the next run of this life begins behind the last that was asked
  // for, so that customers at the end have their turn, however silent Stripe is.
  Result<std::string> reconcile(const std::function<bool()>& cancelled);
  // Part of deleting an organization, before its records go: nothing is charged any more, and a
  // checkout that is open is closed. Ok when there is nothing to end. Ends nothing of an
  // organization whose deletion is neither planned nor begun; where one was taken back while Stripe
  // was asked, an alert tells that the subscription may have ended all the same.
  Status end_subscription(std::string_view organization_id);
  // What was paid all the same, for an organization that is deleted: told, and ended then, so that
  // whoever is cut off in between and comes again tells it no second time. False: the customer was
  // never ours.
  Result<bool> end_of_nobody(std::string_view customer_id);
  // What is known here of a subscription whose organization is to go, or was: "live"; "ending":
  // Stripe is asked to end it, or will be; "ended"; "" when there was none.
  Result<std::string> standing(std::string_view organization_id) const;

 private:
  struct Stored {
    BillingRecord record;
    std::string text;  // "" = none.
  };
  Result<Stored> read(std::string_view organization_id) const;
  // Writes the record and the plan that follows from it, unless the record is not `before` any
  // more: then Conflict with reason billing_changed.
  Status write(std::string_view organization_id, const Stored& before, const BillingRecord& after,
               const AuditContext& who);
  std::string paid_plan(const BillingRecord& record) const;
  Result<bool> has_customer(const BillingRecord& record) const;
  Result<Stored> ensure_customer(const BillingAsk& ask);
  Result<Subscription> fetch(const BillingRecord& record, std::string_view subscription_id) const;
  Result<std::string> open_checkout(const BillingRecord& record, std::string_view price) const;
  Result<Json> begin_checkout(const BillingAsk& ask, const BillingRecord& record,
                              std::string_view price, int attempt) const;
  Status expire_checkout(const std::string& id) const;
  Status close_checkout(const BillingRecord& record) const;
  Result<bool> is_going(std::string_view organization_id) const;
  // `told`: how often Stripe was told to end one; also where that failed.
  Status end_all(const BillingRecord& record, std::string_view organization_id, int& told);
  Status end_of(const BillingRecord& record, std::string_view organization_id);
  void note_end(std::string_view organization_id, bool is_done);
  Result<std::string> portal_url(const BillingAsk& ask, const BillingRecord& record) const;
  Result<std::string> price_of(std::string_view plan, std::string_view price) const;
  // The subscription that can be changed, as Stripe says just now.
  Result<BillingRecord> live(const BillingAsk& ask);
  void tell_unknown_price(std::string_view organization_id, const BillingRecord& record) const;
  Result<std::vector<KvItem>> customers_in_turn() const;
  void note_asked(std::string_view customer_key);

  const Services s_;
  const Stripe stripe_;
  mutable Mutex mutex_;
  std::string last_asked_ KVCS_GUARDED_BY(mutex_);  // By a run that did not come to the end.
  // Organizations whose subscriptions Stripe is asked to end just now, by each who asks.
  std::multiset<std::string> ending_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs::portal
