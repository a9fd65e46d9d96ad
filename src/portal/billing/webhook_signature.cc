// Reads the header "t=1492774577,v1=5257a869…,v1=…,v0=…" and compares each v1 with what each secret
// makes of "<t>.<body>" (HMAC-SHA256, in hex). Other schemes count for nothing.
#include "portal/billing/webhook_signature.h"

#include <string>

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs::portal {
namespace {

constexpr size_t kHeaderMaxBytes = 4096;
constexpr size_t kSignaturesMax = 20;

Status refused(std::string why) {
  return invalid("Stripe-Signature: " + std::move(why)).with_reason("webhook_signature_invalid");
}

}  // namespace

Status check_webhook_signature(std::string_view header, std::string_view body,
                               const std::vector<Secret>& secrets, int64_t now_s) {
  if (header.empty()) return refused("missing.");
  if (header.size() > kHeaderMaxBytes) {
    return refused("has " + std::to_string(header.size()) + " bytes; " +
                   std::to_string(kHeaderMaxBytes) + " are allowed.");
  }
  std::string_view time;
  std::vector<std::string_view> signatures;
  for (const std::string_view part : split(header, ',')) {
    const std::string_view pair = trim(part);
    if (pair.starts_with("t=")) time = pair.substr(2);
    if (pair.starts_with("v1=")) signatures.push_back(pair.substr(3));
  }
  const Result<uint64_t> sent_s = parse_u64(time, "t");
  if (!sent_s.ok() || *sent_s > static_cast<uint64_t>(INT64_MAX)) return refused("has no time.");
  if (signatures.empty() || signatures.size() > kSignaturesMax) {
    return refused("has no signature of scheme v1, or too many.");
  }
  // Before the time is looked at, so that nobody learns from the answer which part was wrong.
  const std::string signed_text = std::string(time) + "." + std::string(body);
  bool is_ours = false;
  for (const Secret& secret : secrets) {
    const std::string expected = to_hex(hmac_sha256(secret.reveal(), signed_text));
    for (const std::string_view signature : signatures) {
      is_ours = constant_time_equal(expected, signature) || is_ours;
    }
  }
  if (!is_ours) return refused("none of its signatures fits the body and STRIPE_WEBHOOK_SECRET.");
  const int64_t age_s = now_s - static_cast<int64_t>(*sent_s);
  if (age_s <= kSignatureToleranceS && age_s >= -kSignatureToleranceS) return ok();
  return refused("was made " + std::to_string(age_s) + " s ago by this server's clock; " +
                 std::to_string(kSignatureToleranceS) +
                 " s are allowed. If the clock is wrong, set it right.");
}

}  // namespace kvcs::portal
