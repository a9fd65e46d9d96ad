// The table of error codes, and which code a status has.
#include "cli/error_codes.h"

#include <csignal>

#include "base/bytes.h"
#include "cli/command.h"

namespace kvcs::cli {
namespace {

constexpr int kExitInterrupted = 128 + SIGINT;

constexpr ErrorCode kCodes[] = {
    {kUsageCode, kExitUsage, "The command line is wrong; `kvcs COMMAND --help` shows its form."},
    {"invalid", kExitFailed, "What was asked for cannot be, or a file is not what it should be."},
    {"unauthenticated", kExitFailed, "There is no key and no login, or it is refused."},
    {"forbidden", kExitFailed, "Whoever asks may not do this."},
    {"not_found", kExitFailed, "There is no such thing, or no such file."},
    {"conflict", kExitFailed, "It does not go with what is there."},
    {"rate_limited", kExitFailed, "Too many requests; \"retry_after_s\" says when to come back."},
    {"quota_exceeded", kExitFailed, "A plan or a budget does not allow more."},
    {"unavailable", kExitFailed, "The server cannot be reached or has failed, or a disk is full."},
    {"timeout", kExitFailed, "No answer came in time; whether it was done is not known."},
    {"interrupted", kExitInterrupted, "Ctrl-C ended it; a shell sees 128 and the signal's number."},
    {"io", kExitFailed, "A file, a disk or this machine failed."},
};

}  // namespace

std::span<const ErrorCode> error_codes() {
  return kCodes;
}

std::string_view error_code(const Status& status) {
  // Of the server's disk: its answer (507) says that the body is too large for what is free.
  if (status.reason() == "disk_full") return "unavailable";
  if (status.reason() == "stopped") return "interrupted";
  switch (status.code()) {
    case Code::kOk:
    case Code::kInvalid:
    case Code::kTooLarge:
      return "invalid";
    case Code::kUnauthenticated:
      return "unauthenticated";
    case Code::kForbidden:
      return "forbidden";
    case Code::kNotFound:
      return "not_found";
    case Code::kConflict:
      return "conflict";
    case Code::kQuotaExceeded:
      return "quota_exceeded";
    case Code::kRateLimited:
      return "rate_limited";
    case Code::kUnavailable:
    case Code::kUpstream:
      return "unavailable";
    case Code::kTimeout:
      return "timeout";
    case Code::kInternal:
      return "io";
  }
  return "io";
}

// Budgets of the AI gateway are told as "…_quota_exceeded" or as OpenAI's "insufficient_quota".
bool is_quota_word(std::string_view server_code) {
  const std::string word = lower_ascii(server_code);
  return word.ends_with("quota_exceeded") || word == "insufficient_quota";
}

}  // namespace kvcs::cli
