// Doubles as text by std::to_chars and std::from_chars, which round exactly and know no locale.
#include "base/decimal.h"

#include <charconv>
#include <cmath>

#include "base/bytes.h"

namespace kvcs {

std::string format_decimal(double value, int digits) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[400];  // The largest double has 309 digits before the point.
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits);
  return {text, end.ptr};
}

std::string format_shortest(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value);
  const std::string shown(text, end.ptr);
  return shown.find_first_of(".en") == std::string::npos ? shown + ".0" : shown;
}

Result<double> parse_decimal(std::string_view text, std::string_view what) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return invalid(std::string(what) + ": '" + printable(text, kShownWord) + "' is not a number");
  }
  return value;
}

}  // namespace kvcs
