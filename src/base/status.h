// The outcome of an operation that can fail for reasons outside the program.
//
// `message` may be shown to the caller; `cause` (errno text, a library's words) goes to the log
// only. `reason` is a stable machine word for callers that must tell failures of one Code apart
// ("user_suspended", "TOKEN_MISSING"); it becomes the error type or code in the door's dialect.
// Programmer errors are not Status: they are KVCS_ASSERT. Values; copied and moved freely.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace kvcs {

// Generic on purpose; http/problem.cc maps each to one HTTP status.
enum class Code : uint8_t {
  kOk,
  kInvalid,          // 400
  kUnauthenticated,  // 401
  kForbidden,        // 403
  kNotFound,         // 404
  kConflict,         // 409
  kTooLarge,         // 413
  kQuotaExceeded,    // 429
  kRateLimited,      // 429
  kUnavailable,      // 503
  kTimeout,          // 504
  kUpstream,         // 502
  kInternal,         // 500
};
std::string_view code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // Ok; costs one null pointer.
  [[gnu::cold]] Status(Code code, std::string message, std::string cause = {});
  Status(const Status& other);
  Status& operator=(const Status& other);
  Status(Status&&) noexcept = default;
  Status& operator=(Status&&) noexcept = default;

  bool ok() const { return !detail_; }
  Code code() const { return detail_ ? detail_->code : Code::kOk; }
  const std::string& message() const;
  const std::string& cause() const;
  const std::string& reason() const;
  int retry_after_s() const { return detail_ ? detail_->retry_after_s : 0; }
  std::string details_json() const;  // "" or a JSON object with machine-readable facts.

  [[gnu::cold]] Status with_reason(std::string_view reason) &&;
  [[gnu::cold]] Status with_cause(std::string_view cause) &&;
  [[gnu::cold]] Status with_retry_after_s(int seconds) &&;
  [[gnu::cold]] Status with_details_json(std::string json) &&;
  // Prepends "<context>: " to the message, for the caller that knows what was being done.
  [[gnu::cold]] Status with_context(std::string_view context) &&;
  std::string to_string() const;  // "Invalid: message (cause)"; for logs.

  // So that KVCS_TRY works on Status and on Result alike.
  void value() && {}
  Status status() && { return std::move(*this); }

 private:
  struct Detail {
    Code code;
    int retry_after_s = 0;
    std::string message, cause, reason, details_json;
  };
  std::unique_ptr<Detail> detail_;
};

inline Status ok() {
  return {};
}
// Failures are rare: marked so, the compiler keeps what leads to them out of the way of what runs.
[[gnu::cold]] Status invalid(std::string message);
[[gnu::cold]] Status unauthenticated(std::string message);
[[gnu::cold]] Status forbidden(std::string message);
[[gnu::cold]] Status not_found(std::string message);
[[gnu::cold]] Status conflict(std::string message);
[[gnu::cold]] Status too_large(std::string message);
[[gnu::cold]] Status rate_limited(std::string message, int retry_after_s);
[[gnu::cold]] Status unavailable(std::string message, std::string cause = {});
[[gnu::cold]] Status timed_out(std::string message);
[[gnu::cold]] Status upstream_failed(std::string message, std::string cause = {});
// The caller sees "Internal error."; the cause is logged.
[[gnu::cold]] Status internal(std::string cause);
// A failed system call: "<what> <path>: <strerror(errno)>"; kUnavailable when the disk is full.
[[gnu::cold]] Status io_error(std::string_view what, std::string_view path, int error_number);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}         // NOLINT: implicit
  Result(Status status) : v_(std::in_place_index<1>, std::move(status)) {}  // NOLINT: implicit
  bool ok() const { return v_.index() == 0; }
  Status status() const& { return ok() ? Status() : std::get<1>(v_); }
  Status status() && { return ok() ? Status() : std::move(std::get<1>(v_)); }
  Code code() const { return ok() ? Code::kOk : std::get<1>(v_).code(); }
  // Precondition of the four below: ok().
  T& value() & { return std::get<0>(v_); }
  const T& value() const& { return std::get<0>(v_); }
  T value() && { return std::move(std::get<0>(v_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &std::get<0>(v_); }
  const T* operator->() const { return &std::get<0>(v_); }
  T value_or(T fallback) && { return ok() ? std::move(std::get<0>(v_)) : std::move(fallback); }

 private:
  std::variant<T, Status> v_;
};

[[noreturn]] void assert_failed(const char* expression, const char* file, int line);

}  // namespace kvcs

// `auto user = KVCS_TRY(find_user(id));` — the value, or return the failure to our caller.
#define KVCS_TRY(expression)                   \
  ({                                           \
    auto kvcs_result_ = (expression);          \
    if (!kvcs_result_.ok()) [[unlikely]]       \
      return std::move(kvcs_result_).status(); \
    std::move(kvcs_result_).value();           \
  })
// A programmer's error: aborts with file and line, in release too.
#define KVCS_ASSERT(condition) \
  ((condition) ? void(0) : ::kvcs::assert_failed(#condition, __FILE__, __LINE__))
