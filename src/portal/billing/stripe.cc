// Sends requests to Stripe and tells their failures apart. What Stripe says of a failure goes to
// the log: it may name the key, or the operator's own objects.
#include "portal/billing/stripe.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "portal/billing/billing_record.h"

namespace kvcs::portal {
namespace {

constexpr size_t kAnswerMaxBytes = 4u << 20;
constexpr int kDeadlineMs = 30'000;
constexpr int kRetryAfterS = 5;
constexpr size_t kIdMaxBytes = 255;
constexpr size_t kBodyHexDigits = 16;  // Of a body's digest, in its idempotency key.

// "type/code: message", without what looks like a key.
std::string words_of(const Json& answer) {
  const auto error = answer.is_object() ? answer.find("error") : answer.end();
  if (!answer.is_object() || error == answer.end()) return "no words";
  std::string message = text_member(*error, "message");
  for (const char* mark : {"sk_", "rk_", "whsec_"}) {
    for (size_t at = message.find(mark); at != std::string::npos; at = message.find(mark, at + 3)) {
      const size_t end = message.find_first_of(" .,\"'", at);
      message.replace(at, std::min(end, message.size()) - at, "***");
    }
  }
  return printable(text_member(*error, "type") + "/" + text_member(*error, "code") + ": " + message,
                   kShownText);
}

Status unavailable_stripe(const std::string& cause) {
  return unavailable("The payment provider does not answer. Try again in a while.", cause)
      .with_reason("stripe_unavailable")
      .with_retry_after_s(kRetryAfterS);
}

std::string error_member(const Json& answer, const char* name) {
  const Json* const error = answer.is_object() ? object_member(answer, "error") : nullptr;
  return error == nullptr ? "" : text_member(*error, name);
}

Status unknown_object(const std::string& cause) {
  return not_found("The payment provider does not know this.")
      .with_cause(cause)
      .with_reason("stripe_not_found");
}

Status failure(int status, const std::string& where, const Json& answer) {
  const std::string cause =
      "stripe " + where + " -> " + std::to_string(status) + " " + words_of(answer);
  // Stripe names what it does not know, with status 404, or 400 when a form names it.
  if (error_member(answer, "code") == "resource_missing") return unknown_object(cause);
  // With status 400: the key of another request, or of the same with other members.
  if (error_member(answer, "type") == "idempotency_error") {
    return conflict("This Idempotency-Key was sent with another request before. Use a new one.")
        .with_cause(cause)
        .with_reason("stripe_key_reused");
  }
  switch (status) {
    case 402:
      return conflict(
                 "The payment failed. Use another payment method: POST /api/v1/billing/portal.")
          .with_cause(cause)
          .with_reason("payment_failed");
    case 409:
      return conflict("The same is being done at this moment. Try again.")
          .with_cause(cause)
          .with_reason("stripe_conflict");
    default:
      break;
  }
  if (status == 429 || status >= 500) return unavailable_stripe(cause);
  return upstream_failed(
             "The payment provider refused the request; the log of this server says why.", cause)
      .with_reason("stripe_refused");
}

}  // namespace

bool is_stripe_id(std::string_view text) {
  return !text.empty() && text.size() <= kIdMaxBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

Stripe::Stripe(const BillingConfig& config, http::HttpUpstream& upstream)
    : base_url_(config.stripe_url.substr(0, config.stripe_url.find_last_not_of('/') + 1)),
      key_(config.secret_key),
      upstream_(upstream) {}

Result<Json> Stripe::ask(http::UpstreamRequest request, std::string_view path) const {
  const std::string where = request.method + " " + std::string(path);
  request.deadline_ms = kDeadlineMs;
  request.allow_private_addresses = true;  // The operator named this host.
  request.headers.emplace_back("Authorization", "Bearer " + key_.reveal());
  request.headers.emplace_back("Stripe-Version", kStripeVersion);
  request.headers.emplace_back("Accept", "application/json");
  const auto opened = upstream_.open(request);
  if (!opened.ok()) return unavailable_stripe(where + ": " + opened.status().to_string());
  const Result<std::string> text = (*opened)->read_all(kAnswerMaxBytes);
  if (!text.ok()) return unavailable_stripe(where + ": " + text.status().to_string());
  const int status = (*opened)->status();
  Result<Json> answer = parse_json_exact(*text);
  if (status == 404 && (!answer.ok() || error_member(*answer, "code") != "resource_missing")) {
    return unavailable_stripe(where +
                              " -> 404, which names nothing of Stripe's; look at "
                              "billing.stripe_url");
  }
  if (status < 200 || status > 299) {
    return failure(status, where, answer.ok() ? *answer : Json::object());
  }
  if (!answer.ok() || !answer->is_object()) {
    return unavailable_stripe(where + ": the answer is no JSON object");
  }
  return answer;
}

Result<Json> Stripe::get(std::string_view path, const oauth::FormPairs& query) const {
  http::UpstreamRequest request;
  request.url = base_url_ + std::string(path);
  if (!query.empty()) request.url += "?" + oauth::form_encode(query);
  return ask(std::move(request), path);
}

Result<Json> Stripe::post(std::string_view path, const oauth::FormPairs& form,
                          std::string_view idempotency_key) const {
  http::UpstreamRequest request;
  request.method = "POST";
  request.url = base_url_ + std::string(path);
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"},
                     {"Idempotency-Key", ""}};
  request.body = oauth::form_encode(form);
  // Stripe refuses a key that comes with another body.
  request.headers.back().second =
      std::string(idempotency_key) + "-" + sha256_hex(request.body).substr(0, kBodyHexDigits);
  return ask(std::move(request), path);
}

Result<Json> Stripe::remove(std::string_view path, std::string_view idempotency_key) const {
  http::UpstreamRequest request;
  request.method = "DELETE";
  request.url = base_url_ + std::string(path);
  request.headers = {{"Idempotency-Key", std::string(idempotency_key)}};
  return ask(std::move(request), path);
}

}  // namespace kvcs::portal
