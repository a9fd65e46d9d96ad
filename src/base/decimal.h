// Numbers as text, the same in every locale. Pure functions.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace kvcs {

// With `digits` digits behind the point; "inf", "-inf" or "nan" for a value that has no digits.
std::string format_decimal(double value, int digits);
// The shortest text that reads back as `value`, always with a point or an exponent.
std::string format_shortest(double value);
// A finite number and nothing else; Invalid names `what` and the text.
Result<double> parse_decimal(std::string_view text, std::string_view what);

}  // namespace kvcs
