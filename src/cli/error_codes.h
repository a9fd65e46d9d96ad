// The words by which a failed command tells programs what went wrong, in the member "code" of
// --json. They are the same whichever door answered, and whether a server was asked at all. Pure
// functions.
#pragma once
#include <span>
#include <string_view>

#include "base/status.h"

namespace kvcs::cli {

inline constexpr std::string_view kUsageCode = "usage";

struct ErrorCode {
  std::string_view word;
  int exit_code;
  std::string_view means;
};
// All of them, as `kvcs help exit-codes` shows them.
std::span<const ErrorCode> error_codes();

// The word of a failure. A server's own word for it (the status's reason) is another thing.
std::string_view error_code(const Status& status);

// Whether a server says by its code that a plan or a budget does not allow more. Doors spell that
// word in their own ways, and answer with 403 or 429.
bool is_quota_word(std::string_view server_code);

}  // namespace kvcs::cli
