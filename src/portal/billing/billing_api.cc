// Handlers of /api/v1/billing.
#include "portal/billing/billing_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/crypto.h"
#include "http/json_api.h"
#include "http/problem.h"
#include "portal/person_access.h"

namespace kvcs::portal {
namespace {

constexpr int64_t kTimeMaxS = 253'402'300'799;  // The last second of the year 9999.
constexpr size_t kInvoicesMax = 100;            // Of one page, by Stripe.
constexpr size_t kIdempotencyKeyMaxBytes = 255;

constexpr http::ApiType kTypes[] = {
    {"CheckoutAsk", R"(
plan!: string(1..64) = "pro"
price: string(1..200) # One of the plan's stripe_prices. Default: the first.)"},
    {"BillingPlace", R"(
kind!: checkout|portal # The latter when there is a subscription already, which is changed there.
url!: string # At Stripe.)"},
    {"BillingPage", R"(
url!: string # At Stripe.)"},
    {"Subscription", R"(
status!: string? # Stripe's word: trialing, active and past_due have the plan. Null: none.
plan!: string? # That is paid for.
price!: string?
cancels!: boolean # At the end of the period.
current_period_end!: time?)"},
    {"PlanChangeAsk", R"(
plan!: string(1..64) = "pro"
price: string(1..200)
preview: boolean # Tells what it would cost, and changes nothing.
at: integer(0..253402300799) # Of a preview, so that its amount holds.)"},
    {"PlanChange", R"(
plan!: string
amount_due!: integer # Now, in the currency's smallest unit; negative: credited.
currency!: string
at!: integer # Unix seconds.
waits_for_payment!: boolean # The plan changes when the invoice is paid.)"},
    {"Invoice", R"(
id!: string
number!: string?
status!: string
currency!: string
total!: integer # In the currency's smallest unit.
amount_due!: integer
amount_paid!: integer
created_at!: time
url!: string? # At Stripe.
pdf!: string?)"},
    {"InvoiceList", R"(
invoices!: [Invoice]
cursor!: string?)"},
    {"EventTaken", R"(
received!: boolean)"},
};

Result<http::Response> disabled(http::Request& request) {
  return http::problem_response(
      501,
      unavailable("Billing is disabled: this server has no STRIPE_SECRET_KEY and "
                  "STRIPE_WEBHOOK_SECRET. Its operator gives plans.")
          .with_reason("billing_disabled"),
      http::Dialect::kPortal, request.request_id);
}

// A caller who sends the same Idempotency-Key again means the same deed.
Result<BillingAsk> ask_of(const http::Request& request) {
  BillingAsk ask;
  ask.organization_id = request.principal.organization_id;
  ask.who = by(request);
  ask.repeat_key = request.request_id;
  if (const auto key = request.header("idempotency-key")) {
    if (key->empty() || key->size() > kIdempotencyKeyMaxBytes) {
      return invalid("Idempotency-Key: has " + std::to_string(key->size()) + " bytes; 1 to " +
                     std::to_string(kIdempotencyKeyMaxBytes) + " are allowed.");
    }
    ask.repeat_key = sha256_hex(ask.organization_id + "\n" + std::string(*key)).substr(0, 40);
  }
  return ask;
}

Json text_or_null_of(const Json& value, std::string_view name) {
  return http::text_or_null(text_member(value, name));
}

Json invoice_json(const Json& invoice) {
  return Json{{"id", text_member(invoice, "id")},
              {"number", text_or_null_of(invoice, "number")},
              {"status", text_member(invoice, "status")},
              {"currency", text_member(invoice, "currency")},
              {"total", integer_member(invoice, "total")},
              {"amount_due", integer_member(invoice, "amount_due")},
              {"amount_paid", integer_member(invoice, "amount_paid")},
              {"created_at", time_json(integer_member(invoice, "created") * 1000)},
              {"url", text_or_null_of(invoice, "hosted_invoice_url")},
              {"pdf", text_or_null_of(invoice, "invoice_pdf")}};
}

}  // namespace

std::span<const http::ApiType> BillingApi::types() {
  return kTypes;
}

void BillingApi::add_routes(std::vector<http::Row>& table, const http::Access& owner,
                            const http::Access& known) {
  using enum http::Method;
  using http::kib;
  using http::kNoBody;
  const size_t first = table.size();
  http::Rows rows(table, *this, "/api/v1/billing");
  rows.add(kPost, "/checkout", owner, kib(2), &BillingApi::checkout,
           "Where to begin paying for a plan, or to change what is paid for.",
           {.id = "createCheckout",
            .body = "CheckoutAsk",
            .answer = "BillingPlace",
            .also = "404 409 501 502 504"});
  rows.add(kPost, "/portal", owner, kib(1), &BillingApi::portal,
           "Where payment method, address and tax id are changed.",
           {.id = "createBillingPortal", .answer = "BillingPage", .also = "409 501 502 504"});
  rows.add(kGet, "/subscription", owner, kNoBody, &BillingApi::subscription,
           "What the organization pays for.",
           {.id = "getSubscription", .answer = "Subscription", .also = "501 502 504"});
  rows.add(kPatch, "/subscription", owner, kib(2), &BillingApi::change,
           "Change to another plan, or tell what that would cost.",
           {.id = "updateSubscription",
            .body = "PlanChangeAsk",
            .answer = "PlanChange",
            .also = "404 409 501 502 504"});
  rows.add(kPost, "/cancel", owner, kib(1), &BillingApi::cancel,
           "End the subscription with its period; nothing is deleted.",
           {.id = "cancelSubscription", .answer = "Subscription", .also = "409 501 502 504"});
  rows.add(kDelete, "/cancel", owner, kNoBody, &BillingApi::resume,
           "Go on after the period after all.",
           {.id = "resumeSubscription", .answer = "Subscription", .also = "409 501 502 504"});
  rows.add(kGet, "/invoices", owner, kNoBody, &BillingApi::invoices,
           "The organization's invoices, the newest first.",
           {.id = "listInvoices",
            .query = "limit cursor",
            .answer = "InvoiceList",
            .also = "501 502 504"});
  rows.add(kPost, "/webhook", http::everyone(), kWebhookBodyMaxBytes, &BillingApi::take_event,
           "Stripe's events, signed by it.",
           {.id = "takeBillingEvent", .body = "object", .answer = "EventTaken", .also = "401 501"});
  if (billing_.enabled()) return;
  for (size_t i = first; i < table.size(); i++) {
    http::Row& row = table[i];
    row.guard = known.guard;
    row.who = known.who;
    row.need = known.need;
    row.handler = disabled;
  }
}

Result<http::Response> BillingApi::checkout(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string plan = reader.string("plan", {.max_bytes = 64});
  const std::string price = reader.optional_string("price", {.max_bytes = 200}).value_or("");
  KVCS_TRY(reader.finish());
  const BillingAsk ask = KVCS_TRY(ask_of(request));
  const Billing::Place place = KVCS_TRY(billing_.checkout(ask, plan, price));
  return http::private_reply(
      200, Json{{"kind", place.is_new ? "checkout" : "portal"}, {"url", place.url}});
}

Result<http::Response> BillingApi::portal(http::Request& request) {
  const BillingAsk ask = KVCS_TRY(ask_of(request));
  return http::private_reply(200, Json{{"url", KVCS_TRY(billing_.portal(ask))}});
}

http::Response BillingApi::state(const BillingRecord& record) const {
  const Subscription& s = record.subscription;
  const Plan* const plan = billing_.plans().find_by_price(s.price_id);
  const bool has_plan = keeps_plan(s.status) && plan != nullptr;
  return http::private_reply(200, Json{{"status", http::text_or_null(s.status)},
                                       {"plan", has_plan ? Json(plan->name) : Json(nullptr)},
                                       {"price", http::text_or_null(s.price_id)},
                                       {"cancels", s.cancels},
                                       {"current_period_end", time_json(s.period_end_ms)}});
}

Result<http::Response> BillingApi::subscription(http::Request& request) {
  return state(KVCS_TRY(billing_.find(request.principal.organization_id)));
}

Result<http::Response> BillingApi::change(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const std::string plan = reader.string("plan", {.max_bytes = 64});
  const std::string price = reader.optional_string("price", {.max_bytes = 200}).value_or("");
  const bool is_preview = reader.boolean_or("preview", false);
  const int64_t at_s = reader.optional_integer("at", 0, kTimeMaxS).value_or(0);
  KVCS_TRY(reader.finish());
  const BillingAsk ask = KVCS_TRY(ask_of(request));
  const std::string what = plan + "\n" + price;
  if (!is_preview && at_s > 0) KVCS_TRY(previews_.check(ask.organization_id, what, at_s));
  const Billing::Change change = is_preview ? KVCS_TRY(billing_.preview(ask, plan, price))
                                            : KVCS_TRY(billing_.change(ask, plan, price, at_s));
  if (is_preview) previews_.note(ask.organization_id, what, change.at_s);
  return http::private_reply(200, Json{{"plan", plan},
                                       {"amount_due", change.amount_due},
                                       {"currency", change.currency},
                                       {"at", change.at_s},
                                       {"waits_for_payment", change.waits_for_payment}});
}

Result<http::Response> BillingApi::cancel(http::Request& request) {
  const BillingAsk ask = KVCS_TRY(ask_of(request));
  return state(KVCS_TRY(billing_.cancel(ask, true)));
}

Result<http::Response> BillingApi::resume(http::Request& request) {
  const BillingAsk ask = KVCS_TRY(ask_of(request));
  return state(KVCS_TRY(billing_.cancel(ask, false)));
}

Result<http::Response> BillingApi::invoices(http::Request& request) {
  const http::PageAsk page = KVCS_TRY(http::read_page(request));
  if (!page.cursor.empty() && !is_stripe_id(page.cursor)) {
    return invalid("cursor: is none that this list has given.");
  }
  const size_t limit = std::min(page.limit, kInvoicesMax);
  const Json answer =
      KVCS_TRY(billing_.list_invoices(request.principal.organization_id, page.cursor, limit));
  Json invoices = Json::array();
  std::string last;
  if (const auto list = answer.find("data"); list != answer.end() && list->is_array()) {
    for (const Json& invoice : *list) {
      if (!invoice.is_object()) continue;
      invoices.push_back(invoice_json(invoice));
      last = text_member(invoice, "id");
    }
  }
  const auto more = answer.find("has_more");
  const bool has_more = more != answer.end() && more->is_boolean() && more->get<bool>();
  return http::private_reply(200, Json{{"invoices", std::move(invoices)},
                                       {"cursor", http::cursor_json(has_more ? last : "")}});
}

Result<http::Response> BillingApi::take_event(http::Request& request) {
  const std::string body = KVCS_TRY(request.body->read_all());
  KVCS_TRY(webhooks_.take(body, request.header("stripe-signature").value_or("")));
  return http::json_response(200, "{\"received\":true}");
}

}  // namespace kvcs::portal
