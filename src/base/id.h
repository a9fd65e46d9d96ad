// Identifiers: how new ones are made, and what a well-formed one is. Functions of the Entropy
// given, but for make_request_id, which keeps a counter of the process. For any thread.
#pragma once
#include <string>
#include <string_view>

#include "base/entropy.h"

namespace kvcs {

std::string make_uuid_v4(Entropy& entropy);                   // RFC 9562, lower case with dashes
std::string make_uuid_v7(Entropy& entropy, int64_t unix_ms);  // Sorts by time
bool is_uuid(std::string_view text);  // 8-4-4-4-12 hex, any case, any version
// 16 hex digits that sort by time (milliseconds, then a counter with a random start), so that
// indexes over them grow at their end; unique in practice; cheap (no system call).
std::string make_request_id();
// A slug or account name: [a-z0-9] first, then [a-z0-9_.-], at most 64. No ':' or '/'.
bool is_slug(std::string_view text);

}  // namespace kvcs
