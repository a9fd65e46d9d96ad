// Customers and their subscriptions: the one way by which what Stripe says becomes an
// organization's plan, and the job that asks for all.
#include "portal/billing/billing.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/log.h"
#include "kv/keyspace.h"

namespace kvcs::portal {
namespace {

constexpr int kSilentInARowMax = 5;

}  // namespace

Status billing_busy() {
  return unavailable("The organization's payments are being changed at this moment. Try again.")
      .with_reason("billing_busy")
      .with_retry_after_s(1);
}

bool is_organization_gone(const Status& failure) {
  return failure.code() == Code::kNotFound && failure.reason() != "stripe_not_found";
}

Billing::Billing(Services services) : s_(std::move(services)), stripe_(s_.config, s_.upstream) {}

Result<Billing::Stored> Billing::read(std::string_view organization_id) const {
  const Result<KvEntry> entry =
      s_.kv.get(KvFamily::kConfig, keyspace::org_billing(organization_id));
  if (entry.code() == Code::kNotFound) return Stored{};
  if (!entry.ok()) return entry.status();
  return Stored{KVCS_TRY(parse_billing(entry->value)), entry->value};
}

Result<BillingRecord> Billing::find(std::string_view organization_id) const {
  return KVCS_TRY(read(organization_id)).record;
}

Result<std::string> Billing::organization_of(std::string_view customer_id) const {
  if (!is_stripe_id(customer_id)) return std::string();
  const Result<KvEntry> entry =
      s_.kv.get(KvFamily::kConfig, keyspace::billing_customer(customer_id));
  if (entry.code() == Code::kNotFound) return std::string();
  if (!entry.ok()) return entry.status();
  return entry->value;
}

std::string Billing::paid_plan(const BillingRecord& record) const {
  if (!keeps_plan(record.subscription.status)) return "";
  const Plan* plan = s_.plans.find_by_price(record.subscription.price_id);
  return plan == nullptr ? "" : plan->name;
}

// The organization's own record is the lock: every write of the record goes through it.
Status Billing::write(std::string_view organization_id, const Stored& before,
                      const BillingRecord& after, const AuditContext& who) {
  const auto edit = [&](Organization& organization, KvBatch& batch) -> Status {
    if (KVCS_TRY(read(organization_id)).text != before.text) {
      return conflict("The organization's payments were changed meanwhile.")
          .with_reason(kBillingChanged);
    }
    organization.paid_plan = paid_plan(after);
    batch.put(KvFamily::kConfig, keyspace::org_billing(organization_id), billing_to_json(after));
    if (after.customer_id != before.record.customer_id) {
      std::string owner;
      append_json_string(owner, organization_id);
      batch.put(KvFamily::kConfig, keyspace::billing_customer(after.customer_id),
                KvEntry{std::string(organization_id), owner, 0});
      if (!before.record.customer_id.empty()) {
        batch.remove(KvFamily::kConfig, keyspace::billing_customer(before.record.customer_id));
      }
    }
    return ok();
  };
  return s_.organizations.update_with(organization_id, edit, who).status();
}

constexpr std::string_view kCustomerUnknown = "stripe_customer_unknown";

// Who operates the account at Stripe may delete customers there, and Stripe goes on saying of them
// that they were. One whom it does not know at all is another account's or mode's: what is paid for
// there is not forgotten here.
Result<bool> Billing::has_customer(const BillingRecord& record) const {
  if (record.customer_id.empty()) return false;
  const Result<Json> customer = stripe_.get("/v1/customers/" + record.customer_id);
  if (customer.code() == Code::kNotFound && keeps_plan(record.subscription.status)) {
    return upstream_failed(
               "The payment provider does not know the customer whose subscription is live here. "
               "The operator of this server finds out whether STRIPE_SECRET_KEY is of the account "
               "and mode that the customer was made in.",
               "customer " + record.customer_id)
        .with_reason(std::string(kCustomerUnknown));
  }
  if (customer.code() == Code::kNotFound) return false;
  KVCS_TRY(customer.status());
  const auto deleted = customer->find("deleted");
  return deleted == customer->end() || *deleted != true;
}

// The body says the same for an organization whenever it is sent, and the key names the customer
// who is gone, so that it holds: of two checkouts at once, and of one that is repeated after a
// crash, one customer comes.
Result<Billing::Stored> Billing::ensure_customer(const BillingAsk& ask) {
  const std::string& id = ask.organization_id;
  for (int attempt = 0; attempt < kBillingAttemptsMax; attempt++) {
    Stored stored = KVCS_TRY(read(id));
    if (KVCS_TRY(has_customer(stored.record))) return stored;
    const std::string& gone = stored.record.customer_id;
    const Result<Json> made = stripe_.post(
        "/v1/customers",
        {{"description", "kvcs organization " + id}, {"metadata[organization_id]", id}},
        "kvcs-customer-" + id + (gone.empty() ? "" : "-after-" + gone));
    if (made.status().reason() == "stripe_conflict") {
      if (KVCS_TRY(read(id)).record.customer_id == gone) return billing_busy();
      continue;
    }
    KVCS_TRY(made.status());
    BillingRecord after;
    after.customer_id = text_member(*made, "id");
    if (!is_stripe_id(after.customer_id) || after.customer_id == gone) {
      return upstream_failed("The payment provider's answer makes no sense.",
                             "a customer without id");
    }
    const Status written = write(id, stored, after, ask.who);
    if (written.ok()) return read(id);  // Made just now, so that it need not be looked for.
    if (written.reason() != kBillingChanged) return written;
  }
  return billing_busy();
}

// By its id when that is all that can count, else all that the customer has: where the one that is
// known has ended, another may be paid for.
Result<Subscription> Billing::fetch(const BillingRecord& record,
                                    std::string_view subscription_id) const {
  const std::string& known = record.subscription.id;
  if (is_stripe_id(subscription_id) && (known.empty() || known == subscription_id)) {
    const Result<Json> one = stripe_.get("/v1/subscriptions/" + std::string(subscription_id));
    if (one.ok() && id_member(*one, "customer") == record.customer_id) {
      Subscription named = KVCS_TRY(read_subscription(*one, s_.plans));
      if (keeps_plan(named.status)) return named;
    }
    if (!one.ok() && one.code() != Code::kNotFound) return one.status();
  }
  const Result<Json> answer = stripe_.get(
      "/v1/subscriptions", {{"customer", record.customer_id}, {"status", "all"}, {"limit", "100"}});
  // Who is deleted there pays nothing.
  if (answer.code() == Code::kNotFound) {
    KVCS_TRY(has_customer(record).status());
    return Subscription{};
  }
  KVCS_TRY(answer.status());
  const auto list = answer->find("data");
  if (list == answer->end() || !list->is_array()) {
    return upstream_failed("The payment provider's answer makes no sense.",
                           "a list of subscriptions without data");
  }
  std::vector<Subscription> all;
  for (const Json& one : *list) all.push_back(KVCS_TRY(read_subscription(one, s_.plans)));
  return choose_subscription(all);
}

// What is written was asked for after the write before it, since that changed the record.
Result<Billing::Synced> Billing::sync(std::string_view organization_id,
                                      std::string_view subscription_id, const AuditContext& who) {
  for (int attempt = 0; attempt < kBillingAttemptsMax; attempt++) {
    const Stored before = KVCS_TRY(read(organization_id));
    if (before.record.customer_id.empty()) return Synced{};
    BillingRecord after = before.record;
    after.subscription = KVCS_TRY(fetch(before.record, subscription_id));
    const Organization organization = KVCS_TRY(s_.organizations.find(organization_id));
    if (after == before.record && organization.paid_plan == paid_plan(after)) {
      return Synced{after, false};
    }
    const Status written = write(organization_id, before, after, who);
    if (written.reason() == kBillingChanged) continue;
    KVCS_TRY(Status(written));
    tell_unknown_price(organization_id, after);
    log::info("billing.changed", {{"organization_id", organization_id},
                                  {"status", after.subscription.status},
                                  {"plan", paid_plan(after)}});
    return Synced{after, true};
  }
  return billing_busy();
}

void Billing::tell_unknown_price(std::string_view organization_id,
                                 const BillingRecord& record) const {
  const Subscription& subscription = record.subscription;
  if (!keeps_plan(subscription.status) || !paid_plan(record).empty()) return;
  s_.alert({"billing.price_unknown", std::string(organization_id),
            "The organization pays for the price " + printable(subscription.price_id, kShownName) +
                ", which is none of a plan in the file of plans; it has the default plan. Add the "
                "price to its plan there and send SIGHUP."});
}

// Customers in order, the first one behind the last that a run which was cut off has asked for.
Result<std::vector<KvItem>> Billing::customers_in_turn() const {
  std::vector<KvItem> all;
  const auto add = [&](const KvItem& item) -> Status {
    all.push_back(item);
    return ok();
  };
  KVCS_TRY(kv_for_each(s_.kv, KvFamily::kConfig, keyspace::billing_customer(""), add));
  const MutexLock lock(mutex_);
  const std::string last = last_asked_;
  const auto first =
      std::find_if(all.begin(), all.end(), [&](const KvItem& item) { return item.key > last; });
  std::rotate(all.begin(), first, all.end());
  return all;
}

void Billing::note_asked(std::string_view customer_key) {
  const MutexLock lock(mutex_);
  last_asked_ = customer_key;
}

// A provider that is silent takes half a minute each time: after some in a row the rest waits for
// the next run, which begins there.
Result<std::string> Billing::reconcile(const std::function<bool()>& cancelled) {
  Counter& differences = s_.metrics.counter(
      "kvcs_billing_differences_total",
      "Organizations of which Stripe said something else than its events had told.");
  int64_t asked = 0, changed = 0, failed = 0;
  int in_a_row = 0;
  Status first;
  const AuditContext who{"billing", "job", ""};
  const auto look = [&](const KvItem& item) -> Status {
    const Result<Synced> synced = sync(item.entry.value, "", who);
    note_asked(item.key);
    if (is_organization_gone(synced.status())) return ok();  // It is being deleted.
    asked++;
    in_a_row = synced.status().reason() == "stripe_unavailable" ? in_a_row + 1 : 0;
    if (!synced.ok()) {
      failed++;
      if (first.ok()) first = synced.status();
      return ok();
    }
    if (!synced->changed) return ok();
    changed++;
    differences.add();
    s_.alert({"billing.difference", item.entry.value,
              "Stripe said of the organization's subscription that it is " +
                  printable(synced->record.subscription.status, kShownWord) +
                  ", which no event had told. Look whether events arrive at "
                  "/api/v1/billing/webhook."});
    return ok();
  };
  const std::vector<KvItem> customers = KVCS_TRY(customers_in_turn());
  size_t looked = 0;
  for (; looked < customers.size() && in_a_row < kSilentInARowMax && !cancelled(); looked++) {
    KVCS_TRY(look(customers[looked]));
  }
  const std::string left = looked == customers.size()
                               ? ""
                               : "; " + std::to_string(customers.size() - looked) +
                                     " were not asked for, with whom the next run begins";
  if (failed > 0) {
    return std::move(first).with_context(std::to_string(failed) + " of " + std::to_string(asked) +
                                         " organizations" + left);
  }
  if (!left.empty()) return Status(Code::kTimeout, "The run was cut off" + left + ".");
  note_asked("");
  if (asked == 0) return std::string();
  return dump_json(Json{{"asked", asked}, {"changed", changed}});
}

namespace {

// Beside the events that are kept; Stripe's ids of the two differ.
std::string ended_customer(std::string_view customer_id) {
  return keyspace::billing_event(customer_id);
}

}  // namespace

// False: the organization lives, or lives again.
Result<bool> Billing::is_going(std::string_view organization_id) const {
  const Result<Organization> organization = s_.organizations.find(organization_id);
  if (organization.code() == Code::kNotFound) return true;
  KVCS_TRY(organization.status());
  return organization->deletion_ms != 0;
}

Status Billing::end_subscription(std::string_view organization_id) {
  const BillingRecord record = KVCS_TRY(find(organization_id));
  if (record.customer_id.empty() || !KVCS_TRY(is_going(organization_id))) return ok();
  // Nothing here can end it, and the deletion waits for nobody's return.
  const auto tell_by_hand = [&](const char* why) -> Status {
    s_.alert({"billing.not_canceled", std::string(organization_id),
              "The organization is deleted, and " + std::string(why) +
                  ": end the subscriptions of customer " + record.customer_id + " there by hand."});
    return ok();
  };
  if (!enabled()) return tell_by_hand("this server has no key for Stripe any more");
  {
    const MutexLock lock(mutex_);
    ending_.emplace(organization_id);
  }
  const Status ended = end_of(record, organization_id);
  {
    const MutexLock lock(mutex_);
    ending_.erase(ending_.find(std::string(organization_id)));
  }
  if (ended.reason() != kCustomerUnknown) return ended;
  return tell_by_hand("this server's key for Stripe does not know its customer");
}

Status Billing::end_of(const BillingRecord& record, std::string_view organization_id) {
  // Kept beyond the organization's end: a payment may be under way.
  KvBatch mark;
  mark.put(KvFamily::kSystem, ended_customer(record.customer_id),
           KvEntry{std::string(organization_id), {}, s_.latest.unix_s() + kEndedCustomerKeptS});
  KVCS_TRY(s_.kv.write(mark, KvDurability::kSynced));
  KVCS_TRY(close_checkout(record));
  int told = 0;
  Status done = end_all(record, organization_id, told);
  if (told > 0) note_end(organization_id, done.ok());
  return done;
}

// More than the one that counts, where somebody made another at Stripe. Before each it is looked
// whether the organization is to go still: Stripe may be slow, and an owner quick.
Status Billing::end_all(const BillingRecord& record, std::string_view organization_id, int& told) {
  for (int i = 0; i < kBillingAttemptsMax * 10; i++) {
    const Subscription one = KVCS_TRY(fetch(record, ""));
    if (!is_live(one.status) || !KVCS_TRY(is_going(organization_id))) return ok();
    told++;
    const Status removed =
        stripe_.remove("/v1/subscriptions/" + one.id, "kvcs-end-" + one.id).status();
    if (!removed.ok() && removed.code() != Code::kNotFound) return removed;
    log::info("billing.ended", {{"organization_id", organization_id}, {"subscription_id", one.id}});
  }
  return unavailable("The payment provider goes on naming subscriptions of the organization.");
}

// So that the record says it before an event does, if the organization is there still; and one that
// lives again is told of, also where Stripe was silent: what it was asked for it may do yet. What
// fails here the event of the end makes up for.
void Billing::note_end(std::string_view organization_id, bool is_done) {
  const Result<bool> goes = is_going(organization_id);
  if (goes.ok() && *goes && !is_done) return;  // It is asked again.
  const Status synced = sync(organization_id, "", {"billing", "deletion", ""}).status();
  if (is_organization_gone(synced)) return;
  if (!goes.ok() || !synced.ok()) {
    log::warn("billing.end_not_noted",
              {{"organization_id", organization_id},
               {"error", (synced.ok() ? goes.status() : synced).to_string()}});
  }
  if (!goes.ok() || *goes) return;
  s_.alert({"billing.ended_while_restored", std::string(organization_id),
            "The organization's deletion was taken back while Stripe was being told to end its "
            "subscription. Look there whether it has ended, and tell its owners, who can begin a "
            "new one."});
}

Result<bool> Billing::end_of_nobody(std::string_view customer_id) {
  if (!is_stripe_id(customer_id)) return false;
  const Result<KvEntry> ended = s_.kv.get(KvFamily::kSystem, ended_customer(customer_id));
  if (ended.code() == Code::kNotFound) return false;  // Another server's, or nobody's of ours.
  KVCS_TRY(ended.status());
  BillingRecord record;
  record.customer_id = customer_id;
  const Subscription paid = KVCS_TRY(fetch(record, ""));
  if (!is_live(paid.status) || !KVCS_TRY(is_going(ended->value))) return true;
  // On disk before it is ended, for who comes again finds nothing to end, and under one id.
  KvBatch told;
  add_alert(told,
            {"billing.paid_for_nobody", ended->value,
             "A subscription of customer " + std::string(customer_id) +
                 " was paid for after its organization was deleted. It is ended; pay the money "
                 "back at Stripe."},
            "billing-nobody-" + paid.id, s_.clock.unix_ms());
  KVCS_TRY(s_.kv.write(told, KvDurability::kSynced));
  int asked = 0;
  KVCS_TRY(end_all(record, ended->value, asked));
  return true;
}

Result<std::string> Billing::standing(std::string_view organization_id) const {
  {
    const MutexLock lock(mutex_);
    if (ending_.contains(std::string(organization_id))) return std::string("ending");
  }
  const Subscription known = KVCS_TRY(find(organization_id)).subscription;
  if (known.id.empty()) return std::string();
  if (!is_live(known.status)) return std::string("ended");
  return std::string(KVCS_TRY(is_going(organization_id)) ? "ending" : "live");
}

}  // namespace kvcs::portal
