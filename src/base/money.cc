// Decimal texts to integers of a unit and back, digit by digit: a double would lose the last digits
// of a price in pico-dollars.
#include "base/money.h"

#include <array>
#include <charconv>
#include <chrono>

#include "base/bytes.h"

namespace kvcs {
namespace {

// Reads [digits][.digits][e[+-]digits] scaled by 10^scale, exactly.
Result<int64_t> parse_scaled(std::string_view text, int scale, std::string_view what) {
  const auto bad = [&](std::string_view why) {
    return invalid(std::string(what) + ": '" + printable(text, kShownWord) + "' " +
                   std::string(why));
  };
  std::string digits;
  int point = 0;
  bool seen_point = false;
  size_t i = 0;
  for (; i < text.size() && (text[i] == '.' || (text[i] >= '0' && text[i] <= '9')); i++) {
    if (text[i] == '.') {
      if (seen_point) return bad("is not a decimal number.");
      seen_point = true;
    } else {
      digits += text[i];
      if (seen_point) point++;
    }
  }
  int exponent = 0;
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    i++;
    const bool negative = i < text.size() && text[i] == '-';
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) i++;
    if (i == text.size() || text.size() - i > 3) return bad("is not a decimal number.");
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; i++) {
      exponent = exponent * 10 + (text[i] - '0');
    }
    if (negative) exponent = -exponent;
  }
  if (i != text.size() || digits.empty() || text.size() > 64) {
    return bad("is not a decimal number that is zero or more.");
  }
  // The digits without their point are the value times 10^(point - exponent). Zeros are added, or
  // taken off, until they are the value times 10^scale; a digit that is no zero cannot be taken
  // off.
  for (int shift = scale + exponent - point; shift != 0; shift += shift < 0 ? 1 : -1) {
    if (shift > 0) {
      digits += '0';
    } else if (digits.back() == '0') {
      digits.pop_back();
    } else {
      return bad("has more decimals than the " + std::to_string(scale) + " that are kept.");
    }
    if (digits.empty()) return 0;
    if (digits.find_first_not_of('0') == digits.npos) return 0;
  }
  digits.erase(0, digits.find_first_not_of('0'));
  if (digits.empty()) return 0;
  Result<uint64_t> value = parse_u64(digits, what);
  if (!value.ok() || *value > INT64_MAX) return bad("is too large.");
  return static_cast<int64_t>(*value);
}

// The value over 10^scale as a decimal, without trailing zeros beyond `digits_min` decimals.
// Precondition: `scale` ≤ 12.
std::string format_scaled(int64_t value, int scale, int digits_min) {
  const bool negative = value < 0;
  std::array<char, 40> buffer;
  buffer[0] = '-';
  char* const digits = buffer.data() + 1;
  const uint64_t magnitude =
      negative ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  uint64_t unit = 1;
  for (int i = 0; i < scale; i++) unit *= 10;
  char* at = std::to_chars(digits, buffer.end(), magnitude / unit).ptr;
  char* const point = at;
  *at++ = '.';
  uint64_t rest = magnitude % unit;
  for (int i = scale; i > 0; i--) {
    at[i - 1] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  at += scale;
  while (at - point > digits_min + 1 && at[-1] == '0') at--;
  if (at == point + 1) at = point;
  return {negative ? buffer.data() : digits, at};
}

}  // namespace

Result<int64_t> parse_nano_usd(std::string_view decimal, std::string_view what) {
  return parse_scaled(decimal, 9, what);
}
Result<int64_t> parse_pico_usd(std::string_view decimal, std::string_view what) {
  return parse_scaled(decimal, 12, what);
}
std::string format_usd(int64_t nano_usd, int digits_min) {
  return format_scaled(nano_usd, 9, digits_min);
}
std::string format_usd_fixed(int64_t nano_usd, int digits) {
  int64_t unit = 1;
  for (int i = digits; i < 9; i++) unit *= 10;
  // Rounded by the remainder: adding half a unit to the largest amount would overflow.
  const int64_t rest = nano_usd % unit;
  const int64_t up = rest >= unit - unit / 2 ? 1 : rest <= unit / 2 - unit ? -1 : 0;
  const int64_t rounded = nano_usd / unit + (unit == 1 ? 0 : up);
  return format_scaled(rounded, digits, digits);
}
std::string format_pico_usd(int64_t pico_usd) {
  return format_scaled(pico_usd, 12, 0);
}
int64_t pico_to_nano_ceil(__int128 pico_usd) {
  return static_cast<int64_t>((pico_usd + 999) / 1000);
}

std::optional<int64_t> project_month(int64_t spent_nano_usd, int64_t unix_ms) {
  namespace chrono = std::chrono;
  using Ms = chrono::milliseconds;
  const chrono::sys_time<Ms> now{Ms(unix_ms)};
  const chrono::year_month_day today{chrono::floor<chrono::days>(now)};
  const chrono::year_month month = today.year() / today.month();
  const chrono::sys_days begin(month / 1), end((month + chrono::months(1)) / 1);
  const int64_t passed_ms = Ms(now - begin).count(), whole_ms = Ms(end - begin).count();
  if (passed_ms < Ms(chrono::days(1)).count()) return std::nullopt;
  const __int128 projected = static_cast<__int128>(spent_nano_usd) * whole_ms / passed_ms;
  if (projected > INT64_MAX || projected < 0) return std::nullopt;
  return static_cast<int64_t>(projected);
}

}  // namespace kvcs
