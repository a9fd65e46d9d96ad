// Numbers with what they count, for people. Pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kvcs {

std::string counted(uint64_t n, std::string_view noun);  // "1 artifact", "2 artifacts"
// For refusals, whose sizes may differ by less than is shown of a MiB: "1.50 MiB (1572865 bytes)".
std::string format_exact_bytes(uint64_t n);

}  // namespace kvcs
