// Goal: an event counts only when somebody who knows a secret signed these very bytes, not long
// ago. Method: a signature that openssl made, changed in each of its parts.
#include "portal/billing/webhook_signature.h"

#include <catch2/catch.hpp>

#include "support/fake_stripe.h"

using namespace kvcs;
using namespace kvcs::portal;
using kvcs::test::FakeStripe;

namespace {

constexpr int64_t kNowS = 1'767'225'600;
const std::string kBody = R"({"id":"evt_1"})";

Status check(const std::string& header, const std::string& body = kBody,
             std::vector<Secret> secrets = {Secret("whsec_a")}, int64_t now_s = kNowS) {
  return check_webhook_signature(header, body, secrets, now_s);
}

std::string signature(const std::string& secret, int64_t at_s = kNowS) {
  return FakeStripe::sign(kBody, at_s, secret);
}

}  // namespace

TEST_CASE("webhook: a signature of somebody else's tool fits", "[unit][portal]") {
  // printf '1767225600.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_a
  const std::string made = "82641ee6321706dfdae12f4617cd2271ab7cbdcf4a258a51e50190f8db4e3b3e";
  CHECK(signature("whsec_a").find(made) != std::string::npos);
}

TEST_CASE("webhook: these bytes, one of the secrets, not long ago", "[unit][portal]") {
  const std::string good = signature("whsec_a");
  CHECK(check(good).ok());
  CHECK(check("v1=00, " + good).ok());
  CHECK(check(good + ",v1=" + std::string(64, '0')).ok());
  // During a rotation Stripe signs with both secrets, and we know both.
  const std::string with_b = signature("whsec_b");
  CHECK_FALSE(check(with_b).ok());
  CHECK(check(with_b, kBody, {Secret("whsec_a"), Secret("whsec_b")}).ok());
  CHECK(check(good + "," + with_b.substr(with_b.find("v1="))).ok());
  CHECK(check(good, kBody, {Secret("whsec_a")}, kNowS + 300).ok());
  CHECK(check(good, kBody, {Secret("whsec_a")}, kNowS - 300).ok());

  const auto refused = [](const Status& status) {
    return status.code() == Code::kInvalid && status.reason() == "webhook_signature_invalid";
  };
  CHECK(refused(check(good, kBody + " ")));
  CHECK(refused(check(good, kBody, {})));
  CHECK(refused(check(good, kBody, {Secret("whsec_a")}, kNowS + 301)));
  CHECK(refused(check(good, kBody, {Secret("whsec_a")}, kNowS - 301)));
  std::string other_time = good;
  other_time.replace(other_time.find("600"), 3, "601");
  CHECK(refused(check(other_time)));
  std::string other_scheme = good;
  other_scheme.replace(other_scheme.find("v1="), 3, "v0=");
  CHECK(refused(check(other_scheme)));
  for (const char* header : {"", "t=", "t=1", "v1=00", "t=-5,v1=00", "t=99999999999999999999,v1=0",
                             ",,,=", "t=1767225600,v1="}) {
    INFO(header);
    CHECK(refused(check(header)));
  }
  CHECK(refused(check(std::string(5000, ','))));
  std::string many = "t=" + std::to_string(kNowS);
  for (int i = 0; i < 30; i++) many += ",v1=00";
  CHECK(refused(check(many)));
}
