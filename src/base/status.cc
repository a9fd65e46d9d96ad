// Status and the functions that make one. A Status that is Ok holds no memory; a failure owns its
// texts and is copied deeply, as failures are rare.
#include "base/status.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kvcs {
namespace {
const std::string kEmpty;
}

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "Ok";
    case Code::kInvalid:
      return "Invalid";
    case Code::kUnauthenticated:
      return "Unauthenticated";
    case Code::kForbidden:
      return "Forbidden";
    case Code::kNotFound:
      return "NotFound";
    case Code::kConflict:
      return "Conflict";
    case Code::kTooLarge:
      return "TooLarge";
    case Code::kQuotaExceeded:
      return "QuotaExceeded";
    case Code::kRateLimited:
      return "RateLimited";
    case Code::kUnavailable:
      return "Unavailable";
    case Code::kTimeout:
      return "Timeout";
    case Code::kUpstream:
      return "Upstream";
    case Code::kInternal:
      return "Internal";
  }
  return "Unknown";
}

Status::Status(Code code, std::string message, std::string cause)
    : detail_(std::make_unique<Detail>()) {
  KVCS_ASSERT(code != Code::kOk);
  detail_->code = code;
  detail_->message = std::move(message);
  detail_->cause = std::move(cause);
}
Status::Status(const Status& other)
    : detail_(other.detail_ ? std::make_unique<Detail>(*other.detail_) : nullptr) {}
Status& Status::operator=(const Status& other) {
  if (this != &other) detail_ = other.detail_ ? std::make_unique<Detail>(*other.detail_) : nullptr;
  return *this;
}

const std::string& Status::message() const {
  return detail_ ? detail_->message : kEmpty;
}
const std::string& Status::cause() const {
  return detail_ ? detail_->cause : kEmpty;
}
const std::string& Status::reason() const {
  return detail_ ? detail_->reason : kEmpty;
}
std::string Status::details_json() const {
  return detail_ ? detail_->details_json : kEmpty;
}

Status Status::with_reason(std::string_view reason) && {
  KVCS_ASSERT(detail_);
  detail_->reason = reason;
  return std::move(*this);
}
Status Status::with_cause(std::string_view cause) && {
  KVCS_ASSERT(detail_);
  detail_->cause = cause;
  return std::move(*this);
}
Status Status::with_retry_after_s(int seconds) && {
  KVCS_ASSERT(detail_);
  detail_->retry_after_s = seconds;
  return std::move(*this);
}
Status Status::with_details_json(std::string json) && {
  KVCS_ASSERT(detail_);
  detail_->details_json = std::move(json);
  return std::move(*this);
}
Status Status::with_context(std::string_view context) && {
  if (detail_) detail_->message = std::string(context) + ": " + detail_->message;
  return std::move(*this);
}
std::string Status::to_string() const {
  if (ok()) return "Ok";
  std::string text = std::string(code_name(code())) + ": " + message();
  if (!cause().empty()) text += " (" + cause() + ")";
  return text;
}

Status invalid(std::string message) {
  return {Code::kInvalid, std::move(message)};
}
Status unauthenticated(std::string message) {
  return {Code::kUnauthenticated, std::move(message)};
}
Status forbidden(std::string message) {
  return {Code::kForbidden, std::move(message)};
}
Status not_found(std::string message) {
  return {Code::kNotFound, std::move(message)};
}
Status conflict(std::string message) {
  return {Code::kConflict, std::move(message)};
}
Status too_large(std::string message) {
  return {Code::kTooLarge, std::move(message)};
}
Status rate_limited(std::string message, int retry_after_s) {
  return Status(Code::kRateLimited, std::move(message)).with_retry_after_s(retry_after_s);
}
Status unavailable(std::string message, std::string cause) {
  return {Code::kUnavailable, std::move(message), std::move(cause)};
}
Status timed_out(std::string message) {
  return {Code::kTimeout, std::move(message)};
}
Status upstream_failed(std::string message, std::string cause) {
  return {Code::kUpstream, std::move(message), std::move(cause)};
}
Status internal(std::string cause) {
  return {Code::kInternal, "Internal error.", std::move(cause)};
}

Status io_error(std::string_view what, std::string_view path, int error_number) {
  char buffer[128];
  std::string text = std::string(what) + " " + std::string(path) + ": " +
                     strerror_r(error_number, buffer, sizeof buffer);
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return unavailable("The disk is full; free space and try again.", std::move(text));
  }
  // Absent files are an answer that many callers expect and handle, so they are told apart.
  if (error_number == ENOENT) return {Code::kNotFound, text, text};
  return {Code::kInternal, text, text};
}

void assert_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
  std::abort();
}

}  // namespace kvcs
