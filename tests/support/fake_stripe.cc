// Answers as Stripe's API does in version 2025-03-31.basil.
#include "support/fake_stripe.h"

#include "base/bytes.h"
#include "base/crypto.h"
#include "http/form.h"

namespace kvcs::test {
namespace {

std::string header_of(const std::string& head, const std::string& name) {
  for (const std::string_view line : split(head, '\n')) {
    const size_t colon = line.find(':');
    if (colon == line.npos || !equal_ignore_case(line.substr(0, colon), name)) continue;
    return std::string(trim(line.substr(colon + 1)));
  }
  return "";
}

std::string form_of(const FakeStripe::Asked& asked, const std::string& name) {
  return http::form_value(asked.form, name).value_or("");
}

std::pair<int, std::string> refuse(int status, const std::string& code) {
  return {status, "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"" + code +
                      "\",\"message\":\"refused " + code + " for " + kStripeKey + "\"}}"};
}

std::string invoice_json(const std::string& id, int total) {
  return "{\"id\":\"" + id +
         "\",\"object\":\"invoice\",\"number\":\"A-1\",\"status\":\"paid\",\"currency\":\"usd\","
         "\"total\":" +
         std::to_string(total) + ",\"amount_due\":" + std::to_string(total) +
         ",\"amount_paid\":" + std::to_string(total) +
         ",\"created\":1767225600,\"hosted_invoice_url\":\"https://invoice.stripe.com/" + id +
         "\",\"invoice_pdf\":null}";
}

}  // namespace

FakeStripe::FakeStripe() : server_([this](LoopbackPeer& peer) { serve(peer); }) {}

portal::BillingConfig FakeStripe::config(const std::string& secrets) const {
  portal::BillingConfig config;
  config.stripe_url = "http://127.0.0.1:" + std::to_string(server_.port());
  config.secret_key = Secret(kStripeKey);
  config.webhook_secret = Secret(secrets);
  return config;
}

void FakeStripe::serve(LoopbackPeer& peer) {
  while (const auto request = peer.read_request()) {
    const auto words = split(request->line(), ' ');
    Asked asked{std::string(words[0]), std::string(words.size() > 1 ? words[1] : ""), request->body,
                header_of(request->head, "idempotency-key")};
    std::pair<int, std::string> answered{failing_, "{\"error\":{\"message\":\"failing\"}}"};
    {
      MutexLock lock(mutex_);
      check(*request, asked);
      asked_.push_back(asked);
    }
    if (failing_ == 0) answered = answer(asked);
    if (!peer.answer(answered.second, std::to_string(answered.first) + " X")) return;
  }
}

void FakeStripe::check(const LoopbackPeer::Request& request, const Asked& asked) {
  const auto expect = [&](bool holds, const std::string& what) {
    if (!holds) faults_.push_back(asked.method + " " + asked.path + ": " + what);
  };
  expect(header_of(request.head, "authorization") == std::string("Bearer ") + kStripeKey, "key");
  expect(header_of(request.head, "stripe-version") == "2025-03-31.basil", "version");
  if (asked.method == "GET") return;
  expect(!asked.key.empty() && asked.key.size() <= 255, "idempotency key");
  if (asked.method != "POST") return;
  expect(header_of(request.head, "content-type") == "application/x-www-form-urlencoded", "type");
  expect(asked.form.find(' ') == std::string::npos && asked.form.find('[') == std::string::npos,
         "encoding");
}

std::string FakeStripe::subscription_json(const std::string& id) const {
  const Sub& sub = subs_.at(id);
  const int64_t ends_at = sub.cancels ? 1'769'904'000 : sub.cancel_at;
  return "{\"id\":\"" + id + "\",\"object\":\"subscription\",\"customer\":\"" + sub.customer +
         "\",\"status\":\"" + sub.status + "\",\"created\":" + std::to_string(sub.created) +
         ",\"cancel_at_period_end\":" + (sub.cancels ? "true" : "false") +
         ",\"cancel_at\":" + (ends_at > 0 ? std::to_string(ends_at) : "null") +
         ",\"pending_update\":" + (declining_ ? "{\"expires_at\":1}" : "null") +
         ",\"latest_invoice\":" + invoice_json("in_" + id, 1500) +
         ",\"items\":{\"object\":\"list\",\"data\":[{\"id\":\"si_" + id +
         "\",\"current_period_end\":1769904000,\"price\":{\"id\":\"" + sub.price + "\"}}]}}";
}

std::pair<int, std::string> FakeStripe::answer_checkout(const Asked& asked) {
  MutexLock lock(mutex_);
  const std::string base = "/v1/checkout/sessions";
  if (asked.path == base) {
    const std::string id = "cs_" + std::to_string(next_++);
    sessions_[id] = "open";
    return {200,
            "{\"id\":\"" + id + "\",\"status\":\"open\",\"url\":\"https://checkout/" + id + "\"}"};
  }
  std::string id = asked.path.substr(base.size() + 1);
  const bool expires = id.ends_with("/expire");
  if (expires) id = id.substr(0, id.find('/'));
  if (sessions_.count(id) == 0) return refuse(404, "resource_missing");
  if (expires) sessions_[id] = "expired";
  return {200, "{\"id\":\"" + id + "\",\"status\":\"" + sessions_[id] +
                   "\",\"url\":\"https://checkout/" + id + "\"}"};
}

std::pair<int, std::string> FakeStripe::answer_subscription(const Asked& asked) {
  MutexLock lock(mutex_);
  const std::string base = "/v1/subscriptions";
  if (asked.path.starts_with(base + "?")) {
    const std::string customer =
        http::form_value(asked.path.substr(base.size() + 1), "customer").value_or("");
    std::string list;
    for (const auto& [id, sub] : subs_) {
      if (sub.customer != customer) continue;
      list += (list.empty() ? "" : ",") + subscription_json(id);
    }
    return {200, "{\"object\":\"list\",\"has_more\":false,\"data\":[" + list + "]}"};
  }
  const std::string id = asked.path.substr(base.size() + 1);
  const auto found = subs_.find(id);
  if (found == subs_.end()) return refuse(404, "resource_missing");
  if (asked.method == "DELETE") found->second.status = "canceled";
  if (asked.method == "POST") {
    const std::string cancels = form_of(asked, "cancel_at_period_end");
    const bool ends_time = asked.form.find("cancel_at=") != std::string::npos;
    if (!cancels.empty() && ends_time) return refuse(400, "parameter_invalid");
    if (!cancels.empty()) found->second.cancels = cancels == "true";
    if (ends_time) found->second.cancel_at = 0;
    const std::string price = form_of(asked, "items[0][price]");
    if (!price.empty() && !declining_) found->second.price = price;
  }
  return {200, subscription_json(id)};
}

std::pair<int, std::string> FakeStripe::answer_customer(const Asked& asked) {
  MutexLock lock(mutex_);
  const std::string id = asked.path.substr(asked.path.rfind('/') + 1);
  if (missing_.count(id) > 0) return refuse(404, "resource_missing");
  const std::string deleted = deleted_.count(id) > 0 ? ",\"deleted\":true" : "";
  return {200, "{\"id\":\"" + id + "\",\"object\":\"customer\"" + deleted + "}"};
}

bool FakeStripe::names_gone_customer(const Asked& asked) const {
  MutexLock lock(mutex_);
  const size_t mark = asked.path.find('?');
  const std::string pairs = mark == std::string::npos ? asked.form : asked.path.substr(mark + 1);
  const std::string id = http::form_value(pairs, "customer").value_or("");
  return missing_.count(id) > 0 || deleted_.count(id) > 0;
}

void FakeStripe::delete_customer(const std::string& id, bool leaves_mark) {
  MutexLock lock(mutex_);
  (leaves_mark ? deleted_ : missing_).insert(id);
}

void FakeStripe::restore_customer(const std::string& id) {
  MutexLock lock(mutex_);
  missing_.erase(id);
}

std::pair<int, std::string> FakeStripe::answer(const Asked& asked) {
  if (!asked.key.empty()) {
    MutexLock lock(mutex_);
    const auto kept = kept_.find(asked.key);
    if (kept != kept_.end() && forms_[asked.key] != asked.form) {
      faults_.push_back(asked.path + ": a key with another body");
      return refuse(400, "idempotency_key_in_use");
    }
    forms_[asked.key] = asked.form;
    if (kept != kept_.end()) return kept->second;
  }
  std::pair<int, std::string> made = refuse(404, "unknown_path");
  if (asked.path == "/v1/customers") {
    MutexLock lock(mutex_);
    // Two with one key that came at once: the second gets what the first got.
    if (const auto kept = kept_.find(asked.key); kept != kept_.end()) return kept->second;
    customers_.push_back("cus_" + std::to_string(next_++));
    made = {200, "{\"id\":\"" + customers_.back() + "\",\"object\":\"customer\"}"};
    kept_[asked.key] = made;
    return made;
  }
  if (asked.path.starts_with("/v1/customers/")) made = answer_customer(asked);
  if (names_gone_customer(asked)) return refuse(400, "resource_missing");
  if (asked.path.starts_with("/v1/checkout/sessions")) made = answer_checkout(asked);
  if (asked.path.starts_with("/v1/subscriptions")) made = answer_subscription(asked);
  if (asked.path == "/v1/billing_portal/sessions") {
    made = {200,
            "{\"id\":\"bps_1\",\"url\":\"https://portal/" + form_of(asked, "customer") + "\"}"};
  }
  if (asked.path == "/v1/invoices/create_preview") made = {200, invoice_json("upcoming", 1234)};
  if (asked.path.starts_with("/v1/invoices?")) {
    const bool first = asked.path.find("starting_after") == std::string::npos;
    made = {200, std::string("{\"has_more\":") + (first ? "true" : "false") + ",\"data\":[" +
                     invoice_json(first ? "in_2" : "in_1", 900) + "]}"};
  }
  if (asked.key.empty()) return made;
  MutexLock lock(mutex_);
  return kept_.emplace(asked.key, made).first->second;
}

std::string FakeStripe::subscribe(const std::string& customer, const std::string& price,
                                  const std::string& status) {
  MutexLock lock(mutex_);
  const int number = next_++;
  const std::string id = "sub_" + std::to_string(number);
  subs_[id] = {customer, price, status, false, 1'767'225'600 + number, 0};
  return id;
}

void FakeStripe::set_status(const std::string& id, const std::string& status) {
  MutexLock lock(mutex_);
  subs_.at(id).status = status;
}

void FakeStripe::set_cancel_at(const std::string& id, int64_t unix_s) {
  MutexLock lock(mutex_);
  subs_.at(id).cancel_at = unix_s;
}

FakeStripe::Sub FakeStripe::subscription(const std::string& id) const {
  MutexLock lock(mutex_);
  return subs_.at(id);
}

std::vector<FakeStripe::Asked> FakeStripe::asked() const {
  MutexLock lock(mutex_);
  return asked_;
}

size_t FakeStripe::asked_count(const std::string& method, const std::string& path) const {
  size_t count = 0;
  for (const Asked& one : asked()) count += one.method == method && one.path.starts_with(path);
  return count;
}

std::vector<std::string> FakeStripe::customers() const {
  MutexLock lock(mutex_);
  return customers_;
}

std::vector<std::string> FakeStripe::faults() const {
  MutexLock lock(mutex_);
  return faults_;
}

std::string FakeStripe::event(const std::string& id, const std::string& type,
                              const std::string& object) {
  return "{\"id\":\"" + id + "\",\"object\":\"event\",\"type\":\"" + type +
         "\",\"data\":{\"object\":" + object + "}}";
}

std::string FakeStripe::sign(const std::string& body, int64_t now_s, const std::string& secret) {
  const std::string time = std::to_string(now_s);
  return "t=" + time + ",v1=" + to_hex(hmac_sha256(secret, time + "." + body)) + ",v0=00";
}

}  // namespace kvcs::test
