// Turns the failures of the layers below a tool call into the codes and words of its callers.
#include "gateway/call/failure_words.h"

#include <nlohmann/json.hpp>

#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/origins.h"

namespace kvcs::gateway {

Status in_gateway_words(Status failure) {
  if (failure.code() == Code::kInvalid) return std::move(failure).with_reason("VALIDATION_ERROR");
  if (failure.reason() == kSecretOriginChanged) {
    return std::move(failure).with_reason("SECRET_ORIGIN_CHANGED");
  }
  if (failure.code() != Code::kUnavailable || failure.retry_after_s() > 0) return failure;
  return std::move(failure).with_retry_after_s(1);
}

Status with_gateway_reason(Status failure) {
  if (!failure.reason().starts_with("idempotency_")) return failure;
  if (failure.code() == Code::kUnavailable) return std::move(failure).with_reason("UNAVAILABLE");
  std::string code = failure.reason();
  for (char& c : code) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return std::move(failure).with_reason(code);
}

Status exchange_failure(const Status& status, const std::string& provider) {
  const std::string reason = status.reason();
  std::string details;
  if (!reason.empty()) details = dump_json(Json{{"reason", reason}});
  const std::string message = provider + ": " + status.message();
  const auto made = [&](Code code, std::string_view word) {
    return Status(code, message, status.cause())
        .with_reason(word)
        .with_details_json(std::string(details));
  };
  switch (status.code()) {
    case Code::kTimeout:
      return made(Code::kTimeout, "TIMEOUT");
    case Code::kForbidden:
      return made(Code::kForbidden, "FORBIDDEN");
    case Code::kUnavailable:
      return made(Code::kUnavailable, "UNAVAILABLE").with_retry_after_s(1);
    case Code::kInvalid:
      return made(Code::kInvalid, "VALIDATION_ERROR");
    case Code::kTooLarge:
      return made(Code::kUpstream, "UPSTREAM_ERROR");
    default:
      return made(Code::kUpstream, "UPSTREAM_UNREACHABLE");
  }
}

bool is_fault_of_provider(const Status& failure, int upstream_status) {
  if (upstream_status >= 300 && upstream_status < 500) return false;
  return upstream_status >= 500 || failure.code() == Code::kUpstream ||
         failure.code() == Code::kTimeout;
}

}  // namespace kvcs::gateway
