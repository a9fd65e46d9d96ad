// Dates as HTTP writes them: "Wed, 21 Oct 2026 07:28:00 GMT" (RFC 9110 §5.6.7). Pure functions; the
// process keeps the "C" locale, whose names of days and months these are.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvcs {

// Seconds since 1970. Nothing for the two obsolete forms of a date, which no server of today sends.
std::optional<int64_t> read_http_date(std::string_view text);
std::string write_http_date(int64_t unix_s);

}  // namespace kvcs
