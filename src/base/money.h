// Money as integers: counters in nano-USD (1e-9), prices in pico-USD (1e-12) per token.
// Decimals exist only at the edge and are read from the decimal text, never from a double.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

inline constexpr int64_t kNanoUsdPerUsd = 1'000'000'000;
inline constexpr int64_t kPicoUsdPerUsd = 1'000'000'000'000;

// "12.50", "1e-7", "0"; not negative. Digits finer than the unit are Invalid, as is overflow;
// `what` names the field in the message.
Result<int64_t> parse_nano_usd(std::string_view decimal, std::string_view what);
Result<int64_t> parse_pico_usd(std::string_view decimal, std::string_view what);
// "23.45": at least `digits_min` decimals, and as many more as the value needs (at most 9).
std::string format_usd(int64_t nano_usd, int digits_min = 2);
// Exactly `digits` decimals, rounded half up: for headers and tables.
std::string format_usd_fixed(int64_t nano_usd, int digits);
std::string format_pico_usd(int64_t pico_usd);  // "0.00000015", exact
// pico → nano, rounded up: a fraction of a nano-dollar is charged, never given away.
int64_t pico_to_nano_ceil(__int128 pico_usd);
// What a month in UTC will have cost if it goes on as it went until now: what was spent, times the
// length of the month, over what of it has passed. Nothing in its first day, of which no month can
// be told, and for what would not fit.
std::optional<int64_t> project_month(int64_t spent_nano_usd, int64_t unix_ms);

}  // namespace kvcs
